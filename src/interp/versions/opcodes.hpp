// The instructions, under CPython's names. Those that not every version has are constants of their
// own, which no instruction bears where there is none; so that a switch can name them.
#pragma once

#include <opcode.h>

namespace stackless::interp::op {

// clang-format off
#ifdef PRECALL
inline constexpr int precall = PRECALL;
#else
inline constexpr int precall = -1;
#endif
#ifdef CALL_KW
inline constexpr int call_kw = CALL_KW;
#else
inline constexpr int call_kw = -2;
#endif
#ifdef KW_NAMES
inline constexpr int kw_names = KW_NAMES;
#else
inline constexpr int kw_names = -3;
#endif
#ifdef LOAD_FAST_AND_CLEAR
inline constexpr int load_fast_and_clear = LOAD_FAST_AND_CLEAR;
#else
inline constexpr int load_fast_and_clear = -4;
#endif
#ifdef STORE_FAST_LOAD_FAST
inline constexpr int store_fast_load_fast = STORE_FAST_LOAD_FAST;
#else
inline constexpr int store_fast_load_fast = -5;
#endif
#ifdef STORE_FAST_STORE_FAST
inline constexpr int store_fast_store_fast = STORE_FAST_STORE_FAST;
#else
inline constexpr int store_fast_store_fast = -6;
#endif
#ifdef RETURN_CONST
inline constexpr int return_const = RETURN_CONST;
#else
inline constexpr int return_const = -7;
#endif
// clang-format on

}  // namespace stackless::interp::op

namespace stackless::interp {

enum class Jump { none, forward, backward, forward_if, backward_if };

// jump_of() says whether an instruction may jump, as far as its argument says, from behind itself;
// where it may not (forward_if, backward_if), the next one follows (Python/bytecodes.c and
// Python/compile.c of each version).
constexpr Jump jump_of(int opcode) {
  switch (opcode) {
    case JUMP_FORWARD:
      return Jump::forward;
    case JUMP_BACKWARD:
    case JUMP_BACKWARD_NO_INTERRUPT:
      return Jump::backward;
#ifdef POP_JUMP_FORWARD_IF_TRUE  // 3.11
    case POP_JUMP_FORWARD_IF_TRUE:
    case POP_JUMP_FORWARD_IF_FALSE:
    case POP_JUMP_FORWARD_IF_NONE:
    case POP_JUMP_FORWARD_IF_NOT_NONE:
    case JUMP_IF_TRUE_OR_POP:
    case JUMP_IF_FALSE_OR_POP:
#else
    case POP_JUMP_IF_TRUE:
    case POP_JUMP_IF_FALSE:
    case POP_JUMP_IF_NONE:
    case POP_JUMP_IF_NOT_NONE:
#endif
    case FOR_ITER:
    case SEND:
      return Jump::forward_if;
#ifdef POP_JUMP_BACKWARD_IF_TRUE  // 3.11
    case POP_JUMP_BACKWARD_IF_TRUE:
    case POP_JUMP_BACKWARD_IF_FALSE:
    case POP_JUMP_BACKWARD_IF_NONE:
    case POP_JUMP_BACKWARD_IF_NOT_NONE:
      return Jump::backward_if;
#endif
    default:
      return Jump::none;
  }
}

}  // namespace stackless::interp
