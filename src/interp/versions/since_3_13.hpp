// What CPython has had since 3.13: the thread state points at the running frame, and a frame at the
// instruction that it is at, not at the one before.
#pragma once

#include "interp/versions/since_3_12.hpp"
#include "interp/versions/thread_state.hpp"

namespace stackless::interp {

struct BaseLayout {
  _PyErr_StackItem exc_item;
};

inline _PyInterpreterFrame* top_of(PyThreadState* ts) { return ts->current_frame; }
inline void set_top(PyThreadState* ts, _PyInterpreterFrame* frame) { ts->current_frame = frame; }

inline _Py_CODEUNIT*& instruction_of(_PyInterpreterFrame* frame) { return frame->instr_ptr; }
inline _Py_CODEUNIT* before_first(PyCodeObject* code) { return _PyCode_CODE(code); }

// ---- instructions (Python/bytecodes.c) ----
inline int comparison_of(int argument) { return argument >> 5; }
inline bool makes_bool(int argument) { return (argument & 16) != 0; }
inline int name_index(int argument) { return argument >> 1; }
// LOAD_ATTR for a call pushes [attribute, null], up to 3.12 the reverse.
inline constexpr bool attribute_comes_first = true;

}  // namespace stackless::interp
