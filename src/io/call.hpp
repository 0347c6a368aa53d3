// One call of a blocking method of a socket, and how it waits.
//
// A tasklet may be frozen while it waits there: then the method ends nowhere, and is called once more when
// the tasklet is thawed. So all that it holds or has found out is in a Call, where the second one finds it.
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <new>
#include <utility>

#include "runtime/waiting/wait.hpp"

namespace stackless {

using core::Direction;
using core::Nanoseconds;

// What each of our sockets has beyond the standard one.
struct Extra {
  int fd;               // -1 once closed or detached
  Nanoseconds timeout;  // of one operation; forever for None, 0 for non-blocking
  // The thread state whose poller has this descriptor registered on our behalf: its id, which,
  // unlike an address, no later thread will have.
  std::uint64_t watched_by;
  bool tcp;      // a short read has taken all there was (known once watched)
  bool drained;  // the last recv() took all there was
};

inline Py_ssize_t extra_offset = 0;  // our fields lie behind those of socket.socket
inline Extra* extra_of(PyObject* self) {
  return reinterpret_cast<Extra*>(reinterpret_cast<char*>(self) + extra_offset);
}

inline constexpr std::uint64_t nobody = ~std::uint64_t{0};

// watcher() is the calling thread's scheduler if its poller watches the descriptor, or null.
inline Scheduler* watcher(const Extra* extra) {
  Scheduler* s = this_scheduler;
  return s != nullptr && s->ts->id == extra->watched_by ? s : nullptr;
}

// A buffer for as long as it is needed.
class Buffer {
 public:
  Buffer() = default;
  ~Buffer() { release(); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  bool get(PyObject* object, int flags) { return PyObject_GetBuffer(object, &view_, flags) == 0; }
  void release() {
    if (view_.obj != nullptr) {
      PyBuffer_Release(&view_);
    }
  }
  char* data() const { return static_cast<char*>(view_.buf); }
  Py_ssize_t size() const { return view_.len; }
  PyObject* owner() const { return view_.obj; }

 private:
  Py_buffer view_{};
};

// What a call of a blocking method keeps, as long as it takes.
struct Call final : Operation {
  int traverse(visitproc visit, void* arg) override {
    Py_VISIT(buffer.owner());
    Py_VISIT(bytes.get());
    Py_VISIT(arguments.get());
    return 0;
  }
  std::size_t memory() const noexcept override { return sizeof *this; }
  const char* place() const noexcept override { return "for a socket"; }

  Nanoseconds deadline = forever;
  Buffer buffer;        // to send or to receive into
  Object bytes;         // the same, if it is our own
  Object arguments;     // instead of the caller's, or null
  Py_ssize_t size = 0;  // to receive, and
  Py_ssize_t done = 0;  // how much has been received or sent
  int flags = 0;
  bool takes_all = false;
  bool backlog = false;  // connect() waits for room there
};

// The call that a method is, which may have begun before a freeze. False, with MemoryError set, if there is
// no memory for it.
class CallRef {
 public:
  CallRef(PyObject* self, const void* method, PyObject* const* arguments, Py_ssize_t count) {
    Scheduler* s = this_scheduler;
    call_ = s != nullptr ? static_cast<Call*>(taken_over(s, self, method)) : nullptr;
    if (call_ == nullptr) [[likely]] {
      begin(self, method);
    }
    if (call_ != nullptr) [[likely]] {
      call_->mark = interp::call_mark(arguments, count);
    }
  }
  ~CallRef() {
    const Scheduler* s = this_scheduler;
    if (s == nullptr || !is_left(s, call_)) [[likely]] {
      end();
    }
  }
  CallRef(const CallRef&) = delete;
  CallRef& operator=(const CallRef&) = delete;
  explicit operator bool() const { return call_ != nullptr; }
  Call* operator->() const { return call_; }
  Call* get() const { return call_; }
  // Whether it goes on behind a wait.
  bool goes_on() const { return call_->is_over; }

 private:
  void begin(PyObject* self, const void* method) {
    call_ = std::exchange(spare, nullptr);
    if (call_ == nullptr) {
      call_ = new (std::nothrow) Call;
    }
    if (call_ == nullptr) {
      PyErr_NoMemory();
      return;
    }
    call_->self = self;
    call_->call = method;
    call_->done = 0;
    call_->flags = 0;
  }
  void end() {
    if (call_ != nullptr) {
      call_->is_over = false;
      call_->buffer.release();
      call_->bytes.reset();
      call_->arguments.reset();
      delete std::exchange(spare, call_);
    }
  }

  inline static Call* spare = nullptr;  // for the next one
  Call* call_;
};

// deadline_of() is until when a call with those flags may wait that begins now.
inline Nanoseconds deadline_of(const Extra* extra, int flags = 0) {
  if ((flags & MSG_DONTWAIT) != 0) {
    return 0;
  }
  return extra->timeout > 0 ? core::monotonic_now() + extra->timeout : extra->timeout;
}

// parse_int() and parse_flags() read a number; false with an exception set.
bool parse_int(PyObject* object, Py_ssize_t* value);
bool parse_flags(PyObject* object, int* flags);

// option() is a socket option's value, or -1 with errno set.
int option(int fd, int name);
PyObject* raise_errno(int error);
// raise_failed_wait() does so for what wait_for_socket() returns.
PyObject* raise_failed_wait(int error, Nanoseconds deadline);

// wait_for_socket() waits until the socket may be ready, unless the call has done so before its tasklet was
// frozen. It returns 0, EBADF, EAGAIN if the time is up, or -1 with an exception set.
int wait_for_socket(Call* call, Direction direction);
// wait_until_ready() does the same with an exception for every failure; 0 or -1.
int wait_until_ready(Call* call, Direction direction);

// repeat() makes a system call until it doesn't say that it would block: `attempt(fd)` returns what the system
// call does. It waits first if it is to, or has begun to. -1 with an exception set.
template <class F>
Py_ssize_t repeat(Call* call, Direction direction, bool waits, F&& attempt) {
  waits = waits || call->is_over;
  for (;;) {
    if (std::exchange(waits, true) && wait_until_ready(call, direction) < 0) {
      return -1;
    }
    int fd = extra_of(call->self)->fd;
    if (fd < 0) {
      raise_errno(EBADF);
      return -1;
    }
    Py_ssize_t result = attempt(fd);
    if (result >= 0) {
      return result;
    }
    if (errno == EINTR) {
      if (PyErr_CheckSignals() < 0) {
        return -1;
      }
      waits = false;
    } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
      raise_errno(errno);
      return -1;
    }
  }
}

}  // namespace stackless
