// Where evaluation loops begin and end in a chain of frames.
#pragma once

#include "interp/versions/version.hpp"

namespace stackless::interp {

// Where generators end loops, a generator's frame that has been thawed with its caller is driven,
// and not resumed by that, until it has yielded once. is_driven() tells whether a frame is one,
// driven_from() finds the first such frame, from `frame` outwards; null if there is none.
bool is_driven(_PyInterpreterFrame* frame) noexcept;
_PyInterpreterFrame* driven_from(_PyInterpreterFrame* frame) noexcept;

// What stands there, where generators end loops, while the outermost frame of a thawed tasklet is
// being cleared; it never runs.
extern _PyInterpreterFrame* base;

// is_entry_only() tells whether the frame is nothing but the mark of an evaluation loop.
inline bool is_entry_only(_PyInterpreterFrame* frame) noexcept {
  return generators_end_loops ? frame == base : is_entry(frame);
}

// ends_loop() tells whether the loop that runs a frame of a chain ends with it, and the others have
// none.
inline bool ends_loop(_PyInterpreterFrame* frame) noexcept {
  return generators_end_loops && is_driven(frame);
}

// end_of() tells whether `frame` is the last of a loop's Python frames, and whether that loop is
// the outermost.
enum class End { no, loop, all };
inline End end_of(PyThreadState* ts, _PyInterpreterFrame* frame) noexcept {
  _PyInterpreterFrame* caller = frame->previous;
  if constexpr (generators_end_loops) {
    if (!is_marked_entry(frame)) {
      return End::no;
    }
    if (caller == bottom(ts)) {
      return End::all;
    }
    return is_driven(frame) ? End::no : End::loop;
  }
  if (caller == nullptr || !is_entry(caller)) {
    return End::no;
  }
  return caller->previous == bottom(ts) ? End::all : End::loop;
}

// outer_of() is the frame which called the C code that entered a loop; `beneath` lies beneath the
// last of that loop's Python frames.
inline _PyInterpreterFrame* outer_of(_PyInterpreterFrame* beneath) noexcept {
  return is_entry_only(beneath) ? beneath->previous : beneath;
}

// init_loops() is called once, at import, after init_own(); -1 with an exception set.
int init_loops();

}  // namespace stackless::interp
