// Operators whose operands' classes are written in Python: which of their methods runs, and what is to be
// done with its result (Objects/abstract.c, Objects/object.c, Objects/typeobject.c).
#pragma once

#include <Python.h>

namespace stackless::interp {

constexpr int divmod_operator = 100;

// A method that an operator has called, and how the operator goes on if that returns NotImplemented.
struct Operation {
  bool known;
  int argument;  // for finish_operator() or finish_comparison()
};

// find_operator() is told BINARY_OP's argument or that of divmod(), which has none of BINARY_OP's, the operands, and what runs: a function and its first
// argument.
Operation find_operator(int argument, PyObject* left, PyObject* right, PyObject* function,
                        PyObject* first) noexcept;
// finish_operator() is also told BINARY_OP's argument itself.
PyObject* finish_operator(int argument, int instruction, PyObject* left, PyObject* right,
                          PyObject* value);

// The same for a comparison, Py_LT to Py_GE; `test` if the result is to be a bool.
Operation find_comparison(int comparison, bool test, PyObject* left, PyObject* right,
                          PyObject* function, PyObject* first) noexcept;
PyObject* finish_comparison(int argument, PyObject* left, PyObject* right, PyObject* value);

// Whether one of the two may have made the argument.
bool is_operator_argument(int argument) noexcept;
bool is_comparison_argument(int argument) noexcept;

// init_operators() is called once, at import; -1 with an exception set.
int init_operators();

}  // namespace stackless::interp
