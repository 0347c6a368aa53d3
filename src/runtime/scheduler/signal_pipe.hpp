// The main thread's pipe by which a signal ends the wait for descriptors and timers.
#pragma once

#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

// open_signal_pipe() has the scheduler's poller watch the pipe; -1 with OSError set.
int open_signal_pipe(Scheduler* s);
// close_signal_pipe() is for a forked child, whose pipe would be its parent's.
void close_signal_pipe() noexcept;

// While it lives, signals are announced to our pipe (Modules/signalmodule.c, trip_signal()); what
// the program wants to be told at a descriptor of its own, it is told afterwards.
class SignalsAnnounced {
 public:
  explicit SignalsAnnounced(Scheduler* s);
  ~SignalsAnnounced();
  SignalsAnnounced(const SignalsAnnounced&) = delete;
  SignalsAnnounced& operator=(const SignalsAnnounced&) = delete;

 private:
  Scheduler* scheduler_;
  int before_;
};

}  // namespace stackless
