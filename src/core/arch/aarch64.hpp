// What lies on a parked stack, aarch64 AAPCS64. The offsets are known to arch/aarch64.S.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" void stackless_switch_context(void** parked, void* target) noexcept
    __attribute__((visibility("hidden")));

namespace stackless::core::arch {

// The floating-point control word: rounding, and which exceptions are trapped.
struct FloatingControl {
  std::uint64_t fpcr;

  void save() noexcept { asm volatile("mrs %0, fpcr" : "=r"(fpcr)); }
  void load() const noexcept {
    FloatingControl before = *this;
    before.swap();
  }
  // swap() loads this and keeps what was. Writing drains the pipeline (aarch64.S).
  void swap() noexcept {
    FloatingControl before;
    before.save();
    if (before.fpcr != fpcr) {
      asm volatile("msr fpcr, %0" : : "r"(fpcr));
    }
    *this = before;
  }
};

struct ParkedFrame {
  std::uintptr_t x19;  // stackless_start_context calls what it finds here
  std::uintptr_t x20_to_x28[9];
  std::uintptr_t x29;
  std::uintptr_t resume_at;  // x30, the link register
  std::uint64_t d8_to_d15[8];
  FloatingControl floating;
  std::uint64_t unused;
  std::uintptr_t end_of_stack[2];  // only a new context: a null frame record

  // start() fills in a frame whose first resumption calls `entry` by way of `start_context`.
  void start(void (*entry)(), void (*start_context)()) noexcept {
    floating.save();
    x19 = reinterpret_cast<std::uintptr_t>(entry);
    resume_at = reinterpret_cast<std::uintptr_t>(start_context);
  }
};

static_assert(offsetof(ParkedFrame, x29) == 80 && offsetof(ParkedFrame, d8_to_d15) == 96 &&
              offsetof(ParkedFrame, floating) == 160 && offsetof(ParkedFrame, end_of_stack) == 176);
static_assert(sizeof(ParkedFrame) % 16 == 0);  // sp is 16-byte aligned at all times

// enter() has `start_context` call entry(), on the stack whose end is given: a null frame record.
[[noreturn, gnu::always_inline]] inline void enter(void* end_of_stack, void (*entry)(),
                                                   void (*start_context)()) noexcept {
  register auto first asm("x19") = entry;
  asm volatile(
      "mov sp, %0\n\t"
      "br %1"
      :
      : "r"(end_of_stack), "r"(start_context), "r"(first)
      : "memory");
  __builtin_unreachable();
}

inline void switch_context(void** parked, void* target) noexcept {
  stackless_switch_context(parked, target);
}

}  // namespace stackless::core::arch
