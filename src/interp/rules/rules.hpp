// Where C code stands between two Python frames: what it is, and how the outer one goes on when the
// inner one returns. This is known for some instructions of the interpreter with certain operands; only
// what can be proved counts.
#pragma once

#include "interp/frames/frame.hpp"

namespace stackless::interp {

// How the outer frame's instruction is completed with the value V that the inner frame returns.
enum class Ending : std::uint8_t {
  push,       // V is pushed
  nothing,    // V is dropped
  instance,   // V has to be None; what is kept, the new instance, is pushed
  generator,  // V is pushed, after a jump if the generator has returned it
  next,       // if the generator has yielded V it is pushed, else StopIteration is raised
  next_or,    // the same, but what is kept is pushed instead
  enter,      // the context manager's __exit__() is pushed, then V
  attribute,  // V is pushed as an attribute that may be called as a method, but is none
  iterator,   // V has to be an iterator; argument 1: it is what a call returns
  truth,    // V's truth is pushed; argument & 1: its opposite; tells_truth, tells_length: what V is
  jump,     // nothing is pushed; the jump is taken if what the former would push is false
  length,   // V as len() returns it
  binary,   // finish_operator(argument, kept, second, V) is pushed
  compare,  // finish_comparison(argument, kept, second, V) is pushed
  none,     // None is pushed
  item,     // V is pushed; StopIteration ends the loop
  fallback,  // V is pushed, or second if there is one; what is kept if StopIteration (argument 1:
             // AttributeError) is raised
  created,  // V is initialised if that is what calling `kept`, a class, does; then the call's operands,
            // as many as argument says, are taken off, and V is pushed
  drive,  // what is kept has driven an asynchronous generator: it makes of V what the instruction gets
  closed,  // the generator, or (argument 1) coroutine, has to end, or let GeneratorExit out
  module,  // V is what has been imported, or (argument 0) the module of that name, `kept`; second is a list
           // of what is wanted from it
  built,  // V is what a class's body has returned; kept is its namespace, second the metaclass. The call's
          // operands, as many as argument says, are taken off, and the class is pushed
  stored,  // V is stored in `kept` with the key `second`, unless (argument 1) there is something, and pushed
  jump_or_pop,  // the same, but what is kept is pushed if the jump is taken; else the instruction is made once
                // more, with a bool
  delegated,  // V is pushed; the value of a StopIteration, after a jump
  leave,      // the context that is kept is left, whatever has come; V is pushed
  convert,    // finish_conversion(argument, kept, second, V) is pushed
  wrapped,    // what is kept, an iterator, goes on with V or an exception (interp/wrappers.hpp)
  wrapped_generator,  // the same if a generator has yielded V, returned or raised
  // Of a class statement, like `built` (interp/classes.hpp):
  prepared,  // V is the namespace; second is the metaclass
  made,  // V is what __new__() has returned; kept is the namespace, second the body's cell, if any
  initialised,  // V has to be None; what is kept, the class, is pushed; second is the body's cell, if any
  subclass,  // the same, but V is dropped; argument 0: of a call whose operands have gone
};
constexpr std::size_t endings = 33;

constexpr bool is_of_class_statement(Ending ending) {
  return ending == Ending::built || (ending >= Ending::prepared && ending <= Ending::subclass);
}

constexpr bool is_wrapped(Ending ending) {
  return ending == Ending::wrapped || ending == Ending::wrapped_generator;
}
// Who wants the next item of such an iterator: a loop, next(), or next() with a default, which is the second object.
enum class AskedBy : std::uint8_t { loop, next, next_or };
constexpr int asking(AskedBy by, int depth) { return static_cast<int>(by) | depth << 2; }
constexpr AskedBy asked_by(int argument) { return static_cast<AskedBy>(argument & 3); }
constexpr int depth_in(int argument) { return argument >> 2; }

// What V has to be whose truth counts: a bool from __bool__(), or a length from __len__().
constexpr int tells_truth = 2, tells_length = 4;

// The argument of `drive` where the instruction is a call: StopIteration comes out of it.
constexpr int raises_when_done = 1;
// That of `instance` where it stands for a frame of CPython's, no C code (3.13+: Python/specialize.c, _Py_InitCleanup).
constexpr int is_level_of_recursion = 1;
constexpr int largest_argument = 63;  // of an ending

struct Joint {
  int height;  // of the outer frame's value stack, the instruction's operands included,
  int pops;    // how many these are,
  int stale;   // and how many of them, from the top, aren't to be looked at
  Ending ending;
  int argument;
  // Borrowed: what the ending needs.
  PyObject* kept;
  PyObject* second;
  PyObject* generator;
  PyObject* asked;  // the iterator that it waits for, if that has no frame
  // The outer frame is one of ours that completes such an instruction (interp/shim.hpp). Another takes its place.
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
