#include "interp/freezing/freeze.hpp"

#include <array>
#include <cstring>
#include <utility>

#include "interp/frames/call_position.hpp"
#include "interp/frames/hidden_frames.hpp"
#include "interp/freezing/frozen.hpp"
#include "interp/freezing/thaw.hpp"
#include "interp/switching/switch.hpp"

namespace stackless::interp {

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

// One block of each size waits to be used again: where tasklets are frozen and thawed by turns,
// malloc() and free() would be a fifth of it.
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
  set_entry(copy, false);
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
    drop_reference(object);
    return;
  }
  clear_reference(f->frame_obj);
  pop_slots(f, code_of(f)->co_nlocalsplus);
  if (!variables_die_last_first) {
    for (int i = 0; i < code_of(f)->co_nlocalsplus; ++i) {
      Slot slot = std::exchange(f->localsplus[i], make_slot(nullptr));
      if (owns(slot)) {
        drop_reference(object_in(slot));
      }
    }
  }
  pop_slots(f, 0);
  clear_reference(f->f_locals);
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
  drop_reference(frozen->exc_value);
  drop_reference(frozen->context);
  if (const Extras* extras = frozen->extras) {
    drop_reference(extras->functions.trace_object);
    drop_reference(extras->functions.profile_object);
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
