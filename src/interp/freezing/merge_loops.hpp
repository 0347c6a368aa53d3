// Merging: a tasklet on whose C stack several evaluation loops stand is frozen by linking their
// frames into one chain, as if the interpreter had inlined what C code did in between
// (rules/rules.hpp).
//
// The C frames in between own references that nobody can see. So they aren't forgotten like a
// single loop's: empty frames take the place of those that have been moved out, and the tasklet's
// innermost call raises a private exception. Each C function gives up what it holds, each loop
// finds no handler, and all of them return, down to where the tasklet began.
#pragma once

#include <Python.h>

#include "interp/freezing/freeze.hpp"

namespace stackless::interp {

// merge() is freeze() for a tasklet with joints. Its C stack must be unwound next, by having the
// call in which it waits raise unwinding_exception(). No tool is told of that.
Frozen* merge(PyThreadState* ts, Parked* parked, const Halt& halt) noexcept;
PyObject* unwinding_exception() noexcept;  // borrowed

// finish_merge() is called, on the same C stack, when that has been unwound. It returns what is to
// be dropped when any code may run again, or null.
PyObject* finish_merge(PyThreadState* ts, Frozen* frozen) noexcept;

// may_merge() is false while another tasklet of the thread is being unwound.
bool may_merge() noexcept;

// init_merging() is called once, at import; -1 with an exception set.
int init_merging();

}  // namespace stackless::interp
