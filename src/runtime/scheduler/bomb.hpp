// A bomb is an exception on its way to the tasklet that will raise it.
#pragma once

#include "object/reference.hpp"

namespace stackless {

struct Bomb {
  PyObject_HEAD
  Object exception;  // an instance, traceback attached
};

extern PyTypeObject BombType;

inline bool is_bomb(PyObject* object) { return Py_IS_TYPE(object, &BombType); }

// make_bomb() wraps an exception instance; null with an exception set on failure.
Object make_bomb(Object exception);
// make_exception() builds the instance that `raise type, value, traceback` would raise: `value` may
// be null or None, an instance of `type`, a tuple of arguments, or one argument.
Object make_exception(PyObject* type, PyObject* value, PyObject* traceback);
// make_exception_from() builds type(*rest) of a method's arguments (type, *rest), for raise_exception() and
// send_exception(), which are named `owner`.`method`.
Object make_exception_from(PyObject* args, const char* owner, const char* method);
// explode() raises the bomb's exception and returns null.
std::nullptr_t explode(const Object& bomb);

}  // namespace stackless
