#include "runtime/scheduler/mounting.hpp"
#include "interp/freezing/thaw.hpp"
#include "runtime/scheduler/decided.hpp"

#include "interp/freezing/merge_loops.hpp"
#include "interp/freezing/swap_places.hpp"
#include "interp/switching/switch.hpp"
#include "runtime/scheduler/blocker.hpp"
#include "runtime/scheduler/blocking_calls.hpp"
#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/callbacks.hpp"
#include "runtime/scheduler/giving_way.hpp"
#include "runtime/scheduler/switching.hpp"
#include "runtime/scheduler/who_runs_next.hpp"

namespace stackless {

namespace {

PyObject* unwinding_bomb;

}  // namespace

// Whether the outermost frame is that of the function which the tasklet has been started with, so
// that nothing but we has called it. Once that has returned, nothing is: what it leaves is dropped
// by C code, and may run the same function once more.
bool is_own(const Tasklet* t, PyObject* outermost) {
  PyObject* function = t->function.get();
  if (function != nullptr && PyMethod_Check(function)) {
    function = PyMethod_GET_FUNCTION(function);
  }
  return !t->has_returned && function != nullptr && function == outermost;
}

// Where the tasklet stands, and how its call is completed then; none if it is pinned. `parked` null for the
// running one, which is about to wait in the call with `mark`.
Completion find_completion(const Tasklet* t, interp::Parked* parked, interp::Halt* halt,
                           interp::CallMark mark) {
  PyThreadState* ts = t->scheduler->ts;
  bool free = ts != nullptr && t->stack != nullptr &&
              interp::find_halt(ts, parked, halt, mark) == interp::Pin::none &&
              is_own(t, halt->outermost);
  return free ? completion_of(t, halt) : Completion::none;
}

// Whether the C functions on the tasklet's stack can be ended now, by the calling thread.
bool can_merge(const Tasklet* t) { return t->scheduler == this_scheduler && interp::may_merge(); }

// Moves the tasklet's frames out; `merging` if C functions may be ended for that.
Success freeze(Tasklet* t, interp::Parked* parked, bool merging, interp::CallMark mark) {
  interp::Halt halt;
  PyThreadState* ts = t->scheduler->ts;
  Completion completion = find_completion(t, parked, &halt, mark);
  if (completion == Completion::none) {
    return Success::pinned;
  }
  bool merges = halt.merges;
  if (merges && !(merging && can_merge(t))) {
    return Success::pinned;
  }
  t->frozen = merges ? interp::merge(ts, parked, halt) : interp::freeze(ts, parked, halt);
  if (t->frozen == nullptr) {
    return Success::pinned;
  }
  t->completion = completion;
  ++t->scheduler->counts.freezes;
  if (merges) {
    return Success::unwound;
  }
  t->parked = nullptr;
  return Success::frozen;
}

// Has the C functions of `self`, whose frames have been moved out, end as soon as it runs; `next` runs
// afterwards. Destructors that run meanwhile may not switch.
void start_unwinding(Scheduler* s, Tasklet* self, Tasklet* next) {
  forget_decision(s);
  s->unwinding.next = next;
  s->unwinding.mail = std::exchange(self->tempval, Object::share(unwinding_bomb));
  forbid_switching(s);
}

// What stands on it from there on is never returned to.
void release_stack(Tasklet* t, void* from) {
  core::abandon(from, t->stack->top());
  t->scheduler->stacks.seats.leave(t);
  t->scheduler->stacks.pool.release(std::exchange(t->stack, nullptr));
  update_crowded(t->scheduler);
}

namespace {

// A frame holds the arguments now; to drop the tuple may run code.
void leave_arguments(Scheduler* s, Tasklet* self) {
  s->left.drop_later(std::move(self->arguments));
}

// Whether what has been found to stand alike is all that there is of the mounted tasklet.
bool can_trade(const interp::Trade& places, const Tasklet* mounted) {
  const Rule* rule = rule_of(places.function());
  return rule != nullptr && rule->trades && is_own(mounted, places.outermost());
}

// Notes that `next`, which was frozen, stands in the place of `mounted`, which is frozen.
void note_trade(Scheduler* s, Tasklet* mounted, Tasklet* next) {
  mounted->frozen = std::exchange(next->frozen, nullptr);
  mounted->completion = next->completion;
  if (next->stack != nullptr) {
    s->stacks.pool.put_back(next->stack);
    update_crowded(s);
  }
  next->stack = std::exchange(mounted->stack, nullptr);
  s->stacks.seats.pass_on(mounted, next);
  ++s->counts.freezes;
  ++s->counts.thaws;
  ++s->counts.trades;
}

}  // namespace

bool trade(Scheduler* s, Tasklet* self, Tasklet* next, interp::CallMark mark, Object* result) {
  if (self->stack == nullptr || s->left.sleep || !s->exception_state->is_empty()) {
    return false;
  }
  interp::Trade places(s->ts, nullptr, next->frozen, mark);
  if (!can_trade(places, self)) {
    return false;
  }
  places.make();
  s->ring.rotate_to(next);
  note_trade(s, self, next);
  ++s->counts.switches;
  s->current = next;
  leave_arguments(s, self);
  if (s->left.any) {
    next = do_duties(s, next);
  }
  Object done = std::move(next->arguments);
  *result = Object::steal(finish_call());
  return true;
}

namespace {

// Has `next` run in the place of who sits at its call; false if nobody does.
bool trade_for_seat(Scheduler* s, Tasklet* next) {
  Tasklet* other = s->stacks.seats.at(interp::call_of(next->frozen));
  if (other == nullptr || other->parked == nullptr) {
    return false;
  }
  interp::Trade places(s->ts, other->parked, next->frozen);
  if (!can_trade(places, other)) {
    return false;
  }
  places.make();
  while (PyObject* left = places.take_left()) {
    s->left.drop_later(Object::steal(left));
  }
  leave_arguments(s, other);
  next->parked = std::exchange(other->parked, nullptr);
  note_trade(s, other, next);
  return true;
}

// Freezes a suspended tasklet if that is done at once.
bool freeze_at_once(Tasklet* t) {
  interp::Parked* parked = t->parked;
  if (freeze(t, parked, false) != Success::frozen) {
    return false;
  }
  release_stack(t, parked->stack_pointer);
  return true;
}

// Allows for one C stack more; or else, now and then, sees to it that one less is in use: the calls at which
// tasklets wait are others after a while.
bool make_room(Scheduler* s, const Tasklet* next) {
  Seats& seats = s->stacks.seats;
  if (s->stacks.pool.in_use() > stacks_allowed(s) + 1) {
    return false;
  }
  if (seats.extra < Seats::most_extra(runtime->stack_budget)) {
    ++seats.extra;
    update_crowded(s);
    return true;
  }
  constexpr unsigned now_and_then = 16;
  if (seats.extra == 0 || ++seats.misses % now_and_then != 0) {
    return false;
  }
  if (Tasklet* other = seats.next_in_turn()) {
    return other != next && freeze_at_once(other);
  }
  seats.extra = 0;  // those who were meant are gone
  return false;
}

bool sits_at(const Tasklet* t, const void* call) {
  return t != nullptr && t->parked != nullptr &&
         interp::call_of(t->scheduler->ts, t->parked) == call;
}

// Whether the current tasklet stays mounted when `next` runs: another one has been frozen for that, or there is to
// be somebody at its call with whom others can trade.
bool stays_mounted(Scheduler* s, Tasklet* self, Tasklet* next) {
  if (s->left.sleep) {
    return false;
  }
  bool traded = next->frozen != nullptr && trade_for_seat(s, next);
  const void* call = self->stack != nullptr ? interp::call_of(s->ts, nullptr) : nullptr;
  if (!traded &&
      (call == nullptr || sits_at(s->stacks.seats.at(call), call) || !make_room(s, next))) {
    return false;
  }
  if (call != nullptr) {
    s->stacks.seats.sit_down(call, self);
  }
  return true;
}

}  // namespace

// It may not return: AddressSanitizer would leave red zones on the stack.
[[gnu::no_sanitize_address]] bool freeze_and_leave(Scheduler* s, Tasklet* self, Tasklet* next,
                                                   interp::CallMark mark, Object* result) {
  check_decision(s);  // freezing moves the data stack
  if (!s->exception_state->is_empty()) {
    return false;  // C++ code handles an exception on this stack
  }
  if (wait_alike(s, next) && trade(s, self, next, mark, result)) {
    return true;
  }
  if (stays_mounted(s, self, next)) {
    return false;
  }
  switch (freeze(self, nullptr, true, mark)) {
    case Success::pinned:
      return false;
    case Success::unwound:
      start_unwinding(s, self, next);
      *result = claim(self);
      return true;
    case Success::frozen:
      break;
  }
  leave_arguments(s, self);
  s->current = next;
  ++s->counts.switches;
  constexpr std::ptrdiff_t callees = 4096;  // what has been called to get here
  release_stack(self, static_cast<char*>(__builtin_frame_address(0)) - callees);
  if (next->parked != nullptr) {
    interp::leave_to(next->parked);
  }
  interp::leave_to_start(next->stack, tasklet_entry);
}

namespace {

// Whether `next` can be switched to as was decided. One that isn't in the ring asks for itself (freeze_tasklet()).
bool is_meant(const Scheduler* s, const Tasklet* next) {
  return next == s->unwinding.by || (next->place == Place::ring && next->scheduler == s);
}

}  // namespace

Tasklet* finish_freezing(Scheduler* s, Tasklet* self) {
  Object deferred = Object::steal(interp::finish_merge(s->ts, self->frozen));
  allow_switching(s);
  Object withheld = std::move(s->unwinding.mail);
  if (!self->tempval) {
    self->tempval = std::move(withheld);
  }
  self->parked = nullptr;
  s->stacks.seats.leave(self);
  self->stack = nullptr;
  s->left.drop_later(std::move(deferred));
  Tasklet* next = std::exchange(s->unwinding.next, nullptr);
  // Destructors have run meanwhile, and may have changed what the decision rested on.
  return s->left.sleep || is_meant(s, next) ? next : successor(s, nullptr);
}

int init_unwinding() {
  unwinding_bomb = make_bomb(Object::share(interp::unwinding_exception())).release();
  return unwinding_bomb != nullptr ? 0 : -1;
}

Object run_thawed(Scheduler* s, Tasklet* self, interp::Frozen* frozen) {
  ++s->counts.thaws;
  self->arguments.reset();
  // A call that is made once more needs its operands, which no pickle has.
  if (runtime->torture != nullptr && self->completion != Completion::again) [[unlikely]] {
    frozen = runtime->torture(s, self, frozen);
    if (frozen == nullptr) {
      return nullptr;
    }
  }
  return Object::steal(interp::thaw(s->ts, frozen, finish_call));
}
}  // namespace stackless
