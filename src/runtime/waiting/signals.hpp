// Signal handlers: no tasklet switch inside one.
#pragma once

#include "object/reference.hpp"

namespace stackless {

// The type that python/stackless/_signals.py wraps handlers in.
extern PyTypeObject HandlerType;

}  // namespace stackless
