// Blocking on something outside: a descriptor, a time, or both.
#pragma once

#include "core/poller.hpp"
#include "core/timer_queue.hpp"
#include "runtime/scheduler/scheduler.hpp"

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
  bool ends_alone = false;          // freed by cancel_wait()
  interp::CallMark mark = nullptr;  // of the call that waits
  Wait* next_wait = nullptr;        // the scheduler's list of those with a descriptor
  Wait* prev_wait = nullptr;
};

// An Operation is all that a call keeps which waits, for a descriptor, say, since its tasklet may be frozen
// meanwhile: then the call ends nowhere, and is made once more when the tasklet is thawed. The second call
// takes the operation over and goes on behind its wait.
struct Operation : Wait {
  Operation() = default;
  virtual ~Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  virtual int traverse(visitproc visit, void* arg) = 0;
  virtual std::size_t memory() const noexcept = 0;  // in bytes
  virtual const char* place() const noexcept = 0;   // where it waits: "a tasklet that waits ..."
  // What a pickle keeps of a call with so many operands; null, without an exception, if it can't.
  virtual Object state(Py_ssize_t) const { return nullptr; }

  PyObject* self = nullptr;    // whose method it is, which the caller holds, and
  const void* call = nullptr;  // which one
  bool is_over = false;        // the wait is, and the call not yet made again
};

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
// drop_operation() drops the one of a tasklet which won't make its call again, if it has one.
void drop_operation(Tasklet* tasklet);

constexpr core::Nanoseconds forever = -1;

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
