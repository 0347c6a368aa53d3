// Code objects and frames of our own, which stand between those of the program and show up nowhere:
// no RESUME comes before the end of their code, so CPython takes them for incomplete (all versions:
// Include/internal/pycore_frame.h, _PyFrame_IsIncomplete).
#pragma once

#include "interp/frames/frame.hpp"

namespace stackless::interp {

struct OwnInstruction {
  int opcode;
  int argument = 0;
};

// Of the first code units an exception leads to `handler`, with so much of the value stack left.
struct OwnHandler {
  int units = 0;
  int handler = 0;
  int height = 0;
};

// assemble() makes a code object; null with an exception set.
PyObject* assemble(const char* name, const OwnInstruction* instructions, std::size_t count,
                   OwnHandler handler);
template <std::size_t N>
PyObject* assemble(const char* name, const OwnInstruction (&instructions)[N],
                   OwnHandler handler = {}) {
  return assemble(name, instructions, N, handler);
}

// make_frame() makes a frame in place, with an empty value stack, that is about to run `code`.
_PyInterpreterFrame* make_frame(Slot* place, PyObject* code);

// is_own() tells whether the frame is one of these.
extern PyObject* own_globals;
inline bool is_own(_PyInterpreterFrame* frame) noexcept { return frame->f_globals == own_globals; }

// spare_level() has a frame of ours, put into an evaluation loop, not count as a level of
// recursion: those of the program get as deep with it as they do without. False if there is no
// memory. forget_level() undoes that for one that has it, when it is taken out.
bool spare_level(_PyInterpreterFrame* frame) noexcept;
bool is_level(PyObject* object) noexcept;
inline bool has_level(_PyInterpreterFrame* frame) noexcept {
  return is_own(frame) && is_level(frame->f_locals);
}
void forget_level(_PyInterpreterFrame* frame) noexcept;

// hide_error() keeps tools from being told that an exception, which is about to be raised there,
// has passed a frame of ours. Before 3.15 some events are everybody's, whatever code they happen in
// (3.12+; 3.11 asks for the thread's functions at another place).
void hide_error(PyThreadState* ts, _PyInterpreterFrame* frame);

// make_hush() returns an object for the value stack of a frame of ours that handles exceptions:
// when one drops it, tools aren't told what the frame does, until end_hush(). None if there is no
// memory.
PyObject* make_hush() noexcept;
void end_hush(_PyInterpreterFrame* frame) noexcept;

// init_own() is called once, at import; -1 with an exception set.
int init_own();

}  // namespace stackless::interp
