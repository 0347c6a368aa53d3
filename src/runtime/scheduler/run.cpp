// run() and pump() of the module.
#include "runtime/scheduler/idle.hpp"

#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

namespace {

// The original's rule for a run() caller that runs again: those that called run() after it are
// woken too, in order, innermost first.
void pop_run_callers(Scheduler* s, Tasklet* self) {
  PyObject* callers = s->run_callers.get();
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

Object run(Scheduler* s, RunMode mode) {
  Tasklet* self = s->current;
  RunMode outer = std::exchange(s->mode, mode);
  bool waits = mode != RunMode::pump &&
               (s->anybody_waits() || (mode == RunMode::threadblock && others_may_wake(s)));
  if (self->next == self && !waits) {
    s->mode = outer;
    return none();
  }
  if (switch_would_fail(s, self->next) ||
      PyList_Append(s->run_callers.get(), as_object(self)) < 0) {
    s->mode = outer;
    return nullptr;
  }
  Ref<Tasklet> keep = unlink(self);
  Object result = block(s);
  s->mode = outer;
  KeepException pending;
  pop_run_callers(s, self);
  return result ? none() : nullptr;
}

}  // namespace stackless
