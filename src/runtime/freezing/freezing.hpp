// When tasklets are frozen, and what becomes of the call that a frozen one was blocked in.
#pragma once

#include "interp/freezing/freeze.hpp"
#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

// freeze_tasklet() freezes a suspended tasklet, if it isn't yet, and gives its C stack back; false if it
// is pinned or there is no memory.
bool freeze_tasklet(Tasklet* tasklet);

// why_pinned() says in words why the calling thread can't freeze a suspended tasklet: a string, or None if it
// can. raise_pinned() raises RuntimeError for that reason; MemoryError if there is none.
Object why_pinned(Tasklet* tasklet);
std::nullptr_t raise_pinned(Tasklet* tasklet);

// is_pinned() tells whether there is a reason in whichever thread, of a suspended tasklet that has frames;
// is_left_to_its_thread() whether there is one in the calling thread only.
bool is_pinned(const Tasklet* tasklet);
bool is_left_to_its_thread(const Tasklet* tasklet);

// move_to() makes the tasklet that of another thread: one that has not started, or is frozen. It stays
// blocked where it is, but for a descriptor, where it looks again. False with MemoryError set.
bool move_to(Tasklet* tasklet, Scheduler* target);

// drop_frames() ends a started tasklet without running anything of its own; false if it is pinned.
bool drop_frames(Tasklet* tasklet);

// refusal() returns the reason (borrowed) why an unpickled tasklet can't go on; null if it can.
PyObject* refusal(const Tasklet* tasklet);
// The function of such a tasklet, which raises for the reason that it is bound to.
extern PyMethodDef refuse_function;

}  // namespace stackless
