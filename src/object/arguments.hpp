// The arguments of functions that CPython calls as METH_FASTCALL, with or without METH_KEYWORDS:
// `args` has `nargs` positional ones, then the values of the keywords that the tuple `names` has.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "object/errors.hpp"

namespace stackless {

// A method table's entry for any calling convention.
template <class F>
PyCFunction method(F* function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

// count_arguments() counts all arguments, positional and by keyword.
inline Py_ssize_t count_arguments(Py_ssize_t nargs, PyObject* names) {
  return nargs + (names != nullptr ? PyTuple_GET_SIZE(names) : 0);
}

// takes() tells whether a METH_FASTCALL function got the `count` arguments that it takes, none or
// one; TypeError, in CPython's words, if it didn't.
inline bool takes(const char* name, Py_ssize_t count, Py_ssize_t nargs) {
  if (nargs == count) {
    return true;
  }
  raise(PyExc_TypeError,
        count == 0 ? "%s() takes no arguments (%zd given)"
                   : "%s() takes exactly one argument (%zd given)",
        name, nargs);
  return false;
}

// A function's parameters, all of which may be given by position or by name; the first `required`
// must be given.
struct Parameters {
  const char* function;
  std::span<const char* const> names;
  std::size_t required;
};

// bind_arguments() stores the arguments, borrowed, in `bound`, in the order of the parameters (those
// that aren't given are left alone); false with TypeError set, in CPython's words (Python/getargs.c,
// vgetargskeywords).
inline bool bind_arguments(const Parameters& parameters, PyObject* const* args, Py_ssize_t nargs,
                           PyObject* names, std::span<PyObject*> bound) {
  auto positional = static_cast<std::size_t>(nargs), most = parameters.names.size();
  auto given = static_cast<std::size_t>(count_arguments(nargs, names));
  if (given > most) {
    PyErr_Format(PyExc_TypeError, "%s() takes at most %zu %sargument%s (%zu given)",
                 parameters.function, most, positional == 0 ? "keyword " : "", most == 1 ? "" : "s",
                 given);
    return false;
  }
  std::copy_n(args, positional, bound.begin());
  auto place_of = [&](PyObject* name) {
    return static_cast<std::size_t>(
        std::ranges::find_if(
            parameters.names,
            [=](const char* known) { return PyUnicode_CompareWithASCIIString(name, known) == 0; }) -
        parameters.names.begin());
  };
  auto name_of = [&](std::size_t i) {
    return PyTuple_GET_ITEM(names, static_cast<Py_ssize_t>(i - positional));
  };
  for (std::size_t i = positional; i < given; ++i) {
    if (std::size_t place = place_of(name_of(i)); place >= positional && place < most) {
      bound[place] = args[i];
    }
  }
  for (std::size_t i = positional; i < parameters.required; ++i) {
    if (bound[i] == nullptr) {
      PyErr_Format(PyExc_TypeError, "%s() missing required argument '%s' (pos %zu)",
                   parameters.function, parameters.names[i], i + 1);
      return false;
    }
  }
  for (std::size_t i = positional; i < given; ++i) {
    PyObject* name = name_of(i);
    std::size_t place = place_of(name);
    if (place == most) {
      raise_unexpected_keyword(parameters.function, name);
      return false;
    }
    if (place < positional) {
      PyErr_Format(PyExc_TypeError, "argument for %s() given by name ('%U') and position (%zu)",
                   parameters.function, name, place + 1);
      return false;
    }
  }
  return true;
}

// pack_tuple() makes a tuple of objects; null with an exception set.
inline Object pack_tuple(PyObject* const* items, Py_ssize_t count) {
  Object tuple = Object::steal(PyTuple_New(count));
  for (Py_ssize_t i = 0; tuple && i < count; ++i) {
    PyTuple_SET_ITEM(tuple.get(), i, Py_NewRef(items[i]));
  }
  return tuple;
}

// pack_arguments() makes a tuple, and a dict if there are keywords; false with an exception set.
inline bool pack_arguments(PyObject* const* args, Py_ssize_t nargs, PyObject* names,
                           Object* arguments, Object* keywords) {
  *arguments = pack_tuple(args, nargs);
  Py_ssize_t count = count_arguments(nargs, names);
  if (!*arguments || count == nargs) {
    return static_cast<bool>(*arguments);
  }
  *keywords = Object::steal(PyDict_New());
  for (Py_ssize_t i = nargs; *keywords && i < count; ++i) {
    if (PyDict_SetItem(keywords->get(), PyTuple_GET_ITEM(names, i - nargs), args[i]) < 0) {
      return false;
    }
  }
  return static_cast<bool>(*keywords);
}

}  // namespace stackless
