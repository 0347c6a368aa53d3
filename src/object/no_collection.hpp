// Keeps the collector from running where no Python code may.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

namespace stackless {

// No collection begins as long as one of these lives: on 3.11 the collector may run wherever an object is made
// (Modules/gcmodule.c, gc_alloc()), and a destructor may run or change what is being looked at.
class NoCollection {
 public:
  NoCollection() noexcept : collects_(PyGC_Disable() != 0) {}
  ~NoCollection() {
    if (collects_) {
      PyGC_Enable();
    }
  }
  NoCollection(const NoCollection&) = delete;
  NoCollection& operator=(const NoCollection&) = delete;

 private:
  bool collects_;
};

}  // namespace stackless
