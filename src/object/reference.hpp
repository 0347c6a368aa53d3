// A thin layer over CPython's C API: an owning reference, and errors as CPython has them.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <utility>

namespace stackless {

// Ref owns one reference to a T (an object whose struct begins with PyObject_HEAD), or nothing.
// As a member of a Python object it starts as the zeroes that the allocator leaves, and the
// object's dealloc calls reset().
template <class T = PyObject>
class Ref {
 public:
  Ref() noexcept = default;
  Ref(std::nullptr_t) noexcept {}
  Ref(Ref&& other) noexcept : pointer_(std::exchange(other.pointer_, nullptr)) {}
  Ref(const Ref& other) noexcept : pointer_(other.pointer_) { Py_XINCREF(as_object(pointer_)); }
  ~Ref() { Py_XDECREF(as_object(pointer_)); }
  // What the old object's destructor does may look at this Ref: it already holds the new one.
  Ref& operator=(Ref other) noexcept {
    std::swap(pointer_, other.pointer_);
    return *this;
  }

  // steal() takes over a reference that the caller owns; share() adds one of its own.
  static Ref steal(T* pointer) noexcept {
    Ref ref;
    ref.pointer_ = pointer;
    return ref;
  }
  static Ref share(T* pointer) noexcept {
    Py_XINCREF(as_object(pointer));
    return steal(pointer);
  }

  T* get() const noexcept { return pointer_; }
  T* operator->() const noexcept { return pointer_; }
  explicit operator bool() const noexcept { return pointer_ != nullptr; }
  // release() gives the reference away.
  T* release() noexcept { return std::exchange(pointer_, nullptr); }
  PyObject* release_object() noexcept { return as_object(release()); }
  PyObject* object() const noexcept { return as_object(pointer_); }
  void reset() noexcept { Ref dropped(std::move(*this)); }

 private:
  static PyObject* as_object(T* pointer) noexcept { return reinterpret_cast<PyObject*>(pointer); }
  T* pointer_ = nullptr;
};

using Object = Ref<PyObject>;

inline Object none() { return Object::share(Py_None); }

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

// count_arguments() counts those of a METH_FASTCALL | METH_KEYWORDS call, in whichever way they are given.
inline Py_ssize_t count_arguments(Py_ssize_t nargs, PyObject* names) {
  return nargs + (names != nullptr ? PyTuple_GET_SIZE(names) : 0);
}

// takes() tells whether a METH_FASTCALL function got the `count` arguments that it takes, none or one;
// TypeError, in CPython's words, if it didn't.
inline bool takes(const char* name, Py_ssize_t count, Py_ssize_t nargs) {
  if (nargs == count) {
    return true;
  }
  raise(PyExc_TypeError,
        count == 0 ? "%s() takes no arguments (%zd given)"
                   : "%s() takes exactly one argument (%zd given)",
        name, nargs);
  return false;
}

// A method table's entry for any calling convention.
template <class F>
PyCFunction method(F* function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

}  // namespace stackless
