// What a suspended tasklet is, and how one begins and ends.
#pragma once

#include <Python.h>

#include <cstddef>

#include "core/stack_pool.hpp"
#include "interp/frames/call_mark.hpp"

namespace stackless::interp {

struct Parked;  // on its own C stack
struct Frozen;  // in a block of memory: interp/freezing/frozen.hpp

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

// switch_to(), in switching/switch.hpp, parks the running tasklet, which waits in the call with
// `mark`, stores where in *parked, and resumes `target`, which must be parked. No exception may be
// set. It returns when somebody switches back.

// start() parks likewise and calls entry() on `stack`, with the caller's thread state still loaded:
// entry() calls begin() first.
void start(PyThreadState* ts, Parked** parked, core::Stack* stack, core::Entry entry,
           CallMark mark) noexcept;

// leave_to() resumes `target` and never comes back; the stack it stands on may be reused.
[[noreturn]] void leave_to(Parked* target) noexcept;

// leave_to_start() calls entry() on `stack` and never comes back; so may the stack it stands on.
[[noreturn]] void leave_to_start(core::Stack* stack, core::Entry entry) noexcept;

// begin() gives the thread state a fresh share, standing on `base` and `stack`: no frame, no
// handled exception, depth 0, no tracing; `context` (stolen, may be null) becomes the current one.
void begin(PyThreadState* ts, Base* base, core::Stack* stack, PyObject* context) noexcept;

// end() drops what a finished tasklet leaves in the thread state: its context, its trace functions.
void end(PyThreadState* ts) noexcept;
// take_context() takes the context that is current, for somebody else to drop; null if there is none.
PyObject* take_context(PyThreadState* ts) noexcept;

// leave_data_stack() has the running tasklet's next frames pushed elsewhere than into its own
// stack: it never returns from what it does next, the end of the interpreter, which frees the
// thread's data stack (Python/pystate.c, PyThreadState_Clear; 3.15 aborts if it can't).
void leave_data_stack(PyThreadState* ts) noexcept;

}  // namespace stackless::interp
