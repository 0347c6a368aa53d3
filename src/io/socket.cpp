// The descriptor is non-blocking for good; a method tries its system call, and waits in the poller
// when the kernel says that it would block. The timeout is ours, the base class's is always 0.
#include "io/socket.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "runtime/wait.hpp"

namespace stackless {

namespace {

using core::Direction;
using core::Nanoseconds;

Py_ssize_t extra_offset = 0;  // our fields lie behind those of socket.socket

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

constexpr std::uint64_t nobody = ~std::uint64_t{0};

Extra* extra_of(PyObject* self) {
  return reinterpret_cast<Extra*>(reinterpret_cast<char*>(self) + extra_offset);
}

// Methods of the base class, looked up once.
struct Base {
  newfunc create;
  PyObject *init, *accept, *connect_ex, *recvfrom, *recvfrom_into, *recvmsg, *recvmsg_into, *sendto,
      *sendmsg, *close, *detach, *setblocking, *gettimeout, *fileno;
} base;

Nanoseconds deadline_of(const Extra* extra, int flags = 0) {
  if ((flags & MSG_DONTWAIT) != 0) {
    return 0;
  }
  return extra->timeout > 0 ? core::monotonic_now() + extra->timeout : extra->timeout;
}

PyObject* raise_errno(int error) {
  errno = error;
  return PyErr_SetFromErrno(PyExc_OSError);
}

// The calling thread's scheduler if its poller watches the descriptor, or null.
Scheduler* watcher(const Extra* extra) {
  Scheduler* s = this_scheduler;
  return s != nullptr && s->ts->id == extra->watched_by ? s : nullptr;
}

int option(int fd, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, name, &value, &size) < 0 ? -1 : value;
}

// Waits until the socket may be ready. Returns 0, EBADF, EAGAIN if the time is up, or -1 with an
// exception set.
int wait_for_socket(Extra* extra, Direction direction, Nanoseconds deadline) {
  if (extra->fd < 0) {
    return EBADF;
  }
  if (deadline == 0) {
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
  Outcome outcome;
  if (wait_for_io(s, extra->fd, direction, deadline, fresh, &outcome) < 0) {
    extra->watched_by = nobody;  // it may have failed before the poller knew
    return -1;
  }
  if (outcome == Outcome::timed_out) {
    return EAGAIN;
  }
  return extra->fd < 0 ? EBADF : 0;  // closed by another tasklet meanwhile
}

PyObject* raise_failed_wait(int error, Nanoseconds deadline) {
  if (error == EAGAIN && deadline != 0) {
    return raise(PyExc_TimeoutError, "timed out");
  }
  return raise_errno(error);
}

// The same with an exception for every failure; 0 or -1.
int wait_until_ready(PyObject* self, Direction direction, Nanoseconds deadline) {
  int error = wait_for_socket(extra_of(self), direction, deadline);
  if (error > 0) {
    raise_failed_wait(error, deadline);
  }
  return error == 0 ? 0 : -1;
}

// Repeats a system call until it doesn't say that it would block: `call(fd)` returns what the call
// does. -1 with an exception set.
template <class F>
Py_ssize_t repeat(PyObject* self, Direction direction, Nanoseconds deadline, F&& call) {
  for (;;) {
    int fd = extra_of(self)->fd;
    if (fd < 0) {
      raise_errno(EBADF);
      return -1;
    }
    Py_ssize_t result = call(fd);
    if (result >= 0) {
      return result;
    }
    if (errno == EINTR) {
      if (PyErr_CheckSignals() < 0) {
        return -1;
      }
    } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
      raise_errno(errno);
      return -1;
    } else if (wait_until_ready(self, direction, deadline) < 0) {
      return -1;
    }
  }
}

// The same for a method of the base class, which raises BlockingIOError.
PyObject* repeat_method(PyObject* self, Direction direction, PyObject* method,
                        PyObject* const* args, Py_ssize_t nargs, PyObject* names, int flags) {
  Nanoseconds deadline = deadline_of(extra_of(self), flags);
  Py_ssize_t keywords = names != nullptr ? PyTuple_GET_SIZE(names) : 0;
  constexpr Py_ssize_t most = 8;
  PyObject* all[most + 1];
  if (nargs + keywords > most) {
    return raise(PyExc_TypeError, "too many arguments");
  }
  // An iterator of buffers would have nothing left for the second try.
  Object lists[most];
  all[0] = self;
  for (Py_ssize_t i = 0; i < nargs + keywords; ++i) {
    if (PyIter_Check(args[i])) {
      lists[i] = Object::steal(PySequence_List(args[i]));
      if (!lists[i]) {
        return nullptr;
      }
    }
    all[i + 1] = lists[i] ? lists[i].get() : args[i];
  }
  for (;;) {
    PyObject* result = PyObject_Vectorcall(method, all, static_cast<std::size_t>(nargs + 1), names);
    if (result != nullptr || deadline == 0 || !PyErr_ExceptionMatches(PyExc_BlockingIOError)) {
      return result;
    }
    PyErr_Clear();
    if (wait_until_ready(self, direction, deadline) < 0) {
      return nullptr;
    }
  }
}

// ---- receiving ------------------------------------------------------------------------------------

// Where recv() receives before it knows how large a bytes object it needs. Used only between a
// system call and the copy, under the GIL.
constexpr Py_ssize_t scratch_bytes = Py_ssize_t{256} * 1024;
alignas(64) char scratch[scratch_bytes];

// After a read that took all there was, the next one would only find out that there is nothing: wait
// first, unless the poller has seen something happen since.
bool surely_empty(const Extra* extra) {
  const Scheduler* s = watcher(extra);
  return extra->drained && extra->fd >= 0 && s != nullptr &&
         s->poller.is_quiet(extra->fd, Direction::read);
}

Py_ssize_t receive_into(PyObject* self, char* buffer, Py_ssize_t size, int flags) {
  if (size == 0) {
    return 0;
  }
  Extra* extra = extra_of(self);
  Nanoseconds deadline = deadline_of(extra, flags);
  auto call = [&](int fd) {
    if (Scheduler* s = watcher(extra)) {
      s->poller.expect_edge(fd, Direction::read);
    }
    return ::recv(fd, buffer, static_cast<std::size_t>(size), flags | MSG_DONTWAIT);
  };
  if (surely_empty(extra) && deadline != 0 &&
      wait_until_ready(self, Direction::read, deadline) < 0) {
    return -1;
  }
  Py_ssize_t received = repeat(self, Direction::read, deadline, call);
  // Peeking takes nothing; a full buffer may not have been all. Datagrams, and what comes with
  // descriptors, end a read though there is more.
  extra->drained =
      extra->tcp && received > 0 && received < size && (flags & (MSG_PEEK | MSG_OOB)) == 0;
  return received;
}

// Whether the kernel would wait for all of it, were the descriptor a blocking one.
bool takes_all(const Extra* extra, int flags) {
  return (flags & (MSG_WAITALL | MSG_PEEK | MSG_DONTWAIT)) == MSG_WAITALL &&
         extra->timeout == forever && option(extra->fd, SO_TYPE) == SOCK_STREAM;
}

Py_ssize_t receive_all_into(PyObject* self, char* buffer, Py_ssize_t size, int flags) {
  Py_ssize_t done = 0, received;
  do {
    received = receive_into(self, buffer + done, size - done, flags);
    if (received < 0) {
      return -1;
    }
    done += received;
  } while (received > 0 && done < size);
  return done;
}

Py_ssize_t receive(PyObject* self, char* buffer, Py_ssize_t size, int flags) {
  return takes_all(extra_of(self), flags) ? receive_all_into(self, buffer, size, flags)
                                          : receive_into(self, buffer, size, flags);
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

PyObject* recv_method(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  Py_ssize_t size;
  int flags = 0;
  if (nargs < 1 || nargs > 2) {
    return raise(PyExc_TypeError, "recv() takes 1 or 2 arguments (%zd given)", nargs);
  }
  if (!parse_int(args[0], &size) || (nargs == 2 && !parse_flags(args[1], &flags))) {
    return nullptr;
  }
  if (size < 0) {
    return raise(PyExc_ValueError, "negative buffersize in recv");
  }
  // Not if it may wait with the scratch half full.
  if (size <= scratch_bytes && !takes_all(extra_of(self), flags)) {
    Py_ssize_t received = receive_into(self, scratch, size, flags);
    return received < 0 ? nullptr : PyBytes_FromStringAndSize(scratch, received);
  }
  Object bytes = Object::steal(PyBytes_FromStringAndSize(nullptr, size));
  if (!bytes) {
    return nullptr;
  }
  Py_ssize_t received = receive(self, PyBytes_AS_STRING(bytes.get()), size, flags);
  if (received < 0) {
    return nullptr;
  }
  PyObject* result = bytes.release();
  _PyBytes_Resize(&result, received);
  return result;
}

// A buffer for as long as it is needed.
class Buffer {
 public:
  Buffer() = default;
  ~Buffer() {
    if (view_.obj != nullptr) {
      PyBuffer_Release(&view_);
    }
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  bool get(PyObject* object, int flags) { return PyObject_GetBuffer(object, &view_, flags) == 0; }
  char* data() const { return static_cast<char*>(view_.buf); }
  Py_ssize_t size() const { return view_.len; }

 private:
  Py_buffer view_{};
};

PyObject* recv_into(PyObject* self, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"buffer", "nbytes", "flags", nullptr};
  PyObject* target;
  Py_ssize_t size = 0;
  int flags = 0;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|ni:recv_into", const_cast<char**>(names),
                                   &target, &size, &flags)) {
    return nullptr;
  }
  Buffer buffer;
  if (!buffer.get(target, PyBUF_WRITABLE)) {
    return nullptr;
  }
  if (size < 0) {
    return raise(PyExc_ValueError, "negative buffersize in recv_into");
  }
  if (size > buffer.size()) {
    return raise(PyExc_ValueError, "buffer too small for requested bytes");
  }
  Py_ssize_t received = receive(self, buffer.data(), size == 0 ? buffer.size() : size, flags);
  return received < 0 ? nullptr : PyLong_FromSsize_t(received);
}

// ---- sending --------------------------------------------------------------------------------------

Py_ssize_t send_some(PyObject* self, const char* data, Py_ssize_t size, int flags,
                     Nanoseconds deadline) {
  return repeat(self, Direction::write, deadline, [&](int fd) {
    return ::send(fd, data, static_cast<std::size_t>(size), flags | MSG_DONTWAIT | MSG_NOSIGNAL);
  });
}

bool parse_send(const char* name, PyObject* const* args, Py_ssize_t nargs, Buffer* data,
                int* flags) {
  if (nargs < 1 || nargs > 2) {
    PyErr_Format(PyExc_TypeError, "%s() takes 1 or 2 arguments (%zd given)", name, nargs);
    return false;
  }
  return data->get(args[0], PyBUF_SIMPLE) && (nargs == 1 || parse_flags(args[1], flags));
}

PyObject* send_method(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  Buffer data;
  int flags = 0;
  if (!parse_send("send", args, nargs, &data, &flags)) {
    return nullptr;
  }
  Py_ssize_t sent =
      send_some(self, data.data(), data.size(), flags, deadline_of(extra_of(self), flags));
  return sent < 0 ? nullptr : PyLong_FromSsize_t(sent);
}

PyObject* sendall(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  Buffer data;
  int flags = 0;
  if (!parse_send("sendall", args, nargs, &data, &flags)) {
    return nullptr;
  }
  Nanoseconds deadline = deadline_of(extra_of(self), flags);
  Py_ssize_t done = 0;
  do {
    Py_ssize_t sent = send_some(self, data.data() + done, data.size() - done, flags, deadline);
    if (sent < 0) {
      return nullptr;
    }
    done += sent;
  } while (done < data.size());
  Py_RETURN_NONE;
}

// ---- connecting -----------------------------------------------------------------------------------

constexpr Nanoseconds nap = 1'000'000;

// An AF_UNIX listener's full backlog: no descriptor tells when there is room.
int wait_for_backlog(Nanoseconds deadline) {
  Nanoseconds now = core::monotonic_now();
  if (deadline != forever && now >= deadline) {
    return EAGAIN;
  }
  Scheduler* s = scheduler();
  return s == nullptr ? -1 : sleep_until(s, now + nap);
}

// Returns 0, an errno value (EAGAIN if the time is up), or -1 with an exception set.
int connect_to(PyObject* self, PyObject* address, Nanoseconds deadline) {
  Extra* extra = extra_of(self);
  PyObject* args[] = {self, address};
  for (bool waited = false;; waited = true) {
    Object result = Object::steal(PyObject_Vectorcall(base.connect_ex, args, 2, nullptr));
    if (!result) {
      return -1;
    }
    auto error = static_cast<int>(PyLong_AsLong(result.get()));
    if (error == EISCONN && waited) {
      return 0;
    }
    bool backlog = error == EAGAIN;
    bool pending = backlog || error == EINPROGRESS || error == EALREADY;
    if (deadline == 0 || !pending) {
      return error;
    }
    error =
        backlog ? wait_for_backlog(deadline) : wait_for_socket(extra, Direction::write, deadline);
    if (error == 0 && !backlog && (error = option(extra->fd, SO_ERROR)) < 0) {
      error = errno;
    }
    if (error != 0) {
      return error;
    }
  }
}

PyObject* connect_method(PyObject* self, PyObject* address) {
  Nanoseconds deadline = deadline_of(extra_of(self));
  int error = connect_to(self, address, deadline);
  if (error > 0) {
    return raise_failed_wait(error, deadline);
  }
  return error < 0 ? nullptr : Py_NewRef(Py_None);
}

PyObject* connect_ex(PyObject* self, PyObject* address) {
  int error = connect_to(self, address, deadline_of(extra_of(self)));
  return error < 0 ? nullptr : PyLong_FromLong(error);
}

PyObject* accept_method(PyObject* self, PyObject*) {
  return repeat_method(self, Direction::read, base.accept, nullptr, 0, nullptr, 0);
}

// The flags among a call's arguments, if they are; nothing else there is an int.
int flags_of(PyObject* const* args, Py_ssize_t nargs, PyObject* names, Py_ssize_t place) {
  PyObject* flags = nargs > place ? args[place] : nullptr;
  for (Py_ssize_t i = 0; names != nullptr && i < PyTuple_GET_SIZE(names); ++i) {
    if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, i), "flags") == 0) {
      flags = args[nargs + i];
    }
  }
  int overflow;
  return flags != nullptr && PyLong_Check(flags)
             ? static_cast<int>(PyLong_AsLongAndOverflow(flags, &overflow))
             : 0;
}

template <PyObject* Base::* method, Direction direction, Py_ssize_t flags_at>
PyObject* delegate(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  return repeat_method(self, direction, base.*method, args, nargs, names,
                       flags_of(args, nargs, names, flags_at));
}

// ---- timeouts, closing ----------------------------------------------------------------------------

constexpr double second = 1e9;

PyObject* timeout_as_object(const Extra* extra) {
  if (extra->timeout == forever) {
    Py_RETURN_NONE;
  }
  return PyFloat_FromDouble(static_cast<double>(extra->timeout) / second);
}

// Whoever shares the open file may have made it a blocking one; the standard class asks the kernel
// here too.
int make_nonblocking(PyObject* self) {
  PyObject* args[] = {self, Py_False};
  return Object::steal(PyObject_Vectorcall(base.setblocking, args, 2, nullptr)) ? 0 : -1;
}

int set_timeout(PyObject* self, PyObject* value) {
  if (value == Py_None) {
    extra_of(self)->timeout = forever;
    return 0;
  }
  double seconds = PyFloat_AsDouble(value);
  if (seconds == -1.0 && PyErr_Occurred()) {
    return -1;
  }
  if (!(seconds >= 0.0)) {
    raise(PyExc_ValueError, "Timeout value out of range");
    return -1;
  }
  // A positive timeout is never rounded down to non-blocking; 292 years are for ever.
  auto timeout = seconds > 9e9 ? forever : static_cast<Nanoseconds>(seconds * second);
  extra_of(self)->timeout = seconds > 0.0 && timeout == 0 ? 1 : timeout;
  return 0;
}

PyObject* settimeout(PyObject* self, PyObject* value) {
  return set_timeout(self, value) < 0 || make_nonblocking(self) < 0 ? nullptr : Py_NewRef(Py_None);
}
PyObject* gettimeout(PyObject* self, PyObject*) { return timeout_as_object(extra_of(self)); }
PyObject* get_timeout_attribute(PyObject* self, void*) { return timeout_as_object(extra_of(self)); }

PyObject* setblocking(PyObject* self, PyObject* flag) {
  int blocking = PyObject_IsTrue(flag);
  if (blocking < 0 || make_nonblocking(self) < 0) {
    return nullptr;
  }
  extra_of(self)->timeout = blocking != 0 ? forever : 0;
  Py_RETURN_NONE;
}
PyObject* getblocking(PyObject* self, PyObject*) {
  return PyBool_FromLong(extra_of(self)->timeout != 0 ? 1 : 0);
}

void leave_descriptor(Extra* extra) {
  if (extra->fd >= 0) {
    forget_descriptor(std::exchange(extra->fd, -1));
  }
}

PyObject* real_close(PyObject* self, PyObject*) {
  leave_descriptor(extra_of(self));
  return PyObject_CallOneArg(base.close, self);
}

PyObject* detach(PyObject* self, PyObject*) {
  leave_descriptor(extra_of(self));
  return PyObject_CallOneArg(base.detach, self);
}

PyObject* socket_new(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  PyObject* self = base.create(type, args, keywords);
  if (self != nullptr) {
    *extra_of(self) = {
        .fd = -1, .timeout = forever, .watched_by = nobody, .tcp = false, .drained = false};
  }
  return self;
}

int socket_init(PyObject* self, PyObject* args, PyObject* keywords) {
  leave_descriptor(extra_of(self));
  Object bound = Object::steal(PyMethod_New(base.init, self));
  if (!bound || !Object::steal(PyObject_Call(bound.get(), args, keywords))) {
    return -1;
  }
  // The standard class knows the default timeout, and SOCK_NONBLOCK.
  Object timeout = Object::steal(PyObject_CallOneArg(base.gettimeout, self));
  if (!timeout || set_timeout(self, timeout.get()) < 0 || make_nonblocking(self) < 0) {
    return -1;
  }
  Object fd = Object::steal(PyObject_CallOneArg(base.fileno, self));
  extra_of(self)->fd = fd ? static_cast<int>(PyLong_AsLong(fd.get())) : -1;
  return PyErr_Occurred() ? -1 : 0;
}

PyMethodDef methods[] = {
    {"recv", method(recv_method), METH_FASTCALL,
     "recv($self, bufsize, flags=0, /)\n--\n\nAs the standard socket's; blocks the calling tasklet."},
    {"recv_into", method(recv_into), METH_VARARGS | METH_KEYWORDS,
     "recv_into($self, /, buffer, nbytes=0, flags=0)\n--\n\n"
     "As the standard socket's; blocks the calling tasklet."},
    {"recvfrom", method(delegate<&Base::recvfrom, Direction::read, 1>),
     METH_FASTCALL | METH_KEYWORDS, "As the standard socket's; blocks the calling tasklet."},
    {"recvfrom_into", method(delegate<&Base::recvfrom_into, Direction::read, 2>),
     METH_FASTCALL | METH_KEYWORDS, "As the standard socket's; blocks the calling tasklet."},
    {"recvmsg", method(delegate<&Base::recvmsg, Direction::read, 2>), METH_FASTCALL | METH_KEYWORDS,
     "As the standard socket's; blocks the calling tasklet."},
    {"recvmsg_into", method(delegate<&Base::recvmsg_into, Direction::read, 2>),
     METH_FASTCALL | METH_KEYWORDS, "As the standard socket's; blocks the calling tasklet."},
    {"send", method(send_method), METH_FASTCALL,
     "send($self, data, flags=0, /)\n--\n\nAs the standard socket's; blocks the calling tasklet."},
    {"sendall", method(sendall), METH_FASTCALL,
     "sendall($self, data, flags=0, /)\n--\n\nAs the standard socket's; blocks the calling tasklet."},
    {"sendto", method(delegate<&Base::sendto, Direction::write, 1>), METH_FASTCALL | METH_KEYWORDS,
     "As the standard socket's; blocks the calling tasklet."},
    {"sendmsg", method(delegate<&Base::sendmsg, Direction::write, 2>),
     METH_FASTCALL | METH_KEYWORDS, "As the standard socket's; blocks the calling tasklet."},
    {"connect", connect_method, METH_O,
     "connect($self, address, /)\n--\n\nAs the standard socket's; blocks the calling tasklet."},
    {"connect_ex", connect_ex, METH_O,
     "connect_ex($self, address, /)\n--\n\nAs the standard socket's; blocks the calling tasklet."},
    {"_accept", accept_method, METH_NOARGS,
     "_accept($self, /)\n--\n\nReturn (descriptor, address) of a new connection."},
    {"settimeout", settimeout, METH_O,
     "settimeout($self, timeout, /)\n--\n\n"
     "Set the timeout of one operation in seconds; None for none, 0 for non-blocking."},
    {"gettimeout", gettimeout, METH_NOARGS, "gettimeout($self, /)\n--\n\nReturn the timeout."},
    {"setblocking", setblocking, METH_O,
     "setblocking($self, flag, /)\n--\n\nsettimeout(None) if `flag` is true, else settimeout(0)."},
    {"getblocking", getblocking, METH_NOARGS,
     "getblocking($self, /)\n--\n\nReturn whether the socket is blocking."},
    {"_real_close", real_close, METH_NOARGS,
     "_real_close($self, /)\n--\n\nClose the descriptor; whoever waits for it gets OSError (EBADF)."},
    {"detach", detach, METH_NOARGS,
     "detach($self, /)\n--\n\nClose the object, not the descriptor, and return that."},
    {},
};

PyGetSetDef attributes[] = {
    {"timeout", get_timeout_attribute, nullptr, "The timeout in seconds, or None.", nullptr},
    {},
};

int look_up(PyObject* type, const char* name, PyObject** slot) {
  *slot = PyObject_GetAttrString(type, name);
  return *slot == nullptr ? -1 : 0;
}

int look_up_base(PyObject* python_class, PyObject* c_class) {
  return look_up(python_class, "__init__", &base.init) < 0 ||
                 look_up(c_class, "_accept", &base.accept) < 0 ||
                 look_up(c_class, "connect_ex", &base.connect_ex) < 0 ||
                 look_up(c_class, "recvfrom", &base.recvfrom) < 0 ||
                 look_up(c_class, "recvfrom_into", &base.recvfrom_into) < 0 ||
                 look_up(c_class, "recvmsg", &base.recvmsg) < 0 ||
                 look_up(c_class, "recvmsg_into", &base.recvmsg_into) < 0 ||
                 look_up(c_class, "sendto", &base.sendto) < 0 ||
                 look_up(c_class, "sendmsg", &base.sendmsg) < 0 ||
                 look_up(c_class, "close", &base.close) < 0 ||
                 look_up(python_class, "detach", &base.detach) < 0 ||
                 look_up(c_class, "setblocking", &base.setblocking) < 0 ||
                 look_up(c_class, "gettimeout", &base.gettimeout) < 0 ||
                 look_up(c_class, "fileno", &base.fileno) < 0
             ? -1
             : 0;
}

}  // namespace

int add_socket_type(PyObject* module) {
  Object standard = Object::steal(PyImport_ImportModule("socket"));
  Object parent =
      standard ? Object::steal(PyObject_GetAttrString(standard.get(), "socket")) : Object();
  Object c_parent =
      standard ? Object::steal(PyObject_GetAttrString(standard.get(), "SocketType")) : Object();
  if (!parent || !c_parent || look_up_base(parent.get(), c_parent.get()) < 0) {
    return -1;
  }
  extra_offset = reinterpret_cast<PyTypeObject*>(parent.get())->tp_basicsize;
  base.create = reinterpret_cast<PyTypeObject*>(parent.get())->tp_new;
  PyType_Slot slots[] = {
      {Py_tp_methods, methods},
      {Py_tp_getset, attributes},
      {Py_tp_new, reinterpret_cast<void*>(socket_new)},
      {Py_tp_init, reinterpret_cast<void*>(socket_init)},
      {Py_tp_doc, const_cast<char*>("A socket.socket whose waits block one tasklet only.")},
      {0, nullptr},
  };
  PyType_Spec spec = {
      .name = "stackless._stackless.Socket",
      .basicsize = static_cast<int>(extra_offset + static_cast<Py_ssize_t>(sizeof(Extra))),
      .itemsize = 0,
      .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
      .slots = slots,
  };
  Object type = Object::steal(PyType_FromSpecWithBases(&spec, parent.get()));
  return type && PyModule_AddObjectRef(module, "Socket", type.get()) == 0 ? 0 : -1;
}

}  // namespace stackless
