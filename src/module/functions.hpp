// The functions of the module.
#pragma once

#include "object/reference.hpp"

namespace stackless {

extern PyMethodDef functions[];

}  // namespace stackless
