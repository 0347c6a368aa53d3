#include "interp/trade.hpp"

#include <utility>

#include "interp/frozen.hpp"
#include "interp/internals.h"
#include "interp/own.hpp"
#include "interp/stop.hpp"

namespace stackless::interp {

namespace {

bool is_plain(PyThreadState* ts, const Frozen* frozen) {
#if PY_VERSION_HEX >= 0x030E0000
  if (ts->current_executor != nullptr) {
    return false;
  }
#endif
  return frozen->exc_info == &frozen->exc_item && frozen->room == nullptr &&
         frozen->tracing == nullptr && !Tracing::is_any(ts) &&
         ts->exc_info->previous_item == nullptr;
}

// Whether the innermost frames, of the same code, stand at the same call. That of the frozen one has been
// made to step over it.
bool stand_at_one_call(_PyInterpreterFrame* f, _PyInterpreterFrame* frozen) {
#if PY_VERSION_HEX < 0x030C0000
  _Py_CODEUNIT* instruction = instruction_of(f);
  step_over(f);
  return std::exchange(instruction_of(f), instruction) == instruction_of(frozen);
#else
  return instruction_of(f) == instruction_of(frozen);
#endif
}

// The instruction tells the height of the value stack; where frames know it, they have to agree.
bool stand_alike(_PyInterpreterFrame* f, _PyInterpreterFrame* frozen, bool innermost) {
  return is_on_data_stack(f) && is_on_data_stack(frozen) && code_of(f) == code_of(frozen) &&
         (innermost ? stand_at_one_call(f, frozen) : instruction_of(f) == instruction_of(frozen)) &&
         (height_of(f) == height_of(frozen) || height_of(f) < 0);
}

// What belongs to the tasklet, of a frame; the rest is that of the place, and alike.
void swap_frames(_PyInterpreterFrame* f, _PyInterpreterFrame* frozen, int height) {
#if PY_VERSION_HEX < 0x030C0000
  std::swap(f->f_func, frozen->f_func);
#else
  std::swap(f->f_funcobj, frozen->f_funcobj);
#endif
#if PY_VERSION_HEX >= 0x030E0000  // they may differ in who owns the reference
  std::swap(f->f_executable, frozen->f_executable);
#endif
  std::swap(f->f_globals, frozen->f_globals);
  std::swap(f->f_builtins, frozen->f_builtins);
  if (!has_level(f)) {
    std::swap(f->f_locals, frozen->f_locals);
  }
  std::swap(f->frame_obj, frozen->frame_obj);
  for (_PyInterpreterFrame* each : {f, frozen}) {
    if (each->frame_obj != nullptr) {
      each->frame_obj->f_frame = each;
    }
  }
  std::swap_ranges(f->localsplus, f->localsplus + height, frozen->localsplus);
}

}  // namespace

Trade::Trade(PyThreadState* ts, Frozen* frozen) noexcept : ts_(ts), frozen_(frozen) {
  _PyInterpreterFrame* f = top_of(ts);
  if (f == bottom(ts) || is_entry_only(f) || code_of(f) != code_of(frozen->inner) ||
      !is_plain(ts, frozen) || frozen->pops == 0 || frozen->pops > most_operands ||
      opcode_at(instruction_of(f)) >= stackless_first_instrumented) {
    return;
  }
  _PyInterpreterFrame* other = frozen->inner;
  int height = height_of(other);
  for (int i = frozen->frames; stand_alike(f, other, i == frozen->frames);
       f = f->previous, other = other->previous) {
    if (end_of(ts, f) != (--i > 0 ? End::no : End::all)) {
      return;
    }
    if (i == 0) {
      const PyMethodDef* function = function_at(top_of(ts), {nullptr, height}, frozen->pops);
      bool same = function == function_at(frozen->inner, {nullptr, height}, frozen->pops);
      function_ = same ? function : nullptr;
      outermost_ = function_of(f);
      return;
    }
  }
}

void Trade::make() noexcept {
  _PyInterpreterFrame* f = top_of(ts_);
  _PyInterpreterFrame* other = frozen_->inner;
  int first = height_of(other) - frozen_->pops;
  // The interpreter drops those which it has called with, from wherever it holds them.
  for (int i = first; i < height_of(other); ++i) {
    Slot called_with = f->localsplus[i];
    if (Slot slot = std::exchange(other->localsplus[i], called_with);
        object_in(slot) != object_in(called_with)) {
      if (owns(called_with)) {
        Py_INCREF(object_in(called_with));
      }
      left_[left_count_++] = slot;
    }
  }
  swap_frames(f, other, first);
  for (int i = 1; i < frozen_->frames; ++i) {
    f = f->previous;
    other = other->previous;
    swap_frames(f, other, height_of(other));
  }
  std::swap(ts_->exc_info->exc_value, frozen_->exc_item.exc_value);
  PyObject* context = std::exchange(frozen_->context, ts_->context);
  CommonShare::load_context(ts_, context);
  frozen_->floating.swap();
}

Trade::~Trade() {
  if (left_count_ == 0) {
    return;
  }
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  for (int i = 0; i < left_count_; ++i) {
    if (owns(left_[i])) {
      Py_DECREF(object_in(left_[i]));
    }
  }
  PyErr_Restore(type, value, traceback);
}

}  // namespace stackless::interp
