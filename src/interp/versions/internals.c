/* What only CPython's C headers say, and C++ can't include. */
#define Py_BUILD_CORE 1
#include <Python.h>
#include <stddef.h>
#if PY_VERSION_HEX >= 0x030D0000
#define NEED_OPCODE_METADATA 1
#include <internal/pycore_opcode_metadata.h>
#include <opcode_ids.h>
#else
#define NEED_OPCODE_TABLES 1
#include <internal/pycore_opcode.h>
#include <opcode.h>
#endif
#include <internal/pycore_interp.h>

#include "interp/versions/internals.h"

const uint8_t* const stackless_inline_caches = _PyOpcode_Caches;

static PyInterpreterState* interpreter(void) { return PyThreadState_Get()->interp; }
#if PY_VERSION_HEX >= 0x030C0000
PyObject* stackless_importlib(void) { return interpreter()->imports.importlib; }
PyObject* stackless_import_function(void) { return interpreter()->imports.import_func; }
#else
PyObject* stackless_importlib(void) { return interpreter()->importlib; }
PyObject* stackless_import_function(void) { return interpreter()->import_func; }
#endif
int stackless_is_verbose(void) { return interpreter()->config.verbose; }
int stackless_measures_imports(void) { return interpreter()->config.import_time; }

#if PY_VERSION_HEX >= 0x030C0000
const int stackless_first_instrumented = MIN_INSTRUMENTED_OPCODE;
#else
const int stackless_first_instrumented = 256;
#endif

#if PY_VERSION_HEX >= 0x030C0000 && PY_VERSION_HEX < 0x030D0000
const size_t stackless_monitoring_version = offsetof(PyInterpreterState, monitoring_version);
const int stackless_tools = PY_MONITORING_TOOL_IDS;

PyObject* stackless_raise_callback(PyThreadState* ts, int tool) {
  int wanted = ts->interp->monitors.tools[PY_MONITORING_EVENT_RAISE] >> tool & 1;
  return wanted ? ts->interp->monitoring_callables[tool][PY_MONITORING_EVENT_RAISE] : NULL;
}
#endif
