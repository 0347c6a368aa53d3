// What a function of ours has been called with, so that the frame in which a tasklet waits can be
// asked whether that frame has made the call (is_under_way() in frames/call_position.hpp).
// Otherwise a destructor has, when the frame's own call was over; to take the one for the other
// would return the value into the wrong place.
#pragma once

#include <Python.h>

#include <cstdint>

#include "interp/versions/facts.hpp"

namespace stackless::interp {

// One word: an address, which is a multiple of 8, and a kind. Null if nobody is to ask.
class CallMark {
 public:
  enum class Kind : std::uint8_t { arguments, no_arguments, turn };

  constexpr CallMark(std::nullptr_t = nullptr) noexcept {}

  // of_arguments() is known by where the evaluation loop keeps the arguments; or where calls copy
  // them, and that tells nothing, by the first one.
  static CallMark of_arguments(const void* identity) noexcept {
    return {identity, Kind::arguments};
  }
  // of_no_arguments(), where calls copy arguments, says whether a frame has called: C code passes
  // null (Include/ internal/pycore_call.h, _PyObject_CallNoArgs).
  static CallMark of_no_arguments(PyObject* const* arguments) noexcept {
    return {arguments, Kind::no_arguments};
  }
  // of_turn() is that of a loop which asks `iterator` for a value; no call has the same.
  static CallMark of_turn(PyObject* iterator) noexcept { return {iterator, Kind::turn}; }

  Kind kind() const noexcept { return static_cast<Kind>(word_ & 7); }
  bool is_without_arguments() const noexcept {
    return kind() == Kind::no_arguments && *this != of_no_arguments(nullptr);
  }
  friend bool operator==(CallMark, CallMark) noexcept = default;

 private:
  CallMark(const void* address, Kind kind) noexcept
      : word_(reinterpret_cast<std::uintptr_t>(address) + static_cast<std::uintptr_t>(kind)) {}

  std::uintptr_t word_ = 0;
};

// call_mark() is the mark of a METH_FASTCALL function's call.
inline CallMark call_mark(PyObject* const* arguments, [[maybe_unused]] Py_ssize_t count) noexcept {
  if constexpr (calls_copy_arguments) {
    return count > 0 ? CallMark::of_arguments(arguments[0]) : CallMark::of_no_arguments(arguments);
  }
  return CallMark::of_arguments(arguments);
}

// loop_mark() is the mark of a tp_iternext.
inline CallMark loop_mark(PyObject* iterator) noexcept { return CallMark::of_turn(iterator); }

}  // namespace stackless::interp
