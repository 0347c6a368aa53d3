// Frames as freezing sees them: words of memory, an instruction, and a value stack of known height.
#pragma once

#include <cstring>
#include <utility>

#include "interp/versions/version.hpp"
#include "object/reference.hpp"

namespace stackless::interp {

// ---- the value stack ----------------------------------------------------------------------------
// Its height counts from the first local variable on. A frame that has called Python code knows its
// own; one that has called C code does so from 3.14 on, before it has to be computed
// (frames/code_map.hpp).

constexpr std::size_t special_words = FRAME_SPECIALS_SIZE;

inline std::size_t used_words(int height) {
  return special_words + static_cast<std::size_t>(height);
}

inline int instruction_index(_PyInterpreterFrame* frame) {
  return static_cast<int>(instruction_of(frame) - _PyCode_CODE(code_of(frame)));
}

inline bool is_on_data_stack(_PyInterpreterFrame* frame) {
  return frame->owner == FRAME_OWNED_BY_THREAD;
}

// move_frame() copies a frame of the data stack to `place`, which is where its frame object then
// finds it.
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
      drop_reference(object_in(slot));
    }
  }
}

}  // namespace stackless::interp
