// May a tasklet be frozen where it waits; and if not, what stands in the way.
#pragma once

#include <Python.h>

#include <vector>

#include "interp/frames/pin.hpp"
#include "interp/switching/suspended.hpp"

struct _PyInterpreterFrame;

namespace stackless::interp {

struct Joint;  // interp/rules/rules.hpp
struct Stop;   // interp/frames/call_position.hpp

// Where a tasklet stands, found by find_halt() for freeze().
struct Halt {
  Halt();
  ~Halt();
  Halt(const Halt&) = delete;
  Halt& operator=(const Halt&) = delete;

  const PyMethodDef* function = nullptr;  // the C function that its innermost frame has called,
  int arguments = 0;                      // and with how many arguments; -1 if that is unknown;
  PyObject* iterator = nullptr;  // or else the iterator that is asked for an item, borrowed
  int pops = 0;  // what the call leaves on the value stack for the interpreter to drop
  int height = 0;
  int frames = 0;
  std::size_t used_words = 0;  // what the frames on the data stack hold, and
  std::size_t room_words = 0;  // what they need to run
  // It takes merge(), since C functions stand there that hold something:
  bool merges = false;
  // where C code stands between its Python frames, innermost first.
  std::vector<Joint> joints;
  bool asks = false;           // inside of the first of these is no frame: it asks that iterator
  std::size_t generators = 0;  // how many frames lie in generators, and
  std::size_t generator_words = 0;
  PyObject* outermost = nullptr;  // the function of its outermost frame, borrowed
  // Who called the C code that is in the way (Pin::loops).
  _PyInterpreterFrame* pinned_at = nullptr;
  _PyInterpreterFrame* pinned_by = nullptr;  // and whom that has called
};

// find_halt() looks at a suspended tasklet, or at the running one (`parked` null), which is about
// to wait in the call with `mark`.
Pin find_halt(PyThreadState* ts, Parked* parked, Halt* halt, CallMark mark = nullptr) noexcept;

// Who called the C code that stands in the way of freezing.
struct PinPlace {
  PyCodeObject* code = nullptr;  // borrowed; null if no Python frame did
  int line = 0;
  PyObject* callable = nullptr;  // borrowed; what it called, or null if that is unknown or no call:
  int opcode = -1;               // then the instruction,
  PyTypeObject* iterates = nullptr;  // and of FOR_ITER over what
};
PinPlace find_pin(PyThreadState* ts, Parked* parked) noexcept;

// pins() returns between how many of a tasklet's loops C code stands that can't be frozen.
int pins(PyThreadState* ts, Suspended tasklet) noexcept;

// call_of() is an address that tells at which call a tasklet waits, or the running one (`parked`
// null) is about to: where the code goes on after it. Null if no Python code has called.
const void* call_of(const Frozen* frozen) noexcept;
const void* call_of(PyThreadState* ts, Parked* parked) noexcept;

// find_call() fills in what the instruction at which the frame stands has called, and with what.
Pin find_call(_PyInterpreterFrame* frame, const Stop& stop, Halt* halt);

}  // namespace stackless::interp
