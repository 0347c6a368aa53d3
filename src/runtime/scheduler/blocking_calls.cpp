#include "runtime/scheduler/blocking_calls.hpp"
#include "runtime/scheduler/operation.hpp"

#include <array>
#include <cstring>
#include <span>

#include "interp/freezing/thaw.hpp"
#include "runtime/scheduler/blocker.hpp"

namespace stackless {

namespace {

// Few, and asked only where a tasklet is frozen.
std::array<Rule, 16> rules;
std::size_t rule_count = 0;
iternextfunc blocking_step = nullptr;

}  // namespace

void register_blocking_call(const PyMethodDef* table, const char* name, Completion completion,
                            Waits waits) {
  while (std::strcmp(table->ml_name, name) != 0) {
    ++table;
  }
  assert(rule_count < rules.size());
  rules[rule_count++] = {table, completion, waits == Waits::and_trades, waits == Waits::with_bomb};
}

void register_blocking_iterator(iternextfunc step) { blocking_step = step; }

const Rule* rule_of(const PyMethodDef* function) {
  for (const Rule& rule : std::span(rules).first(rule_count)) {
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
    bool waits = Py_TYPE(halt->iterator)->tp_iternext == blocking_step;
    return waits ? Completion::mail : Completion::none;
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
