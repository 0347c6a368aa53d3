#include "runtime/channel/channel.hpp"
#include "runtime/channel/transfer.hpp"
#include "runtime/scheduler/deadlock.hpp"

#include "interp/pickling/wrap.hpp"
#include "object/arguments.hpp"
#include "object/no_collection.hpp"

#include <cstddef>
#include <new>
#include <vector>

#include "runtime/channel/sending.hpp"
#include "runtime/scheduler/blocking_calls.hpp"
#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/callbacks.hpp"
#include "runtime/scheduler/scheduler.hpp"
#include "runtime/scheduler/switching.hpp"

namespace stackless {

// ---- sending and receiving ----------------------------------------------------------------------

PyObject* ChannelQueue::owner() noexcept {
  static_assert(offsetof(Channel, queue) == sizeof(PyObject));
  return reinterpret_cast<PyObject*>(this) - 1;
}

Object ChannelQueue::describe(Tasklet* tasklet) {
  Object user = last_user == 0
                    ? Object::steal(PyUnicode_FromString("never used before"))
                    : Object::steal(PyUnicode_FromFormat(
                          "last used by %U", name_of_tasklet(last_user, tasklet->scheduler).get()));
  return user ? Object::steal(PyUnicode_FromFormat(
                    "%s channel %p%U (%U)", tasklet->sending ? "sending on" : "receiving from",
                    static_cast<void*>(owner()), place_of(tasklet).get(), user.get()))
              : Object();
}

namespace {

// ---- methods ------------------------------------------------------------------------------------

// The two operations that make a message between tasklets of one thread, without detours: sending to
// a receiver that runs at once, and waiting while others are runnable. Everything else, and whatever
// needs attention, goes the general way.

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
  NoCollection undisturbed;
  Object queue = attributes ? Object::steal(PyList_New(0)) : Object();
  for (Tasklet* t = c->queue.first; t != nullptr && queue; t = t->next) {
    if (PyList_Append(queue.get(), as_object(t)) < 0) {
      return nullptr;
    }
  }
  if (!queue) {
    return nullptr;
  }
  int flags = (c->closing ? 1 : 0) | (c->preference & 3) << 1 | (c->schedule_all ? 8 : 0);
  return attributes.get() == Py_None
             ? Py_BuildValue("O()(niO)", Py_TYPE(self), c->queue.balance, flags, queue.get())
             : Py_BuildValue("O()(niOO)", Py_TYPE(self), c->queue.balance, flags, queue.get(),
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
  if (PyList_GET_SIZE(queue) != (balance < 0 ? -balance : balance) || c->queue.first != nullptr) {
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
  return PyLong_FromSsize_t(as_channel(self)->queue.balance);
}
PyObject* get_queue(PyObject* self, void*) {
  Tasklet* first = as_channel(self)->queue.first;
  return Py_NewRef(first != nullptr ? as_object(first) : Py_None);
}
PyObject* get_closing(PyObject* self, void*) { return PyBool_FromLong(as_channel(self)->closing); }
PyObject* get_closed(PyObject* self, void*) {
  Channel* c = as_channel(self);
  return PyBool_FromLong(c->closing && c->queue.balance == 0);
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
    new (&as_channel(self)->queue) ChannelQueue();
    as_channel(self)->preference = -1;
  }
  return self;
}
// Whatever arguments a subclass takes are its own business.
int channel_init(PyObject*, PyObject*, PyObject*) { return 0; }

int channel_traverse(PyObject* self, visitproc visit, void* arg) {
  for (Tasklet* t = as_channel(self)->queue.first; t != nullptr; t = t->next) {
    Py_VISIT(t);
  }
  return 0;
}

// Takes everybody out of the queue, before the first of them is dropped: what ends with them may use the channel.
std::vector<Ref<Tasklet>> empty_queue(Channel* c) {
  std::vector<Ref<Tasklet>> queue;
  while (Tasklet* t = c->queue.first) {
    Ref<Tasklet> reference = c->queue.cancel(t);
    try {
      queue.push_back(std::move(reference));
    } catch (const std::bad_alloc&) {
      [[maybe_unused]] Tasklet* lost = reference.release();  // rather than run its destructor here
    }
  }
  return queue;
}

int channel_clear(PyObject* self) {
  Channel* c = as_channel(self);
  c->closing = c->closing || c->queue.first != nullptr;
  empty_queue(c);
  return 0;
}

void channel_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  if (as_channel(self)->weak_references != nullptr) {
    PyObject_ClearWeakRefs(self);
  }
  // They are dropped when there is no channel any more that their destructors could bring back.
  std::vector<Ref<Tasklet>> queue = empty_queue(as_channel(self));
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

void init_channel() {
  register_blocking_call(channel_methods, "receive", Completion::mail, Waits::and_trades);
  register_blocking_call(channel_methods, "send", Completion::mail, Waits::and_trades);
  register_blocking_call(channel_methods, "send_exception", Completion::mail, Waits::with_bomb);
  register_blocking_call(channel_methods, "send_throw", Completion::mail, Waits::with_bomb);
  register_blocking_call(channel_methods, "send_sequence", Completion::again);
  register_blocking_iterator(ChannelType.tp_iternext);
}

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
