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
#ifdef LOAD_METHOD
inline constexpr int load_method = LOAD_METHOD;
#else
inline constexpr int load_method = -8;
#endif
#ifdef LOAD_SUPER_ATTR
inline constexpr int load_super_attr = LOAD_SUPER_ATTR;
#else
inline constexpr int load_super_attr = -9;
#endif
#ifdef BEFORE_WITH
inline constexpr int before_with = BEFORE_WITH;
#else
inline constexpr int before_with = -10;
#endif
#ifdef UNARY_POSITIVE
inline constexpr int unary_positive = UNARY_POSITIVE;
#else
inline constexpr int unary_positive = -11;
#endif
#ifdef CALL_INTRINSIC_1
inline constexpr int call_intrinsic_1 = CALL_INTRINSIC_1;
#else
inline constexpr int call_intrinsic_1 = -12;
#endif
#ifdef BINARY_SUBSCR
inline constexpr int binary_subscr = BINARY_SUBSCR;
#else
inline constexpr int binary_subscr = -13;
#endif
#ifdef BINARY_SLICE
inline constexpr int binary_slice = BINARY_SLICE;
#else
inline constexpr int binary_slice = -14;
#endif
#ifdef STORE_SLICE
inline constexpr int store_slice = STORE_SLICE;
#else
inline constexpr int store_slice = -15;
#endif
#ifdef TO_BOOL
inline constexpr int to_bool = TO_BOOL;
#else
inline constexpr int to_bool = -16;
#endif
#ifdef POP_JUMP_IF_FALSE
inline constexpr int pop_jump_if_false = POP_JUMP_IF_FALSE;
#else
inline constexpr int pop_jump_if_false = -17;
#endif
#ifdef POP_JUMP_IF_TRUE
inline constexpr int pop_jump_if_true = POP_JUMP_IF_TRUE;
#else
inline constexpr int pop_jump_if_true = -18;
#endif
#ifdef POP_JUMP_FORWARD_IF_FALSE
inline constexpr int pop_jump_forward_if_false = POP_JUMP_FORWARD_IF_FALSE;
#else
inline constexpr int pop_jump_forward_if_false = -19;
#endif
#ifdef POP_JUMP_FORWARD_IF_TRUE
inline constexpr int pop_jump_forward_if_true = POP_JUMP_FORWARD_IF_TRUE;
#else
inline constexpr int pop_jump_forward_if_true = -20;
#endif
#ifdef POP_JUMP_BACKWARD_IF_FALSE
inline constexpr int pop_jump_backward_if_false = POP_JUMP_BACKWARD_IF_FALSE;
#else
inline constexpr int pop_jump_backward_if_false = -21;
#endif
#ifdef POP_JUMP_BACKWARD_IF_TRUE
inline constexpr int pop_jump_backward_if_true = POP_JUMP_BACKWARD_IF_TRUE;
#else
inline constexpr int pop_jump_backward_if_true = -22;
#endif
#ifdef JUMP_IF_FALSE_OR_POP
inline constexpr int jump_if_false_or_pop = JUMP_IF_FALSE_OR_POP;
#else
inline constexpr int jump_if_false_or_pop = -23;
#endif
#ifdef JUMP_IF_TRUE_OR_POP
inline constexpr int jump_if_true_or_pop = JUMP_IF_TRUE_OR_POP;
#else
inline constexpr int jump_if_true_or_pop = -24;
#endif
#ifdef FORMAT_VALUE
inline constexpr int format_value = FORMAT_VALUE;
#else
inline constexpr int format_value = -25;
#endif
#ifdef FORMAT_SIMPLE
inline constexpr int format_simple = FORMAT_SIMPLE;
#else
inline constexpr int format_simple = -26;
#endif
#ifdef FORMAT_WITH_SPEC
inline constexpr int format_with_spec = FORMAT_WITH_SPEC;
#else
inline constexpr int format_with_spec = -27;
#endif
#ifdef CONVERT_VALUE
inline constexpr int convert_value = CONVERT_VALUE;
#else
inline constexpr int convert_value = -28;
#endif
#ifdef END_SEND
inline constexpr int end_send = END_SEND;
#else
inline constexpr int end_send = -29;
#endif
#ifdef EXIT_INIT_CHECK
inline constexpr int exit_init_check = EXIT_INIT_CHECK;
#else
inline constexpr int exit_init_check = -30;
#endif
// BINARY_OP's argument where the operator is a subscript.
#ifdef NB_SUBSCR
inline constexpr int nb_subscr = NB_SUBSCR;
#else
inline constexpr int nb_subscr = -1;
#endif
// For a rule about an instruction that this version has, but for another purpose.
inline constexpr int no_instruction = -100;
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
