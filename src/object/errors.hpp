// Errors as CPython has them: an exception is set, and null returned.
#pragma once

#include "object/compat.hpp"
#include "object/reference.hpp"

namespace stackless {

// raise() sets an exception and returns null, whatever null the caller needs.
template <class... Args>
std::nullptr_t raise(PyObject* type, const char* format, Args... args) {
  PyErr_Format(type, format, args...);
  return nullptr;
}
inline std::nullptr_t raise(PyObject* type, const char* message) {
  PyErr_SetString(type, message);
  return nullptr;
}

// KeepException puts the current exception aside for as long as it lives.
class KeepException {
 public:
  KeepException() : exception_(take_exception()) {}
  ~KeepException() {
    if (exception_) {
      restore_exception(std::move(exception_));
    }
  }
  KeepException(const KeepException&) = delete;
  KeepException& operator=(const KeepException&) = delete;

 private:
  Object exception_;
};

}  // namespace stackless
