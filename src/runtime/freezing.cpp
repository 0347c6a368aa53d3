#include "runtime/freezing.hpp"

#include <cstring>

#include "interp/freeze.hpp"
#include "interp/merge.hpp"
#include "interp/switch.hpp"
#include "runtime/bomb.hpp"
#include "runtime/callbacks.hpp"
#include "runtime/channel.hpp"
#include "runtime/functions.hpp"
#include "runtime/pickling.hpp"
#include "runtime/switching.hpp"
#include "runtime/torture.hpp"
#include "runtime/wait.hpp"

namespace stackless {

namespace {

struct Rule {
  const PyMethodDef* function;
  Completion completion;
};

const PyMethodDef* find(const PyMethodDef* table, const char* name) {
  while (std::strcmp(table->ml_name, name) != 0) {
    ++table;
  }
  return table;
}

// In these functions a tasklet waits without holding anything on its C stack.
const Rule rules[] = {
    {find(channel_methods, "receive"), Completion::mail},
    {find(functions, "schedule"), Completion::mail_or_self},
    {find(channel_methods, "send"), Completion::mail},
    {find(functions, "sleep"), Completion::nothing},
    {find(functions, "schedule_remove"), Completion::removed},
    {find(tasklet_methods, "run"), Completion::mail},
    {find(tasklet_methods, "switch"), Completion::mail},
};

Completion completion_of(const interp::Halt& halt) {
  for (const Rule& rule : rules) {
    if (rule.function != halt.function) {
      continue;
    }
    if (rule.completion == Completion::removed && halt.arguments != 0) {
      bool known = halt.arguments > 0;
      return known ? Completion::mail : Completion::none;
    }
    return rule.completion;
  }
  return Completion::none;
}

enum class Success {
  pinned,
  frozen,   // its stack is free
  unwound,  // its stack will be, when the call in which it waits has raised unwinding_bomb
};

PyObject* unwinding_bomb;

// Whether the outermost frame is that of the function which the tasklet has been started with, so that
// nothing but we has called it. An unpickled one has none; its outermost frame is always ours to run.
bool is_own(const Tasklet* t, const interp::Halt& halt) {
  PyObject* function = t->function.get();
  if (function != nullptr && PyMethod_Check(function)) {
    function = PyMethod_GET_FUNCTION(function);
  }
  return function == nullptr || function == halt.outermost;
}

// Moves the tasklet's frames out. `parked` null for the running one.
Success freeze(Tasklet* t, interp::Parked* parked) {
  interp::Halt halt;
  PyThreadState* ts = t->scheduler->ts;
  if (t->stack == nullptr || interp::find_halt(ts, parked, &halt) != interp::Pin::none ||
      !is_own(t, halt)) {
    return Success::pinned;
  }
  Completion completion = completion_of(halt);
  if (completion == Completion::none) {
    return Success::pinned;
  }
  bool merges = halt.merges;
  if (merges && (t->scheduler != this_scheduler || !interp::may_merge())) {
    return Success::pinned;
  }
  t->frozen = merges ? interp::merge(ts, parked, halt) : interp::freeze(ts, parked, halt);
  if (t->frozen == nullptr) {
    return Success::pinned;
  }
  t->completion = completion;
  ++t->scheduler->freezes;
  if (merges) {
    return Success::unwound;
  }
  t->parked = nullptr;
  return Success::frozen;
}

// Has the C functions of `self`, whose frames have been moved out, end as soon as it runs; `next` runs
// afterwards. Destructors that run meanwhile may not switch.
void start_unwinding(Scheduler* s, Tasklet* self, Tasklet* next) {
  s->after_unwinding = next;
  s->withheld_mail = std::exchange(self->tempval, Object::share(unwinding_bomb));
  forbid_switching(s);
}

PyObject* result_of_call(Tasklet* self) {
  if (!self->tempval && self->completion == Completion::mail_or_self) {
    return Py_NewRef(as_object(self));
  }
  Object mail = claim(self);
  if (!mail) {
    return nullptr;
  }
  if (self->completion == Completion::nothing) {
    return Py_NewRef(Py_None);
  }
  if (self->completion == Completion::removed && mail.get() == Py_None) {
    return Py_NewRef(as_object(self));
  }
  return mail.release();
}

PyObject* finish_call() {
  Tasklet* self = this_scheduler->current;
  PyObject* result = result_of_call(self);
  if (self->arguments) [[unlikely]] {  // pickle_and_unpickle() has left the operands there
    KeepException pending;
    self->arguments.reset();
  }
  return result;
}

}  // namespace

bool freeze_tasklet(Tasklet* t) {
  if (t->frozen != nullptr) {
    return true;
  }
  interp::Parked* parked = t->parked;
  if (parked == nullptr) {
    return false;
  }
  KeepException pending;
  switch (freeze(t, parked)) {
    case Success::pinned:
      return false;
    case Success::frozen:
      core::abandon(parked->stack_pointer, t->stack->top());
      t->scheduler->stacks.release(std::exchange(t->stack, nullptr));
      update_crowded(t->scheduler);
      return true;
    case Success::unwound: {
      Scheduler* s = t->scheduler;
      Tasklet* self = s->current;
      // What `self` has been left to do, and what it is left to drop by `t`, are two things.
      bool duties = std::exchange(s->duties, false);
      Object departed = std::move(s->departed);
      start_unwinding(s, t, self);
      switch_stacks(s, self, t);
      std::swap(s->departed, departed);
      s->duties = duties;
      return true;
    }
  }
  return false;
}

namespace {

Object name_of_callable(PyObject* callable) {
  for (const char* attribute : {"__qualname__", "__name__"}) {
    Object name = Object::steal(PyObject_GetAttrString(callable, attribute));
    if (name && PyUnicode_Check(name.get())) {
      return name;
    }
    PyErr_Clear();
  }
  return Object::steal(PyUnicode_FromString(Py_TYPE(callable)->tp_name));
}

// "sorted, called at shop.py:88 in checkout"
Object describe(const interp::PinPlace& place) {
  Object name = place.callable != nullptr ? name_of_callable(place.callable)
                                          : Object::steal(PyUnicode_FromString("C code"));
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
  if (pin == interp::Pin::none && completion_of(halt) == Completion::none) {
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
  if (pin != interp::Pin::none && place.code != nullptr) {
    return because("C code is in the way: %U", describe(place));
  }
  if (pin == interp::Pin::none && is_own(t, halt)) {
    return none();
  }
  if (!t->function) {  // an unpickled one, where no Python frame has called what it waits in
    return Object::steal(PyUnicode_FromString("it waits in C code"));
  }
  return because("it was started through C code: %U", name_of_callable(t->function.get()));
}

bool move_to(Tasklet* t, Scheduler* target) {
  if (t->stack != nullptr) {
    t->scheduler->stacks.release(std::exchange(t->stack, nullptr));
  }
  if (t->started && !move_alarms(t, target)) {
    return false;
  }
  if (t->started) {
    remove_started(t);
  }
  add_reference(target);
  remove_reference(std::exchange(t->scheduler, target));
  if (t->started) {
    add_started(t);
  }
  return true;
}

bool drop_frames(Tasklet* t) {
  if (t->frozen == nullptr && !freeze_tasklet(t)) {
    return false;
  }
  remove_started(t);
  t->started = false;
  forget_function(t);
  interp::drop(std::exchange(t->frozen, nullptr));
  return true;
}

// It may not return: AddressSanitizer would leave red zones on the stack.
[[gnu::no_sanitize_address]] bool freeze_and_leave(Scheduler* s, Tasklet* self, Tasklet* next) {
  switch (freeze(self, nullptr)) {
    case Success::pinned:
      return false;
    case Success::unwound:
      start_unwinding(s, self, next);
      return true;
    case Success::frozen:
      break;
  }
  // Its frames hold the arguments now; to drop the tuple may run code.
  if (self->arguments && !s->departed) {
    leave_to_successor(s, std::move(self->arguments));
  }
  s->current = next;
  constexpr std::ptrdiff_t callees = 4096;  // what has been called to get here
  core::abandon(static_cast<char*>(__builtin_frame_address(0)) - callees, self->stack->top());
  s->stacks.release(std::exchange(self->stack, nullptr));
  update_crowded(s);
  if (next->parked != nullptr) {
    interp::leave_to(next->parked);
  }
  interp::leave_to_start(next->stack, tasklet_entry);
}

Tasklet* finish_freezing(Scheduler* s, Tasklet* self) {
  Object deferred = Object::steal(interp::finish_merge(s->ts, self->frozen));
  allow_switching(s);
  Object withheld = std::move(s->withheld_mail);
  if (!self->tempval) {
    self->tempval = std::move(withheld);
  }
  self->parked = nullptr;
  self->stack = nullptr;
  if (deferred && !s->departed) {
    leave_to_successor(s, std::move(deferred));
  }
  return std::exchange(s->after_unwinding, nullptr);
}

int init_unwinding() {
  unwinding_bomb = make_bomb(Object::share(interp::unwinding_exception())).release();
  return unwinding_bomb != nullptr ? 0 : -1;
}

Object run_thawed(Scheduler* s, Tasklet* self, interp::Frozen* frozen) {
  ++s->thaws;
  self->arguments.reset();
  if (runtime->pickle_and_unpickle) [[unlikely]] {
    frozen = pickle_and_unpickle(s, self, frozen);
    if (frozen == nullptr) {
      return nullptr;
    }
  }
  return Object::steal(interp::thaw(s->ts, frozen, finish_call));
}

}  // namespace stackless
