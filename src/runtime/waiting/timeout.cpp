// `with stackless.timeout(seconds):` ends a wait that takes too long.
#include "runtime/waiting/timeout.hpp"

#include <algorithm>
#include <new>

#include "interp/pickling/placeholders.hpp"
#include "interp/pickling/wrap.hpp"
#include "object/arguments.hpp"
#include "runtime/scheduler/alarms.hpp"
#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/giving_way.hpp"
#include "runtime/waiting/wait.hpp"

namespace stackless {

namespace {

struct Timeout;

struct TimeoutAlarm : Alarm {
  Timeout* owner = nullptr;
};

struct Timeout {
  PyObject_HEAD
  TimeoutAlarm alarm;
  Object seconds;        // as given: a number or None
  Ref<Tasklet> tasklet;  // who is inside the block
  Object interruption;   // what was thrown at it, if it took too long
};

Timeout* as_timeout(PyObject* object) { return reinterpret_cast<Timeout*>(object); }

// What is thrown: a BaseException that only its own block knows, so that `except Exception` inside
// can't eat it and nested blocks can't be confused. In the module for pickle to find it.
PyObject* interruption_type = nullptr;

void expire(Alarm* alarm, Scheduler* s) {
  Timeout* self = static_cast<TimeoutAlarm*>(alarm)->owner;
  Tasklet* t = self->tasklet.get();
  if (!(t->blocked() || is_run_caller(s, t))) {
    // It is paused, or about to run, perhaps with a value in its mailbox: the next wait will do.
    postpone_alarm(alarm);
    return;
  }
  s->left.drop_later(
      std::exchange(self->interruption, Object::steal(PyObject_CallNoArgs(interruption_type))));
  Object bomb = self->interruption ? make_bomb(self->interruption) : Object();
  if (!bomb) {
    PyErr_Clear();  // no memory: soon there may be some
    constexpr core::Nanoseconds soon = 1'000'000;
    s->sleep.timers.push(alarm, core::monotonic_now() + soon);
    return;
  }
  put_mail(s, t, std::move(bomb));
  make_runnable(t);
}

PyObject* timeout_new(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"seconds", nullptr};
  PyObject* seconds;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O:timeout", const_cast<char**>(names),
                                   &seconds) ||
      parse_timeout(seconds, "timeout") == -2) {
    return nullptr;
  }
  PyObject* self = type->tp_alloc(type, 0);
  if (self != nullptr) {
    new (&as_timeout(self)->alarm) TimeoutAlarm();
    as_timeout(self)->alarm.owner = as_timeout(self);
    as_timeout(self)->seconds = Object::share(seconds);
  }
  return self;
}

bool is_free(const Timeout* self) {
  if (self->tasklet) {
    raise(PyExc_RuntimeError, "this timeout is in use already; make one for each block");
  }
  return !self->tasklet;
}

// Has the tasklet be inside the block, until the deadline; false with an exception set.
bool start(Timeout* self, Tasklet* tasklet, core::Nanoseconds deadline) {
  self->alarm.fire = expire;
  if (!carry_alarm(tasklet, &self->alarm, deadline)) {
    return false;
  }
  self->tasklet = Ref<Tasklet>::share(tasklet);
  return true;
}

PyObject* enter(PyObject* object, PyObject*) {
  Timeout* self = as_timeout(object);
  Scheduler* s = scheduler();
  if (s == nullptr || !is_free(self)) {
    return nullptr;
  }
  core::Nanoseconds deadline = parse_timeout(self->seconds.get(), "timeout");
  self->interruption.reset();
  return deadline != -2 && start(self, s->current, deadline) ? Py_NewRef(object) : nullptr;
}

void disarm(Timeout* self) {
  if (self->tasklet) {
    drop_alarm(&self->alarm);
    self->tasklet.reset();
  }
}

PyObject* leave(PyObject* object, PyObject* const* args, Py_ssize_t nargs) {
  Timeout* self = as_timeout(object);
  disarm(self);
  Object interruption = std::move(self->interruption);
  if (nargs != 3 || !interruption || args[1] != interruption.get()) {
    Py_RETURN_FALSE;
  }
  Object message =
      Object::steal(PyUnicode_FromFormat("timed out after %S seconds", self->seconds.get()));
  Object error =
      message ? Object::steal(PyObject_CallOneArg(PyExc_TimeoutError, message.get())) : Object();
  if (!error) {
    return nullptr;
  }
  // Where it waited is worth knowing; that a private exception carried it is not.
  if (args[2] != Py_None) {
    PyException_SetTraceback(error.get(), args[2]);
  }
  PyObject_SetAttrString(error.get(), "__suppress_context__", Py_True);
  restore_exception(std::move(error));
  return nullptr;
}

// ---- pickling ------------------------------------------------------------------------------------------

// What remains of it, in seconds; None if it has no limit, or has run out.
Object seconds_left(const Timeout* self) {
  if (!self->alarm.armed() && !self->alarm.overdue) {
    return none();
  }
  core::Nanoseconds left = std::max(self->alarm.deadline - core::monotonic_now(), {});
  return Object::steal(PyFloat_FromDouble(static_cast<double>(left) / 1e9));
}

// The state is (seconds left, who is inside the block, what was thrown at it), or None outside of a block.
PyObject* timeout_reduce(PyObject* object, PyObject*) {
  Timeout* self = as_timeout(object);
  if (!self->tasklet) {
    return Py_BuildValue("O(O)", &TimeoutType, self->seconds.get());
  }
  // wrapped() calls Python, which may leave the block.
  Object left = seconds_left(self), tasklet = Object::share(self->tasklet.object()),
         interruption = Object::share(self->interruption.get());
  Object thrown = left ? interruption ? wrapped(interruption.get()) : none() : Object();
  return thrown ? Py_BuildValue("O(O)(OOO)", &TimeoutType, self->seconds.get(), left.get(),
                                tasklet.get(), thrown.get())
                : nullptr;
}

PyObject* timeout_set_state(PyObject* object, PyObject* state) {
  Timeout* self = as_timeout(object);
  PyObject *left, *tasklet, *thrown;
  if (!PyTuple_Check(state)) {
    return raise(PyExc_TypeError, "a timeout's state is a tuple");
  }
  if (!PyArg_ParseTuple(state, "OO!O:timeout", &left, &TaskletType, &tasklet, &thrown)) {
    return nullptr;
  }
  thrown = interp::look_through(thrown);
  if (thrown != Py_None &&
      !Py_IS_TYPE(thrown, reinterpret_cast<PyTypeObject*>(interruption_type))) {
    return raise(PyExc_TypeError, "what a timeout throws is an exception of its own");
  }
  core::Nanoseconds deadline = parse_timeout(left, "what is left of a timeout");
  if (deadline == -2 || !is_free(self) || !start(self, as_tasklet(tasklet), deadline)) {
    return nullptr;
  }
  self->interruption = thrown != Py_None ? Object::share(thrown) : Object();
  Py_RETURN_NONE;
}

int timeout_traverse(PyObject* object, visitproc visit, void* arg) {
  Py_VISIT(as_timeout(object)->seconds.get());
  Py_VISIT(as_timeout(object)->tasklet.get());
  Py_VISIT(as_timeout(object)->interruption.get());
  return 0;
}
int timeout_clear(PyObject* object) {
  disarm(as_timeout(object));
  as_timeout(object)->interruption.reset();
  return 0;
}
void timeout_dealloc(PyObject* object) {
  PyObject_GC_UnTrack(object);
  timeout_clear(object);
  as_timeout(object)->seconds.reset();
  Py_TYPE(object)->tp_free(object);
}

PyMethodDef timeout_methods[] = {
    {"__enter__", enter, METH_NOARGS, "__enter__($self, /)\n--\n\nStart the clock.\n"},
    {"__exit__", method(leave), METH_FASTCALL,
     "__exit__($self, /, *exc_info)\n--\n\nStop it; raise TimeoutError if it had run out.\n"},
    {"__reduce__", timeout_reduce, METH_NOARGS,
     "__reduce__($self, /)\n--\n\n"
     "Return what pickle and copy need: inside its block, the seconds that are left and the tasklet.\n"},
    {"__setstate__", timeout_set_state, METH_O,
     "__setstate__($self, state, /)\n--\n\n"
     "Be inside the block that __reduce__() has told of; the rest of the time runs from now on.\n\n"
     "Raises TypeError or ValueError for a damaged state, RuntimeError if it is in use.\n"},
    {},
};

}  // namespace

PyTypeObject TimeoutType = {
    .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
    .tp_name = "stackless.timeout",
    .tp_basicsize = sizeof(Timeout),
    .tp_dealloc = timeout_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc =
        "timeout(seconds)\n--\n\n"
        "A context manager that raises TimeoutError in its block, at whatever the tasklet waits for\n"
        "(a channel, a socket, a sleep), once `seconds` (a non-negative number; None for no limit) have\n"
        "passed since the block was entered. Blocks nest. Code that never waits is not interrupted.\n"
        "A tasklet inside the block can be pickled: the rest of the time runs from unpickling.\n\n"
        "Raises TypeError or ValueError for other values, RuntimeError if entered twice at once.\n",
    .tp_traverse = timeout_traverse,
    .tp_clear = timeout_clear,
    .tp_methods = timeout_methods,
    .tp_new = timeout_new,
};

int init_timeout(PyObject* module) {
  interruption_type =
      PyErr_NewException("stackless._stackless._Interruption", PyExc_BaseException, nullptr);
  return interruption_type != nullptr
             ? PyModule_AddObjectRef(module, "_Interruption", interruption_type)
             : -1;
}

}  // namespace stackless
