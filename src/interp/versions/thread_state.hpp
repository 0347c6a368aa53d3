// The part of a tasklet's share of PyThreadState that is spelled alike on every version.
//
// It is laid out for the switch: what is nearly always the same (no trace function) is tested, not
// copied.
#pragma once

#include <Python.h>

#include "core/stack_pool.hpp"
#include "interp/versions/monitoring.hpp"

namespace stackless::interp {

// Trace and profile functions. They move with their references: CPython's count of traced threads
// (interp->sys_tracing_threads, 3.12+) goes on counting those of suspended tasklets, so that the
// instrumentation stays in place for them.
struct Tracing {
  Py_tracefunc trace_function;
  Py_tracefunc profile_function;
  PyObject* trace_object;
  PyObject* profile_object;

  static bool is_any(PyThreadState* ts) noexcept {
    return ts->c_tracefunc != nullptr || ts->c_profilefunc != nullptr;
  }
  void save(PyThreadState* ts) noexcept {
    *this = {ts->c_tracefunc, ts->c_profilefunc, ts->c_traceobj, ts->c_profileobj};
  }
  void load(PyThreadState* ts) const noexcept {
    ts->c_tracefunc = trace_function;
    ts->c_profilefunc = profile_function;
    ts->c_traceobj = trace_object;
    ts->c_profileobj = profile_object;
  }
};

struct CommonShare {
  _PyStackChunk* chunk;
  PyObject** data_top;
  PyObject** data_limit;
  _PyErr_StackItem* exc_info;
  PyObject* context;
  int recursion_headroom;
  int tracing;
  std::uintptr_t monitoring;
  bool traced;  // functions holds something
  Tracing functions;

  void save(PyThreadState* ts) noexcept {
    chunk = ts->datastack_chunk;
    data_top = ts->datastack_top;
    data_limit = ts->datastack_limit;
    exc_info = ts->exc_info;
    context = ts->context;
    recursion_headroom = ts->recursion_headroom;
    tracing = ts->tracing;
    monitoring = monitoring_version(ts);
    traced = Tracing::is_any(ts);
    if (traced) [[unlikely]] {
      functions.save(ts);
    }
  }

  void load(PyThreadState* ts) const noexcept {
    ts->datastack_chunk = chunk;
    ts->datastack_top = data_top;
    ts->datastack_limit = data_limit;
    ts->exc_info = exc_info;
    load_context(ts, context);
    ts->recursion_headroom = recursion_headroom;
    ts->tracing = tracing;
    if (traced || Tracing::is_any(ts)) [[unlikely]] {
      tracing_functions().load(ts);
    }
  }

  // is_stale() tells, once the share is loaded, whether catch_up() has something to do.
  bool is_stale(PyThreadState* ts) const noexcept { return monitoring != monitoring_version(ts); }

  Tracing tracing_functions() const noexcept { return traced ? functions : Tracing{}; }

  // Context variables cache their value by context_ver (Python/context.c, PyContextVar_Get).
  static void load_context(PyThreadState* ts, PyObject* context) noexcept {
    if (ts->context != context) {
      ts->context = context;
      ++ts->context_ver;
    }
  }

  static void fresh(PyThreadState* ts, _PyErr_StackItem* exc_item, core::Stack* stack,
                    PyObject* context) noexcept {
    exc_item->exc_value = nullptr;
    exc_item->previous_item = nullptr;
    ts->exc_info = exc_item;
    auto* root = reinterpret_cast<_PyStackChunk*>(stack->data);
    root->previous = nullptr;
    root->size = static_cast<std::size_t>(stack->data_end - stack->data);
    root->top = 0;
    ts->datastack_chunk = root;
    // Slot 0 stays unused, so that the root is never taken for an empty chunk and freed
    // (Python/pystate.c, _PyThreadState_PopFrame).
    ts->datastack_top = &root->data[1];
    ts->datastack_limit = reinterpret_cast<PyObject**>(stack->data_end);
    load_context(ts, context);
    ts->recursion_headroom = 0;
    ts->tracing = 0;
    Tracing{}.load(ts);
  }
};

// is_being_cleared() is true from the beginning of PyThreadState_Clear() on (Python/pystate.c, 3.12); 3.11 keeps no
// note of that.
inline bool is_being_cleared([[maybe_unused]] const PyThreadState* ts) noexcept {
#if PY_VERSION_HEX >= 0x030C0000
  return ts->_status.finalizing != 0 || ts->_status.cleared != 0;
#else
  return false;
#endif
}

}  // namespace stackless::interp
