#include "interp/freeze.hpp"

#include <cstring>
#include <utility>

#include "interp/code.hpp"
#include "interp/frozen.hpp"
#include "interp/internals.h"
#include "interp/switch.hpp"
#if PY_VERSION_HEX >= 0x030D0000
#include <opcode_ids.h>
#else
#include <opcode.h>
#endif

namespace stackless::interp {

namespace {

#if PY_VERSION_HEX >= 0x030D0000
constexpr int call_kw = CALL_KW;  // leaves the keywords' names on the value stack, too
#else
constexpr int call_kw = -1;
#endif

// What stands beneath the outermost frame of the outermost loop.
_PyInterpreterFrame* bottom([[maybe_unused]] PyThreadState* ts) {
#if PY_VERSION_HEX >= 0x030F0000
  return ts->base_frame;
#else
  return nullptr;
#endif
}

// Whether the frame is nothing but the mark of an evaluation loop.
bool is_entry_only([[maybe_unused]] _PyInterpreterFrame* f) {
#if PY_VERSION_HEX < 0x030C0000
  return is_base(f);
#else
  return is_entry(f);
#endif
}

// Whether a running generator shows the collector what its frame holds (Objects/genobject.c,
// gen_traverse): from 3.14 on its stack pointer is known whenever C code runs.
constexpr bool generators_show_running_frames = PY_VERSION_HEX >= 0x030E0000;

// Whether `frame` is the last of a loop's Python frames, and whether that loop is the only one.
enum class End { no, loop, all };

End end_of(PyThreadState* ts, _PyInterpreterFrame* frame) {
#if PY_VERSION_HEX < 0x030C0000
  _PyInterpreterFrame* caller = frame->previous;
  if (caller != nullptr && is_base(caller)) {
    return caller->previous == bottom(ts) ? End::all : End::loop;
  }
  if (!frame->is_entry) {
    return End::no;
  }
  return caller == bottom(ts) ? End::all : End::loop;
#else
  _PyInterpreterFrame* caller = frame->previous;
  if (caller == nullptr || !is_entry(caller)) {
    return End::no;
  }
  return caller->previous == bottom(ts) ? End::all : End::loop;
#endif
}

// The C function that `callable` is, or null.
const PyMethodDef* function_in(PyObject* callable) {
  if (callable == nullptr) {
    return nullptr;
  }
  if (Py_IS_TYPE(callable, &PyMethodDescr_Type)) {
    return reinterpret_cast<PyMethodDescrObject*>(callable)->d_method;
  }
  if (PyCFunction_CheckExact(callable)) {
    return reinterpret_cast<PyCFunctionObject*>(callable)->m_ml;
  }
  return nullptr;
}

// What the call at which `frame` stands has called. 3.11, 3.12: [null, callable] or [method, self] before
// the arguments; later: [callable, self or null].
PyObject* callable_of(_PyInterpreterFrame* frame, const Halt& halt) {
  int place = halt.height - halt.pops;
#if PY_VERSION_HEX < 0x030D0000
  if (frame->localsplus[place] == nullptr) {
    ++place;
  }
#endif
  return object_in(frame->localsplus[place]);
}

Pin find_call(_PyInterpreterFrame* frame, Halt* halt) {
  const CodeMap* map = code_map(code_of(frame));
  if (map == nullptr) {
    PyErr_Clear();
    return Pin::memory;
  }
  int index = instruction_index(frame);
  if (index < 0 || index >= map->size) {
    return Pin::instruction;
  }
  const Instruction* at = &map->instructions[index];
#if PY_VERSION_HEX < 0x030C0000
  if (at->opcode == PRECALL) {  // a specialised one makes the call (Python/ceval.c, PRECALL_*)
    at += 1 + stackless_inline_caches[PRECALL];
  }
#endif
  int names = at->opcode == call_kw ? 1 : 0;
  if (at->opcode != CALL && names == 0) {
    return Pin::instruction;
  }
  int values = code_of(frame)->co_nlocalsplus;
#if PY_VERSION_HEX >= 0x030E0000
  halt->height = height_of(frame);
#else
  if (at->height < 0) {
    return Pin::instruction;
  }
  halt->height = values + at->height;
#endif
  halt->arguments = at->argument;
  halt->pops = at->argument + 2 + names;
  int callable = halt->height - halt->pops;
  if (callable < values) {
    return Pin::instruction;
  }
  halt->function = function_in(callable_of(frame, *halt));
  if (halt->function == nullptr) {
    return Pin::callee;
  }
  bool watched = opcode_at(instruction_of(frame)) >= stackless_first_instrumented;
  return watched ? Pin::tool : Pin::none;
}

// Where the interpreter goes on when the call has returned.
void step_over_call(_PyInterpreterFrame* frame) {
#if PY_VERSION_HEX < 0x030C0000
  // prev_instr is the last code unit that has been dealt with.
  const CodeMap* map = code_map(code_of(frame));
  if (map->instructions[instruction_index(frame)].opcode == PRECALL) {
    frame->prev_instr += 1 + stackless_inline_caches[PRECALL];
  }
  frame->prev_instr += stackless_inline_caches[CALL];
#elif PY_VERSION_HEX < 0x030D0000
  frame->return_offset = stackless_inline_caches[CALL];
#else
  // Python/bytecodes.c of 3.13: RETURN_VALUE adds it to instr_ptr, the instruction itself included.
  const CodeMap* map = code_map(code_of(frame));
  std::uint8_t opcode = map->instructions[instruction_index(frame)].opcode;
  frame->return_offset = static_cast<std::uint16_t>(1 + stackless_inline_caches[opcode]);
#endif
}

const Share& share_of(PyThreadState* ts, Parked* parked, Share* own) {
  if (parked != nullptr) {
    return parked->share;
  }
  own->save(ts);
  return *own;
}

void free_chunks(_PyStackChunk* chunk) {
  while (chunk->previous != nullptr) {
    free_room(std::exchange(chunk, chunk->previous));
  }
}

}  // namespace

Pin find_halt(PyThreadState* ts, Parked* parked, Halt* halt) noexcept {
  _PyInterpreterFrame* f = parked != nullptr ? top_of(parked->share) : top_of(ts);
  if (f == bottom(ts) || f == nullptr) {
    return Pin::no_frame;
  }
#if PY_VERSION_HEX >= 0x030C0000
  if (is_entry(f)) {
    return Pin::callee;
  }
#endif
#if PY_VERSION_HEX >= 0x030E0000
  // Inside machine code instr_ptr is not exact.
  if ((parked != nullptr ? parked->share.executor : ts->current_executor) != nullptr) {
    return Pin::jit;
  }
#endif
  if (Pin pin = find_call(f, halt); pin != Pin::none) {
    return pin;
  }
#if PY_VERSION_HEX < 0x030C0000
  if (Tracing::is_any(ts) || (parked != nullptr && parked->share.traced)) {
    return Pin::tool;  // trace_call_function() holds references (Python/ceval.c)
  }
#endif
  halt->frames = 0;
  halt->used_words = halt->room_words = 0;
  for (;; f = f->previous) {
    ++halt->frames;
    int height = halt->frames == 1 ? halt->height : height_of(f);
    if (height < 0) {
      return Pin::frame;
    }
    if (is_on_data_stack(f)) {
      halt->used_words += used_words(height);
      halt->room_words += static_cast<std::size_t>(frame_words(code_of(f)));
    } else if (f->owner != FRAME_OWNED_BY_GENERATOR) {
      return Pin::frame;
    }
    switch (end_of(ts, f)) {
      case End::no:
        continue;
      case End::loop:
        return Pin::loops;
      case End::all:
        return Pin::none;
    }
  }
}

PinPlace find_pin(PyThreadState* ts, Parked* parked) noexcept {
  _PyInterpreterFrame* f = parked != nullptr ? top_of(parked->share) : top_of(ts);
  if (f == nullptr || f == bottom(ts)) {
    return {};
  }
  // The innermost frame, if it is that which called something else than a function of ours; else the one
  // that called the C code which entered the innermost loop.
  Halt halt;
  if (!is_entry_only(f) && find_call(f, &halt) == Pin::none) {
    while (end_of(ts, f) == End::no) {
      f = f->previous;
    }
    f = f->previous;
  }
  while (f != nullptr && f != bottom(ts) && is_entry_only(f)) {
    f = f->previous;
  }
  if (f == nullptr || f == bottom(ts)) {
    return {};
  }
  PinPlace place;
  place.code = code_of(f);
  int index = instruction_index(f);
  place.line = PyCode_Addr2Line(place.code, index * static_cast<int>(sizeof(_Py_CODEUNIT)));
  Halt outer;
  Pin pin = find_call(f, &outer);
  if (pin == Pin::none || pin == Pin::callee || pin == Pin::tool) {
    place.callable = callable_of(f, outer);
  }
  PyErr_Clear();
  return place;
}

Frozen* freeze(PyThreadState* ts, Parked* parked, const Halt& halt) noexcept {
  Share own;
  auto* frozen =
      static_cast<Frozen*>(PyMem_Malloc(sizeof(Frozen) + halt.used_words * sizeof(Slot)));
  if (frozen == nullptr) {
    return nullptr;
  }
  const Share& share = share_of(ts, parked, &own);
  bool needs_room_later = needs_room(halt.room_words);
  frozen->room = needs_room_later ? make_room(halt.room_words) : nullptr;
  frozen->tracing = share.traced ? static_cast<Tracing*>(PyMem_Malloc(sizeof(Tracing))) : nullptr;
  if ((needs_room_later && frozen->room == nullptr) ||
      (share.traced && frozen->tracing == nullptr)) {
    if (frozen->room != nullptr) {
      free_room(frozen->room);
    }
    PyMem_Free(frozen->tracing);
    PyMem_Free(frozen);
    return nullptr;
  }
  if (share.traced) {
    *frozen->tracing = share.functions;
  }
  _PyInterpreterFrame* f = top_of(share);
  step_over_call(f);
  set_height(f, halt.height);
  auto* words = frozen->words();
  _PyInterpreterFrame** link = &frozen->inner;
  for (int i = 0; i < halt.frames; ++i) {
    _PyInterpreterFrame* caller = f->previous;
    _PyInterpreterFrame* moved = f;
    if (is_on_data_stack(f)) {
      int height = height_of(f);
      std::size_t used = used_words(height);
      std::memcpy(static_cast<void*>(words), f, used * sizeof(Slot));
      moved = reinterpret_cast<_PyInterpreterFrame*>(words);
      words += used;
      set_height(moved, height);
      if (moved->frame_obj != nullptr) {
        moved->frame_obj->f_frame = moved;
      }
#if PY_VERSION_HEX < 0x030C0000
      moved->is_entry = false;
#endif
    }
    *link = moved;
    link = &moved->previous;
    f = caller;
  }
  *link = nullptr;
  free_chunks(share.chunk);
  frozen->frames = halt.frames;
  frozen->pops = halt.pops;
  frozen->used_words = static_cast<std::uint32_t>(halt.used_words);
  frozen->context = share.context;
  if (parked != nullptr) {
    frozen->floating = core::floating_control_of(parked->stack_pointer);
  } else {
    frozen->floating.save();
  }
  frozen->exc_info = share.exc_info;
  _PyErr_StackItem** base = last_link(&frozen->exc_info);
  frozen->exc_item = **base;
  *base = &frozen->exc_item;
  return frozen;
}

void drop(Frozen* frozen) {
  // Innermost first, as unwinding would do it.
  for_each_frame(frozen, [](_PyInterpreterFrame* f) {
    if (!is_on_data_stack(f)) {
      f->previous = nullptr;  // its generator has it
      return;
    }
    f->previous = nullptr;
    int height = height_of(f);
    if (PyFrameObject* object = f->frame_obj; object != nullptr && Py_REFCNT(object) > 1) {
      // Somebody keeps it: it gets the contents, as in Python/frame.c, take_ownership().
      auto* kept = reinterpret_cast<_PyInterpreterFrame*>(object->_f_frame_data);
      std::memcpy(static_cast<void*>(kept), f, used_words(height) * sizeof(Slot));
      set_height(kept, height);
      kept->owner = FRAME_OWNED_BY_FRAME_OBJECT;
      kept->frame_obj = nullptr;
      object->f_frame = kept;
      if (PyObject_GC_IsTracked(reinterpret_cast<PyObject*>(object)) == 0) {
        PyObject_GC_Track(object);
      }
      Py_DECREF(object);
      return;
    }
    set_height(f, 0);
    Py_CLEAR(f->frame_obj);
    for (int i = height; i-- > 0;) {
      Slot slot = f->localsplus[i];
      f->localsplus[i] = make_slot(nullptr);
      if (owns(slot)) {
        Py_DECREF(object_in(slot));
      }
    }
    Py_CLEAR(f->f_locals);
    drop_function_and_code(f);
  });
  Py_XDECREF(frozen->exc_item.exc_value);
  Py_XDECREF(frozen->context);
  if (Tracing* tracing = frozen->tracing) {
    Py_XDECREF(tracing->trace_object);
    Py_XDECREF(tracing->profile_object);
    PyMem_Free(tracing);
  }
  if (frozen->room != nullptr) {
    free_room(frozen->room);
  }
  PyMem_Free(frozen);
}

namespace {

int traverse_slots(_PyInterpreterFrame* f, int first, int last, visitproc visit, void* arg) {
  for (int i = first; i < last; ++i) {
    if (owns(f->localsplus[i])) {
      Py_VISIT(object_in(f->localsplus[i]));
    }
  }
  return 0;
}

int traverse_specials(_PyInterpreterFrame* f, visitproc visit, void* arg) {
  Py_VISIT(f->f_locals);
  Py_VISIT(f->frame_obj);
  return visit_function_and_code(f, visit, arg);
}

int traverse_tracing(const Tracing& functions, visitproc visit, void* arg) {
  Py_VISIT(functions.trace_object);
  Py_VISIT(functions.profile_object);
  return 0;
}

int traverse_frozen(Frozen* frozen, visitproc visit, void* arg) {
  int result = 0;
  for_each_frame(frozen, [&](_PyInterpreterFrame* f) {
    if (result == 0 && is_on_data_stack(f)) {
      result = traverse_specials(f, visit, arg);
      result = result != 0 ? result : traverse_slots(f, 0, height_of(f), visit, arg);
    }
  });
  if (result != 0) {
    return result;
  }
  Py_VISIT(frozen->exc_item.exc_value);
  Py_VISIT(frozen->context);
  return frozen->tracing != nullptr ? traverse_tracing(*frozen->tracing, visit, arg) : 0;
}

// Visits the slots of a mounted tasklet's frame that are surely its own. While C code runs on its behalf,
// a frame of 3.13 or before doesn't know its height, and operands may have been lent or dropped.
int traverse_mounted_slots(_PyInterpreterFrame* f, visitproc visit, void* arg) {
  if (int height = height_of(f); height >= 0) {
    return traverse_slots(f, 0, height, visit, arg);
  }
  int locals = code_of(f)->co_nlocalsplus;
  const CodeMap* map = code_map(code_of(f));
  int index = instruction_index(f);
  if (map == nullptr || index < 0 || index >= map->size || map->instructions[index].height < 0) {
    PyErr_Clear();
    return traverse_slots(f, 0, locals, visit, arg);
  }
  const Instruction& at = map->instructions[index];
  int height = locals + at.height;
  switch (at.opcode) {
#if PY_VERSION_HEX < 0x030C0000
    case PRECALL:
#elif PY_VERSION_HEX >= 0x030D0000
    case CALL_KW:
#endif
    case CALL: {
      // A callee that is no C function may borrow the slot before its arguments
      // (PY_VECTORCALL_ARGUMENTS_OFFSET).
      if (Halt halt; find_call(f, &halt) == Pin::none) {
        return traverse_slots(f, 0, halt.height, visit, arg);
      }
      int arguments = height - at.argument - (at.opcode == call_kw ? 1 : 0);
      int result = traverse_slots(f, 0, arguments - 2, visit, arg);
      return result != 0 ? result : traverse_slots(f, arguments, height, visit, arg);
    }
    // They keep their operands until they are done.
    case FOR_ITER:
    case SEND:
    case LOAD_ATTR:
    case STORE_ATTR:
    case BINARY_OP:
    case STORE_SUBSCR:
    case COMPARE_OP:
    case CONTAINS_OP:
    case GET_ITER:
    case WITH_EXCEPT_START:
      return traverse_slots(f, 0, height, visit, arg);
    default:
      return traverse_slots(f, 0, locals, visit, arg);
  }
}

int traverse_parked(PyThreadState* ts, Parked* parked, visitproc visit, void* arg) {
  const Share& share = parked->share;
  for (_PyInterpreterFrame* f = top_of(share); f != nullptr && f != bottom(ts); f = f->previous) {
    int result = 0;
    if (is_entry_only(f)) {
      continue;
    }
    if (is_on_data_stack(f)) {
      result = traverse_specials(f, visit, arg);
      result = result != 0 ? result : traverse_mounted_slots(f, visit, arg);
    } else if (!generators_show_running_frames && height_of(f) < 0) {
      result = traverse_mounted_slots(f, visit, arg);
    }
    if (result != 0) {
      return result;
    }
  }
  for (_PyErr_StackItem* item = share.exc_info; item != nullptr; item = item->previous_item) {
    if (item->previous_item == nullptr) {  // the others are generators'
      Py_VISIT(item->exc_value);
    }
  }
  Py_VISIT(share.context);
  return traverse_tracing(share.tracing_functions(), visit, arg);
}

}  // namespace

int traverse(PyThreadState* ts, Suspended tasklet, visitproc visit, void* arg) {
  if (tasklet.frozen != nullptr) {
    return traverse_frozen(tasklet.frozen, visit, arg);
  }
  return tasklet.parked != nullptr ? traverse_parked(ts, tasklet.parked, visit, arg) : 0;
}

PyObject* take_context(Frozen* frozen) noexcept {
  PyObject* context = frozen->context;
  frozen->context = nullptr;
  return context;
}

std::size_t memory_of(const Frozen* frozen) noexcept {
  return sizeof(Frozen) + frozen->used_words * sizeof(Slot);
}

}  // namespace stackless::interp
