#include "runtime/scheduler/who_runs_next.hpp"
#include "runtime/scheduler/decided.hpp"

#include "runtime/scheduler/alarms.hpp"
#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/callbacks.hpp"
#include "runtime/scheduler/deadlock.hpp"
#include "runtime/scheduler/giving_way.hpp"
#include "runtime/scheduler/idle.hpp"
#include "runtime/scheduler/mounting.hpp"
#include "runtime/scheduler/switching.hpp"

namespace stackless {

namespace {

Decision decide_without_ring(const Scheduler* s, bool ending) {
  Tasklet* caller = innermost_run(s);
  bool stuck = caller->blocked();  // a main tasklet, outside of run()
  if (s->runs.mode != RunMode::pump) {
    if (s->anybody_waits()) {
      return {Turn::sleep, caller};
    }
    bool threadblock = s->runs.mode == RunMode::threadblock;
    if ((ending ? threadblock && !stuck : threadblock || stuck) && others_may_wake(s)) {
      return {Turn::sleep, caller};
    }
  }
  return {stuck ? Turn::deadlock : Turn::caller, caller};
}

}  // namespace

Decision decide(const Scheduler* s, Tasklet* head, bool ending) {
  return head != nullptr ? Decision{Turn::run, head} : decide_without_ring(s, ending);
}

namespace {

// The decision as things are now.
Decision as_it_stands(Scheduler* s, Tasklet* wanted, bool ending) {
  if (wanted != nullptr && wanted->place == Place::ring && wanted->scheduler == s) {
    return {Turn::run, wanted != s->current ? wanted : wanted->next};
  }
  return decide(s, s->ring.head(), ending);
}

bool is_to_be_told(const Scheduler* s, const Decision& decision) {
  return (s->attention & Scheduler::callback) != 0 && decision.turn != Turn::deadlock &&
         decision.who != s->current;
}

}  // namespace

namespace {

Decision settle_with_attention(Scheduler* s, Tasklet* wanted, bool ending) {
  if ((s->attention & Scheduler::waiters) != 0) {
    poll_now_and_then(s);
  }
  Decision decision = as_it_stands(s, wanted, ending);
  for (std::size_t times = s->ring.size(); is_to_be_told(s, decision);) {
    Tasklet* told = decision.who;
    // The callback may drop the last reference, and a new tasklet might come to lie at the same address.
    s->left.drop_later(Object::share(as_object(told)));
    notify_switch(s, s->current, told);
    decision = as_it_stands(s, wanted, ending);
    if (decision.who == told || times <= 1) {
      break;
    }
    --times;
  }
  if (decision.turn == Turn::run) {
    decision.who = next_or_told(s, decision.who);
  }
  note_decision(s);
  return decision;
}

}  // namespace

Decision settle(Scheduler* s, Tasklet* wanted, bool ending) {
  if (s->attention == 0) [[likely]] {
    Decision decision = as_it_stands(s, wanted, ending);
    if (decision.turn != Turn::run || decision.who->parked != nullptr ||
        decision.who->stack != nullptr || ending) {
      note_decision(s);
      return decision;
    }
  }
  return settle_with_attention(s, wanted, ending);
}

Decision sleep(Scheduler* s, Tasklet* self) {
  forget_decision(s);
  Tasklet* next = idle(s, self);
  s->ring.rotate_to(next);
  return next == self ? Decision{Turn::run, self} : settle(s, next);
}

bool may_block(Scheduler* s) {
  Tasklet* self = s->current;
  if (!arm_overdue(self)) {
    return false;
  }
  Decision decision = decide(s, self->next != self ? self->next : nullptr);
  // Whoever is stuck gets the report of a deadlock, which takes no switch.
  return !giving_way_would_fail(s, decision.turn != Turn::deadlock ? decision.who : self);
}

bool may_wait(Scheduler* s) {
  if (!arm_overdue(s->current)) {
    return false;
  }
  Tasklet* next = s->current->next;
  return !giving_way_would_fail(s, next != s->current ? next : innermost_run(s));
}

namespace {

// The current tasklet stays: it is, or becomes, the head of the ring.
Object stay(Scheduler* s) {
  Tasklet* self = s->current;
  make_runnable(self);
  s->ring.rotate_to(self);
  return claim(settle_left(s));
}

// What is left where nobody can ever wake the current tasklet; null, without an exception, if somebody has done so
// while the report was written.
Object report_deadlock(Scheduler* s) {
  Tasklet* self = s->current;
  Object report;
  {
    Locked locked(s);  // names are looked up, and reprs made
    report = deadlock_report(s, self);
  }
  if (self->place == Place::ring) {
    s->left.drop_later(std::move(report));
    return nullptr;
  }
  forget_decision(s);
  make_runnable(self);
  s->ring.rotate_to(self);
  put_mail(s, self, nullptr);
  settle_left(s);
  return report;
}

enum class Returns { mail, mail_or_self };

// Suspends the current tasklet, in the call with `mark`, for `wanted` or whose turn it is. This is the one way of
// giving way; all that is faster is a branch of it, taken where nothing of this would have anything to do.
Object give_way(Scheduler* s, Tasklet* wanted, interp::CallMark mark,
                Returns returns = Returns::mail) {
  Tasklet* self = s->current;
  Decision decision = settle(s, wanted);
  while (decision.who == self && decision.turn == Turn::sleep) {
    decision = sleep(s, self);
  }
  if (decision.turn == Turn::deadlock) {
    if (Object report = report_deadlock(s)) {
      restore_exception(std::move(report));
      return nullptr;
    }
    return stay(s);
  }
  Tasklet* next = decision.who;
  if (next != self) {
    if (decision.turn == Turn::sleep) {
      s->left.sleep_later();
    } else {
      if (decision.turn == Turn::caller && self->tempval && is_bomb(self->tempval.get())) {
        // The original passes an exception, and nothing else, on to whom it wakes.
        put_mail(s, next, Object(self->tempval));
      }
      make_runnable(next);
      s->ring.rotate_to(next);
    }
    if (Object result; (s->attention & Scheduler::crowded) != 0 &&
                       freeze_and_leave(s, self, next, mark, &result)) {
      return result;
    }
    self = run_other(s, self, next, mark);
  } else {
    make_runnable(self);
    s->ring.rotate_to(self);
    self = settle_left(s);
  }
  if (returns == Returns::mail_or_self && !self->tempval) {
    return Object::share(as_object(self));  // the default, resolved late: no cycle meanwhile
  }
  return claim(self);
}

}  // namespace

Object block(Scheduler* s, interp::CallMark mark) {
  note_depth(s->current);
  return give_way(s, nullptr, mark);
}

Object hand_over(Scheduler* s, Tasklet* next, interp::CallMark mark) {
  if (next == s->current) {
    return stay(s);
  }
  make_runnable(next);
  return give_way(s, next, mark);
}

Object schedule(Scheduler* s, PyObject* value, interp::CallMark mark) {
  Tasklet* self = s->current;
  if ((s->attention & Scheduler::waiters) != 0) [[unlikely]] {
    poll_now_and_then(s);
  }
  if (giving_way_would_fail(s, self->next)) {
    return nullptr;
  }
  put_mail(s, self, Object::share(value));
  return give_way(s, self, mark, Returns::mail_or_self);
}

Object schedule_remove(Scheduler* s, PyObject* value, interp::CallMark mark) {
  Tasklet* self = s->current;
  if (!may_block(s)) {
    return nullptr;
  }
  put_mail(s, self, Object::share(value));
  s->left.drop_later(Object::steal(unlink(self).release_object()));
  Object result = block(s, mark);
  if (value == nullptr && result && result.get() == Py_None) {
    return Object::share(as_object(self));
  }
  return result;
}

Tasklet* successor(Scheduler* s, Tasklet* told) {
  for (;;) {
    Decision decision = settle(s, told, true);
    switch (decision.turn) {
      case Turn::run:
        break;
      case Turn::sleep:
        s->left.sleep_later();
        return decision.who;
      case Turn::caller:
        make_runnable(decision.who);
        break;
      case Turn::deadlock: {
        told = decision.who;
        Object report;
        {
          Locked locked(s);
          report = lonely_main_report(s, told);
        }
        if (told->blocked()) {
          explode_in(s, told, std::move(report));
          make_runnable(told);
        }
        continue;
      }
    }
    s->ring.rotate_to(decision.who);
    return decision.who;
  }
}

}  // namespace stackless
