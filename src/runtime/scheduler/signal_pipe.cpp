#include "runtime/scheduler/signal_pipe.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/scheduler/idle.hpp"

namespace stackless {

namespace {

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

}  // namespace

void close_signal_pipe() noexcept { signal_pipe.close(); }

int open_signal_pipe(Scheduler* s) {
  if (signal_pipe.read_end < 0) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
      raise_os_error(errno);
      return -1;
    }
    signal_pipe = {ends[0], ends[1]};
  }
  if (int error = s->sleep.poller.watch(signal_pipe.read_end, false); error != 0) {
    raise_os_error(error);
    return -1;
  }
  return 0;
}

namespace {

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

}  // namespace

SignalsAnnounced::SignalsAnnounced(Scheduler* s)
    : scheduler_(s), before_(set_wakeup_fd(signal_pipe.write_end)) {}

SignalsAnnounced::~SignalsAnnounced() {
  KeepException pending;
  set_wakeup_fd(before_);
  if (scheduler_->sleep.poller.is_quiet(signal_pipe.read_end, core::Direction::read)) {
    return;
  }
  scheduler_->sleep.poller.expect_edge(signal_pipe.read_end, core::Direction::read);
  char numbers[64];
  ssize_t count;
  while ((count = read(signal_pipe.read_end, numbers, sizeof numbers)) > 0) {
    if (before_ >= 0) {
      [[maybe_unused]] ssize_t told = write(before_, numbers, static_cast<std::size_t>(count));
    }
  }
}

}  // namespace stackless
