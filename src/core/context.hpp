// The context switch: park the running C stack, carry on with another one.
//
// A parked context is nothing but its stack pointer; everything the ABI calls callee-saved,
// the floating-point control words included, lies on the parked stack itself.
#pragma once

#include <cstddef>

#include "core/arch/parked_frame.hpp"
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace stackless::core {

// A parked context: the stack pointer beneath the registers it saved.
using StackPointer = void*;

// What a new context runs. It must not return: its last act is a switch away.
using Entry = void (*)();

// switch_context() parks the running context, stores where into *parked, and resumes `target`.
// It returns when somebody switches back to what it stored.
extern "C" void stackless_switch_context(StackPointer* parked, StackPointer target) noexcept
    __attribute__((visibility("hidden")));

// The floating-point control words belong to a context.
using FloatingControl = arch::FloatingControl;
inline FloatingControl& floating_control_of(StackPointer parked) noexcept {
  return static_cast<arch::ParkedFrame*>(parked)->floating;
}

// make_context() prepares the stack whose first byte beyond is `top` (16-byte aligned) so that
// the first switch to the result calls entry() with the caller's floating-point control words.
StackPointer make_context(void* top, Entry entry) noexcept;

// enter_context() does both at once, and forgets the running context: it never returns. (Were that declared,
// AddressSanitizer would tidy up what it takes for the stack of the thread.)
void enter_context(void* top, Entry entry) noexcept;

// switch_context() is the same without a call, where that is faster. A context parked by one can be resumed by the
// other.
[[gnu::always_inline]] inline void switch_context(StackPointer* parked,
                                                  StackPointer target) noexcept {
  arch::switch_context(parked, target);
}

// abandon() says that the functions whose frames lie on the stack from `parked` to `top` will never return.
// Their red zones would be found in the way of the next ones.
inline void abandon([[maybe_unused]] StackPointer parked, [[maybe_unused]] void* top) noexcept {
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(parked, static_cast<char*>(top) - static_cast<char*>(parked));
#endif
}

}  // namespace stackless::core
