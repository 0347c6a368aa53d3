// Objects of CPython and of its library that the rules compare with; found once, at import.
#pragma once

#include <Python.h>

namespace stackless::interp {

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

// That of every Python function, unless somebody has replaced it.
inline vectorcallfunc function_vectorcall;

// init_known_objects() is called once, at import; -1 with an exception set.
int init_known_objects();

}  // namespace stackless::interp
