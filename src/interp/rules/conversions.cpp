// Conversions: builtins that call a method of an object, f-strings, and what they make of the method's result.
#include <array>
#include <optional>
#include <string>

#include "interp/rules/crossing.hpp"
#include "object/errors.hpp"

namespace stackless::interp {

namespace {

// ---- what looks like the object, and has the value already -----------------------------------------

// The builtin is called once more, with an object whose methods return what the real one's has returned. So it
// is CPython that says what is wrong with the value. Where CPython names the object's class in that, the type of the
// converted object has to go by the real one's name for as long as the call takes: no public function makes a type of
// another's name without Python code that could give way in between.
struct Converted {
  PyObject_HEAD
  PyObject* value;
};

PyObject* value_in(PyObject* self) { return Py_NewRef(reinterpret_cast<Converted*>(self)->value); }
PyObject* call_for_value(PyObject* self, PyObject*) { return value_in(self); }

void drop_converted(PyObject* self) {
  clear_reference(reinterpret_cast<Converted*>(self)->value);
  PyObject_Free(self);
}

PyNumberMethods converted_number = {.nb_int = value_in, .nb_float = value_in, .nb_index = value_in};
PyMethodDef converted_methods[] = {{"__format__", call_for_value, METH_O, nullptr},
                                   {"__bytes__", call_for_value, METH_NOARGS, nullptr},
                                   {"__complex__", call_for_value, METH_NOARGS, nullptr},
                                   {"__fspath__", call_for_value, METH_NOARGS, nullptr},
                                   {"__dir__", call_for_value, METH_NOARGS, nullptr},
                                   {}};
PyTypeObject ConvertedType = {
    .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
    .tp_name = "stackless._converted",
    .tp_basicsize = sizeof(Converted),
    .tp_dealloc = drop_converted,
    .tp_repr = value_in,
    .tp_as_number = &converted_number,
    .tp_str = value_in,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Looks like an object that is being converted.",
    .tp_methods = converted_methods,
};

Object make_converted(PyObject* value) {
  auto* made = PyObject_New(Converted, &ConvertedType);
  if (made != nullptr) {
    made->value = Py_NewRef(value);
  }
  return Object::steal(reinterpret_cast<PyObject*>(made));
}

// ---- the table ---------------------------------------------------------------------------------------

enum class Check : char {
  none,       // the value is the result
  by_name,    // what the builtin does with the value; where it names a class, as that names itself
  by_module,  // the same, with its module (3.15)
  hash,
};

struct Converter {
  const char* module;
  const char* name;
  const char* method;
  Check check;
  bool takes_two = false;        // arguments
  PyObject* callable = nullptr;  // null if somebody has replaced it
  PyObject* method_name = nullptr;
};

enum { string, representation, ascii, formatted };
std::array table = {
    Converter{"builtins", "str", "__str__", Check::by_module},
    Converter{"builtins", "repr", "__repr__", Check::by_module},
    Converter{"builtins", "ascii", "__repr__", Check::by_module},
    Converter{"builtins", "format", "__format__", Check::by_module, true},
    Converter{"builtins", "int", "__int__", Check::by_module},
    Converter{"builtins", "float", "__float__", Check::by_module},
    Converter{"builtins", "complex", "__complex__", Check::by_module},
    Converter{"builtins", "bytes", "__bytes__", Check::by_module},
    Converter{"operator", "index", "__index__", Check::by_module},
    Converter{"os", "fspath", "__fspath__", Check::by_name},
    Converter{"builtins", "dir", "__dir__", Check::by_name},
    Converter{"builtins", "hash", "__hash__", Check::hash},
    Converter{"builtins", "abs", "__abs__", Check::none},
    Converter{"builtins", "round", "__round__", Check::none, true},
    Converter{"builtins", "reversed", "__reversed__", Check::none},
    Converter{"math", "floor", "__floor__", Check::none},
    Converter{"math", "ceil", "__ceil__", Check::none},
    Converter{"math", "trunc", "__trunc__", Check::none},
};
constexpr int then_formatted = 32;  // what has come out is formatted
static_assert(std::tuple_size_v<decltype(table)> <= then_formatted);

// Whether the object's own method, or what stands in for that, is what runs.
bool calls_own(const Converter& converter, PyObject* object, PyObject* function) {
  PyTypeObject* type = Py_TYPE(object);
  // Objects/typeobject.c, object_str.
  bool by_repr = &converter == &table[string] && type->tp_str == PyBaseObject_Type.tp_str;
  return method_of(type, by_repr ? table[representation].method_name : converter.method_name) ==
         function;
}

// The continuation's argument: which conversion of the table, and whether the result is formatted then.
using Argument = std::optional<int>;

Argument find_entry(int which, PyObject* object, PyObject* function) {
  bool is_own = calls_own(table[static_cast<std::size_t>(which)], object, function);
  return is_own ? Argument(which) : std::nullopt;
}

// Of an f-string: formatting, with a specification or null.
Argument find_formatting(PyObject* object, PyObject* specification, PyObject* function) {
  PyObject* name = table[formatted].method_name;
  bool is_empty = specification == nullptr ||
                  (PyUnicode_Check(specification) && PyUnicode_GET_LENGTH(specification) == 0);
  // Objects/typeobject.c, object___format___impl.
  bool is_inherited =
      _PyType_Lookup(Py_TYPE(object), name) == _PyType_Lookup(&PyBaseObject_Type, name);
  return find_entry(is_inherited && is_empty ? string : formatted, object, function);
}

// The conversion !s, !r or !a, whose result is then formatted or not.
Argument find_conversion(char letter, bool then_formats, PyObject* object, PyObject* function) {
  Argument found = find_entry(letter == 's'   ? string
                              : letter == 'r' ? representation
                                              : ascii,
                              object, function);
  return found && then_formats ? Argument(*found | then_formatted) : found;
}

// A call of a builtin with the object, and perhaps (else null) another argument.
Argument find_builtin(PyObject* callable, PyObject* object, PyObject* second, PyObject* function) {
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (table[i].callable == callable && (second == nullptr || table[i].takes_two)) {
      return i == formatted ? find_formatting(object, second, function)
                            : find_entry(static_cast<int>(i), object, function);
    }
  }
  return {};
}

// ---- how they go on ----

// Objects/typeobject.c, slot_tp_hash.
Object finish_hash(PyObject* value) {
  if (!PyLong_Check(value)) {
    return raise(PyExc_TypeError, "__hash__ method should return an integer");
  }
  Py_ssize_t hash = PyLong_AsSsize_t(value);
  if (hash == -1 && PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    hash = PyLong_Type.tp_hash(value);
  }
  return Object::steal(PyLong_FromSsize_t(hash == -1 ? -2 : hash));
}

// Has Converted go by the name of the object's type.
bool borrow_name(PyTypeObject* type, bool with_module) {
  static std::string name;
  if (messages_name_types_fully && with_module) {
    Object full = full_name_of(type);
    const char* text = full ? PyUnicode_AsUTF8(full.get()) : nullptr;
    name = text != nullptr ? text : "";
    ConvertedType.tp_name = name.c_str();
    return text != nullptr;
  }
  ConvertedType.tp_name = type->tp_name;
  return true;
}

Object convert_again(const Converter& converter, PyObject* object, PyObject* specification,
                     PyObject* value) {
  Object converted = borrow_name(Py_TYPE(object), converter.check == Check::by_module)
                         ? make_converted(value)
                         : Object();
  if (!converted) {
    return nullptr;
  }
  bool has_two = &converter == &table[formatted] && specification != Py_None;
  Object result = Object::steal(PyObject_CallFunctionObjArgs(
      converter.callable, converted.get(), has_two ? specification : nullptr, nullptr));
  ConvertedType.tp_name = "stackless._converted";
  return result;
}

Result finish_conversion(const Arrival& arrival) {
  auto [argument, object, specification, value, outer] = arrival;
  const Converter& converter = table[static_cast<std::size_t>(argument & ~then_formatted)];
  Object result = converter.check == Check::none ? Object::share(value)
                  : converter.check == Check::hash
                      ? finish_hash(value)
                      : convert_again(converter, object, specification, value);
  if (!result || (argument & then_formatted) == 0) {
    return push(std::move(result));
  }
  return push(Object::steal(
      PyObject_Format(result.get(), specification != Py_None ? specification : nullptr)));
}

bool is_conversion(const Place& place) noexcept {
  int which = place.argument & ~then_formatted;
  return which < static_cast<int>(table.size()) &&
         table[static_cast<std::size_t>(which)].callable != nullptr &&
         ((place.argument & then_formatted) == 0 || which <= ascii);
}

const Continuation convert{"convert", 26, Shape::plain, finish_conversion, is_conversion};

}  // namespace

int init_conversions() {
  for (Converter& each : table) {
    Object module = Object::steal(PyImport_ImportModule(each.module));
    each.callable = module ? PyObject_GetAttrString(module.get(), each.name) : nullptr;
    each.method_name = PyUnicode_InternFromString(each.method);
    if (each.callable == nullptr || each.method_name == nullptr) {
      return -1;
    }
    if (!PyCFunction_CheckExact(each.callable) && !PyType_Check(each.callable)) {
      clear_reference(each.callable);
    }
  }
  return PyType_Ready(&ConvertedType);
}

// ---- the rules ----

namespace {

bool use(PyObject* object, PyObject* specification, Joint* joint, Argument argument) {
  joint->kept = object;
  joint->second = specification;
  joint->argument = argument.value_or(0);
  return argument.has_value();
}

bool calls_conversion(const Crossing& crossing, Joint* joint) {
  PyObject* callable = crossing.callable();
  int arguments = crossing.stop.at->argument;
  if (!is_call(crossing) || callable == nullptr || arguments < 1 || arguments > 2 ||
      !has_arguments(crossing, arguments)) {
    return false;
  }
  PyObject* object = crossing.argument(0);
  PyObject* second = arguments == 2 ? crossing.argument(1) : nullptr;
  return use(object, second, joint, find_builtin(callable, object, second, crossing.function()));
}

bool formats(const Crossing& crossing, PyObject* specification, Joint* joint) {
  PyObject* object = crossing.operand(0);
  return is_call(crossing) && use(object, specification, joint,
                                  find_formatting(object, specification, crossing.function()));
}

// `number`: 1 for !s, 2 for !r, 3 for !a.
bool converts(const Crossing& crossing, int number, bool then_formats, PyObject* specification,
              Joint* joint) {
  PyObject* object = crossing.operand(0);
  return is_call(crossing) && number >= 1 && number <= 3 &&
         use(object, specification, joint,
             find_conversion(" sra"[number], then_formats, object, crossing.function()));
}

// Up to 3.12 one instruction does both (Python/ceval.c and bytecodes.c, FORMAT_VALUE).
constexpr int conversion = 3, has_specification = 4;

bool converts_and_formats(const Crossing& crossing, PyObject* specification, Joint* joint) {
  int number = conversions_are_separate ? 0 : crossing.stop.at->argument & conversion;
  return number == 0 ? formats(crossing, specification, joint)
                     : converts(crossing, number, true, specification, joint);
}
bool formats_simply(const Crossing& crossing, Joint* joint) {
  return (conversions_are_separate || (crossing.stop.at->argument & has_specification) == 0) &&
         converts_and_formats(crossing, nullptr, joint);
}
bool formats_with_specification(const Crossing& crossing, Joint* joint) {
  return (conversions_are_separate || (crossing.stop.at->argument & has_specification) != 0) &&
         converts_and_formats(crossing, crossing.operand(1), joint);
}
bool converts_only(const Crossing& crossing, Joint* joint) {
  return converts(crossing, crossing.stop.at->argument, false, nullptr, joint);
}

const Rule rules[] = {
    {CALL, a_calls, calls_conversion, convert},
    {op::format_simple, 1, formats_simply, convert},
    {op::format_with_spec, 2, formats_with_specification, convert},
    {op::convert_value, 1, converts_only, convert},
    {op::format_value, 1, formats_simply, convert},
    {op::format_value, 2, formats_with_specification, convert},
};

}  // namespace

std::span<const Rule> conversion_rules() noexcept { return rules; }

}  // namespace stackless::interp
