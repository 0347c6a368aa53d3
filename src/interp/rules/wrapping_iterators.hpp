// Wrappers: the iterators of C that ask another one for each item, like enumerate(). What they know they keep in
// themselves, and they change nothing before they have been answered. So it doesn't matter to one that the call in
// which it has asked is gone: it is asked anew, and gets the answer from a stand-in for whom it asks.
#pragma once

#include <Python.h>

#include <vector>

#include "object/reference.hpp"

namespace stackless::interp {

// is_wrapper() tells whether the object is one of a known type.
bool is_wrapper(PyObject* object) noexcept;

// Wrappers whose calls are about to be left by an exception, which some take for the end: they forget whom they
// ask. They are made to remember, and kept, until let_go().
class Held {
 public:
  Held() = default;
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() { let_go(); }
  // False if there is no memory.
  bool hold(PyObject* object) noexcept;
  void let_go() noexcept;

 private:
  struct Link {
    Object wrapper;
    PyObject** place;  // where the wrapper has whom it asks
    Object asked;
  };
  std::vector<Link> links_;
};

// init_wrappers() is called once, at import; -1 with an exception set.
int init_wrappers();

}  // namespace stackless::interp
