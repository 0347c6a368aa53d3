// Alarms that a tasklet carries along, whatever it waits for: those of its `with timeout(...)` blocks.
#pragma once

#include "runtime/scheduler/blocker.hpp"

namespace stackless {

// carry_alarm() arms `alarm` in the timers of the tasklet's scheduler, for `deadline` (forever: not at all), and has
// it move along with the tasklet; false with MemoryError set. drop_alarm() ends that.
bool carry_alarm(Tasklet* tasklet, Alarm* alarm, core::Nanoseconds deadline);
void drop_alarm(Alarm* alarm) noexcept;

// postpone_alarm() keeps an alarm that has fired while its tasklet wasn't waiting until the tasklet next waits.
void postpone_alarm(Alarm* alarm) noexcept;
// arm_overdue() arms those again, of a tasklet that is about to wait; false with MemoryError set.
bool arm_overdue(Tasklet* tasklet);

// move_alarms() moves all of a tasklet's alarms from one thread's timers to another's; false, with MemoryError set and
// nothing moved, if there is no room. move_alarm() does so for one, armed or not, and sets no exception.
bool move_alarms(Tasklet* tasklet, Scheduler* from, Scheduler* to);
bool move_alarm(Alarm* alarm, Scheduler* from, Scheduler* to) noexcept;

}  // namespace stackless
