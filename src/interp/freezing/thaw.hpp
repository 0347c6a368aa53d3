// Thaw: put frozen frames under one evaluation loop.
//
// An evaluation loop is entered with a frame of our own, whose code negates an object of ours,
// drops the result, and returns what lies beneath it on its value stack. The negation runs hook(),
// inside the loop: it puts the thawed frames between that frame and its caller, and leaves there
// the value which the call at which they were frozen is to return. The frame's RETURN_VALUE then
// returns it into the innermost thawed frame, as if that call had just ended. Or it returns the
// last of the call's operands, and the call is made with all of them once more.
#pragma once

#include <Python.h>

#include <cstddef>

#include "interp/switching/suspended.hpp"

namespace stackless::interp {

// thaw() runs the frames on, after begin(): the call at which they were frozen returns what
// finish() does, or raises; or is made once more, if that returns again() (no reference). It
// consumes `frozen` and returns what the outermost frame returns, or null with an exception set.
PyObject* thaw(PyThreadState* ts, Frozen* frozen, PyObject* (*finish)());
PyObject* again() noexcept;

// make_room() returns a piece of data stack for frames of that many words; null if there is no
// memory.
_PyStackChunk* make_room(std::size_t words) noexcept;
// needs_room() tells whether thaw() needs one.
bool needs_room(std::size_t words) noexcept;
void free_room(_PyStackChunk* chunk) noexcept;

// init_freezing() is called once, at import; -1 with an exception set.
int init_freezing();

}  // namespace stackless::interp
