// Where CPython's public C API differs between versions: beside interp/versions, the only file that
// asks which version this is.
#pragma once

#include "object/reference.hpp"

namespace stackless {

// The major and the minor version, as 0x30c for 3.12; and the minor one.
constexpr int this_version = PY_VERSION_HEX >> 16;
constexpr int this_minor_version = this_version & 255;

// The last slot of a module that is for the main interpreter only (3.11 has no word for that: it ends the list).
#if PY_VERSION_HEX >= 0x030C0000
#define STACKLESS_NO_OTHER_INTERPRETER \
  {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED}
#else
#define STACKLESS_NO_OTHER_INTERPRETER {0, nullptr}
#endif

// take_exception() clears the current exception and returns it, its traceback attached (null if
// there is none); restore_exception() makes one the current exception.
#if PY_VERSION_HEX >= 0x030C0000
inline Object take_exception() { return Object::steal(PyErr_GetRaisedException()); }
inline void restore_exception(Object exception) { PyErr_SetRaisedException(exception.release()); }
#else
inline Object take_exception() {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  if (type == nullptr) {
    return nullptr;
  }
  PyErr_NormalizeException(&type, &value, &traceback);
  Object drop_type = Object::steal(type), drop_traceback = Object::steal(traceback);
  if (traceback != nullptr) {
    PyException_SetTraceback(value, traceback);
  }
  return Object::steal(value);
}
inline void restore_exception(Object exception) {
  PyObject* value = exception.release();
  if (value == nullptr) {
    return;
  }
  PyErr_Restore(Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(value))), value,
                PyException_GetTraceback(value));
}
#endif

// full_name_of() is a type's name with its module, as messages of 3.15 have it.
#if PY_VERSION_HEX >= 0x030D0000
inline Object full_name_of(PyTypeObject* type) {
  return Object::steal(PyType_GetFullyQualifiedName(type));
}
#else
inline Object full_name_of(PyTypeObject* type) {
  return Object::steal(PyUnicode_FromString(type->tp_name));
}
#endif

// dictionary_of() is that of a type; or null.
#if PY_VERSION_HEX >= 0x030C0000
inline Object dictionary_of(PyTypeObject* type) { return Object::steal(PyType_GetDict(type)); }
#else
inline Object dictionary_of(PyTypeObject* type) { return Object::share(type->tp_dict); }
#endif

// A slot for data about each code object. `free` is called with what lies there when the code object dies.
#if PY_VERSION_HEX >= 0x030C0000
inline Py_ssize_t request_code_extra_index(freefunc free) {
  return PyUnstable_Eval_RequestCodeExtraIndex(free);
}
inline int get_code_extra(PyObject* code, Py_ssize_t index, void** extra) {
  return PyUnstable_Code_GetExtra(code, index, extra);
}
inline int set_code_extra(PyObject* code, Py_ssize_t index, void* extra) {
  return PyUnstable_Code_SetExtra(code, index, extra);
}
#else
inline Py_ssize_t request_code_extra_index(freefunc free) {
  return _PyEval_RequestCodeExtraIndex(free);
}
inline int get_code_extra(PyObject* code, Py_ssize_t index, void** extra) {
  return _PyCode_GetExtra(code, index, extra);
}
inline int set_code_extra(PyObject* code, Py_ssize_t index, void* extra) {
  return _PyCode_SetExtra(code, index, extra);
}
#endif

// raise_unexpected_keyword() sets the TypeError with which CPython's own functions refuse a keyword.
inline void raise_unexpected_keyword(const char* function, PyObject* keyword) {
#if PY_VERSION_HEX >= 0x030D0000
  PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%S'", function, keyword);
#else
  PyErr_Format(PyExc_TypeError, "'%S' is an invalid keyword argument for %s()", keyword, function);
#endif
}

}  // namespace stackless
