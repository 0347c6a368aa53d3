// `with stackless.timeout(seconds):` ends a wait that takes too long.
#include "runtime/timeout.hpp"

#include <new>

#include "runtime/bomb.hpp"
#include "runtime/wait.hpp"

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
// can't eat it and nested blocks can't be confused.
PyObject* interruption_type = nullptr;

constexpr core::Nanoseconds retry = 1'000'000;

void expire(Alarm* alarm, Scheduler* s) {
  Timeout* self = static_cast<TimeoutAlarm*>(alarm)->owner;
  Tasklet* t = self->tasklet.get();
  if (t->scheduler != s || !(t->blocked() || is_run_caller(s, t))) {
    // It is about to run, perhaps with a value in its mailbox: the next wait will do.
    if (t->scheduler == s) {
      set_alarm(s, alarm, core::monotonic_now() + retry);
    }
    return;
  }
  self->interruption = Object::steal(PyObject_CallNoArgs(interruption_type));
  Object bomb = self->interruption ? make_bomb(self->interruption) : Object();
  if (!bomb) {
    PyErr_Clear();
    set_alarm(s, alarm, core::monotonic_now() + retry);
    return;
  }
  t->tempval = std::move(bomb);
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

PyObject* enter(PyObject* object, PyObject*) {
  Timeout* self = as_timeout(object);
  Scheduler* s = scheduler();
  if (s == nullptr) {
    return nullptr;
  }
  if (self->tasklet) {
    return raise(PyExc_RuntimeError, "this timeout is in use already; make one for each block");
  }
  core::Nanoseconds deadline = parse_timeout(self->seconds.get(), "timeout");
  self->interruption.reset();
  self->alarm.fire = expire;
  if (deadline == -2 || (deadline != forever && set_alarm(s, &self->alarm, deadline) < 0)) {
    return nullptr;
  }
  self->tasklet = Ref<Tasklet>::share(s->current);
  self->alarm.sleeper = s->current;
  return Py_NewRef(object);
}

void disarm(Timeout* self) {
  if (self->tasklet) {
    cancel_alarm(self->tasklet->scheduler, &self->alarm);
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

int timeout_traverse(PyObject* object, visitproc visit, void* arg) {
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
        "passed since the block was entered. Blocks nest. Code that never waits is not interrupted.\n\n"
        "Raises TypeError or ValueError for other values, RuntimeError if entered twice at once.\n",
    .tp_traverse = timeout_traverse,
    .tp_clear = timeout_clear,
    .tp_methods = timeout_methods,
    .tp_new = timeout_new,
};

int init_timeout() {
  interruption_type = PyErr_NewException("stackless._Interruption", PyExc_BaseException, nullptr);
  return interruption_type == nullptr ? -1 : 0;
}

}  // namespace stackless
