#pragma once

#include <Python.h>

#include <cstdint>

namespace stackless::interp {

// What a function of ours has been called with, so that the frame in which a tasklet waits can be asked whether
// it is that which has made the call (is_under_way() in interp/stop.hpp): such a function may be a destructor,
// too, which runs when the frame's own call is over. Null if nobody is to ask.
using CallMark = const void*;

// call_mark() is where the evaluation loop keeps the `count` arguments. From 3.14 on that is where it has copied
// them to, which tells nothing: so the first one, or if there is none, something odd that isn't 1, which it is
// where C code has called (Include/internal/pycore_call.h, _PyObject_CallNoArgs).
inline CallMark call_mark(PyObject* const* arguments, [[maybe_unused]] Py_ssize_t count) noexcept {
#if PY_VERSION_HEX >= 0x030E0000
  return count > 0 ? static_cast<CallMark>(arguments[0])
                   : reinterpret_cast<CallMark>(reinterpret_cast<std::uintptr_t>(arguments) + 1);
#else
  return arguments;
#endif
}

// loop_mark() is that of a loop's turn, which asks `iterator` for a value; no call has the same.
inline CallMark loop_mark(PyObject* iterator) noexcept {
  return reinterpret_cast<const char*>(iterator) + 2;
}
inline bool is_loop_mark(CallMark mark) noexcept {
  return (reinterpret_cast<std::uintptr_t>(mark) & 7) == 2;
}

}  // namespace stackless::interp
