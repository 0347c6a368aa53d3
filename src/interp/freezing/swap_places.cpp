#include "interp/freezing/swap_places.hpp"

#include <algorithm>
#include <utility>

#include "interp/frames/call_position.hpp"
#include "interp/frames/hidden_frames.hpp"
#include "interp/freezing/frozen.hpp"
#include "interp/rules/continuation_frame.hpp"
#include "interp/versions/internals.h"
#include "object/errors.hpp"

namespace stackless::interp {

namespace {

_PyErr_StackItem* handled_by(PyThreadState* ts, Parked* parked) {
  return parked != nullptr ? parked->share.exc_info : ts->exc_info;
}

// Whether there is nothing to either of them but frames and an exception that is being handled.
bool is_plain(PyThreadState* ts, Parked* parked, const Frozen* frozen) {
  if (parked != nullptr ? runs_machine_code(parked->share) : runs_machine_code(ts)) {
    return false;
  }
  bool traced = parked != nullptr ? parked->share.traced : Tracing::is_any(ts);
  return frozen->extras == nullptr && !traced && handled_by(ts, parked)->previous_item == nullptr;
}

// The instruction tells the height of the value stack; where frames know it, they have to agree.
bool stand_alike(_PyInterpreterFrame* f, _PyInterpreterFrame* frozen, bool innermost) {
  return is_on_data_stack(f) && is_on_data_stack(frozen) && code_of(f) == code_of(frozen) &&
         (innermost ? after_call(f) : instruction_of(f)) == instruction_of(frozen) &&
         (height_of(f) == height_of(frozen) || height_of(f) < 0) &&
         counts_as_level(f) == counts_as_level(frozen);
}

// What belongs to the tasklet, of a frame; the rest is that of the place, and alike.
void swap_frames(_PyInterpreterFrame* f, _PyInterpreterFrame* frozen, int height) {
  bool runs_alike = function_of(f) == function_of(frozen);
  if (!runs_alike) {
    std::swap(f->f_globals, frozen->f_globals);
    std::swap(f->f_builtins, frozen->f_builtins);
  }
  if (!runs_alike || frames_may_borrow) {
    swap_function_and_code(f, frozen);
  }
  if (f->f_locals != frozen->f_locals && !has_level(f)) {
    std::swap(f->f_locals, frozen->f_locals);
  }
  if (f->frame_obj != frozen->frame_obj) {
    std::swap(f->frame_obj, frozen->frame_obj);
    for (_PyInterpreterFrame* each : {f, frozen}) {
      if (each->frame_obj != nullptr) {
        each->frame_obj->f_frame = each;
      }
    }
  }
  std::swap_ranges(f->localsplus, f->localsplus + height, frozen->localsplus);
}

}  // namespace

Trade::Trade(PyThreadState* ts, Parked* parked, Frozen* frozen, CallMark mark) noexcept
    : ts_(ts), parked_(parked), frozen_(frozen) {
  _PyInterpreterFrame* const top = top_of(ts, parked);
  _PyInterpreterFrame* f = top;
  if (f == bottom(ts) || is_entry_only(f) || code_of(f) != code_of(frozen->inner) ||
      !is_plain(ts, parked, frozen) || frozen->pops == 0 || frozen->pops > most_operands ||
      opcode_at(instruction_of(f)) >= stackless_first_instrumented) {
    return;
  }
  _PyInterpreterFrame* other = frozen->inner;
  int height = height_of(other);
  if (!is_called_with(f->localsplus + height - frozen->pops, frozen->pops - 2,
                      parked != nullptr ? parked->mark : mark)) {
    return;
  }
  for (int i = frozen->frames; stand_alike(f, other, i == frozen->frames);
       f = f->previous, other = other->previous) {
    if (end_of(ts, f) != (--i > 0 ? End::no : End::all)) {
      return;
    }
    if (i == 0) {
      const Stop stop{nullptr, height};
      PyObject* callable = callable_at(top, stop, frozen->pops);
      PyObject* other_callable = callable_at(frozen->inner, stop, frozen->pops);
      const PyMethodDef* function = c_function(callable);
      bool same = callable == other_callable || function == c_function(other_callable);
      function_ = same ? function : nullptr;
      outermost_ = function_of(f);
      return;
    }
  }
}

int Trade::drops() const noexcept {
  _PyInterpreterFrame* f = frozen_->inner;
  return static_cast<int>(
      std::count_if(f->localsplus + height_of(f) - frozen_->pops, f->localsplus + height_of(f),
                    [](Slot slot) { return owns(slot) && Py_REFCNT(object_in(slot)) == 1; }));
}

void Trade::make() noexcept {
  _PyInterpreterFrame* f = top_of(ts_, parked_);
  _PyInterpreterFrame* other = frozen_->inner;
  int first = height_of(other) - frozen_->pops;
  // The interpreter drops those which it has called with, from wherever it holds them.
  for (int i = first; i < height_of(other); ++i) {
    Slot called_with = f->localsplus[i];
    if (object_in(other->localsplus[i]) != object_in(called_with)) {
      if (owns(called_with)) {
        Py_INCREF(object_in(called_with));
      }
      left_[left_count_++] = std::exchange(other->localsplus[i], called_with);
    }
  }
  swap_frames(f, other, first);
  for (int i = 1; i < frozen_->frames; ++i) {
    f = f->previous;
    other = other->previous;
    swap_frames(f, other, height_of(other));
  }
  std::swap(handled_by(ts_, parked_)->exc_value, frozen_->exc_value);
  if (parked_ != nullptr) {
    std::swap(frozen_->context, parked_->share.context);
    std::swap(frozen_->floating, core::floating_control_of(parked_->stack_pointer));
  } else {
    PyObject* context = std::exchange(frozen_->context, ts_->context);
    CommonShare::load_context(ts_, context);
    frozen_->floating.swap();
  }
}

PyObject* Trade::take_left() noexcept {
  while (left_count_ > 0) {
    if (Slot slot = left_[--left_count_]; owns(slot)) {
      return object_in(slot);
    }
  }
  return nullptr;
}

Trade::~Trade() {
  if (left_count_ == 0) {
    return;
  }
  KeepException kept;
  while (PyObject* left = take_left()) {
    drop_reference(left);
  }
}

}  // namespace stackless::interp
