// What lies on a parked stack, x86-64 System V. The offsets are known to arch/x86_64.S.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stackless::core::arch {

// The floating-point control words: rounding, and which exceptions are masked.
struct FloatingControl {
  std::uint32_t mxcsr;
  std::uint16_t x87_control;
  std::uint16_t unused;

  void save() noexcept { asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(x87_control)); }
  // load_over() loads these; `x87_before` is what the x87 word has been. What is reloaded unseen, and what not:
  // x86_64.S.
  void load_over(std::uint16_t x87_before) const noexcept {
    asm volatile("ldmxcsr %0" : : "m"(mxcsr));
    if (x87_before != x87_control) {
      asm volatile("fldcw %0" : : "m"(x87_control));
    }
  }
  void load() const noexcept {
    std::uint16_t x87_before;
    asm volatile("fnstcw %0" : "=m"(x87_before));
    load_over(x87_before);
  }
  // swap() loads these and keeps those that were. They are copied one by one, as they were stored: a wider
  // load would miss the store buffer.
  void swap() noexcept {
    FloatingControl before;
    before.save();
    load_over(before.x87_control);
    mxcsr = before.mxcsr;
    x87_control = before.x87_control;
  }
};

struct ParkedFrame {
  FloatingControl floating;
  std::uintptr_t r12, r13, r14, r15;
  std::uintptr_t rbx;  // stackless_start_context calls what it finds here
  std::uintptr_t rbp;
  std::uintptr_t resume_at;
  std::uintptr_t end_of_stack[2];  // only a new context: the null return address, and padding

  // start() fills in a frame whose first resumption calls `entry` by way of `start_context`.
  void start(void (*entry)(), void (*start_context)()) noexcept {
    floating.save();
    rbx = reinterpret_cast<std::uintptr_t>(entry);
    resume_at = reinterpret_cast<std::uintptr_t>(start_context);
  }
};

static_assert(offsetof(ParkedFrame, r12) == 8 && offsetof(ParkedFrame, rbx) == 40 &&
              offsetof(ParkedFrame, resume_at) == 56);
// The call of entry() is made on an aligned stack, as the ABI asks.
static_assert((sizeof(ParkedFrame) - offsetof(ParkedFrame, end_of_stack)) % 16 == 0);

// enter() has `start_context` call entry(), on the stack whose end is given: a null return address, and padding.
[[noreturn, gnu::always_inline]] inline void enter(void* end_of_stack, void (*entry)(),
                                                   void (*start_context)()) noexcept {
  asm volatile(
      "movq %0, %%rsp\n\t"
      "jmp *%1"
      :
      : "r"(end_of_stack), "r"(start_context), "b"(entry)
      : "memory");
  __builtin_unreachable();
}

// switch_context() does what stackless_switch_context() does, on the same frames, without a call.
//
// A called function returns to where its target was called from, and the branch predictor expects
// that to be where it was called itself. Where contexts switch at different places that is a
// misprediction every time, twice the price of the switch; an indirect jump is predicted by its
// history. And a call that is left by a jump (Boost.Context's way) mispredicts every return that
// follows. Inline there is neither: returns stay paired with their calls, and the jump is
// predicted. The compiler saves what it needs of the registers that are declared as clobbered.
[[gnu::always_inline]] inline void switch_context(void** parked, void* target) noexcept {
  asm volatile(
      "leaq -192(%%rsp), %%rsp\n\t"  // a frame of 64 bytes below the red zone
      "movq %%rsp, (%%rdi)\n\t"
      "leaq 1f(%%rip), %%rax\n\t"
      "stmxcsr (%%rsp)\n\t"
      "fnstcw 4(%%rsp)\n\t"
      "movq %%rbp, 48(%%rsp)\n\t"
      "movq %%rax, 56(%%rsp)\n\t"
      // For MXCSR and the x87 control word see x86_64.S.
      "movzwl 4(%%rsi), %%ecx\n\t"
      "ldmxcsr (%%rsi)\n\t"
      "movq 8(%%rsi), %%r12\n\t"
      "movq 16(%%rsi), %%r13\n\t"
      "movq 24(%%rsi), %%r14\n\t"
      "movq 32(%%rsi), %%r15\n\t"
      "movq 40(%%rsi), %%rbx\n\t"
      "movq 48(%%rsi), %%rbp\n\t"
      "movq 56(%%rsi), %%rax\n\t"
      "cmpw 4(%%rsp), %%cx\n\t"
      "leaq 64(%%rsi), %%rsp\n\t"
      "jne 2f\n"
      "3:\tjmp *%%rax\n"
      "2:\tfldcw 4(%%rsi)\n\t"
      "jmp 3b\n"
      "1:\tsubq $-128, %%rsp\n\t"
      : "+D"(parked), "+S"(target)
      :
      : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory",
        "cc", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "xmm0", "xmm1",
        "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
        "xmm13", "xmm14", "xmm15"
#ifdef __AVX512F__
        ,
        "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6",
        "k7"
#endif
  );
}

}  // namespace stackless::core::arch
