#include "interp/rules/imports.hpp"

#include <frameobject.h>

#include "interp/versions/internals.h"

namespace stackless::interp {

PyObject* importlib_function(const char* name) {
  PyObject* importlib = stackless_importlib();
  PyObject* found = importlib != nullptr && PyModule_Check(importlib)
                        ? PyDict_GetItemString(PyModule_GetDict(importlib), name)
                        : nullptr;
  return found != nullptr && PyFunction_Check(found) ? found : nullptr;
}

bool is_original_import(PyObject* function) {
  return function != nullptr && function == stackless_import_function();
}

bool may_finish_import() { return stackless_measures_imports() == 0; }

namespace {

// `import a.b` is about a.
PyObject* top_package(PyObject* name, PyObject* module) {
  Py_ssize_t length = PyUnicode_GET_LENGTH(name);
  Py_ssize_t dot = PyUnicode_FindChar(name, '.', 0, length, 1);
  if (dot < 0) {
    return dot == -1 ? Py_NewRef(module) : nullptr;
  }
  PyObject* front = PyUnicode_Substring(name, 0, dot);
  PyObject* found = front != nullptr
                        ? PyImport_ImportModuleLevelObject(front, nullptr, nullptr, nullptr, 0)
                        : nullptr;
  Py_XDECREF(front);
  return found;
}

// A package may have to import what is wanted from it.
PyObject* with_submodules(PyObject* module, PyObject* from_list) {
  PyObject* path = PyObject_GetAttrString(module, "__path__");
  if (path == nullptr) {
    if (PyErr_ExceptionMatches(PyExc_AttributeError) == 0) {
      return nullptr;
    }
    PyErr_Clear();
    return Py_NewRef(module);
  }
  Py_DECREF(path);
  return PyObject_CallMethod(stackless_importlib(), "_handle_fromlist", "OOO", module, from_list,
                             stackless_import_function());
}

bool is_importlib(PyCodeObject* code) {
  auto is = [code](const char* name) {
    return PyUnicode_CompareWithASCIIString(code->co_filename, name) == 0;
  };
  return is("<frozen importlib._bootstrap>") || is("<frozen importlib._bootstrap_external>");
}

bool passes_on(PyCodeObject* code) {
  return PyUnicode_CompareWithASCIIString(code->co_name, "_call_with_frames_removed") == 0;
}

}  // namespace

PyObject* finish_import(PyObject* name, PyObject* from_list, PyObject* module) {
  if (!PyUnicode_Check(name)) {
    PyErr_SetString(PyExc_ValueError, "the snapshot is damaged: an import of no name");
    return nullptr;
  }
  int wants_from = from_list != Py_None ? PyObject_IsTrue(from_list) : 0;
  if (wants_from < 0) {
    return nullptr;
  }
  return wants_from != 0 ? with_submodules(module, from_list) : top_package(name, module);
}

void cut_importlib(PyObject* exception) {
  if (stackless_is_verbose() != 0) {
    return;
  }
  bool all = PyErr_GivenExceptionMatches(exception, PyExc_ImportError) != 0;
  PyObject* first = PyException_GetTraceback(exception);
  PyObject** row = nullptr;  // what leads to the first of importlib's functions in a row
  for (PyObject** link = &first; *link != nullptr;) {
    auto* entry = reinterpret_cast<PyTracebackObject*>(*link);
    PyCodeObject* code = PyFrame_GetCode(entry->tb_frame);
    if (!is_importlib(code)) {
      row = nullptr;
    } else if (row == nullptr) {
      row = link;
    }
    bool cuts = row != nullptr && (all || passes_on(code));
    Py_DECREF(code);
    if (cuts) {
      Py_XSETREF(*row, Py_XNewRef(reinterpret_cast<PyObject*>(entry->tb_next)));
      link = row;
    } else {
      link = reinterpret_cast<PyObject**>(&entry->tb_next);
    }
  }
  PyException_SetTraceback(exception, first != nullptr ? first : Py_None);
  Py_XDECREF(first);
}

void cut_importlib_of_error() {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback != nullptr) {
    PyException_SetTraceback(value, traceback);
  }
  cut_importlib(value);
  Py_XSETREF(traceback, PyException_GetTraceback(value));
  PyErr_Restore(type, value, traceback);
}

}  // namespace stackless::interp
