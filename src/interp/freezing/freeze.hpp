// Freeze: take a suspended tasklet's frames off its stacks, into one block of memory.
//
// A tasklet can be frozen where one evaluation loop stands on its C stack, which has called a C
// function of ours. Such a loop keeps nothing of its own that the frames don't hold, nor does the way
// from there into our function; so the C stack can be forgotten as it is, if our function holds no
// reference either. The value that the call is to return is pushed when the tasklet runs again.
// If several loops stand there, it is by merging them (interp/merge.hpp).
#pragma once

#include <Python.h>

#include <vector>

#include "interp/frames/pin.hpp"
#include "interp/interp.hpp"

struct _PyInterpreterFrame;

namespace stackless::interp {

struct Joint;  // interp/rules.hpp

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

// find_halt() looks at a suspended tasklet, or at the running one (`parked` null), which is about to wait in the
// call with `mark`.
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

// call_of() is an address that tells at which call a tasklet waits, or the running one (`parked` null) is about to:
// where the code goes on after it. Null if no Python code has called.
const void* call_of(const Frozen* frozen) noexcept;
const void* call_of(PyThreadState* ts, Parked* parked) noexcept;

// freeze() moves the frames, the exception being handled, the context and the trace functions out; the
// stacks hold nothing of value any more. Null if there is no memory (no exception is set).
Frozen* freeze(PyThreadState* ts, Parked* parked, const Halt& halt) noexcept;

// thaw() runs the frames on, after begin(): the call at which they were frozen returns what finish()
// does, or raises; or is made once more, if that returns again() (no reference). It consumes `frozen` and
// returns what the outermost frame returns, or null with an exception set.
PyObject* thaw(PyThreadState* ts, Frozen* frozen, PyObject* (*finish)());
PyObject* again() noexcept;

// drop() clears the frames without running anything of theirs, and consumes `frozen`.
void drop(Frozen* frozen);

// traverse() visits what a suspended tasklet's frames own, for the collector; of frames that have called
// C code perhaps not all of it, which keeps alive what could go, never more.
int traverse(PyThreadState* ts, Suspended tasklet, visitproc visit, void* arg);

// take_context() hands the context over, for begin().
PyObject* take_context(Frozen* frozen) noexcept;

std::size_t memory_of(const Frozen* frozen) noexcept;
// count_operands() is how many values the call at which it stands has left on the value stack.
int count_operands(const Frozen* frozen) noexcept;

// init_freezing() is called once, at import; -1 with an exception set.
int init_freezing();

}  // namespace stackless::interp
