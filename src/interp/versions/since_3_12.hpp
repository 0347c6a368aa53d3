// What CPython has had since 3.12: an evaluation loop has a frame of its own beneath its Python
// frames, and a frame that has called remembers how far behind the call it goes on.
#pragma once

#include <cstdint>

#include "interp/versions/core_headers.hpp"

namespace stackless::interp {

// In 3.11 the outermost Python frame of a loop is marked instead.
inline void set_entry(_PyInterpreterFrame*, bool) {}
inline bool is_marked_entry(_PyInterpreterFrame*) { return false; }
// In 3.11 a loop has to be told whether it traces.
inline void update_use_tracing(PyThreadState*) {}

inline int opcode_at(const _Py_CODEUNIT* instruction) { return instruction->op.code; }
inline int frame_words(PyCodeObject* code) { return code->co_framesize; }
inline void add_depth(PyThreadState* ts, int depth) { ts->py_recursion_remaining -= depth; }

// Where the interpreter goes on when the call returns, counted from the instruction.
inline int offset_of(_PyInterpreterFrame* frame) { return frame->return_offset; }
inline void set_offset(_PyInterpreterFrame* frame, int offset) {
  frame->return_offset = static_cast<std::uint16_t>(offset);
}

}  // namespace stackless::interp
