// What has to be seen to before and after a switch: traps, exceptions from other threads, stacks, mail, and what
// was left to do.
#pragma once

#include "object/no_collection.hpp"
#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

// is_run_caller() tells whether the tasklet waits for a run() of its own to return.
bool is_run_caller(const Scheduler* s, const Tasklet* tasklet);
// innermost_run() is whom to wake when nothing is runnable: the innermost run() caller or main.
Tasklet* innermost_run(const Scheduler* s);

// put_mail() puts `value` into the tasklet's mailbox; what was there is dropped later. explode_in() has the tasklet
// raise the exception when it next runs.
void put_mail(Scheduler* s, Tasklet* tasklet, Object value);
void explode_in(Scheduler* s, Tasklet* tasklet, Object exception);

// is_struck() raises what another thread has thrown at the current tasklet, if anything. Python code may run.
bool is_struck(Scheduler* s);
// take_thrown() takes that; null if there is nothing, or the interpreter has raised it meanwhile, or with an
// exception set by a signal handler.
Object take_thrown(Scheduler* s);

// switch_would_fail() raises and returns true if the current tasklet can't switch to `next` now:
// switch_trap is set, a callback is under way (RuntimeError), or there is no stack for a tasklet that
// has not started yet (MemoryError).
bool switch_would_fail(Scheduler* s, Tasklet* next);
// giving_way_would_fail() is the same for a switch to whoever's turn it is: where there is no stack
// for `next`, it is innermost_run() that is told, while `next` stays in the ring.
bool giving_way_would_fail(Scheduler* s, Tasklet* next);
// next_or_told() is `next`, or if there is no stack for that one, whoever is told so.
Tasklet* next_or_told(Scheduler* s, Tasklet* next);

// note_depth() notes that the current tasklet blocks deep down its C stack, whose pages the pool then gives back
// when the tasklet has ended. The hot path doesn't look; the pool also trims some unasked.
void note_depth(Tasklet* self);

// settle_left() has the current tasklet do what was left to do, where it goes on without a switch, and returns who is
// current then.
Tasklet* settle_left(Scheduler* s);

}  // namespace stackless
