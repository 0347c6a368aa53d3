// Who runs next: the scheduling order, which is part of the interface (ARCHITECTURE.md, "Who runs next").
#pragma once

#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

enum class Turn : unsigned char {
  run,       // somebody runnable runs
  sleep,     // the innermost caller of run() waits, until somebody is runnable
  caller,    // the innermost caller of run() goes on: nothing is left to wait for
  deadlock,  // nobody ever will
};

struct Decision {
  Turn turn;
  Tasklet* who;  // who runs, on whose stack the thread sleeps, or who is stuck
};

// decide() says who runs when the current tasklet doesn't: `head`, the first of the ring, if there is one. It
// changes nothing. Every path that suspends or ends a tasklet obeys it. `ending` says that the current tasklet
// ends: a main tasklet that is blocked without a run() is then told at once, even if other threads could wake it.
Decision decide(const Scheduler* s, Tasklet* head, bool ending = false);

// settle() decides for good: it looks at descriptors and timers, decides, and tells the schedule callback. If the
// callback changes what the decision rests on, settle() decides anew and tells it again, at most as often as there
// are runnable tasklets. `wanted` is who is to run if that is still in the ring then; null: whose turn it is. The
// caller has put the current tasklet where it waits; if that is `wanted` itself, it gives way to whoever comes after
// it. From the return on, no Python code may run before the switch.
Decision settle(Scheduler* s, Tasklet* wanted, bool ending = false);

// sleep() waits on the stack of `self`, until somebody is runnable, and settles who runs then.
Decision sleep(Scheduler* s, Tasklet* self);

// may_block() raises and returns false if block() would have to switch and may not. Called while
// the current tasklet is still in the ring.
bool may_block(Scheduler* s);
// may_wait() is the same for a tasklet that is about to wait for I/O or time.
bool may_wait(Scheduler* s);

// block() suspends the current tasklet, which is not in the ring any more, until somebody makes it
// runnable, and returns its mail.
Object block(Scheduler* s, interp::CallMark mark = {});
// hand_over() runs `next`, making it runnable first if need be, and returns the current tasklet's
// mail when that runs again. The caller has asked switch_would_fail().
Object hand_over(Scheduler* s, Tasklet* next, interp::CallMark mark = {});

// schedule() and schedule_remove() of the module; `value` null means the tasklet itself.
Object schedule(Scheduler* s, PyObject* value, interp::CallMark mark);
Object schedule_remove(Scheduler* s, PyObject* value, interp::CallMark mark);

// successor() picks who runs after the current tasklet, which has just ended and is out of the ring: `told`, if that
// has been given its exception, or whose turn it is.
Tasklet* successor(Scheduler* s, Tasklet* told);

// run() and pump() of the module.
Object run(Scheduler* s, RunMode mode);
Object pump(Scheduler* s, core::Nanoseconds max_wait);

}  // namespace stackless
