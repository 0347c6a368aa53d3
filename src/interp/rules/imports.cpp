// Imports: what is left of one when importlib's Python functions return (Python/import.c,
// PyImport_ImportModuleLevelObject).
#include <utility>

#include "interp/rules/crossing.hpp"
#include "interp/versions/internals.h"
#include "object/errors.hpp"

#include <frameobject.h>

namespace stackless::interp {

namespace {

// A function of importlib._bootstrap; borrowed, or null.
PyObject* importlib_function(const char* name) {
  PyObject* importlib = stackless_importlib();
  PyObject* found = importlib != nullptr && PyModule_Check(importlib)
                        ? PyDict_GetItemString(PyModule_GetDict(importlib), name)
                        : nullptr;
  return found != nullptr && PyFunction_Check(found) ? found : nullptr;
}

// Whether that is builtins.__import__() as it was at the beginning, which is what the interpreter calls by itself.
bool is_original_import(PyObject* function) {
  return function != nullptr && function == stackless_import_function();
}

// False if more is left to do than what finish_import() does.
bool may_finish_import() { return stackless_measures_imports() == 0; }

// `import a.b` is about a.
Object top_package(PyObject* name, PyObject* module) {
  Py_ssize_t length = PyUnicode_GET_LENGTH(name);
  Py_ssize_t dot = PyUnicode_FindChar(name, '.', 0, length, 1);
  if (dot < 0) {
    return dot == -1 ? Object::share(module) : Object();
  }
  Object front = Object::steal(PyUnicode_Substring(name, 0, dot));
  return front ? Object::steal(
                     PyImport_ImportModuleLevelObject(front.get(), nullptr, nullptr, nullptr, 0))
               : Object();
}

// A package may have to import what is wanted from it.
Object with_submodules(PyObject* module, PyObject* from_list) {
  Object path = Object::steal(PyObject_GetAttrString(module, "__path__"));
  if (!path) {
    if (PyErr_ExceptionMatches(PyExc_AttributeError) == 0) {
      return nullptr;
    }
    PyErr_Clear();
    return Object::share(module);
  }
  return Object::steal(PyObject_CallMethod(stackless_importlib(), "_handle_fromlist", "OOO", module,
                                           from_list, stackless_import_function()));
}

bool is_importlib(PyCodeObject* code) {
  auto is = [code](const char* name) {
    return PyUnicode_CompareWithASCIIString(code->co_filename, name) == 0;
  };
  return is("<frozen importlib._bootstrap>") || is("<frozen importlib._bootstrap_external>");
}

bool passes_on(PyCodeObject* code) {
  return PyUnicode_CompareWithASCIIString(code->co_name, "_call_with_frames_removed") == 0;
}

// What the import of `name` results in, whose module has been found (level 0, or with a list of what is wanted from it).
Object finish_import(PyObject* name, PyObject* from_list, PyObject* module) {
  if (!PyUnicode_Check(name)) {
    return raise(PyExc_ValueError, "the snapshot is damaged: an import of no name");
  }
  int wants_from = from_list != Py_None ? PyObject_IsTrue(from_list) : 0;
  if (wants_from < 0) {
    return nullptr;
  }
  return wants_from != 0 ? with_submodules(module, from_list) : top_package(name, module);
}

// Leaves the functions of importlib that have only passed the exception on out of its traceback.
void cut_importlib(PyObject* exception) {
  if (stackless_is_verbose() != 0) {
    return;
  }
  bool all = PyErr_GivenExceptionMatches(exception, PyExc_ImportError) != 0;
  PyObject* first = PyException_GetTraceback(exception);
  PyObject** row = nullptr;  // what leads to the first of importlib's functions in a row
  for (PyObject** link = &first; *link != nullptr;) {
    auto* entry = reinterpret_cast<PyTracebackObject*>(*link);
    auto code = Ref<PyCodeObject>::steal(PyFrame_GetCode(entry->tb_frame));
    if (!is_importlib(code.get())) {
      row = nullptr;
    } else if (row == nullptr) {
      row = link;
    }
    bool cuts = row != nullptr && (all || passes_on(code.get()));
    if (cuts) {
      replace_reference(*row, Object::share(reinterpret_cast<PyObject*>(entry->tb_next)));
      link = row;
    } else {
      link = reinterpret_cast<PyObject**>(&entry->tb_next);
    }
  }
  PyException_SetTraceback(exception, first != nullptr ? first : Py_None);
  drop_reference(first);
}

// V is what has been imported, or (argument 0) the module of that name, which is kept; second is a list of what is
// wanted from it.
Result finish_module(const Arrival& arrival) {
  Object module = arrival.argument == 1
                      ? Object::share(arrival.value)
                      : finish_import(arrival.kept, arrival.second, arrival.value);
  if (!module) {
    Object exception = take_exception();
    cut_importlib(exception.get());
    restore_exception(std::move(exception));
  }
  return push(std::move(module));
}

Result fail_import(const Arrival& arrival) {
  cut_importlib(arrival.value);
  return raise_again(arrival);
}

const Continuation push_module{"push_module", 20,           Shape::catching,
                               finish_module, takes_a_flag, fail_import};

// ---- the rules ----

// ---- imports (Python/import.c, PyImport_ImportModuleLevelObject) ----

// Whether importlib looks for the module, and not for another one that has to come first.
bool finds_module(const Crossing& crossing, PyObject* name) {
  PyObject* first = first_argument(crossing.inner);
  return crossing.function() == importlib_function("_find_and_load") && first != nullptr &&
         PyUnicode_Check(first) && PyUnicode_Check(name) && PyUnicode_Compare(first, name) == 0;
}

// What is wanted from a package may have to be imported: that is done last.
bool finds_submodules(const Crossing& crossing) {
  return crossing.function() == importlib_function("_handle_fromlist");
}

PyObject* import_in(const Crossing& crossing) {
  PyObject* variables = crossing.outer->f_builtins;
  return PyDict_Check(variables) ? PyDict_GetItem(variables, names.import) : nullptr;
}

bool is_lazy(const Crossing& crossing) {
  return imports_may_be_lazy && (crossing.stop.at->argument & 1) != 0;
}
int imported_name(const Crossing& crossing) {
  return crossing.stop.at->argument >> (imports_may_be_lazy ? 2 : 0);
}

// [level, list of what is wanted or None]
bool imports(const Crossing& crossing, Joint* joint) {
  if (!is_call(crossing) || is_lazy(crossing) || !may_finish_import() ||
      !is_original_import(import_in(crossing))) {
    return false;
  }
  joint->kept = PyTuple_GET_ITEM(code_of(crossing.outer)->co_names, imported_name(crossing));
  joint->second = crossing.operand(1);
  joint->argument = finds_submodules(crossing) ? 1 : 0;
  bool is_relative = PyObject_IsTrue(crossing.operand(0)) != 0;
  // The compiler never leaves the list of a relative import out.
  return joint->argument == 1 ||
         (is_relative ? crossing.function() == importlib_function("_find_and_load")
                      : finds_module(crossing, joint->kept));
}

bool imports_by_function(const Crossing& crossing, Joint*) {
  return is_call(crossing) && leads_to(import_in(crossing), crossing.function());
}

// __import__(name, globals, locals, list of what is wanted, level)
bool calls_import(const Crossing& crossing, Joint* joint) {
  int arguments = crossing.stop.at->argument;
  if (!is_call(crossing) || !is_builtin(crossing, builtins.import) || !may_finish_import() ||
      keyword_names(crossing.outer, crossing.stop.at, crossing.stop.height) != nullptr ||
      arguments < 1 || (arguments == 5 && PyObject_IsTrue(crossing.argument(4)) != 0)) {
    return false;
  }
  joint->kept = crossing.argument(0);
  joint->second = arguments > 3 ? crossing.argument(3) : nullptr;
  joint->argument = finds_submodules(crossing) ? 1 : 0;
  return joint->argument == 1 || finds_module(crossing, joint->kept);
}

// importlib calls it like that for what is wanted from a package: f(*args, **kwds). Up to 3.13 these can't be
// looked at any more, but its variables can.
bool calls_import_with_list(const Crossing& crossing, Joint* joint) {
  PyObject* caller = function_of(crossing.outer);
  if (!is_call(crossing) || !is_builtin(crossing, builtins.import) || !may_finish_import() ||
      caller != importlib_function("_call_with_frames_removed")) {
    return false;
  }
  PyObject* arguments = object_in(crossing.outer->localsplus[1]);
  PyObject* keywords = object_in(crossing.outer->localsplus[2]);
  if (arguments == nullptr || !PyTuple_Check(arguments) || PyTuple_GET_SIZE(arguments) != 1 ||
      keywords == nullptr || !PyDict_Check(keywords) || PyDict_GET_SIZE(keywords) != 0) {
    return false;
  }
  joint->kept = PyTuple_GET_ITEM(arguments, 0);
  return finds_module(crossing, joint->kept);
}

const Rule rules[] = {
    {CALL, a_calls, calls_import, push_module},
    {CALL_FUNCTION_EX, a_calls, calls_import_with_list, push_module},
    {IMPORT_NAME, 2, imports, push_module},
    {IMPORT_NAME, 2, imports_by_function, push_value},
};

}  // namespace

std::span<const Rule> import_rules() noexcept { return rules; }

}  // namespace stackless::interp
