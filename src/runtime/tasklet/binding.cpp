// Binding a tasklet to a function, arguments and a context.
#include "runtime/freezing/freezing.hpp"

#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

interp::Suspended state_of(const Tasklet* t) noexcept {
  return t->scheduler->current == t ? interp::Suspended{} : t->suspended();
}

PyObject* context_of(const Tasklet* t) noexcept {
  return t->started ? interp::context(t->scheduler->ts, state_of(t)) : t->start.context.get();
}

void replace_context(Tasklet* t, Object context) {
  if (t->started) {
    interp::set_context(t->scheduler->ts, state_of(t), context.release());
  } else {
    t->start.context = std::move(context);
  }
}

int adopt_context(Tasklet* self) {
  PyObject* current = interp::context(this_scheduler->ts);
  if (current == nullptr) [[likely]] {
    self->start.context.reset();
    return 0;
  }
  Py_ssize_t variables = PyObject_Size(current);
  if (variables < 0) {
    return -1;
  }
  self->start.context = variables == 0 ? Object() : Object::steal(PyContext_Copy(current));
  return variables == 0 || self->start.context ? 0 : -1;
}

namespace {

PyObject* none_to_null(PyObject* object) { return object != Py_None ? object : nullptr; }

int refuse_binding(PyObject* type, const char* message) {
  raise(type, message);
  return -1;
}

// Makes sure that the tasklet can be bound anew: frames that it has are dropped.
int release_for_binding(Tasklet* self) {
  if (!self->started && !self->function && !self->scheduled()) [[likely]] {
    return 0;
  }
  if (self->scheduler->current == self) {
    return refuse_binding(PyExc_RuntimeError, "can't (re)bind the current tasklet");
  }
  if (self->scheduled()) {
    return refuse_binding(PyExc_RuntimeError, "tasklet is scheduled");
  }
  if (self->started && !drop_frames(self)) {
    raise_pinned(self);
    return -1;
  }
  return 0;
}

}  // namespace

int bind_tasklet(Tasklet* self, PyObject* function, PyObject* arguments, PyObject* keywords) {
  function = none_to_null(function);
  arguments = none_to_null(arguments);
  keywords = none_to_null(keywords);
  if (function != nullptr && !PyCallable_Check(function)) {
    return refuse_binding(PyExc_TypeError, "tasklet function must be a callable or None");
  }
  if (arguments != nullptr && !PyTuple_Check(arguments)) {
    return refuse_binding(PyExc_TypeError, "tasklet args must be a tuple or None");
  }
  if (keywords != nullptr && !PyDict_Check(keywords)) {
    return refuse_binding(PyExc_TypeError, "tasklet kwargs must be a dict or None");
  }
  if (release_for_binding(self) < 0) {
    return -1;
  }
  bool with_arguments = arguments != nullptr || keywords != nullptr;
  if (with_arguments && function == nullptr) {
    function = self->function ? self->function.get() : self->tempval.get();
    if (function == nullptr || !PyCallable_Check(function)) {
      return refuse_binding(PyExc_RuntimeError, "the tasklet was not bound to a function");
    }
  }
  if (with_arguments && self->scheduler->ts == nullptr) {
    return refuse_binding(PyExc_RuntimeError, "tasklet has no thread");
  }
  if (function != nullptr && adopt_context(self) < 0) {
    return -1;
  }
  // What the tasklet had is dropped at the end, when all is in place: destructors may look.
  Object old_function =
      std::exchange(self->function, Object::share(with_arguments ? function : nullptr));
  Object old_arguments = std::move(self->arguments);
  Object old_keywords = std::exchange(self->keywords, Object::share(keywords));
  Object old_mail =
      std::exchange(self->tempval, Object::share(with_arguments ? nullptr : function));
  if (!with_arguments) {
    return 0;
  }
  self->arguments = arguments != nullptr ? Object::share(arguments) : Object::steal(PyTuple_New(0));
  return self->arguments ? 0 : -1;
}

int setup_tasklet(Tasklet* self, Object arguments, Object keywords) {
  if (self->started || self->function) {
    raise(PyExc_RuntimeError, "tasklet is alive");
    return -1;
  }
  if (self->scheduler->ts == nullptr) {
    raise(PyExc_RuntimeError, "tasklet has no thread");
    return -1;
  }
  if (!self->tempval || !PyCallable_Check(self->tempval.get())) {
    raise(PyExc_RuntimeError, "the tasklet was not bound to a function");
    return -1;
  }
  self->function = Object::steal(self->tempval.release());
  Object old_arguments = std::exchange(self->arguments, std::move(arguments));
  Object old_keywords = std::exchange(self->keywords, std::move(keywords));
  if (self->place == Place::nowhere) {
    insert(self);
  }
  return 0;
}

}  // namespace stackless
