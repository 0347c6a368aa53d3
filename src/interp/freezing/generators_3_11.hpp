// Where generators end loops (3.11), a generator leaves the evaluation loop that it runs in when it
// yields, returns or raises: C code that has resumed it goes on. In a thawed tasklet there is no
// such code. Its frames lie in one chain, the frame that has resumed the generator at the FOR_ITER
// or SEND that did so. A Departure does what remains of that instruction, and thaw() enters a loop
// once more with the frame.
#pragma once

#include "interp/frames/frame.hpp"
#include "object/reference.hpp"

namespace stackless::interp {

// What a generator has left its loop with.
class Departure {
 public:
  // Takes what the loop has returned, null with an exception set, and clears the generator's frame
  // if it has ended (Objects/genobject.c, gen_send_ex2).
  Departure(PyThreadState* ts, _PyInterpreterFrame* frame, PyObject* result) noexcept;

  // complete() does what remains of the waiting frame's instruction, and says what is to be
  // returned into it for that; false with the exception set.
  bool complete(_PyInterpreterFrame* waiting, Slot* result) noexcept;

 private:
  bool yields_;
  Object value_;
  Object error_;
};

}  // namespace stackless::interp
