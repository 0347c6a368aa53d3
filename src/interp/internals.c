/* What only CPython's C headers say, and C++ can't include. */
#define Py_BUILD_CORE 1
#include <Python.h>
#if PY_VERSION_HEX >= 0x030C0000 && PY_VERSION_HEX < 0x030D0000
#include <internal/pycore_interp.h>
#include <stddef.h>

__attribute__((visibility("hidden"))) extern const size_t stackless_monitoring_version;
const size_t stackless_monitoring_version = offsetof(PyInterpreterState, monitoring_version);
#endif
