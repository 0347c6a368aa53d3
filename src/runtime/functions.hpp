// The functions of the module.
#pragma once

#include "runtime/python.hpp"

namespace stackless {

extern PyMethodDef functions[];

}  // namespace stackless
