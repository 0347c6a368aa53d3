// What a call keeps that waits, so that it can be made once more.
#pragma once

#include "object/errors.hpp"
#include "runtime/scheduler/blocker.hpp"
#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

// An Operation is all that a call keeps which waits, for a descriptor, say, since its tasklet may be frozen
// meanwhile: then the call ends nowhere, and is made once more when the tasklet is thawed. The second call
// takes the operation over and goes on behind its wait.
struct Operation : Wait {
  Operation() = default;
  virtual ~Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  virtual std::size_t memory() const noexcept = 0;  // in bytes
  virtual const char* place() const noexcept = 0;   // where it waits: "a tasklet that waits ..."
  // What a pickle keeps of a call with so many operands; null, without an exception, if it can't.
  virtual Object state(Py_ssize_t) const { return nullptr; }

  PyObject* self = nullptr;    // whose method it is, which the caller holds, and
  const void* call = nullptr;  // which one
  bool is_over = false;        // the wait is, and the call not yet made again
};

// drop_operation() drops the one of a tasklet which won't make its call again, if it has one.
inline void drop_operation(Tasklet* tasklet) {
  if (Operation* operation = std::exchange(tasklet->operation, nullptr)) {
    KeepException pending;
    delete operation;
  }
}

// taken_over() is the operation which a call goes on with that is made once more; the caller's from now on.
inline Operation* taken_over(Scheduler* s, PyObject* self, const void* call) {
  Operation* operation = s->current->operation;
  if (operation == nullptr || !operation->is_over || operation->self != self ||
      operation->call != call) [[likely]] {
    return nullptr;
  }
  return std::exchange(s->current->operation, nullptr);
}
// is_left() tells whether the call in which the current tasklet waited has to leave the operation to it.
inline bool is_left(const Scheduler* s, const Operation* operation) {
  return s->current->operation == operation;
}

}  // namespace stackless
