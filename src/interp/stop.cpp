#include "interp/stop.hpp"

#include "interp/internals.h"
#if PY_VERSION_HEX >= 0x030D0000
#include <opcode_ids.h>
#else
#include <opcode.h>
#endif

namespace stackless::interp {

Pin find_stop(_PyInterpreterFrame* frame, Stop* stop) noexcept {
  const CodeMap* map = code_map(code_of(frame));
  if (map == nullptr) {
    PyErr_Clear();
    return Pin::memory;
  }
  int index = instruction_index(frame);
  if (index < 0 || index >= map->size) {
    return Pin::instruction;
  }
  stop->at = &map->instructions[index];
#if PY_VERSION_HEX < 0x030C0000
  if (stop->at->opcode ==
      PRECALL) {  // a specialised one makes the call (Python/ceval.c, PRECALL_*)
    stop->at += 1 + stackless_inline_caches[PRECALL];
  }
#endif
#if PY_VERSION_HEX >= 0x030E0000
  stop->height = height_of(frame);
#else
  if (stop->at->height < 0) {
    return Pin::instruction;
  }
  stop->height = code_of(frame)->co_nlocalsplus + stop->at->height;
#endif
  return Pin::none;
}

int call_operands(const Instruction& at) noexcept {
  switch (at.opcode) {
    case CALL:
      return at.argument + 2;
#if PY_VERSION_HEX >= 0x030D0000
    case CALL_KW:  // the keywords' names come last
      return at.argument + 3;
#endif
    case CALL_FUNCTION_EX:
#if PY_VERSION_HEX >= 0x030E0000
      return 4;  // the last one null if there are no keywords
#else
      return 3 + (at.argument & 1);
#endif
    default:
      return 0;
  }
}

void step_over(_PyInterpreterFrame* frame) noexcept {
  const CodeMap* map = code_map(code_of(frame));
  int opcode = map->instructions[instruction_index(frame)].opcode;
#if PY_VERSION_HEX < 0x030C0000
  // prev_instr is the last code unit that has been dealt with.
  if (opcode == PRECALL) {
    frame->prev_instr += 1 + stackless_inline_caches[PRECALL];
    opcode = CALL;
  }
  frame->prev_instr += stackless_inline_caches[opcode];
#elif PY_VERSION_HEX < 0x030D0000
  frame->return_offset = stackless_inline_caches[opcode];
#else
  // Python/bytecodes.c of 3.13: RETURN_VALUE adds it to instr_ptr, the instruction itself included.
  frame->return_offset = static_cast<std::uint16_t>(1 + stackless_inline_caches[opcode]);
#endif
}

namespace {

// The index of the first instruction of the call at index `i`. Up to 3.12 the keywords' names are not on
// the value stack; 3.11 makes a call of two instructions.
int beginning_of_call([[maybe_unused]] const CodeMap& map, int i) {
#if PY_VERSION_HEX < 0x030D0000
#if PY_VERSION_HEX < 0x030C0000
  i -= 1 + stackless_inline_caches[PRECALL];
#endif
  if (map.instructions[i - 1].opcode == KW_NAMES) {
    --i;
    while (map.instructions[i - 1].opcode == EXTENDED_ARG) {
      --i;
    }
  }
#endif
  return i;
}

}  // namespace

void step_back(_PyInterpreterFrame* frame) noexcept {
  int call = instruction_index(frame);
#if PY_VERSION_HEX < 0x030C0000
  call -= stackless_inline_caches[CALL];
#endif
  int first = beginning_of_call(*code_map(code_of(frame)), call);
#if PY_VERSION_HEX < 0x030D0000
  --first;  // prev_instr is the one that has been dealt with
#endif
  instruction_of(frame) = _PyCode_CODE(code_of(frame)) + first;
  set_offset(frame, 0);
}

void take_jump([[maybe_unused]] _PyInterpreterFrame* frame) noexcept {
#if PY_VERSION_HEX < 0x030D0000
  const Instruction& at = code_map(code_of(frame))->instructions[instruction_index(frame)];
  int units = at.argument;
#if PY_VERSION_HEX < 0x030C0000
  if (at.opcode == POP_JUMP_BACKWARD_IF_FALSE || at.opcode == POP_JUMP_BACKWARD_IF_TRUE) {
    units = -units;
  }
#endif
  instruction_of(frame) += units;
#endif
}

#if PY_VERSION_HEX < 0x030C0000
void skip_further(_PyInterpreterFrame*) noexcept {}
void await_generator(_PyInterpreterFrame* frame) noexcept { step_over(frame); }
#else
void skip_further(_PyInterpreterFrame* frame) noexcept {
  const CodeMap* map = code_map(code_of(frame));
  frame->return_offset = static_cast<std::uint16_t>(
      frame->return_offset + map->instructions[instruction_index(frame)].argument);
}

// As FOR_ITER_GEN and SEND_GEN do it (Python/bytecodes.c).
void await_generator(_PyInterpreterFrame* frame) noexcept {
  const CodeMap* map = code_map(code_of(frame));
  const Instruction& at = map->instructions[instruction_index(frame)];
  step_over(frame);
#if PY_VERSION_HEX < 0x030D0000
  frame->prev_instr += frame->return_offset;
  frame->return_offset = 0;
#endif
  frame->return_offset = static_cast<std::uint16_t>(frame->return_offset + at.argument);
}
#endif

bool is_at_loop(_PyInterpreterFrame* frame) noexcept {
  const CodeMap* map = code_map(code_of(frame));
  int index = instruction_index(frame);
  return map != nullptr && index >= 0 && index < map->size &&
         map->instructions[index].opcode == FOR_ITER;
}

Slot end_loop(_PyInterpreterFrame* frame) noexcept {
  int jump = code_map(code_of(frame))->instructions[instruction_index(frame)].argument;
#if PY_VERSION_HEX < 0x030C0000
  // Nothing stays there: what is returned is what has been taken off.
  frame->prev_instr += jump;
  pop_slots(frame, height_of(frame) - 1);
  int height = height_of(frame) - 1;
  set_height(frame, height);
  return frame->localsplus[height];
#else
  // Behind the loop stands an END_FOR, which takes two values off, or one (Python/bytecodes.c, FOR_ITER_GEN).
  frame->return_offset = static_cast<std::uint16_t>(frame->return_offset + jump);
  return make_slot(Py_NewRef(Py_None));
#endif
}

}  // namespace stackless::interp
