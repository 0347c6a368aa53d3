// What a tasklet waits for. Whoever reports, cancels, moves or collects a blocked tasklet asks its Blocker
// and knows no kinds; a new kind of wait implements this interface, and nothing else has to change.
#pragma once

#include "core/poller.hpp"
#include "core/timer_queue.hpp"
#include "runtime/scheduler/tasklet.hpp"

namespace stackless {

struct Blocker {
  // cancel() takes the tasklet, which waits here, off; returned is the reference that the wait held.
  // Runs no Python code.
  virtual Ref<Tasklet> cancel(Tasklet* tasklet) noexcept = 0;
  // describe() says in words for what the tasklet waits, and where: for the deadlock report. Null with an
  // exception set.
  virtual Object describe(Tasklet* tasklet) = 0;
  // traverse() visits what the wait keeps for the tasklet alone.
  virtual int traverse(visitproc, void*) { return 0; }
  // owner() is the Python object that is waited for (borrowed), or null.
  virtual PyObject* owner() noexcept { return nullptr; }
  // move() has the wait go on in another thread, whose the tasklet is about to become: `again` if the tasklet has to be woken
  // there to begin the wait anew, `failed` with MemoryError set.
  enum class Moved { on, again, failed };
  virtual Moved move(Scheduler*, Scheduler*) { return Moved::on; }
  // ends_with_thread() tells whether only the tasklet's own thread can end the wait.
  virtual bool ends_with_thread() const noexcept { return false; }

 protected:
  ~Blocker() = default;
};

// A timer that knows what to do when it is due; fire() runs with the timer disarmed, and runs no Python code.
struct Alarm : core::Timer {
  void (*fire)(Alarm*, Scheduler*) = nullptr;
  Tasklet* sleeper = nullptr;   // whom it wakes, if that is blocked then
  Alarm* next_alarm = nullptr;  // that the tasklet carries along (scheduler/alarms.hpp)
  bool overdue = false;         // it has fired, and will once more when the tasklet next waits
};

enum class Outcome { ready, timed_out };

// A Wait stands for one tasklet that waits for a time or a descriptor, and holds the reference to the tasklet
// that the ring held before.
struct Wait : core::PollWaiter, Alarm, Blocker {
  Ref<Tasklet> cancel(Tasklet* waiter) noexcept override;
  Object describe(Tasklet* waiter) override;
  Moved move(Scheduler* from, Scheduler* to) override;
  bool ends_with_thread() const noexcept override { return true; }

  Ref<Tasklet> tasklet;
  Outcome outcome = Outcome::ready;
  bool for_io = false;
  interp::CallMark mark = nullptr;  // of the call that waits
  Wait* next_wait = nullptr;        // the scheduler's list of those with a descriptor
  Wait* prev_wait = nullptr;

 protected:
  ~Wait() = default;
};

constexpr core::Nanoseconds forever = -1;

}  // namespace stackless
