#include "interp/freezing/stowed_generators.hpp"

#include <cstddef>
#include <cstring>
#include <new>
#include <utility>

#include "interp/frames/async_generators.hpp"
#include "interp/frames/running_generators.hpp"

namespace stackless::interp {

bool Aside::reserve(std::size_t frames, std::size_t words) noexcept {
  try {
    items_.reserve(frames);
  } catch (const std::bad_alloc&) {
    return false;
  }
  PyMem_Free(words_);
  words_ = unused_ = static_cast<Slot*>(PyMem_Malloc(words * sizeof(Slot)));
  return words_ != nullptr;
}

_PyInterpreterFrame* Aside::put(_PyInterpreterFrame* frame, int height) noexcept {
  PyGenObject* generator = generator_of(frame);
  Py_INCREF(generator);
  std::size_t words = used_words(height);
  items_.push_back({generator, generator->gi_exc_state, generator->gi_frame_state,
                    generator->gi_running_async, nullptr, unused_, words});
  generator->gi_exc_state.exc_value = nullptr;
  auto* copy = reinterpret_cast<_PyInterpreterFrame*>(unused_);
  unused_ += words;
  std::memcpy(static_cast<void*>(copy), frame, words * sizeof(Slot));
  set_height_for(copy, frame, height);
  return copy;
}

void Aside::restore() noexcept {
  for (Item& item : items_) {
    auto* frame = reinterpret_cast<char*>(item.generator) + offsetof(PyGenObject, gi_iframe);
    std::memcpy(frame, item.copy, item.words * sizeof(Slot));
    item.generator->gi_exc_state = item.exc_state;
    item.generator->gi_frame_state = item.frame_state;
    if (item.driver != nullptr) {
      item.generator->gi_running_async = item.running_async;
      state_of(item.driver) = awaitable_begun;
    }
  }
  // Nobody holds the last reference to one that runs: its caller's frame has one, too.
  for (Item& item : items_) {
    drop_reference(item.generator);
  }
  items_.clear();
  PyMem_Free(std::exchange(words_, nullptr));
}

}  // namespace stackless::interp
