// The descriptor is non-blocking for good; a method tries its system call, and waits in the poller
// when the kernel says that it would block. The timeout is ours, the base class's is always 0.
#include "io/socket.hpp"
#include "runtime/scheduler/blocking_calls.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <iterator>

#include "io/call.hpp"
#include "object/arguments.hpp"
#include "runtime/freezing/freezing.hpp"

namespace stackless {

namespace {

// Methods of the base class, looked up once.
struct Base {
  newfunc create;
  PyObject *init, *accept, *connect_ex, *recvfrom, *recvfrom_into, *recvmsg, *recvmsg_into, *sendto,
      *sendmsg, *close, *detach, *setblocking, *gettimeout, *fileno;
} base;

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
         s->sleep.poller.is_quiet(extra->fd, Direction::read);
}

// Receives what is still missing, or some of it.
Py_ssize_t receive_some(Call* call, char* buffer) {
  Py_ssize_t size = call->size - call->done;
  if (size <= 0) {  // less: of a datagram that didn't fit
    return 0;
  }
  Extra* extra = extra_of(call->self);
  auto attempt = [&](int fd) {
    if (Scheduler* s = watcher(extra)) {
      s->sleep.poller.expect_edge(fd, Direction::read);
    }
    return ::recv(fd, buffer + call->done, static_cast<std::size_t>(size),
                  call->flags | MSG_DONTWAIT);
  };
  bool waits = surely_empty(extra) && call->deadline != 0;
  Py_ssize_t received = repeat(call, Direction::read, waits, attempt);
  // Peeking takes nothing; a full buffer may not have been all. Datagrams, and what comes with
  // descriptors, end a read though there is more.
  extra->drained =
      extra->tcp && received > 0 && received < size && (call->flags & (MSG_PEEK | MSG_OOB)) == 0;
  return received;
}

// Whether the kernel would wait for all of it, were the descriptor a blocking one.
bool takes_all(const Extra* extra, int flags) {
  return (flags & (MSG_WAITALL | MSG_PEEK | MSG_DONTWAIT)) == MSG_WAITALL &&
         extra->timeout == forever && option(extra->fd, SO_TYPE) == SOCK_STREAM;
}

// Returns how much has been received, or -1 with an exception set.
Py_ssize_t receive(Call* call, char* buffer) {
  Py_ssize_t received;
  do {
    received = receive_some(call, buffer);
    if (received < 0) {
      return -1;
    }
    call->done += received;
  } while (call->takes_all && received > 0 && call->done < call->size);
  return call->done;
}

// Begins to receive that much; false with an exception set.
bool begin_receiving(Call* call, const char* name, Py_ssize_t size, int flags) {
  if (size < 0) {
    PyErr_Format(PyExc_ValueError, "negative buffersize in %s", name);
    return false;
  }
  const Extra* extra = extra_of(call->self);
  call->size = size;
  call->flags = flags;
  call->takes_all = takes_all(extra, flags);
  call->deadline = deadline_of(extra, flags);
  return true;
}

bool begin_recv(Call* call, PyObject* const* args, Py_ssize_t nargs) {
  Py_ssize_t size;
  int flags = 0;
  if (nargs < 1 || nargs > 2) {
    PyErr_Format(PyExc_TypeError, "recv() takes 1 or 2 arguments (%zd given)", nargs);
    return false;
  }
  if (!parse_int(args[0], &size) || (nargs == 2 && !parse_flags(args[1], &flags)) ||
      !begin_receiving(call, "recv", size, flags)) {
    return false;
  }
  // It may wait with the scratch half full.
  bool truncates = (flags & MSG_TRUNC) != 0;
  if (size > scratch_bytes || call->takes_all || truncates) {
    call->bytes = Object::steal(PyBytes_FromStringAndSize(nullptr, size));
    if (call->bytes && truncates) {
      // The kernel tells how much there was, and may write less, or nothing.
      std::memset(PyBytes_AS_STRING(call->bytes.get()), 0, static_cast<std::size_t>(size));
    }
    return static_cast<bool>(call->bytes);
  }
  return true;
}

PyObject* recv_method(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  static const char key = 0;
  CallRef call(self, &key, args, nargs);
  if (!call || (!call.goes_on() && !begin_recv(call.get(), args, nargs))) {
    return nullptr;
  }
  char* buffer = call->bytes ? PyBytes_AS_STRING(call->bytes.get()) : scratch;
  Py_ssize_t received = receive(call.get(), buffer);
  if (received < 0) {
    return nullptr;
  }
  if (!call->bytes) {
    return PyBytes_FromStringAndSize(scratch, received);
  }
  PyObject* result = call->bytes.release();
  _PyBytes_Resize(&result, received);
  if (result != nullptr && received > call->size) {  // MSG_TRUNC: what didn't fit is zeroes
    std::memset(PyBytes_AS_STRING(result) + call->size, 0,
                static_cast<std::size_t>(received - call->size));
  }
  return result;
}

constexpr const char* recv_into_names[] = {"buffer", "nbytes", "flags"};
constexpr Parameters recv_into_parameters{"recv_into", recv_into_names, 1};

bool begin_recv_into(Call* call, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  PyObject* bound[std::size(recv_into_names)] = {};
  Py_ssize_t size = 0;
  int flags = 0;
  if (!bind_arguments(recv_into_parameters, args, nargs, names, bound) ||
      (bound[1] != nullptr && !parse_int(bound[1], &size)) ||
      (bound[2] != nullptr && !parse_flags(bound[2], &flags)) ||
      !call->buffer.get(bound[0], PyBUF_WRITABLE)) {
    return false;
  }
  if (size > call->buffer.size()) {
    PyErr_SetString(PyExc_ValueError, "buffer too small for requested bytes");
    return false;
  }
  return begin_receiving(call, "recv_into", size == 0 ? call->buffer.size() : size, flags);
}

PyObject* recv_into(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  static const char key = 0;
  CallRef call(self, &key, args, count_arguments(nargs, names));
  if (!call || (!call.goes_on() && !begin_recv_into(call.get(), args, nargs, names))) {
    return nullptr;
  }
  Py_ssize_t received = receive(call.get(), call->buffer.data());
  return received < 0 ? nullptr : PyLong_FromSsize_t(received);
}

// ---- sending --------------------------------------------------------------------------------------

bool begin_sending(Call* call, const char* name, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs < 1 || nargs > 2) {
    PyErr_Format(PyExc_TypeError, "%s() takes 1 or 2 arguments (%zd given)", name, nargs);
    return false;
  }
  if (!call->buffer.get(args[0], PyBUF_SIMPLE) ||
      (nargs == 2 && !parse_flags(args[1], &call->flags))) {
    return false;
  }
  call->deadline = deadline_of(extra_of(call->self), call->flags);
  return true;
}

// Sends some of what is left; how much, or -1 with an exception set.
Py_ssize_t send_some(Call* call) {
  return repeat(call, Direction::write, false, [=](int fd) {
    auto size = static_cast<std::size_t>(call->buffer.size() - call->done);
    return ::send(fd, call->buffer.data() + call->done, size,
                  call->flags | MSG_DONTWAIT | MSG_NOSIGNAL);
  });
}

PyObject* send_method(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  static const char key = 0;
  CallRef call(self, &key, args, nargs);
  if (!call || (!call.goes_on() && !begin_sending(call.get(), "send", args, nargs))) {
    return nullptr;
  }
  Py_ssize_t sent = send_some(call.get());
  return sent < 0 ? nullptr : PyLong_FromSsize_t(sent);
}

PyObject* sendall(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  static const char key = 0;
  CallRef call(self, &key, args, nargs);
  if (!call || (!call.goes_on() && !begin_sending(call.get(), "sendall", args, nargs))) {
    return nullptr;
  }
  do {
    Py_ssize_t sent = send_some(call.get());
    if (sent < 0) {
      return nullptr;
    }
    call->done += sent;
  } while (call->done < call->buffer.size());
  Py_RETURN_NONE;
}

// ---- connecting -----------------------------------------------------------------------------------

constexpr Nanoseconds nap = 1'000'000;

// An AF_UNIX listener's full backlog: no descriptor tells when there is room.
int wait_for_backlog(Call* call) {
  if (std::exchange(call->is_over, false)) {
    return 0;
  }
  Nanoseconds now = core::monotonic_now();
  if (call->deadline != forever && now >= call->deadline) {
    return EAGAIN;
  }
  Scheduler* s = scheduler();
  return s == nullptr ? -1 : sleep_until(s, now + nap, call);
}

// Waits until the connection may be there. Returns 0, what has become of it, or -1 with an exception set.
int wait_for_connection(Call* call) {
  if (call->backlog) {
    return wait_for_backlog(call);
  }
  if (int error = wait_for_socket(call, Direction::write); error != 0) {
    return error;
  }
  int error = option(extra_of(call->self)->fd, SO_ERROR);
  return error < 0 ? errno : error;
}

// What the base class's connect_ex() returns; -1 with an exception set.
int try_to_connect(PyObject* self, PyObject* address) {
  PyObject* args[] = {self, address};
  Object result = Object::steal(PyObject_Vectorcall(base.connect_ex, args, 2, nullptr));
  return result ? static_cast<int>(PyLong_AsLong(result.get())) : -1;
}

// Returns 0, an errno value (EAGAIN if the time is up), or -1 with an exception set.
int connect_to(Call* call, PyObject* address) {
  bool waits = call->is_over;
  if (!waits) {
    call->deadline = deadline_of(extra_of(call->self));
  }
  for (;; waits = true) {
    if (waits) {
      if (int error = wait_for_connection(call); error != 0) {
        return error;
      }
    }
    int error = try_to_connect(call->self, address);
    if (error == EISCONN && waits) {
      return 0;
    }
    call->backlog = error == EAGAIN;
    bool pending = call->backlog || error == EINPROGRESS || error == EALREADY;
    if (call->deadline == 0 || !pending) {
      return error;
    }
  }
}

PyObject* connect_method(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  static const char key = 0;
  CallRef call(self, &key, args, nargs);
  int error = call && takes("connect", 1, nargs) ? connect_to(call.get(), args[0]) : -1;
  if (error > 0) {
    return raise_failed_wait(error, call->deadline);
  }
  return error < 0 ? nullptr : Py_NewRef(Py_None);
}

PyObject* connect_ex(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  static const char key = 0;
  CallRef call(self, &key, args, nargs);
  int error = call && takes("connect_ex", 1, nargs) ? connect_to(call.get(), args[0]) : -1;
  return error < 0 ? nullptr : PyLong_FromLong(error);
}

// ---- methods of the base class --------------------------------------------------------------------

// An iterator of buffers would have nothing left for a second try: a list takes its place.
bool keep_iterators(Call* call, PyObject* const* args, Py_ssize_t count) {
  if (std::none_of(args, args + count,
                   [](PyObject* object) { return PyIter_Check(object) != 0; })) {
    return true;
  }
  Object kept = Object::steal(PyTuple_New(count));
  for (Py_ssize_t i = 0; kept && i < count; ++i) {
    PyObject* item = PyIter_Check(args[i]) != 0 ? PySequence_List(args[i]) : Py_NewRef(args[i]);
    if (item == nullptr) {
      return false;
    }
    PyTuple_SET_ITEM(kept.get(), i, item);
  }
  call->arguments = std::move(kept);
  return static_cast<bool>(call->arguments);
}

// Repeats a method until it doesn't raise BlockingIOError.
PyObject* repeat_method(Call* call, Direction direction, PyObject* method, PyObject* const* args,
                        Py_ssize_t nargs, PyObject* names, int flags) {
  constexpr Py_ssize_t most = 8;
  Py_ssize_t count = count_arguments(nargs, names);
  if (count > most) {
    return raise(PyExc_TypeError, "too many arguments");
  }
  bool waits = call->is_over;
  if (!waits) {
    call->deadline = deadline_of(extra_of(call->self), flags);
    if (!keep_iterators(call, args, count)) {
      return nullptr;
    }
  }
  PyObject* all[most + 1] = {call->self};
  std::copy_n(call->arguments ? &PyTuple_GET_ITEM(call->arguments.get(), 0) : args, count, all + 1);
  for (;; waits = true) {
    if (waits && wait_until_ready(call, direction) < 0) {
      return nullptr;
    }
    PyObject* result = PyObject_Vectorcall(method, all, static_cast<std::size_t>(nargs + 1), names);
    if (result != nullptr || call->deadline == 0 ||
        PyErr_ExceptionMatches(PyExc_BlockingIOError) == 0) {
      return result;
    }
    PyErr_Clear();
  }
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
  CallRef call(self, &(base.*method), args, count_arguments(nargs, names));
  return call ? repeat_method(call.get(), direction, base.*method, args, nargs, names,
                              flags_of(args, nargs, names, flags_at))
              : nullptr;
}

PyObject* accept_method(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  CallRef call(self, &base.accept, args, nargs);
  if (!takes("_accept", 0, nargs)) {
    return nullptr;
  }
  return call ? repeat_method(call.get(), Direction::read, base.accept, nullptr, 0, nullptr, 0)
              : nullptr;
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
    {"recv_into", method(recv_into), METH_FASTCALL | METH_KEYWORDS,
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
    {"connect", method(connect_method), METH_FASTCALL,
     "connect($self, address, /)\n--\n\nAs the standard socket's; blocks the calling tasklet."},
    {"connect_ex", method(connect_ex), METH_FASTCALL,
     "connect_ex($self, address, /)\n--\n\nAs the standard socket's; blocks the calling tasklet."},
    {"_accept", method(accept_method), METH_FASTCALL,
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
  make_calls_again(methods);
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
