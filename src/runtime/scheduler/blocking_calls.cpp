#include "runtime/scheduler/blocking_calls.hpp"
#include "interp/freezing/thaw.hpp"

#include <cstring>

#include "module/functions.hpp"
#include "runtime/channel/channel.hpp"
#include "runtime/scheduler/blocker.hpp"

namespace stackless {

namespace {

const PyMethodDef* find(const PyMethodDef* table, const char* name) {
  while (std::strcmp(table->ml_name, name) != 0) {
    ++table;
  }
  return table;
}

// In these functions a tasklet waits without holding anything on its C stack, except for what the call has sent.
const Rule rules[] = {
    {find(channel_methods, "receive"), Completion::mail, true},
    {find(functions, "schedule"), Completion::mail_or_self, true},
    {find(channel_methods, "send"), Completion::mail, true},
    {find(functions, "sleep"), Completion::nothing},
    {find(functions, "schedule_remove"), Completion::removed},
    {find(tasklet_methods, "run"), Completion::mail},
    {find(tasklet_methods, "switch"), Completion::mail},
    {find(channel_methods, "send_exception"), Completion::mail, false, true},
    {find(channel_methods, "send_throw"), Completion::mail, false, true},
    {find(channel_methods, "send_sequence"), Completion::again},
};

}  // namespace

const Rule* rule_of(const PyMethodDef* function) {
  for (const Rule& rule : rules) {
    if (rule.function == function) {
      return &rule;
    }
  }
  return nullptr;
}

namespace {

const PyMethodDef no_methods[] = {{}};

const PyMethodDef* made_again = no_methods;

bool is_made_again(const Tasklet* t, const interp::Halt& halt) {
  const PyMethodDef* method = made_again;
  while (method->ml_name != nullptr && method != halt.function) {
    ++method;
  }
  // Without an operation it has called something else that waits. The operands of f(*arguments) don't
  // outlive the call.
  return method->ml_name != nullptr && t->operation != nullptr && halt.arguments >= 0;
}

// What a call that has a rule returns.
Completion completion_by(const Rule& rule, const interp::Halt& halt) {
  switch (rule.completion) {
    case Completion::removed:
      return halt.arguments == 0  ? Completion::removed
             : halt.arguments > 0 ? Completion::mail
                                  : Completion::none;
    case Completion::again:
      return halt.arguments >= 0 ? Completion::again : Completion::none;
    default:
      return rule.completion;
  }
}

}  // namespace

Completion completion_of(const Tasklet* t, interp::Halt* halt) {
  if (halt->iterator != nullptr) {
    bool receives = Py_TYPE(halt->iterator)->tp_iternext == ChannelType.tp_iternext;
    return receives ? Completion::mail : Completion::none;
  }
  const Rule* rule = rule_of(halt->function);
  if (rule == nullptr) {
    return is_made_again(t, *halt) ? Completion::again : Completion::none;
  }
  halt->merges = halt->merges || rule->keeps_bomb;
  return completion_by(*rule, *halt);
}

namespace {

PyObject* result_of_call(Tasklet* self) {
  if (!self->tempval && self->completion == Completion::mail_or_self) {
    return Py_NewRef(as_object(self));
  }
  Object mail = claim(self);
  if (self->completion == Completion::again) {
    if (!mail) {
      drop_operation(self);
      return nullptr;
    }
    self->operation->is_over = true;
    return interp::again();
  }
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

PyObject* finish_call() {
  Tasklet* self = this_scheduler->current;
  PyObject* result = result_of_call(self);
  if (self->arguments) [[unlikely]] {  // pickle_and_unpickle() has left the operands there
    KeepException pending;
    self->arguments.reset();
  }
  return result;
}

void make_calls_again(const PyMethodDef* methods) { made_again = methods; }
}  // namespace stackless
