// The switch itself, inline: every call between the interpreter's CALL instruction and the jump to
// the other stack costs a mispredicted return, because the two stacks were left at different
// depths of different functions. Included by the few files that switch; they name nothing of what
// it brings in.
#pragma once

#include "interp/switching/suspended.hpp"
#include "interp/versions/version.hpp"

namespace stackless::interp {

struct Parked {
  core::StackPointer stack_pointer;
  Share share;
  CallMark mark;
};

// top_of() is the innermost frame of a suspended tasklet, or of the running one (`parked` null).
inline _PyInterpreterFrame* top_of(PyThreadState* ts, const Parked* parked) {
  return parked != nullptr ? top_of(parked->share) : top_of(ts);
}

[[gnu::always_inline]] inline void switch_to(PyThreadState* ts, Parked** parked, Parked* target,
                                             CallMark mark) noexcept {
  Parked mine;
  mine.mark = mark;
  mine.share.save(ts);
  *parked = &mine;
  core::switch_context(&mine.stack_pointer, target->stack_pointer);
  mine.share.load(ts);
  if (mine.share.is_stale(ts)) [[unlikely]] {
    catch_up(ts, top_of(ts));
  }
}

}  // namespace stackless::interp
