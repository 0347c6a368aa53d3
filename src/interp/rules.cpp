#include "interp/rules.hpp"

#include <algorithm>
#include <array>

#include <opcode.h>
#include "interp/aside.hpp"
#include "interp/awaitables.hpp"
#include "interp/internals.h"
#include "interp/operators.hpp"
#include "interp/stop.hpp"

namespace stackless::interp {

namespace {

// What CPython puts into the slots of a class that defines the method (Objects/typeobject.c, slotdefs).
struct Slots {
  initproc init;
  ternaryfunc call;
  getattrofunc getattr;       // of a class that has a __getattr__()
  getattrofunc getattribute;  // of one that has a __getattribute__() only
  newfunc create;
} slots;
vectorcallfunc
    function_vectorcall;  // that of every Python function, unless somebody has replaced it

struct Names {
  PyObject* init;
  PyObject* call;
  PyObject* finalizer;
  PyObject* next;
  PyObject* send;
  PyObject* throws;
  PyObject* create;
  PyObject* enter;
  PyObject* exit;
  PyObject* get;
  PyObject* set;
  PyObject* getattr;
  PyObject* getattribute;
  PyObject* setattr;
  PyObject* getitem;
  PyObject* setitem;
  PyObject* delitem;
  PyObject* contains;
  PyObject* iter;
  PyObject* truth;
  PyObject* length;
  PyObject* delattr;
  PyObject* remove;
  PyObject* negative;
  PyObject* positive;
  PyObject* invert;
  PyObject* close;
} names;

PyTypeObject* partial_type;
PyTypeObject* method_wrapper_type;
PyTypeObject* ascii_iterator_type;  // that of most strings
PyObject* type_call;                // type.__call__
// builtins.next() ...
const PyMethodDef* next_function;
const PyMethodDef* len_function;
const PyMethodDef* getattr_function;
const PyMethodDef* hasattr_function;
const PyMethodDef* setattr_function;
const PyMethodDef* delattr_function;
const PyMethodDef* iter_function;

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

// The function that an attribute of the type is; null if it is anything else.
PyObject* method_of(PyTypeObject* type, PyObject* name) {
  PyObject* found = _PyType_Lookup(type, name);
  return found != nullptr && PyFunction_Check(found) ? found : nullptr;
}

// The C function that a method of the type is; null if it is anything else.
const PyMethodDef* method_in(PyTypeObject* type, PyObject* name) {
  PyObject* found = _PyType_Lookup(type, name);
  return found != nullptr && Py_IS_TYPE(found, &PyMethodDescr_Type)
             ? reinterpret_cast<PyMethodDescrObject*>(found)->d_method
             : nullptr;
}

// Whether the inner frame is that of a function which has been called, not of a generator.
bool is_call(const Seam& seam) { return is_on_data_stack(seam.inner); }

// Whether a call of `callable` is a call of `function`, with nothing done to what that returns.
bool leads_to(PyObject* callable, PyObject* function) {
  constexpr int deepest = 16;
  for (int i = 0; i < deepest && callable != nullptr; ++i) {
    if (PyFunction_Check(callable)) {
      return callable == function &&
             reinterpret_cast<PyFunctionObject*>(callable)->vectorcall == function_vectorcall;
    }
    if (Py_IS_TYPE(callable, &PyMethod_Type)) {
      callable = PyMethod_GET_FUNCTION(callable);
    } else if (Py_IS_TYPE(callable, partial_type)) {
      // Modules/_functoolsmodule.c, partialobject: the function comes first.
      callable =
          *reinterpret_cast<PyObject**>(reinterpret_cast<char*>(callable) + sizeof(PyObject));
    } else if (Py_TYPE(callable)->tp_call == slots.call) {
      callable = method_of(Py_TYPE(callable), names.call);
    } else {
      return false;
    }
  }
  return false;
}

// The first argument of a frame that still has it; borrowed, or null.
PyObject* first_argument(_PyInterpreterFrame* frame) {
  const CodeMap* map = code_map(code_of(frame));
  if (map == nullptr || !map->keeps_first_argument) {
    PyErr_Clear();
    return nullptr;
  }
  PyObject* argument = object_in(frame->localsplus[0]);
  // MAKE_CELL puts it into a cell if inner functions use it.
  if (argument != nullptr && PyCell_Check(argument) && map->first_argument_in_cell) {
    argument = PyCell_GET(argument);
  }
  return argument;
}

// ---- the rules -----------------------------------------------------------------------------------

// Whether a type's tp_new has called no __init__() (of those of C, only some are known).
bool creates_only(PyTypeObject* type) {
  if (type->tp_new == slots.create) {
    PyObject* method = _PyType_Lookup(type, names.create);
    return method != nullptr && Py_IS_TYPE(method, &PyStaticMethod_Type);
  }
  std::array known{&PyBaseObject_Type, &PyDict_Type,
                   &PyList_Type,       &PySet_Type,
                   &PyTuple_Type,      &PyLong_Type,
                   &PyUnicode_Type,    reinterpret_cast<PyTypeObject*>(PyExc_BaseException)};
  return std::ranges::any_of(known,
                             [=](PyTypeObject* each) { return type->tp_new == each->tp_new; });
}

// The class that is being instantiated by a call of it, or of type.__call__() bound to it; or null.
PyTypeObject* called_class(PyObject* callable) {
  if (callable == nullptr) {
    return nullptr;
  }
  if (Py_IS_TYPE(callable, method_wrapper_type)) {
    // Objects/descrobject.c, wrapperobject: the descriptor, then self.
    auto* items =
        reinterpret_cast<PyObject**>(reinterpret_cast<char*>(callable) + sizeof(PyObject));
    return items[0] == type_call ? reinterpret_cast<PyTypeObject*>(items[1]) : nullptr;
  }
  auto* type = reinterpret_cast<PyTypeObject*>(callable);
  return PyType_Check(callable) && Py_TYPE(callable)->tp_call == PyType_Type.tp_call &&
                 type->tp_vectorcall == nullptr
             ? type
             : nullptr;
}

// Objects/typeobject.c, type_call: __new__(), then slot_tp_init().
bool makes_instance(const Seam& seam, Joint* joint) {
  PyTypeObject* type = is_call(seam) ? called_class(seam.callable()) : nullptr;
  if (type == nullptr || !creates_only(type) || type->tp_init != slots.init ||
      method_of(type, names.init) != seam.function() ||
      // An allocation may have called that on another one.
      _PyType_Lookup(type, names.finalizer) == seam.function()) {
    return false;
  }
  joint->kept = first_argument(seam.inner);
  return joint->kept != nullptr && Py_TYPE(joint->kept) == type;
}

bool has_keywords([[maybe_unused]] const Seam& seam) {
#if PY_VERSION_HEX < 0x030C0000
  const Instruction* before = seam.stop.at - (2 + stackless_inline_caches[PRECALL]);
#elif PY_VERSION_HEX < 0x030D0000
  const Instruction* before = seam.stop.at - 1;
#endif
#if PY_VERSION_HEX < 0x030D0000
  const CodeMap* map = code_map(code_of(seam.outer));
  return before < map->instructions.get() || before->opcode == KW_NAMES;
#else
  return false;  // that is another instruction
#endif
}

// The same at its first step; __init__() is to come yet.
bool creates_instance(const Seam& seam, Joint* joint) {
  PyObject* callable = seam.callable();
  if (!is_call(seam) || callable == nullptr || !PyType_Check(callable) ||
      called_class(callable) == nullptr || seam.self() != nullptr || has_keywords(seam) ||
      seam.operands > largest_argument) {
    return false;
  }
  auto* type = reinterpret_cast<PyTypeObject*>(callable);
  PyObject* method = _PyType_Lookup(type, names.create);
  joint->pops = 0;
  joint->argument = seam.operands;
  joint->kept = callable;
  // Objects/funcobject.c, staticmethod: the function comes first.
  return type->tp_new == slots.create && method != nullptr &&
         Py_IS_TYPE(method, &PyStaticMethod_Type) &&
         *reinterpret_cast<PyObject**>(reinterpret_cast<char*>(method) + sizeof(PyObject)) ==
             seam.function() &&
         method_of(type, names.init) != seam.function();
}

bool calls_function(const Seam& seam, Joint*) {
  return is_call(seam) && leads_to(seam.callable(), seam.function());
}

// ---- with ----

#if PY_VERSION_HEX >= 0x030E0000
// The compiler makes calls of these.
#elif PY_VERSION_HEX < 0x030C0000
// Its own __exit__() lies on the value stack already.
bool enters(const Seam& seam, Joint* joint) {
  PyObject* exit = seam.operand(0);
  joint->pops = 0;
  return is_call(seam) && Py_IS_TYPE(exit, &PyMethod_Type) &&
         method_of(Py_TYPE(PyMethod_GET_SELF(exit)), names.enter) == seam.function();
}
#else
// It has dropped the manager, whose __enter__() has it for its self.
bool enters(const Seam& seam, Joint* joint) {
  PyObject* manager = is_call(seam) ? first_argument(seam.inner) : nullptr;
  if (manager == nullptr || manager != seam.operand(0)) {
    return false;
  }
  joint->stale = 1;
  joint->kept = manager;
  joint->second = method_of(Py_TYPE(manager), names.exit);
  return joint->second != nullptr && method_of(Py_TYPE(manager), names.enter) == seam.function();
}
#endif

#if PY_VERSION_HEX < 0x030E0000
// When a with block has ended well, its bound __exit__() lies where a method's function would, and the first
// of the three None where its self would (Python/compile.c, compiler_call_exit_with_nones: nothing else is
// compiled like that). method_vectorcall() lends the slot before the arguments, thus hides itself.
bool exits_well(const Seam& seam, Joint*) {
  const Instruction* at = seam.stop.at;
  const CodeMap* map = code_map(code_of(seam.outer));
  constexpr int nones = 3;
#if PY_VERSION_HEX < 0x030C0000
  int before = 1 + stackless_inline_caches[PRECALL];
#else
  int before = 0;
#endif
  if (at->argument != nones - 1 || at - map->instructions.get() < nones + before) {
    return false;
  }
  for (int i = 1; i <= nones; ++i) {
    const Instruction& load = at[-before - i];
    if (load.opcode != LOAD_CONST ||
        PyTuple_GET_ITEM(code_of(seam.outer)->co_consts, load.argument) != Py_None) {
      return false;
    }
  }
  PyObject* lent = seam.operand(0);
  return is_call(seam) && first_argument(seam.inner) == lent && lent != nullptr &&
         method_of(Py_TYPE(lent), names.exit) == seam.function();
}
#endif

// [exit function, (3.14+: its self,) the last instruction, the exception before, this one]
bool exits(const Seam& seam, Joint* joint) {
  joint->pops = 0;
  return is_call(seam) && leads_to(seam.operand(0), seam.function());
}

// ---- attributes ----

PyObject* property_function(PyObject* property, int i) {
  // Objects/descrobject.c, propertyobject: the getter, the setter ...
  return reinterpret_cast<PyObject**>(reinterpret_cast<char*>(property) + sizeof(PyObject))[i];
}

bool calls_getter(const Seam& seam, PyObject* descriptor) {
  return Py_IS_TYPE(descriptor, &PyProperty_Type)
             ? leads_to(property_function(descriptor, 0), seam.function())
             : method_of(Py_TYPE(descriptor), names.get) == seam.function();
}

// Objects/typeobject.c, type_getattro: its metaclass's data descriptors, its own attributes, those of its
// metaclass. What comes first and is written in Python has been passed if it isn't what runs.
bool gets_attribute_of_class(const Seam& seam, PyTypeObject* type, PyObject* name) {
  PyObject* of_meta = _PyType_Lookup(Py_TYPE(type), name);
  PyObject* own = _PyType_Lookup(type, name);
  if (of_meta != nullptr && (own == nullptr || Py_TYPE(of_meta)->tp_descr_set != nullptr)) {
    return calls_getter(seam, of_meta);
  }
  // A property of its own is what it is called with itself for.
  return own != nullptr && !Py_IS_TYPE(own, &PyProperty_Type) && calls_getter(seam, own);
}

bool gets_attribute_of_module(const Seam& seam, PyObject* module, PyObject* name) {
  PyObject* variables = PyModule_GetDict(module);
  PyObject* found = _PyType_Lookup(Py_TYPE(module), name);
  return found == nullptr && leads_to(PyDict_GetItem(variables, names.getattr), seam.function());
}

// Whether what runs gets that attribute of the object, and nothing is done to what it returns.
bool gets_attribute(const Seam& seam, PyObject* object, PyObject* name) {
  PyTypeObject* type = Py_TYPE(object);
  if (!is_call(seam)) {
    return false;
  }
  if (type->tp_getattro == slots.getattr) {
    // Up to its first use a class with __getattribute__() only has this slot, too (slot_tp_getattr_hook).
    PyObject* own =
        _PyType_Lookup(type, names.getattr) != nullptr ? names.getattr : names.getattribute;
    return method_of(type, own) == seam.function();
  }
  if (type->tp_getattro == slots.getattribute) {
    return method_of(type, names.getattribute) == seam.function();
  }
  if (type->tp_getattro == PyType_Type.tp_getattro) {
    return gets_attribute_of_class(seam, reinterpret_cast<PyTypeObject*>(object), name);
  }
  if (type->tp_getattro == PyModule_Type.tp_getattro) {
    return gets_attribute_of_module(seam, object, name);
  }
  PyObject* found =
      type->tp_getattro == PyObject_GenericGetAttr ? _PyType_Lookup(type, name) : nullptr;
  return found != nullptr && calls_getter(seam, found);
}

bool sets_attribute(const Seam& seam, PyObject* object, PyObject* name) {
  PyTypeObject* type = Py_TYPE(object);
  if (!is_call(seam)) {
    return false;
  }
  if (type->tp_setattro != PyObject_GenericSetAttr) {
    return method_of(type, names.setattr) == seam.function();
  }
  PyObject* found = _PyType_Lookup(type, name);
  if (found == nullptr) {
    return false;
  }
  if (Py_IS_TYPE(found, &PyProperty_Type)) {
    return leads_to(property_function(found, 1), seam.function());
  }
  return method_of(Py_TYPE(found), names.set) == seam.function();
}

bool deletes_attribute(const Seam& seam, PyObject* object, PyObject* name) {
  PyTypeObject* type = Py_TYPE(object);
  if (!is_call(seam)) {
    return false;
  }
  if (type->tp_setattro != PyObject_GenericSetAttr) {
    return method_of(type, names.delattr) == seam.function();
  }
  PyObject* found = _PyType_Lookup(type, name);
  if (found == nullptr) {
    return false;
  }
  if (Py_IS_TYPE(found, &PyProperty_Type)) {
    return leads_to(property_function(found, 2), seam.function());
  }
  return method_of(Py_TYPE(found), names.remove) == seam.function();
}

PyObject* name_in(const Seam& seam, int i) {
  return PyTuple_GET_ITEM(code_of(seam.outer)->co_names, i);
}

#if PY_VERSION_HEX < 0x030C0000
bool is_for_call(const Seam& seam) { return seam.stop.at->opcode == LOAD_METHOD; }
#else
bool is_for_call(const Seam& seam) { return (seam.stop.at->argument & 1) != 0; }
#endif

bool loads_attribute(const Seam& seam, Joint*) {
  return !is_for_call(seam) &&
         gets_attribute(seam, seam.operand(0), name_in(seam, name_index(seam.stop.at->argument)));
}

bool loads_callable(const Seam& seam, Joint*) {
  return is_for_call(seam) &&
         gets_attribute(seam, seam.operand(0), name_in(seam, name_index(seam.stop.at->argument)));
}

// Endings that push nothing have to find something to take off (interp/shim.cpp).
bool has_rest(const Seam& seam) { return seam.stop.height > seam.operands; }

bool stores_attribute(const Seam& seam, Joint*) {
  return has_rest(seam) &&
         sets_attribute(seam, seam.operand(1), name_in(seam, seam.stop.at->argument));
}

bool removes_attribute(const Seam& seam, Joint*) {
  return has_rest(seam) &&
         deletes_attribute(seam, seam.operand(0), name_in(seam, seam.stop.at->argument));
}

bool calls_builtin(const Seam& seam, const PyMethodDef* function, int arguments) {
  PyObject* callable = seam.callable();
  return callable != nullptr && PyCFunction_CheckExact(callable) && seam.self() == nullptr &&
         reinterpret_cast<PyCFunctionObject*>(callable)->m_ml == function &&
         seam.stop.at->argument == arguments;
}

bool calls_getattr(const Seam& seam, Joint*) {
  return calls_builtin(seam, getattr_function, 2) && PyUnicode_CheckExact(seam.argument(1)) &&
         gets_attribute(seam, seam.argument(0), seam.argument(1));
}

bool calls_getattr_with_default(const Seam& seam, Joint* joint) {
  if (!calls_builtin(seam, getattr_function, 3)) {
    return false;
  }
  joint->argument = 1;
  joint->kept = seam.argument(2);
  return PyUnicode_CheckExact(seam.argument(1)) &&
         gets_attribute(seam, seam.argument(0), seam.argument(1));
}

bool calls_hasattr(const Seam& seam, Joint* joint) {
  joint->argument = 1;
  joint->kept = Py_False;
  joint->second = Py_True;
  return calls_builtin(seam, hasattr_function, 2) && PyUnicode_CheckExact(seam.argument(1)) &&
         gets_attribute(seam, seam.argument(0), seam.argument(1));
}

bool calls_setattr(const Seam& seam, Joint*) {
  return calls_builtin(seam, setattr_function, 3) && PyUnicode_CheckExact(seam.argument(1)) &&
         sets_attribute(seam, seam.argument(0), seam.argument(1));
}

bool calls_delattr(const Seam& seam, Joint*) {
  return calls_builtin(seam, delattr_function, 2) && PyUnicode_CheckExact(seam.argument(1)) &&
         deletes_attribute(seam, seam.argument(0), seam.argument(1));
}

// ---- containers, truth ----

bool calls_method(const Seam& seam, int operand, PyObject* name) {
  return is_call(seam) && method_of(Py_TYPE(seam.operand(operand)), name) == seam.function();
}

bool gets_item(const Seam& seam, Joint*) { return calls_method(seam, 0, names.getitem); }
bool sets_item(const Seam& seam, Joint*) {
  return has_rest(seam) && calls_method(seam, 1, names.setitem);
}
bool deletes_item(const Seam& seam, Joint*) {
  return has_rest(seam) && calls_method(seam, 0, names.delitem);
}
bool contains(const Seam& seam, Joint* joint) {
  joint->argument = seam.stop.at->argument & 1;
  return calls_method(seam, 1, names.contains);
}
bool gets_iterator(const Seam& seam, Joint* joint) {
  joint->kept = seam.operand(0);
  return calls_method(seam, 0, names.iter);
}

bool calls_iter(const Seam& seam, Joint* joint) {
  if (!is_call(seam) || !calls_builtin(seam, iter_function, 1)) {
    return false;
  }
  joint->argument = 1;
  joint->kept = seam.argument(0);
  return method_of(Py_TYPE(seam.argument(0)), names.iter) == seam.function();
}

// ---- iterators ----

// Up to 3.11 the end of a loop has to find something beneath the iterator (interp/stop.cpp).
bool may_end_loop(int height) { return PY_VERSION_HEX >= 0x030C0000 || height >= 2; }

bool steps(const Seam& seam, Joint* joint) {
  joint->pops = 0;
  return may_end_loop(seam.stop.height) && calls_method(seam, 0, names.next);
}

// Whether to ask it for its next item runs no Python function, but for a generator.
bool is_quiet_iterator(PyObject* iterator) {
  std::array quiet{ascii_iterator_type,   &PyListIter_Type,     &PyTupleIter_Type,
                   &PyRangeIter_Type,     &PyUnicodeIter_Type,  &PyDictIterKey_Type,
                   &PyDictIterValue_Type, &PyDictIterItem_Type, &PySetIter_Type,
                   &PyBytesIter_Type,     &PyGen_Type};
  return std::ranges::find(quiet, Py_TYPE(iterator)) != quiet.end();
}

// Python/bltinmodule.c, map_next: the items that it passes on are its last deed.
bool maps(const Seam& seam, Joint* joint) {
  PyObject* map = seam.operand(0);
  joint->pops = 0;
  if (!is_call(seam) || !Py_IS_TYPE(map, &PyMap_Type) || !may_end_loop(seam.stop.height)) {
    return false;
  }
  // mapobject: the tuple of the iterators, the function.
  auto* items = reinterpret_cast<PyObject**>(reinterpret_cast<char*>(map) + sizeof(PyObject));
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(items[0]); ++i) {
    if (!is_quiet_iterator(PyTuple_GET_ITEM(items[0], i))) {
      return false;
    }
  }
  return leads_to(items[1], seam.function());
}

bool calls_next_method(const Seam& seam, Joint*) {
  return is_call(seam) && calls_builtin(seam, next_function, 1) &&
         method_of(Py_TYPE(seam.argument(0)), names.next) == seam.function();
}

bool calls_next_method_with_default(const Seam& seam, Joint* joint) {
  if (!is_call(seam) || !calls_builtin(seam, next_function, 2)) {
    return false;
  }
  joint->kept = seam.argument(1);
  return method_of(Py_TYPE(seam.argument(0)), names.next) == seam.function();
}

// ---- operators with one operand ----

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

bool calls_len(const Seam& seam, Joint*) {
  return is_call(seam) && calls_builtin(seam, len_function, 1) &&
         method_of(Py_TYPE(seam.argument(0)), names.length) == seam.function();
}

bool tests(const Seam& seam, Joint* joint) {
  joint->argument = 2;
  joint->kept = seam.operand(0);
  return calls_method(seam, 0, names.truth);
}
#if PY_VERSION_HEX < 0x030D0000
bool inverts(const Seam& seam, Joint* joint) {
  bool holds = tests(seam, joint);
  joint->argument = 3;
  return holds;
}
bool jumps_if_false(const Seam& seam, Joint* joint) {
  bool holds = tests(seam, joint);
  joint->argument = 0;
  return holds && has_rest(seam);
}
bool jumps_if_true(const Seam& seam, Joint* joint) {
  bool holds = jumps_if_false(seam, joint);
  joint->argument = 1;
  return holds;
}
#endif

// ---- operators ----

bool use_operation(const Seam& seam, Joint* joint, Operation operation) {
  joint->kept = seam.operand(0);
  joint->second = seam.operand(1);
  joint->argument = operation.argument;
  return operation.known;
}

bool operates(const Seam& seam, Joint* joint) {
  PyObject* first = is_call(seam) ? first_argument(seam.inner) : nullptr;
  return first != nullptr && use_operation(seam, joint,
                                           find_operator(seam.stop.at->argument, seam.operand(0),
                                                         seam.operand(1), seam.function(), first));
}

bool compares(const Seam& seam, Joint* joint) {
  PyObject* first = is_call(seam) ? first_argument(seam.inner) : nullptr;
  int argument = seam.stop.at->argument;
  return first != nullptr &&
         use_operation(seam, joint,
                       find_comparison(comparison_of(argument), makes_bool(argument),
                                       seam.operand(0), seam.operand(1), seam.function(), first));
}

#if PY_VERSION_HEX >= 0x030E0000
bool subscribes(const Seam& seam, Joint* joint) {
  return seam.stop.at->argument == NB_SUBSCR && gets_item(seam, joint);
}
#endif

// ---- generators ----

bool is_resumable(PyObject* object) {
  return merges_generators && (PyGen_CheckExact(object) || PyCoro_CheckExact(object));
}

// The iterator, or what is delegated to, is the generator.
bool resumes_first(const Seam& seam, Joint* joint) {
  PyObject* generator = seam.generator();
  joint->pops = seam.stop.at->opcode == SEND ? 1 : 0;
  return generator != nullptr && seam.operand(0) == generator && is_resumable(generator);
}

// What an asynchronous generator's asend(), __anext__(), athrow() or aclose() has returned drives it.
bool drives_generator(const Seam& seam, PyObject* awaitable, Joint* joint) {
  joint->kept = awaitable;
  joint->generator = seam.generator();
  return merges_generators && joint->generator != nullptr && awaitable != nullptr &&
         is_awaitable(awaitable) && generator_driven_by(awaitable) == joint->generator &&
         state_of(awaitable) == awaitable_begun;
}

bool drives(const Seam& seam, Joint* joint) {
  joint->pops = 1;
  return drives_generator(seam, seam.operand(0), joint);
}

// next(generator), next(generator, default): Python/bltinmodule.c, builtin_next.
bool calls_next(const Seam& seam, Joint* joint) {
  PyObject* callable = seam.callable();
  int arguments = seam.stop.at->argument;
  if (callable == nullptr || !PyCFunction_CheckExact(callable) || seam.self() != nullptr ||
      reinterpret_cast<PyCFunctionObject*>(callable)->m_ml != next_function || arguments < 1) {
    return false;
  }
  joint->generator = seam.generator();
  joint->kept = arguments == 2 ? seam.argument(1) : nullptr;
  return joint->generator != nullptr && seam.argument(0) == joint->generator &&
         is_resumable(joint->generator);
}
bool calls_next_without_default(const Seam& seam, Joint* joint) {
  return calls_next(seam, joint) && joint->kept == nullptr;
}
bool calls_next_with_default(const Seam& seam, Joint* joint) {
  return calls_next(seam, joint) && joint->kept != nullptr;
}

// generator.send(), generator.throw(), generator.__next__(), as methods or bound ones
// (Objects/genobject.c).
bool resumes_by_method(const Seam& seam, Joint* joint) {
  PyObject* callable = seam.callable();
  PyObject* generator = seam.generator();
  if (generator == nullptr || callable == nullptr || !is_resumable(generator)) {
    return false;
  }
  joint->generator = generator;
  PyObject* self = seam.self();
  if (PyCFunction_CheckExact(callable)) {
    self = PyCFunction_GET_SELF(callable);
    const PyMethodDef* method = reinterpret_cast<PyCFunctionObject*>(callable)->m_ml;
    return self == generator && (method == method_in(Py_TYPE(generator), names.send) ||
                                 method == method_in(Py_TYPE(generator), names.throws));
  }
  return self == generator && (callable == _PyType_Lookup(Py_TYPE(generator), names.send) ||
                               callable == _PyType_Lookup(Py_TYPE(generator), names.throws) ||
                               callable == _PyType_Lookup(Py_TYPE(generator), names.next));
}

// awaitable.send(), as a method or a bound one: an event loop of the program's own.
bool drives_by_method(const Seam& seam, Joint* joint) {
  PyObject* callable = seam.callable();
  if (callable == nullptr) {
    return false;
  }
  bool is_bound = PyCFunction_CheckExact(callable);
  PyObject* awaitable = is_bound ? PyCFunction_GET_SELF(callable) : seam.self();
  joint->argument = raises_when_done;
  return drives_generator(seam, awaitable, joint) &&
         (is_bound ? reinterpret_cast<PyCFunctionObject*>(callable)->m_ml ==
                         method_in(Py_TYPE(awaitable), names.send)
                   : callable == _PyType_Lookup(Py_TYPE(awaitable), names.send));
}

// generator.close(), as a method or a bound one (Objects/genobject.c, gen_close).
bool closes(const Seam& seam, Joint* joint) {
  PyObject* callable = seam.callable();
  PyObject* generator = seam.generator();
  if (generator == nullptr || callable == nullptr || !is_resumable(generator)) {
    return false;
  }
  joint->generator = generator;
  joint->argument = PyCoro_CheckExact(generator) ? 1 : 0;
  if (PyCFunction_CheckExact(callable)) {
    return PyCFunction_GET_SELF(callable) == generator &&
           reinterpret_cast<PyCFunctionObject*>(callable)->m_ml ==
               method_in(Py_TYPE(generator), names.close);
  }
  return seam.self() == generator && callable == _PyType_Lookup(Py_TYPE(generator), names.close);
}

// The table: at this instruction, with so many operands on the value stack (or a call's), if that is so,
// the outer frame goes on like this.
struct Rule {
  int opcode;
  int operands;
  bool (*holds)(const Seam& seam, Joint* joint);
  Ending ending;
};

constexpr int a_calls = -1;
constexpr int index_slot = iterators_have_index ? 1 : 0;

const Rule rules[] = {
    {CALL, a_calls, makes_instance, Ending::instance},
    {CALL, a_calls, creates_instance, Ending::created},
    {CALL, a_calls, calls_function, Ending::push},
    {CALL, a_calls, calls_next_without_default, Ending::next},
    {CALL, a_calls, calls_next_with_default, Ending::next_or},
    {CALL, a_calls, resumes_by_method, Ending::next},
    {CALL, a_calls, drives_by_method, Ending::drive},
    {CALL, a_calls, closes, Ending::closed},
    {CALL, a_calls, calls_next_method, Ending::push},
    {CALL, a_calls, calls_next_method_with_default, Ending::fallback},
    {CALL, a_calls, calls_iter, Ending::iterator},
    {CALL, a_calls, calls_getattr, Ending::push},
    {CALL, a_calls, calls_getattr_with_default, Ending::fallback},
    {CALL, a_calls, calls_hasattr, Ending::fallback},
    {CALL, a_calls, calls_setattr, Ending::none},
    {CALL, a_calls, calls_delattr, Ending::none},
    {CALL, a_calls, calls_len, Ending::length},
#if PY_VERSION_HEX < 0x030E0000
    {CALL, a_calls, exits_well, Ending::push},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {CALL_KW, a_calls, makes_instance, Ending::instance},
    {CALL_KW, a_calls, calls_function, Ending::push},
#endif
    {CALL_FUNCTION_EX, a_calls, makes_instance, Ending::instance},
    {CALL_FUNCTION_EX, a_calls, calls_function, Ending::push},
    {FOR_ITER, 1 + index_slot, resumes_first, Ending::generator},
    {FOR_ITER, 1 + index_slot, steps, Ending::item},
    {FOR_ITER, 1 + index_slot, maps, Ending::item},
    {SEND, 2 + index_slot, resumes_first, Ending::generator},
    {SEND, 2 + index_slot, drives, Ending::drive},
    {GET_ITER, 1, gets_iterator, Ending::iterator},
    {LOAD_ATTR, 1, loads_attribute, Ending::push},
#if PY_VERSION_HEX < 0x030C0000
    {LOAD_METHOD, 1, loads_callable, Ending::attribute},
#else
    {LOAD_ATTR, 1, loads_callable, Ending::attribute},
#endif
    {STORE_ATTR, 2, stores_attribute, Ending::nothing},
    {DELETE_ATTR, 1, removes_attribute, Ending::nothing},
    {STORE_SUBSCR, 3, sets_item, Ending::nothing},
    {DELETE_SUBSCR, 2, deletes_item, Ending::nothing},
    {CONTAINS_OP, 2, contains, Ending::truth},
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
#if PY_VERSION_HEX >= 0x030E0000
    {BINARY_OP, 2, subscribes, Ending::push},
    {WITH_EXCEPT_START, 5, exits, Ending::push},
#else
    {BINARY_SUBSCR, 2, gets_item, Ending::push},
    {WITH_EXCEPT_START, 4, exits, Ending::push},
    {BEFORE_WITH, 1, enters, PY_VERSION_HEX < 0x030C0000 ? Ending::push : Ending::enter},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {TO_BOOL, 1, tests, Ending::truth},
#else
    {UNARY_NOT, 1, inverts, Ending::truth},
#endif
#if PY_VERSION_HEX < 0x030C0000
    {POP_JUMP_FORWARD_IF_FALSE, 1, jumps_if_false, Ending::jump},
    {POP_JUMP_FORWARD_IF_TRUE, 1, jumps_if_true, Ending::jump},
    {POP_JUMP_BACKWARD_IF_FALSE, 1, jumps_if_false, Ending::jump},
    {POP_JUMP_BACKWARD_IF_TRUE, 1, jumps_if_true, Ending::jump},
#elif PY_VERSION_HEX < 0x030D0000
    {POP_JUMP_IF_FALSE, 1, jumps_if_false, Ending::jump},
    {POP_JUMP_IF_TRUE, 1, jumps_if_true, Ending::jump},
#endif
};

// Up to 3.13 CALL_FUNCTION_EX keeps the tuple and dict that it makes of its operands to itself, having
// dropped these (Python/bytecodes.c).
int stale_operands([[maybe_unused]] const Instruction& at) {
#if PY_VERSION_HEX < 0x030E0000
  return at.opcode == CALL_FUNCTION_EX ? 1 + (at.argument & 1) : 0;
#else
  return 0;
#endif
}

}  // namespace

namespace {

bool is_argument(Ending ending, int argument) {
  switch (ending) {
    case Ending::binary:
      return is_operator_argument(argument);
    case Ending::compare:
      return is_comparison_argument(argument);
    case Ending::truth:
      return argument >= 0 && argument < 4;
    case Ending::created:
      return argument >= 2 && argument <= largest_argument;
    default:
      return argument == 0 || argument == 1;
  }
}

}  // namespace

bool is_finalizer(_PyInterpreterFrame* f) noexcept {
  PyObject* first = code_of(f)->co_argcount > 0 ? object_in(f->localsplus[0]) : nullptr;
  if (PyUnicode_CompareWithASCIIString(code_of(f)->co_name, "__del__") == 0) {
    return true;
  }
  if (first == nullptr) {
    return false;
  }
  if (PyWeakref_Check(first)) {
    return reinterpret_cast<PyWeakReference*>(first)->wr_object == Py_None;
  }
  static PyObject* name = PyUnicode_InternFromString("__del__");
  return Py_TYPE(first)->tp_finalize != nullptr && name != nullptr &&
         _PyType_Lookup(Py_TYPE(first), name) == function_of(f);
}

namespace {

// How many operands there are of an instruction that can run a generator.
int driving_operands(const Instruction& at) {
  switch (at.opcode) {
    case FOR_ITER:
      return 1;
    case SEND:
      return 2;
    default:
      return call_operands(at);
  }
}

}  // namespace

bool may_have_dropped(_PyInterpreterFrame* outer, _PyInterpreterFrame* inner,
                      const Stop& stop) noexcept {
  if (is_on_data_stack(inner)) {
    return is_finalizer(inner);
  }
  if (PY_VERSION_HEX >= 0x030E0000) {
    return false;
  }
  auto* generator = reinterpret_cast<PyObject*>(generator_of(inner));
  int first = std::max(stop.height - driving_operands(*stop.at), code_of(outer)->co_nlocalsplus);
  bool is_operand = std::ranges::any_of(outer->localsplus + first, outer->localsplus + stop.height,
                                        [&](Slot slot) { return object_in(slot) == generator; });
  return Py_REFCNT(generator) == 1 && outer->frame_obj != nullptr && !is_operand;
}

bool find_joint(_PyInterpreterFrame* outer, _PyInterpreterFrame* inner, Joint* joint) noexcept {
  Seam seam{outer, inner, {}, 0};
  if (find_stop(outer, &seam.stop) != Pin::none || may_have_dropped(outer, inner, seam.stop)) {
    return false;
  }
  const Instruction& at = *seam.stop.at;
  // Tools may want to know of what it does; not so of SEND, of which only the line is told, beforehand.
  if (opcode_at(instruction_of(outer)) >= stackless_first_instrumented && at.opcode != SEND) {
    return false;
  }
  for (const Rule& rule : rules) {
    if (rule.opcode != at.opcode) {
      continue;
    }
    seam.operands = rule.operands == a_calls ? call_operands(at) : rule.operands;
    if (seam.stop.height - seam.operands < code_of(outer)->co_nlocalsplus) {
      return false;
    }
    *joint = {};
    joint->height = seam.stop.height;
    joint->pops = seam.operands;
    joint->stale = stale_operands(at);
    joint->ending = rule.ending;
    if (rule.holds(seam, joint)) {
      return true;
    }
  }
  return false;
}

bool may_end(PyCodeObject* code, int instruction, int height, const Joint& joint) noexcept {
  const CodeMap* map = code_map(code);
  if (map == nullptr || instruction < 0 || instruction >= map->size) {
    PyErr_Clear();
    return false;
  }
  while (instruction > 0 && map->instructions[instruction].opcode == CACHE) {  // 3.11
    --instruction;
  }
  int opcode = map->instructions[instruction].opcode;
  bool pushes_nothing = joint.ending == Ending::nothing || joint.ending == Ending::jump;
  if ((pushes_nothing && height == 0) || (joint.ending == Ending::item && !may_end_loop(height)) ||
      (joint.ending == Ending::created &&
       (call_operands(map->instructions[instruction]) != joint.argument ||
        height < code->co_nlocalsplus + joint.argument)) ||
      !is_argument(joint.ending, joint.argument)) {
    return false;
  }
  if (joint.ending == Ending::drive && (joint.argument == raises_when_done) != (opcode == CALL)) {
    return false;
  }
  return std::ranges::any_of(rules, [&](const Rule& rule) {
    return rule.opcode == opcode && rule.ending == joint.ending;
  });
}

namespace {

bool intern_names() {
  auto* name = reinterpret_cast<PyObject**>(&names);
  for (const char* text :
       {"__init__",    "__call__",    "__del__",          "__next__",    "send",
        "throw",       "__new__",     "__enter__",        "__exit__",    "__get__",
        "__set__",     "__getattr__", "__getattribute__", "__setattr__", "__getitem__",
        "__setitem__", "__delitem__", "__contains__",     "__iter__",    "__bool__",
        "__len__",     "__delattr__", "__delete__",       "__neg__",     "__pos__",
        "__invert__",  "close"}) {
    *name = PyUnicode_InternFromString(text);
    if (*name++ == nullptr) {
      return false;
    }
  }
  return name == reinterpret_cast<PyObject**>(&names + 1);
}

// Learns from classes that have them.
bool find_slots() {
  PyObject* globals = PyDict_New();
  PyObject* done = globals == nullptr ? nullptr
                                      : PyRun_String(
                                            "class All:\n"
                                            "    def __init__(self): pass\n"
                                            "    def __call__(self): pass\n"
                                            "    def __new__(cls): pass\n"
                                            "    def __getattr__(self, name): pass\n"
                                            "class Some:\n"
                                            "    def __getattribute__(self, name): pass\n"
                                            "Some().attribute\n",
                                            Py_file_input, globals, globals);
  PyObject* all = done != nullptr ? PyDict_GetItemString(globals, "All") : nullptr;
  PyObject* some = done != nullptr ? PyDict_GetItemString(globals, "Some") : nullptr;
  if (all != nullptr && some != nullptr) {
    auto* type = reinterpret_cast<PyTypeObject*>(all);
    slots = {type->tp_init, type->tp_call, type->tp_getattro,
             reinterpret_cast<PyTypeObject*>(some)->tp_getattro, type->tp_new};
    PyObject* method = _PyType_Lookup(type, names.init);
    function_vectorcall = reinterpret_cast<PyFunctionObject*>(method)->vectorcall;
  }
  Py_XDECREF(done);
  Py_XDECREF(globals);
  return all != nullptr;
}

PyObject* attribute_of_module(const char* name, const char* attribute) {
  PyObject* module = PyImport_ImportModule(name);
  PyObject* found = module != nullptr ? PyObject_GetAttrString(module, attribute) : nullptr;
  Py_XDECREF(module);
  PyErr_Clear();
  return found;
}

// Null where somebody has replaced it.
const PyMethodDef* builtin(const char* name) {
  PyObject* function = attribute_of_module("builtins", name);
  bool is_own = function != nullptr && PyCFunction_CheckExact(function);
  const PyMethodDef* found =
      is_own ? reinterpret_cast<PyCFunctionObject*>(function)->m_ml : nullptr;
  Py_XDECREF(function);
  return found;
}

}  // namespace

int init_rules() {
  if (!intern_names() || !find_slots()) {
    return -1;
  }
  // Where functools.partial is written in Python it is a class like any other.
  partial_type = reinterpret_cast<PyTypeObject*>(attribute_of_module("_functools", "partial"));
  PyObject* iterator = PyObject_GetIter(names.init);
  if (iterator == nullptr) {
    return -1;
  }
  ascii_iterator_type = Py_TYPE(iterator);
  Py_DECREF(iterator);
  method_wrapper_type =
      reinterpret_cast<PyTypeObject*>(attribute_of_module("types", "MethodWrapperType"));
  type_call = _PyType_Lookup(&PyType_Type, names.call);
  next_function = builtin("next");
  len_function = builtin("len");
  getattr_function = builtin("getattr");
  hasattr_function = builtin("hasattr");
  setattr_function = builtin("setattr");
  delattr_function = builtin("delattr");
  iter_function = builtin("iter");
  return 0;
}

}  // namespace stackless::interp
