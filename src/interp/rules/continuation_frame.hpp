// A shim stands between two merged segments where C code had something to do with the value V that the
// inner one returns. It is a frame of our own, to which V is returned like to any other:
//
//     value stack   kept or None, second or None, an Ending, V
//     code          BINARY_OP      (an Ending) + V: conclude() does it, and leaves the result at the bottom
//                   POP_TOP        its None
//                   POP_TOP        what lies above the result
//                   RETURN_VALUE
//
// Beneath a generator it is one that waits for it, so that V comes in one of two ways:
//
//     value stack   kept or None, second or None, an Ending, the generator (3.15: null), V
//     code          NOP
//                   SEND           where it stands from the beginning; goes on here with what is yielded
//                   END_SEND
//                   SWAP, POP_TOP, POP_TOP, POP_TOP
//                   RETURN_VALUE
//                   END_SEND       and here with what is returned
//                   BINARY_OP      ... as above
//
// Beneath an asynchronous generator conclude() deals with whatever comes of it, exceptions too:
//
//     value stack   what drives it, the generator, an Ending, a hush, the generator (3.15: null), V
//     code          NOP
//                   SEND           where it stands from the beginning
//                   END_SEND       what is yielded or returned comes here,
//                   SWAP, POP_TOP
//                   BINARY_OP      ... as above, and what is raised here
//
// One that catches exceptions has a handler, which gets V, and the exception in its place:
//
//     code          NOP, NOP       where it stands from the beginning
//                   BINARY_OP      ... as above
//                   BINARY_OP      (an Ending) - the exception: conclude() does it, or raises it again
//                   POP_TOP ...    as above
//
// Beneath a generator there are three ways:
//
//     code          NOP
//                   SEND           where it stands from the beginning; goes on here with what is yielded
//                   END_SEND
//                   BINARY_OP      (an Ending) * V: conclude() does it
//                   POP_TOP ...    as above
//                   END_SEND       and here with what is returned
//                   BINARY_OP      ... as above, with a handler
#pragma once

#include "interp/frames/hidden_frames.hpp"
#include "interp/rules/rules.hpp"

namespace stackless::interp {

constexpr bool waits_for_generator(Ending ending) {
  return ending == Ending::next || ending == Ending::next_or || ending == Ending::closed ||
         ending == Ending::drive || ending == Ending::wrapped_generator;
}
constexpr bool catches_exceptions(Ending ending) {
  return ending == Ending::item || ending == Ending::fallback || ending == Ending::closed ||
         ending == Ending::module || ending == Ending::delegated || ending == Ending::leave ||
         is_wrapped(ending);
}
constexpr bool needs_shim(Ending ending) {
  return ending != Ending::push && ending != Ending::generator;
}

// How high the value stack of a shim is at most, and how many words it takes on the data stack.
constexpr int shim_height = PY_VERSION_HEX >= 0x030F0000 ? 6 : 5;
int shim_words(Ending ending);

// make_shim() makes one in place of used_words(shim_height) words.
_PyInterpreterFrame* make_shim(Slot* place, const Joint& joint);

// read_shim() tells whether the frame is a shim, or what CPython has for a class being instantiated (3.13+:
// Python/specialize.c, _Py_InitCleanup), and what for.
bool read_shim(_PyInterpreterFrame* frame, Joint* joint) noexcept;

// counts_as_level() tells whether the frame is a level of recursion: one of ours is if it stands for one of CPython's.
bool counts_as_level(_PyInterpreterFrame* frame) noexcept;

// init_shims() is called once, at import; -1 with an exception set.
int init_shims();

}  // namespace stackless::interp
