// Blocking on something outside: a descriptor, a time, or both.
#pragma once

#include "core/poller.hpp"
#include "core/timer_queue.hpp"
#include "runtime/scheduler.hpp"

namespace stackless {

// A timer that knows what to do when it is due; fire() runs with the timer disarmed.
struct Alarm : core::Timer {
  void (*fire)(Alarm*, Scheduler*) = nullptr;
  Tasklet* sleeper = nullptr;  // whom it wakes, if that is blocked then
  bool alarm_set() const noexcept { return armed(); }
};

enum class Outcome { ready, timed_out };

// A Wait stands for one tasklet that waits, and holds the reference to it that the ring held before.
struct Wait : core::PollWaiter, Alarm {
  Ref<Tasklet> tasklet;
  Outcome outcome = Outcome::ready;
  bool for_io = false;
  bool on_heap = false;       // and freed by cancel_wait(): for tasklets that can be frozen
  Wait* next_wait = nullptr;  // the scheduler's list of those with a descriptor
  Wait* prev_wait = nullptr;
};

constexpr core::Nanoseconds forever = -1;

// wait_for_io() blocks the current tasklet until `fd` is ready in that direction (or may be: the
// caller tries again) or `deadline` (monotonic; forever) has passed. `fresh` says that the caller
// has not waited on this descriptor since it was opened. Returns 0 and sets *outcome, or -1 with an
// exception set: OSError, what was thrown at the tasklet, RuntimeError for a trap.
int wait_for_io(Scheduler* s, int fd, core::Direction direction, core::Nanoseconds deadline,
                bool fresh, Outcome* outcome);

// sleep_until() blocks the current tasklet until `deadline`; -1 with an exception set if something
// was thrown at it.
int sleep_until(Scheduler* s, core::Nanoseconds deadline);

// forget_descriptor() is told by the owner of `fd` that it is about to close it: whoever waits for
// it, in any thread, wakes up, tries again, and finds it closed.
void forget_descriptor(int fd);

// move_alarms() has what wakes a tasklet at some time, its sleep and timeouts, do so in another thread's
// scheduler; false with MemoryError set.
bool move_alarms(Tasklet* tasklet, Scheduler* target);

// cancel_wait() takes a waiting tasklet off its wait and returns the reference.
Ref<Tasklet> cancel_wait(Tasklet* tasklet);

// parse_timeout() turns seconds (a number, None for no limit) into a deadline; -2 with an
// exception set if it is neither, negative or not finite.
core::Nanoseconds parse_timeout(PyObject* seconds, const char* what);

// set_alarm() arms `alarm` in the scheduler's timers; -1 with MemoryError set.
int set_alarm(Scheduler* s, Alarm* alarm, core::Nanoseconds deadline);
void cancel_alarm(Scheduler* s, Alarm* alarm);

// rewatch() registers every descriptor waited for anew, in a forked child's new poller.
void rewatch(Scheduler* s);

}  // namespace stackless
