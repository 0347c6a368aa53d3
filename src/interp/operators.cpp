#include "interp/operators.hpp"

#include <array>
#include <cstddef>

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

// In the order of BINARY_OP's argument (Include/opcode.h, NB_ADD ...).
constexpr std::array<Operator, 13> operators = {{
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
}};
constexpr int add = 0, multiply = 5, power_of = 8;
constexpr int count = static_cast<int>(operators.size());

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

constexpr int which = 15, asks_right = 16, in_place = 32;
constexpr int test_result = 8, inverts = 32;

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

// The right operand's turn, after the left one's method has returned NotImplemented.
PyObject* ask_right(int k, PyObject* left, PyObject* right) {
  void *l = slot_of(Py_TYPE(left), k), *r = slot_of(Py_TYPE(right), k);
  if (r == nullptr) {
    return Py_NewRef(Py_NotImplemented);
  }
  if (l != r) {
    return k == power_of ? reinterpret_cast<ternaryfunc>(r)(left, right, Py_None)
                         : reinterpret_cast<binaryfunc>(r)(left, right);
  }
  PyObject* method = _PyType_Lookup(Py_TYPE(right), known[k].reflected);
  if (method == nullptr) {
    return Py_NewRef(Py_NotImplemented);
  }
  descrgetfunc get = Py_TYPE(method)->tp_descr_get;
  PyObject* bound = get != nullptr ? get(method, right, reinterpret_cast<PyObject*>(Py_TYPE(right)))
                                   : Py_NewRef(method);
  PyObject* result = bound != nullptr ? PyObject_CallOneArg(bound, left) : nullptr;
  Py_XDECREF(bound);
  return result;
}

}  // namespace

Operation find_operator(int argument, PyObject* left, PyObject* right, PyObject* function,
                        PyObject* first) noexcept {
  if (argument >= 2 * count) {
    return {};
  }
  int k = argument % count;
  PyTypeObject *l = Py_TYPE(left), *r = Py_TYPE(right);
  if (argument >= count) {
    PyObject* method = _PyType_Lookup(l, known[k].in_place);
    if (method == function && first == left) {
      return {true, k | in_place};
    }
    if (method != nullptr && !PyFunction_Check(method)) {
      return {};
    }
  }
  if (right_comes_first(l, r) || has_sequence_operator(k, l, r)) {
    return {};
  }
  void *left_slot = slot_of(l, k), *right_slot = slot_of(r, k);
  if (left_slot == known[k].slot && _PyType_Lookup(l, known[k].forward) == function &&
      first == left) {
    bool last = l == r || right_slot == nullptr;
    return {true, k | (last ? 0 : asks_right)};
  }
  bool left_is_known = left_slot == nullptr || left_slot == known[k].slot || is_quiet(l);
  bool reflected = right_slot == known[k].slot && l != r && left_is_known && first == right &&
                   _PyType_Lookup(r, known[k].reflected) == function;
  return {reflected, k};
}

PyObject* finish_operator(int argument, PyObject* left, PyObject* right, PyObject* value) {
  if (value != Py_NotImplemented) {
    return Py_NewRef(value);
  }
  int k = argument & which;
  if ((argument & in_place) != 0) {
    return operators[k].whole(left, right);
  }
  if ((argument & asks_right) != 0) {
    PyObject* result = ask_right(k, left, right);
    if (result != Py_NotImplemented) {
      return result;
    }
    Py_DECREF(result);
  }
  PyErr_Format(PyExc_TypeError, "unsupported operand type(s) for %.100s: '%.100s' and '%.100s'",
               operators[k].symbol, Py_TYPE(left)->tp_name, Py_TYPE(right)->tp_name);
  return nullptr;
}

Operation find_comparison(int comparison, bool test, PyObject* left, PyObject* right,
                          PyObject* function, PyObject* first) noexcept {
  constexpr int swapped[] = {Py_GT, Py_GE, Py_EQ, Py_NE, Py_LT, Py_LE};
  PyTypeObject *l = Py_TYPE(left), *r = Py_TYPE(right);
  if (comparison < Py_LT || comparison > Py_GE || right_comes_first(l, r) || left == right) {
    return {};
  }
  int argument = comparison | (test ? test_result : 0);
  if (l->tp_richcompare == known_compare && first == left &&
      _PyType_Lookup(l, comparison_names[comparison]) == function) {
    return {true, argument | asks_right};
  }
  // object.__ne__() calls __eq__() (Objects/typeobject.c, object_richcompare).
  if (comparison == Py_NE && l->tp_richcompare == known_compare && first == left &&
      _PyType_Lookup(l, comparison_names[Py_NE]) ==
          _PyType_Lookup(&PyBaseObject_Type, comparison_names[Py_NE]) &&
      _PyType_Lookup(l, comparison_names[Py_EQ]) == function) {
    return {true, argument | asks_right | inverts};
  }
  bool left_is_known = l->tp_richcompare == known_compare || is_quiet(l) ||
                       l->tp_richcompare == PyBaseObject_Type.tp_richcompare;
  bool reflected = r->tp_richcompare == known_compare && left_is_known && first == right &&
                   _PyType_Lookup(r, comparison_names[swapped[comparison]]) == function;
  return {reflected, argument};
}

namespace {

// Objects/object.c, do_richcompare, from the second half on.
PyObject* compare_otherwise(int comparison, bool asks, PyObject* left, PyObject* right) {
  constexpr int swapped[] = {Py_GT, Py_GE, Py_EQ, Py_NE, Py_LT, Py_LE};
  constexpr const char* symbols[] = {"<", "<=", "==", "!=", ">", ">="};
  if (richcmpfunc compare = Py_TYPE(right)->tp_richcompare; asks && compare != nullptr) {
    PyObject* result = compare(right, left, swapped[comparison]);
    if (result != Py_NotImplemented) {
      return result;
    }
    Py_DECREF(result);
  }
  if (comparison == Py_EQ || comparison == Py_NE) {
    return PyBool_FromLong((left == right) == (comparison == Py_EQ) ? 1 : 0);
  }
  PyErr_Format(PyExc_TypeError, "'%s' not supported between instances of '%.100s' and '%.100s'",
               symbols[comparison], Py_TYPE(left)->tp_name, Py_TYPE(right)->tp_name);
  return nullptr;
}

}  // namespace

PyObject* finish_comparison(int argument, PyObject* left, PyObject* right, PyObject* value) {
  if ((argument & inverts) != 0 && value != Py_NotImplemented) {
    int truth = PyObject_IsTrue(value);
    return truth < 0 ? nullptr : PyBool_FromLong(truth == 0 ? 1 : 0);
  }
  PyObject* result =
      value != Py_NotImplemented
          ? Py_NewRef(value)
          : compare_otherwise(argument & 7, (argument & asks_right) != 0, left, right);
  if (result == nullptr || (argument & test_result) == 0) {
    return result;
  }
  int truth = PyObject_IsTrue(result);
  Py_DECREF(result);
  return truth < 0 ? nullptr : PyBool_FromLong(truth);
}

bool is_operator_argument(int argument) noexcept {
  int flags = argument & ~which;
  return (argument & which) < count && (flags == 0 || flags == asks_right || flags == in_place);
}

bool is_comparison_argument(int argument) noexcept {
  return argument >= 0 && argument < 64 && (argument & 7) <= Py_GE;
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
    for (int k = 0; k < count; ++k) {
      known[static_cast<std::size_t>(k)].slot = slot_of(type, k);
    }
    known_compare = type->tp_richcompare;
  }
  Py_XDECREF(members);
  int result = all != nullptr ? 0 : -1;
  Py_XDECREF(all);
  return result;
}

}  // namespace stackless::interp
