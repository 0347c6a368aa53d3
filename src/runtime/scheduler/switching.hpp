// The hot path of a switch, inline (interp/switch.hpp says why).
#pragma once

#include "interp/switching/switch.hpp"
#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/decided.hpp"
#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

// start_stack() switches to a tasklet that has not started yet and has been given a stack.
void start_stack(Scheduler* s, Tasklet* self, Tasklet* next, interp::CallMark mark);
// switch_while_handling() is switch_stacks() for a tasklet that waits while a C++ exception is being handled.
Tasklet* switch_while_handling(Scheduler* s, Tasklet* self, Tasklet* next, interp::CallMark mark);
// do_duties() sees to what was left for whoever runs next, waiting included, and returns who that is.
Tasklet* do_duties(Scheduler* s, Tasklet* self);
// explode_mail() raises what `bomb`, stolen, holds.
PyObject* explode_mail(PyObject* bomb);

// prefetch_ahead() has the memory of whoever is likely to run after `next` on its way meanwhile. Among
// thousands of tasklets nothing of theirs is in the cache any more, and each stack lies in a page,
// and in a page of page table, of its own: with 10,000 of them this makes a switch twice as fast.
[[gnu::always_inline]] inline void prefetch_ahead(const Scheduler* s, const Tasklet* next) {
  constexpr std::size_t few = 64;  // as many as the cache holds anyway
  constexpr int line = 64;
  if (s->ring.size() <= few || next->next == nullptr) [[likely]] {
    return;  // one that is switched to for another reason is in no ring
  }
  // Two ahead, since one slice is shorter than a walk of the page table. The object itself was asked
  // for at the last switch, by the next two lines.
  const Tasklet* after = next->next->next;
  __builtin_prefetch(after->next);
  __builtin_prefetch(&after->next->tempval);
  const auto* parked = reinterpret_cast<const char*>(after->parked);
  const auto* stack = reinterpret_cast<const char*>(after->stack);
  __builtin_prefetch(parked);
  __builtin_prefetch(parked + line);
  __builtin_prefetch(parked + 2 * line);
  __builtin_prefetch(parked + 3 * line);
  __builtin_prefetch(stack);
  __builtin_prefetch(stack + line);
}

// switch_stacks() gives `next` the processor until somebody switches back to the stack of `self`, which waits in
// the call with `mark`, and returns whose that is then: another one may have taken the seat (scheduler/seats.hpp).
[[gnu::always_inline]] inline Tasklet* switch_stacks(Scheduler* s, Tasklet* self, Tasklet* next,
                                                     interp::CallMark mark) {
  check_decision(s);
  if (!s->exception_state->is_empty()) [[unlikely]] {
    return switch_while_handling(s, self, next, mark);
  }
  s->current = next;
  ++s->counts.switches;
  prefetch_ahead(s, next);
  if (next->parked != nullptr) [[likely]] {
    interp::switch_to(s->ts, &self->parked, next->parked, mark);
  } else {
    start_stack(s, self, next, mark);
  }
  self = s->current;
  self->parked = nullptr;
  return self;
}

// run_other() is switch_stacks(), and whatever has been left to do for who runs next.
[[gnu::always_inline]] inline Tasklet* run_other(Scheduler* s, Tasklet* self, Tasklet* next,
                                                 interp::CallMark mark) {
  self = switch_stacks(s, self, next, mark);
  if (s->left.any) [[unlikely]] {
    return do_duties(s, self);
  }
  return self;
}

// can_run_at_once() is true if nothing but the switch itself stands between now and `next`.
inline bool can_run_at_once(const Scheduler* s, const Tasklet* next) {
  return s->attention == 0 && (next->parked != nullptr || next->stack != nullptr);
}

// take_mail() is claim() for the hot path: null with the bomb's exception set.
inline PyObject* take_mail(Tasklet* tasklet) {
  PyObject* mail = tasklet->tempval.release();
  if (mail == nullptr) {
    return Py_NewRef(Py_None);
  }
  return is_bomb(mail) ? explode_mail(mail) : mail;
}

}  // namespace stackless
