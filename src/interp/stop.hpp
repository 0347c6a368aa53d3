// Where a frame stands that has called something: its instruction, and the height of its value stack.
#pragma once

#include "interp/code.hpp"
#include "interp/frame.hpp"
#include "interp/freeze.hpp"

namespace stackless::interp {

struct Stop {
  const Instruction* at;
  int height;  // from the first local variable on
};

// find_stop() finds it; Pin::instruction if the frame is at none that the compiler has written.
Pin find_stop(_PyInterpreterFrame* frame, Stop* stop) noexcept;

// call_operands() is how many values a call has on the value stack; 0 if the instruction is no call.
int call_operands(const Instruction& at) noexcept;

// callable_at() is what a call with `operands` has called.
PyObject* callable_at(_PyInterpreterFrame* frame, const Stop& stop, int operands) noexcept;

// step_over() has the frame go on after its instruction when the frame that it has called returns.
void step_over(_PyInterpreterFrame* frame) noexcept;

// await_generator() has a frame at FOR_ITER or SEND go on after it when the generator that it has resumed
// yields, and where the instruction jumps to when the generator returns (3.12+).
void await_generator(_PyInterpreterFrame* frame) noexcept;

// take_jump() has a frame that stands at a conditional jump take it (up to 3.12).
void take_jump(_PyInterpreterFrame* frame) noexcept;

// is_at_loop() tells whether a frame stands at the FOR_ITER of a loop.
bool is_at_loop(_PyInterpreterFrame* frame) noexcept;

// end_loop() has a frame that goes on after a FOR_ITER go on behind the loop instead, and returns what is to be
// returned into it for that. Up to 3.11 it has to have something beneath the iterator.
Slot end_loop(_PyInterpreterFrame* frame) noexcept;

}  // namespace stackless::interp
