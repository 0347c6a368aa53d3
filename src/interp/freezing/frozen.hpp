// The block that a frozen tasklet consists of: this header, and its frames behind it.
#pragma once

#include "interp/frames/call_position.hpp"
#include "interp/frames/frame.hpp"
#include "interp/frames/loops.hpp"
#include "interp/frames/running_generators.hpp"
#include "interp/freezing/freeze.hpp"
#include "interp/freezing/generators_3_11.hpp"
#include "interp/freezing/stowed_generators.hpp"
#include "interp/switching/switch.hpp"

namespace stackless::interp {

// What few frozen tasklets have.
struct Extras {
  Tracing functions;
  _PyStackChunk* room;  // where they will run, if a stack's own data area is too small
};

// A million of these lie in memory at once, and the collector walks through them: no word is
// wasted.
struct Frozen {
  _PyInterpreterFrame* inner;  // the first of the chain; those of generators lie in the generators
  PyObject* exc_value;         // what is being handled; what its generators handle lies there, too
  PyObject* context;
  Extras* extras;  // null for nearly all
  core::FloatingControl floating;
  std::uint32_t used_words;
  std::uint32_t frames : 26;
  std::uint32_t pops : 6;

  Slot* words() noexcept { return reinterpret_cast<Slot*>(this + 1); }
};

static_assert(sizeof(Slot) == sizeof(void*));

// A frame takes at least nine words, so that this bounds Frozen::frames, too.
constexpr std::size_t most_words = std::size_t{1} << 29;
static_assert(most_words / special_words < std::size_t{1} << 26);
constexpr int most_pops = (1 << 6) - 1;

// ---- taking a tasklet's state (freezing/freeze.cpp) ---------------------------------------------

// share_of() is that of a suspended tasklet, or of the running one (`parked` null), saved in *own.
const Share& share_of(PyThreadState* ts, Parked* parked, Share* own);
// new_block() returns a block for so many words of frames; null if there is no memory.
Frozen* new_block(std::size_t words) noexcept;
void free_block(Frozen* block) noexcept;
// new_frozen() makes a block with room for the frames, and copies the trace functions; null if
// there is no memory.
Frozen* new_frozen(const Share& share, const Halt& halt) noexcept;
// extras_of() makes them if there are none; null if there is no memory.
Extras* extras_of(Frozen* frozen) noexcept;
// discard() frees a block in which nothing is left.
void discard(Frozen* frozen) noexcept;
// copy_frame() copies a frame to *words, which it advances, if it lies on the data stack.
_PyInterpreterFrame* copy_frame(Slot** words, _PyInterpreterFrame* f, int height) noexcept;
// take_state() takes the rest: the context and the exceptions being handled. The data stack is free
// then.
void take_state(Frozen* frozen, const Share& share) noexcept;

// clear_frame() drops what a frame holds that nothing runs any more.
void clear_frame(_PyInterpreterFrame* f);

template <typename Visit>
void for_each_frame(Frozen* frozen, Visit visit) {
  _PyInterpreterFrame* f = frozen->inner;
  for (int i = 0; i < frozen->frames; ++i) {
    _PyInterpreterFrame* caller = f->previous;
    visit(f);
    f = caller;
  }
}

// is_stale() tells whether catch_up() has something to do for the frames of a chain.
inline bool is_stale(PyThreadState* ts, _PyInterpreterFrame* f) {
  if constexpr (!tools_rewrite_code) {
    return false;
  }
  for (; f != nullptr; f = f->previous) {
    if (instrumentation_version(code_of(f)) != monitoring_version(ts)) {
      return true;
    }
  }
  return false;
}

template <typename Visit>
void for_each_generator(Frozen* frozen, Visit visit) {
  for_each_frame(frozen, [&](_PyInterpreterFrame* f) {
    if (!is_on_data_stack(f)) {
      visit(generator_of(f));
    }
  });
}

// link_items() links what the tasklet's generators handle to its `own` item; returns the innermost.
inline _PyErr_StackItem* link_items(Frozen* frozen, _PyErr_StackItem* own) noexcept {
  _PyErr_StackItem* first = nullptr;
  _PyErr_StackItem** link = &first;
  for_each_generator(frozen, [&](PyGenObject* generator) {
    *link = &generator->gi_exc_state;
    link = &(*link)->previous_item;
  });
  *link = own;
  return first;
}

}  // namespace stackless::interp
