// CPython 3.15: as 3.14, and every chain of frames ends at the thread's own base frame.
#pragma once

#include "interp/versions/field_owners.hpp"
#include "interp/versions/since_3_14.hpp"

namespace stackless::interp {

inline _PyInterpreterFrame* bottom(PyThreadState* ts) noexcept { return ts->base_frame; }
// The thread's base frame, which has no previous one, is the sentinel below all loops.
inline bool is_loop_frame(_PyInterpreterFrame* frame) {
  return frame->owner >= FRAME_OWNED_BY_INTERPRETER;
}
inline bool is_entry(_PyInterpreterFrame* frame) {
  return is_loop_frame(frame) && frame->previous != nullptr;
}
inline bool is_python(_PyInterpreterFrame* frame) {
  return !is_loop_frame(frame) && !_PyFrame_IsIncomplete(frame);
}

// Beside an iterator lies an index, or null.
inline constexpr bool iterators_have_index = true;

#define STACKLESS_TS(owner, name) STACKLESS_FIELD(PyThreadState, owner, name)
inline constexpr Field manifest[] = {
    STACKLESS_TS(thread, prev),
    STACKLESS_TS(thread, next),
    STACKLESS_TS(thread, interp),
    STACKLESS_TS(thread, eval_breaker),
    STACKLESS_TS(thread, _status),
    STACKLESS_TS(thread, holds_gil),
    STACKLESS_TS(thread, gil_requested),
    STACKLESS_TS(thread, _whence),
    STACKLESS_TS(thread, state),
    STACKLESS_TS(tasklet, py_recursion_remaining),
    STACKLESS_TS(thread, py_recursion_limit),
    STACKLESS_TS(tasklet, recursion_headroom),
    STACKLESS_TS(tasklet, tracing),
    STACKLESS_TS(tasklet, what_event),
    STACKLESS_TS(tasklet, current_frame),
    STACKLESS_TS(thread, base_frame),
    STACKLESS_TS(thread, last_profiled_frame),
    STACKLESS_TS(thread, last_profiled_frame_seq),
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
    STACKLESS_TS(thread, datastack_cached_chunk),
    STACKLESS_TS(thread, exc_state),
    STACKLESS_TS(tasklet, current_executor),
    STACKLESS_TS(irrelevant, jit_exit),
    STACKLESS_TS(thread, dict_global_version),
    STACKLESS_TS(thread, threading_local_key),
    STACKLESS_TS(thread, threading_local_sentinel),
    STACKLESS_TS(thread, remote_debugger_support),
    STACKLESS_TS(thread, ensure),
};
static_assert(covers(manifest, 0, sizeof(PyThreadState)), "classify the new fields");
static_assert(has_members<PyThreadState, std::size(manifest)>(), "classify the new fields");

#define STACKLESS_IMPL(owner, name) STACKLESS_FIELD(_PyThreadStateImpl, owner, name)
inline constexpr Field impl_manifest[] = {
    STACKLESS_IMPL(thread, base_frame),           STACKLESS_IMPL(thread, refcount),
    STACKLESS_IMPL(tasklet, c_stack_top),         STACKLESS_IMPL(tasklet, c_stack_soft_limit),
    STACKLESS_IMPL(tasklet, c_stack_hard_limit),  STACKLESS_IMPL(thread, c_stack_init_base),
    STACKLESS_IMPL(thread, c_stack_init_top),     STACKLESS_IMPL(thread, asyncio_running_loop),
    STACKLESS_IMPL(thread, asyncio_running_task), STACKLESS_IMPL(irrelevant, generator_return_kind),
    STACKLESS_IMPL(thread, asyncio_tasks_head),   STACKLESS_IMPL(thread, qsbr),
    STACKLESS_IMPL(thread, mem_free_queue),
};
static_assert(covers(impl_manifest, sizeof(PyThreadState), sizeof(_PyThreadStateImpl)),
              "classify the new fields");
static_assert(has_members<_PyThreadStateImpl, std::size(impl_manifest) + 1>(),
              "classify the new fields");

}  // namespace stackless::interp
