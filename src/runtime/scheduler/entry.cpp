// What runs on a tasklet's stack: its life from beginning to end.
#include "runtime/scheduler/decided.hpp"
#include "runtime/scheduler/giving_way.hpp"

#include "runtime/scheduler/callbacks.hpp"
#include "runtime/scheduler/deadlock.hpp"
#include "runtime/scheduler/mounting.hpp"
#include "runtime/scheduler/switching.hpp"
#include "runtime/scheduler/who_runs_next.hpp"

namespace stackless {

namespace {

// Whether nobody will notice when the finished tasklet goes: no Python code runs then.
bool goes_unnoticed(Tasklet* tasklet) {
  return Py_IS_TYPE(as_object(tasklet), &TaskletType) && Py_REFCNT(tasklet) == 1 &&
         tasklet->weak_references == nullptr;
}

// Delivers the exception of a tasklet that ends to the caller of run(), and returns that, if there is an exception.
// Of two for the same one, the later is only reported. Python code may run.
Tasklet* deliver(Scheduler* s, Tasklet* self, Object exception) {
  if (!exception) {
    return nullptr;
  }
  Tasklet* told = innermost_run(s);
  if (told->place == Place::ring && told->tempval && is_bomb(told->tempval.get())) {
    restore_exception(std::move(exception));
    PyErr_WriteUnraisable(as_object(self));
    return nullptr;
  }
  explode_in(s, told, std::move(exception));
  return told;
}

// Ends the current tasklet; returns who runs next.
Tasklet* finish(Scheduler* s, Tasklet* self, Object exception) {
  if ((s->attention & Scheduler::struck) != 0) [[unlikely]] {
    take_thrown(s).reset();  // it came too late, and isn't meant for the next one
    if (PyErr_Occurred() != nullptr) {
      PyErr_WriteUnraisable(as_object(self));
    }
  }
  self->tempval.reset();
  Tasklet* told = deliver(s, self, std::move(exception));
  Ref<Tasklet> keep = unlink(self);
  if (told != nullptr) {
    make_runnable(told);
  }
  Tasklet* next = successor(s, told);
  put_mail(s, self, nullptr);  // what came after the end
  s->left.drop_later(Object::steal(interp::take_context(s->ts)));
  remove_started(self);
  s->stacks.seats.leave(self);
  self->stack = nullptr;
  self->started = self->has_returned = false;
  if (!goes_unnoticed(self)) {
    s->left.drop_later(Object::steal(keep.release_object()));
  }
  check_decision(s);
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
  if (runtime->at_starts) [[unlikely]] {
    auto hook = Object::share(runtime->at_starts.get());  // which may take itself away
    if (!Object::steal(PyObject_CallNoArgs(hook.get()))) {
      return nullptr;
    }
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
    if (s->left.any) {
      do_duties(s, self);
    }
    if (start.tracing) {
      start_tracing(s, std::exchange(start.tracing, {}));
    }
    Tasklet* next = run_function(s, frozen);
    s->current = next;
    ++s->counts.switches;
    if (next->parked != nullptr) {
      s->stacks.pool.release(stack);
      update_crowded(s);
      interp::leave_to(next->parked);
    }
    if (next->stack == nullptr) {
      next->stack = stack;
      continue;
    }
    // It was given a stack by somebody who then did not switch to it after all.
    s->stacks.pool.put_back(std::exchange(next->stack, stack));
  }
}

}  // namespace stackless
