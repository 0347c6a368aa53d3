#pragma once

#include "interp/versions/version.hpp"

namespace stackless::interp {

// bottom() is what stands beneath the outermost frame of the outermost loop.
inline _PyInterpreterFrame* bottom([[maybe_unused]] PyThreadState* ts) noexcept {
#if PY_VERSION_HEX >= 0x030F0000
  return ts->base_frame;
#else
  return nullptr;
#endif
}
#if PY_VERSION_HEX < 0x030C0000
// is_base() tells whether `frame` is what stands there while the outermost frame of a thawed tasklet is cleared.
bool is_base(_PyInterpreterFrame* frame) noexcept;
extern _PyInterpreterFrame* base;
// is_driven() tells whether a generator's frame has been thawed with its caller, and not been resumed by that
// since.
bool is_driven(_PyInterpreterFrame* frame) noexcept;
// driven_from() is the first such frame, from `frame` outwards; null if there is none.
_PyInterpreterFrame* driven_from(_PyInterpreterFrame* frame) noexcept;
#endif
// is_entry_only() tells whether the frame is nothing but the mark of an evaluation loop.
inline bool is_entry_only([[maybe_unused]] _PyInterpreterFrame* f) noexcept {
#if PY_VERSION_HEX < 0x030C0000
  return is_base(f);
#else
  return is_entry(f);
#endif
}
// ends_loop() tells whether the loop that runs a frame of a chain ends with it, and the others have none.
inline bool ends_loop([[maybe_unused]] _PyInterpreterFrame* frame) noexcept {
#if PY_VERSION_HEX < 0x030C0000
  return is_driven(frame);
#else
  return false;
#endif
}
// Whether `frame` is the last of a loop's Python frames, and whether that loop is the outermost.
enum class End { no, loop, all };
inline End end_of(PyThreadState* ts, _PyInterpreterFrame* frame) noexcept {
#if PY_VERSION_HEX < 0x030C0000
  if (!frame->is_entry) {
    return End::no;
  }
  if (frame->previous == bottom(ts)) {
    return End::all;
  }
  return is_driven(frame) ? End::no : End::loop;
#else
  _PyInterpreterFrame* caller = frame->previous;
  if (caller == nullptr || !is_entry(caller)) {
    return End::no;
  }
  return caller->previous == bottom(ts) ? End::all : End::loop;
#endif
}

// outer_of() is the frame which called the C code that entered a loop; `beneath` lies beneath the last
// of that loop's Python frames.
inline _PyInterpreterFrame* outer_of(_PyInterpreterFrame* beneath) noexcept {
  return is_entry_only(beneath) ? beneath->previous : beneath;
}

}  // namespace stackless::interp
