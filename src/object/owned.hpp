// An owned reference, for as long as something may fail.
#pragma once

#include <Python.h>

#include <memory>

namespace stackless::interp {

struct Drop {
  void operator()(PyObject* object) const noexcept { Py_DECREF(object); }
};
using Owned = std::unique_ptr<PyObject, Drop>;

}  // namespace stackless::interp
