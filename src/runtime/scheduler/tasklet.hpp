// The tasklet: a function that runs on a stack of its own, and gives way when it says so.
#pragma once

#include <cstdint>

#include "core/stack_pool.hpp"
#include "interp/interp.hpp"
#include "object/errors.hpp"

namespace stackless {

struct Blocker;
struct Scheduler;
struct Operation;
struct Tasklet;

// Where a tasklet is; exactly one of these at any time.
enum class Place : unsigned char {
  nowhere,  // paused, finished, or never started
  ring,     // runnable: in its thread's ring
  blocked,  // on its blocked_on
};

// What the call in which a frozen tasklet is blocked returns when it runs again.
enum class Completion : unsigned char {
  none,          // nothing: a tasklet can't be frozen in such a call
  mail,          // what is in the mailbox
  mail_or_self,  // the same, or the tasklet if that is empty: schedule()
  removed,       // the same, where None counts as empty: schedule_remove()
  nothing,       // None: sleep()
  again,         // the call is made once more, and goes on with what it has left in an Operation
};

// What a tasklet starts with: both move into the thread state then.
struct Start {
  Object context;
  Object tracing;  // (trace function, profile function), or null
};

// Its neighbors in a list of tasklets that have started.
struct Links {
  Tasklet* next;
  Tasklet* prev;
};

// A million of these lie in memory at once, and the collector walks through them: no word is wasted.
struct Tasklet {
  PyObject_HEAD
  vectorcallfunc vectorcall;
  Tasklet* next;  // neighbours in the ring or in the channel's queue
  Tasklet* prev;
  Scheduler* scheduler;    // its thread's; counted, never null
  interp::Parked* parked;  // while it is started and suspended
  interp::Frozen* frozen;  // the same, if it is frozen
  core::Stack* stack;      // while it is started and not frozen; null for a main tasklet
  Object tempval;
  Object function;  // set while it is alive and not a main tasklet
  Object arguments;
  Object keywords;
  union {
    Start start;      // until it is started
    Links neighbors;  // from then on, in its scheduler's list
  };
  Blocker* blocked_on;   // while it is blocked (scheduler/blocker.hpp)
  Operation* operation;  // what the call keeps in which it waits for a descriptor
  PyObject* weak_references;
  std::uint64_t serial : 48;  // its number, for reports
  Place place;
  Completion completion;  // while it is frozen
  bool is_main;
  bool started;
  bool sending;  // while in a channel's queue
  bool block_trap;
  bool overdue;     // a timeout of its own ran out while the tasklet wasn't waiting
  bool zombie : 1;  // survived its finalizer
  bool spared : 1;  // outlives its thread, as far as is known
  bool used_channel : 1;
  bool has_returned : 1;  // its function has: what still runs cleans up
  bool left_over : 1;     // is being ended: its sys.exit() doesn't end the process
  bool atomic : 1;
  bool ignore_nesting : 1;
  unsigned char seat;  // the number of that which it has, from 1 on, or 0 (scheduler/seats.hpp)

  // Where the tasklet's frames are, if it is not running.
  interp::Suspended suspended() const noexcept { return {parked, frozen}; }
  bool blocked() const noexcept { return place == Place::blocked; }
  bool scheduled() const noexcept { return place != Place::nowhere; }
};

extern PyTypeObject TaskletType;

inline bool is_tasklet(PyObject* object) { return PyObject_TypeCheck(object, &TaskletType); }
inline Tasklet* as_tasklet(PyObject* object) { return reinterpret_cast<Tasklet*>(object); }
inline PyObject* as_object(Tasklet* tasklet) { return reinterpret_cast<PyObject*>(tasklet); }

// alive() is what tasklet.alive says: bound with arguments and not finished, on a living thread.
bool alive(const Tasklet* tasklet) noexcept;

// new_tasklet() returns an unbound tasklet of `type`, bound to `scheduler`'s thread.
Ref<Tasklet> new_tasklet(PyTypeObject* type, Scheduler* scheduler);

// claim() takes what was left in the tasklet's mailbox: the value, or null with the bomb's
// exception set. Nothing there counts as None.
Object claim(Tasklet* tasklet);

// throw_exception() is tasklet.throw() for an exception instance: the value the caller's mailbox
// holds when it runs again, or null with an exception set.
Object throw_exception(Tasklet* tasklet, Object exception, bool pending);

// take_away() takes the tasklet out of wherever it is queued, and returns the queue's reference, if any.
Ref<Tasklet> take_away(Tasklet* tasklet);

// forget_function() drops what the tasklet was going to run.
void forget_function(Tasklet* tasklet);
// cancel_start() ends a tasklet that has not started: it isn't queued any more, and holds nothing that it was
// to run or to be told.
void cancel_start(Tasklet* tasklet);

// tasklet_methods.cpp and tasklet_attributes.cpp
extern PyMethodDef tasklet_methods[];
void init_tasklet();
extern PyGetSetDef tasklet_attributes[];
int bind_tasklet(Tasklet* self, PyObject* function, PyObject* arguments, PyObject* keywords);
// setup_tasklet() gives the bound tasklet its arguments (stolen) and makes it runnable.
int setup_tasklet(Tasklet* self, Object arguments, Object keywords);
// state_of() is what interp is to look at.
interp::Suspended state_of(const Tasklet* t) noexcept;
// context_of() is where the tasklet's context is: in the thread state, with its other parked state, or waiting with
// the tasklet for its start. Borrowed.
PyObject* context_of(const Tasklet* t) noexcept;
void replace_context(Tasklet* t, Object context);
// adopt_context() notes a copy of the caller's context for the tasklet to run in.
int adopt_context(Tasklet* self);

}  // namespace stackless
