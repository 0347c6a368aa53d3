// The functions of the module.
#pragma once

#include "object/reference.hpp"

namespace stackless {

extern PyMethodDef functions[];

// init_functions() says how tasklets go on that were frozen in these.
void init_functions();

}  // namespace stackless
