#include "runtime/wait.hpp"

#include <signal.h>

#include <cerrno>
#include <cmath>

#include "runtime/bomb.hpp"
#include "runtime/callbacks.hpp"
#include "runtime/deadlock.hpp"

namespace stackless {

namespace {

constexpr core::Nanoseconds second = 1'000'000'000;

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
  if (!s->poller.is_open()) {
    if (int error = s->poller.open(); error != 0) {
      raise_os_error(error);
      return -1;
    }
  }
  return 0;
}

void finish_wait(Wait* wait, Outcome outcome) {
  wait->outcome = outcome;
  insert_owned(cancel_wait(wait->tasklet.get()));
}

void time_out(Alarm* alarm, Scheduler*) {
  finish_wait(static_cast<Wait*>(alarm), Outcome::timed_out);
}

void fire_due(Scheduler* s) {
  if (s->timers.empty()) {
    return;
  }
  core::Nanoseconds now = core::monotonic_now();
  while (core::Timer* timer = s->timers.pop_due(now)) {
    auto* alarm = static_cast<Alarm*>(timer);
    alarm->fire(alarm, s);
  }
  update_waiters(s);
}

void wake_ready(Scheduler* s) {
  while (core::PollWaiter* waiter = s->poller.next_ready()) {
    finish_wait(static_cast<Wait*>(waiter), Outcome::ready);
  }
}

// Blocks every signal while it lives, so that one that arrives between the last look at Python's
// handlers and the wait interrupts the wait: epoll_pwait() unblocks them atomically.
class SignalsHeld {
 public:
  explicit SignalsHeld(bool hold) noexcept : held_(hold) {
    if (held_) {
      sigset_t all;
      sigfillset(&all);
      pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
  }
  ~SignalsHeld() {
    if (held_) {
      pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }
  }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;
  const sigset_t* before() const noexcept { return held_ ? &before_ : nullptr; }

 private:
  bool held_;
  sigset_t before_;
};

int run_signal_handlers(Scheduler* s) {
  Locked locked(s);
  return PyErr_CheckSignals();
}

// Waits until a descriptor, a timer, another thread or a signal has something for us, at most until
// `deadline`; -1 with an exception set.
int sleep_once(Scheduler* s, core::Nanoseconds deadline) {
  if (open_poller(s) < 0) {
    return -1;
  }
  int events;
  {
    // Only the main thread runs Python's signal handlers.
    SignalsHeld held(s->thread_id == runtime->main_thread && deadline != 0);
    if (run_signal_handlers(s) < 0) {
      return -1;
    }
    if (!s->ring.empty() && deadline != 0 && s->ring.head() != s->current) {
      return 0;
    }
    s->sleeping = true;
    s->helpless = !s->has_waiters();
    Py_BEGIN_ALLOW_THREADS
    events = s->poller.wait(deadline, held.before());
    Py_END_ALLOW_THREADS
    s->sleeping = s->helpless = false;
  }
  if (events < 0 && events != -EINTR) {
    raise_os_error(-events);
    return -1;
  }
  s->poller.dispatch(events);
  wake_ready(s);
  fire_due(s);
  return run_signal_handlers(s);
}

}  // namespace

Tasklet* idle(Scheduler* s, Tasklet* self) {
  s->current = self;
  Object exception;
  for (;;) {
    fire_due(s);
    if (Tasklet* next = s->ring.head()) {
      if (!switch_would_fail(s, next)) {
        return next;
      }
      exception = take_exception();
      break;
    }
    bool floating = self->place == Place::nowhere;
    bool hopeful = s->has_waiters() || ((!floating || s->mode == RunMode::threadblock) &&
                                        others_may_wake(s));
    if (!hopeful) {
      if (floating) {
        insert(self);
        return self;
      }
      exception = deadlock_report(s, self);
      break;
    }
    if (sleep_once(s, s->timers.empty() ? forever : s->timers.earliest_deadline()) < 0) {
      exception = take_exception();
      break;
    }
  }
  make_runnable(self);
  if (exception) {
    self->tempval = make_bomb(std::move(exception));
  }
  return self;
}

void poll_now_and_then(Scheduler* s) {
  if (++s->rounds <= s->ring.size() || s->locked > 0) {
    return;
  }
  s->rounds = 0;
  fire_due(s);
  if (s->io_waits > 0) {
    s->poller.poll(0, nullptr);
    wake_ready(s);
  }
}

int poll_for(Scheduler* s, core::Nanoseconds max_wait) {
  core::Nanoseconds deadline = max_wait > 0 ? core::monotonic_now() + max_wait : max_wait;
  if (deadline != 0 && !s->timers.empty() &&
      (deadline < 0 || s->timers.earliest_deadline() < deadline)) {
    deadline = s->timers.earliest_deadline();
  }
  return sleep_once(s, deadline);
}

Ref<Tasklet> cancel_wait(Tasklet* tasklet) {
  Scheduler* s = tasklet->scheduler;
  Wait* wait = tasklet->wait;
  if (wait->alarm_set()) {
    s->timers.remove(wait);
  }
  if (wait->for_io) {
    s->poller.cancel(wait);
    (wait->prev_wait != nullptr ? wait->prev_wait->next_wait : s->first_wait) = wait->next_wait;
    if (wait->next_wait != nullptr) {
      wait->next_wait->prev_wait = wait->prev_wait;
    }
    --s->io_waits;
  }
  update_waiters(s);
  tasklet->wait = nullptr;
  tasklet->place = Place::nowhere;
  return std::move(wait->tasklet);
}

namespace {

bool trapped(Tasklet* self) {
  if (self->block_trap) {
    raise(PyExc_RuntimeError, "this tasklet does not like to be blocked.");
    return true;
  }
  return false;
}

// Suspends the current tasklet on `wait`, whose descriptor, if any, is watched already.
int suspend_on(Scheduler* s, Wait* wait, int fd, core::Direction direction,
               core::Nanoseconds deadline) {
  Tasklet* self = s->current;
  if (deadline != forever) {
    wait->fire = time_out;
    if (!s->timers.push(wait, deadline)) {
      PyErr_NoMemory();
      return -1;
    }
  }
  Object replaced = std::exchange(self->tempval, Object());
  wait->tasklet = unlink(self);
  self->place = Place::waiting;
  self->wait = wait;
  if (fd >= 0) {
    wait->for_io = true;
    s->poller.wait_for(wait, fd, direction);
    wait->next_wait = s->first_wait;
    if (s->first_wait != nullptr) {
      s->first_wait->prev_wait = wait;
    }
    s->first_wait = wait;
    ++s->io_waits;
  }
  s->attention |= Scheduler::waiters;
  return block(s) ? 0 : -1;
}

}  // namespace

int wait_for_io(Scheduler* s, int fd, core::Direction direction, core::Nanoseconds deadline,
                bool fresh, Outcome* outcome) {
  if (trapped(s->current) || open_poller(s) < 0) {
    return -1;
  }
  if (int error = s->poller.watch(fd, fresh); error != 0) {
    if (error == EPERM) {  // a regular file: always ready
      *outcome = Outcome::ready;
      return 0;
    }
    raise_os_error(error);
    return -1;
  }
  if (!may_wait(s)) {
    return -1;
  }
  Wait wait;
  int result = suspend_on(s, &wait, fd, direction, deadline);
  *outcome = wait.outcome;
  return result;
}

int sleep_until(Scheduler* s, core::Nanoseconds deadline) {
  if (trapped(s->current) || !may_wait(s)) {
    return -1;
  }
  Wait wait;
  return suspend_on(s, &wait, -1, core::Direction::read, deadline);
}

void forget_descriptor(int fd) {
  for (Scheduler* s = runtime->schedulers; s != nullptr; s = s->next) {
    if (s->poller.is_open()) {
      s->poller.forget(fd, [](core::PollWaiter* waiter) {
        finish_wait(static_cast<Wait*>(waiter), Outcome::ready);
      });
    }
  }
}

core::Nanoseconds parse_timeout(PyObject* seconds, const char* what) {
  if (seconds == nullptr || seconds == Py_None) {
    return forever;
  }
  double value = PyFloat_AsDouble(seconds);
  if (value == -1.0 && PyErr_Occurred()) {
    return -2;
  }
  if (std::isnan(value) || value < 0.0) {
    PyErr_Format(PyExc_ValueError, "%s must be a non-negative number", what);
    return -2;
  }
  // 292 years are for ever.
  if (value > 9e9) {
    return forever;
  }
  return core::monotonic_now() + static_cast<core::Nanoseconds>(value * second);
}

int set_alarm(Scheduler* s, Alarm* alarm, core::Nanoseconds deadline) {
  if (!s->timers.push(alarm, deadline)) {
    PyErr_NoMemory();
    return -1;
  }
  s->attention |= Scheduler::waiters;
  return 0;
}

void cancel_alarm(Scheduler* s, Alarm* alarm) {
  if (alarm->alarm_set()) {
    s->timers.remove(alarm);
    update_waiters(s);
  }
}

void rewatch(Scheduler* s) {
  if (s->first_wait == nullptr || open_poller(s) < 0) {
    PyErr_Clear();
    return;
  }
  for (Wait* wait = s->first_wait; wait != nullptr; wait = wait->next_wait) {
    int fd = wait->fd;
    s->poller.cancel(wait);
    if (s->poller.watch(fd, false) == 0) {
      s->poller.wait_for(wait, fd, wait->direction);
    }
  }
}

}  // namespace stackless
