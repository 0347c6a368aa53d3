// Blocking on something outside: a descriptor, a time, or both.
#pragma once

#include "runtime/scheduler/operation.hpp"
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

}  // namespace stackless
