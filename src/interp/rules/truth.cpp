// Truth: what bool(), not, in, if and isinstance() make of the answer of a method; and len().
#include "interp/rules/crossing.hpp"

namespace stackless::interp {

namespace {

// The argument of these continuations: the opposite of V's truth counts; V has to be a bool from __bool__(), or a
// length from __len__(), else anything.
constexpr int opposite = 1, tells_truth = 2, tells_length = 4;

// Objects/abstract.c, object_recursive_isinstance and object_issubclass.
bool checks(const Crossing& crossing, const PyMethodDef* function, PyObject* name) {
  if (!is_call(crossing) || !calls_builtin(crossing, function, 2)) {
    return false;
  }
  PyObject* type = crossing.argument(1);
  return !PyTuple_Check(type) && method_of(Py_TYPE(type), name) == crossing.function() &&
         first_argument(crossing.inner) == type;
}
bool checks_instance(const Crossing& crossing, Joint*) {
  return checks(crossing, builtins.isinstance, names.instance_check);
}
bool checks_subclass(const Crossing& crossing, Joint*) {
  return checks(crossing, builtins.issubclass, names.subclass_check);
}

bool contains(const Crossing& crossing, Joint* joint) {
  joint->argument = crossing.stop.at->argument & 1;
  return calls_method(crossing, 1, names.contains);
}
bool calls_len(const Crossing& crossing, Joint*) {
  return is_call(crossing) && calls_builtin(crossing, builtins.len, 1) &&
         method_of(Py_TYPE(crossing.argument(0)), names.length) == crossing.function();
}

// Objects/object.c, PyObject_IsTrue: __bool__(), or else __len__().
bool tests_object(const Crossing& crossing, PyObject* object, Joint* joint) {
  PyTypeObject* type = Py_TYPE(object);
  bool has_truth = type->tp_as_number != nullptr && type->tp_as_number->nb_bool != nullptr;
  joint->argument = has_truth ? tells_truth : tells_length;
  joint->kept = object;
  return is_call(crossing) &&
         method_of(type, has_truth ? names.truth : names.length) == crossing.function();
}

bool tests(const Crossing& crossing, Joint* joint) {
  return tests_object(crossing, crossing.operand(0), joint);
}
bool inverts(const Crossing& crossing, Joint* joint) {
  bool holds = tests(crossing, joint);
  joint->argument |= 1;
  return holds;
}
bool jumps_if_false(const Crossing& crossing, Joint* joint) {
  return has_rest(crossing) && tests(crossing, joint);
}
bool jumps_if_true(const Crossing& crossing, Joint* joint) {
  return has_rest(crossing) && inverts(crossing, joint);
}

bool calls_bool(const Crossing& crossing, Joint* joint) {
  return crossing.callable() == reinterpret_cast<PyObject*>(&PyBool_Type) &&
         has_arguments(crossing, 1) && tests_object(crossing, crossing.argument(0), joint);
}

// ---- how they go on ----

void complain_of_truth(PyObject* object, PyObject* value) {
  if (messages_name_types_fully) {
    PyErr_Format(PyExc_TypeError, "%T.__bool__() must return a bool, not %T", object, value);
  } else {
    PyErr_Format(PyExc_TypeError, "__bool__ should return bool, returned %s",
                 Py_TYPE(value)->tp_name);
  }
}

// Objects/typeobject.c, slot_sq_length; Python/bltinmodule.c, builtin_len.
Object length_of(PyObject* value) {
  Object index = Object::steal(PyNumber_Index(value));
  Object zero = index ? Object::steal(PyLong_FromLong(0)) : Object();
  int negative = zero ? PyObject_RichCompareBool(index.get(), zero.get(), Py_LT) : -1;
  if (negative > 0) {
    PyErr_SetString(PyExc_ValueError, "__len__() should return >= 0");
  }
  Py_ssize_t length = negative == 0 ? PyNumber_AsSsize_t(index.get(), PyExc_OverflowError) : -1;
  return length < 0 ? Object() : Object::steal(PyLong_FromSsize_t(length));
}

Result finish_length(const Arrival& arrival) { return push(length_of(arrival.value)); }

// Objects/object.c, PyObject_IsTrue; Objects/typeobject.c, slot_nb_bool and slot_sq_contains. -1: an exception is set.
int truth_of(const Arrival& arrival) {
  if ((arrival.argument & tells_truth) != 0 && !PyBool_Check(arrival.value)) {
    complain_of_truth(arrival.kept, arrival.value);
    return -1;
  }
  Object told = (arrival.argument & tells_length) != 0 ? length_of(arrival.value)
                                                       : Object::share(arrival.value);
  int truth = told ? PyObject_IsTrue(told.get()) : -1;
  return truth < 0 ? -1 : truth ^ (arrival.argument & opposite);
}

Result finish_truth(const Arrival& arrival) {
  int truth = truth_of(arrival);
  return truth < 0 ? std::nullopt : push(bool_object(truth != 0));
}

// Nothing is pushed; the jump is taken if the truth is False.
Result finish_jump(const Arrival& arrival) {
  int truth = truth_of(arrival);
  if (truth < 0) {
    return std::nullopt;
  }
  if (truth == 0) {
    take_jump(arrival.outer);
  }
  return pop_off(arrival.outer);
}

// The same, but what is kept is pushed if the jump is taken; else the instruction is made once more, with a bool.
Result finish_jump_or_pop(const Arrival& arrival) {
  int truth = truth_of(arrival);
  if (truth < 0) {
    return std::nullopt;
  }
  if (truth == 0) {
    take_jump(arrival.outer);
    return push(Object::share(arrival.kept));
  }
  jump_again(arrival.outer);
  return push(bool_object((arrival.argument & opposite) == 0));
}

bool tells(const Place& place) noexcept {
  int what = place.argument & ~opposite;
  return what == tells_truth || what == tells_length;
}
bool may_tell(const Place& place) noexcept { return takes_a_flag(place) || tells(place); }
bool tells_above_something(const Place& place) noexcept { return tells(place) && place.height > 0; }

const Continuation push_truth{"push_truth", 9, Shape::plain, finish_truth, may_tell};
const Continuation jump_on_truth{"jump_on_truth", 10, Shape::plain, finish_jump,
                                 tells_above_something};
const Continuation push_length{"push_length", 11, Shape::plain, finish_length};
const Continuation jump_or_pop{"jump_or_pop", 23, Shape::plain, finish_jump_or_pop, tells};

const Rule rules[] = {
    {CALL, a_calls, calls_len, push_length},
    {CALL, a_calls, checks_instance, push_truth},
    {CALL, a_calls, checks_subclass, push_truth},
    {CALL, a_calls, calls_bool, push_truth},
    {CONTAINS_OP, 2, contains, push_truth},
    {op::to_bool, 1, tests, push_truth},
    {jumps_ask_for_truth ? UNARY_NOT : op::no_instruction, 1, inverts, push_truth},
    {jumps_ask_for_truth ? op::pop_jump_if_false : op::no_instruction, 1, jumps_if_false,
     jump_on_truth},
    {jumps_ask_for_truth ? op::pop_jump_if_true : op::no_instruction, 1, jumps_if_true,
     jump_on_truth},
    {op::pop_jump_forward_if_false, 1, jumps_if_false, jump_on_truth},
    {op::pop_jump_forward_if_true, 1, jumps_if_true, jump_on_truth},
    {op::pop_jump_backward_if_false, 1, jumps_if_false, jump_on_truth},
    {op::pop_jump_backward_if_true, 1, jumps_if_true, jump_on_truth},
    {op::jump_if_false_or_pop, 1, tests, jump_or_pop},
    {op::jump_if_true_or_pop, 1, inverts, jump_or_pop},
};

}  // namespace

std::span<const Rule> truth_rules() noexcept { return rules; }

}  // namespace stackless::interp
