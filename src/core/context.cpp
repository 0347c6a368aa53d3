#include "core/context.hpp"

#include <cassert>
#include <cstdint>
#include <iterator>
#include <new>

#include "core/arch/parked_frame.hpp"

// Where a new context begins (arch/*.S); never called from C++.
extern "C" void stackless_start_context() __attribute__((visibility("hidden")));

namespace stackless::core {

StackPointer make_context(void* top, Entry entry) noexcept {
  assert(reinterpret_cast<std::uintptr_t>(top) % 16 == 0);
  void* place = static_cast<std::byte*>(top) - sizeof(arch::ParkedFrame);
  auto* frame = new (place) arch::ParkedFrame{};
  frame->start(entry, stackless_start_context);
  return frame;
}

[[gnu::no_sanitize_address]] void enter_context(void* top, Entry entry) noexcept {
  auto* end = static_cast<std::uintptr_t*>(top) - std::size(arch::ParkedFrame{}.end_of_stack);
  end[0] = end[1] = 0;
  arch::enter(end, entry, stackless_start_context);
}

}  // namespace stackless::core
