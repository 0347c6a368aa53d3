// The type stackless.timeout.
#pragma once

#include "runtime/python.hpp"

namespace stackless {

extern PyTypeObject TimeoutType;

// init_timeout() makes the private exception class; -1 with an exception set.
int init_timeout();

}  // namespace stackless
