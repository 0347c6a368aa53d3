// What is left of a class statement when the class's body has run (Python/bltinmodule.c,
// builtin___build_class__).
#pragma once

#include "interp/frame.hpp"
#include "interp/stop.hpp"

namespace stackless::interp {

// The operands of such a call: [__build_class__ and null, the body, the name, bases, keywords' values]
class ClassStatement {
 public:
  // `first` is the place of the first operand.
  ClassStatement(_PyInterpreterFrame* frame, const Instruction* at, int first, int operands);

  // is_call() tells whether there are as many operands as there have to be.
  bool is_call() const { return bases_ >= 0 && (names_ == nullptr || PyTuple_Check(names_)); }

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

// finish_class() makes the class, when the body has returned `cell`, and takes the operands off; null with an
// exception set.
PyObject* finish_class(int operands, PyObject* variables, PyObject* metaclass, PyObject* cell,
                       _PyInterpreterFrame* frame);

}  // namespace stackless::interp
