/* What internals.c tells the rest of interp/. */
#pragma once

#include <Python.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)
#ifdef __cplusplus
extern "C" {
#endif

/* How many cache entries follow an instruction, by opcode. */
extern const uint8_t* const stackless_inline_caches;
/* From this opcode on a tool is told of what the instruction does; 256 if there are none. */
extern const int stackless_first_instrumented;

#if PY_VERSION_HEX >= 0x030C0000 && PY_VERSION_HEX < 0x030D0000
/* The offset of monitoring_version in PyInterpreterState. */
extern const size_t stackless_monitoring_version;
/* What a tool, numbered from 0 on, wants to have called when an exception is raised; borrowed, or null. */
extern const int stackless_tools;
PyObject* stackless_raise_callback(PyThreadState* ts, int tool);
#endif

/* importlib._bootstrap and builtins.__import__() as they were at the beginning; borrowed. */
PyObject* stackless_importlib(void);
PyObject* stackless_import_function(void);
/* Whether python -v (then nothing is cut out of tracebacks), python -X importtime. */
int stackless_is_verbose(void);
int stackless_measures_imports(void);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

/* From 3.13 on no public header has these (Objects/genobject.c). */
#ifdef __cplusplus
extern "C" {
#endif
PyAPI_FUNC(int) _PyGen_SetStopIterationValue(PyObject*);
PyAPI_FUNC(int) _PyGen_FetchStopIterationValue(PyObject**);
#ifdef __cplusplus
}
#endif
