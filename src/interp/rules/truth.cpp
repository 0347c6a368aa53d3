// Truth: what bool(), not, in, if and isinstance() make of the answer of a method; and len().
#include "interp/rules/crossing.hpp"
#include "interp/rules/endings.hpp"

namespace stackless::interp {

namespace {

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

const Rule rules[] = {
    {CALL, a_calls, calls_len, Ending::length},
    {CALL, a_calls, checks_instance, Ending::truth},
    {CALL, a_calls, checks_subclass, Ending::truth},
    {CALL, a_calls, calls_bool, Ending::truth},
    {CONTAINS_OP, 2, contains, Ending::truth},
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

namespace {

#if PY_VERSION_HEX >= 0x030F0000
void complain_of_truth(PyObject* object, PyObject* value) {
  PyErr_Format(PyExc_TypeError, "%T.__bool__() must return a bool, not %T", object, value);
}
#else
void complain_of_truth(PyObject*, PyObject* value) {
  PyErr_Format(PyExc_TypeError, "__bool__ should return bool, returned %s",
               Py_TYPE(value)->tp_name);
}
#endif

}  // namespace

// Objects/typeobject.c, slot_sq_length; Python/bltinmodule.c, builtin_len.
PyObject* finish_length(PyObject* value) {
  PyObject* index = PyNumber_Index(value);
  if (index == nullptr) {
    return nullptr;
  }
  PyObject* zero = PyLong_FromLong(0);
  int negative = zero != nullptr ? PyObject_RichCompareBool(index, zero, Py_LT) : -1;
  Py_XDECREF(zero);
  if (negative > 0) {
    PyErr_SetString(PyExc_ValueError, "__len__() should return >= 0");
  }
  Py_ssize_t length = negative == 0 ? PyNumber_AsSsize_t(index, PyExc_OverflowError) : -1;
  Py_DECREF(index);
  return length < 0 ? nullptr : PyLong_FromSsize_t(length);
}

// Objects/object.c, PyObject_IsTrue; Objects/typeobject.c, slot_nb_bool and slot_sq_contains.
PyObject* finish_truth(int argument, PyObject* object, PyObject* value) {
  if ((argument & tells_truth) != 0 && !PyBool_Check(value)) {
    complain_of_truth(object, value);
    return nullptr;
  }
  PyObject* told = (argument & tells_length) != 0 ? finish_length(value) : Py_NewRef(value);
  int truth = told != nullptr ? PyObject_IsTrue(told) : -1;
  Py_XDECREF(told);
  return truth < 0 ? nullptr : PyBool_FromLong(truth ^ (argument & 1));
}

std::span<const Rule> truth_rules() noexcept { return rules; }

}  // namespace stackless::interp
