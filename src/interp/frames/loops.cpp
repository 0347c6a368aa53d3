#include "interp/frames/loops.hpp"

#include <array>

#include "interp/frames/frame.hpp"
#include "interp/frames/hidden_frames.hpp"
#include "interp/frames/running_generators.hpp"
#include "interp/versions/opcodes.hpp"

namespace stackless::interp {

_PyInterpreterFrame* base;

int init_loops() {
  if constexpr (!generators_end_loops) {
    return 0;
  }
  PyObject* code = assemble("<base>", {{RETURN_VALUE}});
  static std::array<Slot, special_words> words;
  base = code != nullptr ? make_frame(words.data(), code) : nullptr;
  return code != nullptr ? 0 : -1;
}

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
  return height > 0 && object_in(caller->localsplus[height - 1]) ==
                           reinterpret_cast<PyObject*>(generator_of(frame));
}

_PyInterpreterFrame* driven_from(_PyInterpreterFrame* frame) noexcept {
  while (frame != nullptr && !is_driven(frame)) {
    frame = frame->previous;
  }
  return frame;
}

}  // namespace stackless::interp
