// What the rules are made of: the seam between two Python frames that C code has left, what can be asked
// about it, and how a rule is written down.
#pragma once

#include <array>
#include <span>

#include <opcode.h>

#include "interp/frames/call_position.hpp"
#include "interp/frames/running_generators.hpp"
#include "interp/rules/rules.hpp"

namespace stackless::interp {

struct Seam {
  _PyInterpreterFrame* outer;
  _PyInterpreterFrame* inner;
  Stop stop;
  int operands;

  // What the inner frame is that of.
  PyObject* function() const { return function_of(inner); }
  PyObject* generator() const {
    return is_on_data_stack(inner) ? nullptr : reinterpret_cast<PyObject*>(generator_of(inner));
  }

  // The operands, counted from the first.
  PyObject* operand(int i) const {
    return object_in(outer->localsplus[stop.height - operands + i]);
  }
  // Of a call:
  PyObject* callable() const { return callable_at(outer, stop, operands); }
  PyObject* argument(int i) const { return operand(2 + i); }
  // self, if a method descriptor is called; else null.
  PyObject* self() const {
    PyObject* tells = operand(PY_VERSION_HEX >= 0x030D0000 ? 1 : 0);
    return tells != nullptr ? operand(1) : nullptr;
  }
};

// At this instruction, with so many operands on the value stack (or a call's), if that is so, the outer frame
// goes on like this.
struct Rule {
  int opcode;
  int operands;
  bool (*holds)(const Seam& seam, Joint* joint);
  Ending ending;
};

constexpr int a_calls = -1;

// The rules, by what they are about.
std::span<const Rule> call_rules() noexcept;
std::span<const Rule> class_rules() noexcept;
std::span<const Rule> code_rules() noexcept;
std::span<const Rule> attribute_rules() noexcept;
std::span<const Rule> operator_rules() noexcept;
std::span<const Rule> conversion_rules() noexcept;
std::span<const Rule> iterator_rules() noexcept;

// ---- what is to be known by name -----------------------------------------------------------------

// An interned string.
struct Name {
  const char* text;
  PyObject* object = nullptr;
  operator PyObject*() const { return object; }
};

struct Names {
  Name init{"__init__"};
  Name call{"__call__"};
  Name finalizer{"__del__"};
  Name next{"__next__"};
  Name send{"send"};
  Name throws{"throw"};
  Name create{"__new__"};
  Name enter{"__enter__"};
  Name exit{"__exit__"};
  Name get{"__get__"};
  Name set{"__set__"};
  Name getattr{"__getattr__"};
  Name getattribute{"__getattribute__"};
  Name setattr{"__setattr__"};
  Name getitem{"__getitem__"};
  Name setitem{"__setitem__"};
  Name delitem{"__delitem__"};
  Name contains{"__contains__"};
  Name iter{"__iter__"};
  Name truth{"__bool__"};
  Name length{"__len__"};
  Name delattr{"__delattr__"};
  Name remove{"__delete__"};
  Name negative{"__neg__"};
  Name positive{"__pos__"};
  Name invert{"__invert__"};
  Name close{"close"};
  Name import{"__import__"};
  Name class_getitem{"__class_getitem__"};
  Name missing{"__missing__"};
  Name instance_check{"__instancecheck__"};
  Name subclass_check{"__subclasscheck__"};
  Name run{"run"};
  Name hash{"__hash__"};
  Name equal{"__eq__"};
  Name prepare{"__prepare__"};
  Name init_subclass{"__init_subclass__"};
  Name mro{"mro"};
  Name super{"super"};
  Name own_class{"__class__"};
  Name own_name{"__name__"};
  Name own_module{"__module__"};
};
inline Names names;

// A function of the module builtins; null if somebody has replaced it.
struct Builtin {
  const char* name;
  const PyMethodDef* method = nullptr;
  operator const PyMethodDef*() const { return method; }
};

struct Builtins {
  Builtin next{"next"};
  Builtin len{"len"};
  Builtin getattr{"getattr"};
  Builtin hasattr{"hasattr"};
  Builtin setattr{"setattr"};
  Builtin delattr{"delattr"};
  Builtin iter{"iter"};
  Builtin exec{"exec"};
  Builtin eval{"eval"};
  Builtin build_class{"__build_class__"};
  Builtin import{"__import__"};
  Builtin isinstance{"isinstance"};
  Builtin issubclass{"issubclass"};
  Builtin divmod{"divmod"};
  Builtin pow{"pow"};
};
inline Builtins builtins;

// What CPython puts into the slots of a class that defines the method (Objects/typeobject.c, slotdefs).
struct Slots {
  initproc init;
  ternaryfunc call;
  getattrofunc getattr;       // of a class that has a __getattr__()
  getattrofunc getattribute;  // of one that has a __getattribute__() only
  newfunc create;
};
inline Slots slots;

// Types of which CPython exports none; null where there is no such type.
struct Types {
  PyTypeObject*
      partial;  // where functools.partial is written in Python it is a class like any other
  PyTypeObject* method_wrapper;
  PyTypeObject* ascii_iterator;  // that of most strings
  PyTypeObject* default_dict;
};
inline Types types;

// Whether a defaultdict keeps what its factory has put there itself (Modules/_collectionsmodule.c, defdict_missing:
// some releases of a version do, others don't).
inline bool defaults_stay;

// ---- what can be asked ---------------------------------------------------------------------------

// method_of() is the function that an attribute of the type is; null if it is anything else.
PyObject* method_of(PyTypeObject* type, PyObject* name);

// method_in() is the C function that a method of the type is; null if it is anything else.
const PyMethodDef* method_in(PyTypeObject* type, PyObject* name);

// wrapped_by() is the function that a static or class method is made of; borrowed.
inline PyObject* wrapped_by(PyObject* method) {
  // Objects/funcobject.c, staticmethod, classmethod: it comes first.
  return *reinterpret_cast<PyObject**>(reinterpret_cast<char*>(method) + sizeof(PyObject));
}

// variables_of() is a class's dictionary; a new reference, or null.
PyObject* variables_of(PyObject* type);

// is_call() tells whether the inner frame is that of a function which has been called, not of a generator.
inline bool is_call(const Seam& seam) { return is_on_data_stack(seam.inner); }

// leads_to() tells whether a call of `callable` is a call of `function`, with nothing done to what that returns.
bool leads_to(PyObject* callable, PyObject* function);

// argument_of() is a positional argument of a frame which still has it; borrowed, or null.
PyObject* argument_of(_PyInterpreterFrame* frame, int i);
inline PyObject* first_argument(_PyInterpreterFrame* frame) { return argument_of(frame, 0); }

// find_beyond() is what super(type, of) looks up: the attribute of the first class behind `type` in the order of
// `of` that has one; borrowed, or null.
PyObject* find_beyond(PyTypeObject* type, PyTypeObject* of, PyObject* name);

// is_builtin() tells whether a call has called that C function; calls_builtin(), with so many arguments, all
// of them positional.
bool is_builtin(const Seam& seam, const PyMethodDef* function);
bool calls_builtin(const Seam& seam, const PyMethodDef* function, int arguments);

// has_keywords() tells whether a call of one of its instructions, CALL, has been made with keyword arguments.
bool has_keywords(const Seam& seam);
// has_arguments() tells whether a call has so many positional arguments, and nothing else.
bool has_arguments(const Seam& seam, int count);

// calls_method() tells whether the operand's method has been called.
bool calls_method(const Seam& seam, int operand, PyObject* name);

// has_rest() is needed by endings that push nothing: they have to find something to take off (interp/shim.cpp).
inline bool has_rest(const Seam& seam) { return seam.stop.height > seam.operands; }

// may_end_loop() tells whether the end of a loop finds something beneath the iterator, as it has to up to 3.11
// (interp/stop.cpp).
inline bool may_end_loop(int height) { return PY_VERSION_HEX >= 0x030C0000 || height >= 2; }

// init_seams() is called once, at import; -1 with an exception set.
int init_seams();

}  // namespace stackless::interp
