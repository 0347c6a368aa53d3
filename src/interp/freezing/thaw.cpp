#include "interp/freezing/thaw.hpp"

#include <cstring>
#include <utility>

#include "interp/frames/async_generators.hpp"
#include "interp/frames/call_position.hpp"
#include "interp/frames/code_map.hpp"
#include "interp/frames/hidden_frames.hpp"
#include "interp/frames/loops.hpp"
#include "interp/frames/running_generators.hpp"
#include "interp/freezing/freeze.hpp"
#include "interp/freezing/frozen.hpp"
#include "interp/freezing/generators_3_11.hpp"
#include "interp/freezing/merge_loops.hpp"
#include "interp/rules/continuation_frame.hpp"
#include "interp/versions/internals.h"
#include "interp/versions/monitoring.hpp"
#include "interp/versions/opcodes.hpp"

namespace stackless::interp {

namespace {

PyObject* resume_code;  // UNARY_NEGATIVE, POP_TOP, RETURN_VALUE
PyObject* hook_object;

// What hook() is to do, from thaw() to there.
struct Thawing {
  PyThreadState* ts;
  Frozen* frozen;
  PyObject* (*finish)();
  _PyInterpreterFrame* inner;
  _PyInterpreterFrame* outer;
  int depth;             // how many of the frames count as levels of recursion
  Departure* departure;  // what the loop is entered once more for, into `inner`; or null
};
thread_local Thawing thawing;

thread_local Tracing due;

// Called when the resume frame, which nobody is to see, returns.
int trace_now(PyObject*, PyFrameObject*, int, PyObject*) {
  due.load(PyThreadState_Get());
  return 0;
}

// Where a loop has to be told whether it traces, it would tell the functions of the resume frame's
// return.
void trace_later(PyThreadState* ts) {
  due.save(ts);
  Tracing{nullptr, trace_now, nullptr, nullptr}.load(ts);
  update_use_tracing(ts);
}

PyObject* go_on(const Thawing& now, _PyInterpreterFrame* resume) {
  set_entry(resume, false);
  resume->previous = now.inner;
  if (!now.departure->complete(now.inner, &resume->localsplus[0])) {
    hide_error(now.ts, resume);
    return nullptr;
  }
  return Py_NewRef(Py_None);
}

// Takes the call's operands off the innermost frame's value stack and returns its result in a slot.
PyObject* hook(PyObject*) {
  Thawing now = thawing;
  PyThreadState* ts = now.ts;
  _PyInterpreterFrame* resume = top_of(ts);
  if constexpr (generators_end_loops) {
    if (now.departure != nullptr) {
      return go_on(now, resume);
    }
    set_entry(resume, false);
    now.outer->previous = bottom(ts);
    set_entry(now.outer, true);
    if (Tracing::is_any(ts)) [[unlikely]] {
      trace_later(ts);
    }
  } else {
    now.outer->previous = resume->previous;
  }
  resume->previous = now.inner;
  add_depth(ts, now.depth);
  int pops = now.frozen->pops;
  free_block(now.frozen);

  // Like the interpreter does after a call: first the result, then its operands go.
  PyObject* result = now.finish();
  if (result == again()) {
    resume->localsplus[0] = take_top(now.inner);
    step_back(now.inner);
    return Py_NewRef(Py_None);
  }
  if (result == nullptr && is_at_loop(now.inner) &&
      PyErr_ExceptionMatches(PyExc_StopIteration) != 0) {
    PyErr_Clear();
    resume->localsplus[0] = end_loop(now.inner);
    return Py_NewRef(Py_None);
  }
  resume->localsplus[0] = make_slot(result);
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  if (result == nullptr) {
    PyErr_Fetch(&type, &value, &traceback);
  }
  pop_slots(now.inner, height_of(now.inner) - pops);
  if (result == nullptr) {
    PyErr_Restore(type, value, traceback);
    hide_error(ts, resume);
    return nullptr;
  }
  return Py_NewRef(Py_None);
}

PyNumberMethods hook_number = {.nb_negative = hook};
PyTypeObject HookType = {
    .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
    .tp_name = "stackless._hook",
    .tp_basicsize = sizeof(PyObject),
    .tp_as_number = &hook_number,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "What a thawed tasklet's evaluation loop calls first.",
};

std::size_t own_words() {
  return static_cast<std::size_t>(frame_words(reinterpret_cast<PyCodeObject*>(resume_code)));
}

// Copies the frames to the data stack, the outermost to the bottom; returns the innermost one.
_PyInterpreterFrame* place(PyThreadState* ts, Frozen* frozen, Thawing* now) {
  for_each_frame(frozen, [&](_PyInterpreterFrame* f) {
    if (is_on_data_stack(f)) {
      ts->datastack_top += frame_words(code_of(f));
    }
  });
  auto* end = reinterpret_cast<Slot*>(ts->datastack_top);
  _PyInterpreterFrame* inner = nullptr;
  _PyInterpreterFrame** link = &inner;
  for_each_frame(frozen, [&](_PyInterpreterFrame* f) {
    _PyInterpreterFrame* placed = f;
    if (is_on_data_stack(f)) {
      end -= frame_words(code_of(f));
      placed = move_frame(end, f, height_of(f));
    }
    if (counts_as_level(placed) || !spare_level(placed)) {
      ++now->depth;
    }
    *link = placed;
    link = &placed->previous;
    now->outer = placed;
  });
  *link = nullptr;
  return inner;
}

// Enters a loop with a frame that calls hook().
PyObject* enter_loop(PyThreadState* ts) {
  auto* place = reinterpret_cast<Slot*>(ts->datastack_top);
  ts->datastack_top += own_words();
  _PyInterpreterFrame* resume = make_frame(place, resume_code);
  resume->localsplus[0] = make_slot(nullptr);
  resume->localsplus[1] = make_slot(Py_NewRef(hook_object));
  set_height(resume, 2);
  return _PyEval_EvalFrameDefault(ts, resume, 0);
}

// The loop ends with that generator's frame, or the outermost one: what it leaves for stands
// beneath.
PyObject* enter_loop_of(PyThreadState* ts, _PyInterpreterFrame* generator) {
  set_top(ts, generator != nullptr ? generator->previous : bottom(ts));
  return enter_loop(ts);
}

// Does for the outermost frame what the C code would that had called it (Python/ceval.c,
// _PyEvalFrameClearAndPop). What its variables run when they die isn't called by it.
void clear_outermost(PyThreadState* ts, _PyInterpreterFrame* outer) {
  set_top(ts, base);
  add_depth(ts, 1);
  clear_frame(outer);
  add_depth(ts, -1);
  set_top(ts, bottom(ts));
}

PyObject* enter_loops(PyThreadState* ts) {
  _PyInterpreterFrame* outer = thawing.outer;
  thawing.departure = nullptr;
  _PyInterpreterFrame* generator = driven_from(thawing.inner);
  PyObject* result = enter_loop_of(ts, generator);
  while (generator != nullptr && may_merge()) {
    _PyInterpreterFrame* waiting = generator->previous;
    Departure departure(ts, generator, result);
    generator = driven_from(waiting);
    thawing.ts = ts;
    thawing.inner = waiting;
    thawing.departure = &departure;
    result = enter_loop_of(ts, generator);
  }
  if (generator == nullptr) {  // else the frame has been moved out
    clear_outermost(ts, outer);
  }
  return result;
}

std::size_t room_bytes(std::size_t words) {
  return (words + own_words() + 1) * sizeof(Slot) + sizeof(_PyStackChunk);
}

}  // namespace

bool needs_room(std::size_t words) noexcept {
  return room_bytes(words) > core::StackPool::least_data_bytes;
}

_PyStackChunk* make_room(std::size_t words) noexcept {
  std::size_t bytes = std::size_t{16} * 1024;  // Python/pystate.c, DATA_STACK_CHUNK_SIZE
  while (bytes < room_bytes(words)) {
    bytes *= 2;
  }
  PyObjectArenaAllocator arenas;
  PyObject_GetArenaAllocator(&arenas);
  auto* chunk = static_cast<_PyStackChunk*>(arenas.alloc(arenas.ctx, bytes));
  if (chunk != nullptr) {
    chunk->previous = nullptr;
    chunk->size = bytes;
    chunk->top = 0;
  }
  return chunk;
}

void free_room(_PyStackChunk* chunk) noexcept {
  PyObjectArenaAllocator arenas;
  PyObject_GetArenaAllocator(&arenas);
  arenas.free(arenas.ctx, chunk, chunk->size);
}

PyObject* again() noexcept { return hook_object; }

PyObject* thaw(PyThreadState* ts, Frozen* frozen, PyObject* (*finish)()) {
  Extras* extras = frozen->extras;
  if (_PyStackChunk* chunk = extras != nullptr ? extras->room : nullptr) {
    chunk->previous = ts->datastack_chunk;
    chunk->previous->top = static_cast<std::size_t>(ts->datastack_top - &chunk->previous->data[0]);
    ts->datastack_chunk = chunk;
    ts->datastack_top = &chunk->data[0];
    ts->datastack_limit =
        reinterpret_cast<PyObject**>(reinterpret_cast<char*>(chunk) + chunk->size);
  }
  _PyErr_StackItem* own = ts->exc_info;
  own->exc_value = frozen->exc_value;
  ts->exc_info = link_items(frozen, own);
  if (extras != nullptr) {
    extras->functions.load(ts);
    PyMem_Free(extras);
  }

  frozen->floating.load();

  Thawing& now = thawing;
  now.ts = ts;
  now.frozen = frozen;
  now.finish = finish;
  now.depth = 0;
  now.inner = place(ts, frozen, &now);
  if (is_stale(ts, now.inner)) [[unlikely]] {
    catch_up(ts, now.inner);
  }
  return generators_end_loops ? enter_loops(ts) : enter_loop(ts);
}

int init_freezing() {
  spare_running_generators();
  if (init_code_maps() < 0 || init_own() < 0 || init_loops() < 0 || init_async_generators() < 0 ||
      init_merging() < 0) {
    return -1;
  }
  // The RESUME at the end never runs: sys.monitoring refuses code without one.
  resume_code = assemble("<resume>", {{UNARY_NEGATIVE}, {POP_TOP}, {RETURN_VALUE}, {RESUME}});
  if (resume_code == nullptr || PyType_Ready(&HookType) < 0) {
    return -1;
  }
  hook_object = PyObject_New(PyObject, &HookType);
  return hook_object != nullptr && hide_from_tools(resume_code) == 0 ? 0 : -1;
}

}  // namespace stackless::interp
