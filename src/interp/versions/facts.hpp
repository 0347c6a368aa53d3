// What is true of the interpreter that this build is for, by name: elsewhere nobody asks which
// version it is. Where the versions differ in a layout, v3_<minor>.hpp has it, in the names of
// instructions, opcodes.hpp.
#pragma once

#include <Python.h>

namespace stackless::interp {

// ---- frames and evaluation loops ----------------------------------------------------------------

// A generator ends the evaluation loop that it runs in when it yields, returns or raises. And a
// loop has no frame of its own: its outermost Python frame is marked, and C code that has called
// that one clears it.
inline constexpr bool generators_end_loops = PY_VERSION_HEX < 0x030C0000;

// A traced call holds references that no frame does (Python/ceval.c, trace_call_function).
inline constexpr bool traced_calls_hold_references = PY_VERSION_HEX < 0x030C0000;

// A frame that has called remembers how far behind the call it goes on; else it has moved on
// already.
inline constexpr bool frames_remember_return = PY_VERSION_HEX >= 0x030C0000;

// What a frame points at is the last code unit that has been dealt with, not the one that it is at;
// and where it goes on is counted from there.
inline constexpr bool frames_point_before = PY_VERSION_HEX < 0x030D0000;

// A frame knows the height of its value stack whenever C code runs.
inline constexpr bool frames_know_height = PY_VERSION_HEX >= 0x030E0000;

// A running generator shows the collector what its frame holds (Objects/genobject.c, gen_traverse).
inline constexpr bool generators_show_running_frames = frames_know_height;

// The variables of a frame that ends die from the last one on (Python/frame.c,
// _PyFrame_ClearLocals).
inline constexpr bool variables_die_last_first = PY_VERSION_HEX >= 0x030E0000;

// A frame may hold a reference to its function or code that somebody else owns.
inline constexpr bool frames_may_borrow = PY_VERSION_HEX >= 0x030E0000;

// ---- calls (Python/bytecodes.c, Python/ceval.c) -------------------------------------------------

// A call is two instructions, PRECALL and CALL. A specialised PRECALL makes the call.
inline constexpr bool calls_have_precall = PY_VERSION_HEX < 0x030C0000;

// On the value stack lies [callable, self or null] before the arguments; else [null, callable] or
// [method, self].
inline constexpr bool callable_comes_first = PY_VERSION_HEX >= 0x030D0000;

// The tuple of the keywords' names is an operand of the call, CALL_KW, the last one; else an
// instruction before it, KW_NAMES, tells it.
inline constexpr bool keyword_names_are_operand = PY_VERSION_HEX >= 0x030D0000;

// CALL_FUNCTION_EX has a slot for keywords even if there are none.
inline constexpr bool unpacking_calls_have_keywords = PY_VERSION_HEX >= 0x030E0000;

// What is called gets a copy of the arguments that lie on the value stack.
inline constexpr bool calls_copy_arguments = PY_VERSION_HEX >= 0x030E0000;

// What has been called is the first thing that CALL drops.
inline constexpr bool calls_drop_callable_first = PY_VERSION_HEX < 0x030E0000;

// ---- other instructions -------------------------------------------------------------------------

// A conditional jump takes any object and asks for its truth; else a TO_BOOL before it does.
inline constexpr bool jumps_ask_for_truth = PY_VERSION_HEX < 0x030D0000;

// The end of a loop leaves nothing for an instruction behind it to take off; else there is an
// END_FOR.
inline constexpr bool loops_clean_up = PY_VERSION_HEX < 0x030C0000;

// RETURN_GENERATOR pushes something, which the compiler's table of effects doesn't say.
inline constexpr bool generator_is_pushed_unsaid = PY_VERSION_HEX < 0x030D0000;

// ---- tools --------------------------------------------------------------------------------------

// Tools work by rewriting code (sys.monitoring).
inline constexpr bool tools_rewrite_code = PY_VERSION_HEX >= 0x030C0000;

// Tools are told of an exception whatever code has raised it, even if that wants to be hidden.
inline constexpr bool tools_see_every_raise =
    PY_VERSION_HEX >= 0x030C0000 && PY_VERSION_HEX < 0x030F0000;

// ---- asynchronous generators --------------------------------------------------------------------

// What athrow() returns keeps its three arguments apart; else as a tuple.
inline constexpr bool athrow_keeps_arguments_apart = PY_VERSION_HEX >= 0x030F0000;

// ---- what the rules ask ----

// A frame that has called C code knows what lies on its value stack, and empties the slots of what is dropped.
inline constexpr bool frames_know_their_operands = frames_know_height;
// LOAD_METHOD loads what is called at once; later LOAD_ATTR with a flag does.
inline constexpr bool methods_have_an_instruction = PY_VERSION_HEX < 0x030C0000;
// x[y] is a BINARY_OP.
inline constexpr bool subscripts_are_operators = PY_VERSION_HEX >= 0x030E0000;
// !r and the like are an instruction of their own; before, FORMAT_VALUE does both.
inline constexpr bool conversions_are_separate = PY_VERSION_HEX >= 0x030D0000;
// An import may be put off until its name is used.
inline constexpr bool imports_may_be_lazy = PY_VERSION_HEX >= 0x030F0000;
// generator.close() returns what the generator returns.
inline constexpr bool close_returns_value = PY_VERSION_HEX >= 0x030D0000;

// What comes before CALL and belongs to it, in code units: PRECALL and its cache.
inline constexpr int units_before_call = calls_have_precall ? 2 : 0;

// The compiler makes calls of a context manager's methods; before, BEFORE_WITH calls __enter__().
inline constexpr bool with_is_made_of_calls = PY_VERSION_HEX >= 0x030E0000;
// BEFORE_WITH pushes __exit__() before it calls __enter__(); later it does so after that.
inline constexpr bool exit_is_pushed_first = PY_VERSION_HEX < 0x030C0000;

// An instruction drops its operands from the last one on (Python/generated_cases.c.h).
inline constexpr bool operands_go_from_the_top = PY_VERSION_HEX >= 0x030F0000;
// END_SEND takes a generator off that SEND has waited for.
inline constexpr bool waiting_has_an_end = PY_VERSION_HEX >= 0x030C0000;

// Messages call a type by its full name and say whose method it was.
inline constexpr bool messages_name_types_fully = PY_VERSION_HEX >= 0x030F0000;

}  // namespace stackless::interp
