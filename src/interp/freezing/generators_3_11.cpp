#include "interp/freezing/generators_3_11.hpp"

#if PY_VERSION_HEX < 0x030C0000

#include <opcode.h>
#include <utility>

#include "interp/frames/call_position.hpp"
#include "interp/frames/loops.hpp"
#include "interp/frames/running_generators.hpp"
#include "interp/freezing/frozen.hpp"
#include "interp/freezing/stowed_generators.hpp"

namespace stackless::interp {

namespace {

// A generator says StopIteration by returning only.
void replace_stop(PyGenObject* generator) {
  bool is_async = PyAsyncGen_CheckExact(generator) != 0;
  bool stops = PyErr_ExceptionMatches(PyExc_StopIteration) != 0;
  bool stops_too = is_async && PyErr_ExceptionMatches(PyExc_StopAsyncIteration) != 0;
  if (!stops && !stops_too) {
    return;
  }
  const char* kind = is_async                       ? "async generator"
                     : PyCoro_CheckExact(generator) ? "coroutine"
                                                    : "generator";
  _PyErr_FormatFromCause(PyExc_RuntimeError, "%s raised %s", kind,
                         stops ? "StopIteration" : "StopAsyncIteration");
}

}  // namespace

Departure::Departure(PyThreadState* ts, _PyInterpreterFrame* frame, PyObject* result) noexcept
    : value_(result) {
  PyGenObject* generator = generator_of(frame);
  yields_ = result != nullptr && generator->gi_frame_state == FRAME_SUSPENDED;
  ts->exc_info = std::exchange(generator->gi_exc_state.previous_item, nullptr);
  frame->previous = nullptr;
  if (!yields_) {
    if (result == nullptr) {
      replace_stop(generator);
      PyErr_Fetch(&type_, &error_, &traceback_);
    }
    Py_CLEAR(generator->gi_exc_state.exc_value);
    generator->gi_frame_state = FRAME_CLEARED;
    clear_frame(frame);
  }
}

bool Departure::complete(_PyInterpreterFrame* waiting, Slot* result) noexcept {
  if (value_ == nullptr) {
    PyErr_Restore(type_, error_, traceback_);
    return false;
  }
  bool loops = is_at_loop(waiting);
  step_over(waiting);
  *result = value_;
  if (yields_) {
    return true;
  }
  if (loops) {
    Py_DECREF(value_);
    *result = end_loop(waiting);
  } else {
    skip_further(waiting);
  }
  return true;
}

}  // namespace stackless::interp

#endif
