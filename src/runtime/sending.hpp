// The methods of channels that make what they send, and so keep something while they wait.
#pragma once

#include "runtime/tasklet.hpp"

namespace stackless {

PyObject* send_exception(PyObject* self, PyObject* args);
PyObject* send_throw(PyObject* self, PyObject* args, PyObject* keywords);
PyObject* send_sequence(PyObject* self, PyObject* iterable);

// is_in_sequence() tells whether the tasklet has waited in send_sequence() for somebody to receive an item; else what
// asks for the items may be what waits.
bool is_in_sequence(const Tasklet* tasklet);

}  // namespace stackless
