// What the rest of the house may know of CPython's internals: nothing but this interface.
//
// A suspended tasklet's share of PyThreadState (frames, data stack, exception state, recursion
// budgets, context, tracing) is a Parked, which lies on the tasklet's own C stack. Which fields
// that is differs by version: one file v3_<minor>.hpp each.
#pragma once

#include <Python.h>

#include "core/stack_pool.hpp"
#include "interp/frames/call_mark.hpp"

namespace stackless::interp {

struct Parked;  // on its own C stack
struct Frozen;  // in a block of memory: interp/freeze.hpp

// Where a tasklet's state is: one of these if it is suspended; if it runs, in the thread state.
struct Suspended {
  Parked* parked = nullptr;
  Frozen* frozen = nullptr;
};

// The bottom of a tasklet's C stack: what the interpreter wants to find beneath the first frame.
// It lives in the entry function's frame for as long as the stack is in use.
struct Base {
  alignas(8) std::byte storage[64];
};

// ---- switching -----------------------------------------------------------------------------

// switch_to(), in interp/switch.hpp, parks the running tasklet, which waits in the call with `mark`, stores
// where in *parked, and resumes `target`, which must be parked. No exception may be set. It returns when
// somebody switches back.

// start() parks likewise and calls entry() on `stack`, with the caller's thread state still loaded:
// entry() calls begin() first.
void start(PyThreadState* ts, Parked** parked, core::Stack* stack, core::Entry entry,
           CallMark mark) noexcept;

// leave_to() resumes `target` and never comes back; the stack it stands on may be reused.
[[noreturn]] void leave_to(Parked* target) noexcept;

// leave_to_start() calls entry() on `stack` and never comes back; so may the stack it stands on.
[[noreturn]] void leave_to_start(core::Stack* stack, core::Entry entry) noexcept;

// begin() gives the thread state a fresh share, standing on `base` and `stack`: no frame, no handled
// exception, depth 0, no tracing; `context` (stolen, may be null) becomes the current one.
void begin(PyThreadState* ts, Base* base, core::Stack* stack, PyObject* context) noexcept;

// end() drops what a finished tasklet leaves in the thread state: its context, its trace functions.
void end(PyThreadState* ts) noexcept;

// leave_data_stack() has the running tasklet's next frames pushed elsewhere than into its own stack:
// it never returns from what it does next, the end of the interpreter, which frees the thread's data
// stack (Python/pystate.c, PyThreadState_Clear; 3.15 aborts if it can't).
void leave_data_stack(PyThreadState* ts) noexcept;

// ---- looking at tasklets ---------------------------------------------------------------------
// Each takes what is suspended, or by default the running tasklet.

// frame() returns the topmost frame object (new reference), or null without an exception if there
// is none (or, with one, if there is no memory).
PyObject* frame(PyThreadState* ts, Suspended tasklet);
// depth() returns the number of Python frames.
int depth(PyThreadState* ts, Suspended tasklet) noexcept;
// loops() returns how many evaluation loops stand on its C stack.
int loops(PyThreadState* ts, Suspended tasklet) noexcept;
// pins() returns between how many of them C code stands that can't be frozen (interp/freeze.cpp).
int pins(PyThreadState* ts, Suspended tasklet) noexcept;

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

// asynchronous_exception() returns what PyThreadState_SetAsyncExc() has set and nobody has raised yet
// (borrowed), or null.
PyObject* asynchronous_exception(PyThreadState* ts) noexcept;

// thread_dictionary() returns the thread's own dictionary (borrowed), which dies with it; null with
// MemoryError set.
PyObject* thread_dictionary(PyThreadState* ts);

// forget_finalized() lets the untracked `object` start a new life in which its finalizer runs again.
void forget_finalized(PyObject* object) noexcept;

// ---- import ----------------------------------------------------------------------------------

// check_interpreter() returns 0 if this build fits the running interpreter, else -1 with an
// ImportError that says what differs.
int check_interpreter();

}  // namespace stackless::interp
