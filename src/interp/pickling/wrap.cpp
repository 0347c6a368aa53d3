#include "interp/pickling/wrap.hpp"

#include "interp/pickling/placeholders.hpp"
#include "object/errors.hpp"

namespace stackless {

namespace {

Object attribute(PyObject* object, const char* name) {
  return Object::steal(PyObject_GetAttrString(object, name));
}

// Whether pickle finds the function by its module and name.
bool is_importable(PyObject* function) {
  Object module = attribute(function, "__module__"), name = attribute(function, "__qualname__");
  Object dot = Object::steal(PyUnicode_FromString("."));
  Object found = module ? Object::steal(PyImport_GetModule(module.get())) : Object();
  Object parts = found && name && dot && PyUnicode_Check(name.get())
                     ? Object::steal(PyUnicode_Split(name.get(), dot.get(), -1))
                     : Object();
  bool result = false;
  if (parts) {
    for (Py_ssize_t i = 0; found && i < PyList_GET_SIZE(parts.get()); ++i) {
      found = Object::steal(PyObject_GetAttr(found.get(), PyList_GET_ITEM(parts.get(), i)));
    }
    result = found.get() == function;
  }
  PyErr_Clear();
  return result;
}

// A C function's method, which deepcopy() takes for a function that has no `self`.
bool is_bound(PyObject* function) {
  PyObject* self = PyCFunction_Check(function) ? PyCFunction_GET_SELF(function) : nullptr;
  return self != nullptr && !PyModule_Check(self);
}

}  // namespace

// Both picklers, and deepcopy(), look at the type of these before they look at copyreg.
PyObject* wrap(PyObject* object) {
  bool needs_it = PyFunction_Check(object) ? !is_importable(object)
                                           : PyExceptionInstance_Check(object) || is_bound(object);
  if (!needs_it) {
    return Py_NewRef(object);
  }
  Object module = Object::steal(PyImport_ImportModule("stackless._wrap"));
  return module ? PyObject_CallMethod(module.get(), "stand_in", "O", object) : nullptr;
}

Object wrapped(PyObject* object) { return Object::steal(wrap(object)); }

// Puts what stands for each item of a tuple in its place, which nobody else has seen yet. False with
// an exception set.
bool wrap_items(PyObject* tuple) {
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); ++i) {
    Object item = wrapped(PyTuple_GET_ITEM(tuple, i));
    if (!item) {
      return false;
    }
    Object replaced = Object::steal(PyTuple_GET_ITEM(tuple, i));
    PyTuple_SET_ITEM(tuple, i, item.release());
  }
  return true;
}

// The same for an object that may be such a tuple, or be without one (null, None).
bool wrap_deep(const Object& object) {
  return !object || !PyTuple_CheckExact(object.get()) || wrap_items(object.get());
}

Object attributes_of(PyObject* object, PyTypeObject* base) {
  Object attributes = Py_IS_TYPE(object, base)
                          ? none()
                          : Object::steal(PyObject_CallMethod(object, "__getstate__", nullptr));
  // Not its own dictionary, which may change while the rest is pickled.
  return attributes && PyDict_CheckExact(attributes.get())
             ? Object::steal(PyDict_Copy(attributes.get()))
             : attributes;
}

bool set_attributes(PyObject* object, PyObject* attributes) {
  if (attributes == Py_None) {
    return true;
  }
  PyObject* parts[2] = {attributes, Py_None};
  if (PyTuple_CheckExact(attributes) && PyTuple_GET_SIZE(attributes) == 2) {
    parts[0] = PyTuple_GET_ITEM(attributes, 0);
    parts[1] = PyTuple_GET_ITEM(attributes, 1);
  }
  for (PyObject* part : parts) {
    if (part == Py_None) {
      continue;
    }
    if (!PyDict_CheckExact(part)) {
      return raise(PyExc_TypeError, "the attributes are a dictionary") != nullptr;
    }
    PyObject *name, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(part, &position, &name, &value)) {
      Object keep_name = Object::share(name), keep_value = Object::share(value);
      if (PyObject_SetAttr(object, name, value) < 0) {
        return false;
      }
    }
  }
  return true;
}
}  // namespace stackless
