#include "runtime/freezing/freezing.hpp"

#include "object/no_collection.hpp"
#include "runtime/scheduler/alarms.hpp"
#include "runtime/scheduler/mounting.hpp"

#include <memory>

#include "interp/freezing/freeze.hpp"
#include "interp/freezing/merge_loops.hpp"
#include "interp/freezing/swap_places.hpp"
#include "interp/freezing/thaw.hpp"
#include "interp/switching/switch.hpp"
#include "runtime/channel/channel.hpp"
#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/callbacks.hpp"
#include "runtime/scheduler/operation.hpp"
#include "runtime/scheduler/switching.hpp"

namespace stackless {

bool freeze_tasklet(Tasklet* t) {
  if (t->frozen != nullptr) {
    return true;
  }
  interp::Parked* parked = t->parked;
  if (parked == nullptr) {
    return false;
  }
  KeepException pending;
  Success success;
  {
    NoCollection undisturbed;
    success = freeze(t, parked);
  }
  switch (success) {
    case Success::pinned:
      return false;
    case Success::frozen:
      release_stack(t, parked->stack_pointer);
      return true;
    case Success::unwound: {
      Scheduler* s = t->scheduler;
      Tasklet* self = s->current;
      // What `self` has been left to do, and what it is left to drop by `t`, are two things.
      LeftToDo mine = std::exchange(s->left, {});
      Tasklet* outer = std::exchange(s->unwinding.by, self);
      start_unwinding(s, t, self);
      switch_stacks(s, self, t, {});
      s->unwinding.by = outer;
      std::swap(s->left, mine);
      return true;
    }
  }
  return false;
}

bool is_pinned(const Tasklet* t) {
  if (t->frozen != nullptr) {
    return false;
  }
  interp::Halt halt;
  return t->parked == nullptr || find_completion(t, t->parked, &halt) == Completion::none;
}

bool is_left_to_its_thread(const Tasklet* t) {
  interp::Halt halt;
  return t->scheduler != this_scheduler && t->parked != nullptr &&
         find_completion(t, t->parked, &halt) != Completion::none && halt.merges;
}

namespace {

void change_scheduler(Tasklet* t, Scheduler* target) {
  if (t->started) {
    remove_started(t);
  }
  add_reference(target);
  remove_reference(std::exchange(t->scheduler, target));
  if (t->started) {
    add_started(t);
  }
}

}  // namespace

bool move_to(Tasklet* t, Scheduler* target) {
  Scheduler* home = t->scheduler;
  if (t->stack != nullptr) {
    home->stacks.pool.release(std::exchange(t->stack, nullptr));
  }
  if (!move_alarms(t, home, target)) {
    return false;
  }
  Ref<Tasklet> woken;
  if (t->blocked()) {
    switch (t->blocked_on->move(home, target)) {
      case Blocker::Moved::on:
        break;
      case Blocker::Moved::again:
        woken = t->blocked_on->cancel(t);
        break;
      case Blocker::Moved::failed:
        move_alarms(t, target, home);
        return false;
    }
  }
  change_scheduler(t, target);
  if (woken) {
    insert_owned(std::move(woken));
  }
  return true;
}

bool drop_frames(Tasklet* t) {
  if (t->frozen == nullptr && !freeze_tasklet(t)) {
    return false;
  }
  remove_started(t);
  t->started = false;
  // The tasklet is over before the first destructor looks, which may bind it anew.
  interp::Frozen* frozen = std::exchange(t->frozen, nullptr);
  std::unique_ptr<Operation> operation(std::exchange(t->operation, nullptr));
  forget_function(t);
  interp::drop(frozen);
  return true;
}

}  // namespace stackless
