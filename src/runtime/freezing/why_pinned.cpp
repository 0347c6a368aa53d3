// Why a tasklet can't be frozen, in words.
#include "runtime/freezing/freezing.hpp"

#include "runtime/scheduler/blocking_calls.hpp"
#include "runtime/scheduler/mounting.hpp"

namespace stackless {

namespace {

Object why_not_merged(const Tasklet* t) {
  if (t->scheduler != this_scheduler) {
    return Object::steal(PyUnicode_FromFormat(
        "only its own thread (%lu) can end the C functions that it waits in: do this there",
        t->scheduler->thread_id));
  }
  return Object::steal(PyUnicode_FromString("another tasklet's C functions are being ended"));
}

}  // namespace

std::nullptr_t raise_pinned(Tasklet* t) {
  Object reason = why_pinned(t);
  if (!reason) {
    return nullptr;
  }
  if (reason.get() == Py_None) {
    PyErr_NoMemory();
    return nullptr;
  }
  return raise(PyExc_RuntimeError, "tasklet has C state on its stack: %U", reason.get());
}

namespace {

// What its type says that it is called: an attribute of its own may be another's (functools.lru_cache).
Object name_of_callable(PyObject* callable) {
  static PyObject* attribute = PyUnicode_InternFromString("__qualname__");
  if (PyMethod_Check(callable)) {
    callable = PyMethod_GET_FUNCTION(callable);
  }
  PyTypeObject* type = Py_TYPE(callable);
  PyObject* descriptor = attribute != nullptr ? _PyType_Lookup(type, attribute) : nullptr;
  descrgetfunc get = descriptor != nullptr ? Py_TYPE(descriptor)->tp_descr_get : nullptr;
  Object name = Object::steal(
      get != nullptr ? get(descriptor, callable, reinterpret_cast<PyObject*>(type)) : nullptr);
  if (name && PyUnicode_Check(name.get())) {
    return name;
  }
  PyErr_Clear();
  return Object::steal(PyUnicode_FromString(type->tp_name));
}

Object name_of_instruction(int opcode) {
  Object module = Object::steal(PyImport_ImportModule("opcode"));
  Object names = module ? Object::steal(PyObject_GetAttrString(module.get(), "opname")) : Object();
  return names ? Object::steal(PySequence_GetItem(names.get(), opcode)) : Object();
}

Object name_of_culprit(const interp::PinPlace& place) {
  if (place.callable != nullptr) {
    return name_of_callable(place.callable);
  }
  if (place.iterates != nullptr) {
    return Object::steal(PyUnicode_FromFormat("%s.__next__", place.iterates->tp_name));
  }
  return place.opcode >= 0 ? name_of_instruction(place.opcode)
                           : Object::steal(PyUnicode_FromString("C code"));
}

// "sorted, called at shop.py:88 in checkout"
Object describe(const interp::PinPlace& place) {
  Object name = name_of_culprit(place);
  if (!name) {
    return nullptr;
  }
  return Object::steal(PyUnicode_FromFormat("%U, called at %U:%d in %U", name.get(),
                                            place.code->co_filename, place.line,
                                            place.code->co_qualname));
}

Object because(const char* format, const Object& detail) {
  return detail ? Object::steal(PyUnicode_FromFormat(format, detail.get())) : Object();
}

}  // namespace

Object why_pinned(Tasklet* t) {
  Scheduler* home = t->scheduler;
  if (PyObject* reason = refusal(t)) {
    return Object::share(reason);
  }
  if (!t->started || t->frozen != nullptr) {
    return none();
  }
  if (home->ts == nullptr) {
    return Object::steal(PyUnicode_FromString("its thread has ended, and its C stack with it"));
  }
  bool running = home->current == t;
  if (t->is_main || running || t->parked == nullptr) {
    return Object::steal(
        PyUnicode_FromString(t->is_main ? "it is a main tasklet" : "it is running"));
  }
  interp::Halt halt;
  interp::Pin pin = interp::find_halt(home->ts, t->parked, &halt);
  bool is_known = pin == interp::Pin::none && completion_of(t, &halt) != Completion::none;
  if (pin == interp::Pin::none && !is_known && halt.function != nullptr) {
    return Object::steal(PyUnicode_FromFormat(
        "it waits in %s(), which keeps something on the C stack", halt.function->ml_name));
  }
  if (pin == interp::Pin::memory) {
    return Object::steal(PyErr_NoMemory());
  }
  if (pin == interp::Pin::tool) {
    return Object::steal(PyUnicode_FromString("a profiler waits for the end of a call"));
  }
  interp::PinPlace place = interp::find_pin(home->ts, t->parked);
  Object function = t->function;
  if (!is_known && place.code != nullptr) {
    if (place.callable != nullptr && Py_REFCNT(place.callable) == 0) {
      place.callable = nullptr;  // what has been called is being destroyed, and that waits
    }
    // Who is asked for a name may run the tasklet.
    Object code = Object::share(reinterpret_cast<PyObject*>(place.code)),
           callable = Object::share(place.callable),
           type = Object::share(reinterpret_cast<PyObject*>(place.iterates));
    return because("C code is in the way: %U", describe(place));
  }
  if (is_known && is_own(t, halt.outermost)) {
    return halt.merges && !can_merge(t) ? why_not_merged(t) : none();
  }
  if (t->has_returned || !function || PyFunction_Check(function.get())) {
    return Object::steal(
        PyUnicode_FromString("its function has ended, and C code drops what that has left"));
  }
  return because("it was started through C code: %U", name_of_callable(function.get()));
}

namespace {

// A tasklet that can't go on runs this, and so raises.
PyObject* refuse(PyObject* reason, PyObject*) {
  return raise(PyExc_RuntimeError, "cannot execute invalid frame with C code in between: %U",
               reason);
}

}  // namespace

PyMethodDef refuse_function = {"cannot_go_on", refuse, METH_NOARGS, nullptr};

PyObject* refusal(const Tasklet* t) {
  PyObject* function = t->function.get();
  bool refuses = function != nullptr && PyCFunction_CheckExact(function) &&
                 reinterpret_cast<PyCFunctionObject*>(function)->m_ml == &refuse_function;
  return refuses ? PyCFunction_GET_SELF(function) : nullptr;
}
}  // namespace stackless
