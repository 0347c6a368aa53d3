// The calls in which a tasklet may be frozen, and what they return then.
#pragma once

#include "interp/freezing/freeze.hpp"
#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

struct Rule {
  const PyMethodDef* function;
  Completion completion;
  bool trades = false;  // whether nothing is left to do there when the tasklet has been woken
  bool keeps_bomb = false;
};

// rule_of() is the function's rule; null if it has none.
const Rule* rule_of(const PyMethodDef* function);
// completion_of() is how the call is completed in which the tasklet has halted.
Completion completion_of(const Tasklet* tasklet, interp::Halt* halt);
// finish_call() returns what the call returns in which the current tasklet, just thawed, was frozen.
PyObject* finish_call();

// make_calls_again() names the methods whose calls are made once more when a tasklet is thawed that waited
// there in an Operation (runtime/wait.hpp). The table ends with an empty entry.
void make_calls_again(const PyMethodDef* methods);

}  // namespace stackless
