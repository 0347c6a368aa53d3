// What the collector sees of a suspended tasklet's frames, frozen or mounted.
#pragma once

#include <Python.h>

#include "interp/switching/suspended.hpp"

namespace stackless::interp {

// traverse() visits what a suspended tasklet's frames own, for the collector; of frames that have
// called C code perhaps not all of it, which keeps alive what could go, never more.
int traverse(PyThreadState* ts, Suspended tasklet, visitproc visit, void* arg);

}  // namespace stackless::interp
