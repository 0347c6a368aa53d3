// Blocking on something outside: a descriptor, a time, or both.
#pragma once

#include "runtime/scheduler/blocker.hpp"
#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

// wait_for_io() blocks the current tasklet until `fd` is ready in that direction (or may be: the
// caller tries again) or `deadline` (monotonic; forever) has passed. `fresh` says that the caller
// has not waited on this descriptor since it was opened. Returns 0 with the operation's outcome set, or
// -1 with an exception set: OSError, what was thrown at the tasklet, RuntimeError for a trap.
int wait_for_io(Scheduler* s, Operation* operation, int fd, core::Direction direction,
                core::Nanoseconds deadline, bool fresh);

// sleep_until() blocks the current tasklet until `deadline`; -1 with an exception set if something
// was thrown at it. Instead of `mark` the caller may have something to keep.
int sleep_until(Scheduler* s, core::Nanoseconds deadline, interp::CallMark mark);
int sleep_until(Scheduler* s, core::Nanoseconds deadline, Operation* operation);

// forget_descriptor() is told by the owner of `fd` that it is about to close it: whoever waits for
// it, in any thread, wakes up, tries again, and finds it closed.
void forget_descriptor(int fd);

// parse_timeout() turns seconds (a number, None for no limit) into a deadline; -2 with an
// exception set if it is neither, negative or not finite.
core::Nanoseconds parse_timeout(PyObject* seconds, const char* what);

// taken_over() is the operation which a call goes on with that is made once more; the caller's from now on.
inline Operation* taken_over(Scheduler* s, PyObject* self, const void* call) {
  Operation* operation = s->current->operation;
  if (operation == nullptr || !operation->is_over || operation->self != self ||
      operation->call != call) [[likely]] {
    return nullptr;
  }
  return std::exchange(s->current->operation, nullptr);
}
// is_left() tells whether the call in which the current tasklet waited has to leave the operation to it.
inline bool is_left(const Scheduler* s, const Operation* operation) {
  return s->current->operation == operation;
}

}  // namespace stackless
