// A continuation says how the outer frame's instruction is completed when the inner frame returns: it is
// the rest of the C function that stood between the two. Each is a constant beside the rules that need it.
//
// In these files V is what the inner frame has returned; what is kept, and the second object, are what a
// rule has found in the outer frame, or null.
#pragma once

#include <cstdint>
#include <optional>

#include "interp/frames/call_position.hpp"
#include "interp/frames/frame.hpp"
#include "interp/versions/facts.hpp"
#include "object/reference.hpp"

namespace stackless::interp {

struct Joint;

// What a continuation is called with.
struct Arrival {
  int argument;  // that the rule has given
  PyObject* kept;
  PyObject* second;
  PyObject* value;  // V, or the exception that has come in its place
  _PyInterpreterFrame* outer;
};

// What is pushed on the outer frame's value stack, maybe a null; nothing if an exception is set.
using Result = std::optional<Slot>;
inline Result push(Object object) {
  return object ? Result(make_slot(object.release())) : std::nullopt;
}
inline Object bool_object(bool value) { return Object::share(value ? Py_True : Py_False); }

using Finish = Result (*)(const Arrival& arrival);

// Where the outer frame of a pickle stands: what completes its instruction must not lose anything in memory.
struct Place {
  PyCodeObject* code;
  const Instruction& at;
  int height;    // of its value stack, from the first local variable on
  int argument;  // of the continuation, 0 to largest_argument
};
constexpr int largest_argument = 63;

// Which of the frames of continuation_frame.hpp waits for V.
enum class Shape : std::uint8_t {
  none,      // none: V is pushed, and that is all
  plain,     // one that gets what a function has returned
  waiting,   // what a generator has yielded or returned
  driving,   // what an asynchronous generator has yielded, returned or raised
  catching,  // what a function has returned or raised
  closing,   // what a generator has yielded, returned or raised: three ways
};
constexpr std::size_t shapes = 6;

bool takes_a_flag(const Place& place) noexcept;  // 0 or 1
Result raise_again(const Arrival& arrival);

struct Continuation {
  const char* name;
  int number;  // in pickles: it never changes, and no two have the same; less than most_continuations
  Shape shape = Shape::plain;
  Finish finish = nullptr;
  // Whether a pickle may have put the continuation there, with that argument.
  bool (*fits)(const Place& place) noexcept = takes_a_flag;
  Finish finish_exception = raise_again;  // catching, closing: an exception has come
  Finish finish_yielded = nullptr;        // closing: the generator has yielded V
  // find_next() finds the joint if the continuation itself has called Python code, `inner` (null: what waits
  // has no frame), for the instruction at which `outer` stands. Null: nothing is known of that.
  bool (*find_next)(const Joint& before, _PyInterpreterFrame* outer, _PyInterpreterFrame* inner,
                    Joint* joint) noexcept = nullptr;
  // What is kept is an iterator that asks others (wrapping_iterators.hpp), maybe one without a frame.
  bool asks = false;

  bool has_frame() const { return shape != Shape::none; }
  bool waits_for_generator() const {
    return shape == Shape::waiting || shape == Shape::driving || shape == Shape::closing;
  }
  bool catches_exceptions() const { return shape == Shape::catching || shape == Shape::closing; }
};
constexpr std::size_t most_continuations = 64;

// continuation_of() is the one with that number; null if no rule of this version has it.
const Continuation* continuation_of(int number) noexcept;

// ---- those that several files need ---------------------------------------------------------------

extern const Continuation push_value;    // V is pushed
extern const Continuation push_nothing;  // V is dropped
extern const Continuation push_none;     // None is pushed
extern const Continuation
    push_or_default;  // V is pushed, or second if there is one; what is kept if
                      // StopIteration (argument 1: AttributeError) is raised
extern const Continuation
    resume_generator;                    // V is pushed, after a jump if a generator has returned it
extern const Continuation new_instance;  // V has to be None; what is kept, the instance, is pushed
extern const Continuation leave_context;  // the context that is kept is left; V is pushed

// The argument of new_instance where it stands for a frame of CPython's, no C code (3.13+:
// Python/specialize.c, _Py_InitCleanup).
constexpr int is_level_of_recursion = 1;

// ---- and what they are made of -------------------------------------------------------------------

// Some instructions push two values, or none. What a continuation returns is pushed; so for two it pushes the
// first one itself, and for none it returns what it has taken off before.
void push_on(_PyInterpreterFrame* frame, Object object);
Slot pop_off(_PyInterpreterFrame* frame);

// has_operands() tells whether the operands of a call, as many as the argument says, are still on the value
// stack, for a continuation that takes them off.
bool has_operands(const Place& place) noexcept;

// may_end_loop() tells whether the end of a loop finds something beneath the iterator, as it has to up to 3.11
// (end_loop()).
inline bool may_end_loop(int height) { return !loops_clean_up || height >= 2; }

// initialised() tells whether V is what an __init__() may return; else TypeError is set.
bool initialised(PyObject* value);

}  // namespace stackless::interp
