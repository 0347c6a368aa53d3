// Where C code has stood between two Python frames, and had something to do with the value V that the inner one
// returns, stands a frame of ours, to which V is returned like to any other. It calls a continuation:
//
//     value stack   kept or None, second or None, a Continuation, V
//     code          BINARY_OP      (a Continuation) + V: conclude() does it, and leaves the result at the bottom
//                   POP_TOP        its None
//                   POP_TOP        what lies above the result
//                   RETURN_VALUE
//
// Beneath a generator it is one that waits for it, so that V comes in one of two ways:
//
//     value stack   kept or None, second or None, a Continuation, the generator (3.15: null), V
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
//     value stack   what drives it, the generator, a Continuation, a hush, the generator (3.15: null), V
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
//                   BINARY_OP      (a Continuation) - the exception: conclude() does it, or raises it again
//                   POP_TOP ...    as above
//
// Beneath a generator there are three ways:
//
//     code          NOP
//                   SEND           where it stands from the beginning; goes on here with what is yielded
//                   END_SEND
//                   BINARY_OP      (a Continuation) * V: conclude() does it
//                   POP_TOP ...    as above
//                   END_SEND       and here with what is returned
//                   BINARY_OP      ... as above, with a handler
#pragma once

#include "interp/frames/hidden_frames.hpp"
#include "interp/rules/rules.hpp"

namespace stackless::interp {

// How high the value stack of such a frame is at most, and how many words it takes on the data stack.
constexpr int continuation_height = iterators_have_index ? 6 : 5;
int continuation_words(const Continuation& continuation);

// make_continuation_frame() makes one in place of used_words(continuation_height) words.
_PyInterpreterFrame* make_continuation_frame(Slot* place, const Joint& joint);

// read_continuation_frame() tells whether the frame is one, or what CPython has for a class being instantiated (3.13+:
// Python/specialize.c, _Py_InitCleanup), and what for.
bool read_continuation_frame(_PyInterpreterFrame* frame, Joint* joint) noexcept;

// counts_as_level() tells whether the frame is a level of recursion: one of ours is if it stands for one of CPython's.
bool counts_as_level(_PyInterpreterFrame* frame) noexcept;

// init_continuation_frames() is called once, at import; -1 with an exception set.
int init_continuation_frames();

}  // namespace stackless::interp
