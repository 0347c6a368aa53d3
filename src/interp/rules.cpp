#include "interp/rules.hpp"

#include "interp/aside.hpp"
#include "interp/internals.h"
#include "interp/stop.hpp"
#if PY_VERSION_HEX >= 0x030D0000
#include <opcode_ids.h>
#else
#include <opcode.h>
#endif

extern "C" PyAPI_FUNC(PyObject*) _PyType_Lookup(PyTypeObject*, PyObject*);

namespace stackless::interp {

namespace {

// What CPython puts into the slots of a class that defines the method (Objects/typeobject.c, slotdefs).
struct Slots {
  initproc init;
  ternaryfunc call;
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
} names;

PyTypeObject* partial_type;
const PyMethodDef* next_function;  // builtins.next()

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

// Objects/typeobject.c, type_call: object.__new__(), then slot_tp_init().
bool makes_instance(const Seam& seam, Joint* joint) {
  PyObject* callable = seam.callable();
  if (!is_call(seam) || callable == nullptr || !PyType_Check(callable)) {
    return false;
  }
  auto* type = reinterpret_cast<PyTypeObject*>(callable);
  if (Py_TYPE(callable)->tp_call != PyType_Type.tp_call || type->tp_vectorcall != nullptr ||
      type->tp_new != PyBaseObject_Type.tp_new || type->tp_init != slots.init ||
      method_of(type, names.init) != seam.function() ||
      // An allocation may have called that on another one.
      _PyType_Lookup(type, names.finalizer) == seam.function()) {
    return false;
  }
  joint->kept = first_argument(seam.inner);
  return joint->kept != nullptr && Py_TYPE(joint->kept) == type;
}

bool calls_function(const Seam& seam, Joint*) {
  return is_call(seam) && leads_to(seam.callable(), seam.function());
}

bool is_resumable(PyObject* object) {
  return merges_generators && (PyGen_CheckExact(object) || PyCoro_CheckExact(object));
}

// The iterator, or what is delegated to, is the generator.
bool resumes_first(const Seam& seam, Joint* joint) {
  PyObject* generator = seam.generator();
  joint->pops = seam.stop.at->opcode == SEND ? 1 : 0;
  return generator != nullptr && seam.operand(0) == generator && is_resumable(generator);
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

// The table: at this instruction, if that is so, the outer frame goes on like this.
struct Rule {
  int opcode;
  bool (*holds)(const Seam& seam, Joint* joint);
  Ending ending;
};

const Rule rules[] = {
    {CALL, makes_instance, Ending::instance},
    {CALL, calls_function, Ending::push},
#if PY_VERSION_HEX >= 0x030D0000
    {CALL_KW, makes_instance, Ending::instance},
    {CALL_KW, calls_function, Ending::push},
#endif
    {CALL, calls_next_without_default, Ending::next},
    {CALL, calls_next_with_default, Ending::next_or},
    {CALL, resumes_by_method, Ending::next},
    {FOR_ITER, resumes_first, Ending::generator},
    {SEND, resumes_first, Ending::generator},
    {CALL_FUNCTION_EX, makes_instance, Ending::instance},
    {CALL_FUNCTION_EX, calls_function, Ending::push},
};

// How many operands the instruction has on the value stack.
int operands_of(const Instruction& at) {
  constexpr int index = PY_VERSION_HEX >= 0x030F0000 ? 1 : 0;  // beside an iterator, for sequences
  switch (at.opcode) {
    case FOR_ITER:
      return 1 + index;
    case SEND:
      return 2 + index;
    default:
      return call_operands(at);
  }
}

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

bool find_joint(_PyInterpreterFrame* outer, _PyInterpreterFrame* inner, Joint* joint) noexcept {
  Seam seam{outer, inner, {}, 0};
  if (opcode_at(instruction_of(outer)) >= stackless_first_instrumented ||
      find_stop(outer, &seam.stop) != Pin::none) {
    return false;
  }
  const Instruction& at = *seam.stop.at;
  seam.operands = operands_of(at);
  if (seam.stop.height - seam.operands < code_of(outer)->co_nlocalsplus) {
    return false;
  }
  *joint = {seam.stop.height, seam.operands, stale_operands(at), Ending::push, nullptr, nullptr};
  for (const Rule& rule : rules) {
    if (rule.opcode == at.opcode && rule.holds(seam, joint)) {
      joint->ending = rule.ending;
      return true;
    }
  }
  return false;
}

namespace {

bool intern_names() {
  names = {PyUnicode_InternFromString("__init__"), PyUnicode_InternFromString("__call__"),
           PyUnicode_InternFromString("__del__"),  PyUnicode_InternFromString("__next__"),
           PyUnicode_InternFromString("send"),     PyUnicode_InternFromString("throw")};
  return PyErr_Occurred() == nullptr;
}

// Learns from a class that has them all.
bool find_slots() {
  PyObject* globals = PyDict_New();
  PyObject* done = globals == nullptr ? nullptr
                                      : PyRun_String(
                                            "class All:\n"
                                            "    def __init__(self): pass\n"
                                            "    def __call__(self): pass\n",
                                            Py_file_input, globals, globals);
  PyObject* all = done != nullptr ? PyDict_GetItemString(globals, "All") : nullptr;
  if (all != nullptr) {
    auto* type = reinterpret_cast<PyTypeObject*>(all);
    slots = {type->tp_init, type->tp_call};
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
  return found;
}

}  // namespace

int init_rules() {
  if (!intern_names() || !find_slots()) {
    return -1;
  }
  // Where functools.partial is written in Python it is a class like any other, and where somebody has
  // replaced next() it is theirs.
  partial_type = reinterpret_cast<PyTypeObject*>(attribute_of_module("_functools", "partial"));
  PyObject* next = attribute_of_module("builtins", "next");
  if (next != nullptr && PyCFunction_CheckExact(next)) {
    next_function = reinterpret_cast<PyCFunctionObject*>(next)->m_ml;
  }
  Py_XDECREF(next);
  PyErr_Clear();
  return 0;
}

}  // namespace stackless::interp
