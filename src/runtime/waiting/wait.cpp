#include "runtime/waiting/wait.hpp"

#include <cmath>
#include <memory>
#include <new>

#include "runtime/scheduler/giving_way.hpp"
#include "runtime/scheduler/idle.hpp"
#include "runtime/scheduler/mounting.hpp"
#include "runtime/scheduler/who_runs_next.hpp"

namespace stackless {

namespace {

constexpr core::Nanoseconds second = 1'000'000'000;

void time_out(Alarm* alarm, Scheduler*) {
  finish_wait(static_cast<Wait*>(alarm), Outcome::timed_out);
}

}  // namespace

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
  if (!s->sleep.timers.push(wait, deadline)) {
    PyErr_NoMemory();
    return false;
  }
  return true;
}

// A wait that nobody keeps.
struct Nap final : Wait {
  Ref<Tasklet> cancel(Tasklet* waiter) noexcept override {
    Ref<Tasklet> reference = Wait::cancel(waiter);
    delete this;
    return reference;
  }
};

// Suspends the current tasklet on `wait`, whose descriptor, if any, is watched already.
int suspend_on(Scheduler* s, Wait* wait, int fd, core::Direction direction) {
  Tasklet* self = s->current;
  put_mail(s, self, nullptr);
  wait->tasklet = unlink(self);
  self->place = Place::blocked;
  self->blocked_on = wait;
  wait->for_io = fd >= 0;
  if (wait->for_io) {
    s->sleep.poller.wait_for(wait, fd, direction);
    wait->prev_wait = nullptr;
    wait->next_wait = s->sleep.first_wait;
    if (s->sleep.first_wait != nullptr) {
      s->sleep.first_wait->prev_wait = wait;
    }
    s->sleep.first_wait = wait;
    ++s->sleep.io_waits;
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

int wait_for_io(Scheduler* s, Operation* operation, int fd, core::Direction direction,
                core::Nanoseconds deadline, bool fresh) {
  if (trapped(s->current) || open_poller(s) < 0) {
    return -1;
  }
  if (int error = s->sleep.poller.watch(fd, fresh); error != 0) {
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
  std::unique_ptr<Nap> wait(new (std::nothrow) Nap);
  if (wait == nullptr) {
    PyErr_NoMemory();
    return -1;
  }
  wait->mark = mark;
  if (!set_timer(s, wait.get(), deadline)) {
    return -1;
  }
  return suspend_on(s, wait.release(), -1, core::Direction::read);
}

void forget_descriptor(int fd) {
  for (Scheduler* s = runtime->schedulers; s != nullptr; s = s->next) {
    if (s->sleep.poller.is_open()) {
      s->sleep.poller.forget(fd, [](core::PollWaiter* waiter) {
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

}  // namespace stackless
