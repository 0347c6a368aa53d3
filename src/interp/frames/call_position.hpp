// Where a frame stands that has called something: its instruction, and the height of its value
// stack.
#pragma once

#include "interp/frames/call_mark.hpp"
#include "interp/frames/code_map.hpp"
#include "interp/frames/frame.hpp"
#include "interp/frames/pin.hpp"
#include "interp/versions/internals.h"
#include "interp/versions/opcodes.hpp"

namespace stackless::interp {

struct Stop {
  const Instruction* at;
  int height;  // from the first local variable on
};

// How many code units a PRECALL and its caches take, where there is one.
inline int precall_units() noexcept {
  return calls_have_precall ? 1 + stackless_inline_caches[op::precall] : 0;
}

// find_stop() finds it; Pin::instruction if the frame is at none that the compiler has written.
inline Pin find_stop(_PyInterpreterFrame* frame, Stop* stop) noexcept {
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
  if (calls_have_precall && stop->at->opcode == op::precall) {
    stop->at += precall_units();
  }
  if constexpr (frames_know_height) {
    stop->height = height_of(frame);
    return Pin::none;
  }
  if (stop->at->height < 0) {
    return Pin::instruction;
  }
  stop->height = code_of(frame)->co_nlocalsplus + stop->at->height;
  return Pin::none;
}

// dropped_at_once() is how many operands an instruction that is no call may have dropped while it
// drops another one, whose destructor waits.
inline int dropped_at_once(const Instruction& at) noexcept {
  switch (int opcode = at.opcode; opcode) {
    case SEND:
      return 1;
    case STORE_ATTR:
    case BINARY_OP:
    case COMPARE_OP:
    case CONTAINS_OP:
    case DELETE_SUBSCR:
      return 2;
    case STORE_SUBSCR:
      return 3;
    default:
      return 0;
  }
}

// call_operands() is how many values a call has on the value stack; 0 if the instruction is no
// call.
inline int call_operands(const Instruction& at) noexcept {
  switch (int opcode = at.opcode; opcode) {
    case CALL:
      return at.argument + 2;
    case op::call_kw:  // the keywords' names come last
      return at.argument + 3;
    case CALL_FUNCTION_EX:
      return unpacking_calls_have_keywords ? 4 : 3 + (at.argument & 1);
    default:
      return 0;
  }
}

// callable_at() is what a call with `operands` has called.
inline PyObject* callable_at(_PyInterpreterFrame* frame, const Stop& stop, int operands) noexcept {
  int place = stop.height - operands;
  if (!callable_comes_first && object_in(frame->localsplus[place]) == nullptr) {
    ++place;
  }
  return object_in(frame->localsplus[place]);
}

// c_function() is the C function that calling an object calls, or null.
inline const PyMethodDef* c_function(PyObject* callable) noexcept {
  if (callable == nullptr) {
    return nullptr;
  }
  if (Py_IS_TYPE(callable, &PyMethodDescr_Type)) {
    return reinterpret_cast<PyMethodDescrObject*>(callable)->d_method;
  }
  if (PyCFunction_CheckExact(callable)) {
    return reinterpret_cast<PyCFunctionObject*>(callable)->m_ml;
  }
  return nullptr;
}

// is_called_with() tells whether `mark` is that of a call with those `operands`, so many behind
// what is called and its object or null. A method that has been got from its class takes its object
// from among these. From 3.14 on the interpreter empties their slots as it drops them, the last one
// first (Python/bytecodes.c, DECREF_INPUTS); before, what they hold may be gone.
bool is_called_with(const Slot* operands, int arguments, CallMark mark) noexcept;

// is_under_way() tells whether the call, or the turn of a loop, at which the frame stands is the
// one with `mark`. Otherwise it may be over and have dropped operands, one of which has a
// destructor that waits.
bool is_under_way(_PyInterpreterFrame* frame, const Stop& stop, CallMark mark) noexcept;

// passed_instruction() is the one that a frame goes on after which stands at `index` in that code.
const Instruction* passed_instruction(PyCodeObject* code, int index) noexcept;
inline const Instruction* passed_instruction(_PyInterpreterFrame* frame) noexcept {
  return passed_instruction(code_of(frame), instruction_index(frame));
}

// keyword_names() is the tuple of the keywords' names of the call `at`, before which the value
// stack is that high; borrowed, null if there are none.
PyObject* keyword_names(_PyInterpreterFrame* frame, const Instruction* at, int height) noexcept;

// step_over() has the frame go on after its instruction when the frame that it has called returns.
inline void step_over(_PyInterpreterFrame* frame) noexcept {
  const CodeMap* map = code_map(code_of(frame));
  int opcode = map->instructions[instruction_index(frame)].opcode;
  if constexpr (frames_remember_return) {
    // Python/bytecodes.c: RETURN_VALUE adds it to where the frame points.
    set_offset(frame, (frames_point_before ? 0 : 1) + stackless_inline_caches[opcode]);
    return;
  }
  if (opcode == op::precall) {
    instruction_of(frame) += precall_units();
    opcode = CALL;
  }
  instruction_of(frame) += stackless_inline_caches[opcode];
}

// Where the code goes on that has called. The innermost frame of a frozen tasklet has been made to
// step over the call.
inline _Py_CODEUNIT* after_call(_PyInterpreterFrame* f) {
  _Py_CODEUNIT* instruction = instruction_of(f);
  if constexpr (frames_remember_return) {
    return instruction;
  }
  step_over(f);
  return std::exchange(instruction_of(f), instruction);
}

// step_back() has a frame that has stepped over a call make the call once more instead.
void step_back(_PyInterpreterFrame* frame) noexcept;

// await_generator() has a frame at FOR_ITER or SEND go on after it when the generator that it has
// resumed yields, and where the instruction jumps to when the generator returns.
void await_generator(_PyInterpreterFrame* frame) noexcept;

// skip_further() has a frame that waits at SEND go on, when it is returned to, where the
// instruction jumps to.
void skip_further(_PyInterpreterFrame* frame) noexcept;

// take_jump() has a frame that stands at a conditional jump take it (up to 3.12).
void take_jump(_PyInterpreterFrame* frame) noexcept;

// jump_again() has it make the conditional jump once more, with what is pushed now.
void jump_again(_PyInterpreterFrame* frame) noexcept;

// is_at_loop() tells whether a frame stands at the FOR_ITER of a loop.
bool is_at_loop(_PyInterpreterFrame* frame) noexcept;

// end_loop() has a frame that goes on after a FOR_ITER go on behind the loop instead, and returns
// what is to be returned into it for that. Up to 3.11 it has to have something beneath the
// iterator.
Slot end_loop(_PyInterpreterFrame* frame) noexcept;

}  // namespace stackless::interp
