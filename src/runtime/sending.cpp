#include "runtime/sending.hpp"

#include <new>
#include <utility>

#include "runtime/bomb.hpp"
#include "runtime/channel.hpp"
#include "runtime/freezing.hpp"
#include "runtime/scheduler.hpp"
#include "runtime/wait.hpp"

namespace stackless {

// ---- exceptions -----------------------------------------------------------------------------------------

namespace {

// While the current tasklet sends an exception, which has been made.
class SendingBomb {
 public:
  explicit SendingBomb(Tasklet* tasklet) : tasklet_(tasklet) { tasklet_->sends_bomb = true; }
  ~SendingBomb() { tasklet_->sends_bomb = false; }
  SendingBomb(const SendingBomb&) = delete;
  SendingBomb& operator=(const SendingBomb&) = delete;

 private:
  Tasklet* tasklet_;
};

PyObject* send_bomb(PyObject* self, Object exception) {
  Object bomb = exception ? make_bomb(std::move(exception)) : Object();
  const Scheduler* s = bomb ? scheduler() : nullptr;
  if (s == nullptr) {
    return nullptr;
  }
  SendingBomb sending(s->current);
  return send(as_channel(self), std::move(bomb)).release();
}

}  // namespace

PyObject* send_exception(PyObject* self, PyObject* args) {
  return send_bomb(self, make_exception_from(args, "channel", "send_exception"));
}

PyObject* send_throw(PyObject* self, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"exc", "val", "tb", nullptr};
  PyObject *type, *value = nullptr, *traceback = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|OO:send_throw", const_cast<char**>(names),
                                   &type, &value, &traceback)) {
    return nullptr;
  }
  return send_bomb(self, make_exception(type, value, traceback));
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

  Object iterator;
  Object item;  // that is being sent
  Py_ssize_t count = 0;
};

// Starts one, or goes on with one behind its wait; null with an exception set.
Sequence* take_up(Scheduler* s, PyObject* self, PyObject* iterable) {
  if (auto* sequence = static_cast<Sequence*>(taken_over(s, self, &key))) {
    sequence->is_over = false;
    ++sequence->count;
    return sequence;
  }
  Object iterator = Object::steal(PyObject_GetIter(iterable));
  auto* sequence = iterator ? new (std::nothrow) Sequence : nullptr;
  if (sequence == nullptr) {
    if (iterator) {
      PyErr_NoMemory();
    }
    return nullptr;
  }
  sequence->self = self;
  sequence->call = &key;
  sequence->iterator = std::move(iterator);
  return sequence;
}

bool send_item(Scheduler* s, PyObject* self, Sequence* sequence) {
  Tasklet* tasklet = s->current;
  Operation* outer = std::exchange(tasklet->operation, sequence);
  bool sent = send(as_channel(self), sequence->item).get() != nullptr;
  if (!is_unwound(s)) {
    tasklet->operation = outer;
  }
  return sent;
}

PyObject* send_rest(Scheduler* s, PyObject* self, Sequence* sequence) {
  for (;;) {
    sequence->item.reset();
    sequence->item = Object::steal(PyIter_Next(sequence->iterator.get()));
    if (!sequence->item) {
      return PyErr_Occurred() != nullptr ? nullptr : PyLong_FromSsize_t(sequence->count);
    }
    if (!send_item(s, self, sequence)) {
      return nullptr;
    }
    ++sequence->count;
  }
}

}  // namespace

PyObject* send_sequence(PyObject* self, PyObject* iterable) {
  Scheduler* s = scheduler();
  Sequence* sequence = s != nullptr ? take_up(s, self, iterable) : nullptr;
  if (sequence == nullptr) {
    return nullptr;
  }
  PyObject* result = send_rest(s, self, sequence);
  if (!is_left(s, sequence)) {
    KeepException pending;
    delete sequence;
  }
  return result;
}

bool is_in_sequence(const Tasklet* tasklet) {
  return tasklet->operation != nullptr && tasklet->operation->call == &key;
}

}  // namespace stackless
