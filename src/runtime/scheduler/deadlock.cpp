#include "runtime/scheduler/deadlock.hpp"

#include "runtime/scheduler/blocker.hpp"

namespace stackless {

namespace {

// A report must not fail for the sake of a detail: what can't be had is left out.
Object or_unknown(Object text) {
  if (!text) {
    PyErr_Clear();
    text = Object::steal(PyUnicode_FromString("?"));
  }
  return text;
}

Object name_of(PyObject* function) {
  if (function == nullptr) {
    return or_unknown(nullptr);
  }
  Object name = Object::steal(PyObject_GetAttrString(function, "__qualname__"));
  if (!name) {
    PyErr_Clear();
    name = Object::steal(PyObject_Repr(function));
  }
  return or_unknown(std::move(name));
}

// "tasklet 7 'worker'"
Object describe(Tasklet* tasklet) {
  if (tasklet->is_main) {
    return or_unknown(Object::steal(PyUnicode_FromString("the main tasklet")));
  }
  Object name = name_of(tasklet->function.get());
  return or_unknown(Object::steal(PyUnicode_FromFormat(
      "tasklet %llu '%U'", static_cast<unsigned long long>(tasklet->serial), name.get())));
}

}  // namespace

Object place_of(Tasklet* tasklet) {
  Scheduler* s = tasklet->scheduler;
  Object frame = Object::steal(
      interp::frame(s->ts, tasklet == s->current ? interp::Suspended{} : tasklet->suspended()));
  if (!frame) {
    PyErr_Clear();
    return or_unknown(Object::steal(PyUnicode_FromString("")));
  }
  auto* f = reinterpret_cast<PyFrameObject*>(frame.get());
  Object code = Object::steal(reinterpret_cast<PyObject*>(PyFrame_GetCode(f)));
  auto* c = reinterpret_cast<PyCodeObject*>(code.get());
  return or_unknown(Object::steal(PyUnicode_FromFormat(" at %U:%d in %U", c->co_filename,
                                                       PyFrame_GetLineNumber(f), c->co_qualname)));
}

Object name_of_tasklet(std::uint64_t serial, Scheduler* s) {
  if (serial == s->main->serial) {
    return or_unknown(Object::steal(PyUnicode_FromString("the main tasklet")));
  }
  for (Tasklet* t = s->first_started; t != nullptr; t = t->neighbors.next) {
    if (t->serial == serial) {
      return describe(t);
    }
  }
  const Runtime::Departed& gone = runtime->departed[serial % runtime->departed.size()];
  auto number = static_cast<unsigned long long>(serial);
  return or_unknown(Object::steal(
      gone.serial == serial
          ? PyUnicode_FromFormat("tasklet %llu '%U', which has finished", number, gone.name.get())
          : PyUnicode_FromFormat("tasklet %llu, which is gone", number)));
}

namespace {

void append_line(Object* text, Tasklet* tasklet) {
  Object who = describe(tasklet);
  Object what =
      or_unknown(tasklet->blocked()
                     ? tasklet->blocked_on->describe(tasklet)
                     : Object::steal(PyUnicode_FromFormat("waiting%U", place_of(tasklet).get())));
  PyObject* whole = text->release();
  Object line = Object::steal(PyUnicode_FromFormat("\n  %U: %U", who.get(), what.get()));
  PyUnicode_Append(&whole, line.get());
  *text = Object::steal(whole);
}

Object report(Scheduler* s, const char* headline, Tasklet* also) {
  Object text = Object::steal(PyUnicode_FromString(headline));
  if (also != nullptr && text) {
    append_line(&text, also);
  }
  constexpr int most = 100;
  int lines = 0, left_out = 0;
  for (Tasklet* t = s->first_started; t != nullptr && text; t = t->neighbors.next) {
    if (t == also || !t->blocked()) {
      continue;
    }
    if (++lines > most) {
      ++left_out;
    } else {
      append_line(&text, t);
    }
  }
  if (Tasklet* main = s->main.get(); text && main != also && main->blocked()) {
    append_line(&text, main);
  }
  if (left_out > 0 && text) {
    PyObject* whole = text.release();
    Object line = Object::steal(PyUnicode_FromFormat("\n  ... and %d more", left_out));
    PyUnicode_Append(&whole, line.get());
    text = Object::steal(whole);
  }
  Object error =
      text ? Object::steal(PyObject_CallOneArg(PyExc_RuntimeError, text.get())) : Object();
  return error ? std::move(error) : take_exception();
}

}  // namespace

Object deadlock_report(Scheduler* s, Tasklet* tasklet) {
  return report(s, "Deadlock: the last runnable tasklet cannot be blocked.", tasklet);
}

Object lonely_main_report(Scheduler* s, Tasklet* main) {
  return report(s,
                main->sending ? "the main tasklet is sending without a receiver available."
                              : "the main tasklet is receiving without a sender available.",
                nullptr);
}

void remember_departed(Tasklet* tasklet) {
  Object name = name_of(tasklet->function.get());
  Runtime::Departed& slot = runtime->departed[tasklet->serial % runtime->departed.size()];
  slot.serial = tasklet->serial;
  slot.name = std::move(name);
}

}  // namespace stackless
