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

// stacks_allowed() is how many C stacks the scheduler means to have in use.
inline std::size_t stacks_allowed(const Scheduler* s) {
  return runtime->stack_budget + s->seats.extra;
}

// trade() has `next`, which is frozen, run in the place of the current tasklet, on its stack, if that is about to
// wait, in the call with `mark`, where the other one does; else it returns false. The caller has to return *result
// then, as `next`.
bool trade(Scheduler* s, Tasklet* self, Tasklet* next, interp::CallMark mark, Object* result);
// wait_alike() tells whether it is worth trying.
inline bool wait_alike(const Scheduler* s, const Tasklet* next) {
  return next->frozen != nullptr &&
         interp::call_of(next->frozen) == interp::call_of(s->ts, nullptr);
}
// may_trade() is the same while `next` has nothing to run on, and is not to get anything more.
inline bool may_trade(const Scheduler* s, const Tasklet* next) {
  return s->attention == 0 && next->stack == nullptr && s->stacks.in_use() >= stacks_allowed(s) &&
         wait_alike(s, next);
}

// freeze_and_leave() has the current tasklet, which is about to wait in the call with `mark`, frozen instead, and
// continues with `next`. False if it is to be suspended: it is pinned, or another one has been frozen for it.
// If it returns true, the caller has to return *result, as `next` if that runs in the other's place; or it's
// null, with an exception that ends the C functions between the tasklet's frames.
bool freeze_and_leave(Scheduler* s, Tasklet* self, Tasklet* next, interp::CallMark mark,
                      Object* result);

// is_unwound() tells whether the current tasklet's C functions have ended because of that.
inline bool is_unwound(const Scheduler* s) { return s->after_unwinding != nullptr; }
// finish_freezing() does the rest then, and returns who runs next.
Tasklet* finish_freezing(Scheduler* s, Tasklet* self);

// make_calls_again() names the methods whose calls are made once more when a tasklet is thawed that waited
// there in an Operation (runtime/wait.hpp). The table ends with an empty entry.
void make_calls_again(const PyMethodDef* methods);

// init_unwinding() is called once, at import; -1 with an exception set.
int init_unwinding();

// run_thawed() is run_function() for a frozen tasklet, which is current and stands on a fresh stack.
Object run_thawed(Scheduler* s, Tasklet* self, interp::Frozen* frozen);

inline void update_crowded(Scheduler* s) {
  if (s->stacks.in_use() > stacks_allowed(s)) {
    s->attention |= Scheduler::crowded;
  } else {
    s->attention &= ~static_cast<unsigned>(Scheduler::crowded);
  }
}

}  // namespace stackless
