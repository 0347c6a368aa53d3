// The one way to own a reference to a Python object.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <type_traits>
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
  bool operator==(std::nullptr_t) const noexcept { return pointer_ == nullptr; }
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

// References that a struct of CPython's, or an object of ours on its way out, holds as plain pointers.
// What a destructor does may look at the place: it already holds what comes after.

// drop_reference() gives up the caller's reference; null is none.
template <class T>
void drop_reference(T* object) noexcept {
  Py_XDECREF(reinterpret_cast<PyObject*>(object));
}
// clear_reference() leaves null behind: for a tp_clear, a tp_dealloc and the fields of frames.
template <class T>
void clear_reference(T*& place) noexcept {
  drop_reference(std::exchange(place, nullptr));
}
// replace_reference() puts another object into the place, or null.
template <class T>
void replace_reference(T*& place, std::type_identity_t<Ref<T>> object) noexcept {
  drop_reference(std::exchange(place, object.release()));
}

}  // namespace stackless
