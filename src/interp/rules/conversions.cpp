#include "interp/rules/conversions.hpp"

#include <array>
#include <string>

#include "interp/rules/crossing.hpp"

namespace stackless::interp {

namespace {

// ---- what looks like the object, and has the value already -----------------------------------------

// The builtin is called once more, with an object whose methods return what the real one's has returned. So it
// is CPython that says what is wrong with the value. Where it names the object's class it gets the real one's
// name, as this type has that for the moment.
struct StandIn {
  PyObject_HEAD
  PyObject* value;
};

PyObject* value_in(PyObject* self) { return Py_NewRef(reinterpret_cast<StandIn*>(self)->value); }
PyObject* call_for_value(PyObject* self, PyObject*) { return value_in(self); }

void drop_stand_in(PyObject* self) {
  Py_DECREF(reinterpret_cast<StandIn*>(self)->value);
  PyObject_Free(self);
}

PyNumberMethods stand_in_number = {.nb_int = value_in, .nb_float = value_in, .nb_index = value_in};
PyMethodDef stand_in_methods[] = {{"__format__", call_for_value, METH_O, nullptr},
                                  {"__bytes__", call_for_value, METH_NOARGS, nullptr},
                                  {"__complex__", call_for_value, METH_NOARGS, nullptr},
                                  {"__fspath__", call_for_value, METH_NOARGS, nullptr},
                                  {"__dir__", call_for_value, METH_NOARGS, nullptr},
                                  {}};
PyTypeObject StandInType = {
    .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
    .tp_name = "stackless._converted",
    .tp_basicsize = sizeof(StandIn),
    .tp_dealloc = drop_stand_in,
    .tp_repr = value_in,
    .tp_as_number = &stand_in_number,
    .tp_str = value_in,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Looks like an object that is being converted.",
    .tp_methods = stand_in_methods,
};

PyObject* make_stand_in(PyObject* value) {
  auto* made = PyObject_New(StandIn, &StandInType);
  if (made != nullptr) {
    made->value = Py_NewRef(value);
  }
  return reinterpret_cast<PyObject*>(made);
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
constexpr int formats = 32;  // what has come out is formatted
static_assert(std::tuple_size_v<decltype(table)> <= formats);

// Whether the object's own method, or what stands in for that, is what runs.
bool calls_own(const Converter& converter, PyObject* object, PyObject* function) {
  PyTypeObject* type = Py_TYPE(object);
  // Objects/typeobject.c, object_str.
  bool by_repr = &converter == &table[string] && type->tp_str == PyBaseObject_Type.tp_str;
  return method_of(type, by_repr ? table[representation].method_name : converter.method_name) ==
         function;
}

Conversion find(int which, PyObject* object, PyObject* function) {
  return {calls_own(table[static_cast<std::size_t>(which)], object, function), which};
}

}  // namespace

Conversion find_formatting(PyObject* object, PyObject* specification, PyObject* function) noexcept {
  PyObject* name = table[formatted].method_name;
  bool is_empty = specification == nullptr ||
                  (PyUnicode_Check(specification) && PyUnicode_GET_LENGTH(specification) == 0);
  // Objects/typeobject.c, object___format___impl.
  bool is_inherited =
      _PyType_Lookup(Py_TYPE(object), name) == _PyType_Lookup(&PyBaseObject_Type, name);
  return find(is_inherited && is_empty ? string : formatted, object, function);
}

Conversion find_conversion(char letter, bool then_formats, PyObject* object,
                           PyObject* function) noexcept {
  Conversion result = find(letter == 's'   ? string
                           : letter == 'r' ? representation
                                           : ascii,
                           object, function);
  result.argument |= then_formats ? formats : 0;
  return result;
}

Conversion find_call(PyObject* callable, PyObject* object, PyObject* second,
                     PyObject* function) noexcept {
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (table[i].callable == callable && (second == nullptr || table[i].takes_two)) {
      return i == formatted ? find_formatting(object, second, function)
                            : find(static_cast<int>(i), object, function);
    }
  }
  return {};
}

namespace {

// Objects/typeobject.c, slot_tp_hash.
PyObject* finish_hash(PyObject* value) {
  if (!PyLong_Check(value)) {
    PyErr_SetString(PyExc_TypeError, "__hash__ method should return an integer");
    return nullptr;
  }
  Py_ssize_t hash = PyLong_AsSsize_t(value);
  if (hash == -1 && PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    hash = PyLong_Type.tp_hash(value);
  }
  return PyLong_FromSsize_t(hash == -1 ? -2 : hash);
}

// Has the stand-ins go by the name of the object's type.
bool borrow_name(PyTypeObject* type, [[maybe_unused]] bool with_module) {
#if PY_VERSION_HEX >= 0x030F0000
  static std::string name;
  if (with_module) {
    PyObject* full = PyType_GetFullyQualifiedName(type);
    const char* text = full != nullptr ? PyUnicode_AsUTF8(full) : nullptr;
    name = text != nullptr ? text : "";
    Py_XDECREF(full);
    StandInType.tp_name = name.c_str();
    return text != nullptr;
  }
#endif
  StandInType.tp_name = type->tp_name;
  return true;
}

PyObject* call_with_stand_in(const Converter& converter, PyObject* object, PyObject* specification,
                             PyObject* value) {
  PyObject* stand_in = borrow_name(Py_TYPE(object), converter.check == Check::by_module)
                           ? make_stand_in(value)
                           : nullptr;
  if (stand_in == nullptr) {
    return nullptr;
  }
  bool has_two = &converter == &table[formatted] && specification != Py_None;
  PyObject* result = PyObject_CallFunctionObjArgs(converter.callable, stand_in,
                                                  has_two ? specification : nullptr, nullptr);
  StandInType.tp_name = "stackless._converted";
  Py_DECREF(stand_in);
  return result;
}

}  // namespace

PyObject* finish_conversion(int argument, PyObject* object, PyObject* specification,
                            PyObject* value) {
  const Converter& converter = table[static_cast<std::size_t>(argument & ~formats)];
  PyObject* result = converter.check == Check::none ? Py_NewRef(value)
                     : converter.check == Check::hash
                         ? finish_hash(value)
                         : call_with_stand_in(converter, object, specification, value);
  if (result == nullptr || (argument & formats) == 0) {
    return result;
  }
  PyObject* text = PyObject_Format(result, specification != Py_None ? specification : nullptr);
  Py_DECREF(result);
  return text;
}

bool is_conversion_argument(int argument) noexcept {
  int which = argument & ~formats;
  return argument >= 0 && which < static_cast<int>(table.size()) &&
         table[static_cast<std::size_t>(which)].callable != nullptr &&
         ((argument & formats) == 0 || which <= ascii);
}

int init_conversions() {
  for (Converter& each : table) {
    PyObject* module = PyImport_ImportModule(each.module);
    each.callable = module != nullptr ? PyObject_GetAttrString(module, each.name) : nullptr;
    each.method_name = PyUnicode_InternFromString(each.method);
    Py_XDECREF(module);
    if (each.callable == nullptr || each.method_name == nullptr) {
      return -1;
    }
    if (!PyCFunction_CheckExact(each.callable) && !PyType_Check(each.callable)) {
      Py_CLEAR(each.callable);
    }
  }
  return PyType_Ready(&StandInType);
}

}  // namespace stackless::interp
