// Waiting with nothing runnable: for descriptors, timers, other threads and signals.
#include "runtime/scheduler/idle.hpp"

#include <cerrno>

#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/callbacks.hpp"
#include "runtime/scheduler/deadlock.hpp"
#include "runtime/scheduler/signal_pipe.hpp"

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

namespace {

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
  s->sleeping = true;
  s->helpless = deadline != 0 && !s->anybody_waits() && known == 0;
  if (s->helpless) {
    notice_ends_of_other_threads(s);
  }
  if (deadline != 0 && s->ring.size() > known) {
    s->sleeping = s->helpless = false;
    return 0;
  }
  Py_BEGIN_ALLOW_THREADS
  *events = s->poller.wait(deadline, nullptr);
  Py_END_ALLOW_THREADS
  s->sleeping = s->helpless = false;
  s->poller.dispatch(*events);
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
  if (to_be_told && s->poller.poll(0, nullptr) > 0) {
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
  return io_waits > 0 || timers.any([](core::Timer* timer) {
    return static_cast<Alarm*>(timer)->sleeper->blocked();
  });
}

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
    bool hopeful = s->anybody_waits() ||
                   ((!floating || s->mode == RunMode::threadblock) && others_may_wake(s));
    if (!hopeful) {
      if (floating) {
        insert(self);
        return self;
      }
      exception = deadlock_report(s, self);
      break;
    }
    if (sleep_once(s, s->timers.empty() ? forever : s->timers.earliest_deadline(), 0) < 0) {
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
  return sleep_once(s, deadline, 1);  // the caller is runnable
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
  Ref<Tasklet> reference = std::move(wait->tasklet);
  if (wait->ends_alone) {
    delete wait;
  }
  return reference;
}

void rewatch(Scheduler* s) {
  close_signal_pipe();
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
