// Waiting with nothing runnable: for descriptors, timers, other threads and signals.
#include "runtime/scheduler/idle.hpp"

#include <cerrno>

#include "runtime/scheduler/alarms.hpp"
#include "runtime/scheduler/callbacks.hpp"
#include "runtime/scheduler/deadlock.hpp"
#include "runtime/scheduler/giving_way.hpp"
#include "runtime/scheduler/signal_pipe.hpp"
#include "runtime/scheduler/who_runs_next.hpp"

namespace stackless {

void update_waiters(Scheduler* s) {
  if (s->has_waiters()) {
    s->attention |= Scheduler::waiters;
  } else {
    s->attention &= ~Scheduler::waiters;
  }
}

std::nullptr_t raise_os_error(int error) {
  errno = error;
  PyErr_SetFromErrno(PyExc_OSError);
  return nullptr;
}

int open_poller(Scheduler* s) {
  if (!s->sleep.poller.is_open()) {
    if (int error = s->sleep.poller.open(); error != 0) {
      raise_os_error(error);
      return -1;
    }
  }
  return 0;
}

void finish_wait(Wait* wait, Outcome outcome) {
  wait->outcome = outcome;
  insert_owned(wait->cancel(wait->tasklet.get()));
}

namespace {

void wake_ready(Scheduler* s) {
  while (core::PollWaiter* waiter = s->sleep.poller.next_ready()) {
    finish_wait(static_cast<Wait*>(waiter), Outcome::ready);
  }
}

// Looks at descriptors until nothing is new, for a look takes a limited number of events.
void look_at_descriptors(Scheduler* s) {
  constexpr int most = 1000;  // who is flooded has to get to work, too
  for (int i = 0; i < most && s->sleep.io_waits > 0 && s->sleep.poller.poll(0, nullptr) > 0; ++i) {
    wake_ready(s);
  }
}

// What is ready beats what is due, however late we look: before an alarm goes off, whoever has been answered in time is
// out of its reach.
void fire_due(Scheduler* s) {
  core::TimerQueue& timers = s->sleep.timers;
  core::Nanoseconds now = timers.empty() ? 0 : core::monotonic_now();
  if (timers.empty() || timers.earliest_deadline() > now) {
    return;
  }
  look_at_descriptors(s);
  NoCollection hush;  // exceptions are made
  while (core::Timer* timer = timers.pop_due(now)) {
    auto* alarm = static_cast<Alarm*>(timer);
    alarm->fire(alarm, s);
  }
  update_waiters(s);
}

int run_signal_handlers(Scheduler* s) {
  Locked locked(s);
  return PyErr_CheckSignals();
}

// Waits without the GIL, unless the ring holds more than `known` tasklets by then.
int sleep_without_gil(Scheduler* s, core::Nanoseconds deadline, std::size_t known, int* events) {
  *events = 0;
  if (run_signal_handlers(s) < 0) {
    return -1;
  }
  // A look at the ring comes last: whatever ran Python code, or let go of the GIL, may have filled it.
  // From `sleeping` on, who fills it wakes us.
  s->sleep.asleep = true;
  s->sleep.helpless = deadline != 0 && !s->anybody_waits() && known == 0;
  if (s->sleep.helpless) {
    notice_ends_of_other_threads(s);
  }
  if (deadline != 0 && s->ring.size() > known) {
    s->sleep.asleep = s->sleep.helpless = false;
    return 0;
  }
  Py_BEGIN_ALLOW_THREADS
  *events = s->sleep.poller.wait(deadline, nullptr);
  Py_END_ALLOW_THREADS
  s->sleep.asleep = s->sleep.helpless = false;
  s->sleep.poller.dispatch(*events);
  return 0;
}

// Waits until a descriptor, a timer, another thread or a signal has something for us, at most until
// `deadline`, or finds more than `known` tasklets in the ring; -1 with an exception set.
int sleep_once(Scheduler* s, core::Nanoseconds deadline, std::size_t known) {
  if (open_poller(s) < 0) {
    return -1;
  }
  int events, result;
  // Only the main thread runs Python's signal handlers, and has to be told of them. That costs some
  // system calls, which a thread with something to do can spare.
  bool to_be_told = s->thread_id == runtime->main_thread && deadline != 0;
  if (to_be_told && s->sleep.poller.poll(0, nullptr) > 0) {
    result = events = 0;
  } else if (to_be_told) {
    if (open_signal_pipe(s) < 0) {
      return -1;
    }
    SignalsAnnounced announced(s);
    result = sleep_without_gil(s, deadline, known, &events);
  } else {
    result = sleep_without_gil(s, deadline, known, &events);
  }
  if (result < 0) {
    return -1;
  }
  if (events < 0 && events != -EINTR) {
    raise_os_error(-events);
    return -1;
  }
  wake_ready(s);
  fire_due(s);
  return run_signal_handlers(s);
}

}  // namespace

bool Scheduler::anybody_waits() const {
  return sleep.io_waits > 0 || sleep.replies > 0 || sleep.timers.any([](core::Timer* timer) {
    return static_cast<Alarm*>(timer)->sleeper->blocked();
  });
}

Tasklet* idle(Scheduler* s, Tasklet* self) {
  s->current = self;
  Object exception;
  while (!exception) {
    fire_due(s);
    Decision decision = decide(s, s->ring.head());
    switch (decision.turn) {
      case Turn::run:
        if (!switch_would_fail(s, decision.who)) {
          return decision.who;
        }
        exception = take_exception();
        break;
      case Turn::sleep: {
        core::TimerQueue& timers = s->sleep.timers;
        if (sleep_once(s, timers.empty() ? forever : timers.earliest_deadline(), 0) < 0) {
          exception = take_exception();
        }
        break;
      }
      case Turn::caller:
        insert(self);
        return self;
      case Turn::deadlock: {
        Locked locked(s);
        exception = deadlock_report(s, self);
        break;
      }
    }
  }
  explode_in(s, self, std::move(exception));
  make_runnable(self);
  return self;
}

void poll_now_and_then(Scheduler* s) {
  if (++s->sleep.rounds <= s->ring.size() || s->forbidden.locks > 0) {
    return;
  }
  s->sleep.rounds = 0;
  if (s->sleep.io_waits > 0) {
    s->sleep.poller.poll(0, nullptr);
    wake_ready(s);
  }
  fire_due(s);
}

int poll_for(Scheduler* s, core::Nanoseconds max_wait) {
  core::Nanoseconds deadline = max_wait > 0 ? core::monotonic_now() + max_wait : max_wait;
  if (deadline != 0 && !s->sleep.timers.empty() &&
      (deadline < 0 || s->sleep.timers.earliest_deadline() < deadline)) {
    deadline = s->sleep.timers.earliest_deadline();
  }
  return sleep_once(s, deadline, 1);  // the caller is runnable
}

Ref<Tasklet> Wait::cancel(Tasklet* waiter) noexcept {
  Scheduler* s = waiter->scheduler;
  if (armed()) {
    s->sleep.timers.remove(this);
  }
  if (for_io) {
    s->sleep.poller.cancel(this);
    (prev_wait != nullptr ? prev_wait->next_wait : s->sleep.first_wait) = next_wait;
    if (next_wait != nullptr) {
      next_wait->prev_wait = prev_wait;
    }
    --s->sleep.io_waits;
  }
  update_waiters(s);
  waiter->blocked_on = nullptr;
  waiter->place = Place::nowhere;
  return std::move(tasklet);
}

Object Wait::describe(Tasklet* waiter) {
  return Object::steal(PyUnicode_FromFormat("waiting%U", place_of(waiter).get()));
}

Blocker::Moved Wait::move(Scheduler* from, Scheduler* to) {
  if (for_io) {
    return Moved::again;
  }
  if (!move_alarm(this, from, to)) {
    PyErr_NoMemory();
    return Moved::failed;
  }
  return Moved::on;
}

void rewatch(Scheduler* s) {
  close_signal_pipe();
  if (s->sleep.first_wait == nullptr || open_poller(s) < 0) {
    PyErr_Clear();
    return;
  }
  for (Wait* wait = s->sleep.first_wait; wait != nullptr; wait = wait->next_wait) {
    int fd = wait->fd;
    s->sleep.poller.cancel(wait);
    if (s->sleep.poller.watch(fd, false) == 0) {
      s->sleep.poller.wait_for(wait, fd, wait->direction);
    }
  }
}
}  // namespace stackless
