// CPython 3.14: an evaluation loop has a frame that the interpreter owns.
#pragma once

#include "interp/versions/field_owners.hpp"
#include "interp/versions/since_3_14.hpp"

namespace stackless::interp {

inline _PyInterpreterFrame* bottom(PyThreadState*) noexcept { return nullptr; }
inline bool is_entry(_PyInterpreterFrame* frame) {
  return frame->owner >= FRAME_OWNED_BY_INTERPRETER;
}
inline bool is_python(_PyInterpreterFrame* frame) {
  return !is_entry(frame) && !_PyFrame_IsIncomplete(frame);
}

// Beside an iterator lies an index, or null.
inline constexpr bool iterators_have_index = false;

#define STACKLESS_TS(owner, name) STACKLESS_FIELD(PyThreadState, owner, name)
inline constexpr Field manifest[] = {
    STACKLESS_TS(thread, prev),
    STACKLESS_TS(thread, next),
    STACKLESS_TS(thread, interp),
    STACKLESS_TS(thread, eval_breaker),
    STACKLESS_TS(thread, _status),
    STACKLESS_TS(thread, holds_gil),
    STACKLESS_TS(thread, _whence),
    STACKLESS_TS(thread, state),
    STACKLESS_TS(tasklet, py_recursion_remaining),
    STACKLESS_TS(thread, py_recursion_limit),
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
    STACKLESS_TS(tasklet, current_executor),
    STACKLESS_TS(thread, dict_global_version),
    STACKLESS_TS(thread, threading_local_key),
    STACKLESS_TS(thread, threading_local_sentinel),
    STACKLESS_TS(thread, remote_debugger_support),
};
inline constexpr std::size_t late_fields = cached_chunk_fields<PyThreadState>;
static_assert(covers(manifest, 0, sizeof(PyThreadState) - late_fields * sizeof(void*)),
              "classify the new fields");
static_assert(has_members<PyThreadState, std::size(manifest) + late_fields>(),
              "classify the new fields");

#define STACKLESS_IMPL(owner, name) STACKLESS_FIELD(_PyThreadStateImpl, owner, name)
inline constexpr Field impl_manifest[] = {
    STACKLESS_IMPL(thread, refcount),
    STACKLESS_IMPL(tasklet, c_stack_top),
    STACKLESS_IMPL(tasklet, c_stack_soft_limit),
    STACKLESS_IMPL(tasklet, c_stack_hard_limit),
    STACKLESS_IMPL(thread, asyncio_running_loop),
    STACKLESS_IMPL(thread, asyncio_running_task),
    STACKLESS_IMPL(thread, asyncio_tasks_head),
    STACKLESS_IMPL(thread, qsbr),
    STACKLESS_IMPL(thread, mem_free_queue),
};
inline constexpr std::size_t late_impl_fields = stack_init_fields<_PyThreadStateImpl>;
static_assert(covers(impl_manifest, sizeof(PyThreadState),
                     sizeof(_PyThreadStateImpl) - late_impl_fields * sizeof(void*)),
              "classify the new fields");
static_assert(has_members<_PyThreadStateImpl, std::size(impl_manifest) + 1 + late_impl_fields>(),
              "classify the new fields");

}  // namespace stackless::interp
