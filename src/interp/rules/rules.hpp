// Where C code stands between two Python frames: what it is, and how the outer one goes on when the
// inner one returns. This is known for some instructions of the interpreter with certain operands; only
// what can be proved counts.
#pragma once

#include "interp/frames/frame.hpp"
#include "interp/rules/continuation.hpp"

namespace stackless::interp {

struct Joint {
  int height;  // of the outer frame's value stack, the instruction's operands included,
  int pops;    // how many these are,
  int stale;   // and how many of them, from the top, aren't to be looked at
  const Continuation* continuation;
  int argument;
  // Borrowed: what the continuation needs.
  PyObject* kept;
  PyObject* second;
  PyObject* generator;
  PyObject* asked;  // the iterator that it waits for, if that has no frame
  // The outer frame is a continuation's (continuation_frame.hpp). Another takes its place.
  bool again;
};

struct Stop;  // interp/stop.hpp

// is_finalizer() tells whether an object's destructor, or that of one which a weak reference was to, looks to have
// called the frame. It may do so in the middle of any instruction, when part of the operands have gone; so
// the instruction doesn't tell what C code stands there.
bool is_finalizer(_PyInterpreterFrame* f) noexcept;
// drops_operands() tells whether one of what has lain on the frame's value stack is being destroyed, by its
// reference count; from 3.14 on, where frames know what they have, whether operands are missing.
bool drops_operands(_PyInterpreterFrame* f, const Stop& stop) noexcept;
// may_have_dropped() tells whether the outer frame's operands may have gone: a destructor has called the inner
// one, or it may be that of a generator which is about to go, and runs its finally block while an exception drops
// what lies on the outer one's value stack. Nobody but who drops it has a reference to the generator then, it is
// not one of the operands, which have gone, and the exception has made a frame object before (Python/ceval.c,
// error). From 3.14 on frames know what they have.
bool may_have_dropped(_PyInterpreterFrame* outer, _PyInterpreterFrame* inner,
                      const Stop& stop) noexcept;

// find_joint() fills in what stands between the two; false if that is unknown. `inner` null: what waits has no
// frame, and is an iterator that others ask.
bool find_joint(_PyInterpreterFrame* outer, _PyInterpreterFrame* inner, Joint* joint) noexcept;

// may_end() tells whether a frame that goes on after an instruction of `code`, with a value stack of that
// height, may be one in front of such a joint: nothing in memory gets lost whatever the joint's objects are.
bool may_end(PyCodeObject* code, int instruction, int height, const Joint& joint) noexcept;

// init_rules() is called once, at import; -1 with an exception set.
int init_rules();

}  // namespace stackless::interp
