#include "runtime/waiting/wait.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <memory>
#include <new>

#include "runtime/freezing/freezing.hpp"
#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/callbacks.hpp"
#include "runtime/scheduler/deadlock.hpp"

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

// The main thread's pipe by which CPython's signal handler, in whichever thread the kernel runs it,
// ends the wait.
struct SignalPipe {
  int read_end = -1;
  int write_end = -1;
  void close() noexcept {
    if (read_end >= 0) {
      ::close(std::exchange(read_end, -1));
      ::close(std::exchange(write_end, -1));
    }
  }
} signal_pipe;

int open_signal_pipe(Scheduler* s) {
  if (signal_pipe.read_end < 0) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
      raise_os_error(errno);
      return -1;
    }
    signal_pipe = {ends[0], ends[1]};
  }
  if (int error = s->poller.watch(signal_pipe.read_end, false); error != 0) {
    raise_os_error(error);
    return -1;
  }
  return 0;
}

// signal.set_wakeup_fd(); returns the descriptor that was set before, or -1.
int set_wakeup_fd(int fd) {
  static PyObject* setter = nullptr;
  static PyObject* names = nullptr;
  if (setter == nullptr) {
    Object module = Object::steal(PyImport_ImportModule("_signal"));
    setter = module ? PyObject_GetAttrString(module.get(), "set_wakeup_fd") : nullptr;
    names = Py_BuildValue("(s)", "warn_on_full_buffer");
  }
  Object number = Object::steal(PyLong_FromLong(fd));
  PyObject* arguments[] = {number.get(), Py_False};
  Object before = setter != nullptr && names != nullptr && number
                      ? Object::steal(PyObject_Vectorcall(setter, arguments, 1, names))
                      : Object();
  if (!before) {
    PyErr_Clear();  // a descriptor that has been closed: then nobody listens there
    return -1;
  }
  return static_cast<int>(PyLong_AsLong(before.get()));
}

// While it lives, signals are announced to our pipe (Modules/signalmodule.c, trip_signal()); what
// the program wants to be told at a descriptor of its own, it is told afterwards.
class SignalsAnnounced {
 public:
  explicit SignalsAnnounced(Scheduler* s)
      : scheduler_(s), before_(set_wakeup_fd(signal_pipe.write_end)) {}
  ~SignalsAnnounced() {
    KeepException pending;
    set_wakeup_fd(before_);
    if (scheduler_->poller.is_quiet(signal_pipe.read_end, core::Direction::read)) {
      return;
    }
    scheduler_->poller.expect_edge(signal_pipe.read_end, core::Direction::read);
    char numbers[64];
    ssize_t count;
    while ((count = read(signal_pipe.read_end, numbers, sizeof numbers)) > 0) {
      if (before_ >= 0) {
        [[maybe_unused]] ssize_t told = write(before_, numbers, static_cast<std::size_t>(count));
      }
    }
  }
  SignalsAnnounced(const SignalsAnnounced&) = delete;
  SignalsAnnounced& operator=(const SignalsAnnounced&) = delete;

 private:
  Scheduler* scheduler_;
  int before_;
};

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

namespace {

// One of the tasklet's alarms in those timers; null if there is none.
Alarm* alarm_of(Tasklet* tasklet, const core::TimerQueue& timers) {
  Alarm* found = nullptr;
  bool any = timers.any([&](core::Timer* timer) {
    found = static_cast<Alarm*>(timer);
    return found->sleeper == tasklet;
  });
  return any ? found : nullptr;
}

// False if there is no memory for one of them.
bool move_between(Tasklet* tasklet, core::TimerQueue* from, core::TimerQueue* to) {
  while (Alarm* alarm = alarm_of(tasklet, *from)) {
    core::Nanoseconds deadline = alarm->deadline;
    from->remove(alarm);
    if (!to->push(alarm, deadline)) {
      from->push(alarm, deadline);  // whose room is still there
      return false;
    }
  }
  return true;
}

}  // namespace

bool move_alarms(Tasklet* tasklet, Scheduler* target) {
  Scheduler* home = tasklet->scheduler;
  bool moved = move_between(tasklet, &home->timers, &target->timers);
  if (!moved) {
    move_between(tasklet, &target->timers, &home->timers);
    PyErr_NoMemory();
  }
  update_waiters(home);
  update_waiters(target);
  wake(target);
  return moved;
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

namespace {

bool trapped(Tasklet* self) {
  if (self->block_trap) {
    raise(PyExc_RuntimeError, "this tasklet does not like to be blocked.");
    return true;
  }
  return false;
}

// Has `wait` end when the deadline comes.
bool set_timer(Scheduler* s, Wait* wait, core::Nanoseconds deadline) {
  if (deadline == forever) {
    return true;
  }
  wait->fire = time_out;
  wait->sleeper = s->current;
  if (!s->timers.push(wait, deadline)) {
    PyErr_NoMemory();
    return false;
  }
  return true;
}

// Suspends the current tasklet on `wait`, whose descriptor, if any, is watched already.
int suspend_on(Scheduler* s, Wait* wait, int fd, core::Direction direction) {
  Tasklet* self = s->current;
  self->tempval.reset();
  wait->tasklet = unlink(self);
  self->place = Place::waiting;
  self->wait = wait;
  wait->for_io = fd >= 0;
  if (wait->for_io) {
    s->poller.wait_for(wait, fd, direction);
    wait->prev_wait = nullptr;
    wait->next_wait = s->first_wait;
    if (s->first_wait != nullptr) {
      s->first_wait->prev_wait = wait;
    }
    s->first_wait = wait;
    ++s->io_waits;
  }
  s->attention |= Scheduler::waiters;
  return block(s, wait->mark) ? 0 : -1;
}

// The same for a call that keeps something.
int suspend_in(Scheduler* s, Operation* operation, core::Nanoseconds deadline, int fd,
               core::Direction direction) {
  operation->outcome = Outcome::ready;
  if (!set_timer(s, operation, deadline)) {
    return -1;
  }
  Tasklet* self = s->current;
  Operation* outer = std::exchange(self->operation, operation);
  int result = suspend_on(s, operation, fd, direction);
  if (!is_unwound(s)) {
    self->operation = outer;
  }
  return result;
}

}  // namespace

void drop_operation(Tasklet* tasklet) {
  if (Operation* operation = std::exchange(tasklet->operation, nullptr)) {
    KeepException pending;
    delete operation;
  }
}

int wait_for_io(Scheduler* s, Operation* operation, int fd, core::Direction direction,
                core::Nanoseconds deadline, bool fresh) {
  if (trapped(s->current) || open_poller(s) < 0) {
    return -1;
  }
  if (int error = s->poller.watch(fd, fresh); error != 0) {
    if (error == EPERM) {  // a regular file: always ready
      operation->outcome = Outcome::ready;
      return 0;
    }
    raise_os_error(error);
    return -1;
  }
  return may_wait(s) ? suspend_in(s, operation, deadline, fd, direction) : -1;
}

int sleep_until(Scheduler* s, core::Nanoseconds deadline, Operation* operation) {
  bool may = !trapped(s->current) && may_wait(s);
  return may ? suspend_in(s, operation, deadline, -1, core::Direction::read) : -1;
}

int sleep_until(Scheduler* s, core::Nanoseconds deadline, interp::CallMark mark) {
  if (trapped(s->current) || !may_wait(s)) {
    return -1;
  }
  std::unique_ptr<Wait> wait(new (std::nothrow) Wait);
  if (wait == nullptr) {
    PyErr_NoMemory();
    return -1;
  }
  wait->ends_alone = true;
  wait->mark = mark;
  if (!set_timer(s, wait.get(), deadline)) {
    return -1;
  }
  return suspend_on(s, wait.release(), -1, core::Direction::read);
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
  signal_pipe.close();
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
