#include "runtime/scheduler/alarms.hpp"

#include <new>

#include "runtime/scheduler/idle.hpp"

namespace stackless {

namespace {

// The first alarm that a tasklet carries; the others follow by next_alarm.
Alarm** first_alarm(Tasklet* tasklet) {
  auto found = runtime->alarms.find(tasklet);
  return found != runtime->alarms.end() ? &found->second : nullptr;
}

bool arm(Scheduler* s, Alarm* alarm, core::Nanoseconds deadline) {
  if (!s->sleep.timers.push(alarm, deadline)) {
    PyErr_NoMemory();
    return false;
  }
  s->attention |= Scheduler::waiters;
  return true;
}

}  // namespace

bool carry_alarm(Tasklet* tasklet, Alarm* alarm, core::Nanoseconds deadline) {
  Alarm** first;
  try {
    first = &runtime->alarms[tasklet];
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
    return false;
  }
  alarm->sleeper = tasklet;
  alarm->next_alarm = std::exchange(*first, alarm);
  if (deadline != forever && !arm(tasklet->scheduler, alarm, deadline)) {
    drop_alarm(alarm);
    return false;
  }
  return true;
}

void drop_alarm(Alarm* alarm) noexcept {
  Tasklet* tasklet = std::exchange(alarm->sleeper, nullptr);
  Scheduler* s = tasklet->scheduler;
  if (alarm->armed()) {
    s->sleep.timers.remove(alarm);
    update_waiters(s);
  }
  alarm->overdue = false;
  Alarm** place = first_alarm(tasklet);
  Alarm** first = place;
  while (*place != alarm) {
    place = &(*place)->next_alarm;
  }
  *place = std::exchange(alarm->next_alarm, nullptr);
  if (*first == nullptr) {
    runtime->alarms.erase(tasklet);
    tasklet->overdue = false;
  }
}

void postpone_alarm(Alarm* alarm) noexcept {
  alarm->overdue = true;
  alarm->sleeper->overdue = true;
}

bool arm_overdue(Tasklet* tasklet) {
  if (!tasklet->overdue) {
    return true;
  }
  for (Alarm* alarm = *first_alarm(tasklet); alarm != nullptr; alarm = alarm->next_alarm) {
    if (alarm->overdue) {
      if (!arm(tasklet->scheduler, alarm, alarm->deadline)) {
        return false;
      }
      alarm->overdue = false;
    }
  }
  tasklet->overdue = false;
  return true;
}

bool move_alarm(Alarm* alarm, Scheduler* from, Scheduler* to) noexcept {
  if (!alarm->armed()) {
    return true;
  }
  core::Nanoseconds deadline = alarm->deadline;
  from->sleep.timers.remove(alarm);
  bool moved = to->sleep.timers.push(alarm, deadline);
  if (!moved) {
    from->sleep.timers.push(alarm, deadline);  // whose room is still there
  }
  update_waiters(from);
  update_waiters(to);
  wake(to);
  return moved;
}

bool move_alarms(Tasklet* tasklet, Scheduler* from, Scheduler* to) {
  Alarm** first = first_alarm(tasklet);
  for (Alarm* alarm = first != nullptr ? *first : nullptr; alarm != nullptr;
       alarm = alarm->next_alarm) {
    if (!move_alarm(alarm, from, to)) {
      for (Alarm* moved = *first; moved != alarm; moved = moved->next_alarm) {
        move_alarm(moved, to, from);
      }
      PyErr_NoMemory();
      return false;
    }
  }
  return true;
}

}  // namespace stackless
