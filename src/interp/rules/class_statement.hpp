// A class statement that has called something: what lies on the value stack, and what can be found out from that.
#pragma once

#include "interp/frames/call_position.hpp"

namespace stackless::interp {

// is_metaclass_keyword() tells whether a keyword of the statement names its metaclass.
bool is_metaclass_keyword(PyObject* name);

// The operands of such a call: [__build_class__ and null, the body, the name, bases, keywords' values]
class ClassStatement {
 public:
  // `first` is the place of the first operand.
  ClassStatement(_PyInterpreterFrame* frame, const Instruction* at, int first, int operands);

  // is_call() tells whether there are as many operands as there have to be.
  bool is_call() const { return bases_ >= 0 && (names_ == nullptr || PyTuple_Check(names_)); }
  // is_complete() tells whether there is something in place of each.
  bool is_complete() const;

  PyObject* builder() const { return operand(0) != nullptr ? operand(0) : operand(1); }

  PyObject* body() const { return operand(2); }
  PyObject* name() const { return operand(3); }
  int bases() const { return bases_; }
  PyObject* base(int i) const { return operand(4 + i); }
  int keywords() const { return keywords_; }
  PyObject* keyword(int i) const { return PyTuple_GET_ITEM(names_, i); }
  PyObject* value(int i) const { return operand(4 + bases_ + i); }

  // metaclass() is what will be called; borrowed, null unless that is sure to have been found out already.
  PyObject* metaclass() const;

 private:
  PyObject* operand(int i) const { return object_in(frame_->localsplus[first_ + i]); }

  _PyInterpreterFrame* frame_;
  int first_;
  PyObject* names_;
  int keywords_;
  int bases_;
};

// find_class_cell() finds the cell that the body has returned, in which methods find the class: null if it has none. False if that
// can't be found out: it is looked for in the functions of the body that are among the class's variables.
bool find_class_cell(PyObject* body, PyObject* variables, PyObject** cell);
bool find_class_cell_of(PyObject* body, PyObject* type, PyObject** cell);

}  // namespace stackless::interp
