#include "interp/rules/class_statement.hpp"

#include "interp/frames/code_map.hpp"
#include "interp/rules/crossing.hpp"
#include "object/compat.hpp"

namespace stackless::interp {

bool is_metaclass_keyword(PyObject* name) {
  return PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, "metaclass") == 0;
}

ClassStatement::ClassStatement(_PyInterpreterFrame* frame, const Instruction* at, int first,
                               int operands)
    : frame_(frame), first_(first), names_(keyword_names(frame, at, first + operands)) {
  keywords_ =
      names_ != nullptr && PyTuple_Check(names_) ? static_cast<int>(PyTuple_GET_SIZE(names_)) : 0;
  constexpr int others = 4;
  bases_ = operands - others - keywords_ - (keyword_names_are_operand && names_ != nullptr ? 1 : 0);
}

bool ClassStatement::is_complete() const {
  bool complete = is_call() && builder() != nullptr;
  for (int i = 2; complete && i < 4 + bases_ + keywords_; ++i) {
    complete = operand(i) != nullptr;
  }
  return complete;
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

// ---- the cell ------------------------------------------------------------------------------------------

namespace {

// Whether the code is that of a class's body, which the compiler begins like that, and which returns its cell, or
// None. No expression stores a name without copying what it stores.
bool is_class_body(PyCodeObject* code) {
  const CodeMap* map = code_map(code);
  auto is = [code, map](int i, int opcode, PyObject* name) {
    const Instruction& at = map->instructions[i];
    return at.opcode == opcode && PyTuple_GET_ITEM(code->co_names, at.argument) == name;
  };
  bool found = false;
  for (int i = 0; map != nullptr && !found && i + 1 < map->size; ++i) {
    found = is(i, LOAD_NAME, names.own_name) && is(i + 1, STORE_NAME, names.own_module);
  }
  return found && (code->co_flags & CO_OPTIMIZED) == 0;
}

bool has_class_cell(PyCodeObject* code) {
  for (int i = 0; i < code->co_nlocalsplus; ++i) {
    if (PyTuple_GET_ITEM(code->co_localsplusnames, i) == names.own_class && is_in_cell(code, i)) {
      return true;
    }
  }
  return false;
}

// The cell that a function of the body has got there; null if it isn't one, or has none.
PyObject* cell_of_function(PyObject* object, PyObject* constants) {
  if (Py_IS_TYPE(object, &PyStaticMethod_Type) || Py_IS_TYPE(object, &PyClassMethod_Type)) {
    object = wrapped_by(object);
  }
  PyObject* closure = PyFunction_Check(object) ? PyFunction_GET_CLOSURE(object) : nullptr;
  if (closure == nullptr) {
    return nullptr;
  }
  auto* code = reinterpret_cast<PyCodeObject*>(PyFunction_GET_CODE(object));
  bool is_of_body = false;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(constants); ++i) {
    is_of_body = is_of_body || PyTuple_GET_ITEM(constants, i) == reinterpret_cast<PyObject*>(code);
  }
  int first = code->co_nlocalsplus - code->co_nfreevars;
  for (int i = 0; is_of_body && i < code->co_nfreevars; ++i) {
    if (PyTuple_GET_ITEM(code->co_localsplusnames, first + i) == names.own_class) {
      return PyTuple_GET_ITEM(closure, i);
    }
  }
  return nullptr;
}

}  // namespace

bool find_class_cell(PyObject* body, PyObject* variables, PyObject** cell) {
  *cell = nullptr;
  auto* code = reinterpret_cast<PyCodeObject*>(PyFunction_GET_CODE(body));
  if (!is_class_body(code) || variables == nullptr || !PyDict_Check(variables)) {
    PyErr_Clear();
    return false;
  }
  if (!has_class_cell(code)) {
    return true;
  }
  Py_ssize_t position = 0;
  PyObject *name, *value;
  while (*cell == nullptr && PyDict_Next(variables, &position, &name, &value) != 0) {
    *cell = cell_of_function(value, code->co_consts);
  }
  return *cell != nullptr;
}

bool find_class_cell_of(PyObject* body, PyObject* type, PyObject** cell) {
  return find_class_cell(body, dictionary_of(reinterpret_cast<PyTypeObject*>(type)).get(), cell);
}

}  // namespace stackless::interp
