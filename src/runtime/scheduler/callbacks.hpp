// Calls out of the scheduler into the program: schedule callback, channel callback, error handler.
#pragma once

#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

inline void forbid_switching(Scheduler* s) noexcept {
  ++s->forbidden.locks;
  s->attention |= Scheduler::lock;
}
inline void allow_switching(Scheduler* s) noexcept {
  if (--s->forbidden.locks == 0) {
    s->attention &= ~Scheduler::lock;
  }
}

// Locked forbids switching for as long as it lives.
class Locked {
 public:
  explicit Locked(Scheduler* s) noexcept : scheduler_(s) { forbid_switching(s); }
  ~Locked() { allow_switching(scheduler_); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  Scheduler* scheduler_;
};

// notify_switch() calls the schedule callback, if there is one, with (prev, next); null is None.
// What it raises is reported as unraisable.
void notify_switch(Scheduler* s, Tasklet* prev, Tasklet* next);

// notify_channel() calls the channel callback, if there is one; -1 with its exception set.
int notify_channel(Scheduler* s, PyObject* channel, Tasklet* tasklet, bool sending,
                   bool will_block);

// update_attention() tells every scheduler whether callbacks are set.
void update_attention();

// is_exit() tells whether an exception is TaskletExit, or a group with one among its members: that is what `except*`
// makes of it, together with what was being handled, which a plain `except` would leave behind in the context.
bool is_exit(PyObject* exception);

// uncaught() decides about the exception that is set as the current tasklet's function ends: it
// returns what is to be delivered to the run() caller, or null if it ends here.
Object uncaught(Scheduler* s);

}  // namespace stackless
