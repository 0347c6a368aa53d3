// Frames as freezing sees them: words of memory, an instruction, and a value stack of known height.
#pragma once

#include <cstring>
#include <utility>

#include "interp/versions/version.hpp"

namespace stackless::interp {

// ---- slots: local variables and the value stack --------------------------------------------------
// Up to 3.13 a slot is a reference or null; from 3.14 on it may be borrowed, or a small integer.

#if PY_VERSION_HEX >= 0x030E0000
inline PyObject* object_in(Slot slot) {
  return PyStackRef_IsNullOrInt(slot) ? nullptr : PyStackRef_AsPyObjectBorrow(slot);
}
inline bool owns(Slot slot) {
  return object_in(slot) != nullptr && PyStackRef_RefcountOnObject(slot);
}
inline Slot make_slot(PyObject* object) {
  return object != nullptr ? PyStackRef_FromPyObjectSteal(object) : PyStackRef_NULL;
}
inline bool is_tagged(Slot slot) { return PyStackRef_IsTaggedInt(slot); }
inline std::intptr_t untag(Slot slot) { return PyStackRef_UntagInt(slot); }
inline Slot tag(std::intptr_t number) { return PyStackRef_TagInt(number); }
#else
inline PyObject* object_in(Slot slot) { return slot; }
inline bool owns(Slot slot) { return slot != nullptr; }
inline Slot make_slot(PyObject* object) { return object; }
inline bool is_tagged(Slot) { return false; }
inline std::intptr_t untag(Slot) { return 0; }
inline Slot tag(std::intptr_t) { return nullptr; }
#endif

// ---- the value stack -----------------------------------------------------------------------------
// Its height counts from the first local variable on. A frame that has called Python code knows its
// own; one that has called C code does so from 3.14 on, before it has to be computed (interp/code.hpp).

#if PY_VERSION_HEX >= 0x030E0000
inline int height_of(_PyInterpreterFrame* frame) {
  return static_cast<int>(frame->stackpointer - frame->localsplus);
}
inline void set_height(_PyInterpreterFrame* frame, int height) {
  frame->stackpointer = frame->localsplus + height;
}
// set_height_for() sets that of a copy which will be moved to `home`.
inline void set_height_for(_PyInterpreterFrame* copy, _PyInterpreterFrame* home, int height) {
  copy->stackpointer = home->localsplus + height;
}
#else
inline int height_of(_PyInterpreterFrame* frame) { return frame->stacktop; }
inline void set_height(_PyInterpreterFrame* frame, int height) { frame->stacktop = height; }
inline void set_height_for(_PyInterpreterFrame* copy, _PyInterpreterFrame*, int height) {
  copy->stacktop = height;
}
#endif

constexpr std::size_t special_words = FRAME_SPECIALS_SIZE;

inline std::size_t used_words(int height) {
  return special_words + static_cast<std::size_t>(height);
}

inline int instruction_index(_PyInterpreterFrame* frame) {
  return static_cast<int>(instruction_of(frame) - _PyCode_CODE(code_of(frame)));
}

// Where the interpreter goes on when the call returns, counted from the instruction (3.12+; 3.11 has moved
// on already).
#if PY_VERSION_HEX >= 0x030C0000
inline int offset_of(_PyInterpreterFrame* frame) { return frame->return_offset; }
inline void set_offset(_PyInterpreterFrame* frame, int offset) {
  frame->return_offset = static_cast<std::uint16_t>(offset);
}
#else
inline int offset_of(_PyInterpreterFrame*) { return 0; }
inline void set_offset(_PyInterpreterFrame*, int) {}
#endif

inline bool is_on_data_stack(_PyInterpreterFrame* frame) {
  return frame->owner == FRAME_OWNED_BY_THREAD;
}

// move_frame() copies a frame of the data stack to `place`, which is where its frame object then finds it.
inline _PyInterpreterFrame* move_frame(Slot* place, _PyInterpreterFrame* f, int height) {
  std::memcpy(static_cast<void*>(place), f, used_words(height) * sizeof(Slot));
  auto* moved = reinterpret_cast<_PyInterpreterFrame*>(place);
  set_height(moved, height);
  // Not the copy's, which isn't ready to be read.
  if (PyFrameObject* object = f->frame_obj; object != nullptr) {
    object->f_frame = moved;
  }
  return moved;
}

// take_top() takes the top of the frame's value stack.
inline Slot take_top(_PyInterpreterFrame* f) {
  int top = height_of(f) - 1;
  set_height(f, top);
  return std::exchange(f->localsplus[top], make_slot(nullptr));
}

// pop_slots() drops what lies on the frame's value stack from `height` on.
inline void pop_slots(_PyInterpreterFrame* f, int height) {
  for (int top = height_of(f); top > height;) {
    Slot slot = std::exchange(f->localsplus[--top], make_slot(nullptr));
    set_height(f, top);
    if (owns(slot)) {
      Py_DECREF(object_in(slot));
    }
  }
}

}  // namespace stackless::interp
