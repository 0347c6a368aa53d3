// Calls: of functions, of classes, and those that a with statement makes.
#include "interp/rules/crossing.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace stackless::interp {

namespace {

// Whether a type's tp_new has called no __init__() (of those of C, only some are known).
bool creates_only(PyTypeObject* type) {
  if (type->tp_new == slots.create) {
    PyObject* method = _PyType_Lookup(type, names.create);
    return method != nullptr && Py_IS_TYPE(method, &PyStaticMethod_Type);
  }
  std::array known{
      &PyBaseObject_Type, &PyType_Type,    &PyDict_Type,
      &PyList_Type,       &PySet_Type,     &PyTuple_Type,
      &PyLong_Type,       &PyUnicode_Type, reinterpret_cast<PyTypeObject*>(PyExc_BaseException)};
  return std::ranges::any_of(known,
                             [=](PyTypeObject* each) { return type->tp_new == each->tp_new; });
}

// The class that is being instantiated by a call of it, or of type.__call__() bound to it; or null.
PyTypeObject* called_class(PyObject* callable) {
  if (callable == nullptr) {
    return nullptr;
  }
  if (Py_IS_TYPE(callable, types.method_wrapper)) {
    // Objects/descrobject.c, wrapperobject: the descriptor, then self.
    auto* items =
        reinterpret_cast<PyObject**>(reinterpret_cast<char*>(callable) + sizeof(PyObject));
    return items[0] == _PyType_Lookup(&PyType_Type, names.call)
               ? reinterpret_cast<PyTypeObject*>(items[1])
               : nullptr;
  }
  auto* type = reinterpret_cast<PyTypeObject*>(callable);
  return PyType_Check(callable) && Py_TYPE(callable)->tp_call == PyType_Type.tp_call &&
                 type->tp_vectorcall == nullptr
             ? type
             : nullptr;
}

// Objects/typeobject.c, type_call: __new__(), then slot_tp_init().
bool makes_instance(const Crossing& crossing, Joint* joint) {
  PyTypeObject* type = is_call(crossing) ? called_class(crossing.callable()) : nullptr;
  if (type == nullptr || !creates_only(type) || type->tp_init != slots.init ||
      method_of(type, names.init) != crossing.function() ||
      // An allocation may have called that on another one.
      _PyType_Lookup(type, names.finalizer) == crossing.function()) {
    return false;
  }
  joint->kept = first_argument(crossing.inner);
  return joint->kept != nullptr && Py_TYPE(joint->kept) == type;
}

// The same at its first step; __init__() is to come yet.
bool creates_instance(const Crossing& crossing, Joint* joint) {
  PyObject* callable = crossing.callable();
  if (!is_call(crossing) || callable == nullptr || !PyType_Check(callable) ||
      called_class(callable) == nullptr || crossing.self() != nullptr || has_keywords(crossing) ||
      crossing.operands > largest_argument) {
    return false;
  }
  auto* type = reinterpret_cast<PyTypeObject*>(callable);
  PyObject* method = _PyType_Lookup(type, names.create);
  joint->pops = 0;
  joint->argument = crossing.operands;
  joint->kept = callable;
  return type->tp_new == slots.create && method != nullptr &&
         Py_IS_TYPE(method, &PyStaticMethod_Type) && wrapped_by(method) == crossing.function() &&
         method_of(type, names.init) != crossing.function();
}

bool calls_function(const Crossing& crossing, Joint*) {
  return is_call(crossing) && leads_to(crossing.callable(), crossing.function());
}

// Context.run(), as a method or a bound one (Python/context.c, context_run).
bool runs_in_context(const Crossing& crossing, Joint* joint) {
  PyObject* callable = crossing.callable();
  if (!is_call(crossing) || callable == nullptr || crossing.stop.at->argument < 1) {
    return false;
  }
  bool is_bound = PyCFunction_CheckExact(callable);
  joint->kept = is_bound ? PyCFunction_GET_SELF(callable) : crossing.self();
  return joint->kept != nullptr && PyContext_CheckExact(joint->kept) &&
         (is_bound ? reinterpret_cast<PyCFunctionObject*>(callable)->m_ml ==
                         method_in(&PyContext_Type, names.run)
                   : callable == _PyType_Lookup(&PyContext_Type, names.run)) &&
         leads_to(crossing.argument(0), crossing.function());
}

// ---- exec() and eval() ----

// Whether the inner frame is one that C code has made to evaluate code in a namespace (Python/ceval.c,
// PyEval_EvalCode): nobody else has its function, which has been made for this, and nothing is passed to it. What
// these call before has a function that somebody else has, too, or is passed something: a key's __hash__(), or
// what listens to audit events.
bool is_evaluated(const Crossing& crossing) {
  constexpr Py_ssize_t owners = 2;  // the frame, and that C code
  const PyCodeObject* code = code_of(crossing.inner);
  return is_call(crossing) && crossing.inner->f_locals != nullptr && code->co_argcount == 0 &&
         code->co_kwonlyargcount == 0 && (code->co_flags & (CO_VARARGS | CO_VARKEYWORDS)) == 0 &&
         Py_REFCNT(crossing.function()) <= owners;
}

// Python/bltinmodule.c: nothing else that these call evaluates code without Python code in between.
bool executes(const Crossing& crossing, Joint*) {
  return is_builtin(crossing, builtins.exec) && is_evaluated(crossing);
}
bool evaluates(const Crossing& crossing, Joint*) {
  return is_builtin(crossing, builtins.eval) && is_evaluated(crossing);
}

// ---- with ----

// Up to 3.11 its own __exit__() lies on the value stack already.
bool enters_before_exit(const Crossing& crossing, Joint* joint) {
  PyObject* exit = crossing.operand(0);
  joint->pops = 0;
  return is_call(crossing) && Py_IS_TYPE(exit, &PyMethod_Type) &&
         method_of(Py_TYPE(PyMethod_GET_SELF(exit)), names.enter) == crossing.function();
}

// Later it has dropped the manager, whose __enter__() has it for its self.
bool enters_after_drop(const Crossing& crossing, Joint* joint) {
  PyObject* manager = is_call(crossing) ? first_argument(crossing.inner) : nullptr;
  if (manager == nullptr || manager != crossing.operand(0)) {
    return false;
  }
  joint->stale = 1;
  joint->kept = manager;
  joint->second = method_of(Py_TYPE(manager), names.exit);
  return joint->second != nullptr &&
         method_of(Py_TYPE(manager), names.enter) == crossing.function();
}

bool enters(const Crossing& crossing, Joint* joint) {
  return exit_is_pushed_first ? enters_before_exit(crossing, joint)
                              : enters_after_drop(crossing, joint);
}

// When a with block has ended well, its bound __exit__() lies where a method's function would, and the first
// of the three None where its self would (Python/compile.c, compiler_call_exit_with_nones: nothing else is
// compiled like that). method_vectorcall() lends the slot before the arguments, thus hides itself.
bool exits_well(const Crossing& crossing, Joint*) {
  const Instruction* at = crossing.stop.at;
  const CodeMap* map = code_map(code_of(crossing.outer));
  constexpr int nones = 3;
  if (at->argument != nones - 1 || at - map->instructions.get() < nones + units_before_call) {
    return false;
  }
  for (int i = 1; i <= nones; ++i) {
    const Instruction& load = at[-units_before_call - i];
    if (load.opcode != LOAD_CONST ||
        PyTuple_GET_ITEM(code_of(crossing.outer)->co_consts, load.argument) != Py_None) {
      return false;
    }
  }
  PyObject* lent = crossing.operand(0);
  return is_call(crossing) && first_argument(crossing.inner) == lent && lent != nullptr &&
         method_of(Py_TYPE(lent), names.exit) == crossing.function();
}

// [exit function, (3.14+: its self,) the last instruction, the exception before, this one]
bool exits(const Crossing& crossing, Joint* joint) {
  joint->pops = 0;
  return is_call(crossing) && leads_to(crossing.operand(0), crossing.function());
}

// ---- how they go on ----

// Objects/typeobject.c, type_call: the second half, slot_tp_init.
Result finish_instance(const Arrival& arrival) {
  return initialised(arrival.value) ? push(Object::share(arrival.kept)) : std::nullopt;
}

// Objects/typeobject.c, type_call: __new__() has returned. The call's operands, as many as the argument says,
// are still on the outer frame's value stack.
Result finish_creation(const Arrival& arrival) {
  auto [operands, type, unused, made, outer] = arrival;
  int first = height_of(outer) - operands;
  bool is_instance =
      PyType_Check(type) && PyObject_TypeCheck(made, reinterpret_cast<PyTypeObject*>(type)) != 0;
  initproc init = is_instance ? Py_TYPE(made)->tp_init : nullptr;
  if (init != nullptr && init != PyBaseObject_Type.tp_init) {
    Object arguments = Object::steal(PyTuple_New(operands - 2));
    for (int i = 2; i < operands && arguments; ++i) {
      PyObject* argument = object_in(outer->localsplus[first + i]);
      PyTuple_SET_ITEM(arguments.get(), i - 2, Py_NewRef(argument != nullptr ? argument : Py_None));
    }
    if (!arguments || init(made, arguments.get(), nullptr) < 0) {
      return std::nullopt;
    }
  }
  pop_slots(outer, first);
  return push(Object::share(made));
}

Result finish_context(const Arrival& arrival) {
  return PyContext_Exit(arrival.kept) == 0 ? push(Object::share(arrival.value)) : std::nullopt;
}

Result leave_context_by_exception(const Arrival& arrival) {
  return PyContext_Exit(arrival.kept) == 0 ? raise_again(arrival) : std::nullopt;
}

// The bound __exit__() is pushed, then V.
Result finish_enter(const Arrival& arrival) {
  Object exit = Object::steal(PyMethod_New(arrival.second, arrival.kept));
  if (!exit) {
    return std::nullopt;
  }
  push_on(arrival.outer, std::move(exit));
  return push(Object::share(arrival.value));
}

const Continuation initialise_created{"initialise_created", 17, Shape::plain, finish_creation,
                                      has_operands};
const Continuation push_exit_and_value{"push_exit_and_value", 6, Shape::plain, finish_enter};

}  // namespace

bool initialised(PyObject* value) {
  if (value != Py_None) {
    PyErr_Format(PyExc_TypeError, "__init__() should return None, not '%.200s'",
                 Py_TYPE(value)->tp_name);
  }
  return value == Py_None;
}

const Continuation new_instance{"new_instance", 2, Shape::plain, finish_instance};
const Continuation leave_context{"leave_context", 25,           Shape::catching,
                                 finish_context,  takes_a_flag, leave_context_by_exception};

namespace {

const Rule rules[] = {
    {CALL, a_calls, makes_instance, new_instance},
    {CALL, a_calls, creates_instance, initialise_created},
    {CALL, a_calls, calls_function, push_value},
    {CALL, a_calls, runs_in_context, leave_context},
    {CALL, a_calls, executes, push_none},
    {CALL, a_calls, evaluates, push_value},
    {with_is_made_of_calls ? op::no_instruction : CALL, a_calls, exits_well, push_value},
    {op::call_kw, a_calls, makes_instance, new_instance},
    {op::call_kw, a_calls, calls_function, push_value},
    {op::call_kw, a_calls, runs_in_context, leave_context},
    {op::call_kw, a_calls, executes, push_none},
    {op::call_kw, a_calls, evaluates, push_value},
    {CALL_FUNCTION_EX, a_calls, makes_instance, new_instance},
    {CALL_FUNCTION_EX, a_calls, calls_function, push_value},
    {CALL_FUNCTION_EX, a_calls, executes, push_none},
    {CALL_FUNCTION_EX, a_calls, evaluates, push_value},
    {WITH_EXCEPT_START, with_is_made_of_calls ? 5 : 4, exits, push_value},
    {op::before_with, 1, enters, exit_is_pushed_first ? push_value : push_exit_and_value},
};

}  // namespace

std::span<const Rule> call_rules() noexcept { return rules; }

}  // namespace stackless::interp
