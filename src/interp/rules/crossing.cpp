#include "interp/rules/crossing.hpp"

#include "interp/frames/code_map.hpp"
#include "interp/versions/internals.h"
#include "object/compat.hpp"

namespace stackless::interp {

PyObject* method_of(PyTypeObject* type, PyObject* name) {
  PyObject* found = _PyType_Lookup(type, name);
  return found != nullptr && PyFunction_Check(found) ? found : nullptr;
}

const PyMethodDef* method_in(PyTypeObject* type, PyObject* name) {
  PyObject* found = _PyType_Lookup(type, name);
  return found != nullptr && Py_IS_TYPE(found, &PyMethodDescr_Type)
             ? reinterpret_cast<PyMethodDescrObject*>(found)->d_method
             : nullptr;
}

bool leads_to(PyObject* callable, PyObject* function) {
  constexpr int deepest = 16;
  for (int i = 0; i < deepest && callable != nullptr; ++i) {
    if (PyFunction_Check(callable)) {
      return callable == function &&
             reinterpret_cast<PyFunctionObject*>(callable)->vectorcall == function_vectorcall;
    }
    if (Py_IS_TYPE(callable, &PyMethod_Type)) {
      callable = PyMethod_GET_FUNCTION(callable);
    } else if (Py_IS_TYPE(callable, types.partial)) {
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

PyObject* argument_of(_PyInterpreterFrame* frame, int i) {
  PyCodeObject* code = code_of(frame);
  if (!keeps_argument(code, i)) {
    PyErr_Clear();
    return nullptr;
  }
  PyObject* argument = object_in(frame->localsplus[i]);
  // MAKE_CELL puts it into a cell if inner functions use it.
  if (argument != nullptr && PyCell_Check(argument) && is_in_cell(code, i)) {
    argument = PyCell_GET(argument);
  }
  return argument;
}

PyObject* find_beyond(PyTypeObject* type, PyTypeObject* of, PyObject* name) {
  PyObject* order = of->tp_mro;
  Py_ssize_t size = order != nullptr ? PyTuple_GET_SIZE(order) : 0;
  Py_ssize_t i = 0;
  while (i < size && PyTuple_GET_ITEM(order, i) != reinterpret_cast<PyObject*>(type)) {
    ++i;
  }
  PyObject* found = nullptr;
  while (found == nullptr && ++i < size) {
    Object variables = dictionary_of(reinterpret_cast<PyTypeObject*>(PyTuple_GET_ITEM(order, i)));
    found = variables ? PyDict_GetItem(variables.get(), name) : nullptr;
  }
  return found;
}

bool is_builtin(const Crossing& crossing, const PyMethodDef* function) {
  PyObject* callable = crossing.callable();
  return callable != nullptr && PyCFunction_CheckExact(callable) && crossing.self() == nullptr &&
         reinterpret_cast<PyCFunctionObject*>(callable)->m_ml == function;
}

bool calls_builtin(const Crossing& crossing, const PyMethodDef* function, int arguments) {
  return is_builtin(crossing, function) && crossing.stop.at->argument == arguments;
}

bool has_keywords(const Crossing& crossing) {
  return keyword_names(crossing.outer, crossing.stop.at, crossing.stop.height) != nullptr;
}

bool has_arguments(const Crossing& crossing, int count) {
  return crossing.self() == nullptr && crossing.stop.at->argument == count &&
         !has_keywords(crossing);
}

bool calls_method(const Crossing& crossing, int operand, PyObject* name) {
  return is_call(crossing) &&
         method_of(Py_TYPE(crossing.operand(operand)), name) == crossing.function();
}

}  // namespace stackless::interp
