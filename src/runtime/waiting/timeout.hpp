// The type stackless.timeout.
#pragma once

#include "object/reference.hpp"

namespace stackless {

extern PyTypeObject TimeoutType;

// init_timeout() adds the private exception class to the module; -1 with an exception set.
int init_timeout(PyObject* module);

}  // namespace stackless
