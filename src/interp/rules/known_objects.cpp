#include "interp/rules/known_objects.hpp"

#include <cstddef>

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

// Learns from one whose factory does that.
bool find_defaults() {
  PyObject* globals = PyDict_New();
  PyObject* done = globals == nullptr ? nullptr
                                      : PyRun_String(
                                            "from _collections import defaultdict\n"
                                            "def factory():\n"
                                            "    items[1] = True\n"
                                            "    return False\n"
                                            "items = defaultdict(factory)\n"
                                            "stays = items[1]\n",
                                            Py_file_input, globals, globals);
  defaults_stay = done != nullptr && PyDict_GetItemString(globals, "stays") == Py_True;
  bool found = done != nullptr;
  Py_XDECREF(done);
  Py_XDECREF(globals);
  return found;
}

void find_builtins() {
  auto* builtin = reinterpret_cast<Builtin*>(&builtins);
  for (std::size_t i = 0; i < sizeof(Builtins) / sizeof(Builtin); ++i) {
    PyObject* function = attribute_of_module("builtins", builtin[i].name);
    if (function != nullptr && PyCFunction_CheckExact(function)) {
      builtin[i].method = reinterpret_cast<PyCFunctionObject*>(function)->m_ml;
    }
    Py_XDECREF(function);
  }
}

PyTypeObject* type_in(const char* module, const char* name) {
  return reinterpret_cast<PyTypeObject*>(attribute_of_module(module, name));
}

bool find_types() {
  PyObject* iterator = PyObject_GetIter(names.init);
  if (iterator == nullptr) {
    return false;
  }
  types = {type_in("_functools", "partial"), type_in("types", "MethodWrapperType"),
           Py_TYPE(iterator), type_in("_collections", "defaultdict")};
  Py_DECREF(iterator);
  return true;
}

}  // namespace

int init_seams() {
  if (!intern_names() || !find_slots() || !find_types() || !find_defaults()) {
    return -1;
  }
  find_builtins();
  return 0;
}

}  // namespace stackless::interp
