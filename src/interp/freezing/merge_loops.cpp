#include "interp/freezing/merge_loops.hpp"

#include <cstring>
#include <new>
#include <ranges>
#include <utility>
#include <vector>
#ifdef Py_DEBUG
#include <unordered_map>
#endif

#include "interp/frames/call_position.hpp"
#include "interp/frames/hidden_frames.hpp"
#include "interp/freezing/frozen.hpp"
#include "interp/freezing/stowed_generators.hpp"
#include "interp/rules/continuation_frame.hpp"
#include "interp/rules/rules.hpp"
#include "interp/rules/wrapping_iterators.hpp"
#include "interp/switching/switch.hpp"
#include "interp/versions/internals.h"
#include "interp/versions/opcodes.hpp"

namespace stackless::interp {

namespace {

PyObject* exception;
PyObject* empty_code;

// What finish_merge() needs to know.
struct Unwinding {
  bool under_way;
  _PyErr_StackItem* exc_info;
  int frames;
  PyObject* deferred;  // a list, or null
  Aside generators;
  std::vector<PyObject*>
      contexts;  // that Context.run() has entered, innermost first; their continuations' frames hold them
  Held wrappers;
};
thread_local Unwinding unwinding;

// The code of an empty frame that takes as much room as one of `words`.
PyObject* code_of_size([[maybe_unused]] int words) {
#ifdef Py_DEBUG
  // Python/ceval.c, clear_thread_frame, asserts that a frame ends where the data stack does.
  static std::unordered_map<int, PyObject*> codes;
  PyObject*& code = codes[words];
  if (code == nullptr) {
    auto replace = Object::steal(PyObject_GetAttrString(empty_code, "replace"));
    auto none = Object::steal(PyTuple_New(0));
    auto size = Object::steal(
        Py_BuildValue("{s:i}", "co_stacksize", words - static_cast<int>(special_words)));
    code = PyObject_Call(replace.get(), none.get(), size.get());
  }
  return code;
#else
  return empty_code;
#endif
}

#ifdef Py_DEBUG
constexpr bool asserts_owner = true;  // that it is what it is; the traceback does no harm
#else
constexpr bool asserts_owner = false;
#endif

// Has a generator's frame be one of `code`. From 3.12 on code isn't dropped with a generator
// (Python/ceval.c, clear_gen_frame), and the innermost frame of a loop, and no other, may look like
// the loop's own: so it is kept out of tracebacks (_PyFrame_IsIncomplete).
void empty_generator(_PyInterpreterFrame* frame, PyObject* code, bool innermost) {
  set_code(frame, generators_end_loops ? Py_NewRef(code) : code);
  if (generators_end_loops || (innermost && !asserts_owner)) {
    frame->owner = hidden_owner;
  }
}

// Leaves an empty frame in place of one whose contents have been moved out. What its value stack
// still holds, as far as the loop knows, is dropped when the exception comes by.
void empty(_PyInterpreterFrame* f, bool innermost) {
  PyObject* code = code_of_size(frame_words(code_of(f)));
  set_function(f, Py_NewRef(Py_None));
  f->f_locals = nullptr;
  f->frame_obj = nullptr;
  if (is_on_data_stack(f)) {
    set_code(f, Py_NewRef(code));
  } else {
    empty_generator(f, code, innermost);
  }
  instruction_of(f) = before_first(reinterpret_cast<PyCodeObject*>(code));
}

Slot duplicate(Slot slot) {
  if (owns(slot)) {
    Py_INCREF(object_in(slot));
  }
  return slot;
}

// The frame in which a loop has called C code: the loop knows the height of its value stack, and
// the instruction drops its operands, those from `kept` on, when the call fails.
void share_stack(_PyInterpreterFrame* f, int kept) {
  int locals = code_of(f)->co_nlocalsplus;
  for (int i = 0; i < locals; ++i) {
    f->localsplus[i] = make_slot(nullptr);
  }
  for (int i = locals; i < kept; ++i) {
    f->localsplus[i] = duplicate(f->localsplus[i]);
  }
}

// What would die with the operands shall do so when it may run any code.
void defer_operands(_PyInterpreterFrame* f, const Joint& joint) {
  for (int i = joint.height - joint.pops; i < joint.height - joint.stale; ++i) {
    PyObject* object = object_in(f->localsplus[i]);
    if (object == nullptr || Py_REFCNT(object) > 1) {
      continue;
    }
    if (unwinding.deferred == nullptr) {
      unwinding.deferred = PyList_New(0);
    }
    if (unwinding.deferred == nullptr || PyList_Append(unwinding.deferred, object) < 0) {
      PyErr_Clear();  // it dies early
    }
  }
}

bool reserve_contexts(std::size_t count) {
  try {
    unwinding.contexts.clear();
    unwinding.contexts.reserve(count);
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

// Context.run() leaves its context, as any C function ends. The tasklet's frames are still in
// there.
void enter_contexts() {
  for (PyObject* context : std::views::reverse(unwinding.contexts)) {
    if (PyContext_Enter(context) < 0) {
      PyErr_WriteUnraisable(context);
    }
  }
  unwinding.contexts.clear();
}

// Has the tools kept out while empty frames are unwound.
void silence(PyThreadState* ts, Parked* parked) {
  ++(parked != nullptr ? parked->share.tracing : ts->tracing);
}

// Makes room for all that is put aside; false if there is no memory.
bool prepare(const Halt& halt) {
  if (!reserve_contexts(halt.joints.size()) ||
      (halt.generators > 0 &&
       !unwinding.generators.reserve(halt.generators, halt.generator_words))) {
    return false;
  }
  for (const Joint& joint : halt.joints) {
    if (joint.continuation->asks && !unwinding.wrappers.hold(joint.kept)) {
      unwinding.wrappers.let_go();
      return false;
    }
  }
  return true;
}

// Moves a tasklet's frames out of their loops into one chain, innermost first, and leaves empty
// ones behind.
class MovingOut {
 public:
  MovingOut(PyThreadState* ts, const Share& share, const Halt& halt, Frozen* frozen)
      : ts_(ts),
        frame_(top_of(share)),
        joint_(halt.joints.begin()),
        link_(&frozen->inner),
        words_(frozen->words()),
        height_(halt.height) {
    if (halt.asks) {
      cross();
    }
  }

  void run() {
    while (move() != End::all) {
    }
    *link_ = nullptr;
  }

 private:
  // Moves one frame, and what goes on for the C code that has entered a loop with it; returns what
  // it ends.
  End move() {
    _PyInterpreterFrame* f = frame_;
    End end = end_of(ts_, f);
    frame_ = f->previous;
    int height = innermost_ ? height_ : height_of(f);
    if (!unwinds_) {
      append(copy_frame(&words_, f, height));
      return end;
    }
    unwinds_ = !ends_loop(f);
    bool on_data_stack = is_on_data_stack(f);
    _PyInterpreterFrame* moved =
        on_data_stack ? copy_frame(&words_, f, height) : unwinding.generators.put(f, height);
    *link_ = on_data_stack ? moved : f;
    link_ = &moved->previous;
    if (innermost_) {
      go_on_(moved);
      share_stack(f, height);
    } else {
      set_height(f, 0);
    }
    empty(f, innermost_);
    if (!unwinds_) {
      drop_function_and_code(f);  // the C code that would have is long gone
    }
    innermost_ = end == End::loop;
    if (innermost_) {
      frame_ = outer_of(frame_);
      cross();
    }
    return end;
  }

  // Puts what goes on for the C code that `frame_` has called.
  void cross() {
    go_on_ = joint_->continuation == &resume_generator ? await_generator : step_over;
    if (joint_->continuation->shape == Shape::driving) {
      unwinding.generators.set_driver(joint_->kept);
    }
    if (joint_->continuation == &leave_context) {
      unwinding.contexts.push_back(joint_->kept);
    }
    if (joint_->continuation->has_frame()) {
      append(make_continuation_frame(words_, *joint_));
      words_ += used_words(continuation_height);
    }
    defer_operands(frame_, *joint_);
    height_ = joint_->height - joint_->pops;
    if (joint_->again) {
      if (has_level(frame_)) {
        forget_level(frame_);
      }
      drop_function_and_code(frame_);
      empty(frame_, true);
      frame_ = frame_->previous;
      innermost_ = false;
    }
    ++joint_;
  }

  void append(_PyInterpreterFrame* moved) {
    *link_ = moved;
    link_ = &moved->previous;
  }

  PyThreadState* ts_;
  _PyInterpreterFrame* frame_;
  std::vector<Joint>::const_iterator joint_;
  _PyInterpreterFrame** link_;
  Slot* words_;
  void (*go_on_)(_PyInterpreterFrame*) = step_over;
  int height_;             // of the value stack of the innermost frame of a loop
  bool innermost_ = true;  // whether `frame_` is such a one
  bool unwinds_ = true;    // whether a loop comes by there
};

}  // namespace

bool may_merge() noexcept { return !unwinding.under_way; }

PyObject* unwinding_exception() noexcept { return exception; }

Frozen* merge(PyThreadState* ts, Parked* parked, const Halt& halt) noexcept {
  Share own;
  const Share& share = share_of(ts, parked, &own);
  Frozen* frozen = new_frozen(share, halt);
  if (frozen == nullptr) {
    return nullptr;
  }
  if (!prepare(halt)) {
    discard(frozen);
    return nullptr;
  }
  unwinding.under_way = true;
  unwinding.exc_info = share.exc_info;
  MovingOut(ts, share, halt, frozen).run();
  unwinding.frames = frozen->frames;
  frozen->frames = 0;  // nobody walks them before they are back
  frozen->context = nullptr;
  frozen->exc_value = nullptr;
  silence(ts, parked);
  return frozen;
}

PyObject* finish_merge(PyThreadState* ts, Frozen* frozen) noexcept {
  if (PyErr_Occurred() != reinterpret_cast<PyObject*>(Py_TYPE(exception))) {
    PyErr_WriteUnraisable(nullptr);
  }
  PyErr_Clear();
  PyException_SetTraceback(exception, Py_None);
  PyException_SetContext(exception, nullptr);
  unwinding.generators.restore();
  unwinding.wrappers.let_go();
  enter_contexts();
  ts->exc_info = unwinding.exc_info;
  Share share;
  share.save(ts);
  take_state(frozen, share);
  frozen->floating.save();
  frozen->frames = unwinding.frames;
  unwinding.under_way = false;
  return std::exchange(unwinding.deferred, nullptr);
}

int init_merging() {
  auto type = Object::steal(PyErr_NewExceptionWithDoc(
      "stackless._Unwinding", "Ends the C functions of a tasklet whose frames have been moved out.",
      PyExc_BaseException, nullptr));
  exception = type ? PyObject_CallNoArgs(type.get()) : nullptr;
  empty_code = assemble("<empty>", {{RETURN_VALUE}, {RESUME}});
  return exception != nullptr && empty_code != nullptr && init_rules() == 0
             ? hide_from_tools(empty_code)
             : -1;
}

}  // namespace stackless::interp
