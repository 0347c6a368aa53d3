// Operators: items of containers, truth, arithmetic, comparisons.
#include "interp/rules/crossing.hpp"
#include "interp/rules/operators.hpp"

namespace stackless::interp {

namespace {

bool gets_item(const Seam& seam, Joint*) { return calls_method(seam, 0, names.getitem); }
bool sets_item(const Seam& seam, Joint*) {
  return has_rest(seam) && calls_method(seam, 1, names.setitem);
}
bool deletes_item(const Seam& seam, Joint*) {
  return has_rest(seam) && calls_method(seam, 0, names.delitem);
}

#if PY_VERSION_HEX >= 0x030E0000
constexpr int subscript = BINARY_OP;
bool is_subscript(const Seam& seam) { return seam.stop.at->argument == NB_SUBSCR; }
#else
constexpr int subscript = BINARY_SUBSCR;
bool is_subscript(const Seam&) { return true; }
#endif

bool subscribes(const Seam& seam, Joint* joint) {
  return is_subscript(seam) && gets_item(seam, joint);
}

// A class's __class_getitem__(): Objects/abstract.c, PyObject_GetItem.
bool gets_class_item(const Seam& seam, Joint*) {
  PyObject* object = seam.operand(0);
  PyTypeObject* meta = Py_TYPE(object);
  if (!is_subscript(seam) || !is_call(seam) || !PyType_Check(object) ||
      meta->tp_getattro != PyType_Type.tp_getattro ||
      (meta->tp_as_mapping != nullptr && meta->tp_as_mapping->mp_subscript != nullptr) ||
      (meta->tp_as_sequence != nullptr && meta->tp_as_sequence->sq_item != nullptr) ||
      _PyType_Lookup(meta, names.class_getitem) != nullptr) {
    return false;
  }
  PyObject* method = _PyType_Lookup(reinterpret_cast<PyTypeObject*>(object), names.class_getitem);
  return method != nullptr && Py_IS_TYPE(method, &PyClassMethod_Type) &&
         leads_to(wrapped_by(method), seam.function());
}

// Objects/dictobject.c, dict_subscript.
bool looks_up_as_dict(PyTypeObject* type) {
  return _PyType_Lookup(type, names.getitem) == _PyType_Lookup(&PyDict_Type, names.getitem);
}

// A dictionary's __missing__(); not its own hash or comparison, should it look for itself.
bool gets_missing_item(const Seam& seam, Joint*) {
  PyTypeObject* type = Py_TYPE(seam.operand(0));
  return is_subscript(seam) && looks_up_as_dict(type) && calls_method(seam, 0, names.missing) &&
         first_argument(seam.inner) == seam.operand(0) &&
         _PyType_Lookup(type, names.hash) != seam.function() &&
         _PyType_Lookup(type, names.equal) != seam.function();
}

// A function that takes nothing can't be a method of a key, but for a static one.
bool is_factory(const Seam& seam, PyObject* function) {
  auto* code = reinterpret_cast<PyCodeObject*>(
      reinterpret_cast<PyFunctionObject*>(seam.function())->func_code);
  PyObject* hash = _PyType_Lookup(Py_TYPE(seam.operand(1)), names.hash);
  return code->co_argcount == 0 && (code->co_flags & CO_VARARGS) == 0 &&
         (hash == nullptr || !Py_IS_TYPE(hash, &PyStaticMethod_Type)) &&
         leads_to(function, seam.function());
}

// What a defaultdict's factory makes is stored: Modules/_collectionsmodule.c, defdict_missing.
bool makes_default_item(const Seam& seam, Joint* joint) {
  PyObject* dict = seam.operand(0);
  PyTypeObject* type = Py_TYPE(dict);
  if (!is_subscript(seam) || !is_call(seam) || types.default_dict == nullptr ||
      !looks_up_as_dict(type) || PyType_IsSubtype(type, types.default_dict) == 0 ||
      _PyType_Lookup(type, names.missing) != _PyType_Lookup(types.default_dict, names.missing)) {
    return false;
  }
  joint->kept = dict;
  joint->second = seam.operand(1);
  joint->argument = defaults_stay ? 1 : 0;
  // defdictobject: the dictionary, the factory.
  PyObject* factory =
      *reinterpret_cast<PyObject**>(reinterpret_cast<char*>(dict) + sizeof(PyDictObject));
  return factory != nullptr && is_factory(seam, factory);
}

// Objects/abstract.c, object_recursive_isinstance and object_issubclass.
bool checks(const Seam& seam, const PyMethodDef* function, PyObject* name) {
  if (!is_call(seam) || !calls_builtin(seam, function, 2)) {
    return false;
  }
  PyObject* type = seam.argument(1);
  return !PyTuple_Check(type) && method_of(Py_TYPE(type), name) == seam.function() &&
         first_argument(seam.inner) == type;
}
bool checks_instance(const Seam& seam, Joint*) {
  return checks(seam, builtins.isinstance, names.instance_check);
}
bool checks_subclass(const Seam& seam, Joint*) {
  return checks(seam, builtins.issubclass, names.subclass_check);
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

// Objects/object.c, PyObject_IsTrue: __bool__(), or else __len__().
bool tests_object(const Seam& seam, PyObject* object, Joint* joint) {
  PyTypeObject* type = Py_TYPE(object);
  bool has_truth = type->tp_as_number != nullptr && type->tp_as_number->nb_bool != nullptr;
  joint->argument = has_truth ? tells_truth : tells_length;
  joint->kept = object;
  return is_call(seam) &&
         method_of(type, has_truth ? names.truth : names.length) == seam.function();
}

bool tests(const Seam& seam, Joint* joint) { return tests_object(seam, seam.operand(0), joint); }
#if PY_VERSION_HEX < 0x030D0000
bool inverts(const Seam& seam, Joint* joint) {
  bool holds = tests(seam, joint);
  joint->argument |= 1;
  return holds;
}
bool jumps_if_false(const Seam& seam, Joint* joint) { return has_rest(seam) && tests(seam, joint); }
bool jumps_if_true(const Seam& seam, Joint* joint) {
  return has_rest(seam) && inverts(seam, joint);
}
#endif

bool calls_bool(const Seam& seam, Joint* joint) {
  return seam.callable() == reinterpret_cast<PyObject*>(&PyBool_Type) && has_arguments(seam, 1) &&
         tests_object(seam, seam.argument(0), joint);
}

// ---- operators ----

bool use_operation(PyObject* left, PyObject* right, Joint* joint, Operation operation) {
  joint->kept = left;
  joint->second = right;
  joint->argument = operation.argument;
  return operation.known;
}

bool operates_on(const Seam& seam, Joint* joint, int argument, PyObject* left, PyObject* right) {
  PyObject* first = is_call(seam) ? first_argument(seam.inner) : nullptr;
  return first != nullptr &&
         use_operation(left, right, joint,
                       find_operator(argument, left, right, seam.function(), first));
}

bool operates(const Seam& seam, Joint* joint) {
  return operates_on(seam, joint, seam.stop.at->argument, seam.operand(0), seam.operand(1));
}

bool calls_operator(const Seam& seam, Joint* joint, const PyMethodDef* function, int argument) {
  return calls_builtin(seam, function, 2) && !has_keywords(seam) &&
         operates_on(seam, joint, argument, seam.argument(0), seam.argument(1));
}
bool calls_divmod(const Seam& seam, Joint* joint) {
  return calls_operator(seam, joint, builtins.divmod, divmod_operator);
}
bool calls_pow(const Seam& seam, Joint* joint) {
  return calls_operator(seam, joint, builtins.pow, NB_POWER);
}

bool compares(const Seam& seam, Joint* joint) {
  PyObject* first = is_call(seam) ? first_argument(seam.inner) : nullptr;
  int argument = seam.stop.at->argument;
  return first != nullptr &&
         use_operation(seam.operand(0), seam.operand(1), joint,
                       find_comparison(comparison_of(argument), makes_bool(argument),
                                       seam.operand(0), seam.operand(1), seam.function(), first));
}

const Rule rules[] = {
    {CALL, a_calls, calls_len, Ending::length},
    {CALL, a_calls, checks_instance, Ending::truth},
    {CALL, a_calls, checks_subclass, Ending::truth},
    {CALL, a_calls, calls_bool, Ending::truth},
    {CALL, a_calls, calls_divmod, Ending::binary},
    {CALL, a_calls, calls_pow, Ending::binary},
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
    {subscript, 2, subscribes, Ending::push},
    {subscript, 2, gets_class_item, Ending::push},
    {subscript, 2, gets_missing_item, Ending::push},
    {subscript, 2, makes_default_item, Ending::stored},
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
    {JUMP_IF_FALSE_OR_POP, 1, tests, Ending::jump_or_pop},
    {JUMP_IF_TRUE_OR_POP, 1, inverts, Ending::jump_or_pop},
#elif PY_VERSION_HEX < 0x030D0000
    {POP_JUMP_IF_FALSE, 1, jumps_if_false, Ending::jump},
    {POP_JUMP_IF_TRUE, 1, jumps_if_true, Ending::jump},
#endif
};

}  // namespace

std::span<const Rule> operator_rules() noexcept { return rules; }

}  // namespace stackless::interp
