// CPython's internal headers, as far as every file of interp may see them.
#pragma once

#include <Python.h>

#define Py_BUILD_CORE 1
#include <internal/pycore_code.h>
#include <internal/pycore_context.h>
#include <internal/pycore_frame.h>
#if PY_VERSION_HEX >= 0x030E0000
#include <internal/pycore_interpframe.h>
#endif
#if PY_VERSION_HEX >= 0x030D0000
#include <internal/pycore_tstate.h>
#endif
#undef Py_BUILD_CORE
