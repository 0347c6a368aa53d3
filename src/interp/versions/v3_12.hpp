// CPython 3.12: frames hang off a chain of _PyCFrame, one for each evaluation loop.
#pragma once

#include <utility>

#include "interp/versions/field_owners.hpp"
#include "interp/versions/since_3_12.hpp"
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
  int c_remaining;
  int what_event;
  int trash_nesting;

  void save(PyThreadState* ts) noexcept {
    CommonShare::save(ts);
    cframe = ts->cframe;
    depth = ts->py_recursion_limit - ts->py_recursion_remaining;
    c_remaining = ts->c_recursion_remaining;
    what_event = ts->what_event;
    trash_nesting = ts->trash.delete_nesting;
  }

  void load(PyThreadState* ts) const noexcept {
    CommonShare::load(ts);
    ts->cframe = cframe;
    ts->py_recursion_remaining = ts->py_recursion_limit - depth;
    ts->c_recursion_remaining = c_remaining;
    ts->what_event = what_event;
    ts->trash.delete_nesting = trash_nesting;
  }

  static void fresh(PyThreadState* ts, BaseLayout* base, core::Stack* stack,
                    PyObject* context) noexcept {
    CommonShare::fresh(ts, &base->exc_item, stack, context);
    base->root.current_frame = nullptr;
    base->root.previous = nullptr;
    ts->cframe = &base->root;
    ts->py_recursion_remaining = ts->py_recursion_limit;
    // A level of C recursion takes up to about 2.5 KB, through sorted(key=...).
    int carries = static_cast<int>(stack->size() / 2560);
    ts->c_recursion_remaining = carries < C_RECURSION_LIMIT ? carries : C_RECURSION_LIMIT;
    ts->what_event = -1;
    ts->trash.delete_nesting = 0;
  }
};

inline _PyInterpreterFrame* top_of(PyThreadState* ts) { return ts->cframe->current_frame; }
inline _PyInterpreterFrame* top_of(const Share& share) { return share.cframe->current_frame; }
inline void set_top(PyThreadState* ts, _PyInterpreterFrame* frame) {
  ts->cframe->current_frame = frame;
}
inline bool is_entry(_PyInterpreterFrame* frame) { return frame->owner == FRAME_OWNED_BY_CSTACK; }
inline bool is_python(_PyInterpreterFrame* frame) {
  return !is_entry(frame) && !_PyFrame_IsIncomplete(frame);
}

inline PyCodeObject* code_of(_PyInterpreterFrame* frame) { return frame->f_code; }
inline void set_code(_PyInterpreterFrame* frame, PyObject* code) {
  frame->f_code = reinterpret_cast<PyCodeObject*>(code);
}
inline PyObject* function_of(_PyInterpreterFrame* frame) { return frame->f_funcobj; }
inline void set_function(_PyInterpreterFrame* frame, PyObject* function) {
  frame->f_funcobj = function;
}
// drop_function() leaves a generator's frame as it is when it has finished.
inline void drop_function(_PyInterpreterFrame* frame) { clear_reference(frame->f_funcobj); }
inline void drop_function_and_code(_PyInterpreterFrame* frame) {
  drop_reference(frame->f_funcobj);
  drop_reference(frame->f_code);
}
inline int visit_function_and_code(_PyInterpreterFrame* frame, visitproc visit, void* arg) {
  Py_VISIT(frame->f_funcobj);
  Py_VISIT(frame->f_code);
  return 0;
}
// Both have the same code.
inline void swap_function_and_code(_PyInterpreterFrame* a, _PyInterpreterFrame* b) {
  std::swap(a->f_funcobj, b->f_funcobj);
}

// Whose frame shows up in no traceback.
inline constexpr auto hidden_owner = FRAME_OWNED_BY_CSTACK;

inline _Py_CODEUNIT*& instruction_of(_PyInterpreterFrame* frame) { return frame->prev_instr; }
inline _Py_CODEUNIT* before_first(PyCodeObject* code) { return _PyCode_CODE(code) - 1; }

// ---- instructions (Python/bytecodes.c) ----
inline int comparison_of(int argument) { return argument >> 4; }
inline bool makes_bool(int) { return false; }
inline int name_index(int argument) { return argument >> 1; }
// LOAD_ATTR for a call pushes [null, attribute], since 3.13 the reverse.
inline constexpr bool attribute_comes_first = false;
// Beside an iterator lies an index, or null.
inline constexpr bool iterators_have_index = false;

#define STACKLESS_TS(owner, name) STACKLESS_FIELD(PyThreadState, owner, name)
inline constexpr Field manifest[] = {
    STACKLESS_TS(thread, prev),
    STACKLESS_TS(thread, next),
    STACKLESS_TS(thread, interp),
    STACKLESS_TS(thread, _status),
    STACKLESS_TS(tasklet, py_recursion_remaining),
    STACKLESS_TS(thread, py_recursion_limit),
    STACKLESS_TS(tasklet, c_recursion_remaining),
    STACKLESS_TS(tasklet, recursion_headroom),
    STACKLESS_TS(tasklet, tracing),
    STACKLESS_TS(tasklet, what_event),
    STACKLESS_TS(tasklet, cframe),
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
    STACKLESS_TS(tasklet, trash),
    STACKLESS_TS(thread, on_delete),
    STACKLESS_TS(thread, on_delete_data),
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
    STACKLESS_TS(thread, root_cframe),
};
static_assert(covers(manifest, 0, sizeof(PyThreadState)), "classify the new fields");
static_assert(has_members<PyThreadState, std::size(manifest)>(), "classify the new fields");

}  // namespace stackless::interp
