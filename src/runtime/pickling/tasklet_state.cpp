#include "runtime/pickling/tasklet_state.hpp"

#include <string_view>

#include "interp/frames/async_generators.hpp"
#include "interp/freezing/freeze.hpp"
#include "interp/pickling/code_hash.hpp"
#include "interp/pickling/frames.hpp"
#include "interp/pickling/placeholders.hpp"
#include "interp/pickling/wrap.hpp"
#include "object/compat.hpp"
#include "runtime/channel/channel.hpp"
#include "runtime/channel/sending.hpp"
#include "runtime/freezing/freezing.hpp"
#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/deadlock.hpp"
#include "runtime/scheduler/operation.hpp"
#include "runtime/scheduler/scheduler.hpp"
#include "runtime/waiting/wait.hpp"

namespace stackless {

namespace {

// ---- what pickle can't write as it is ------------------------------------------------------------------

}  // namespace

namespace {

// ---- the flag word: the original's bits, and ours above them -------------------------------------------

constexpr int flag_atomic = 4;
constexpr int flag_ignore_nesting = 8;
constexpr int flag_block_trap = 32;
constexpr int flag_zombie = 64;
constexpr int completion_shift = 8;
constexpr int completion_bits = 15;
constexpr int version_shift = 16;

bool is_in_channel(const Tasklet* t) {
  PyObject* owner = t->blocked() ? t->blocked_on->owner() : nullptr;
  return owner != nullptr && is_channel(owner);
}

int flags_of(const Tasklet* t) {
  bool queued = is_in_channel(t);
  int direction = !queued ? 0 : t->sending ? 1 : 3;
  int ours = t->frozen != nullptr ? static_cast<int>(t->completion) << completion_shift |
                                        this_minor_version << version_shift
                                  : 0;
  return direction | (t->atomic ? flag_atomic : 0) | (t->ignore_nesting ? flag_ignore_nesting : 0) |
         (t->block_trap ? flag_block_trap : 0) | (t->zombie ? flag_zombie : 0) | ours;
}

// ---- out -----------------------------------------------------------------------------------------------

enum PickleFlags { preserve_tracing_state = 1, pickle_context = 8 };

// What a tasklet is at one moment: all of this is read before anything of Python is called, which
// may run the tasklet, end it or collect it.
struct Reading {
  int flags = 0;
  Object mail;        // or null
  Object frames;      // a list of tuples, or null if it has frames that can't be taken
  Object exceptions;  // a tuple or None
  Object context;     // or null, as the rest
  Object trace;
  Object profile;
  Object operation;         // of a call that will be made again
  bool is_refused = false;  // it waits in such a call, which can't be
};

// The frames of a tasklet that can't go on elsewhere, as text.
Object frames_as_text(Tasklet* t) {
  Object traceback = Object::steal(PyImport_ImportModule("traceback"));
  Object frame = Object::steal(interp::frame(t->scheduler->ts, t->suspended()));
  if (!frame) {
    return PyErr_Occurred() != nullptr ? Object() : Object::steal(PyList_New(0));
  }
  return traceback
             ? Object::steal(PyObject_CallMethod(traceback.get(), "format_stack", "O", frame.get()))
             : Object();
}

Object list_of(Object item) {
  Object list = item ? Object::steal(PyList_New(1)) : Object();
  if (list) {
    PyList_SET_ITEM(list.get(), 0, item.release());
  }
  return list;
}

// Whether all that is left for a suspended tasklet to do is to end: its function is one of ours in C, which
// returns as soon as it goes on. There is no frame that could be pickled, but one that is about to call
// something that does nothing does the same.
bool is_about_to_end(const Tasklet* t) {
  PyObject* function = t->function.get();
  if (!t->started || function == nullptr || !PyCFunction_Check(function) ||
      PyCFunction_GET_SELF(function) != runtime->module.get() ||
      (t->tempval && is_bomb(t->tempval.get()))) {
    return false;
  }
  std::string_view name = reinterpret_cast<PyCFunctionObject*>(function)->m_ml->ml_name;
  return name == "schedule" || name == "schedule_remove" || name == "sleep";
}

Object start_of(const Tasklet* t) {
  PyObject* arguments = t->arguments ? t->arguments.get() : Py_None;
  PyObject* keywords = t->keywords ? t->keywords.get() : Py_None;
  return Object::steal(PyTuple_Pack(3, t->function.get(), arguments, keywords));
}

// False with an exception set.
bool read_frozen(Tasklet* t, Reading* reading) {
  if (t->completion == Completion::again) {
    reading->operation = t->operation->state(interp::count_operands(t->frozen));
    reading->is_refused = !reading->operation && PyErr_Occurred() == nullptr;
    if (!reading->operation) {
      return reading->is_refused;
    }
  }
  reading->exceptions = Object::steal(interp::handled_exceptions(t->frozen));
  reading->frames = reading->exceptions ? Object::steal(interp::take_apart(t->frozen)) : Object();
  return static_cast<bool>(reading->frames);
}

// False with an exception set.
bool read(Tasklet* t, int pickle_flags, Reading* reading) {
  NoCollection undisturbed;
  reading->flags = flags_of(t);
  reading->mail = Object::share(t->tempval.get());
  reading->exceptions = none();
  if ((pickle_flags & pickle_context) != 0) {
    reading->context = Object::share(context_of(t));
  }
  if ((pickle_flags & preserve_tracing_state) != 0 && t->frozen != nullptr) {
    PyThreadState* ts = t->scheduler->ts;
    reading->trace = Object::share(interp::trace_function(ts, t->suspended()).object);
    reading->profile = Object::share(interp::profile_function(ts, t->suspended()).object);
  }
  if (t->frozen != nullptr && runtime->softswitch) {
    return read_frozen(t, reading);
  }
  if (runtime->softswitch && is_about_to_end(t)) {
    reading->frames = list_of(
        Object::steal(Py_BuildValue("(O()O)", reinterpret_cast<PyObject*>(&PyBool_Type), Py_None)));
    return static_cast<bool>(reading->frames);
  }
  if (!t->started) {
    bool starts = t->function && refusal(t) == nullptr;
    reading->frames = starts ? list_of(start_of(t)) : Object::steal(PyList_New(0));
    return static_cast<bool>(reading->frames);
  }
  return true;
}

// What few have, or what is pickled only if the flags say so: a dictionary or None.
Object options_of(const Reading& reading) {
  Object options = Object::steal(PyDict_New());
  bool failed = !options;
  auto add = [&](const char* name, const Object& value) {
    failed = failed || (value && PyDict_SetItemString(options.get(), name, value.get()) < 0);
  };
  add("context", reading.context);
  add("trace", reading.trace);
  add("profile", reading.profile);
  add("operation", reading.operation);
  if (failed) {
    return nullptr;
  }
  return PyDict_GET_SIZE(options.get()) > 0 ? options : none();
}

// Has the reading be such that pickle can write it. False with an exception set.
bool wrap_all(Reading* reading) {
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(reading->frames.get()); ++i) {
    if (!wrap_items(PyList_GET_ITEM(reading->frames.get(), i))) {
      return false;
    }
  }
  return wrap_deep(reading->exceptions) && wrap_deep(reading->operation);
}

// Why a tasklet that has frames can't be frozen, so that it is pickled to be looked at only; null
// with an exception set, MemoryError if there is no reason.
Object why_not_taken(Tasklet* t) {
  if (!runtime->softswitch) {
    return Object::steal(PyUnicode_FromString("enable_softswitch() is off"));
  }
  Object reason = why_pinned(t);
  if (reason && reason.get() == Py_None) {
    PyErr_NoMemory();
    return nullptr;
  }
  return reason;
}

}  // namespace

namespace {

// Freezes the tasklet if it can be frozen and is to be, with nothing left to do that calls Python
// before its frames are read. False with an exception set.
bool freeze_to_read(Tasklet* t) {
  while (t->started && runtime->softswitch && freeze_tasklet(t) && !interp::hash_codes(t->frozen)) {
    if (PyErr_Occurred() != nullptr) {
      return false;
    }
  }
  return true;
}

}  // namespace

Object reduce_tasklet(Tasklet* t) {
  Scheduler* s = scheduler();
  Object attributes = s != nullptr ? attributes_of(as_object(t), &TaskletType) : Object();
  if (!attributes) {
    return nullptr;
  }
  if (!freeze_to_read(t)) {
    return nullptr;
  }
  if (t->scheduler->ts != nullptr && t->scheduler->current == t) {
    return raise(PyExc_RuntimeError, "You cannot __reduce__ the tasklet which is current.");
  }
  if (t->is_main) {
    return raise(PyExc_RuntimeError, "a main tasklet can't be pickled: it is its thread");
  }
  Reading reading;
  Object reason = refusal(t) != nullptr ? Object::share(refusal(t)) : none();
  if (!read(t, s->pickle_flags, &reading)) {
    return nullptr;
  }
  if (reading.is_refused) {
    const char* where = t->operation->place();
    Object place = place_of(t);
    return raise(PyExc_TypeError, "cannot pickle a tasklet that waits %s%U", where, place.get());
  }
  if (!reading.frames) {
    reason = why_not_taken(t);
    reading.frames = reason ? frames_as_text(t) : Object();
  } else if (!wrap_all(&reading)) {
    return nullptr;
  }
  Object options = reading.frames ? options_of(reading) : Object();
  Object mail = options ? wrapped(reading.mail ? reading.mail.get() : Py_None) : Object();
  if (!mail) {
    return nullptr;
  }
  return Object::steal(Py_BuildValue("O()(iOiOOOOO)", Py_TYPE(as_object(t)), reading.flags,
                                     mail.get(), reason.get() == Py_None ? 0 : 1,
                                     reading.frames.get(), reading.exceptions.get(), options.get(),
                                     attributes.get(), reason.get()));
}

// ---- back ----------------------------------------------------------------------------------------------

namespace {

bool set_options(Tasklet* t, PyObject* options) {
  if (options == Py_None) {
    return true;
  }
  if (!PyDict_CheckExact(options)) {
    return raise(PyExc_TypeError, "a tasklet's options are a dictionary") != nullptr;
  }
  PyThreadState* ts = t->scheduler->ts;
  if (PyObject* context = PyDict_GetItemString(options, "context")) {
    if (!PyContext_CheckExact(context)) {
      return raise(PyExc_TypeError, "a tasklet's context is a contextvars.Context") != nullptr;
    }
    replace_context(t, Object::share(context));
  }
  PyObject* trace = PyDict_GetItemString(options, "trace");
  PyObject* profile = PyDict_GetItemString(options, "profile");
  bool traced = t->started && (trace != nullptr || profile != nullptr);
  return !traced ||
         ((trace == nullptr || interp::set_trace_function(ts, t->suspended(), trace) == 0) &&
          (profile == nullptr || interp::set_profile_function(ts, t->suspended(), profile) == 0));
}

}  // namespace

namespace {

bool set_unstarted(Tasklet* t, PyObject* entry) {
  PyObject *function, *arguments, *keywords;
  if (!PyTuple_CheckExact(entry) ||
      !PyArg_ParseTuple(entry, "OOO:tasklet", &function, &arguments, &keywords)) {
    return raise(PyExc_ValueError, "the snapshot is damaged: a tasklet has no function") != nullptr;
  }
  return bind_tasklet(t, interp::look_through(function), arguments, keywords) == 0;
}

bool set_frames(Tasklet* t, int flags, PyObject* frames, PyObject* exceptions, PyObject* options) {
  int completion = flags >> completion_shift & completion_bits;
  if (completion == 0) {
    if (PyList_GET_SIZE(frames) > 1) {
      return raise(PyExc_ValueError, "the snapshot is damaged: a tasklet stands nowhere") !=
             nullptr;
    }
    return PyList_GET_SIZE(frames) == 0 || set_unstarted(t, PyList_GET_ITEM(frames, 0));
  }
  int version = flags >> version_shift;
  if (version != this_minor_version) {
    return raise(
               PyExc_ValueError,
               "the snapshot was made by Python 3.%d; this is Python 3.%d, which has other frames",
               version, this_minor_version) != nullptr;
  }
  PyObject* operation =
      PyDict_CheckExact(options) ? PyDict_GetItemString(options, "operation") : nullptr;
  bool again = completion == static_cast<int>(Completion::again);
  if (completion > static_cast<int>(Completion::again) || again != (operation != nullptr)) {
    return raise(PyExc_ValueError, "the snapshot is damaged: a tasklet waits for nothing") !=
           nullptr;
  }
  Object operands = again ? restore_sequence(t, operation) : Object();
  if (again && !operands) {
    return false;
  }
  // What has been started as a tasklet is a function, and no generator; put_together() sees to all
  // the rest.
  PyObject* outermost = PyList_GET_SIZE(frames) > 0 ? PyList_GET_ITEM(frames, 0) : Py_None;
  PyObject* function = PyTuple_CheckExact(outermost) && PyTuple_GET_SIZE(outermost) > 0
                           ? interp::look_through(PyTuple_GET_ITEM(outermost, 0))
                           : Py_None;
  if (interp::is_generator(function)) {
    raise(PyExc_ValueError, "the snapshot is damaged: a tasklet's first frame is a generator's");
  } else {
    t->frozen = interp::put_together(frames, exceptions, operands.get());
  }
  if (t->frozen == nullptr) {
    drop_operation(t);
    return false;
  }
  t->completion = static_cast<Completion>(completion);
  t->function = Object::share(function);
  t->start = {};
  t->started = true;
  add_started(t);
  return true;
}

bool is_blank(const Tasklet* t) {
  return !t->started && !t->function && !t->is_main &&
         (t->place == Place::nowhere || is_in_channel(t)) && t->scheduler->ts != nullptr;
}

}  // namespace

bool restore_tasklet(Tasklet* t, PyObject* state) {
  int flags, nesting_level;
  PyObject *mail, *frames, *exceptions, *options, *attributes, *reason;
  if (!PyTuple_Check(state)) {
    return raise(PyExc_TypeError, "a tasklet's state is a tuple") != nullptr;
  }
  if (!PyArg_ParseTuple(state, "iOiO!OOOO:tasklet", &flags, &mail, &nesting_level, &PyList_Type,
                        &frames, &exceptions, &options, &attributes, &reason)) {
    return false;
  }
  if (!is_blank(t)) {
    return raise(PyExc_RuntimeError, "only a tasklet that is not bound can be given a state") !=
           nullptr;
  }
  if (reason != Py_None && !PyUnicode_Check(reason)) {
    return raise(PyExc_TypeError, "the reason why a tasklet can't go on is a string") != nullptr;
  }
  if (reason != Py_None) {
    Object function = Object::steal(PyCFunction_New(&refuse_function, reason));
    Object arguments = Object::steal(PyTuple_New(0));
    if (!function || !arguments || bind_tasklet(t, function.get(), arguments.get(), nullptr) < 0) {
      return false;
    }
  } else if (!set_frames(t, flags, frames, exceptions, options)) {
    return false;
  }
  if (mail != Py_None) {
    t->tempval = Object::share(interp::look_through(mail));
  }
  t->atomic = (flags & flag_atomic) != 0;
  t->ignore_nesting = (flags & flag_ignore_nesting) != 0;
  t->block_trap = (flags & flag_block_trap) != 0;
  return set_options(t, options) && set_attributes(as_object(t), attributes);
}

// ---- what stackless._wrap calls --------------------------------------------------------------------------

namespace {

PyObject* generator_state(PyObject*, PyObject* generator) {
  if (!interp::is_generator(generator)) {
    return raise(PyExc_TypeError, "a generator is needed");
  }
  Object state = Object::steal(interp::generator_state(generator));
  if (!state) {
    return nullptr;
  }
  PyObject* entry = PyTuple_GET_ITEM(state.get(), 0);
  bool complete = (!PyTuple_CheckExact(entry) || wrap_items(entry)) && wrap_items(state.get());
  return complete ? state.release() : nullptr;
}

PyObject* restore_hooks(PyObject* generator, PyObject* hooks) {
  Object module = Object::steal(PyImport_ImportModule("stackless._wrap"));
  return module ? PyObject_CallMethod(module.get(), "restore_hooks", "OO", generator, hooks)
                : nullptr;
}

PyObject* set_hooks(PyObject*, PyObject* args) {
  PyObject *generator, *finalizer;
  if (!PyArg_ParseTuple(args, "O!O", &PyAsyncGen_Type, &generator, &finalizer)) {
    return nullptr;
  }
  interp::set_hooks(generator, finalizer != Py_None ? finalizer : nullptr);
  Py_RETURN_NONE;
}

PyObject* generator_function(PyObject*, PyObject* generator) {
  if (!interp::is_generator(generator)) {
    return raise(PyExc_TypeError, "a generator is needed");
  }
  PyObject* function = interp::function_in_generator(generator);
  return Py_NewRef(function != nullptr ? function : Py_None);
}

PyObject* code_hash(PyObject*, PyObject* code) {
  if (!PyCode_Check(code)) {
    return raise(PyExc_TypeError, "a code object is needed");
  }
  std::int32_t hash = interp::code_hash(reinterpret_cast<PyCodeObject*>(code));
  return hash != 0 ? PyLong_FromLong(hash) : nullptr;
}

PyObject* traceback_frame(PyObject*, PyObject* args) {
  PyObject *code, *globals, *back;
  if (!PyArg_ParseTuple(args, "O!O!O", &PyCode_Type, &code, &PyDict_Type, &globals, &back)) {
    return nullptr;
  }
  if (back != Py_None && !PyFrame_Check(back)) {
    return raise(PyExc_TypeError, "a frame or None is needed");
  }
  return interp::new_frame(PyThreadState_Get(), code, globals, back != Py_None ? back : nullptr);
}

PyObject* wrap_for_pickle(PyObject*, PyObject* object) { return wrap(object); }

}  // namespace

void init_pickling() { interp::restore_hooks = restore_hooks; }

PyMethodDef pickling_functions[] = {
    {"_generator_state", generator_state, METH_O,
     "_generator_state($module, generator, /)\n--\n\nReturn what its __setstate__() takes.\n"},
    {"_generator_function", generator_function, METH_O,
     "_generator_function($module, generator, /)\n--\n\nReturn what runs in it, or None.\n"},
    {"_code_hash", code_hash, METH_O,
     "_code_hash($module, code, /)\n--\n\nReturn a hash of what the code does.\n"},
    {"_set_hooks", set_hooks, METH_VARARGS,
     "_set_hooks($module, generator, finalizer, /)\n--\n\n"
     "Have an asynchronous generator take its hooks for called.\n"},
    {"_traceback_frame", traceback_frame, METH_VARARGS,
     "_traceback_frame($module, code, globals, back, /)\n--\n\nReturn a frame that runs nothing.\n"},
    {"_wrapped", wrap_for_pickle, METH_O,
     "_wrapped($module, object, /)\n--\n\nReturn what the object is to be pickled by.\n"},
    {},
};

}  // namespace stackless
