#include "interp/rules.hpp"

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
} names;

PyTypeObject* partial_type;

struct Seam {
  _PyInterpreterFrame* outer;
  _PyInterpreterFrame* inner;
  Stop stop;
  int operands;

  PyObject* function() const { return function_of(inner); }
  PyObject* callable() const { return callable_at(outer, stop, operands); }
};

// The function that an attribute of the type is; null if it is anything else.
PyObject* method_of(PyTypeObject* type, PyObject* name) {
  PyObject* found = _PyType_Lookup(type, name);
  return found != nullptr && PyFunction_Check(found) ? found : nullptr;
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
    {CALL_FUNCTION_EX, makes_instance, Ending::instance},
    {CALL_FUNCTION_EX, calls_function, Ending::push},
};

// How many operands the instruction takes off the value stack.
int operands_of(const Instruction& at) { return call_operands(at); }

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
  *joint = {seam.stop.height, seam.operands, stale_operands(at), Ending::push, nullptr};
  for (const Rule& rule : rules) {
    if (rule.opcode == at.opcode && rule.holds(seam, joint)) {
      joint->ending = rule.ending;
      return true;
    }
  }
  return false;
}

int init_rules() {
  PyObject* globals = PyDict_New();
  PyObject* done = globals == nullptr ? nullptr
                                      : PyRun_String(
                                            "class All:\n"
                                            "    def __init__(self): pass\n"
                                            "    def __call__(self): pass\n",
                                            Py_file_input, globals, globals);
  PyObject* all = done != nullptr ? PyDict_GetItemString(globals, "All") : nullptr;
  // Where functools.partial is written in Python it is a class like any other.
  PyObject* functools = PyImport_ImportModule("_functools");
  PyObject* partial = functools != nullptr ? PyObject_GetAttrString(functools, "partial") : nullptr;
  partial_type = reinterpret_cast<PyTypeObject*>(partial);
  PyErr_Clear();
  names = {PyUnicode_InternFromString("__init__"), PyUnicode_InternFromString("__call__"),
           PyUnicode_InternFromString("__del__")};
  bool made = all != nullptr && names.init != nullptr && names.call != nullptr &&
              names.finalizer != nullptr;
  if (made) {
    auto* type = reinterpret_cast<PyTypeObject*>(all);
    slots = {type->tp_init, type->tp_call};
    PyObject* method = _PyType_Lookup(type, names.init);
    function_vectorcall = reinterpret_cast<PyFunctionObject*>(method)->vectorcall;
  }
  Py_XDECREF(functools);
  Py_XDECREF(done);
  Py_XDECREF(globals);
  return made ? 0 : -1;
}

}  // namespace stackless::interp
