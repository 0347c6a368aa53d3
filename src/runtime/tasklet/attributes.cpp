// The attributes of tasklet.
#include "runtime/channel/channel.hpp"
#include "runtime/freezing/freezing.hpp"
#include "runtime/pickling/tasklet_state.hpp"
#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/giving_way.hpp"
#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

namespace {

bool is_current(const Tasklet* t) {
  return t->scheduler->ts != nullptr && t->scheduler->current == t;
}

// Whether the tasklet has frames that can be looked at.
bool has_frames(const Tasklet* t) {
  return t->scheduler->ts != nullptr && t->started &&
         (is_current(t) || t->parked != nullptr || t->frozen != nullptr);
}

bool is_python_function(PyObject* function) {
  return PyFunction_Check(function) ||
         (PyMethod_Check(function) && PyFunction_Check(PyMethod_GET_FUNCTION(function)));
}

// A method of ours that a tasklet runs without any Python frame, channel.receive for one.
bool is_our_method(PyObject* function) {
  PyObject* owner = PyCFunction_Check(function) ? PyCFunction_GET_SELF(function) : nullptr;
  if (owner == nullptr) {
    return false;
  }
  // The module's private functions stand for foreign C code in tests.
  const char* name = reinterpret_cast<PyCFunctionObject*>(function)->m_ml->ml_name;
  return is_channel(owner) || is_tasklet(owner) ||
         (owner == runtime->module.get() && name[0] != '_');
}

bool has_called_run(const Tasklet* t) {
  PyObject* callers = t->scheduler->runs.callers.get();
  return PySequence_Contains(callers, as_object(const_cast<Tasklet*>(t))) == 1;
}

// How often C code stands between Python frames on its C stack, beneath or above them: what can't be frozen,
// or if the profile is hard, any.
int nesting_level(const Tasklet* t) {
  if (!has_frames(t)) {
    return t->started ? 1 : 0;  // what is left of one whose thread has ended is its C stack
  }
  bool hard = runtime->profile == Profile::hard || !runtime->softswitch;
  PyThreadState* ts = t->scheduler->ts;
  int loops = interp::loops(ts, state_of(t));
  int between = hard ? (loops > 0 ? loops - 1 : 0) : interp::pins(ts, state_of(t));
  PyObject* function = t->function.get();
  bool direct = function == nullptr || is_python_function(function);
  int level = between + (direct || loops == 0 ? 0 : 1);
  if (level > 0 || is_current(t)) {
    return level;
  }
  bool foreign = loops == 0 && function != nullptr && !is_our_method(function);
  return hard || foreign || has_called_run(t) || (loops > 0 && is_pinned(t)) ? 1 : 0;
}

template <bool (*predicate)(const Tasklet*)>
PyObject* get_bool(PyObject* self, void*) {
  return PyBool_FromLong(predicate(as_tasklet(self)) ? 1 : 0);
}

bool is_paused(const Tasklet* t) { return alive(t) && !t->scheduled(); }
bool is_blocked(const Tasklet* t) { return t->blocked(); }
bool is_scheduled(const Tasklet* t) { return t->scheduled(); }
bool is_restorable(const Tasklet* t) {
  if (t->started && t->scheduler->ts == nullptr) {
    return false;  // its C stack died with its thread
  }
  return nesting_level(t) == 0 && refusal(t) == nullptr && !is_left_to_its_thread(t);
}
bool is_atomic(const Tasklet* t) { return t->atomic; }
bool ignores_nesting(const Tasklet* t) { return t->ignore_nesting; }
bool is_main_tasklet(const Tasklet* t) { return t->is_main && t->scheduler->ts != nullptr; }
bool traps_blocking(const Tasklet* t) { return t->block_trap; }

int set_block_trap(PyObject* self, PyObject* value, void*) {
  if (value == nullptr || !PyLong_Check(value)) {
    raise(PyExc_TypeError, "block_trap must be set to a bool or integer");
    return -1;
  }
  as_tasklet(self)->block_trap = PyObject_IsTrue(value) == 1;
  return 0;
}

PyObject* get_nesting_level(PyObject* self, void*) {
  return PyLong_FromLong(nesting_level(as_tasklet(self)));
}

PyObject* get_recursion_depth(PyObject* self, void*) {
  Tasklet* t = as_tasklet(self);
  return PyLong_FromLong(has_frames(t) ? interp::depth(t->scheduler->ts, state_of(t)) : 0);
}

// The neighbours: in a ring it has always some; in a queue none at the ends.
PyObject* neighbour(Tasklet* other) {
  return Py_NewRef(other != nullptr ? as_object(other) : Py_None);
}
PyObject* get_next(PyObject* self, void*) { return neighbour(as_tasklet(self)->next); }
PyObject* get_prev(PyObject* self, void*) { return neighbour(as_tasklet(self)->prev); }

PyObject* get_frame(PyObject* self, void*) {
  Tasklet* t = as_tasklet(self);
  if (!has_frames(t)) {
    Py_RETURN_NONE;
  }
  // Another thread's running tasklet: its topmost frame is that thread's.
  PyObject* frame = interp::frame(t->scheduler->ts, state_of(t));
  if (frame == nullptr && !PyErr_Occurred()) {
    Py_RETURN_NONE;
  }
  return frame;
}

PyObject* get_thread_id(PyObject* self, void*) {
  Scheduler* home = as_tasklet(self)->scheduler;
  return home->ts == nullptr ? PyLong_FromLong(-1) : PyLong_FromUnsignedLong(home->thread_id);
}

PyObject* get_tempval(PyObject* self, void*) {
  PyObject* mail = as_tasklet(self)->tempval.get();
  return Py_NewRef(mail != nullptr ? mail : Py_None);
}
int set_tempval(PyObject* self, PyObject* value, void*) {
  Object replaced =
      std::exchange(as_tasklet(self)->tempval, Object::share(value == Py_None ? nullptr : value));
  return 0;
}

PyObject* get_channel(PyObject* self, void*) {
  Tasklet* t = as_tasklet(self);
  PyObject* owner = t->blocked() ? t->blocked_on->owner() : nullptr;
  return Py_NewRef(owner != nullptr && is_channel(owner) ? owner : Py_None);
}

PyObject* get_context_id(PyObject* self, void*) {
  Tasklet* t = as_tasklet(self);
  if (t->started && t->frozen == nullptr && !has_frames(t)) {
    return PyLong_FromLong(0);  // left on a C stack by a thread that is gone
  }
  if (context_of(t) == nullptr) {
    Object context = Object::steal(PyContext_New());
    if (!context) {
      return nullptr;
    }
    replace_context(t, std::move(context));
  }
  return PyLong_FromVoidPtr(context_of(t));
}

// ---- tracing --------------------------------------------------------------------------------------

using Get = interp::TraceFunction (*)(PyThreadState*, interp::Suspended) noexcept;
using Set = int (*)(PyThreadState*, interp::Suspended, PyObject*);

// Its place in the pair that a tasklet keeps until it starts.
enum : Py_ssize_t { trace_slot = 0, profile_slot = 1 };

template <Get get, Py_ssize_t slot>
PyObject* get_tracing(PyObject* self, void*) {
  Tasklet* t = as_tasklet(self);
  PyObject* function = nullptr;
  if (has_frames(t)) {
    function = get(t->scheduler->ts, state_of(t)).object;
  } else if (!t->started && t->start.tracing) {
    function = PyTuple_GET_ITEM(t->start.tracing.get(), slot);
  }
  return Py_NewRef(function != nullptr ? function : Py_None);
}

template <Set set, Py_ssize_t slot>
int set_tracing(PyObject* self, PyObject* value, void* what) {
  Tasklet* t = as_tasklet(self);
  if (value == nullptr) {
    value = Py_None;
  }
  if (!has_frames(t)) {
    Object& tracing = t->start.tracing;
    if (value == Py_None && (t->started || !tracing)) {
      return 0;
    }
    if (t->started || !alive(t)) {
      raise(PyExc_RuntimeError, "tasklet is not alive");
      return -1;
    }
    Object other = tracing ? Object::share(PyTuple_GET_ITEM(tracing.get(), 1 - slot)) : none();
    tracing = Object::steal(slot == trace_slot ? PyTuple_Pack(2, value, other.get())
                                               : PyTuple_Pack(2, other.get(), value));
    return tracing ? 0 : -1;
  }
  if (is_current(t) && t->scheduler != scheduler()) {
    PyErr_Format(PyExc_RuntimeError,
                 "You cannot set the %s function of the current tasklet of another thread",
                 static_cast<const char*>(what));
    return -1;
  }
  return set(t->scheduler->ts, state_of(t), value);
}

char trace[] = "trace";
char profile[] = "profile";

}  // namespace

PyGetSetDef tasklet_attributes[] = {
    {"alive", get_bool<alive>, nullptr,
     "Whether the tasklet is bound with arguments and has not finished, on a living thread.",
     nullptr},
    {"paused", get_bool<is_paused>, nullptr,
     "Whether it is alive, but neither runnable nor blocked.", nullptr},
    {"blocked", get_bool<is_blocked>, nullptr,
     "Whether it waits: in a channel's queue, for I/O or for time.", nullptr},
    {"scheduled", get_bool<is_scheduled>, nullptr, "Whether it is runnable or blocked.", nullptr},
    {"restorable", get_bool<is_restorable>, nullptr,
     "Whether it can be frozen, as far as its frames go (nesting_level is 0).", nullptr},
    {"atomic", get_bool<is_atomic>, nullptr, "What set_atomic() has set.", nullptr},
    {"ignore_nesting", get_bool<ignores_nesting>, nullptr, "What set_ignore_nesting() has set.",
     nullptr},
    {"is_main", get_bool<is_main_tasklet>, nullptr, "Whether it is its thread's main tasklet.",
     nullptr},
    {"is_current", get_bool<is_current>, nullptr,
     "Whether it is the tasklet that its thread is running.", nullptr},
    {"block_trap", get_bool<traps_blocking>, set_block_trap,
     "While true, an operation that would block the tasklet raises RuntimeError.", nullptr},
    {"nesting_level", get_nesting_level, nullptr,
     "How often C code that can't be frozen stands on its C stack; in the hard profile, any C code.",
     nullptr},
    {"recursion_depth", get_recursion_depth, nullptr,
     "The number of its Python frames; 0 before it starts and after it ends.", nullptr},
    {"next", get_next, nullptr, "Its successor in the run queue or channel queue, or None.",
     nullptr},
    {"prev", get_prev, nullptr, "Its predecessor in the run queue or channel queue, or None.",
     nullptr},
    {"frame", get_frame, nullptr, "Its topmost frame, or None.", nullptr},
    {"thread_id", get_thread_id, nullptr, "The ident of its thread; -1 once that has ended.",
     nullptr},
    {"tempval", get_tempval, set_tempval,
     "Its mailbox: what the operation it waits in is going to return.", nullptr},
    {"_channel", get_channel, nullptr, "The channel it is blocked on, or None.", nullptr},
    {"context_id", get_context_id, nullptr, "The id() of the context it runs in.", nullptr},
    {"trace_function", get_tracing<interp::trace_function, trace_slot>,
     set_tracing<interp::set_trace_function, trace_slot>,
     "Its trace function, as sys.gettrace() in it would return.", trace},
    {"profile_function", get_tracing<interp::profile_function, profile_slot>,
     set_tracing<interp::set_profile_function, profile_slot>,
     "Its profile function, as sys.getprofile() in it would return.", profile},
    {},
};

}  // namespace stackless
