// What asend(), __anext__(), athrow() and aclose() of an asynchronous generator return.
#pragma once

#include <Python.h>

#include "interp/versions/facts.hpp"

namespace stackless::interp {

// Objects/genobject.c, PyAsyncGenASend and PyAsyncGenAThrow (3.11 to 3.15), which no header shows.
// The import fails where this isn't how they are.
template <int count>
struct Awaitable {
  PyObject_HEAD
  PyObject* generator;
  PyObject* values[count];
  int state;
};
using Asend = Awaitable<1>;  // what is sent; null: __anext__()
// athrow(): type, traceback, value, or the arguments' tuple; all null: aclose().
using Athrow = Awaitable<athrow_keeps_arguments_apart ? 3 : 1>;
enum AwaitableState : int { awaitable_new, awaitable_begun, awaitable_closed };

inline Asend* as_asend(PyObject* object) { return reinterpret_cast<Asend*>(object); }
inline Athrow* as_athrow(PyObject* object) { return reinterpret_cast<Athrow*>(object); }

// The types of asend() and __anext__(), and of athrow() and aclose().
extern PyTypeObject* asend_type;
extern PyTypeObject* athrow_type;

inline bool is_awaitable(PyObject* object) noexcept {
  return Py_IS_TYPE(object, asend_type) || Py_IS_TYPE(object, athrow_type);
}
inline PyObject* generator_driven_by(PyObject* awaitable) noexcept {
  return reinterpret_cast<Asend*>(awaitable)->generator;
}
// sends_or_throws() is false for what __anext__() and aclose() return.
inline bool sends_or_throws(PyObject* awaitable) noexcept {
  return reinterpret_cast<Asend*>(awaitable)->values[0] != nullptr;
}
int& state_of(PyObject* awaitable) noexcept;

// given_in() is what an asynchronous generator gives, rather than waits with, if the frame yields
// that; else null. Borrowed.
PyObject* given_in(PyObject* yielded) noexcept;

// set_hooks() has an asynchronous generator take its hooks for called, with that finalizer or none
// (null).
void set_hooks(PyObject* object, PyObject* finalizer);

// init_async_generators() is called once, at import; -1 with an exception set.
int init_async_generators();

}  // namespace stackless::interp
