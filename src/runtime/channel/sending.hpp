// The methods of channels that make what they send, and so keep something while they wait.
#pragma once

#include "runtime/scheduler/tasklet.hpp"

namespace stackless {

PyObject* send_exception(PyObject* self, PyObject* const* args, Py_ssize_t nargs);
PyObject* send_throw(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names);
PyObject* send_sequence(PyObject* self, PyObject* const* args, Py_ssize_t nargs);

// restore_sequence() gives an unpickled tasklet what its call of send_sequence() has kept, and returns the operands
// of that call, which it will make again; null with an exception set.
Object restore_sequence(Tasklet* tasklet, PyObject* state);

}  // namespace stackless
