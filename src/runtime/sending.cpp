#include "runtime/sending.hpp"

#include <new>
#include <utility>

#include "interp/portable.hpp"
#include "interp/shells.hpp"
#include "runtime/bomb.hpp"
#include "runtime/channel.hpp"
#include "runtime/freezing.hpp"
#include "runtime/pickling.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/wait.hpp"

namespace stackless {

// ---- exceptions -----------------------------------------------------------------------------------------

namespace {

PyObject* send_bomb(PyObject* self, Object exception, interp::CallMark mark) {
  Object bomb = exception ? make_bomb(std::move(exception)) : Object();
  return bomb ? send(as_channel(self), std::move(bomb), mark).release() : nullptr;
}

Object make_tuple(PyObject* const* items, Py_ssize_t count) {
  Object tuple = Object::steal(PyTuple_New(count));
  for (Py_ssize_t i = 0; tuple && i < count; ++i) {
    PyTuple_SET_ITEM(tuple.get(), i, Py_NewRef(items[i]));
  }
  return tuple;
}

// The same call with a tuple and a dict.
bool parse_throw(PyObject* const* args, Py_ssize_t nargs, PyObject* names, PyObject** type,
                 PyObject** value, PyObject** traceback) {
  static const char* known[] = {"exc", "val", "tb", nullptr};
  Object positional = make_tuple(args, nargs);
  Object keywords = Object::steal(PyDict_New());
  if (!positional || !keywords) {
    return false;
  }
  for (Py_ssize_t i = 0; i < count_arguments(0, names); ++i) {
    if (PyDict_SetItem(keywords.get(), PyTuple_GET_ITEM(names, i), args[nargs + i]) < 0) {
      return false;
    }
  }
  return PyArg_ParseTupleAndKeywords(positional.get(), keywords.get(), "O|OO:send_throw",
                                     const_cast<char**>(known), type, value, traceback) != 0;
}

}  // namespace

PyObject* send_exception(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  Object arguments = make_tuple(args, nargs);
  Object exception =
      arguments ? make_exception_from(arguments.get(), "channel", "send_exception") : Object();
  arguments.reset();  // only the exception is to keep them
  return send_bomb(self, std::move(exception), interp::call_mark(args, nargs));
}

PyObject* send_throw(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  PyObject *type, *value = nullptr, *traceback = nullptr;
  if (!parse_throw(args, nargs, names, &type, &value, &traceback)) {
    return nullptr;
  }
  return send_bomb(self, make_exception(type, value, traceback),
                   interp::call_mark(args, count_arguments(nargs, names)));
}

// ---- sequences ------------------------------------------------------------------------------------------

namespace {

constexpr char key = 0;  // of the call

// What a call of send_sequence() keeps.
struct Sequence final : Operation {
  int traverse(visitproc visit, void* arg) override {
    Py_VISIT(iterator.get());
    Py_VISIT(item.get());
    return 0;
  }
  std::size_t memory() const noexcept override { return sizeof *this; }
  const char* place() const noexcept override { return "in send_sequence()"; }
  Object state(Py_ssize_t operands) const override {
    return Object::steal(Py_BuildValue("(OOnn)", self, iterator.get(), count, operands));
  }

  Object iterator;
  Object item;  // that is being sent
  Py_ssize_t count = 0;
};

// Null with an exception set.
Sequence* new_sequence(PyObject* self, Object iterator, Py_ssize_t count) {
  auto* sequence = new (std::nothrow) Sequence;
  if (sequence == nullptr) {
    PyErr_NoMemory();
    return nullptr;
  }
  sequence->self = self;
  sequence->call = &key;
  sequence->iterator = std::move(iterator);
  sequence->count = count;
  return sequence;
}

// Starts one, or goes on with one behind its wait; null with an exception set.
Sequence* take_up(Scheduler* s, PyObject* self, PyObject* iterable) {
  if (auto* sequence = static_cast<Sequence*>(taken_over(s, self, &key))) {
    sequence->is_over = false;
    ++sequence->count;
    return sequence;
  }
  Object iterator = Object::steal(PyObject_GetIter(iterable));
  return iterator ? new_sequence(self, std::move(iterator), 0) : nullptr;
}

bool send_item(Scheduler* s, PyObject* self, Sequence* sequence, interp::CallMark mark) {
  Tasklet* tasklet = s->current;
  Operation* outer = std::exchange(tasklet->operation, sequence);
  bool sent = send(as_channel(self), sequence->item, mark).get() != nullptr;
  if (!is_unwound(s)) {
    tasklet->operation = outer;
  }
  return sent;
}

PyObject* send_rest(Scheduler* s, PyObject* self, Sequence* sequence, interp::CallMark mark) {
  for (;;) {
    sequence->item.reset();
    sequence->item = Object::steal(PyIter_Next(sequence->iterator.get()));
    if (!sequence->item) {
      return PyErr_Occurred() != nullptr ? nullptr : PyLong_FromSsize_t(sequence->count);
    }
    if (!send_item(s, self, sequence, mark)) {
      return nullptr;
    }
    ++sequence->count;
  }
}

}  // namespace

PyObject* send_sequence(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  if (!takes("channel.send_sequence", 1, nargs)) {
    return nullptr;
  }
  Scheduler* s = scheduler();
  Sequence* sequence = s != nullptr ? take_up(s, self, args[0]) : nullptr;
  if (sequence == nullptr) {
    return nullptr;
  }
  PyObject* result = send_rest(s, self, sequence, interp::call_mark(args, 1));
  if (!is_left(s, sequence)) {
    KeepException pending;
    delete sequence;
  }
  return result;
}

Object restore_sequence(Tasklet* tasklet, PyObject* state) {
  PyObject *self, *iterator;
  Py_ssize_t count, operands;
  if (!PyTuple_CheckExact(state) || !PyArg_ParseTuple(state, "O!Onn:send_sequence", &ChannelType,
                                                      &self, &iterator, &count, &operands)) {
    return raise(PyExc_ValueError, "the snapshot is damaged: a tasklet sends nothing");
  }
  iterator = interp::look_through(iterator);
  if (!PyIter_Check(iterator)) {
    return raise(PyExc_ValueError, "the snapshot is damaged: a tasklet sends no sequence");
  }
  Object method = Object::steal(
      PyObject_GetAttrString(reinterpret_cast<PyObject*>(&ChannelType), "send_sequence"));
  Object call = method
                    ? Object::steal(interp::method_operands(operands, method.get(), self, iterator))
                    : Object();
  tasklet->operation = call ? new_sequence(self, Object::share(iterator), count) : nullptr;
  return tasklet->operation != nullptr ? call : Object();
}

}  // namespace stackless
