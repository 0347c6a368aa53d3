// Classes being made: by a class statement, by a call of a metaclass, and by type.__new__().
#include "interp/rules/classes.hpp"
#include "interp/rules/crossing.hpp"

namespace stackless::interp {

namespace {

// What a static or class method wraps, or the object itself.
PyObject* unwrapped(PyObject* object) {
  bool wraps = object != nullptr && (Py_IS_TYPE(object, &PyStaticMethod_Type) ||
                                     Py_IS_TYPE(object, &PyClassMethod_Type));
  return wraps ? wrapped_by(object) : object;
}

// Whether a call of the metaclass is type_call() and nothing else.
bool is_called_as_type(PyTypeObject* meta) {
  return PyType_IsSubtype(meta, &PyType_Type) != 0 &&
         Py_TYPE(meta)->tp_call == PyType_Type.tp_call &&
         (meta->tp_vectorcall == nullptr || meta->tp_vectorcall == PyType_Type.tp_vectorcall);
}

// ---- the class statement (Python/bltinmodule.c, builtin___build_class__) ---------------------------------

bool is_statement(const Seam& seam, const ClassStatement& statement) {
  if (!is_call(seam) || !is_builtin(seam, builtins.build_class) ||
      seam.operands > largest_argument || !statement.is_call()) {
    return false;
  }
  for (int i = 0; i < statement.bases(); ++i) {
    if (!PyType_Check(statement.base(i))) {
      return false;  // its __mro_entries__() may have put another one in its place
    }
  }
  return true;
}

ClassStatement statement_at(const Seam& seam) {
  return {seam.outer, seam.stop.at, seam.stop.height - seam.operands, seam.operands};
}

// The metaclass that makes the class of a statement by type_call(); else null.
PyTypeObject* metaclass_of(const Seam& seam, const ClassStatement& statement) {
  PyObject* meta = is_statement(seam, statement) ? statement.metaclass() : nullptr;
  auto* type = reinterpret_cast<PyTypeObject*>(meta);
  return meta != nullptr && PyType_Check(meta) && is_called_as_type(type) ? type : nullptr;
}

// Its operands stay where they are until it is over.
void keep_operands(const Seam& seam, Joint* joint) {
  joint->pops = 0;
  joint->argument = seam.operands;
}

bool is_prepared_by(PyTypeObject* meta, PyObject* function) {
  PyObject* found = unwrapped(_PyType_Lookup(meta, names.prepare));
  return found != nullptr && leads_to(found, function);
}

bool is_created_by(PyTypeObject* meta, PyObject* function) {
  return unwrapped(_PyType_Lookup(meta, names.create)) == function;
}

// __prepare__(); the body has yet to run.
bool prepares_class(const Seam& seam, Joint* joint) {
  ClassStatement statement = statement_at(seam);
  PyTypeObject* meta = metaclass_of(seam, statement);
  if (meta == nullptr || Py_TYPE(meta)->tp_getattro != PyType_Type.tp_getattro) {
    return false;
  }
  PyObject* of_meta = _PyType_Lookup(Py_TYPE(meta), names.prepare);
  PyObject* found = _PyType_Lookup(meta, names.prepare);
  bool has_meta = found != nullptr && Py_IS_TYPE(found, &PyClassMethod_Type);
  PyObject* first = first_argument(seam.inner);
  keep_operands(seam, joint);
  joint->second = reinterpret_cast<PyObject*>(meta);
  return (of_meta == nullptr || Py_TYPE(of_meta)->tp_descr_set == nullptr) && found != nullptr &&
         (has_meta || Py_IS_TYPE(found, &PyStaticMethod_Type) || PyFunction_Check(found)) &&
         is_prepared_by(meta, seam.function()) && !is_created_by(meta, seam.function()) &&
         first == (has_meta ? joint->second : statement.name());
}

bool builds_class(const Seam& seam, Joint* joint) {
  ClassStatement statement = statement_at(seam);
  // A call of the body by anybody else has its global variables for the local ones, or none.
  PyObject* variables = seam.inner->f_locals;
  if (!is_statement(seam, statement) || statement.body() != seam.function() ||
      variables == nullptr || variables == seam.inner->f_globals) {
    return false;
  }
  keep_operands(seam, joint);
  joint->kept = variables;
  joint->second = statement.metaclass();
  return joint->second != nullptr;
}

// The metaclass's __new__(); its __init__() may be to come.
bool creates_class(const Seam& seam, Joint* joint) {
  ClassStatement statement = statement_at(seam);
  PyTypeObject* meta = metaclass_of(seam, statement);
  constexpr int number = 3;  // of its argument that is the namespace
  keep_operands(seam, joint);
  joint->kept = argument_of(seam.inner, number);
  return meta != nullptr && meta->tp_new == slots.create && joint->kept != nullptr &&
         is_created_by(meta, seam.function()) && !is_prepared_by(meta, seam.function()) &&
         first_argument(seam.inner) == reinterpret_cast<PyObject*>(meta) &&
         find_class_cell(statement.body(), joint->kept, &joint->second);
}

// The metaclass's __init__().
bool initialises_class(const Seam& seam, Joint* joint) {
  ClassStatement statement = statement_at(seam);
  PyTypeObject* meta = metaclass_of(seam, statement);
  keep_operands(seam, joint);
  joint->kept = first_argument(seam.inner);
  return meta != nullptr && joint->kept != nullptr && Py_IS_TYPE(joint->kept, meta) &&
         meta->tp_init == slots.init && method_of(meta, names.init) == seam.function() &&
         find_class_cell_of(statement.body(), joint->kept, &joint->second);
}

// ---- __init_subclass__() (Objects/typeobject.c, type_new_impl: its last deed) -----------------------------

// Whether what runs is what type_new() calls for the class. It finds nothing of the metaclass that calls it for
// something else.
bool initialises(const Seam& seam, PyObject* object) {
  if (!is_call(seam) || object == nullptr || !PyType_Check(object)) {
    return false;
  }
  auto* type = reinterpret_cast<PyTypeObject*>(object);
  PyObject* found = find_beyond(type, type, names.init_subclass);
  const PyCodeObject* code = code_of(seam.inner);
  return found != nullptr && Py_IS_TYPE(found, &PyClassMethod_Type) &&
         leads_to(unwrapped(found), seam.function()) &&
         // __set_name__() would be called with two.
         code->co_argcount == 1 && (code->co_flags & CO_VARARGS) == 0 &&
         _PyType_Lookup(Py_TYPE(type), names.mro) == _PyType_Lookup(&PyType_Type, names.mro);
}

// Whether type_call() has nothing left to do for the class then.
bool is_all(PyTypeObject* meta) {
  return meta->tp_new == PyType_Type.tp_new && meta->tp_init == PyType_Type.tp_init;
}

bool initialises_subclass_of_statement(const Seam& seam, Joint* joint) {
  ClassStatement statement = statement_at(seam);
  PyTypeObject* meta = metaclass_of(seam, statement);
  joint->kept = meta != nullptr ? first_argument(seam.inner) : nullptr;
  keep_operands(seam, joint);
  return initialises(seam, joint->kept) && Py_IS_TYPE(joint->kept, meta) && is_all(meta) &&
         find_class_cell_of(statement.body(), joint->kept, &joint->second);
}

// type(name, bases, namespace), or another metaclass instead; type.__new__(metaclass, name, bases, namespace).
bool initialises_subclass(const Seam& seam, Joint* joint) {
  PyObject* callable = is_call(seam) && seam.self() == nullptr ? seam.callable() : nullptr;
  joint->kept = callable != nullptr ? first_argument(seam.inner) : nullptr;
  if (!initialises(seam, joint->kept)) {
    return false;
  }
  PyTypeObject* meta = Py_TYPE(joint->kept);
  if (PyType_Check(callable)) {
    auto* called = reinterpret_cast<PyTypeObject*>(callable);
    return is_called_as_type(called) && called->tp_new == PyType_Type.tp_new && is_all(meta);
  }
  return PyCFunction_CheckExact(callable) &&
         callable == _PyType_Lookup(&PyType_Type, names.create) &&
         (meta->tp_new == PyType_Type.tp_new || meta->tp_new == slots.create);
}

const Rule rules[] = {
    {CALL, a_calls, prepares_class, Ending::prepared},
    {CALL, a_calls, builds_class, Ending::built},
    {CALL, a_calls, creates_class, Ending::made},
    {CALL, a_calls, initialises_class, Ending::initialised},
    {CALL, a_calls, initialises_subclass_of_statement, Ending::subclass},
    {CALL, a_calls, initialises_subclass, Ending::subclass},
#if PY_VERSION_HEX >= 0x030D0000
    {CALL_KW, a_calls, prepares_class, Ending::prepared},
    {CALL_KW, a_calls, builds_class, Ending::built},
    {CALL_KW, a_calls, creates_class, Ending::made},
    {CALL_KW, a_calls, initialises_class, Ending::initialised},
    {CALL_KW, a_calls, initialises_subclass_of_statement, Ending::subclass},
    {CALL_KW, a_calls, initialises_subclass, Ending::subclass},
#endif
    {CALL_FUNCTION_EX, a_calls, initialises_subclass, Ending::subclass},
};

}  // namespace

std::span<const Rule> class_rules() noexcept { return rules; }

}  // namespace stackless::interp
