#include "interp/freezing/freeze.hpp"

#include <array>
#include <cstring>
#include <new>
#include <utility>

#include "interp/frames/call_position.hpp"
#include "interp/frames/code_map.hpp"
#include "interp/frames/hidden_frames.hpp"
#include "interp/freezing/frozen.hpp"
#include "interp/freezing/merge_loops.hpp"
#include "interp/rules/continuation_frame.hpp"
#include "interp/rules/crossing.hpp"
#include "interp/rules/rules.hpp"
#include "interp/rules/wrapping_iterators.hpp"
#include "interp/switching/switch.hpp"
#include "interp/versions/internals.h"
#if PY_VERSION_HEX >= 0x030D0000
#include <opcode_ids.h>
#else
#include <opcode.h>
#endif

namespace stackless::interp {

namespace {

// In which order the variables of a frame die that ends (Python/frame.c, _PyFrame_ClearLocals).
constexpr bool clears_last_first = PY_VERSION_HEX >= 0x030E0000;

}  // namespace

Halt::Halt() = default;
Halt::~Halt() = default;

_PyInterpreterFrame* outer_of(_PyInterpreterFrame* beneath) noexcept {
  return is_entry_only(beneath) ? beneath->previous : beneath;
}

Pin find_call(_PyInterpreterFrame* frame, const Stop& stop, Halt* halt) {
  bool watched = opcode_at(instruction_of(frame)) >= stackless_first_instrumented;
  if (stop.at->opcode == FOR_ITER) {
    int iterator = stop.height - (iterators_have_index ? 2 : 1);
    // The end of a loop takes something off (interp/stop.cpp).
    if (iterator < 1) {
      return Pin::instruction;
    }
    halt->height = stop.height;
    halt->iterator = object_in(frame->localsplus[iterator]);
    return watched ? Pin::tool : Pin::none;
  }
  int operands = call_operands(*stop.at);
  if (operands == 0 || operands > most_pops ||
      stop.height - operands < code_of(frame)->co_nlocalsplus) {
    return Pin::instruction;
  }
  halt->height = stop.height;
  halt->arguments = stop.at->argument;
  halt->pops = operands;
  halt->merges = stop.at->opcode == CALL_FUNCTION_EX;
  if (halt->merges) {
    // The interpreter has made a tuple of some of its operands. They die with that.
    halt->height -= operands;
    halt->pops = 0;
    halt->arguments = -1;
  }
  halt->function = c_function(callable_at(frame, stop, operands));
  if (halt->function == nullptr) {
    return Pin::callee;
  }
  return watched ? Pin::tool : Pin::none;
}

const Share& share_of(PyThreadState* ts, Parked* parked, Share* own) {
  if (parked != nullptr) {
    return parked->share;
  }
  own->save(ts);
  return *own;
}

namespace {

void free_chunks(_PyStackChunk* chunk) {
  while (chunk->previous != nullptr) {
    free_room(std::exchange(chunk, chunk->previous));
  }
}

}  // namespace

namespace {

// A frame, and the height of its value stack.
struct Position {
  _PyInterpreterFrame* frame;
  int height;
};

bool count_frame(_PyInterpreterFrame* f, int height, Halt* halt) {
  if (height < 0) {
    return false;
  }
  ++halt->frames;
  if (is_on_data_stack(f)) {
    halt->used_words += used_words(height);
    halt->room_words += static_cast<std::size_t>(frame_words(code_of(f)));
    return true;
  }
  ++halt->generators;
  halt->generator_words += used_words(height);
  return f->owner == FRAME_OWNED_BY_GENERATOR;
}

// Notes what C code stands between the two, and where the outer one stands.
Pin add_joint(_PyInterpreterFrame* outer, _PyInterpreterFrame* inner, Halt* halt,
              Position* position) {
  Joint joint;
  if (is_entry_only(outer) || !find_joint(outer, inner, &joint)) {
    return Pin::loops;
  }
  try {
    halt->joints.push_back(joint);
  } catch (const std::bad_alloc&) {
    return Pin::memory;
  }
  halt->merges = true;
  if (joint.continuation->has_frame()) {
    ++halt->frames;
    halt->used_words += used_words(continuation_height);
    halt->room_words += static_cast<std::size_t>(continuation_words(*joint.continuation));
  }
  *position = joint.again ? Position{outer->previous, height_of(outer->previous)}
                          : Position{outer, joint.height - joint.pops};
  return Pin::none;
}

// Whether what has been called may be C code that asks an iterator.
bool may_ask(const Halt& halt) {
  return halt.iterator != nullptr ? is_wrapper(halt.iterator) : halt.function == builtins.next;
}

// What the innermost frame has called, perhaps through C code, and where it stands.
Pin find_innermost(_PyInterpreterFrame* f, CallMark mark, Halt* halt, Position* position) {
  Stop stop;
  Pin pin = find_stop(f, &stop);
  if (pin == Pin::none && is_under_way(f, stop, mark)) {
    pin = find_call(f, stop, halt);
    *position = {f, halt->height};
    return pin;
  }
  // Unless C code asks an iterator of ours, the frame's call is over, and what it has called may be gone.
  bool asks =
      is_loop_mark(mark) &&
      (is_own(f) || (pin == Pin::none && find_call(f, stop, halt) == Pin::none && may_ask(*halt)));
  if (!asks || add_joint(f, nullptr, halt, position) != Pin::none ||
      loop_mark(halt->joints.back().asked) != mark) {
    return pin != Pin::none ? pin : Pin::callee;
  }
  halt->asks = true;
  halt->function = nullptr;
  halt->iterator = halt->joints.back().asked;
  halt->pops = 0;
  return Pin::none;
}

}  // namespace

Pin find_halt(PyThreadState* ts, Parked* parked, Halt* halt, CallMark mark) noexcept {
  _PyInterpreterFrame* f = top_of(ts, parked);
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
  Position position;
  if (Pin pin = find_innermost(f, parked != nullptr ? parked->mark : mark, halt, &position);
      pin != Pin::none) {
    return pin;
  }
#if PY_VERSION_HEX < 0x030C0000
  if (Tracing::is_any(ts) || (parked != nullptr && parked->share.traced)) {
    return Pin::tool;  // trace_call_function() holds references (Python/ceval.c)
  }
#endif
  for (;;) {
    f = position.frame;
    if (!count_frame(f, position.height, halt)) {
      return Pin::frame;
    }
    switch (end_of(ts, f)) {
      case End::no:
        position = {f->previous, height_of(f->previous)};
        break;
      case End::loop: {
        _PyInterpreterFrame* outer = outer_of(f->previous);
        if (outer == nullptr || outer == bottom(ts)) {
          return Pin::frame;
        }
        if (Pin pin = add_joint(outer, f, halt, &position); pin != Pin::none) {
          halt->pinned_at = outer;
          halt->pinned_by = f;
          return pin;
        }
        break;
      }
      case End::all:
        halt->outermost = function_of(f);
        return halt->used_words + halt->generator_words < most_words ? Pin::none : Pin::memory;
    }
  }
}

int pins(PyThreadState* ts, Suspended tasklet) noexcept {
  if (tasklet.frozen != nullptr) {
    return 0;
  }
  int count = 0;
  _PyInterpreterFrame* f = top_of(ts, tasklet.parked);
  while (f != nullptr && f != bottom(ts)) {
    End end = is_entry_only(f) ? End::no : end_of(ts, f);
    if (end == End::all) {
      break;
    }
    _PyInterpreterFrame* caller = f->previous;
    if (end == End::loop) {
      caller = outer_of(caller);
      Joint joint;
      bool known = caller != nullptr && !is_entry_only(caller) && find_joint(caller, f, &joint);
      count += known ? 0 : 1;
    }
    f = caller;
  }
  return count;
}

namespace {

// Whether one of those names, or one in a module that they name, is that of the object.
bool is_named(PyObject* names, const PyObject* object, bool in_modules) {
  PyObject *name, *value;
  Py_ssize_t position = 0;
  while (PyDict_Check(names) && PyDict_Next(names, &position, &name, &value) != 0) {
    if (value == object ||
        (in_modules && PyModule_Check(value) && is_named(PyModule_GetDict(value), object, false))) {
      return true;
    }
  }
  return false;
}

// Whether what has been called is sure to be there still, if that call may be over: up to 3.13 CALL drops it
// first (Python/bytecodes.c). A method of C code that has been got with its object is its class's.
bool is_kept(_PyInterpreterFrame* f, const Slot* operands, const PyObject* callable) {
  bool has_object = object_in(operands[PY_VERSION_HEX >= 0x030D0000 ? 1 : 0]) != nullptr;
  return PY_VERSION_HEX >= 0x030E0000 || has_object || is_named(f->f_builtins, callable, false) ||
         is_named(f->f_globals, callable, true);
}

}  // namespace

PinPlace find_pin(PyThreadState* ts, Parked* parked) noexcept {
  _PyInterpreterFrame* f = top_of(parked->share);
  if (f == nullptr || f == bottom(ts)) {
    return {};
  }
  // The innermost frame, if it is that which called something else than a function of ours; else the one
  // that called the C code which entered a loop.
  Halt halt;
  _PyInterpreterFrame* inner = nullptr;
  if (find_halt(ts, parked, &halt) == Pin::loops) {
    f = halt.pinned_at;
    inner = halt.pinned_by;
  }
  while (f != nullptr && f != bottom(ts) && !is_python(f)) {
    f = f->previous;
  }
  if (f == nullptr || f == bottom(ts)) {
    return {};
  }
  PinPlace place;
  place.code = code_of(f);
  int index = instruction_index(f);
  place.line = PyCode_Addr2Line(place.code, index * static_cast<int>(sizeof(_Py_CODEUNIT)));
  Stop stop;
  if (find_stop(f, &stop) == Pin::none) {
    int operands = call_operands(*stop.at);
    bool calls = operands != 0 && stop.height - operands >= place.code->co_nlocalsplus;
    PyObject* callable = calls ? callable_at(f, stop, operands) : nullptr;
    // Some functions use the slot of what was called for something else (PY_VECTORCALL_ARGUMENTS_OFFSET).
    bool over = inner != nullptr ? may_have_dropped(f, inner, stop)
                                 : calls && !is_under_way(f, stop, parked->mark);
    bool gone = over && !(calls && is_kept(f, f->localsplus + stop.height - operands, callable));
    bool known =
        !gone && callable != nullptr && PyCallable_Check(callable) && !PyFunction_Check(callable);
    place.callable = known ? callable : nullptr;
    place.opcode = stop.at->opcode;
    if (place.opcode == FOR_ITER && !gone) {
      int iterator = stop.height - (iterators_have_index ? 2 : 1);
      place.iterates = Py_TYPE(object_in(f->localsplus[iterator]));
    }
  }
  PyErr_Clear();
  return place;
}

namespace {

// One block of each size waits to be used again: where tasklets are frozen and thawed by turns, malloc()
// and free() would be a fifth of it.
std::array<Frozen*, 64> spare_blocks;

}  // namespace

Frozen* new_block(std::size_t words) noexcept {
  Frozen* block =
      words < spare_blocks.size() ? std::exchange(spare_blocks[words], nullptr) : nullptr;
  if (block == nullptr) {
    block = static_cast<Frozen*>(PyMem_Malloc(sizeof(Frozen) + words * sizeof(Slot)));
  }
  if (block != nullptr) {
    block->used_words = static_cast<std::uint32_t>(words);
  }
  return block;
}

void free_block(Frozen* block) noexcept {
  if (std::size_t words = block->used_words; words < spare_blocks.size()) {
    block = std::exchange(spare_blocks[words], block);
  }
  PyMem_Free(block);
}

void discard(Frozen* frozen) noexcept {
  if (Extras* extras = frozen->extras) {
    if (extras->room != nullptr) {
      free_room(extras->room);
    }
    PyMem_Free(extras);
  }
  free_block(frozen);
}

Extras* extras_of(Frozen* frozen) noexcept {
  if (frozen->extras == nullptr) {
    frozen->extras = static_cast<Extras*>(PyMem_Calloc(1, sizeof(Extras)));
  }
  return frozen->extras;
}

Frozen* new_frozen(const Share& share, const Halt& halt) noexcept {
  Frozen* frozen = new_block(halt.used_words);
  if (frozen == nullptr) {
    return nullptr;
  }
  frozen->extras = nullptr;
  if (bool roomy = needs_room(halt.room_words); roomy || share.traced) [[unlikely]] {
    Extras* extras = extras_of(frozen);
    if (extras == nullptr || (roomy && (extras->room = make_room(halt.room_words)) == nullptr)) {
      discard(frozen);
      return nullptr;
    }
    extras->functions = share.tracing_functions();
  }
  frozen->frames = static_cast<unsigned>(halt.frames);
  frozen->pops = static_cast<unsigned>(halt.pops);
  return frozen;
}

_PyInterpreterFrame* copy_frame(Slot** words, _PyInterpreterFrame* f, int height) noexcept {
  if (!is_on_data_stack(f)) {
    set_height(f, height);
    return f;
  }
  _PyInterpreterFrame* copy = move_frame(*words, f, height);
  if (has_level(copy)) {
    forget_level(copy);
  }
  *words += used_words(height);
#if PY_VERSION_HEX < 0x030C0000
  copy->is_entry = false;
#endif
  return copy;
}

void take_state(Frozen* frozen, const Share& share) noexcept {
  free_chunks(share.chunk);
  frozen->context = share.context;
  const _PyErr_StackItem* own = share.exc_info;
  while (own->previous_item != nullptr) {  // a generator's
    own = own->previous_item;
  }
  frozen->exc_value = own->exc_value;
}

Frozen* freeze(PyThreadState* ts, Parked* parked, const Halt& halt) noexcept {
  Share own;
  const Share& share = share_of(ts, parked, &own);
  Frozen* frozen = new_frozen(share, halt);
  if (frozen == nullptr) {
    return nullptr;
  }
  _PyInterpreterFrame* f = top_of(share);
  step_over(f);
  Slot* words = frozen->words();
  _PyInterpreterFrame** link = &frozen->inner;
  for (int i = 0; i < halt.frames; ++i) {
    _PyInterpreterFrame* caller = f->previous;
    *link = copy_frame(&words, f, i == 0 ? halt.height : height_of(f));
    link = &(*link)->previous;
    f = caller;
  }
  *link = nullptr;
  take_state(frozen, share);
  if (parked != nullptr) {
    frozen->floating = core::floating_control_of(parked->stack_pointer);
  } else {
    frozen->floating.save();
  }
  return frozen;
}

void clear_frame(_PyInterpreterFrame* f) {
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
  Py_CLEAR(f->frame_obj);
  pop_slots(f, code_of(f)->co_nlocalsplus);
  if (!clears_last_first) {
    for (int i = 0; i < code_of(f)->co_nlocalsplus; ++i) {
      Slot slot = std::exchange(f->localsplus[i], make_slot(nullptr));
      if (owns(slot)) {
        Py_DECREF(object_in(slot));
      }
    }
  }
  pop_slots(f, 0);
  Py_CLEAR(f->f_locals);
  drop_function_and_code(f);
}

void drop(Frozen* frozen) {
  // Innermost first, as unwinding would do it.
  for_each_frame(frozen, [](_PyInterpreterFrame* f) {
    f->previous = nullptr;
    if (is_on_data_stack(f)) {  // else its generator has it
      clear_frame(f);
    }
  });
  Py_XDECREF(frozen->exc_value);
  Py_XDECREF(frozen->context);
  if (const Extras* extras = frozen->extras) {
    Py_XDECREF(extras->functions.trace_object);
    Py_XDECREF(extras->functions.profile_object);
  }
  discard(frozen);
}

PyObject* take_context(Frozen* frozen) noexcept {
  PyObject* context = frozen->context;
  frozen->context = nullptr;
  return context;
}

std::size_t memory_of(const Frozen* frozen) noexcept {
  return sizeof(Frozen) + frozen->used_words * sizeof(Slot);
}

int count_operands(const Frozen* frozen) noexcept { return frozen->pops; }

}  // namespace stackless::interp
