#include "runtime/channel.hpp"

#include "runtime/pickling.hpp"

#include <cstddef>

#include "interp/portable.hpp"
#include "runtime/bomb.hpp"
#include "runtime/callbacks.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/sending.hpp"
#include "runtime/switching.hpp"

namespace stackless {

// ---- the queue ----------------------------------------------------------------------------------

namespace {

enum class Way { send, receive };

// Queues a tasklet that is nowhere; the queue takes the reference.
void enqueue(Channel* c, Ref<Tasklet> tasklet, Way way) {
  Guard guard;
  Tasklet* t = tasklet.release();
  t->prev = c->last;
  t->next = nullptr;
  (c->last != nullptr ? c->last->next : c->first) = t;
  c->last = t;
  c->balance += way == Way::send ? 1 : -1;
  t->place = Place::channel;
  t->channel = c;
  t->sending = way == Way::send;
}

}  // namespace

Ref<Tasklet> remove_from_queue(Tasklet* t) {
  Guard guard;
  Channel* c = t->channel;
  if (t->place != Place::channel || c == nullptr) {
    __builtin_unreachable();
  }
  (t->prev != nullptr ? t->prev->next : c->first) = t->next;
  (t->next != nullptr ? t->next->prev : c->last) = t->prev;
  t->next = t->prev = nullptr;
  c->balance += t->sending ? -1 : 1;
  t->place = Place::nowhere;
  t->channel = nullptr;
  return Ref<Tasklet>::steal(t);
}

// ---- sending and receiving ----------------------------------------------------------------------

namespace {

// The one who has waited longest, where the balance says that there is one.
Tasklet* first_of(Channel* c) {
  if (c->first == nullptr) {
    __builtin_unreachable();
  }
  return c->first;
}

// Nobody waits: the caller does.
Object wait_in_queue(Scheduler* s, Channel* c, Object value, Way way, interp::CallMark mark) {
  Tasklet* self = s->current;
  if (self->block_trap) {
    return raise(PyExc_RuntimeError, "this tasklet does not like to be blocked.");
  }
  if (c->closing) {
    return raise(PyExc_ValueError, "Send/receive operation on a closed channel");
  }
  if (!may_block(s)) {
    return nullptr;
  }
  // Nothing may be held on the C stack while the tasklet is suspended; who called holds the channel.
  self->tempval.reset();
  self->tempval = std::move(value);
  enqueue(c, unlink(self), way);
  return block(s, mark);
}

// Somebody waits: `other` and the caller exchange values, and who goes on depends on the channel
// (the table of the original's manual: preference, schedule_all).
Object exchange(Scheduler* s, Channel* c, Object value, Way way, interp::CallMark mark) {
  Tasklet* self = s->current;
  Tasklet* other = first_of(c);
  c->last_user = self->serial;
  self->used_channel = true;
  if (other->scheduler != s) [[unlikely]] {
    Object mine = std::exchange(self->tempval, Object());
    self->tempval = std::exchange(other->tempval, std::move(value));
    insert_owned(remove_from_queue(other));
    // Across threads the callback comes late, when the transfer has been made.
    if ((s->attention & Scheduler::callback) != 0 &&
        notify_channel(s, c, self, way == Way::send, false) < 0) {
      return nullptr;
    }
    return claim(self);
  }
  bool yields = c->schedule_all;
  bool partner_first = !yields && c->preference == (way == Way::send ? -1 : 1);
  if (partner_first || yields) {
    Tasklet* next = partner_first || self->next == self ? other : self->next;
    if (giving_way_would_fail(s, next)) {
      return nullptr;
    }
  }
  self->tempval.reset();
  self->tempval = std::exchange(other->tempval, std::move(value));
  Ref<Tasklet> partner = remove_from_queue(other);
  if (partner_first) {
    partner->place = Place::ring;
    s->ring.insert_after(self, partner.release());
    return hand_over(s, other, mark);
  }
  insert_owned(std::move(partner));
  return yields ? hand_over(s, self->next, mark) : claim(self);
}

// A tasklet whose thread has ended can't be served; if it gets another one, it is told.
void leave_threadless(const Ref<Tasklet>& tasklet) {
  raise(PyExc_RuntimeError, "the tasklet had no thread when its turn came at the channel");
  Object bomb = make_bomb(take_exception());
  PyErr_Clear();
  tasklet->tempval = std::move(bomb);
}

inline Object transfer(Channel* c, Object value, Way way, interp::CallMark mark) {
  Scheduler* s = scheduler();
  if (s == nullptr) [[unlikely]] {
    return nullptr;
  }
  // Whoever waits there without a thread would take the value with it.
  while (c->first != nullptr && c->first->scheduler->ts == nullptr) [[unlikely]] {
    leave_threadless(remove_from_queue(c->first));
  }
  bool ready = way == Way::send ? c->balance < 0 : c->balance > 0;
  Tasklet* self = s->current;
  if ((s->attention & (Scheduler::callback | Scheduler::lock)) != 0) [[unlikely]] {
    if (s->locked > 0) {
      return raise(PyExc_RuntimeError, "Recursive channel call due to callbacks!");
    }
    if (!ready || first_of(c)->scheduler == s) {
      // The callback finds the value in the mailbox.
      Object replaced = std::exchange(self->tempval, value);
      int failed = notify_channel(s, c, self, way == Way::send, !ready);
      self->tempval = std::move(replaced);
      if (failed < 0) {
        return nullptr;
      }
      ready = way == Way::send ? c->balance < 0 : c->balance > 0;
    }
  }
  return ready ? exchange(s, c, std::move(value), way, mark)
               : wait_in_queue(s, c, std::move(value), way, mark);
}

}  // namespace

Object send(Channel* channel, Object value, interp::CallMark mark) {
  return transfer(channel, std::move(value), Way::send, mark);
}

Object receive(Channel* channel, interp::CallMark mark) {
  return transfer(channel, nullptr, Way::receive, mark);
}

namespace {

// ---- methods ------------------------------------------------------------------------------------

// The two operations that make a message between tasklets of one thread, without detours: sending to
// a receiver that runs at once, and waiting while others are runnable. Everything else, and whatever
// needs attention, goes the general way.

[[gnu::always_inline]] inline bool may_wake_at_once(Scheduler* s, Channel* c) {
  return s != nullptr && s->attention == 0 && c->balance < 0 && c->preference == -1 &&
         !c->schedule_all && c->first->scheduler == s && c->first->parked != nullptr;
}

[[gnu::always_inline]] inline PyObject* wake_receiver(Scheduler* s, Channel* c, PyObject* value,
                                                      interp::CallMark mark) {
  Tasklet* self = s->current;
  Tasklet* receiver = c->first;
  c->last_user = self->serial;
  self->used_channel = true;
  PyObject* mail = receiver->tempval.release();
  receiver->tempval = Object::share(value);
  Object replaced = std::exchange(self->tempval, Object::steal(mail));
  // remove_from_queue() for the first of the queue, and its reference goes over to the ring.
  c->first = receiver->next;
  (receiver->next != nullptr ? receiver->next->prev : c->last) = nullptr;
  ++c->balance;
  receiver->next = nullptr;
  receiver->place = Place::ring;
  s->ring.insert_after(self, receiver);
  s->ring.rotate_to(receiver);
  return take_mail(run_other(s, self, receiver, mark));
}

[[gnu::always_inline]] inline bool may_wait_at_once(Scheduler* s, Channel* c, Way way) {
  if (s == nullptr || (way == Way::send ? c->balance < 0 : c->balance > 0) || c->closing) {
    return false;
  }
  Tasklet* self = s->current;
  return self->next != self && can_run_at_once(s, self->next) && !self->block_trap &&
         !self->tempval;
}

[[gnu::always_inline]] inline PyObject* wait_at_once(Scheduler* s, Channel* c, PyObject* value,
                                                     Way way, interp::CallMark mark) {
  Tasklet* self = s->current;
  self->tempval = Object::share(value);
  s->ring.remove(self);
  enqueue(c, Ref<Tasklet>::steal(self), way);
  return take_mail(run_other(s, self, s->ring.head(), mark));
}

PyObject* send_method(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  Channel* c = as_channel(self);
  if (Scheduler* s = this_scheduler; nargs == 1) [[likely]] {
    if (may_wake_at_once(s, c)) {
      return wake_receiver(s, c, args[0], interp::call_mark(args, 1));
    }
    if (may_wait_at_once(s, c, Way::send)) {
      return wait_at_once(s, c, args[0], Way::send, interp::call_mark(args, 1));
    }
  }
  if (!takes("channel.send", 1, nargs)) {
    return nullptr;
  }
  return send(c, Object::share(args[0]), interp::call_mark(args, 1)).release();
}

PyObject* receive_method(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  Channel* c = as_channel(self);
  if (Scheduler* s = this_scheduler; nargs == 0) [[likely]] {
    if (may_wait_at_once(s, c, Way::receive)) {
      return wait_at_once(s, c, nullptr, Way::receive, interp::call_mark(args, 0));
    }
  }
  if (!takes("channel.receive", 0, nargs)) {
    return nullptr;
  }
  return receive(c, interp::call_mark(args, 0)).release();
}

PyObject* next_value(PyObject* self) {
  Channel* c = as_channel(self);
  if (c->closing && c->balance <= 0) {
    return nullptr;
  }
  return receive(c, interp::loop_mark(self)).release();
}

PyObject* close(PyObject* self, PyObject*) {
  as_channel(self)->closing = true;
  Py_RETURN_NONE;
}
PyObject* open(PyObject* self, PyObject*) {
  as_channel(self)->closing = false;
  Py_RETURN_NONE;
}

PyObject* reduce(PyObject* self, PyObject*) {
  Channel* c = as_channel(self);
  Object attributes = attributes_of(self, &ChannelType);  // calls Python: before the queue is read
  interp::NoCollection undisturbed;
  Object queue = attributes ? Object::steal(PyList_New(0)) : Object();
  for (Tasklet* t = c->first; t != nullptr && queue; t = t->next) {
    if (PyList_Append(queue.get(), as_object(t)) < 0) {
      return nullptr;
    }
  }
  if (!queue) {
    return nullptr;
  }
  int flags = (c->closing ? 1 : 0) | (c->preference & 3) << 1 | (c->schedule_all ? 8 : 0);
  return attributes.get() == Py_None
             ? Py_BuildValue("O()(niO)", Py_TYPE(self), c->balance, flags, queue.get())
             : Py_BuildValue("O()(niOO)", Py_TYPE(self), c->balance, flags, queue.get(),
                             attributes.get());
}

PyObject* set_state(PyObject* self, PyObject* state) {
  Py_ssize_t balance;
  int flags;
  PyObject *queue, *attributes = Py_None;
  if (!PyTuple_Check(state)) {
    return raise(PyExc_TypeError, "a channel's state is a tuple");
  }
  if (!PyArg_ParseTuple(state, "niO!|O:channel", &balance, &flags, &PyList_Type, &queue,
                        &attributes)) {
    return nullptr;
  }
  Channel* c = as_channel(self);
  if (PyList_GET_SIZE(queue) != (balance < 0 ? -balance : balance) || c->first != nullptr) {
    return raise(PyExc_ValueError, "the channel's state is inconsistent");
  }
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(queue); ++i) {
    PyObject* item = PyList_GET_ITEM(queue, i);
    // One that is not bound is still on its way out of the same pickle.
    if (!is_tasklet(item) || as_tasklet(item)->place != Place::nowhere ||
        as_tasklet(item)->is_main) {
      return raise(PyExc_ValueError, "a channel's queue holds paused tasklets only");
    }
  }
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(queue); ++i) {
    Tasklet* t = as_tasklet(PyList_GET_ITEM(queue, i));
    if (t->place == Place::nowhere) {
      enqueue(c, Ref<Tasklet>::share(t), balance > 0 ? Way::send : Way::receive);
    }
  }
  int preference = flags >> 1 & 3;
  c->closing = (flags & 1) != 0;
  c->preference = static_cast<signed char>(preference == 3 ? -1 : preference == 2 ? 0 : preference);
  c->schedule_all = (flags & 8) != 0;
  return set_attributes(self, attributes) ? Py_NewRef(self) : nullptr;
}

// ---- attributes -----------------------------------------------------------------------------------

PyObject* get_balance(PyObject* self, void*) {
  return PyLong_FromSsize_t(as_channel(self)->balance);
}
PyObject* get_queue(PyObject* self, void*) {
  Tasklet* first = as_channel(self)->first;
  return Py_NewRef(first != nullptr ? as_object(first) : Py_None);
}
PyObject* get_closing(PyObject* self, void*) { return PyBool_FromLong(as_channel(self)->closing); }
PyObject* get_closed(PyObject* self, void*) {
  Channel* c = as_channel(self);
  return PyBool_FromLong(c->closing && c->balance == 0);
}
PyObject* get_preference(PyObject* self, void*) {
  return PyLong_FromLong(as_channel(self)->preference);
}
int set_preference(PyObject* self, PyObject* value, void*) {
  if (value == nullptr || !PyLong_Check(value)) {
    raise(PyExc_TypeError, "preference must be set to an integer");
    return -1;
  }
  int overflow;
  long preference = PyLong_AsLongAndOverflow(value, &overflow);
  if (overflow == 0 && preference == -1 && PyErr_Occurred()) {
    return -1;
  }
  if (overflow != 0) {
    preference = overflow;
  }
  as_channel(self)->preference = static_cast<signed char>((preference > 0) - (preference < 0));
  return 0;
}
PyObject* get_schedule_all(PyObject* self, void*) {
  return PyLong_FromLong(as_channel(self)->schedule_all ? 1 : 0);
}
int set_schedule_all(PyObject* self, PyObject* value, void*) {
  if (value == nullptr || !PyLong_Check(value)) {
    raise(PyExc_TypeError, "preference must be set to a bool or integer");
    return -1;
  }
  as_channel(self)->schedule_all = PyObject_IsTrue(value) == 1;
  return 0;
}

// ---- creation and destruction ---------------------------------------------------------------------

PyObject* channel_new(PyTypeObject* type, PyObject*, PyObject*) {
  PyObject* self = type->tp_alloc(type, 0);
  if (self != nullptr) {
    as_channel(self)->preference = -1;
  }
  return self;
}
// Whatever arguments a subclass takes are its own business.
int channel_init(PyObject*, PyObject*, PyObject*) { return 0; }

int channel_traverse(PyObject* self, visitproc visit, void* arg) {
  for (Tasklet* t = as_channel(self)->first; t != nullptr; t = t->next) {
    Py_VISIT(t);
  }
  return 0;
}

int channel_clear(PyObject* self) {
  Channel* c = as_channel(self);
  c->closing = c->closing || c->first != nullptr;
  while (c->first != nullptr) {
    remove_from_queue(c->first);
  }
  return 0;
}

void channel_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  Channel* c = as_channel(self);
  if (c->weak_references != nullptr) {
    PyObject_ClearWeakRefs(self);
  }
  channel_clear(self);
  Py_TYPE(self)->tp_free(self);
}

}  // namespace

PyMethodDef channel_methods[] = {
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     "__class_getitem__($type, item, /)\n--\n\nReturn a generic alias, for type annotations.\n"},
    {"send", method(send_method), METH_FASTCALL,
     "send($self, value, /)\n--\n\n"
     "Send a value through the channel: the tasklet that has waited longest to receive gets it.\n\n"
     "With preference -1 the receiver runs at once and the caller when its turn comes; else the caller\n"
     "goes on. If nobody waits, the caller blocks until somebody receives. Returns None.\n"
     "Raises RuntimeError if blocking would be a deadlock or block_trap is set, ValueError if the\n"
     "channel is closed and nobody waits. As in the original.\n"},
    {"receive", method(receive_method), METH_FASTCALL,
     "receive($self, /)\n--\n\n"
     "Receive a value: from the tasklet that has waited longest to send.\n\n"
     "With preference 1 that sender runs at once and the caller when its turn comes; else the caller\n"
     "goes on. If nobody waits, the caller blocks until somebody sends. Returns the value, or raises\n"
     "the exception that was sent.\n"
     "Raises RuntimeError if blocking would be a deadlock or block_trap is set, ValueError if the\n"
     "channel is closed and nobody waits. As in the original.\n"},
    {"send_exception", method(send_exception), METH_FASTCALL,
     "send_exception($self, exc_class, /, *args)\n--\n\n"
     "Send an exception: `exc_class(*args)` is raised in the receiver. Who runs next: see send().\n"
     "Raises TypeError unless `exc_class` is an exception class.\n"},
    {"send_throw", method(send_throw), METH_FASTCALL | METH_KEYWORDS,
     "send_throw($self, /, exc, val=None, tb=None)\n--\n\n"
     "Send an exception given as for throw(), traceback included. Who runs next: see send().\n"
     "Raises TypeError for what can't be raised.\n"},
    {"send_sequence", method(send_sequence), METH_FASTCALL,
     "send_sequence($self, iterable, /)\n--\n\n"
     "Send each item of an iterable, as send() would. Returns how many.\n"
     "Raises what send() or the iterable raises.\n"},
    {"close", close, METH_NOARGS,
     "close($self, /)\n--\n\n"
     "Close the channel: nobody can block on it any more, but who waits already is still served, and\n"
     "iteration ends when the senders are through. The caller goes on. Returns None.\n"},
    {"open", open, METH_NOARGS,
     "open($self, /)\n--\n\nUndo close(). The caller goes on. Returns None.\n"},
    {"__reduce__", reduce, METH_NOARGS, "__reduce__($self, /)\n--\n\nHelper for pickle.\n"},
    {"__setstate__", set_state, METH_O,
     "__setstate__($self, state, /)\n--\n\nHelper for pickle.\n"},
    {},
};

namespace {

PyGetSetDef channel_attributes[] = {
    {"balance", get_balance, nullptr,
     "The number of tasklets waiting to send, or minus the number waiting to receive.", nullptr},
    {"queue", get_queue, nullptr,
     "The tasklet that has waited longest, or None; its next is the one behind it.", nullptr},
    {"closing", get_closing, nullptr, "Whether close() has been called.", nullptr},
    {"closed", get_closed, nullptr, "Whether close() has been called and nobody waits.", nullptr},
    {"preference", get_preference, set_preference,
     "Who goes on when a value changes hands: -1 the receiver (the default), 0 whoever completes the\n"
     "exchange, 1 the sender.",
     nullptr},
    {"schedule_all", get_schedule_all, set_schedule_all,
     "If 1, every exchange lets all other runnable tasklets run first; preference is ignored.",
     nullptr},
    {},
};

}  // namespace

PyTypeObject ChannelType = {
    .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
    .tp_name = "stackless.channel",
    .tp_basicsize = sizeof(Channel),
    .tp_dealloc = channel_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_doc =
        "channel()\n--\n\n"
        "Passes objects between tasklets: who finds nobody at the other end blocks until\n"
        "somebody comes. Values are not copied, and none is ever lost. Iterating receives until\n"
        "the channel is closed and no sender is left. As in the original.\n",
    .tp_traverse = channel_traverse,
    .tp_clear = channel_clear,
    .tp_weaklistoffset = offsetof(Channel, weak_references),
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = next_value,
    .tp_methods = channel_methods,
    .tp_getset = channel_attributes,
    .tp_init = channel_init,
    .tp_new = channel_new,
};

}  // namespace stackless
