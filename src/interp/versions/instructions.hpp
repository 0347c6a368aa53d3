// The instructions of all versions by CPython's names. One that this version doesn't have is no_instruction: nothing
// stands at it, so what is said about it never holds.
#pragma once

#include <opcode.h>

namespace stackless::interp {

constexpr int no_instruction = -1;

#ifndef PRECALL
constexpr int PRECALL = no_instruction;
#endif
#ifndef CALL_KW
constexpr int CALL_KW = no_instruction;
#endif
#ifndef LOAD_METHOD
constexpr int LOAD_METHOD = no_instruction;
#endif
#ifndef LOAD_SUPER_ATTR
constexpr int LOAD_SUPER_ATTR = no_instruction;
#endif
#ifndef BEFORE_WITH
constexpr int BEFORE_WITH = no_instruction;
#endif
#ifndef UNARY_POSITIVE
constexpr int UNARY_POSITIVE = no_instruction;
#endif
#ifndef CALL_INTRINSIC_1
constexpr int CALL_INTRINSIC_1 = no_instruction;
#endif
#ifndef BINARY_SUBSCR
constexpr int BINARY_SUBSCR = no_instruction;
#endif
#ifndef BINARY_SLICE
constexpr int BINARY_SLICE = no_instruction;
#endif
#ifndef STORE_SLICE
constexpr int STORE_SLICE = no_instruction;
#endif
#ifndef TO_BOOL
constexpr int TO_BOOL = no_instruction;
#endif
#ifndef POP_JUMP_IF_FALSE
constexpr int POP_JUMP_IF_FALSE = no_instruction;
#endif
#ifndef POP_JUMP_IF_TRUE
constexpr int POP_JUMP_IF_TRUE = no_instruction;
#endif
#ifndef POP_JUMP_FORWARD_IF_FALSE
constexpr int POP_JUMP_FORWARD_IF_FALSE = no_instruction;
#endif
#ifndef POP_JUMP_FORWARD_IF_TRUE
constexpr int POP_JUMP_FORWARD_IF_TRUE = no_instruction;
#endif
#ifndef POP_JUMP_BACKWARD_IF_FALSE
constexpr int POP_JUMP_BACKWARD_IF_FALSE = no_instruction;
#endif
#ifndef POP_JUMP_BACKWARD_IF_TRUE
constexpr int POP_JUMP_BACKWARD_IF_TRUE = no_instruction;
#endif
#ifndef JUMP_IF_FALSE_OR_POP
constexpr int JUMP_IF_FALSE_OR_POP = no_instruction;
#endif
#ifndef JUMP_IF_TRUE_OR_POP
constexpr int JUMP_IF_TRUE_OR_POP = no_instruction;
#endif
#ifndef FORMAT_VALUE
constexpr int FORMAT_VALUE = no_instruction;
#endif
#ifndef FORMAT_SIMPLE
constexpr int FORMAT_SIMPLE = no_instruction;
#endif
#ifndef FORMAT_WITH_SPEC
constexpr int FORMAT_WITH_SPEC = no_instruction;
#endif
#ifndef CONVERT_VALUE
constexpr int CONVERT_VALUE = no_instruction;
#endif
#ifndef END_SEND
constexpr int END_SEND = no_instruction;
#endif
#ifndef EXIT_INIT_CHECK
constexpr int EXIT_INIT_CHECK = no_instruction;
#endif

// BINARY_OP's argument where the operator is a subscript (3.14+).
#ifndef NB_SUBSCR
constexpr int NB_SUBSCR = no_instruction;
#endif

}  // namespace stackless::interp
