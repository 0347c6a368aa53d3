#include "runtime/freezing.hpp"

#include <cstring>

#include "interp/freeze.hpp"
#include "interp/switch.hpp"
#include "runtime/channel.hpp"
#include "runtime/functions.hpp"
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
    if (rule.function == halt.function) {
      return rule.completion == Completion::removed && halt.arguments > 0 ? Completion::mail
                                                                          : rule.completion;
    }
  }
  return Completion::none;
}

// Freezes the tasklet; its stack is then free. `parked` null for the running one.
bool freeze(Tasklet* t, interp::Parked* parked) {
  interp::Halt halt;
  PyThreadState* ts = t->scheduler->ts;
  if (t->stack == nullptr || !t->plain ||
      interp::find_halt(ts, parked, &halt) != interp::Pin::none) {
    return false;
  }
  Completion completion = completion_of(halt);
  interp::Frozen* frozen =
      completion != Completion::none ? interp::freeze(ts, parked, halt) : nullptr;
  if (frozen == nullptr) {
    return false;
  }
  t->frozen = frozen;
  t->completion = completion;
  t->parked = nullptr;
  ++t->scheduler->freezes;
  return true;
}

PyObject* finish_call() {
  Tasklet* self = this_scheduler->current;
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

}  // namespace

bool freeze_tasklet(Tasklet* t) {
  if (t->frozen != nullptr) {
    return true;
  }
  if (t->parked == nullptr || !freeze(t, t->parked)) {
    return false;
  }
  t->scheduler->stacks.release(std::exchange(t->stack, nullptr));
  update_crowded(t->scheduler);
  return true;
}

bool move_to(Tasklet* t, Scheduler* target) {
  if (t->stack != nullptr) {
    t->scheduler->stacks.release(std::exchange(t->stack, nullptr));
  }
  if (t->place == Place::waiting && !move_sleep(t, target)) {
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

void freeze_and_leave(Scheduler* s, Tasklet* self, Tasklet* next) {
  if (!freeze(self, nullptr)) {
    return;
  }
  // Its frames hold the arguments now; to drop the tuple may run code.
  if (self->arguments && !s->departed) {
    leave_to_successor(s, std::move(self->arguments));
  }
  s->current = next;
  s->stacks.release(std::exchange(self->stack, nullptr));
  update_crowded(s);
  if (next->parked != nullptr) {
    interp::leave_to(next->parked);
  }
  interp::leave_to_start(next->stack, tasklet_entry);
}

Object run_thawed(Scheduler* s, Tasklet* self, interp::Frozen* frozen) {
  ++s->thaws;
  self->arguments.reset();
  return Object::steal(interp::thaw(s->ts, frozen, finish_call));
}

}  // namespace stackless
