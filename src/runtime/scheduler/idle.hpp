// Waiting with nothing runnable: for descriptors, timers, other threads and signals.
#pragma once

#include "runtime/scheduler/blocker.hpp"
#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

// idle() waits, on the stack of the run() caller or blocked main, until a tasklet is runnable, and
// returns it (the caller itself if an exception came up or there is nothing left to wait for).
Tasklet* idle(Scheduler* s, Tasklet* self);
// poll_now_and_then() wakes whom descriptors and timers say, without waiting, once in a while: so
// that those who are always runnable don't starve those who wait.
void poll_now_and_then(Scheduler* s);
// poll_for() does so now, and waits `max_wait` at most for something to happen; -1 with an exception
// set by a signal handler, or OSError.
int poll_for(Scheduler* s, core::Nanoseconds max_wait);

// update_waiters() notes whether somebody waits for I/O or time.
void update_waiters(Scheduler* s);
// open_poller() opens the scheduler's poller, if it isn't; -1 with OSError set.
int open_poller(Scheduler* s);
std::nullptr_t raise_os_error(int error);
// finish_wait() makes the one who waits runnable.
void finish_wait(Wait* wait, Outcome outcome);
// rewatch() registers every descriptor waited for anew, in a forked child's new poller.
void rewatch(Scheduler* s);

}  // namespace stackless
