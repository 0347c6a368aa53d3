// What lies on a parked stack, x86-64 System V. The offsets are known to arch/x86_64.S.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stackless::core::arch {

struct ParkedFrame {
  std::uint32_t mxcsr;
  std::uint16_t x87_control;
  std::uint16_t unused;
  std::uintptr_t r12, r13, r14, r15;
  std::uintptr_t rbx;  // stackless_start_context calls what it finds here
  std::uintptr_t rbp;
  std::uintptr_t resume_at;
  std::uintptr_t end_of_stack[2];  // only a new context: the null return address, and padding

  // start() fills in a frame whose first resumption calls `entry` by way of `start_context`.
  void start(void (*entry)(), void (*start_context)()) noexcept {
    asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(x87_control));
    rbx = reinterpret_cast<std::uintptr_t>(entry);
    resume_at = reinterpret_cast<std::uintptr_t>(start_context);
  }
};

static_assert(offsetof(ParkedFrame, r12) == 8 && offsetof(ParkedFrame, rbx) == 40 &&
              offsetof(ParkedFrame, resume_at) == 56);
// The call of entry() is made on an aligned stack, as the ABI asks.
static_assert((sizeof(ParkedFrame) - offsetof(ParkedFrame, end_of_stack)) % 16 == 0);

}  // namespace stackless::core::arch
