#pragma once

namespace stackless::interp {

// Why a suspended tasklet can't be frozen.
enum class Pin {
  none,
  no_frame,     // no Python frame stands on its C stack
  loops,        // unknown C code stands between its Python frames
  callee,       // its innermost frame has called something else than a function of ours
  instruction,  // it did so by another instruction than a call
  tool,         // a profiler waits for the end of the call
  frame,        // a frame that belongs to somebody else
  jit,          // it runs machine code
  memory,
};

}  // namespace stackless::interp
