#include "interp/classes.hpp"

#include "interp/code.hpp"

namespace stackless::interp {

namespace {

bool is_metaclass_keyword(PyObject* name) {
  return PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, "metaclass") == 0;
}

}  // namespace

ClassStatement::ClassStatement(_PyInterpreterFrame* frame, const Instruction* at, int first,
                               int operands)
    : frame_(frame), first_(first), names_(keyword_names(frame, at, first + operands)) {
  keywords_ =
      names_ != nullptr && PyTuple_Check(names_) ? static_cast<int>(PyTuple_GET_SIZE(names_)) : 0;
  constexpr bool names_are_operands = PY_VERSION_HEX >= 0x030D0000;
  constexpr int others = 4;
  bases_ = operands - others - keywords_ - (names_are_operands && names_ != nullptr ? 1 : 0);
}

PyObject* ClassStatement::metaclass() const {
  PyObject* found = nullptr;
  for (int i = 0; i < keywords_; ++i) {
    if (is_metaclass_keyword(keyword(i))) {
      found = value(i);
    }
  }
  if (found != nullptr && !PyType_Check(found)) {
    return found;
  }
  auto* winner = reinterpret_cast<PyTypeObject*>(found);
  if (winner == nullptr) {
    winner = bases_ > 0 ? Py_TYPE(base(0)) : &PyType_Type;
  }
  // Objects/typeobject.c, _PyType_CalculateMetaclass.
  for (int i = 0; i < bases_; ++i) {
    PyTypeObject* type = Py_TYPE(base(i));
    if (PyType_IsSubtype(type, winner) != 0) {
      winner = type;
    } else if (PyType_IsSubtype(winner, type) == 0) {
      return nullptr;
    }
  }
  return reinterpret_cast<PyObject*>(winner);
}

namespace {

PyObject* keywords_for_metaclass(const ClassStatement& statement) {
  PyObject* keywords = PyDict_New();
  for (int i = 0; i < statement.keywords() && keywords != nullptr; ++i) {
    PyObject* value = statement.value(i);
    bool passes = !is_metaclass_keyword(statement.keyword(i)) && value != nullptr;
    if (passes && PyDict_SetItem(keywords, statement.keyword(i), value) < 0) {
      Py_CLEAR(keywords);
    }
  }
  return keywords;
}

PyObject* call_metaclass(const ClassStatement& statement, PyObject* variables,
                         PyObject* metaclass) {
  PyObject* bases = PyTuple_New(statement.bases());
  for (int i = 0; i < statement.bases() && bases != nullptr; ++i) {
    PyObject* base = statement.base(i);
    PyTuple_SET_ITEM(bases, i, Py_NewRef(base != nullptr ? base : Py_None));
  }
  PyObject* arguments =
      bases != nullptr ? PyTuple_Pack(3, statement.name(), bases, variables) : nullptr;
  PyObject* keywords = arguments != nullptr ? keywords_for_metaclass(statement) : nullptr;
  PyObject* made = keywords != nullptr ? PyObject_Call(metaclass, arguments, keywords) : nullptr;
  Py_XDECREF(keywords);
  Py_XDECREF(arguments);
  Py_XDECREF(bases);
  return made;
}

// Whether the methods' __class__ is the class.
bool is_class_set(PyObject* cell, PyObject* name, PyObject* made) {
  if (!PyType_Check(made) || !PyCell_Check(cell) || PyCell_GET(cell) == made) {
    return true;
  }
  if (PyCell_GET(cell) == nullptr) {
    PyErr_Format(PyExc_RuntimeError,
                 "__class__ not set defining %.200R as %.200R. "
                 "Was __classcell__ propagated to type.__new__?",
                 name, made);
  } else {
    PyErr_Format(PyExc_TypeError, "__class__ set to %.200R defining %.200R as %.200R",
                 PyCell_GET(cell), name, made);
  }
  return false;
}

}  // namespace

PyObject* finish_class(int operands, PyObject* variables, PyObject* metaclass, PyObject* cell,
                       _PyInterpreterFrame* frame) {
  const Instruction* at = passed_instruction(frame);
  int first = height_of(frame) - operands;
  ClassStatement statement(frame, at, first, operands);
  if (!statement.is_call() || statement.name() == nullptr) {
    PyErr_SetString(PyExc_ValueError, "the snapshot is damaged: a class statement is incomplete");
    return nullptr;
  }
  PyObject* made = call_metaclass(statement, variables, metaclass);
  if (made != nullptr && !is_class_set(cell, statement.name(), made)) {
    Py_CLEAR(made);
  }
  if (made != nullptr) {
    pop_slots(frame, first);
  }
  return made;
}

}  // namespace stackless::interp
