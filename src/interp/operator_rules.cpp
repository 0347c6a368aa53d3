// Operators: items of containers, truth, arithmetic, comparisons.
#include "interp/operators.hpp"
#include "interp/seam.hpp"

namespace stackless::interp {

namespace {

bool gets_item(const Seam& seam, Joint*) { return calls_method(seam, 0, names.getitem); }
bool sets_item(const Seam& seam, Joint*) {
  return has_rest(seam) && calls_method(seam, 1, names.setitem);
}
bool deletes_item(const Seam& seam, Joint*) {
  return has_rest(seam) && calls_method(seam, 0, names.delitem);
}
bool contains(const Seam& seam, Joint* joint) {
  joint->argument = seam.stop.at->argument & 1;
  return calls_method(seam, 1, names.contains);
}
bool negates(const Seam& seam, Joint*) { return calls_method(seam, 0, names.negative); }
bool inverts_bits(const Seam& seam, Joint*) { return calls_method(seam, 0, names.invert); }
bool makes_positive(const Seam& seam, Joint*) {
#if PY_VERSION_HEX >= 0x030C0000
  constexpr int unary_positive = 5;  // Include/internal/pycore_intrinsics.h
  if (seam.stop.at->argument != unary_positive) {
    return false;
  }
#endif
  return calls_method(seam, 0, names.positive);
}

bool calls_len(const Seam& seam, Joint*) {
  return is_call(seam) && calls_builtin(seam, builtins.len, 1) &&
         method_of(Py_TYPE(seam.argument(0)), names.length) == seam.function();
}

bool tests(const Seam& seam, Joint* joint) {
  joint->argument = 2;
  joint->kept = seam.operand(0);
  return calls_method(seam, 0, names.truth);
}
#if PY_VERSION_HEX < 0x030D0000
bool inverts(const Seam& seam, Joint* joint) {
  bool holds = tests(seam, joint);
  joint->argument = 3;
  return holds;
}
bool jumps_if_false(const Seam& seam, Joint* joint) {
  bool holds = tests(seam, joint);
  joint->argument = 0;
  return holds && has_rest(seam);
}
bool jumps_if_true(const Seam& seam, Joint* joint) {
  bool holds = jumps_if_false(seam, joint);
  joint->argument = 1;
  return holds;
}
#endif

// ---- operators ----

bool use_operation(const Seam& seam, Joint* joint, Operation operation) {
  joint->kept = seam.operand(0);
  joint->second = seam.operand(1);
  joint->argument = operation.argument;
  return operation.known;
}

bool operates(const Seam& seam, Joint* joint) {
  PyObject* first = is_call(seam) ? first_argument(seam.inner) : nullptr;
  return first != nullptr && use_operation(seam, joint,
                                           find_operator(seam.stop.at->argument, seam.operand(0),
                                                         seam.operand(1), seam.function(), first));
}

bool compares(const Seam& seam, Joint* joint) {
  PyObject* first = is_call(seam) ? first_argument(seam.inner) : nullptr;
  int argument = seam.stop.at->argument;
  return first != nullptr &&
         use_operation(seam, joint,
                       find_comparison(comparison_of(argument), makes_bool(argument),
                                       seam.operand(0), seam.operand(1), seam.function(), first));
}

#if PY_VERSION_HEX >= 0x030E0000
bool subscribes(const Seam& seam, Joint* joint) {
  return seam.stop.at->argument == NB_SUBSCR && gets_item(seam, joint);
}
#endif

const Rule rules[] = {
    {CALL, a_calls, calls_len, Ending::length},
    {STORE_SUBSCR, 3, sets_item, Ending::nothing},
    {DELETE_SUBSCR, 2, deletes_item, Ending::nothing},
    {CONTAINS_OP, 2, contains, Ending::truth},
    {COMPARE_OP, 2, compares, Ending::compare},
    {BINARY_OP, 2, operates, Ending::binary},
    {UNARY_NEGATIVE, 1, negates, Ending::push},
    {UNARY_INVERT, 1, inverts_bits, Ending::push},
#if PY_VERSION_HEX < 0x030C0000
    {UNARY_POSITIVE, 1, makes_positive, Ending::push},
#else
    {CALL_INTRINSIC_1, 1, makes_positive, Ending::push},
    {BINARY_SLICE, 3, gets_item, Ending::push},
    {STORE_SLICE, 4, sets_item, Ending::nothing},
#endif
#if PY_VERSION_HEX >= 0x030E0000
    {BINARY_OP, 2, subscribes, Ending::push},
#else
    {BINARY_SUBSCR, 2, gets_item, Ending::push},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {TO_BOOL, 1, tests, Ending::truth},
#else
    {UNARY_NOT, 1, inverts, Ending::truth},
#endif
#if PY_VERSION_HEX < 0x030C0000
    {POP_JUMP_FORWARD_IF_FALSE, 1, jumps_if_false, Ending::jump},
    {POP_JUMP_FORWARD_IF_TRUE, 1, jumps_if_true, Ending::jump},
    {POP_JUMP_BACKWARD_IF_FALSE, 1, jumps_if_false, Ending::jump},
    {POP_JUMP_BACKWARD_IF_TRUE, 1, jumps_if_true, Ending::jump},
#elif PY_VERSION_HEX < 0x030D0000
    {POP_JUMP_IF_FALSE, 1, jumps_if_false, Ending::jump},
    {POP_JUMP_IF_TRUE, 1, jumps_if_true, Ending::jump},
#endif
};

}  // namespace

std::span<const Rule> operator_rules() noexcept { return rules; }

}  // namespace stackless::interp
