// What CPython 3.11 to 3.13 have in common: a slot of a frame is a reference or null, and a frame
// that has called C code doesn't know how high its value stack is.
#pragma once

#include "interp/versions/core_headers.hpp"
#include "interp/versions/thread_state.hpp"

namespace stackless::interp {

// ---- slots: local variables and the value stack -------------------------------------------------

using Slot = PyObject*;
inline PyObject* object_in(Slot slot) { return slot; }
inline bool owns(Slot slot) { return slot != nullptr; }
inline Slot make_slot(PyObject* object) { return object; }
inline bool is_tagged(Slot) { return false; }
inline std::intptr_t untag(Slot) { return 0; }
inline Slot tag(std::intptr_t) { return nullptr; }

inline int height_of(_PyInterpreterFrame* frame) { return frame->stacktop; }
inline void set_height(_PyInterpreterFrame* frame, int height) { frame->stacktop = height; }
// set_height_for() sets that of a copy which will be moved to `home`.
inline void set_height_for(_PyInterpreterFrame* copy, _PyInterpreterFrame*, int height) {
  copy->stacktop = height;
}

// bottom() is what stands beneath the outermost frame of the outermost loop.
inline _PyInterpreterFrame* bottom(PyThreadState*) noexcept { return nullptr; }

inline bool runs_machine_code(PyThreadState*) { return false; }
inline bool runs_machine_code(const CommonShare&) { return false; }

}  // namespace stackless::interp
