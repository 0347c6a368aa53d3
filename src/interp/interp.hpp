// What the rest of the house may know of CPython's internals: nothing but this interface.
//
// A suspended tasklet's share of PyThreadState (frames, data stack, exception state, recursion
// budgets, context, tracing) is a Parked, which lies on the tasklet's own C stack. Which fields
// that is differs by version: one file v3_<minor>.hpp each.
#pragma once

#include "interp/frames/call_mark.hpp"
#include "interp/freezing/inspect.hpp"
#include "interp/switching/suspended.hpp"
#include "interp/versions/self_check.hpp"
