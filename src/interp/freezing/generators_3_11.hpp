// Up to 3.11 a generator ends the evaluation loop that it runs in when it yields, returns or raises: C code
// that has resumed it goes on. In a thawed tasklet there is no such code. Its frames lie in one chain, the
// frame that has resumed the generator at the FOR_ITER or SEND that did so; the driver does what remains of
// that instruction, and enters a loop once more with the frame.
#pragma once

#include "interp/frames/frame.hpp"

#if PY_VERSION_HEX < 0x030C0000

namespace stackless::interp {

// What a generator has left its loop with.
class Departure {
 public:
  // Takes what the loop has returned, null with an exception set, and clears the generator's frame if it has
  // ended (Objects/genobject.c, gen_send_ex2).
  Departure(PyThreadState* ts, _PyInterpreterFrame* frame, PyObject* result) noexcept;

  // complete() does what remains of the waiting frame's instruction, and says what is to be returned into it
  // for that; false with the exception set.
  bool complete(_PyInterpreterFrame* waiting, Slot* result) noexcept;

 private:
  bool yields_;
  PyObject* value_;
  PyObject *type_ = nullptr, *error_ = nullptr, *traceback_ = nullptr;
};

}  // namespace stackless::interp

#endif
