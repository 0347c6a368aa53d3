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

// What else is to be known of a call in which a tasklet waits without holding anything on its C stack.
enum class Waits : unsigned char {
  only,
  and_trades,  // nothing is left to do there when the tasklet has been woken
  with_bomb,   // the C stack holds the exception that the call sends
};

// register_blocking_call() says how a call of a method ends in which a tasklet was frozen; whoever defines the method
// calls this at import. register_blocking_iterator() does so for an iterator whose turn is such a call.
void register_blocking_call(const PyMethodDef* table, const char* name, Completion completion,
                            Waits waits = Waits::only);
void register_blocking_iterator(iternextfunc step);

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
