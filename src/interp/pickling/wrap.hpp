// Stand-ins for what pickle can't write as it is, made by stackless._wrap.
#pragma once

#include "object/reference.hpp"

namespace stackless {

// wrap() returns what stands for an object that pickle can't write as it is, or the object: a new reference, null with
// an exception set. wrapped() is the same, owned.
PyObject* wrap(PyObject* object);
Object wrapped(PyObject* object);

// attributes_of() returns what a class derived from `base` has added to an object, as object.__getstate__()
// does: None, a dictionary, or a pair with one for slots. set_attributes() is the way back; false with an
// exception set.
Object attributes_of(PyObject* object, PyTypeObject* base);
bool set_attributes(PyObject* object, PyObject* attributes);

// wrap_items() puts stand-ins into a tuple that nobody else has seen; wrap_deep() into such tuples within one another.
// False with an exception set.
bool wrap_items(PyObject* tuple);
bool wrap_deep(const Object& object);

}  // namespace stackless
