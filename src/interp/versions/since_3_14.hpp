// What CPython has had since 3.14: a slot of a frame may be borrowed, or a small integer; C
// recursion is limited by the stack's addresses; code may run in a JIT executor.
#pragma once

#include <utility>

#include "interp/versions/since_3_13.hpp"
#include "object/reference.hpp"

// Exported, but declared nowhere.
extern "C" PyAPI_FUNC(PyObject*)
    _PyEval_EvalFrameDefault(PyThreadState*, _PyInterpreterFrame*, int);

namespace stackless::interp {

// bottom() is what stands beneath the outermost frame of the outermost loop.
inline _PyInterpreterFrame* bottom(PyThreadState* ts) noexcept;

// What C code that never checks the limits may still use below the hard one.
inline constexpr std::uintptr_t unchecked_headroom = 96 * 1024;

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
    drop_reference(executor);  // the C stack that runs it holds its own reference
  }

  static void fresh(PyThreadState* ts, BaseLayout* base, core::Stack* stack,
                    PyObject* context) noexcept {
    CommonShare::fresh(ts, &base->exc_item, stack, context);
    ts->current_frame = bottom(ts);
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

inline _PyInterpreterFrame* top_of(const Share& share) { return share.frame; }

// A frame's instr_ptr is not exact while its code runs as machine code.
inline bool runs_machine_code(PyThreadState* ts) { return ts->current_executor != nullptr; }
inline bool runs_machine_code(const Share& share) { return share.executor != nullptr; }

// ---- slots: local variables and the value stack -------------------------------------------------

using Slot = _PyStackRef;
inline PyObject* object_in(Slot slot) {
  return PyStackRef_IsNullOrInt(slot) ? nullptr : PyStackRef_AsPyObjectBorrow(slot);
}
inline bool owns(Slot slot) {
  return object_in(slot) != nullptr && PyStackRef_RefcountOnObject(slot);
}
inline Slot make_slot(PyObject* object) {
  return object != nullptr ? PyStackRef_FromPyObjectSteal(object) : PyStackRef_NULL;
}
inline bool is_tagged(Slot slot) { return PyStackRef_IsTaggedInt(slot); }
inline std::intptr_t untag(Slot slot) { return PyStackRef_UntagInt(slot); }
inline Slot tag(std::intptr_t number) { return PyStackRef_TagInt(number); }

inline int height_of(_PyInterpreterFrame* frame) {
  return static_cast<int>(frame->stackpointer - frame->localsplus);
}
inline void set_height(_PyInterpreterFrame* frame, int height) {
  frame->stackpointer = frame->localsplus + height;
}
// set_height_for() sets that of a copy which will be moved to `home`.
inline void set_height_for(_PyInterpreterFrame* copy, _PyInterpreterFrame* home, int height) {
  copy->stackpointer = home->localsplus + height;
}

// ---- what runs in a frame -----------------------------------------------------------------------

inline PyCodeObject* code_of(_PyInterpreterFrame* frame) {
  return reinterpret_cast<PyCodeObject*>(PyStackRef_AsPyObjectBorrow(frame->f_executable));
}
inline PyObject* function_of(_PyInterpreterFrame* frame) {
  return PyStackRef_AsPyObjectBorrow(frame->f_funcobj);
}
inline void set_function(_PyInterpreterFrame* frame, PyObject* function) {
  frame->f_funcobj = PyStackRef_FromPyObjectSteal(function);
}
inline void set_code(_PyInterpreterFrame* frame, PyObject* code) {
  frame->f_executable = PyStackRef_FromPyObjectSteal(code);
}
// drop_function() leaves a generator's frame as it is when it has finished.
inline void drop_function(_PyInterpreterFrame* frame) { PyStackRef_CLEAR(frame->f_funcobj); }
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
inline void swap_function_and_code(_PyInterpreterFrame* a, _PyInterpreterFrame* b) {
  std::swap(a->f_funcobj, b->f_funcobj);
  std::swap(a->f_executable, b->f_executable);
}

// Whose frame shows up in no traceback.
inline constexpr auto hidden_owner = FRAME_OWNED_BY_INTERPRETER;

}  // namespace stackless::interp
