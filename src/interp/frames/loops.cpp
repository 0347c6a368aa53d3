#include "interp/frames/loops.hpp"

#if PY_VERSION_HEX < 0x030C0000

#include <opcode.h>

#include "interp/frames/frame.hpp"
#include "interp/frames/running_generators.hpp"

namespace stackless::interp {

_PyInterpreterFrame* base;  // stands there while an outermost frame is being cleared; never runs

bool is_base(_PyInterpreterFrame* frame) noexcept { return frame == base; }

namespace {

bool resumes(_PyInterpreterFrame* frame) {
  int opcode = opcode_at(instruction_of(frame));
  return opcode == FOR_ITER || opcode == SEND;
}

}  // namespace

bool is_driven(_PyInterpreterFrame* frame) noexcept {
  _PyInterpreterFrame* caller = frame->previous;
  if (is_on_data_stack(frame) || caller == nullptr || !resumes(caller)) {
    return false;
  }
  // One whose instruction has called C code doesn't know its height.
  int height = height_of(caller);
  return height > 0 &&
         caller->localsplus[height - 1] == reinterpret_cast<PyObject*>(generator_of(frame));
}

_PyInterpreterFrame* driven_from(_PyInterpreterFrame* frame) noexcept {
  while (frame != nullptr && !is_driven(frame)) {
    frame = frame->previous;
  }
  return frame;
}

}  // namespace stackless::interp

#endif
