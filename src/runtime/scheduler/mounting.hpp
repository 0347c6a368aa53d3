// Who keeps a C stack, and what becomes of those who have to give theirs up.
#pragma once

#include "interp/freezing/freeze.hpp"
#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

// stacks_allowed() is how many C stacks the scheduler means to have in use.
inline std::size_t stacks_allowed(const Scheduler* s) {
  return runtime->stack_budget + s->stacks.seats.extra;
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
  return s->attention == 0 && next->stack == nullptr &&
         s->stacks.pool.in_use() >= stacks_allowed(s) && wait_alike(s, next);
}

// freeze_and_leave() has the current tasklet, which is about to wait in the call with `mark`, frozen instead, and
// continues with `next`. False if it is to be suspended: it is pinned, or another one has been frozen for it.
// If it returns true, the caller has to return *result, as `next` if that runs in the other's place; or it's
// null, with an exception that ends the C functions between the tasklet's frames.
bool freeze_and_leave(Scheduler* s, Tasklet* self, Tasklet* next, interp::CallMark mark,
                      Object* result);

// is_unwound() tells whether the current tasklet's C functions have ended because of that.
inline bool is_unwound(const Scheduler* s) { return s->unwinding.next != nullptr; }
// finish_freezing() does the rest then, and returns who runs next.
Tasklet* finish_freezing(Scheduler* s, Tasklet* self);

// init_unwinding() is called once, at import; -1 with an exception set.
int init_unwinding();

// run_thawed() is run_function() for a frozen tasklet, which is current and stands on a fresh stack.
Object run_thawed(Scheduler* s, Tasklet* self, interp::Frozen* frozen);

inline void update_crowded(Scheduler* s) {
  if (s->stacks.pool.in_use() > stacks_allowed(s)) {
    s->attention |= Scheduler::crowded;
  } else {
    s->attention &= ~static_cast<unsigned>(Scheduler::crowded);
  }
}

enum class Success {
  pinned,
  frozen,   // its stack is free
  unwound,  // its stack will be, when the call in which it waits has raised unwinding_bomb
};

// freeze() moves the tasklet's frames out; `merging` if C functions may be ended for that.
Success freeze(Tasklet* tasklet, interp::Parked* parked, bool merging = true,
               interp::CallMark mark = nullptr);
// start_unwinding() has the C functions of `self`, whose frames have been moved out, end as soon as it runs;
// `next` runs afterwards. Destructors that run meanwhile may not switch.
void start_unwinding(Scheduler* s, Tasklet* self, Tasklet* next);
// release_stack() gives a stack back; what stands on it from there on is never returned to.
void release_stack(Tasklet* tasklet, void* from);

// find_completion() is where the tasklet stands, and how its call is completed then; none if it is pinned.
// `parked` null for the running one, which is about to wait in the call with `mark`.
Completion find_completion(const Tasklet* tasklet, interp::Parked* parked, interp::Halt* halt,
                           interp::CallMark mark = nullptr);
// is_own() tells whether the outermost frame is that of the function which the tasklet has been started with.
bool is_own(const Tasklet* tasklet, PyObject* outermost);
// can_merge() tells whether the C functions on the tasklet's stack can be ended now, by the calling thread.
bool can_merge(const Tasklet* tasklet);

}  // namespace stackless
