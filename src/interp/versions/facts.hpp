// What differs between versions of CPython, by name: the code elsewhere asks for a fact, never for a version. What has to
// do with fields of CPython's structs stands in v3_*.hpp.
#pragma once

#include "interp/versions/version.hpp"
#include "object/reference.hpp"

namespace stackless::interp {

// ---- what the rules ask ----

// A frame that has called C code knows what lies on its value stack, and empties the slots of what is dropped.
constexpr bool frames_know_their_operands = PY_VERSION_HEX >= 0x030E0000;
// The end of a loop doesn't look at what lies beneath the iterator.
constexpr bool loops_end_anywhere = PY_VERSION_HEX >= 0x030C0000;
// LOAD_METHOD loads what is called at once; later LOAD_ATTR with a flag does.
constexpr bool methods_have_an_instruction = PY_VERSION_HEX < 0x030C0000;
// x[y] is a BINARY_OP.
constexpr bool subscripts_are_operators = PY_VERSION_HEX >= 0x030E0000;
// A conditional jump asks an object for its truth; later TO_BOOL has done so before.
constexpr bool jumps_test_truth = PY_VERSION_HEX < 0x030D0000;
// !r and the like are an instruction of their own; before, FORMAT_VALUE does both.
constexpr bool conversions_are_separate = PY_VERSION_HEX >= 0x030D0000;
// An import may be put off until its name is used.
constexpr bool imports_may_be_lazy = PY_VERSION_HEX >= 0x030F0000;
// generator.close() returns what the generator returns.
constexpr bool close_returns_value = PY_VERSION_HEX >= 0x030D0000;

// Calls: [callable, self or null, arguments]; before: [null, callable] or [method, self], arguments.
constexpr bool callables_come_first = PY_VERSION_HEX >= 0x030D0000;
// The names of a call's keywords are its last operand; before, an instruction of their own has them.
constexpr bool keyword_names_are_operands = PY_VERSION_HEX >= 0x030D0000;
// What comes before CALL and belongs to it, in code units: PRECALL and its cache.
constexpr int units_before_call = PY_VERSION_HEX < 0x030C0000 ? 2 : 0;

// The compiler makes calls of a context manager's methods; before, BEFORE_WITH calls __enter__().
constexpr bool with_is_made_of_calls = PY_VERSION_HEX >= 0x030E0000;
// BEFORE_WITH pushes __exit__() before it calls __enter__(); later it does so after that.
constexpr bool exit_is_pushed_first = PY_VERSION_HEX < 0x030C0000;

// An instruction drops its operands from the last one on (Python/generated_cases.c.h).
constexpr bool operands_go_from_the_top = PY_VERSION_HEX >= 0x030F0000;
// END_SEND takes a generator off that SEND has waited for.
constexpr bool waiting_has_an_end = PY_VERSION_HEX >= 0x030C0000;

// Messages call a type by its full name and say whose method it was.
constexpr bool messages_name_types_fully = PY_VERSION_HEX >= 0x030F0000;
#if PY_VERSION_HEX >= 0x030F0000
inline Object name_in_messages(PyTypeObject* type) {
  return Object::steal(PyType_GetFullyQualifiedName(type));
}
#else
inline Object name_in_messages(PyTypeObject* type) {
  return Object::steal(PyUnicode_FromString(type->tp_name));
}
#endif

// ---- what pickling asks ----

// drop_function() leaves a generator's frame as it is when it has finished.
#if PY_VERSION_HEX >= 0x030E0000
inline void drop_function(_PyInterpreterFrame* f) { PyStackRef_CLEAR(f->f_funcobj); }
#elif PY_VERSION_HEX >= 0x030C0000
inline void drop_function(_PyInterpreterFrame* f) { clear_reference(f->f_funcobj); }
#else
inline void drop_function(_PyInterpreterFrame* f) { clear_reference(f->f_func); }
#endif

// enter_loop_at() marks a generator's frame as one that an evaluation loop has begun with (3.11: each has its own).
#if PY_VERSION_HEX < 0x030C0000
inline void enter_loop_at(_PyInterpreterFrame* f) { f->is_entry = true; }
#else
inline void enter_loop_at(_PyInterpreterFrame*) {}
#endif

}  // namespace stackless::interp
