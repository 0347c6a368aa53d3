#include "interp/rules/known_objects.hpp"

#include <cstddef>

#include "object/reference.hpp"

namespace stackless::interp {

namespace {

bool intern_names() {
  auto* name = reinterpret_cast<Name*>(&names);
  for (std::size_t i = 0; i < sizeof(Names) / sizeof(Name); ++i) {
    name[i].object = PyUnicode_InternFromString(name[i].text);
    if (name[i].object == nullptr) {
      return false;
    }
  }
  return true;
}

// The variables of a program that has run; null with an exception set.
Object run_program(const char* program) {
  Object globals = Object::steal(PyDict_New());
  Object done =
      globals ? Object::steal(PyRun_String(program, Py_file_input, globals.get(), globals.get()))
              : Object();
  return done ? globals : Object();
}

// Learns from classes that have them.
bool find_slots() {
  Object variables = run_program(
      "class All:\n"
      "    def __init__(self): pass\n"
      "    def __call__(self): pass\n"
      "    def __new__(cls): pass\n"
      "    def __getattr__(self, name): pass\n"
      "class Some:\n"
      "    def __getattribute__(self, name): pass\n"
      "Some().attribute\n");
  if (!variables) {
    return false;
  }
  auto type_called = [&](const char* name) {
    return reinterpret_cast<PyTypeObject*>(PyDict_GetItemString(variables.get(), name));
  };
  PyTypeObject *all = type_called("All"), *some = type_called("Some");
  slots = {all->tp_init, all->tp_call, all->tp_getattro, some->tp_getattro, all->tp_new};
  PyObject* method = _PyType_Lookup(all, names.init);
  function_vectorcall = reinterpret_cast<PyFunctionObject*>(method)->vectorcall;
  return true;
}

// Null if there is none.
Object attribute_of_module(const char* name, const char* attribute) {
  Object module = Object::steal(PyImport_ImportModule(name));
  Object found = module ? Object::steal(PyObject_GetAttrString(module.get(), attribute)) : Object();
  PyErr_Clear();
  return found;
}

// Learns from one whose factory does that.
bool find_defaults() {
  Object variables = run_program(
      "from _collections import defaultdict\n"
      "def factory():\n"
      "    items[1] = True\n"
      "    return False\n"
      "items = defaultdict(factory)\n"
      "stays = items[1]\n");
  defaults_stay = variables && PyDict_GetItemString(variables.get(), "stays") == Py_True;
  return static_cast<bool>(variables);
}

void find_builtins() {
  auto* builtin = reinterpret_cast<Builtin*>(&builtins);
  for (std::size_t i = 0; i < sizeof(Builtins) / sizeof(Builtin); ++i) {
    Object function = attribute_of_module("builtins", builtin[i].name);
    if (function && PyCFunction_CheckExact(function.get())) {
      builtin[i].method = reinterpret_cast<PyCFunctionObject*>(function.get())->m_ml;
    }
  }
}

PyTypeObject* type_in(const char* module, const char* name) {
  return reinterpret_cast<PyTypeObject*>(attribute_of_module(module, name).release());
}

bool find_types() {
  Object iterator = Object::steal(PyObject_GetIter(names.init));
  if (!iterator) {
    return false;
  }
  types = {type_in("_functools", "partial"), type_in("types", "MethodWrapperType"),
           Py_TYPE(iterator.get()), type_in("_collections", "defaultdict")};
  return true;
}

}  // namespace

int init_known_objects() {
  if (!intern_names() || !find_slots() || !find_types() || !find_defaults()) {
    return -1;
  }
  find_builtins();
  return 0;
}

}  // namespace stackless::interp
