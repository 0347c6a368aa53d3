#include "interp/frames/call_position.hpp"

#include <cstdint>

namespace stackless::interp {

namespace {

// How many of the arguments are the object of a method that has been got from its class.
int objects_among_arguments(const Slot* operands) {
  PyObject* callable = object_in(operands[0]);
  bool is_method = callable != nullptr && Py_IS_TYPE(callable, &PyMethodDescr_Type);
  return is_method && object_in(operands[1]) == nullptr ? 1 : 0;
}

// Whether a call has passed these arguments where they lie, perhaps without the first, a method's
// object.
bool is_called_with_place(const void* arguments, CallMark mark) {
  return mark == CallMark::of_arguments(arguments) ||
         mark == CallMark::of_arguments(static_cast<const Slot*>(arguments) + 1);
}

}  // namespace

bool is_called_with(const Slot* operands, int arguments, CallMark mark) noexcept {
  if constexpr (!calls_copy_arguments) {
    return is_called_with_place(operands + 2, mark);
  }
  int first = objects_among_arguments(operands);
  return first < arguments ? mark == CallMark::of_arguments(object_in(operands[2 + first]))
                           : mark.is_without_arguments();
}

namespace {

bool is_called_with_tuple(const Slot* operands, CallMark mark) {
  PyObject* tuple = object_in(operands[2]);
  if constexpr (!calls_copy_arguments) {
    // A tuple that the interpreter has had to make for the call, of a list say, isn't known to the
    // frame.
    return is_called_with_place(reinterpret_cast<PyTupleObject*>(tuple)->ob_item, mark);
  }
  if (tuple == nullptr || !PyTuple_CheckExact(tuple)) {
    return false;  // some operands have been taken off
  }
  int first = objects_among_arguments(operands);
  if (first < PyTuple_GET_SIZE(tuple)) {
    return mark == CallMark::of_arguments(PyTuple_GET_ITEM(tuple, first));
  }
  PyObject *keywords = object_in(operands[3]), *value = nullptr;
  Py_ssize_t position = 0;
  bool has_keywords = keywords != nullptr && PyDict_Next(keywords, &position, nullptr, &value) != 0;
  return has_keywords ? mark == CallMark::of_arguments(value) : mark.is_without_arguments();
}

}  // namespace

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

PyObject* keyword_names(_PyInterpreterFrame* frame, const Instruction* at, int height) noexcept {
  if constexpr (keyword_names_are_operand) {
    return at->opcode == op::call_kw ? object_in(frame->localsplus[height - 1]) : nullptr;
  }
  const Instruction* before = at - precall_units() - 1;
  return before >= code_map(code_of(frame))->instructions.get() && before->opcode == op::kw_names
             ? PyTuple_GET_ITEM(code_of(frame)->co_consts, before->argument)
             : nullptr;
}

namespace {

// The index of the first instruction of the call at index `i`.
int beginning_of_call(const CodeMap& map, int i) {
  if constexpr (keyword_names_are_operand) {
    return i;
  }
  i -= precall_units();
  if (map.instructions[i - 1].opcode == op::kw_names) {
    --i;
    while (map.instructions[i - 1].opcode == EXTENDED_ARG) {
      --i;
    }
  }
  return i;
}

}  // namespace

void step_back(_PyInterpreterFrame* frame) noexcept {
  int call = instruction_index(frame);
  if constexpr (!frames_remember_return) {
    call -= stackless_inline_caches[CALL];
  }
  int first = beginning_of_call(*code_map(code_of(frame)), call);
  instruction_of(frame) = before_first(code_of(frame)) + first;
  set_offset(frame, 0);
}

void take_jump(_PyInterpreterFrame* frame) noexcept {
  if constexpr (!jumps_ask_for_truth) {
    return;
  }
  const Instruction& at = code_map(code_of(frame))->instructions[instruction_index(frame)];
  bool goes_back = jump_of(at.opcode) == Jump::backward_if;
  instruction_of(frame) += goes_back ? -at.argument : at.argument;
}

void jump_again(_PyInterpreterFrame* frame) noexcept { --instruction_of(frame); }

void skip_further(_PyInterpreterFrame* frame) noexcept {
  int jump = code_map(code_of(frame))->instructions[instruction_index(frame)].argument;
  if constexpr (frames_remember_return) {
    set_offset(frame, offset_of(frame) + jump);
    return;
  }
  instruction_of(frame) += jump;
  pop_slots(frame, height_of(frame) - 1);  // the iterator that SEND has asked
}

// As FOR_ITER_GEN and SEND_GEN do it (Python/bytecodes.c).
void await_generator(_PyInterpreterFrame* frame) noexcept {
  if constexpr (generators_end_loops) {
    return;  // it stays there (freezing/generators_3_11.hpp)
  }
  int jump = code_map(code_of(frame))->instructions[instruction_index(frame)].argument;
  step_over(frame);
  if constexpr (frames_point_before) {
    instruction_of(frame) += offset_of(frame);
    set_offset(frame, 0);
  }
  set_offset(frame, offset_of(frame) + jump);
}

bool is_at_loop(_PyInterpreterFrame* frame) noexcept {
  const CodeMap* map = code_map(code_of(frame));
  int index = instruction_index(frame);
  return map != nullptr && index >= 0 && index < map->size &&
         map->instructions[index].opcode == FOR_ITER;
}

Slot end_loop(_PyInterpreterFrame* frame) noexcept {
  int jump = code_map(code_of(frame))->instructions[instruction_index(frame)].argument;
  if constexpr (loops_clean_up) {
    // Nothing stays there: what is returned is what has been taken off.
    instruction_of(frame) += jump;
    pop_slots(frame, height_of(frame) - 1);
    return take_top(frame);
  }
  // END_FOR takes two values off, or one (Python/bytecodes.c, FOR_ITER_GEN).
  set_offset(frame, offset_of(frame) + jump);
  return make_slot(Py_NewRef(Py_None));
}

}  // namespace stackless::interp
