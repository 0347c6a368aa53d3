// The hot path of a switch, inline (interp/switch.hpp says why).
#pragma once

#include "interp/switch.hpp"
#include "runtime/bomb.hpp"
#include "runtime/scheduler.hpp"

namespace stackless {

// start_stack() switches to a tasklet that has not started yet and has been given a stack.
void start_stack(Scheduler* s, Tasklet* self, Tasklet* next);
// do_duties() sees to what was left for whoever runs next, waiting included.
void do_duties(Scheduler* s, Tasklet* self);
// explode_mail() raises what `bomb`, stolen, holds.
PyObject* explode_mail(PyObject* bomb);

// switch_stacks() gives `next` the processor until somebody switches back to `self`.
[[gnu::always_inline]] inline void switch_stacks(Scheduler* s, Tasklet* self, Tasklet* next) {
  s->current = next;
  if (next->parked != nullptr) [[likely]] {
    interp::switch_to(s->ts, &self->parked, next->parked);
  } else {
    start_stack(s, self, next);
  }
  self->parked = nullptr;
}

// run_other() is switch_stacks(), and whatever has been left to do for who runs next.
[[gnu::always_inline]] inline void run_other(Scheduler* s, Tasklet* self, Tasklet* next) {
  switch_stacks(s, self, next);
  if (s->duties) [[unlikely]] {
    do_duties(s, self);
  }
}

// can_run_at_once() is true if nothing but the switch itself stands between now and `next`.
inline bool can_run_at_once(const Scheduler* s, const Tasklet* next) {
  return s->attention == 0 && (next->started || next->stack != nullptr);
}

// take_mail() is claim() for the hot path: null with the bomb's exception set.
inline PyObject* take_mail(Tasklet* tasklet) {
  PyObject* mail = tasklet->tempval.release();
  if (mail == nullptr) {
    return Py_NewRef(Py_None);
  }
  return is_bomb(mail) ? explode_mail(mail) : mail;
}

}  // namespace stackless
