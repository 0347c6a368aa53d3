// What asend(), __anext__(), athrow() and aclose() of an asynchronous generator return, and how it gets out
// of a pickle.
#pragma once

#include <Python.h>

#include "interp/frames/async_generators.hpp"

namespace stackless::interp {

// Shells as in interp/shells.hpp: async_generator_asend() and async_generator_athrow() in stackless._wrap. Their
// __reduce__(object), a static method, returns what the original's does.
extern PyTypeObject AsendShell;
extern PyTypeObject AthrowShell;

// init_awaitables() is called once, at import; -1 with an exception set.
int init_awaitables();

}  // namespace stackless::interp
