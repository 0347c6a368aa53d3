#include "io/call.hpp"
#include "runtime/scheduler/mounting.hpp"

#include <netinet/in.h>

namespace stackless {

int option(int fd, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, name, &value, &size) < 0 ? -1 : value;
}

PyObject* raise_errno(int error) {
  errno = error;
  return PyErr_SetFromErrno(PyExc_OSError);
}

bool parse_int(PyObject* object, Py_ssize_t* value) {
  *value = PyNumber_AsSsize_t(object, PyExc_OverflowError);
  return *value != -1 || !PyErr_Occurred();
}

bool parse_flags(PyObject* object, int* flags) {
  long value = PyLong_AsLong(object);
  if (value == -1 && PyErr_Occurred()) {
    return false;
  }
  *flags = static_cast<int>(value);
  if (*flags != value) {
    PyErr_SetString(PyExc_OverflowError, "flags do not fit into a C int");
    return false;
  }
  return true;
}

namespace {

// Waits for the descriptor. Returns 0, EBADF, EAGAIN if there is no time, or -1 with an exception set.
int wait_for_descriptor(Call* call, Direction direction) {
  Extra* extra = extra_of(call->self);
  if (extra->fd < 0) {
    return EBADF;
  }
  if (call->deadline == 0) {
    return EAGAIN;
  }
  Scheduler* s = scheduler();
  if (s == nullptr) {
    return -1;
  }
  bool fresh = watcher(extra) == nullptr;
  if (fresh) {
    extra->watched_by = s->ts->id;
    extra->tcp = option(extra->fd, SO_PROTOCOL) == IPPROTO_TCP;
  }
  int result = wait_for_io(s, call, extra->fd, direction, call->deadline, fresh);
  if (result < 0 && !is_left(s, call)) {
    extra->watched_by = nobody;  // it may have failed before the poller knew
  }
  return result;
}

}  // namespace

int wait_for_socket(Call* call, Direction direction) {
  if (!std::exchange(call->is_over, false)) {
    if (int error = wait_for_descriptor(call, direction); error != 0) {
      return error;
    }
  }
  if (call->outcome == Outcome::timed_out) {
    return EAGAIN;
  }
  return extra_of(call->self)->fd < 0 ? EBADF : 0;  // closed by another tasklet meanwhile
}

PyObject* raise_failed_wait(int error, Nanoseconds deadline) {
  if (error == EAGAIN && deadline != 0) {
    return raise(PyExc_TimeoutError, "timed out");
  }
  return raise_errno(error);
}

int wait_until_ready(Call* call, Direction direction) {
  int error = wait_for_socket(call, direction);
  if (error > 0) {
    raise_failed_wait(error, call->deadline);
  }
  return error == 0 ? 0 : -1;
}

}  // namespace stackless
