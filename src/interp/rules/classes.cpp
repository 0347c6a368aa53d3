// Classes being made: by a class statement, by a call of a metaclass, and by type.__new__().
//
// A class statement calls the metaclass's __prepare__(), the class's body, the metaclass's __new__() and __init__(), and
// __init_subclass__() (Python/bltinmodule.c, builtin___build_class__). Its operands stay on the value stack until it is
// over: a continuation that calls Python code again finds them there.
#include <algorithm>
#include <utility>

#include "interp/rules/class_statement.hpp"
#include "interp/rules/crossing.hpp"
#include "object/arguments.hpp"

namespace stackless::interp {

namespace {

// ---- what stands in for a metaclass ---------------------------------------------------------------------

// The class statement is made once more, with a metaclass that has its namespace ready.
struct Prepared {
  PyObject_HEAD
  PyObject* metaclass;
  PyObject* variables;
};

PyObject* give_variables(PyObject* self, PyObject*, PyObject*) {
  return Py_NewRef(reinterpret_cast<Prepared*>(self)->variables);
}

PyObject* call_metaclass_of(PyObject* self, PyObject* arguments, PyObject* keywords) {
  return PyObject_Call(reinterpret_cast<Prepared*>(self)->metaclass, arguments, keywords);
}

void drop_prepared(PyObject* object) {
  auto* self = reinterpret_cast<Prepared*>(object);
  clear_reference(self->metaclass);
  clear_reference(self->variables);
  PyObject_Free(self);
}

PyMethodDef prepared_methods[] = {
    {"__prepare__", method(give_variables), METH_VARARGS | METH_KEYWORDS, nullptr}, {}};
PyTypeObject PreparedType = {
    .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
    .tp_name = "stackless._prepared",
    .tp_basicsize = sizeof(Prepared),
    .tp_dealloc = drop_prepared,
    .tp_call = call_metaclass_of,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Looks like a metaclass whose __prepare__() has been called.",
    .tp_methods = prepared_methods,
};

Object make_prepared(PyObject* metaclass, PyObject* variables) {
  auto* made = PyObject_New(Prepared, &PreparedType);
  if (made != nullptr) {
    made->metaclass = Py_NewRef(metaclass);
    made->variables = Py_NewRef(variables);
  }
  return Object::steal(reinterpret_cast<PyObject*>(made));
}

// ---- how it goes on --------------------------------------------------------------------------------------

Object bases_of(const ClassStatement& statement) {
  Object bases = Object::steal(PyTuple_New(statement.bases()));
  for (int i = 0; i < statement.bases() && bases; ++i) {
    PyTuple_SET_ITEM(bases.get(), i, Py_NewRef(statement.base(i)));
  }
  return bases;
}

Object keywords_of(const ClassStatement& statement) {
  Object keywords = Object::steal(PyDict_New());
  for (int i = 0; i < statement.keywords() && keywords; ++i) {
    if (!is_metaclass_keyword(statement.keyword(i)) &&
        PyDict_SetItem(keywords.get(), statement.keyword(i), statement.value(i)) < 0) {
      return nullptr;
    }
  }
  return keywords;
}

// What the metaclass is called with.
struct Arguments {
  Arguments(const ClassStatement& statement, PyObject* variables)
      : bases(bases_of(statement)), keywords(keywords_of(statement)) {
    if (bases) {
      positional = Object::steal(PyTuple_Pack(3, statement.name(), bases.get(), variables));
    }
  }
  explicit operator bool() const { return positional && keywords; }

  Object bases;
  Object keywords;
  Object positional;
};

// Whether the methods' __class__ is the class.
bool is_class_set(PyObject* cell, PyObject* name, PyObject* made) {
  if (!PyType_Check(made) || !PyCell_Check(cell) || PyCell_GET(cell) == made) {
    return true;
  }
  if (PyCell_GET(cell) == nullptr) {
    PyErr_Format(PyExc_RuntimeError,
                 "__class__ not set defining %.200R as %.200R. "
                 "Was __classcell__ propagated to type.__new__?",
                 name, made);
  } else {
    PyErr_Format(PyExc_TypeError, "__class__ set to %.200R defining %.200R as %.200R",
                 PyCell_GET(cell), name, made);
  }
  return false;
}

// A frame in the middle of a class statement.
class Interrupted {
 public:
  Interrupted(int operands, _PyInterpreterFrame* frame)
      : frame_(frame),
        first_(height_of(frame) - operands),
        statement_(frame, passed_instruction(frame), first_, operands) {}

  bool is_damaged() const {
    if (!statement_.is_complete()) {
      PyErr_SetString(PyExc_ValueError, "the snapshot is damaged: a class statement is incomplete");
      return true;
    }
    return false;
  }
  const ClassStatement& statement() const { return statement_; }

  // The class, or null with an exception set, is all that is left of the statement.
  Result finish_with(PyObject* cell, Object made) {
    if (!made || !is_class_set(cell, statement_.name(), made.get())) {
      return std::nullopt;
    }
    pop_slots(frame_, first_);
    return push(std::move(made));
  }

 private:
  _PyInterpreterFrame* frame_;
  int first_;
  ClassStatement statement_;
};

// Calls __build_class__() once more.
Object build_with(const ClassStatement& statement, const Object& metaclass) {
  Object bases = metaclass ? bases_of(statement) : Object();
  Object front =
      bases ? Object::steal(PyTuple_Pack(2, statement.body(), statement.name())) : Object();
  Object positional = front ? Object::steal(PySequence_Concat(front.get(), bases.get())) : Object();
  Object keywords = positional ? keywords_of(statement) : Object();
  if (!keywords || PyDict_SetItemString(keywords.get(), "metaclass", metaclass.get()) < 0) {
    return nullptr;
  }
  return Object::steal(PyObject_Call(statement.builder(), positional.get(), keywords.get()));
}

// Objects/typeobject.c, type_call: the second half.
bool initialise(PyObject* made, const ClassStatement& statement, PyObject* variables) {
  PyObject* meta = statement.metaclass();
  bool is_instance = meta != nullptr && PyType_Check(meta) &&
                     PyObject_TypeCheck(made, reinterpret_cast<PyTypeObject*>(meta)) != 0;
  initproc init = is_instance ? Py_TYPE(made)->tp_init : nullptr;
  if (init == nullptr || init == PyType_Type.tp_init) {
    return true;
  }
  Arguments arguments(statement, variables);
  bool has_keywords = arguments && PyDict_GET_SIZE(arguments.keywords.get()) > 0;
  return arguments && init(made, arguments.positional.get(),
                           has_keywords ? arguments.keywords.get() : nullptr) == 0;
}

// __prepare__() has returned the namespace; second is the metaclass.
Result finish_preparation(const Arrival& arrival) {
  auto [operands, kept, metaclass, variables, outer] = arrival;
  Interrupted statement(operands, outer);
  if (statement.is_damaged()) {
    return std::nullopt;
  }
  if (PyMapping_Check(variables) == 0) {
    bool is_class = PyType_Check(metaclass);
    PyErr_Format(PyExc_TypeError, "%.200s.__prepare__() must return a mapping, not %.200s",
                 is_class ? reinterpret_cast<PyTypeObject*>(metaclass)->tp_name : "<metaclass>",
                 Py_TYPE(variables)->tp_name);
    return std::nullopt;
  }
  Object prepared = make_prepared(metaclass, variables);
  return statement.finish_with(Py_None, build_with(statement.statement(), prepared));
}

// The body has returned its cell, or None; its namespace is kept, second is the metaclass.
Result finish_body(const Arrival& arrival) {
  auto [operands, variables, metaclass, cell, outer] = arrival;
  Interrupted statement(operands, outer);
  if (statement.is_damaged()) {
    return std::nullopt;
  }
  Arguments arguments(statement.statement(), variables);
  return statement.finish_with(
      cell, arguments ? Object::steal(PyObject_Call(metaclass, arguments.positional.get(),
                                                    arguments.keywords.get()))
                      : Object());
}

// __new__() has returned what may have to be initialised; the namespace is kept, second is the body's cell, if any.
Result finish_new_class(const Arrival& arrival) {
  auto [operands, variables, cell, made, outer] = arrival;
  Interrupted statement(operands, outer);
  if (statement.is_damaged() || !initialise(made, statement.statement(), variables)) {
    return std::nullopt;
  }
  return statement.finish_with(cell, Object::share(made));
}

// __init_subclass__() has returned something; the class is kept, second is the body's cell, if any. Argument 0: it
// is no statement, but a call, whose operands have gone.
Result finish_subclass(const Arrival& arrival) {
  auto [operands, made, cell, value, outer] = arrival;
  if (operands == 0) {
    return push(Object::share(made));
  }
  Interrupted statement(operands, outer);
  return statement.is_damaged() ? std::nullopt : statement.finish_with(cell, Object::share(made));
}

// The same for the metaclass's __init__(), which has to return None.
Result finish_initialisation(const Arrival& arrival) {
  return initialised(arrival.value) ? finish_subclass(arrival) : std::nullopt;
}

bool has_operands_if_any(const Place& place) noexcept {
  return place.argument == 0 || has_operands(place);
}

bool find_next_step(const Joint& before, _PyInterpreterFrame* outer, _PyInterpreterFrame* inner,
                    Joint* joint) noexcept;

constexpr Continuation step_of_class(const char* name, int number, Finish finish,
                                     bool (*fits)(const Place&) noexcept = has_operands) {
  return {name, number, Shape::plain, finish, fits, raise_again, nullptr, find_next_step};
}
const Continuation class_prepared = step_of_class("class_prepared", 29, finish_preparation);
const Continuation class_body_run = step_of_class("class_body_run", 21, finish_body);
const Continuation class_created = step_of_class("class_created", 30, finish_new_class);
const Continuation class_initialised =
    step_of_class("class_initialised", 31, finish_initialisation);
const Continuation subclass_initialised =
    step_of_class("subclass_initialised", 32, finish_subclass, has_operands_if_any);

}  // namespace

int init_classes() { return PyType_Ready(&PreparedType); }

// ---- the rules ----

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

bool is_statement(const Crossing& crossing, const ClassStatement& statement) {
  if (!is_call(crossing) || !is_builtin(crossing, builtins.build_class) ||
      crossing.operands > largest_argument || !statement.is_call()) {
    return false;
  }
  for (int i = 0; i < statement.bases(); ++i) {
    if (!PyType_Check(statement.base(i))) {
      return false;  // its __mro_entries__() may have put another one in its place
    }
  }
  return true;
}

ClassStatement statement_at(const Crossing& crossing) {
  return {crossing.outer, crossing.stop.at, crossing.stop.height - crossing.operands,
          crossing.operands};
}

// The metaclass that makes the class of a statement by type_call(); else null.
PyTypeObject* metaclass_of(const Crossing& crossing, const ClassStatement& statement) {
  PyObject* meta = is_statement(crossing, statement) ? statement.metaclass() : nullptr;
  auto* type = reinterpret_cast<PyTypeObject*>(meta);
  return meta != nullptr && PyType_Check(meta) && is_called_as_type(type) ? type : nullptr;
}

// Its operands stay where they are until it is over.
void keep_operands(const Crossing& crossing, Joint* joint) {
  joint->pops = 0;
  joint->argument = crossing.operands;
}

bool is_prepared_by(PyTypeObject* meta, PyObject* function) {
  PyObject* found = unwrapped(_PyType_Lookup(meta, names.prepare));
  return found != nullptr && leads_to(found, function);
}

bool is_created_by(PyTypeObject* meta, PyObject* function) {
  return unwrapped(_PyType_Lookup(meta, names.create)) == function;
}

// __prepare__(); the body has yet to run.
bool prepares_class(const Crossing& crossing, Joint* joint) {
  ClassStatement statement = statement_at(crossing);
  PyTypeObject* meta = metaclass_of(crossing, statement);
  if (meta == nullptr || Py_TYPE(meta)->tp_getattro != PyType_Type.tp_getattro) {
    return false;
  }
  PyObject* of_meta = _PyType_Lookup(Py_TYPE(meta), names.prepare);
  PyObject* found = _PyType_Lookup(meta, names.prepare);
  bool has_meta = found != nullptr && Py_IS_TYPE(found, &PyClassMethod_Type);
  PyObject* first = first_argument(crossing.inner);
  keep_operands(crossing, joint);
  joint->second = reinterpret_cast<PyObject*>(meta);
  return (of_meta == nullptr || Py_TYPE(of_meta)->tp_descr_set == nullptr) && found != nullptr &&
         (has_meta || Py_IS_TYPE(found, &PyStaticMethod_Type) || PyFunction_Check(found)) &&
         is_prepared_by(meta, crossing.function()) && !is_created_by(meta, crossing.function()) &&
         first == (has_meta ? joint->second : statement.name());
}

bool builds_class(const Crossing& crossing, Joint* joint) {
  ClassStatement statement = statement_at(crossing);
  // A call of the body by anybody else has its global variables for the local ones, or none.
  PyObject* variables = crossing.inner->f_locals;
  if (!is_statement(crossing, statement) || statement.body() != crossing.function() ||
      variables == nullptr || variables == crossing.inner->f_globals) {
    return false;
  }
  keep_operands(crossing, joint);
  joint->kept = variables;
  joint->second = statement.metaclass();
  return joint->second != nullptr;
}

// The metaclass's __new__(); its __init__() may be to come.
bool creates_class(const Crossing& crossing, Joint* joint) {
  ClassStatement statement = statement_at(crossing);
  PyTypeObject* meta = metaclass_of(crossing, statement);
  constexpr int number = 3;  // of its argument that is the namespace
  keep_operands(crossing, joint);
  joint->kept = argument_of(crossing.inner, number);
  return meta != nullptr && meta->tp_new == slots.create && joint->kept != nullptr &&
         is_created_by(meta, crossing.function()) && !is_prepared_by(meta, crossing.function()) &&
         first_argument(crossing.inner) == reinterpret_cast<PyObject*>(meta) &&
         find_class_cell(statement.body(), joint->kept, &joint->second);
}

// The metaclass's __init__().
bool initialises_class(const Crossing& crossing, Joint* joint) {
  ClassStatement statement = statement_at(crossing);
  PyTypeObject* meta = metaclass_of(crossing, statement);
  keep_operands(crossing, joint);
  joint->kept = first_argument(crossing.inner);
  return meta != nullptr && joint->kept != nullptr && Py_IS_TYPE(joint->kept, meta) &&
         meta->tp_init == slots.init && method_of(meta, names.init) == crossing.function() &&
         find_class_cell_of(statement.body(), joint->kept, &joint->second);
}

// ---- __init_subclass__() (Objects/typeobject.c, type_new_impl: its last deed) -----------------------------

// Whether what runs is what type_new() calls for the class. It finds nothing of the metaclass that calls it for
// something else.
bool initialises(const Crossing& crossing, PyObject* object) {
  if (!is_call(crossing) || object == nullptr || !PyType_Check(object)) {
    return false;
  }
  auto* type = reinterpret_cast<PyTypeObject*>(object);
  PyObject* found = find_beyond(type, type, names.init_subclass);
  const PyCodeObject* code = code_of(crossing.inner);
  return found != nullptr && Py_IS_TYPE(found, &PyClassMethod_Type) &&
         leads_to(unwrapped(found), crossing.function()) &&
         // __set_name__() would be called with two.
         code->co_argcount == 1 && (code->co_flags & CO_VARARGS) == 0 &&
         _PyType_Lookup(Py_TYPE(type), names.mro) == _PyType_Lookup(&PyType_Type, names.mro);
}

// Whether type_call() has nothing left to do for the class then.
bool is_all(PyTypeObject* meta) {
  return meta->tp_new == PyType_Type.tp_new && meta->tp_init == PyType_Type.tp_init;
}

bool initialises_subclass_of_statement(const Crossing& crossing, Joint* joint) {
  ClassStatement statement = statement_at(crossing);
  PyTypeObject* meta = metaclass_of(crossing, statement);
  joint->kept = meta != nullptr ? first_argument(crossing.inner) : nullptr;
  keep_operands(crossing, joint);
  return initialises(crossing, joint->kept) && Py_IS_TYPE(joint->kept, meta) && is_all(meta) &&
         find_class_cell_of(statement.body(), joint->kept, &joint->second);
}

// type(name, bases, namespace), or another metaclass instead; type.__new__(metaclass, name, bases, namespace).
bool initialises_subclass(const Crossing& crossing, Joint* joint) {
  PyObject* callable =
      is_call(crossing) && crossing.self() == nullptr ? crossing.callable() : nullptr;
  joint->kept = callable != nullptr ? first_argument(crossing.inner) : nullptr;
  if (!initialises(crossing, joint->kept)) {
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
    {CALL, a_calls, prepares_class, class_prepared},
    {CALL, a_calls, builds_class, class_body_run},
    {CALL, a_calls, creates_class, class_created},
    {CALL, a_calls, initialises_class, class_initialised},
    {CALL, a_calls, initialises_subclass_of_statement, subclass_initialised},
    {CALL, a_calls, initialises_subclass, subclass_initialised},
    {op::call_kw, a_calls, prepares_class, class_prepared},
    {op::call_kw, a_calls, builds_class, class_body_run},
    {op::call_kw, a_calls, creates_class, class_created},
    {op::call_kw, a_calls, initialises_class, class_initialised},
    {op::call_kw, a_calls, initialises_subclass_of_statement, subclass_initialised},
    {op::call_kw, a_calls, initialises_subclass, subclass_initialised},
    {CALL_FUNCTION_EX, a_calls, initialises_subclass, subclass_initialised},
};

// The continuation of a statement has called the next thing.
bool find_next_step(const Joint& before, _PyInterpreterFrame* outer, _PyInterpreterFrame* inner,
                    Joint* joint) noexcept {
  if (inner == nullptr || before.argument == 0) {
    return false;
  }
  Crossing crossing{outer, inner, {passed_instruction(outer), height_of(outer)}, before.argument};
  return std::ranges::any_of(rules, [&](const Rule& rule) {
    *joint = {};
    joint->continuation = &rule.continuation;
    return rule.opcode == crossing.stop.at->opcode && rule.holds(crossing, joint);
  });
}

}  // namespace

std::span<const Rule> class_rules() noexcept { return rules; }

}  // namespace stackless::interp
