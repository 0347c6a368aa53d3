// What sys.monitoring and sys.settrace() have changed while a tasklet was suspended (3.12+).
//
// Tools work by rewriting bytecode. When their events change, CPython rewrites the code of all frames
// it can walk to (Python/instrumentation.c, instrument_all_executing_code_objects), which leaves out
// those of suspended tasklets; they catch up when they run again.
#pragma once

#include <Python.h>

#include <cstddef>
#include <cstdint>

namespace stackless::interp {

#if PY_VERSION_HEX >= 0x030D0000

// Beside the events proper, eval_breaker holds the version that code has to be at
// (Include/internal/pycore_ceval.h, _PY_EVAL_EVENTS_BITS).
inline std::uintptr_t monitoring_version(PyThreadState* ts) noexcept {
  constexpr std::uintptr_t events = 0xFF;
  return ts->eval_breaker & ~events;
}

#elif PY_VERSION_HEX >= 0x030C0000

extern "C" const std::size_t stackless_monitoring_version;  // its offset in PyInterpreterState

inline std::uintptr_t monitoring_version(PyThreadState* ts) noexcept {
  return *reinterpret_cast<std::uint64_t*>(reinterpret_cast<char*>(ts->interp) +
                                           stackless_monitoring_version);
}

#else

constexpr std::uintptr_t monitoring_version(PyThreadState*) noexcept { return 0; }

#endif

// catch_up() rewrites the code of the running tasklet's frames where that is due.
void catch_up(PyThreadState* ts) noexcept;

// check_monitoring() returns 0 if monitoring_version() says the truth, else -1 with an ImportError.
int check_monitoring();

}  // namespace stackless::interp
