// What sys.monitoring and sys.settrace() have changed while a tasklet was suspended (3.12+).
//
// Tools work by rewriting bytecode. When their events change, CPython rewrites the code of all
// frames it can walk to (Python/instrumentation.c, instrument_all_executing_code_objects), which
// leaves out those of suspended tasklets; they catch up when they run again.
#pragma once

#include <Python.h>

#include <cstddef>
#include <cstdint>

#include "interp/versions/internals.h"

struct _PyInterpreterFrame;

namespace stackless::interp {

#if PY_VERSION_HEX >= 0x030D0000

// Beside the events proper, eval_breaker holds the version that code has to be at
// (Include/internal/pycore_ceval.h, _PY_EVAL_EVENTS_BITS).
inline std::uintptr_t monitoring_version(PyThreadState* ts) noexcept {
  constexpr std::uintptr_t events = 0xFF;
  return ts->eval_breaker & ~events;
}

#elif PY_VERSION_HEX >= 0x030C0000

inline std::uintptr_t monitoring_version(PyThreadState* ts) noexcept {
  return *reinterpret_cast<std::uint64_t*>(reinterpret_cast<char*>(ts->interp) +
                                           stackless_monitoring_version);
}

#else

constexpr std::uintptr_t monitoring_version(PyThreadState*) noexcept { return 0; }

#endif

// instrumentation_version() is the version that a code object is at.
inline std::uintptr_t instrumentation_version([[maybe_unused]] PyCodeObject* code) noexcept {
#if PY_VERSION_HEX >= 0x030C0000
  return code->_co_instrumentation_version;
#else
  return 0;
#endif
}

// catch_up() rewrites the code of a chain of frames where that is due.
void catch_up(PyThreadState* ts, _PyInterpreterFrame* inner) noexcept;

// hide_from_tools() gives `code` monitoring data of its own, which say that no tool wants to know
// of it; -1 with an exception set. (Without, 3.15 crashes when an exception leaves code whose owner
// has never been instrumented.)
int hide_from_tools(PyObject* code);

// tell_of_raise() has tools told of the exception that is set, as the interpreter does at `frame`
// where C code has raised StopIteration to end an await. They may replace it. (From 3.15 on nothing
// is told of that.)
void tell_of_raise(PyThreadState* ts, _PyInterpreterFrame* frame) noexcept;

// check_monitoring() returns 0 if monitoring_version() says the truth, else -1 with an ImportError.
int check_monitoring();

}  // namespace stackless::interp
