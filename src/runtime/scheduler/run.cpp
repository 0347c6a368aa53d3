// run() and pump() of the module.
#include "runtime/scheduler/alarms.hpp"
#include "runtime/scheduler/giving_way.hpp"
#include "runtime/scheduler/idle.hpp"
#include "runtime/scheduler/who_runs_next.hpp"

#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

namespace {

// The original's rule for a run() caller that runs again: those that called run() after it are
// woken too, in order, innermost first.
void pop_run_callers(Scheduler* s, Tasklet* self) {
  PyObject* callers = s->runs.callers.get();
  int present = 0;
  for (Py_ssize_t i = 1; i < PyList_GET_SIZE(callers); ++i) {
    present |= PyList_GET_ITEM(callers, i) == as_object(self);
  }
  while (present != 0) {
    Py_ssize_t last = PyList_GET_SIZE(callers) - 1;
    // PyList_SetSlice() would give memory back, which may fail.
    auto caller = Ref<Tasklet>::steal(as_tasklet(PyList_GET_ITEM(callers, last)));
    Py_SET_SIZE(callers, last);
    if (caller.get() == self) {
      return;
    }
    if (!caller->scheduled()) {
      insert(caller.get());
    }
  }
}

}  // namespace

Object pump(Scheduler* s, core::Nanoseconds max_wait) {
  Object result = run(s, RunMode::pump);
  if (!result || !s->has_waiters()) {
    return result;
  }
  if (poll_for(s, max_wait) < 0) {
    return nullptr;
  }
  return run(s, RunMode::pump);
}

namespace {

// Waits until nobody is left to run, with the caller of run() in the list already.
Object wait_for_others(Scheduler* s) {
  Tasklet* self = s->current;
  bool on_its_way_out = self->place != Place::ring;  // in a callback
  Decision decision = decide(s, self->next != self ? self->next : nullptr);
  if (decision.turn == Turn::caller && !on_its_way_out) {
    settle_left(s);
    return none();
  }
  if (switch_would_fail(s, decision.who) || !arm_overdue(self)) {
    return nullptr;
  }
  Ref<Tasklet> keep = unlink(self);
  return block(s);
}

}  // namespace

Object run(Scheduler* s, RunMode mode) {
  Tasklet* self = s->current;
  if (PyList_Append(s->runs.callers.get(), as_object(self)) < 0) {
    return nullptr;
  }
  RunMode outer = std::exchange(s->runs.mode, mode);
  Object result = wait_for_others(s);
  s->runs.mode = outer;
  KeepException pending;
  pop_run_callers(s, self);
  return result ? none() : nullptr;
}

}  // namespace stackless
