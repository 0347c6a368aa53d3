#include "runtime/scheduler.hpp"

#include "interp/freeze.hpp"
#include "runtime/bomb.hpp"
#include "runtime/callbacks.hpp"
#include "runtime/channel.hpp"
#include "runtime/deadlock.hpp"
#include "runtime/freezing.hpp"
#include "runtime/switching.hpp"
#include "runtime/wait.hpp"

namespace stackless {

// ---- the ring ---------------------------------------------------------------------------------

void insert_owned(Ref<Tasklet> tasklet) {
  Tasklet* t = tasklet.release();
  assert(t->place == Place::nowhere);
  Guard guard;
  Scheduler* home = t->scheduler;
  home->ring.push_back(t);
  t->place = Place::ring;
  if (home != this_scheduler) {
    wake(home);
  }
}

void insert(Tasklet* tasklet) { insert_owned(Ref<Tasklet>::share(tasklet)); }

Ref<Tasklet> unlink(Tasklet* tasklet) {
  assert(tasklet->place == Place::ring);
  tasklet->scheduler->ring.remove(tasklet);
  tasklet->place = Place::nowhere;
  return Ref<Tasklet>::steal(tasklet);
}

Ref<Tasklet> unblock(Tasklet* tasklet) {
  if (tasklet->place == Place::channel) {
    return remove_from_queue(tasklet);
  }
  return cancel_wait(tasklet);
}

void make_runnable(Tasklet* tasklet) {
  switch (tasklet->place) {
    case Place::ring:
      return;
    case Place::nowhere:
      insert(tasklet);
      return;
    case Place::channel:
    case Place::waiting:
      insert_owned(unblock(tasklet));
  }
}

bool is_run_caller(Scheduler* s, Tasklet* tasklet) {
  PyObject* callers = s->run_callers.get();
  for (Py_ssize_t i = 1; i < PyList_GET_SIZE(callers); ++i) {
    if (PyList_GET_ITEM(callers, i) == as_object(tasklet)) {
      return !tasklet->scheduled();
    }
  }
  return false;
}

Tasklet* innermost_run(Scheduler* s) {
  Py_ssize_t size = PyList_GET_SIZE(s->run_callers.get());
  return size > 1 ? as_tasklet(PyList_GET_ITEM(s->run_callers.get(), size - 1)) : s->main.get();
}

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

void explode_in(Tasklet* tasklet, Object exception) {
  Object bomb = make_bomb(std::move(exception));
  if (!bomb) {
    bomb = make_bomb(take_exception());  // MemoryError instead
  }
  tasklet->tempval = std::move(bomb);
}

void drop_departed(Scheduler* s, Tasklet* self) {
  // What its destruction runs may switch, and so must not find this tasklet's mail.
  Object mail = std::move(self->tempval);
  if (s->idle_wanted) {
    Locked locked(s);
    s->departed.reset();
  } else {
    s->departed.reset();
  }
  self->tempval = std::move(mail);
}

bool give_stack(Scheduler* s, Tasklet* next) {
  next->stack = s->stacks.acquire();
  update_crowded(s);
  if (next->stack == nullptr) {
    PyErr_SetString(PyExc_MemoryError,
                    "no memory for the C stack of another tasklet (see stackless.statistics() and "
                    "the limits on address space and mappings)");
    return false;
  }
  return true;
}

// Makes sure that `next` has a stack to run on; MemoryError if there is none to be had.
bool prepare(Scheduler* s, Tasklet* next) {
  return next->parked != nullptr || next->stack != nullptr || next == s->current ||
         give_stack(s, next);
}

}  // namespace

void start_stack(Scheduler* s, Tasklet* self, Tasklet* next, interp::CallMark mark) {
  assert(next->stack != nullptr);
  interp::start(s->ts, &self->parked, next->stack, tasklet_entry, mark);
}

Tasklet* do_duties(Scheduler* s, Tasklet* self) {
  while (s->duties) {
    s->duties = false;
    if (s->departed) {
      drop_departed(s, self);
    }
    if (!s->idle_wanted) {
      break;
    }
    s->idle_wanted = false;
    Tasklet* next = idle(s, self);
    s->ring.rotate_to(next);
    if (next != self) {
      notify_switch(s, self, next);
      self = switch_stacks(s, self, next, nullptr);
    }
  }
  return self;
}

PyObject* explode_mail(PyObject* bomb) { return explode(Object::steal(bomb)); }

namespace {

// Puts `value` into the mailbox. What was there goes first: a suspended tasklet holds nothing on its
// C stack.
void put_mail(Tasklet* self, PyObject* value) {
  self->tempval.reset();
  self->tempval = Object::share(value);
}

bool trapped(Scheduler* s) {
  if ((s->attention & (Scheduler::trap | Scheduler::lock)) != 0) [[unlikely]] {
    if (s->switch_trap != 0) {
      raise(PyExc_RuntimeError, "switch_trap");
    } else {
      raise(PyExc_RuntimeError, "no switch is possible inside a callback or a signal handler");
    }
    return true;
  }
  return false;
}

// Whether the exception is one that the interpreter was asked to raise, too.
bool is_asked_for(PyObject* exception) {
  return Py_IS_TYPE(exception, reinterpret_cast<PyTypeObject*>(runtime->tasklet_exit.get()));
}

// Has the interpreter raise now what it was asked to, and forget it: an exception that is only taken back
// (PyThreadState_SetAsyncExc) leaves 3.11 and 3.12 looking for it ever after (Python/ceval_gil.c,
// _Py_HandlePending).
void raise_asynchronous() {
  Object nothing = Object::steal(PyObject_CallNoArgs(runtime->does_nothing.get()));
}

// Takes what another thread has thrown at the current tasklet; null if there is nothing, or the interpreter
// has raised it meanwhile, or with an exception set by a signal handler.
Object take_thrown(Scheduler* s) {
  s->attention &= ~static_cast<unsigned>(Scheduler::struck);
  Object exception = std::move(s->thrown);
  if (is_asked_for(exception.get())) {
    if (interp::asynchronous_exception(s->ts) != runtime->tasklet_exit.get()) {
      return nullptr;
    }
    raise_asynchronous();
    Object raised = take_exception();
    if (raised && !is_asked_for(raised.get())) {
      restore_exception(std::move(raised));
      return nullptr;
    }
  }
  return exception;
}

bool struck(Scheduler* s) {
  if ((s->attention & Scheduler::struck) == 0) [[likely]] {
    return false;
  }
  Object exception = take_thrown(s);
  if (exception) {
    restore_exception(std::move(exception));
  }
  return PyErr_Occurred() != nullptr;
}

// Whoever runs instead of `next` if there is no stack for that.
Tasklet* next_or_told(Scheduler* s, Tasklet* next) {
  if (prepare(s, next)) [[likely]] {
    return next;
  }
  Object error = take_exception();
  Tasklet* told = innermost_run(s);
  if (told->place != Place::ring) {
    make_runnable(told);
    explode_in(told, std::move(error));
  }
  return told;
}

}  // namespace

bool switch_would_fail(Scheduler* s, Tasklet* next) {
  return struck(s) || (next != s->current && (trapped(s) || !prepare(s, next)));
}

bool giving_way_would_fail(Scheduler* s, Tasklet* next) {
  if (struck(s)) [[unlikely]] {
    return true;
  }
  if (next == s->current) {
    return false;
  }
  if (trapped(s)) {
    return true;
  }
  if (prepare(s, next)) {
    return false;
  }
  if (innermost_run(s) == s->current) {
    return true;
  }
  PyErr_Clear();
  return false;
}

void throw_at_running(Scheduler* s, Object exception) {
  bool asks = is_asked_for(exception.get());
  s->thrown = std::move(exception);
  s->attention |= Scheduler::struck;
  if (asks) {
    PyThreadState_SetAsyncExc(s->thread_id, runtime->tasklet_exit.get());
  }
}

bool may_block(Scheduler* s) {
  Tasklet* self = s->current;
  Tasklet* next = self->next;
  if (next == self) {
    Tasklet* waker = innermost_run(s);
    next = waker == self || is_floating(waker) || is_worth_waiting(s, waker) ? waker : self;
  }
  return !giving_way_would_fail(s, next);
}

void leave_to_successor(Scheduler* s, Object object) {
  s->departed = std::move(object);
  s->duties = true;
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

namespace {

// Notes that the current tasklet blocks deep down its C stack, whose pages the pool then gives back
// when the tasklet has ended. The hot path doesn't look; the pool also trims some unasked.
void note_depth(Tasklet* self) {
  constexpr std::ptrdiff_t deep = 64 * 1024;
  if (self->stack != nullptr) {
    auto* here = static_cast<std::byte*>(__builtin_frame_address(0));
    self->stack->deep = self->stack->deep || self->stack->top() - here > deep;
  }
}

}  // namespace

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

// ---- the life of a tasklet ----------------------------------------------------------------------

namespace {

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

// Whether nobody will notice when the finished tasklet goes: no Python code runs then.
bool goes_unnoticed(Tasklet* tasklet) {
  return Py_IS_TYPE(as_object(tasklet), &TaskletType) && Py_REFCNT(tasklet) == 1 &&
         tasklet->weak_references == nullptr;
}

// Ends the current tasklet; returns who runs next.
Tasklet* finish(Scheduler* s, Tasklet* self, Object exception) {
  if ((s->attention & Scheduler::struck) != 0) [[unlikely]] {
    take_thrown(s).reset();  // it came too late, and isn't meant for the next one
    if (PyErr_Occurred() != nullptr) {
      PyErr_WriteUnraisable(as_object(self));
    }
  }
  Ref<Tasklet> keep = unlink(self);
  Tasklet* next = successor(s, std::move(exception));
  notify_switch(s, self, next);
  if (!s->idle_wanted) {
    s->ring.rotate_to(next);
  }
  self->tempval.reset();
  remove_started(self);
  s->seats.leave(self);
  self->stack = nullptr;
  self->started = self->has_returned = false;
  if (!goes_unnoticed(self)) {
    leave_to_successor(s, Object::steal(keep.release_object()));
  }
  return next;
}

// Makes `arguments` all that is handed to the function itself, what a bound method adds and the values of
// keywords included, and `keywords` the tuple of their names.
bool flatten_arguments(Tasklet* self, PyObject* bound) {
  PyObject* plain = self->arguments.get();
  PyObject* keywords = self->keywords.get();
  Py_ssize_t first = bound != nullptr ? 1 : 0, count = PyTuple_GET_SIZE(plain);
  Py_ssize_t named = keywords != nullptr ? PyDict_GET_SIZE(keywords) : 0;
  Object all = Object::steal(PyTuple_New(first + count + named));
  Object names = Object::steal(PyTuple_New(named));
  if (!all || !names) {
    return false;
  }
  if (bound != nullptr) {
    PyTuple_SET_ITEM(all.get(), 0, Py_NewRef(bound));
  }
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyTuple_SET_ITEM(all.get(), first + i, Py_NewRef(PyTuple_GET_ITEM(plain, i)));
  }
  PyObject *name, *value;
  Py_ssize_t position = 0;
  for (Py_ssize_t i = 0; i < named && PyDict_Next(keywords, &position, &name, &value) != 0; ++i) {
    if (!PyUnicode_Check(name)) {
      return raise(PyExc_TypeError, "keywords must be strings") != nullptr;
    }
    PyTuple_SET_ITEM(names.get(), i, Py_NewRef(name));
    PyTuple_SET_ITEM(all.get(), first + count + i, Py_NewRef(value));
  }
  self->arguments = std::move(all);
  self->keywords = named > 0 ? std::move(names) : Object();
  return true;
}

// Sets the trace and profile functions that the tasklet was given before it started.
void start_tracing(Scheduler* s, const Object& pair) {
  interp::set_profile_function(s->ts, {}, PyTuple_GET_ITEM(pair.get(), 1));
  interp::set_trace_function(s->ts, {}, PyTuple_GET_ITEM(pair.get(), 0));
}

// Calls the tasklet's function. Nothing that it needs may lie on this stack alone, for the frames may
// leave it: so a bound method is taken apart, and the arguments are the tasklet's.
Object call_function(Tasklet* self) {
  if (!claim(self)) {
    return nullptr;
  }
  PyObject* function = self->function.get();
  PyObject* bound = nullptr;
  if (function == nullptr) {
    return raise(PyExc_RuntimeError,
                 "the tasklet is in a channel's snapshot, but its own is missing");
  }
  if (PyMethod_Check(function)) {
    bound = PyMethod_GET_SELF(function);
    function = PyMethod_GET_FUNCTION(function);
  }
  if ((bound != nullptr || self->keywords) && !flatten_arguments(self, bound)) {
    return nullptr;
  }
  PyObject* arguments = self->arguments.get();
  PyObject* names = self->keywords.get();
  Py_ssize_t count = PyTuple_GET_SIZE(arguments) - (names != nullptr ? PyTuple_GET_SIZE(names) : 0);
  return Object::steal(PyObject_Vectorcall(function, &PyTuple_GET_ITEM(arguments, 0),
                                           static_cast<std::size_t>(count), names));
}

// Runs the current tasklet to its end, or whoever has taken its place; returns who runs next.
Tasklet* run_function(Scheduler* s, interp::Frozen* frozen) {
  Object exception;
  Object result = frozen != nullptr ? run_thawed(s, s->current, frozen) : call_function(s->current);
  Tasklet* self = s->current;
  if (!result && is_unwound(s)) {
    return finish_freezing(s, self);
  }
  self->has_returned = true;
  if (!result) {
    exception = uncaught(s);
  }
  result.reset();
  if (self->used_channel) {
    remember_departed(self);
  }
  forget_function(self);
  interp::end(s->ts);
  return finish(s, self, std::move(exception));
}

}  // namespace

// What runs on a tasklet's stack, from its first switch to its last. A successor that has not
// started yet takes the stack over, still hot.
void tasklet_entry() {
  interp::Base base;
  for (;;) {
    Scheduler* s = this_scheduler;
    Tasklet* self = s->current;
    core::Stack* stack = self->stack;
    interp::Frozen* frozen = std::exchange(self->frozen, nullptr);
    Start start;
    if (frozen != nullptr) {
      interp::begin(s->ts, &base, stack, interp::take_context(frozen));
    } else {
      start = std::exchange(self->start, {});
      interp::begin(s->ts, &base, stack, start.context.release());
      self->started = true;
      add_started(self);
    }
    if (s->duties) {
      do_duties(s, self);
    }
    if (start.tracing) {
      start_tracing(s, std::exchange(start.tracing, {}));
    }
    Tasklet* next = run_function(s, frozen);
    s->current = next;
    ++s->switches;
    if (next->parked != nullptr) {
      s->stacks.release(stack);
      update_crowded(s);
      interp::leave_to(next->parked);
    }
    if (next->stack == nullptr) {
      next->stack = stack;
      continue;
    }
    // It was given a stack by somebody who then did not switch to it after all.
    s->stacks.put_back(std::exchange(next->stack, stack));
  }
}

}  // namespace stackless
