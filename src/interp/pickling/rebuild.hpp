// Rebuild: the frames of a frozen tasklet, or of a suspended generator, are replaced by others, made of what
// they were taken apart into. This is for $STACKLESS_TORTURE=pickle (runtime/torture.hpp); what a program
// unpickles is a tasklet, or a generator, of its own.
#pragma once

#include "interp/pickling/frames.hpp"

namespace stackless::interp {

// operands_of() returns a tuple of what the call at which the innermost frame stands has left on its value
// stack, which take_apart() leaves out; null with an exception set.
PyObject* operands_of(const Frozen* frozen);

// strip() drops the values in the frames, so that the entries which take_apart() has made are all that
// holds them. The frames of generators are then ready for put_together().
void strip(Frozen* frozen);

// replace() hands over what isn't in the entries, such as the frame objects that somebody holds, from frames
// which have been stripped to those which have been put together instead, and consumes the former.
void replace(Frozen* old, Frozen* fresh);

// rebuild() empties a suspended generator and fills it anew, with a state as generator_state() gives it; -1
// with an exception set.
int rebuild(PyObject* object, PyObject* state);

}  // namespace stackless::interp
