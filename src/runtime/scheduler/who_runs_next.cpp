#include "runtime/scheduler/giving_way.hpp"

#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/callbacks.hpp"
#include "runtime/scheduler/deadlock.hpp"
#include "runtime/scheduler/idle.hpp"
#include "runtime/scheduler/mounting.hpp"
#include "runtime/scheduler/switching.hpp"

namespace stackless {

// ---- switching --------------------------------------------------------------------------------

namespace {

bool is_floating(const Tasklet* tasklet) { return tasklet->place == Place::nowhere; }

// Whether, with nothing runnable, the thread is to wait: for I/O and time first, then for other
// threads unless a run() caller only waits for its own tasklets.
bool is_worth_waiting(Scheduler* s, Tasklet* waker) {
  if (s->mode == RunMode::pump) {
    return false;
  }
  if (s->anybody_waits()) {
    return true;
  }
  return (!is_floating(waker) || s->mode == RunMode::threadblock) && others_may_wake(s);
}

}  // namespace

bool may_block(Scheduler* s) {
  Tasklet* self = s->current;
  Tasklet* next = self->next;
  if (next == self) {
    Tasklet* waker = innermost_run(s);
    next = waker == self || is_floating(waker) || is_worth_waiting(s, waker) ? waker : self;
  }
  return !giving_way_would_fail(s, next);
}

bool may_wait(Scheduler* s) {
  Tasklet* next = s->current->next;
  return !giving_way_would_fail(s, next != s->current ? next : innermost_run(s));
}

Object hand_over(Scheduler* s, Tasklet* next, interp::CallMark mark) {
  Tasklet* self = s->current;
  make_runnable(next);
  if (next != self) {
    next = next_or_told(s, next);
  }
  if (next == self) {
    s->ring.rotate_to(self);
    return claim(self);
  }
  if (s->attention != 0) [[unlikely]] {
    if ((s->attention & Scheduler::waiters) != 0) {
      poll_now_and_then(s);
    }
    notify_switch(s, self, next);
    s->ring.rotate_to(next);
    if (Object result; (s->attention & Scheduler::crowded) != 0 &&
                       freeze_and_leave(s, self, next, mark, &result)) {
      return result;
    }
  }
  s->ring.rotate_to(next);
  return claim(run_other(s, self, next, mark));
}

Object block(Scheduler* s, interp::CallMark mark) {
  note_depth(s->current);
  if (Tasklet* next = s->ring.head()) [[likely]] {
    return hand_over(s, next, mark);
  }
  Tasklet* self = s->current;
  Tasklet* waker = innermost_run(s);
  if (is_worth_waiting(s, waker)) {
    if (waker == self) {
      Tasklet* next = idle(s, self);
      s->ring.rotate_to(next);
      return next == self ? claim(self) : hand_over(s, next, mark);
    }
    notify_switch(s, self, waker);
    s->idle_wanted = s->duties = true;
    if (Object result; (s->attention & Scheduler::crowded) != 0 &&
                       freeze_and_leave(s, self, waker, mark, &result)) {
      return result;
    }
    return claim(run_other(s, self, waker, mark));
  }
  if (is_floating(waker)) {
    // The original passes an exception, and nothing else, on to whom it wakes.
    if (waker != self && self->tempval && is_bomb(self->tempval.get())) {
      waker->tempval = self->tempval;
    }
    return hand_over(s, waker, mark);
  }
  Object report = deadlock_report(s, self);
  make_runnable(self);
  self->tempval.reset();
  restore_exception(std::move(report));
  return nullptr;
}

Object schedule(Scheduler* s, PyObject* value, interp::CallMark mark) {
  Tasklet* self = s->current;
  Tasklet* next = self->next;
  if ((s->attention & Scheduler::waiters) != 0) [[unlikely]] {
    poll_now_and_then(s);
    next = self->next;
  }
  if (giving_way_would_fail(s, next)) {
    return nullptr;
  }
  next = next_or_told(s, next);
  put_mail(self, value);
  if (next != self) {
    if ((s->attention & Scheduler::callback) != 0) [[unlikely]] {
      notify_switch(s, self, next);
    }
    s->ring.rotate_to(next);
    if (Object result; (s->attention & Scheduler::crowded) != 0 &&
                       freeze_and_leave(s, self, next, mark, &result)) {
      return result;
    }
    self = run_other(s, self, next, mark);
  }
  if (!self->tempval) {
    return Object::share(as_object(self));  // the default, resolved late: no cycle meanwhile
  }
  return claim(self);
}

Object schedule_remove(Scheduler* s, PyObject* value, interp::CallMark mark) {
  Tasklet* self = s->current;
  if (!may_block(s)) {
    return nullptr;
  }
  put_mail(self, value);
  leave_to_successor(s, Object::steal(unlink(self).release_object()));
  Object result = block(s, mark);
  if (value == nullptr && result && result.get() == Py_None) {
    return Object::share(as_object(self));
  }
  return result;
}

// ---- the life of a tasklet ----------------------------------------------------------------------

// Picks who runs after the current tasklet, which has just ended with `exception` (or none) and is
// out of the ring.
Tasklet* successor(Scheduler* s, Object exception) {
  Tasklet* next = s->ring.head();
  if (next == nullptr || exception) {
    Tasklet* waker = innermost_run(s);
    if (!exception) {
      // A main that is blocked without a run() is told at once, even if other threads exist.
      bool waits = s->anybody_waits() ||
                   (is_floating(waker) && s->mode == RunMode::threadblock && others_may_wake(s));
      if (waits && s->mode != RunMode::pump) {
        s->idle_wanted = s->duties = true;
        return waker;
      }
      if (!is_floating(waker)) {
        exception = lonely_main_report(s, waker);
      }
    }
    next = waker;
    if (exception) {
      explode_in(waker, std::move(exception));
    }
  }
  make_runnable(next);
  return next;
}
}  // namespace stackless
