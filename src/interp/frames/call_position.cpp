#include "interp/frames/call_position.hpp"

#include <cstdint>

namespace stackless::interp {

#if PY_VERSION_HEX >= 0x030E0000
namespace {

// How many of the arguments are the object of a method that has been got from its class.
int objects_among_arguments(const Slot* operands) {
  PyObject* callable = object_in(operands[0]);
  bool is_method = callable != nullptr && Py_IS_TYPE(callable, &PyMethodDescr_Type);
  return is_method && object_in(operands[1]) == nullptr ? 1 : 0;
}

bool has_no_arguments(CallMark mark) {
  return (reinterpret_cast<std::uintptr_t>(mark) & 1) != 0 && mark != call_mark(nullptr, 0);
}

}  // namespace

bool is_called_with(const Slot* operands, int arguments, CallMark mark) noexcept {
  int first = objects_among_arguments(operands);
  return first < arguments ? object_in(operands[2 + first]) == mark : has_no_arguments(mark);
}

namespace {

bool is_called_with_tuple(const Slot* operands, CallMark mark) {
  PyObject* tuple = object_in(operands[2]);
  if (tuple == nullptr || !PyTuple_CheckExact(tuple)) {
    return false;  // some operands have been taken off
  }
  int first = objects_among_arguments(operands);
  if (first < PyTuple_GET_SIZE(tuple)) {
    return PyTuple_GET_ITEM(tuple, first) == mark;
  }
  PyObject *keywords = object_in(operands[3]), *value = nullptr;
  Py_ssize_t position = 0;
  bool has_keywords = keywords != nullptr && PyDict_Next(keywords, &position, nullptr, &value) != 0;
  return has_keywords ? value == mark : has_no_arguments(mark);
}

}  // namespace
#else
bool is_called_with(const Slot* operands, int, CallMark mark) noexcept {
  return mark == operands + 2 || mark == operands + 3;
}

namespace {

// A tuple that the interpreter has had to make for the call, of a list say, isn't known to the frame.
bool is_called_with_tuple(const Slot* operands, CallMark mark) {
  PyObject** items = reinterpret_cast<PyTupleObject*>(operands[2])->ob_item;
  return mark == items || mark == items + 1;
}

}  // namespace
#endif

bool is_under_way(_PyInterpreterFrame* f, const Stop& stop, CallMark mark) noexcept {
  const Instruction& at = *stop.at;
  bool loops = at.opcode == FOR_ITER;
  int count = loops ? 1 + iterators_have_index : call_operands(at);
  const Slot* operands = f->localsplus + stop.height - count;
  if (mark == nullptr || count == 0 || operands < f->localsplus + code_of(f)->co_nlocalsplus) {
    return false;
  }
  if (loops) {
    return loop_mark(object_in(*operands)) == mark;
  }
  return at.opcode == CALL_FUNCTION_EX ? is_called_with_tuple(operands, mark)
                                       : is_called_with(operands, count - 2, mark);
}

const Instruction* passed_instruction(PyCodeObject* code, int index) noexcept {
  const Instruction* at = &code_map(code)->instructions[index];
  while (at->opcode == CACHE) {  // 3.11
    --at;
  }
  return at;
}

#if PY_VERSION_HEX < 0x030D0000
PyObject* keyword_names(_PyInterpreterFrame* frame, const Instruction* at, int) noexcept {
#if PY_VERSION_HEX < 0x030C0000
  const Instruction* before = at - (2 + stackless_inline_caches[PRECALL]);
#else
  const Instruction* before = at - 1;
#endif
  return before >= code_map(code_of(frame))->instructions.get() && before->opcode == KW_NAMES
             ? PyTuple_GET_ITEM(code_of(frame)->co_consts, before->argument)
             : nullptr;
}
#else
PyObject* keyword_names(_PyInterpreterFrame* frame, const Instruction* at, int height) noexcept {
  return at->opcode == CALL_KW ? object_in(frame->localsplus[height - 1]) : nullptr;
}
#endif

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

void jump_again([[maybe_unused]] _PyInterpreterFrame* frame) noexcept {
#if PY_VERSION_HEX < 0x030C0000
  --instruction_of(frame);
#endif
}

#if PY_VERSION_HEX < 0x030C0000
// A SEND that has been told the last value drops whom it has asked.
void skip_further(_PyInterpreterFrame* frame) noexcept {
  frame->prev_instr += code_map(code_of(frame))->instructions[instruction_index(frame)].argument;
  pop_slots(frame, height_of(frame) - 1);
}

void await_generator(_PyInterpreterFrame*) noexcept {}  // it stays there (interp/driver.hpp)
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
