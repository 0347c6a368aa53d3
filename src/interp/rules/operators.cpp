#include "interp/rules/operators.hpp"

#include <array>
#include <cstddef>

#include "interp/rules/crossing.hpp"
#include "interp/rules/endings.hpp"

namespace stackless::interp {

namespace {

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

PyObject* call_method(PyObject* self, PyObject* name, PyObject* other) {
  PyObject* method = _PyType_Lookup(Py_TYPE(self), name);
  if (method == nullptr) {
    return Py_NewRef(Py_NotImplemented);
  }
  descrgetfunc get = Py_TYPE(method)->tp_descr_get;
  PyObject* bound = get != nullptr ? get(method, self, reinterpret_cast<PyObject*>(Py_TYPE(self)))
                                   : Py_NewRef(method);
  PyObject* result = bound != nullptr ? PyObject_CallOneArg(bound, other) : nullptr;
  Py_XDECREF(bound);
  return result;
}

PyObject* call_slot(int k, void* slot, PyObject* left, PyObject* right) {
  return k == power_of ? reinterpret_cast<ternaryfunc>(slot)(left, right, Py_None)
                       : reinterpret_cast<binaryfunc>(slot)(left, right);
}

// The right operand's turn, after the left one's method has returned NotImplemented.
PyObject* ask_right(int k, PyObject* left, PyObject* right) {
  void *l = slot_of(Py_TYPE(left), k), *r = slot_of(Py_TYPE(right), k);
  if (r == nullptr) {
    return Py_NewRef(Py_NotImplemented);
  }
  return l != r ? call_slot(k, r, left, right) : call_method(right, known[k].reflected, left);
}

// The left operand's turn, after the right one's method, which came first, has returned NotImplemented.
PyObject* ask_left(int k, PyObject* left, PyObject* right) {
  void* slot = slot_of(Py_TYPE(left), k);
  if (slot == nullptr) {
    return Py_NewRef(Py_NotImplemented);
  }
  return slot == known[k].slot ? call_method(left, known[k].forward, right)
                               : call_slot(k, slot, left, right);
}

// An operator whose right operand's class is derived from the left one's (Objects/typeobject.c, SLOT1BINFULL):
// if it has a reflected method of its own, that comes first.
Operation find_operator_of_derived(int k, PyObject* left, PyObject* right, PyObject* function,
                                   PyObject* first) {
  PyTypeObject *l = Py_TYPE(left), *r = Py_TYPE(right);
  PyObject* reflected = _PyType_Lookup(r, known[k].reflected);
  bool is_reflected = first == right && reflected == function;
  void* slot = slot_of(l, k);
  if (slot_of(r, k) != known[k].slot) {
    return {};
  }
  if (slot != known[k].slot) {
    return {is_reflected && (slot == nullptr || is_quiet(l)), k | asks_left};
  }
  // The two are got as attributes of the classes.
  PyObject* inherited = _PyType_Lookup(l, known[k].reflected);
  PyObject* forward = _PyType_Lookup(l, known[k].forward);
  bool are_plain = Py_IS_TYPE(l, &PyType_Type) && Py_IS_TYPE(r, &PyType_Type) &&
                   is_written_in_python(reflected) && is_written_in_python(inherited) &&
                   is_written_in_python(forward);
  bool right_first = reflected != inherited;
  if (are_plain && is_reflected) {
    return {true, k | (right_first ? asks_left : 0)};
  }
  return {are_plain && first == left && forward == function, k | (right_first ? 0 : asks_right)};
}

}  // namespace

Operation find_operator(int argument, PyObject* left, PyObject* right, PyObject* function,
                        PyObject* first) noexcept {
  bool is_divmod = argument == divmod_operator;
  if (argument >= 2 * count && !is_divmod) {
    return {};
  }
  int k = is_divmod ? divmod_of : argument % count;
  PyTypeObject *l = Py_TYPE(left), *r = Py_TYPE(right);
  if (argument >= count && !is_divmod) {
    PyObject* method = _PyType_Lookup(l, known[k].in_place);
    if (method == function && first == left) {
      return {true, k | in_place};
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
    return {true, k | (last ? 0 : asks_right)};
  }
  bool left_is_known =
      left_slot == nullptr || is_quiet(l) ||
      (left_slot == known[k].slot && is_written_in_python(_PyType_Lookup(l, known[k].forward)));
  bool reflected = right_slot == known[k].slot && l != r && left_is_known && first == right &&
                   _PyType_Lookup(r, known[k].reflected) == function;
  return {reflected, k};
}

namespace {

PyObject* unsupported(int k, bool augmented, PyObject* left, PyObject* right) {
  const char* symbol = augmented && k == power_of ? "**" : operators[k].symbol;
  return PyUnicode_FromFormat("unsupported operand type(s) for %.100s%s: '%.100s' and '%.100s'",
                              symbol, augmented ? "=" : "", Py_TYPE(left)->tp_name,
                              Py_TYPE(right)->tp_name);
}

void complain(PyObject* message) {
  if (message != nullptr) {
    PyErr_SetObject(PyExc_TypeError, message);
    Py_DECREF(message);
  }
}

// The operator has said of itself that it can't be; it is part of an augmented assignment.
bool complains(int k, PyObject* left, PyObject* right) {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  PyObject* text =
      traceback == nullptr && Py_IS_TYPE(value, reinterpret_cast<PyTypeObject*>(PyExc_TypeError))
          ? PyObject_Str(value)
          : nullptr;
  PyObject* message = text != nullptr ? unsupported(k, false, left, right) : nullptr;
  bool same = message != nullptr && PyUnicode_Compare(text, message) == 0;
  Py_XDECREF(message);
  Py_XDECREF(text);
  PyErr_Restore(type, value, traceback);
  return same;
}

}  // namespace

PyObject* finish_operator(int argument, int instruction, PyObject* left, PyObject* right,
                          PyObject* value) {
  if (value != Py_NotImplemented) {
    return Py_NewRef(value);
  }
  int k = argument & which, rest = argument & ~which;
  if (rest == in_place) {
    PyObject* result = operators[k].whole(left, right);
    if (result == nullptr && complains(k, left, right)) {
      complain(unsupported(k, true, left, right));
    }
    return result;
  }
  if (rest != 0) {
    PyObject* result = rest == asks_left ? ask_left(k, left, right) : ask_right(k, left, right);
    if (result != Py_NotImplemented) {
      return result;
    }
    Py_DECREF(result);
  }
  complain(unsupported(k, instruction >= count, left, right));
  return nullptr;
}

namespace {

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

}  // namespace

Operation find_comparison(int comparison, bool test, PyObject* left, PyObject* right,
                          PyObject* function, PyObject* first) noexcept {
  PyTypeObject *l = Py_TYPE(left), *r = Py_TYPE(right);
  if (comparison < Py_LT || comparison > Py_GE || left == right) {
    return {};
  }
  bool right_first = right_comes_first(l, r);
  auto found = [=](Rest rest) {
    return Operation{true, Comparison{comparison, test, rest}.argument()};
  };
  if (Method method = find_method(l, comparison, function); method.runs && first == left) {
    if (!right_first) {
      return found(method.is_inverted ? Rest::asks_right_inverted : Rest::asks_right);
    }
    return method.is_inverted || !compares_quietly(r, swapped[comparison]) ? Operation{}
                                                                           : found(Rest::nothing);
  }
  Method method = find_method(r, swapped[comparison], function);
  if (!method.runs || first != right || !compares_quietly(l, comparison)) {
    return {};
  }
  if (right_first) {
    return found(method.is_inverted ? Rest::asks_left_inverted : Rest::asks_left);
  }
  return method.is_inverted ? Operation{} : found(Rest::nothing);
}

namespace {

// Objects/object.c, do_richcompare, from the second half on.
PyObject* compare_otherwise(const Comparison& how, PyObject* left, PyObject* right) {
  constexpr const char* symbols[] = {"<", "<=", "==", "!=", ">", ">="};
  bool left_is_next = how.rest == Rest::asks_left || how.rest == Rest::asks_left_inverted;
  PyObject* result = Py_NewRef(Py_NotImplemented);
  if (left_is_next && Py_TYPE(left)->tp_richcompare != nullptr) {
    Py_SETREF(result, Py_TYPE(left)->tp_richcompare(left, right, how.which));
  } else if (how.rest != Rest::nothing && Py_TYPE(right)->tp_richcompare != nullptr) {
    Py_SETREF(result, Py_TYPE(right)->tp_richcompare(right, left, swapped[how.which]));
  }
  if (result != Py_NotImplemented) {
    return result;
  }
  Py_DECREF(result);
  if (how.which == Py_EQ || how.which == Py_NE) {
    return PyBool_FromLong((left == right) == (how.which == Py_EQ) ? 1 : 0);
  }
  PyErr_Format(PyExc_TypeError, "'%s' not supported between instances of '%.100s' and '%.100s'",
               symbols[how.which], Py_TYPE(left)->tp_name, Py_TYPE(right)->tp_name);
  return nullptr;
}

}  // namespace

PyObject* finish_comparison(int argument, PyObject* left, PyObject* right, PyObject* value) {
  Comparison how = Comparison::of(argument);
  if (how.is_inverted() && value != Py_NotImplemented) {
    int truth = PyObject_IsTrue(value);
    return truth < 0 ? nullptr : PyBool_FromLong(truth == 0 ? 1 : 0);
  }
  PyObject* result =
      value != Py_NotImplemented ? Py_NewRef(value) : compare_otherwise(how, left, right);
  if (result == nullptr || !how.tests) {
    return result;
  }
  int truth = PyObject_IsTrue(result);
  Py_DECREF(result);
  return truth < 0 ? nullptr : PyBool_FromLong(truth);
}

bool is_operator_argument(int argument) noexcept { return (argument & which) < all_count; }

bool is_comparison_argument(int argument) noexcept {
  return argument >= 0 && argument < 2 * Comparison::kinds * rests;
}

namespace {

PyObject* method_name(const char* prefix, const char* name) {
  PyObject* text = PyUnicode_FromFormat("__%s%s__", prefix, name);
  if (text != nullptr) {
    PyUnicode_InternInPlace(&text);
  }
  return text;
}

}  // namespace

int init_operators() {
  PyObject* members = PyDict_New();
  auto define = [&](PyObject* name) {
    return name == nullptr || members == nullptr || PyDict_SetItem(members, name, Py_None) < 0;
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
  PyObject* all = failed ? nullptr
                         : PyObject_CallFunction(reinterpret_cast<PyObject*>(&PyType_Type), "s()O",
                                                 "All", members);
  if (all != nullptr) {
    auto* type = reinterpret_cast<PyTypeObject*>(all);
    for (int k = 0; k < all_count; ++k) {
      known[static_cast<std::size_t>(k)].slot = slot_of(type, k);
    }
    known_compare = type->tp_richcompare;
  }
  Py_XDECREF(members);
  int result = all != nullptr ? 0 : -1;
  Py_XDECREF(all);
  return result;
}

// ---- the rules ----

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
    {CALL, a_calls, calls_divmod, Ending::binary},
    {CALL, a_calls, calls_pow, Ending::binary},
    {STORE_SUBSCR, 3, sets_item, Ending::nothing},
    {DELETE_SUBSCR, 2, deletes_item, Ending::nothing},
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
};

}  // namespace

// Modules/_collectionsmodule.c, defdict_missing.
PyObject* finish_default(int stays, PyObject* dict, PyObject* key, PyObject* value) {
  if (stays != 0 && PyDict_Check(dict)) {
    return Py_XNewRef(PyDict_SetDefault(dict, key, value));
  }
  return PyObject_SetItem(dict, key, value) == 0 ? Py_NewRef(value) : nullptr;
}

std::span<const Rule> operator_rules() noexcept { return rules; }

}  // namespace stackless::interp
