// CPython 3.13: C recursion is counted.
#pragma once

#include <utility>

#include "interp/versions/field_owners.hpp"
#include "interp/versions/since_3_13.hpp"
#include "interp/versions/until_3_13.hpp"
#include "object/reference.hpp"

namespace stackless::interp {

struct Share : CommonShare {
  _PyInterpreterFrame* frame;
  PyObject* delete_later;
  int depth;  // not what remains: sys.setrecursionlimit() shifts that for the running tasklet only
  int c_remaining;
  int what_event;

  void save(PyThreadState* ts) noexcept {
    CommonShare::save(ts);
    frame = ts->current_frame;
    depth = ts->py_recursion_limit - ts->py_recursion_remaining;
    c_remaining = ts->c_recursion_remaining;
    what_event = ts->what_event;
    delete_later = ts->delete_later;
  }

  void load(PyThreadState* ts) const noexcept {
    CommonShare::load(ts);
    ts->current_frame = frame;
    ts->py_recursion_remaining = ts->py_recursion_limit - depth;
    ts->c_recursion_remaining = c_remaining;
    ts->what_event = what_event;
    ts->delete_later = delete_later;
  }

  static void fresh(PyThreadState* ts, BaseLayout* base, core::Stack* stack,
                    PyObject* context) noexcept {
    CommonShare::fresh(ts, &base->exc_item, stack, context);
    ts->current_frame = nullptr;
    ts->py_recursion_remaining = ts->py_recursion_limit;
    // A level of C recursion takes up to about 2.5 KB, through sorted(key=...).
    int carries = static_cast<int>(stack->size() / 2560);
    ts->c_recursion_remaining = carries < Py_C_RECURSION_LIMIT ? carries : Py_C_RECURSION_LIMIT;
    ts->what_event = -1;
    ts->delete_later = nullptr;
  }
};

inline _PyInterpreterFrame* top_of(const Share& share) { return share.frame; }
inline bool is_entry(_PyInterpreterFrame* frame) { return frame->owner == FRAME_OWNED_BY_CSTACK; }
inline bool is_python(_PyInterpreterFrame* frame) {
  return !is_entry(frame) && !_PyFrame_IsIncomplete(frame);
}

inline PyCodeObject* code_of(_PyInterpreterFrame* frame) {
  return reinterpret_cast<PyCodeObject*>(frame->f_executable);
}
inline void set_code(_PyInterpreterFrame* frame, PyObject* code) { frame->f_executable = code; }
inline PyObject* function_of(_PyInterpreterFrame* frame) { return frame->f_funcobj; }
inline void set_function(_PyInterpreterFrame* frame, PyObject* function) {
  frame->f_funcobj = function;
}
// drop_function() leaves a generator's frame as it is when it has finished.
inline void drop_function(_PyInterpreterFrame* frame) { clear_reference(frame->f_funcobj); }
inline void drop_function_and_code(_PyInterpreterFrame* frame) {
  drop_reference(frame->f_funcobj);
  drop_reference(frame->f_executable);
}
inline int visit_function_and_code(_PyInterpreterFrame* frame, visitproc visit, void* arg) {
  Py_VISIT(frame->f_funcobj);
  Py_VISIT(frame->f_executable);
  return 0;
}
// Both have the same code.
inline void swap_function_and_code(_PyInterpreterFrame* a, _PyInterpreterFrame* b) {
  std::swap(a->f_funcobj, b->f_funcobj);
}

// Whose frame shows up in no traceback.
inline constexpr auto hidden_owner = FRAME_OWNED_BY_CSTACK;

// Beside an iterator lies an index, or null.
inline constexpr bool iterators_have_index = false;

#define STACKLESS_TS(owner, name) STACKLESS_FIELD(PyThreadState, owner, name)
inline constexpr Field manifest[] = {
    STACKLESS_TS(thread, prev),
    STACKLESS_TS(thread, next),
    STACKLESS_TS(thread, interp),
    STACKLESS_TS(thread, eval_breaker),
    STACKLESS_TS(thread, _status),
    STACKLESS_TS(thread, _whence),
    STACKLESS_TS(thread, state),
    STACKLESS_TS(tasklet, py_recursion_remaining),
    STACKLESS_TS(thread, py_recursion_limit),
    STACKLESS_TS(tasklet, c_recursion_remaining),
    STACKLESS_TS(tasklet, recursion_headroom),
    STACKLESS_TS(tasklet, tracing),
    STACKLESS_TS(tasklet, what_event),
    STACKLESS_TS(tasklet, current_frame),
    STACKLESS_TS(tasklet, c_profilefunc),
    STACKLESS_TS(tasklet, c_tracefunc),
    STACKLESS_TS(tasklet, c_profileobj),
    STACKLESS_TS(tasklet, c_traceobj),
    STACKLESS_TS(irrelevant, current_exception),
    STACKLESS_TS(tasklet, exc_info),
    STACKLESS_TS(thread, dict),
    STACKLESS_TS(thread, gilstate_counter),
    STACKLESS_TS(thread, async_exc),
    STACKLESS_TS(thread, thread_id),
    STACKLESS_TS(thread, native_thread_id),
    STACKLESS_TS(tasklet, delete_later),
    STACKLESS_TS(irrelevant, critical_section),
    STACKLESS_TS(thread, coroutine_origin_tracking_depth),
    STACKLESS_TS(thread, async_gen_firstiter),
    STACKLESS_TS(thread, async_gen_finalizer),
    STACKLESS_TS(tasklet, context),
    STACKLESS_TS(thread, context_ver),
    STACKLESS_TS(thread, id),
    STACKLESS_TS(tasklet, datastack_chunk),
    STACKLESS_TS(tasklet, datastack_top),
    STACKLESS_TS(tasklet, datastack_limit),
    STACKLESS_TS(thread, exc_state),
    STACKLESS_TS(irrelevant, previous_executor),
    STACKLESS_TS(thread, dict_global_version),
    STACKLESS_TS(thread, threading_local_key),
    STACKLESS_TS(thread, threading_local_sentinel),
};
inline constexpr std::size_t late_fields = cached_chunk_fields<PyThreadState>;
static_assert(covers(manifest, 0, sizeof(PyThreadState) - late_fields * sizeof(void*)),
              "classify the new fields");
static_assert(has_members<PyThreadState, std::size(manifest) + late_fields>(),
              "classify the new fields");

#define STACKLESS_IMPL(owner, name) STACKLESS_FIELD(_PyThreadStateImpl, owner, name)
inline constexpr Field impl_manifest[] = {
    STACKLESS_IMPL(thread, asyncio_running_loop),
    STACKLESS_IMPL(thread, qsbr),
    STACKLESS_IMPL(thread, mem_free_queue),
};
static_assert(covers(impl_manifest, sizeof(PyThreadState), sizeof(_PyThreadStateImpl)),
              "classify the new fields");
static_assert(has_members<_PyThreadStateImpl, std::size(impl_manifest) + 1>(),
              "classify the new fields");

}  // namespace stackless::interp
