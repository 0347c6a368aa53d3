// Operators whose operands' classes are written in Python: which of their methods runs, and what is to be
// done with its result (Objects/abstract.c, Objects/object.c, Objects/typeobject.c).
#include <array>
#include <cstddef>
#include <optional>

#include "interp/rules/crossing.hpp"
#include "object/errors.hpp"

namespace stackless::interp {

namespace {

// In place of BINARY_OP's argument: divmod() has none.
constexpr int divmod_operator = 100;

// A continuation's argument; nothing if it isn't known how the operator goes on.
using Argument = std::optional<int>;

using Binary = PyObject* (*)(PyObject*, PyObject*);

PyObject* power(PyObject* left, PyObject* right) { return PyNumber_Power(left, right, Py_None); }

struct Operator {
  const char* name;  // of the method, between the underscores
  const char* symbol;
  std::size_t slot;
  Binary whole;
};

// In the order of BINARY_OP's argument (Include/opcode.h, NB_ADD ...), but for the last one.
constexpr std::array<Operator, 14> operators = {{
    {"add", "+", offsetof(PyNumberMethods, nb_add), PyNumber_Add},
    {"and", "&", offsetof(PyNumberMethods, nb_and), PyNumber_And},
    {"floordiv", "//", offsetof(PyNumberMethods, nb_floor_divide), PyNumber_FloorDivide},
    {"lshift", "<<", offsetof(PyNumberMethods, nb_lshift), PyNumber_Lshift},
    {"matmul", "@", offsetof(PyNumberMethods, nb_matrix_multiply), PyNumber_MatrixMultiply},
    {"mul", "*", offsetof(PyNumberMethods, nb_multiply), PyNumber_Multiply},
    {"mod", "%", offsetof(PyNumberMethods, nb_remainder), PyNumber_Remainder},
    {"or", "|", offsetof(PyNumberMethods, nb_or), PyNumber_Or},
    {"pow", "** or pow()", offsetof(PyNumberMethods, nb_power), power},
    {"rshift", ">>", offsetof(PyNumberMethods, nb_rshift), PyNumber_Rshift},
    {"sub", "-", offsetof(PyNumberMethods, nb_subtract), PyNumber_Subtract},
    {"truediv", "/", offsetof(PyNumberMethods, nb_true_divide), PyNumber_TrueDivide},
    {"xor", "^", offsetof(PyNumberMethods, nb_xor), PyNumber_Xor},
    {"divmod", "divmod()", offsetof(PyNumberMethods, nb_divmod), PyNumber_Divmod},
}};
constexpr int add = 0, multiply = 5, power_of = 8, divmod_of = 13;
constexpr int count = 13;  // of BINARY_OP's
constexpr int all_count = static_cast<int>(operators.size());

// What CPython puts into the slots of classes that are written in Python, and the methods' names.
struct Known {
  void* slot;
  PyObject* forward;
  PyObject* reflected;
  PyObject* in_place;
};
std::array<Known, operators.size()> known;
richcmpfunc known_compare;
std::array<PyObject*, 6> comparison_names;

// An operator's argument: which it is, and what is left to do if the method returns NotImplemented.
constexpr int which = 15, asks_right = 16, in_place = 32, asks_left = 48;

// That of a comparison.
enum class Rest { nothing, asks_right, asks_right_inverted, asks_left, asks_left_inverted };
constexpr int rests = 5;
struct Comparison {
  int which;   // Py_LT to Py_GE
  bool tests;  // the result is to be a bool
  Rest
      rest;  // what is left to do if the method returns NotImplemented; inverted: it is __eq__() for __ne__()

  static constexpr int kinds = 6;
  static Comparison of(int argument) {
    return {argument % kinds, argument / kinds % 2 != 0, static_cast<Rest>(argument / (2 * kinds))};
  }
  int argument() const { return which + kinds * ((tests ? 1 : 0) + 2 * static_cast<int>(rest)); }
  bool is_inverted() const {
    return rest == Rest::asks_right_inverted || rest == Rest::asks_left_inverted;
  }
};
constexpr int swapped[] = {Py_GT, Py_GE, Py_EQ, Py_NE, Py_LT, Py_LE};

void* slot_of(PyTypeObject* type, int k) {
  PyNumberMethods* number = type->tp_as_number;
  return number != nullptr
             ? *reinterpret_cast<void**>(reinterpret_cast<char*>(number) + operators[k].slot)
             : nullptr;
}

// Whether the type's own method calls nothing written in Python, at most its own.
bool is_quiet(PyTypeObject* type) {
  return type == &PyLong_Type || type == &PyFloat_Type || type == &PyComplex_Type ||
         type == &PyBool_Type;
}

// CPython asks the right operand first if its type is derived from the left one's.
bool right_comes_first(PyTypeObject* left, PyTypeObject* right) {
  return left != right && PyType_IsSubtype(right, left) != 0;
}

bool has_sequence_operator(int k, PyTypeObject* left, PyTypeObject* right) {
  PySequenceMethods *l = left->tp_as_sequence, *r = right->tp_as_sequence;
  return (k == add && l != nullptr && l->sq_concat != nullptr) ||
         (k == multiply &&
          ((l != nullptr && l->sq_repeat != nullptr) || (r != nullptr && r->sq_repeat != nullptr)));
}

// Whether a type whose slot is that of classes written in Python leads to a method written in Python, if to any.
// One of C may call whatever it likes.
bool is_written_in_python(PyObject* method) {
  return method == nullptr || PyFunction_Check(method);
}

Object not_implemented() { return Object::share(Py_NotImplemented); }

Object call_method(PyObject* self, PyObject* name, PyObject* other) {
  PyObject* method = _PyType_Lookup(Py_TYPE(self), name);
  if (method == nullptr) {
    return not_implemented();
  }
  descrgetfunc get = Py_TYPE(method)->tp_descr_get;
  Object bound = get != nullptr
                     ? Object::steal(get(method, self, reinterpret_cast<PyObject*>(Py_TYPE(self))))
                     : Object::share(method);
  return bound ? Object::steal(PyObject_CallOneArg(bound.get(), other)) : Object();
}

Object call_slot(int k, void* slot, PyObject* left, PyObject* right) {
  return Object::steal(k == power_of ? reinterpret_cast<ternaryfunc>(slot)(left, right, Py_None)
                                     : reinterpret_cast<binaryfunc>(slot)(left, right));
}

// The right operand's turn, after the left one's method has returned NotImplemented.
Object ask_right(int k, PyObject* left, PyObject* right) {
  void *l = slot_of(Py_TYPE(left), k), *r = slot_of(Py_TYPE(right), k);
  if (r == nullptr) {
    return not_implemented();
  }
  return l != r ? call_slot(k, r, left, right) : call_method(right, known[k].reflected, left);
}

// The left operand's turn, after the right one's method, which came first, has returned NotImplemented.
Object ask_left(int k, PyObject* left, PyObject* right) {
  void* slot = slot_of(Py_TYPE(left), k);
  if (slot == nullptr) {
    return not_implemented();
  }
  return slot == known[k].slot ? call_method(left, known[k].forward, right)
                               : call_slot(k, slot, left, right);
}

Argument known_if(bool condition, int argument) {
  return condition ? Argument(argument) : std::nullopt;
}

// An operator whose right operand's class is derived from the left one's (Objects/typeobject.c, SLOT1BINFULL):
// if it has a reflected method of its own, that comes first.
Argument find_operator_of_derived(int k, PyObject* left, PyObject* right, PyObject* function,
                                  PyObject* first) {
  PyTypeObject *l = Py_TYPE(left), *r = Py_TYPE(right);
  PyObject* reflected = _PyType_Lookup(r, known[k].reflected);
  bool is_reflected = first == right && reflected == function;
  void* slot = slot_of(l, k);
  if (slot_of(r, k) != known[k].slot) {
    return {};
  }
  if (slot != known[k].slot) {
    return known_if(is_reflected && (slot == nullptr || is_quiet(l)), k | asks_left);
  }
  // The two are got as attributes of the classes.
  PyObject* inherited = _PyType_Lookup(l, known[k].reflected);
  PyObject* forward = _PyType_Lookup(l, known[k].forward);
  bool are_plain = Py_IS_TYPE(l, &PyType_Type) && Py_IS_TYPE(r, &PyType_Type) &&
                   is_written_in_python(reflected) && is_written_in_python(inherited) &&
                   is_written_in_python(forward);
  bool right_first = reflected != inherited;
  if (are_plain && is_reflected) {
    return k | (right_first ? asks_left : 0);
  }
  return known_if(are_plain && first == left && forward == function,
                  k | (right_first ? 0 : asks_right));
}

// What completes BINARY_OP with that argument, or divmod(): which of its operands' methods has been called is told by
// what runs, a function and its first argument.
Argument find_operator(int argument, PyObject* left, PyObject* right, PyObject* function,
                       PyObject* first) {
  bool is_divmod = argument == divmod_operator;
  if (argument >= 2 * count && !is_divmod) {
    return {};
  }
  int k = is_divmod ? divmod_of : argument % count;
  PyTypeObject *l = Py_TYPE(left), *r = Py_TYPE(right);
  if (argument >= count && !is_divmod) {
    PyObject* method = _PyType_Lookup(l, known[k].in_place);
    if (method == function && first == left) {
      return k | in_place;
    }
    if (method != nullptr && !PyFunction_Check(method)) {
      return {};
    }
  }
  if (has_sequence_operator(k, l, r)) {
    return {};
  }
  if (right_comes_first(l, r)) {
    return find_operator_of_derived(k, left, right, function, first);
  }
  void *left_slot = slot_of(l, k), *right_slot = slot_of(r, k);
  if (left_slot == known[k].slot && _PyType_Lookup(l, known[k].forward) == function &&
      first == left) {
    bool last = l == r || right_slot == nullptr;
    return k | (last ? 0 : asks_right);
  }
  bool left_is_known =
      left_slot == nullptr || is_quiet(l) ||
      (left_slot == known[k].slot && is_written_in_python(_PyType_Lookup(l, known[k].forward)));
  bool reflected = right_slot == known[k].slot && l != r && left_is_known && first == right &&
                   _PyType_Lookup(r, known[k].reflected) == function;
  return known_if(reflected, k);
}

// ---- what is left of an operator ----

Object unsupported(int k, bool augmented, PyObject* left, PyObject* right) {
  const char* symbol = augmented && k == power_of ? "**" : operators[k].symbol;
  return Object::steal(PyUnicode_FromFormat(
      "unsupported operand type(s) for %.100s%s: '%.100s' and '%.100s'", symbol,
      augmented ? "=" : "", Py_TYPE(left)->tp_name, Py_TYPE(right)->tp_name));
}

void complain(const Object& message) {
  if (message) {
    PyErr_SetObject(PyExc_TypeError, message.get());
  }
}

// Whether the exception is what the operator says if its operands can't be: an augmented assignment, of which the
// operator is a part, says so of itself.
bool complains(int k, PyObject* left, PyObject* right) {
  Object exception = take_exception();
  Object traceback = Object::steal(PyException_GetTraceback(exception.get()));
  Object text =
      !traceback && Py_IS_TYPE(exception.get(), reinterpret_cast<PyTypeObject*>(PyExc_TypeError))
          ? Object::steal(PyObject_Str(exception.get()))
          : Object();
  Object message = text ? unsupported(k, false, left, right) : Object();
  bool same = message && PyUnicode_Compare(text.get(), message.get()) == 0;
  restore_exception(std::move(exception));
  return same;
}

// `instruction` is BINARY_OP's argument.
Object finish_operator(int argument, int instruction, PyObject* left, PyObject* right,
                       PyObject* value) {
  if (value != Py_NotImplemented) {
    return Object::share(value);
  }
  int k = argument & which, rest = argument & ~which;
  if (rest == in_place) {
    Object result = Object::steal(operators[k].whole(left, right));
    if (!result && complains(k, left, right)) {
      complain(unsupported(k, true, left, right));
    }
    return result;
  }
  if (rest != 0) {
    Object result = rest == asks_left ? ask_left(k, left, right) : ask_right(k, left, right);
    if (result.get() != Py_NotImplemented) {
      return result;
    }
  }
  complain(unsupported(k, instruction >= count, left, right));
  return nullptr;
}

// ---- comparisons ----

// Whether the comparison that runs is the method itself, or __eq__() for object.__ne__() (Objects/typeobject.c,
// object_richcompare).
struct Method {
  bool runs;
  bool is_inverted;
};
Method find_method(PyTypeObject* type, int comparison, PyObject* function) {
  if (type->tp_richcompare != known_compare) {
    return {};
  }
  PyObject* method = _PyType_Lookup(type, comparison_names[comparison]);
  if (method == function) {
    return {true, false};
  }
  bool inverts = comparison == Py_NE &&
                 method == _PyType_Lookup(&PyBaseObject_Type, comparison_names[Py_NE]) &&
                 _PyType_Lookup(type, comparison_names[Py_EQ]) == function;
  return {inverts, inverts};
}

// Whether the type's own method calls nothing written in Python, at most its own.
bool compares_quietly(PyTypeObject* type, int comparison) {
  if (type->tp_richcompare != known_compare) {
    return is_quiet(type) || type->tp_richcompare == PyBaseObject_Type.tp_richcompare;
  }
  auto is_plain = [type](int k) {
    PyObject* method = _PyType_Lookup(type, comparison_names[k]);
    return is_written_in_python(method) ||
           method == _PyType_Lookup(&PyBaseObject_Type, comparison_names[k]);
  };
  return is_plain(comparison) && (comparison != Py_NE || is_plain(Py_EQ));
}

// The same as find_operator() for a comparison, Py_LT to Py_GE; `test` if the result is to be a bool.
Argument find_comparison(int comparison, bool test, PyObject* left, PyObject* right,
                         PyObject* function, PyObject* first) {
  PyTypeObject *l = Py_TYPE(left), *r = Py_TYPE(right);
  if (comparison < Py_LT || comparison > Py_GE || left == right) {
    return {};
  }
  bool right_first = right_comes_first(l, r);
  auto found = [=](Rest rest) -> Argument { return Comparison{comparison, test, rest}.argument(); };
  if (Method method = find_method(l, comparison, function); method.runs && first == left) {
    if (!right_first) {
      return found(method.is_inverted ? Rest::asks_right_inverted : Rest::asks_right);
    }
    return method.is_inverted || !compares_quietly(r, swapped[comparison]) ? Argument()
                                                                           : found(Rest::nothing);
  }
  Method method = find_method(r, swapped[comparison], function);
  if (!method.runs || first != right || !compares_quietly(l, comparison)) {
    return {};
  }
  if (right_first) {
    return found(method.is_inverted ? Rest::asks_left_inverted : Rest::asks_left);
  }
  return method.is_inverted ? Argument() : found(Rest::nothing);
}

// Objects/object.c, do_richcompare, from the second half on.
Object compare_otherwise(const Comparison& how, PyObject* left, PyObject* right) {
  constexpr const char* symbols[] = {"<", "<=", "==", "!=", ">", ">="};
  bool left_is_next = how.rest == Rest::asks_left || how.rest == Rest::asks_left_inverted;
  Object result = not_implemented();
  if (left_is_next && Py_TYPE(left)->tp_richcompare != nullptr) {
    result = Object::steal(Py_TYPE(left)->tp_richcompare(left, right, how.which));
  } else if (how.rest != Rest::nothing && Py_TYPE(right)->tp_richcompare != nullptr) {
    result = Object::steal(Py_TYPE(right)->tp_richcompare(right, left, swapped[how.which]));
  }
  if (result.get() != Py_NotImplemented) {
    return result;
  }
  if (how.which == Py_EQ || how.which == Py_NE) {
    return bool_object((left == right) == (how.which == Py_EQ));
  }
  PyErr_Format(PyExc_TypeError, "'%s' not supported between instances of '%.100s' and '%.100s'",
               symbols[how.which], Py_TYPE(left)->tp_name, Py_TYPE(right)->tp_name);
  return nullptr;
}

Object finish_comparison(int argument, PyObject* left, PyObject* right, PyObject* value) {
  Comparison how = Comparison::of(argument);
  if (how.is_inverted() && value != Py_NotImplemented) {
    int truth = PyObject_IsTrue(value);
    return truth < 0 ? Object() : bool_object(truth == 0);
  }
  Object result =
      value != Py_NotImplemented ? Object::share(value) : compare_otherwise(how, left, right);
  if (!result || !how.tests) {
    return result;
  }
  int truth = PyObject_IsTrue(result.get());
  return truth < 0 ? Object() : bool_object(truth != 0);
}

PyObject* method_name(const char* prefix, const char* name) {
  PyObject* text = PyUnicode_FromFormat("__%s%s__", prefix, name);
  if (text != nullptr) {
    PyUnicode_InternInPlace(&text);
  }
  return text;
}

}  // namespace

int init_operators() {
  Object members = Object::steal(PyDict_New());
  auto define = [&](PyObject* name) {
    return name == nullptr || !members || PyDict_SetItem(members.get(), name, Py_None) < 0;
  };
  bool failed = false;
  for (std::size_t k = 0; k < operators.size(); ++k) {
    const char* name = operators[k].name;
    known[k] = {nullptr, method_name("", name), method_name("r", name), method_name("i", name)};
    failed = define(known[k].forward) || known[k].reflected == nullptr ||
             known[k].in_place == nullptr || failed;
  }
  constexpr const char* comparisons[] = {"lt", "le", "eq", "ne", "gt", "ge"};
  for (std::size_t i = 0; i < comparison_names.size(); ++i) {
    comparison_names[i] = method_name("", comparisons[i]);
    failed = define(comparison_names[i]) || failed;
  }
  // Learns from a class that has them all.
  Object all = failed
                   ? Object()
                   : Object::steal(PyObject_CallFunction(reinterpret_cast<PyObject*>(&PyType_Type),
                                                         "s()O", "All", members.get()));
  if (all) {
    auto* type = reinterpret_cast<PyTypeObject*>(all.get());
    for (int k = 0; k < all_count; ++k) {
      known[static_cast<std::size_t>(k)].slot = slot_of(type, k);
    }
    known_compare = type->tp_richcompare;
  }
  return all ? 0 : -1;
}

// ---- the rules ----

namespace {

bool negates(const Crossing& crossing, Joint*) { return calls_method(crossing, 0, names.negative); }
bool inverts_bits(const Crossing& crossing, Joint*) {
  return calls_method(crossing, 0, names.invert);
}
bool makes_positive(const Crossing& crossing, Joint*) {
  constexpr int unary_positive = 5;  // Include/internal/pycore_intrinsics.h
  if (crossing.stop.at->opcode == op::call_intrinsic_1 &&
      crossing.stop.at->argument != unary_positive) {
    return false;
  }
  return calls_method(crossing, 0, names.positive);
}

// ---- operators ----

bool use(PyObject* left, PyObject* right, Joint* joint, Argument argument) {
  joint->kept = left;
  joint->second = right;
  joint->argument = argument.value_or(0);
  return argument.has_value();
}

bool operates_on(const Crossing& crossing, Joint* joint, int argument, PyObject* left,
                 PyObject* right) {
  PyObject* first = is_call(crossing) ? first_argument(crossing.inner) : nullptr;
  return first != nullptr &&
         use(left, right, joint, find_operator(argument, left, right, crossing.function(), first));
}

bool operates(const Crossing& crossing, Joint* joint) {
  return operates_on(crossing, joint, crossing.stop.at->argument, crossing.operand(0),
                     crossing.operand(1));
}

bool calls_operator(const Crossing& crossing, Joint* joint, const PyMethodDef* function,
                    int argument) {
  return calls_builtin(crossing, function, 2) && !has_keywords(crossing) &&
         operates_on(crossing, joint, argument, crossing.argument(0), crossing.argument(1));
}
bool calls_divmod(const Crossing& crossing, Joint* joint) {
  return calls_operator(crossing, joint, builtins.divmod, divmod_operator);
}
bool calls_pow(const Crossing& crossing, Joint* joint) {
  return calls_operator(crossing, joint, builtins.pow, NB_POWER);
}

bool compares(const Crossing& crossing, Joint* joint) {
  PyObject* first = is_call(crossing) ? first_argument(crossing.inner) : nullptr;
  int argument = crossing.stop.at->argument;
  return first != nullptr &&
         use(crossing.operand(0), crossing.operand(1), joint,
             find_comparison(comparison_of(argument), makes_bool(argument), crossing.operand(0),
                             crossing.operand(1), crossing.function(), first));
}

// ---- how they go on ----

Result finish_binary(const Arrival& arrival) {
  return push(finish_operator(arrival.argument, passed_instruction(arrival.outer)->argument,
                              arrival.kept, arrival.second, arrival.value));
}

Result finish_compare(const Arrival& arrival) {
  return push(finish_comparison(arrival.argument, arrival.kept, arrival.second, arrival.value));
}

bool is_operator_argument(const Place& place) noexcept {
  return (place.argument & which) < all_count;
}
bool is_comparison_argument(const Place& place) noexcept {
  return place.argument < 2 * Comparison::kinds * rests;
}

const Continuation binary_operator{"binary_operator", 12, Shape::plain, finish_binary,
                                   is_operator_argument};
const Continuation comparison_operator{"comparison_operator", 13, Shape::plain, finish_compare,
                                       is_comparison_argument};

const Rule rules[] = {
    {CALL, a_calls, calls_divmod, binary_operator},
    {CALL, a_calls, calls_pow, binary_operator},
    {COMPARE_OP, 2, compares, comparison_operator},
    {BINARY_OP, 2, operates, binary_operator},
    {UNARY_NEGATIVE, 1, negates, push_value},
    {UNARY_INVERT, 1, inverts_bits, push_value},
    {op::unary_positive, 1, makes_positive, push_value},
    {op::call_intrinsic_1, 1, makes_positive, push_value},
};

}  // namespace

std::span<const Rule> operator_rules() noexcept { return rules; }

}  // namespace stackless::interp
