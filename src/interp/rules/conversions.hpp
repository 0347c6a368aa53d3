// Builtins that convert an object by one of its methods, and what they make of that one's result.
#pragma once

#include <Python.h>

namespace stackless::interp {

// How a conversion goes on behind the method.
struct Conversion {
  bool known;
  int argument;  // for finish_conversion()
};

// find_call() is told what has been called with the object and perhaps (else null) another argument, and what
// runs.
Conversion find_call(PyObject* callable, PyObject* object, PyObject* second,
                     PyObject* function) noexcept;

// Of an f-string: formatting, with a specification or null, and the conversion !s, !r or !a, whose result is then
// formatted if `formats`.
Conversion find_formatting(PyObject* object, PyObject* specification, PyObject* function) noexcept;
Conversion find_conversion(char letter, bool formats, PyObject* object,
                           PyObject* function) noexcept;

PyObject* finish_conversion(int argument, PyObject* object, PyObject* specification,
                            PyObject* value);
bool is_conversion_argument(int argument) noexcept;

// init_conversions() is called once, at import; -1 with an exception set.
int init_conversions();

}  // namespace stackless::interp
