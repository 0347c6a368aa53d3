// A shim stands between two merged segments where C code had something to do with the value V that the
// inner one returns. It is a frame of our own, to which V is returned like to any other:
//
//     value stack   kept or None, None, an Ending, V
//     code          BINARY_OP   (an Ending) + V: complete() does it, and leaves the result at the bottom
//                   POP_TOP     its None
//                   POP_TOP     the None above the result
//                   RETURN_VALUE
#pragma once

#include "interp/own.hpp"
#include "interp/rules.hpp"

namespace stackless::interp {

constexpr bool needs_shim(Ending ending) { return ending != Ending::push; }

constexpr int shim_height = 3;
// How many words a shim takes on the data stack.
int shim_words();

// make_shim() makes one in place of used_words(shim_height) words.
_PyInterpreterFrame* make_shim(Slot* place, const Joint& joint);

// init_shims() is called once, at import; -1 with an exception set.
int init_shims();

}  // namespace stackless::interp
