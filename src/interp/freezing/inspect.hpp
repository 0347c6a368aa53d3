// Looking at tasklets: the running one, mounted and frozen ones.
#pragma once

#include <Python.h>

#include "interp/switching/suspended.hpp"

namespace stackless::interp {

// Each takes what is suspended, or by default the running tasklet.

// frame() returns the topmost frame object (new reference), or null without an exception if there
// is none (or, with one, if there is no memory).
PyObject* frame(PyThreadState* ts, Suspended tasklet);
// depth() returns the number of Python frames.
int depth(PyThreadState* ts, Suspended tasklet) noexcept;
// loops() returns how many evaluation loops stand on its C stack.
int loops(PyThreadState* ts, Suspended tasklet) noexcept;

struct TraceFunction {
  Py_tracefunc function;
  PyObject* object;  // borrowed, may be null
};
TraceFunction trace_function(PyThreadState* ts, Suspended tasklet) noexcept;
TraceFunction profile_function(PyThreadState* ts, Suspended tasklet) noexcept;
// set_trace_function() and set_profile_function() do what sys.settrace() and sys.setprofile() do,
// for a suspended tasklet; -1 with an exception on failure.
int set_trace_function(PyThreadState* ts, Suspended tasklet, PyObject* function);
int set_profile_function(PyThreadState* ts, Suspended tasklet, PyObject* function);

// context() returns the context (borrowed), or null.
PyObject* context(PyThreadState* ts, Suspended tasklet = {}) noexcept;
// set_context() replaces it; `context` is stolen.
void set_context(PyThreadState* ts, Suspended tasklet, PyObject* context) noexcept;
// in_context_run() tells whether the context has been entered by Context.run().
bool in_context_run(PyThreadState* ts, Suspended tasklet) noexcept;

// asynchronous_exception() returns what PyThreadState_SetAsyncExc() has set and nobody has raised
// yet (borrowed), or null.
PyObject* asynchronous_exception(PyThreadState* ts) noexcept;

// thread_dictionary() returns the thread's own dictionary (borrowed), which dies with it; null with
// MemoryError set.
PyObject* thread_dictionary(PyThreadState* ts);
// is_ending() tells whether the thread state is being cleared already (3.11 doesn't say).
bool is_ending(PyThreadState* ts) noexcept;
// leave_to_the_end() has an object (stolen) dropped at the end of a thread that is ending; false,
// with RuntimeError set and the object dropped now, if it is too late.
bool leave_to_the_end(PyThreadState* ts, PyObject* object);

// forget_finalized() lets the untracked `object` start a new life in which its finalizer runs
// again.
void forget_finalized(PyObject* object) noexcept;

}  // namespace stackless::interp
