#include "runtime/channel/sending.hpp"
#include "runtime/channel/transfer.hpp"
#include "runtime/scheduler/giving_way.hpp"
#include "runtime/scheduler/mounting.hpp"

#include <new>
#include <utility>

#include "interp/pickling/frames.hpp"
#include "interp/pickling/placeholders.hpp"
#include "interp/pickling/wrap.hpp"
#include "object/arguments.hpp"
#include "runtime/channel/channel.hpp"
#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/operation.hpp"
#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

// ---- exceptions -----------------------------------------------------------------------------------------

namespace {

PyObject* send_bomb(PyObject* self, Object exception, interp::CallMark mark) {
  Object bomb = exception ? make_bomb(std::move(exception)) : Object();
  return bomb ? send(as_channel(self), std::move(bomb), mark).release() : nullptr;
}

constexpr const char* throw_names[] = {"exc", "val", "tb"};
constexpr Parameters throw_parameters{"send_throw", throw_names, 1};

}  // namespace

PyObject* send_exception(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  Object arguments = pack_tuple(args, nargs);
  Object exception =
      arguments ? make_exception_from(arguments.get(), "channel", "send_exception") : Object();
  arguments.reset();  // only the exception is to keep them
  return send_bomb(self, std::move(exception), interp::call_mark(args, nargs));
}

PyObject* send_throw(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  PyObject* bound[std::size(throw_names)] = {};
  if (!bind_arguments(throw_parameters, args, nargs, names, bound)) {
    return nullptr;
  }
  return send_bomb(self, make_exception(bound[0], bound[1], bound[2]),
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
