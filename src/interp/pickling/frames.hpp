// Portable frames: a suspended frame as Python objects that pickle can write, and back.
//
// An entry is a tuple:
//   (owner, instruction, offset, code, check, shape, value...)
// Its owner is the function that runs in the frame, or the generator that the frame belongs to. The values
// are those of its slots, the empty ones left out; `shape` has a letter for each slot. `code` is a hash of
// what the code object does, and `check` one of everything else but the values: what has been altered is
// refused, and a value that has become another kind of thing, too. The interpreter believes what the
// compiler has proved of a frame; so nothing else may ever reach it.
//
// Where C code stood between two frames (interp/rules/continuation_frame.hpp) there is another entry:
//   (ending, argument, check, what it keeps, and what else)
#pragma once

#include <Python.h>

#include "interp/freezing/freeze.hpp"
#include "object/no_collection.hpp"

namespace stackless::interp {

// What reads frames (take_apart(), handled_exceptions(), generator_state()) calls nothing of
// Python, which might run those frames. So the objects are as they lie there; what pickle can't
// write is seen to afterwards.

// hash_codes() has the hashes ready that take_apart() needs: to make one may call Python. False if
// there was one to be made, so that the frames may be others now or none; or with an exception set.
bool hash_codes(const Frozen* frozen);
// take_apart() returns a list of the frozen frames' entries, outermost first. The call at which the
// innermost one stands keeps no operands.
PyObject* take_apart(const Frozen* frozen);
// handled_exceptions() returns what they handle: a tuple for each frame that belongs to a generator,
// innermost first, and last for the tasklet; or None if nobody handles anything.
PyObject* handled_exceptions(Frozen* frozen);
// put_together() is the way back; null with an exception set. `operands`: a tuple for a method's call that the
// innermost frame is to make again() (interp/thaw.hpp), with None in an empty slot; else null.
Frozen* put_together(PyObject* entries, PyObject* exceptions, PyObject* operands = nullptr);
// method_operands() returns such a tuple of as many as the call had: of a call of object.method(argument), or of
// Class.method(object, argument). Null with an exception set if it had another number.
PyObject* method_operands(Py_ssize_t count, PyObject* method, PyObject* object, PyObject* argument);

// ---- generators, coroutines, asynchronous generators -------------------------------------------------

// new_generator() returns one of `code`'s kind whose variables are empty. It counts as running, so that nobody
// can run it before fill_generator().
PyObject* new_generator(PyCodeObject* code, PyObject* name, PyObject* qualname);
// generator_state() returns (entry, state, exception being handled, origin or finalizer, flags). The entry
// is None if it has finished, or only its function if it runs: its frame is then its tasklet's to write.
// An asynchronous generator that has called its hooks but got no finalizer has False; its flags are 1 if it is
// closed, and 2 if somebody awaits its next value.
PyObject* generator_state(PyObject* object);
// fill_generator() is the way back, but for an asynchronous generator's hooks; -1 with an exception set.
int fill_generator(PyObject* object, PyObject* state);
// function_in_generator() is what runs in it (borrowed), or null if it has finished.
PyObject* function_in_generator(PyObject* object) noexcept;

// ---- tracebacks ----------------------------------------------------------------------------------------

// new_frame() returns a frame object that runs nothing, in the code's first line, called by `back` (may
// be null).
PyObject* new_frame(PyThreadState* ts, PyObject* code, PyObject* globals, PyObject* back);

}  // namespace stackless::interp
