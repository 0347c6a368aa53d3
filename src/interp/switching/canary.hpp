// Tells whether Python code has run: each Python function that C code calls has its frame put where the canary
// sits, at the top of the data stack, and ends it (Python/pystate.c, _PyThreadState_PushFrame).
#pragma once

#include <Python.h>

namespace stackless::interp {

using Canary = PyObject**;

// set_canary() returns where it sits; null where there is no room.
Canary set_canary(PyThreadState* ts) noexcept;
// is_alive() is false if a Python function has been called since; null is taken for alive.
bool is_alive(PyThreadState* ts, Canary canary) noexcept;

}  // namespace stackless::interp
