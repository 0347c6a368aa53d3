// CPython 3.14: C recursion is limited by the stack's addresses; code may run in a JIT executor.
#pragma once

#define Py_BUILD_CORE 1
#include <internal/pycore_code.h>
#include <internal/pycore_context.h>
#include <internal/pycore_frame.h>
#include <internal/pycore_interpframe.h>
#include <internal/pycore_tstate.h>
#undef Py_BUILD_CORE

#include "interp/versions/field_owners.hpp"
#include "interp/versions/thread_state.hpp"

namespace stackless::interp {

// What C code that never checks the limits may still use below the hard one.
inline constexpr std::uintptr_t unchecked_headroom = 96 * 1024;

struct BaseLayout {
  _PyErr_StackItem exc_item;
};

struct Share : CommonShare {
  _PyInterpreterFrame* frame;
  PyObject* delete_later;
  PyObject* executor;  // strong: a suspended tasklet's machine code must not be freed
  std::uintptr_t stack_top;
  std::uintptr_t soft_limit;
  std::uintptr_t hard_limit;
  int depth;  // not what remains: sys.setrecursionlimit() shifts that for the running tasklet only
  int what_event;

  void save(PyThreadState* ts) noexcept {
    CommonShare::save(ts);
    frame = ts->current_frame;
    depth = ts->py_recursion_limit - ts->py_recursion_remaining;
    what_event = ts->what_event;
    delete_later = ts->delete_later;
    executor = Py_XNewRef(ts->current_executor);
    auto* impl = reinterpret_cast<_PyThreadStateImpl*>(ts);
    stack_top = impl->c_stack_top;
    soft_limit = impl->c_stack_soft_limit;
    hard_limit = impl->c_stack_hard_limit;
  }

  void load(PyThreadState* ts) const noexcept {
    CommonShare::load(ts);
    ts->current_frame = frame;
    ts->py_recursion_remaining = ts->py_recursion_limit - depth;
    ts->what_event = what_event;
    ts->delete_later = delete_later;
    ts->current_executor = executor;
    auto* impl = reinterpret_cast<_PyThreadStateImpl*>(ts);
    impl->c_stack_top = stack_top;
    impl->c_stack_soft_limit = soft_limit;
    impl->c_stack_hard_limit = hard_limit;
    Py_XDECREF(executor);  // the C stack that runs it holds its own reference
  }

  static void fresh(PyThreadState* ts, BaseLayout* base, core::Stack* stack,
                    PyObject* context) noexcept {
    CommonShare::fresh(ts, &base->exc_item, stack, context);
    ts->current_frame = nullptr;
    ts->py_recursion_remaining = ts->py_recursion_limit;
    ts->current_executor = nullptr;
    auto* impl = reinterpret_cast<_PyThreadStateImpl*>(ts);
    impl->c_stack_top = reinterpret_cast<std::uintptr_t>(stack->top());
    impl->c_stack_hard_limit = reinterpret_cast<std::uintptr_t>(stack->low) + unchecked_headroom;
    impl->c_stack_soft_limit = impl->c_stack_hard_limit + _PyOS_STACK_MARGIN_BYTES;
    ts->what_event = -1;
    ts->delete_later = nullptr;
  }
};

inline _PyInterpreterFrame* top_of(PyThreadState* ts) { return ts->current_frame; }
inline _PyInterpreterFrame* top_of(const Share& share) { return share.frame; }
inline void set_top(PyThreadState* ts, _PyInterpreterFrame* frame) { ts->current_frame = frame; }
inline _PyInterpreterFrame* caller_of(_PyInterpreterFrame* frame) { return frame->previous; }
inline PyCodeObject* code_of(_PyInterpreterFrame* frame) {
  return reinterpret_cast<PyCodeObject*>(PyStackRef_AsPyObjectBorrow(frame->f_executable));
}
inline bool is_entry(_PyInterpreterFrame* frame) {
  return frame->owner >= FRAME_OWNED_BY_INTERPRETER;
}
inline bool is_python(_PyInterpreterFrame* frame) {
  return !is_entry(frame) && !_PyFrame_IsIncomplete(frame);
}

using Slot = _PyStackRef;
inline PyObject* function_of(_PyInterpreterFrame* frame) {
  return PyStackRef_AsPyObjectBorrow(frame->f_funcobj);
}
inline void set_function(_PyInterpreterFrame* frame, PyObject* function) {
  frame->f_funcobj = PyStackRef_FromPyObjectSteal(function);
}
inline void set_code(_PyInterpreterFrame* frame, PyObject* code) {
  frame->f_executable = PyStackRef_FromPyObjectSteal(code);
}
inline _Py_CODEUNIT*& instruction_of(_PyInterpreterFrame* frame) { return frame->instr_ptr; }
inline int opcode_at(const _Py_CODEUNIT* instruction) { return instruction->op.code; }
inline int frame_words(PyCodeObject* code) { return code->co_framesize; }
inline void drop_function_and_code(_PyInterpreterFrame* frame) {
  PyStackRef_CLOSE(frame->f_funcobj);
  PyStackRef_CLOSE(frame->f_executable);
}
inline int visit_function_and_code(_PyInterpreterFrame* frame, visitproc visit, void* arg) {
  for (_PyStackRef reference : {frame->f_funcobj, frame->f_executable}) {
    if (!PyStackRef_IsNull(reference) && PyStackRef_RefcountOnObject(reference)) {
      Py_VISIT(PyStackRef_AsPyObjectBorrow(reference));
    }
  }
  return 0;
}
// empty_generator() has a generator's frame be one of `code`, which isn't dropped with it (Python/ceval.c,
// clear_gen_frame). The innermost one of a loop, and no other, may look like the loop's own: so it is kept out
// of tracebacks (_PyFrame_IsIncomplete).
inline void empty_generator(_PyInterpreterFrame* frame, PyObject* code,
                            [[maybe_unused]] bool innermost) {
  set_code(frame, code);
#ifndef Py_DEBUG  // asserts that it is what it is; the traceback does no harm
  if (innermost) {
    frame->owner = FRAME_OWNED_BY_INTERPRETER;
  }
#endif
}
inline _Py_CODEUNIT* before_first(PyCodeObject* code) { return _PyCode_CODE(code); }
inline void add_depth(PyThreadState* ts, int depth) { ts->py_recursion_remaining -= depth; }

// ---- instructions (Python/bytecodes.c) ----
inline int comparison_of(int argument) { return argument >> 5; }
inline bool makes_bool(int argument) { return (argument & 16) != 0; }
inline int name_index(int argument) { return argument >> 1; }
// LOAD_ATTR for a call pushes [null, attribute], or later the reverse.
inline constexpr bool attribute_comes_first = true;
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
