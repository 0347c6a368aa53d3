#include "interp/freezing/generators_3_11.hpp"

#include <utility>

#include "interp/frames/call_position.hpp"
#include "interp/frames/loops.hpp"
#include "interp/frames/running_generators.hpp"
#include "interp/freezing/frozen.hpp"
#include "object/compat.hpp"

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
  Object stop = take_exception();
  PyErr_Format(PyExc_RuntimeError, "%s raised %s", kind,
               stops ? "StopIteration" : "StopAsyncIteration");
  Object error = take_exception();
  PyException_SetContext(error.get(), Object(stop).release());
  PyException_SetCause(error.get(), stop.release());
  restore_exception(std::move(error));
}

}  // namespace

Departure::Departure(PyThreadState* ts, _PyInterpreterFrame* frame, PyObject* result) noexcept
    : value_(Object::steal(result)) {
  PyGenObject* generator = generator_of(frame);
  yields_ = result != nullptr && generator->gi_frame_state == FRAME_SUSPENDED;
  ts->exc_info = std::exchange(generator->gi_exc_state.previous_item, nullptr);
  frame->previous = nullptr;
  if (!yields_) {
    if (result == nullptr) {
      replace_stop(generator);
      error_ = take_exception();
    }
    clear_reference(generator->gi_exc_state.exc_value);
    generator->gi_frame_state = FRAME_CLEARED;
    clear_frame(frame);
  }
}

bool Departure::complete(_PyInterpreterFrame* waiting, Slot* result) noexcept {
  if (!value_) {
    restore_exception(std::move(error_));
    return false;
  }
  bool loops = is_at_loop(waiting);
  step_over(waiting);
  if (!yields_ && loops) {
    value_.reset();
    *result = end_loop(waiting);
    return true;
  }
  *result = make_slot(value_.release());
  if (!yields_) {
    skip_further(waiting);
  }
  return true;
}

}  // namespace stackless::interp
