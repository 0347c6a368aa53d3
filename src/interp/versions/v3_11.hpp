// CPython 3.11: frames hang off a chain of _PyCFrame, one for each evaluation loop, which also says
// whether that loop traces.
#pragma once

#include <utility>

#include "interp/versions/field_owners.hpp"
#include "interp/versions/until_3_13.hpp"
#include "object/reference.hpp"

namespace stackless::interp {

struct BaseLayout {
  _PyErr_StackItem exc_item;
  _PyCFrame root;
};

struct Share : CommonShare {
  _PyCFrame* cframe;
  int depth;  // not what remains: sys.setrecursionlimit() shifts that for the running tasklet only
  int what;
  int trash_nesting;

  // What Python/ceval.c keeps in step with c_tracefunc, c_profilefunc and tracing.
  static std::uint8_t use_tracing(PyThreadState* ts) noexcept {
    return ts->tracing == 0 && Tracing::is_any(ts) ? 255 : 0;
  }

  void save(PyThreadState* ts) noexcept {
    CommonShare::save(ts);
    cframe = ts->cframe;
    depth = ts->recursion_limit - ts->recursion_remaining;
    what = ts->tracing_what;
    trash_nesting = ts->trash_delete_nesting;
  }

  void load(PyThreadState* ts) const noexcept {
    CommonShare::load(ts);
    cframe->use_tracing = use_tracing(ts);
    ts->cframe = cframe;
    ts->recursion_remaining = ts->recursion_limit - depth;
    ts->tracing_what = what;
    ts->trash_delete_nesting = trash_nesting;
  }

  static void fresh(PyThreadState* ts, BaseLayout* base, core::Stack* stack,
                    PyObject* context) noexcept {
    CommonShare::fresh(ts, &base->exc_item, stack, context);
    base->root.current_frame = nullptr;
    base->root.previous = nullptr;
    base->root.use_tracing = 0;
    ts->cframe = &base->root;
    ts->recursion_remaining = ts->recursion_limit;
    ts->tracing_what = 0;
    ts->trash_delete_nesting = 0;
  }
};

inline _PyInterpreterFrame* top_of(PyThreadState* ts) { return ts->cframe->current_frame; }
inline _PyInterpreterFrame* top_of(const Share& share) { return share.cframe->current_frame; }
inline void set_top(PyThreadState* ts, _PyInterpreterFrame* frame) {
  ts->cframe->current_frame = frame;
}
// update_use_tracing() has the running loop trace or not, as the thread state says.
inline void update_use_tracing(PyThreadState* ts) {
  ts->cframe->use_tracing = Share::use_tracing(ts);
}

// The outermost Python frame of a loop is marked.
inline bool is_entry(_PyInterpreterFrame* frame) { return frame->is_entry; }
inline bool is_marked_entry(_PyInterpreterFrame* frame) { return frame->is_entry; }
inline void set_entry(_PyInterpreterFrame* frame, bool is) { frame->is_entry = is; }
inline bool is_python(_PyInterpreterFrame* frame) { return !_PyFrame_IsIncomplete(frame); }

inline PyCodeObject* code_of(_PyInterpreterFrame* frame) { return frame->f_code; }
inline void set_code(_PyInterpreterFrame* frame, PyObject* code) {
  frame->f_code = reinterpret_cast<PyCodeObject*>(code);
}
inline PyObject* function_of(_PyInterpreterFrame* frame) {
  return reinterpret_cast<PyObject*>(frame->f_func);
}
inline void set_function(_PyInterpreterFrame* frame, PyObject* function) {
  frame->f_func = reinterpret_cast<PyFunctionObject*>(function);
}
// drop_function() leaves a generator's frame as it is when it has finished.
inline void drop_function(_PyInterpreterFrame* frame) { clear_reference(frame->f_func); }
inline void drop_function_and_code(_PyInterpreterFrame* frame) {
  drop_reference(frame->f_func);
  drop_reference(frame->f_code);
}
inline int visit_function_and_code(_PyInterpreterFrame* frame, visitproc visit, void* arg) {
  Py_VISIT(frame->f_func);
  Py_VISIT(frame->f_code);
  return 0;
}
// Both have the same code.
inline void swap_function_and_code(_PyInterpreterFrame* a, _PyInterpreterFrame* b) {
  std::swap(a->f_func, b->f_func);
}

// Whose frame shows up in no traceback, if it has nothing but incomplete code.
inline constexpr auto hidden_owner = FRAME_OWNED_BY_THREAD;

inline _Py_CODEUNIT*& instruction_of(_PyInterpreterFrame* frame) { return frame->prev_instr; }
inline _Py_CODEUNIT* before_first(PyCodeObject* code) { return _PyCode_CODE(code) - 1; }
inline int opcode_at(const _Py_CODEUNIT* instruction) { return _Py_OPCODE(*instruction); }
inline int frame_words(PyCodeObject* code) {
  return code->co_nlocalsplus + code->co_stacksize + static_cast<int>(FRAME_SPECIALS_SIZE);
}
inline void add_depth(PyThreadState* ts, int depth) { ts->recursion_remaining -= depth; }

// A frame that has called has moved on already.
inline int offset_of(_PyInterpreterFrame*) { return 0; }
inline void set_offset(_PyInterpreterFrame*, int) {}

// ---- instructions (Python/ceval.c) ----
inline int comparison_of(int argument) { return argument; }
inline bool makes_bool(int) { return false; }
inline int name_index(int argument) { return argument; }
// LOAD_ATTR for a call pushes [null, attribute], since 3.13 the reverse.
inline constexpr bool attribute_comes_first = false;
// Beside an iterator lies an index, or null.
inline constexpr bool iterators_have_index = false;

#define STACKLESS_TS(owner, name) STACKLESS_FIELD(PyThreadState, owner, name)
inline constexpr Field manifest[] = {
    STACKLESS_TS(thread, prev),
    STACKLESS_TS(thread, next),
    STACKLESS_TS(thread, interp),
    STACKLESS_TS(thread, _initialized),
    STACKLESS_TS(thread, _static),
    STACKLESS_TS(tasklet, recursion_remaining),
    STACKLESS_TS(thread, recursion_limit),
    STACKLESS_TS(tasklet, recursion_headroom),
    STACKLESS_TS(tasklet, tracing),
    STACKLESS_TS(tasklet, tracing_what),
    STACKLESS_TS(tasklet, cframe),
    STACKLESS_TS(tasklet, c_profilefunc),
    STACKLESS_TS(tasklet, c_tracefunc),
    STACKLESS_TS(tasklet, c_profileobj),
    STACKLESS_TS(tasklet, c_traceobj),
    STACKLESS_TS(irrelevant, curexc_type),
    STACKLESS_TS(irrelevant, curexc_value),
    STACKLESS_TS(irrelevant, curexc_traceback),
    STACKLESS_TS(tasklet, exc_info),
    STACKLESS_TS(thread, dict),
    STACKLESS_TS(thread, gilstate_counter),
    STACKLESS_TS(thread, async_exc),
    STACKLESS_TS(thread, thread_id),
    STACKLESS_TS(thread, native_thread_id),
    STACKLESS_TS(tasklet, trash_delete_nesting),
    STACKLESS_TS(thread, trash_delete_later),
    STACKLESS_TS(thread, on_delete),
    STACKLESS_TS(thread, on_delete_data),
    STACKLESS_TS(thread, coroutine_origin_tracking_depth),
    STACKLESS_TS(thread, async_gen_firstiter),
    STACKLESS_TS(thread, async_gen_finalizer),
    STACKLESS_TS(tasklet, context),
    STACKLESS_TS(thread, context_ver),
    STACKLESS_TS(thread, id),
    STACKLESS_TS(thread, trace_info),
    STACKLESS_TS(tasklet, datastack_chunk),
    STACKLESS_TS(tasklet, datastack_top),
    STACKLESS_TS(tasklet, datastack_limit),
    STACKLESS_TS(thread, exc_state),
    STACKLESS_TS(thread, root_cframe),
};
static_assert(covers(manifest, 0, sizeof(PyThreadState)), "classify the new fields");
static_assert(has_members<PyThreadState, std::size(manifest)>(), "classify the new fields");

}  // namespace stackless::interp
