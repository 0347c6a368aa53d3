#include "core/context.hpp"

#include <execinfo.h>
#include <gtest/gtest.h>
#include <cfenv>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/stack_pool.hpp"

namespace stackless::core {
namespace {

// A Coroutine runs `body` on a stack of its own; body and creator hand control to and fro.
class Coroutine {
 public:
  Coroutine(StackPool& pool, std::function<void(Coroutine&)> body)
      : pool_(pool), stack_(pool.acquire()), body_(std::move(body)) {
    own_ = make_context(stack_->top(), &Coroutine::run);
  }
  ~Coroutine() { pool_.release(stack_); }

  void resume() {
    current_ = this;
    switch_context(&creator_, own_);
  }
  void yield() { switch_context(&own_, creator_); }
  bool done() const { return done_; }
  void* top() const { return stack_->top(); }

  StackPointer own_ = nullptr;
  StackPointer creator_ = nullptr;

 private:
  static void run() {
    Coroutine* self = current_;
    self->body_(*self);
    self->done_ = true;
    self->yield();
    std::abort();
  }

  static inline Coroutine* current_ = nullptr;
  StackPool& pool_;
  Stack* stack_;
  std::function<void(Coroutine&)> body_;
  bool done_ = false;
};

// Registers holds what the ABI calls callee-saved: general registers first, then d8 to d15.
#if defined(__x86_64__)
constexpr std::size_t register_count = 6;
#else
constexpr std::size_t register_count = 19;
#endif
using Registers = std::vector<std::uint64_t>;

// switch_with_registers() fills them with base, base + 1 ..., switches, and returns what they hold
// afterwards.
__attribute__((noinline)) Registers switch_with_registers(std::uint64_t base, StackPointer* parked,
                                                          StackPointer target) {
  Registers seen(register_count);
#if defined(__x86_64__)
  void* out = seen.data();
  asm volatile(
      "subq $128, %%rsp\n\t"  // keep off the red zone
      "pushq %%rax\n\t"
      "pushq %%rbp\n\t"
      "movq %%rdx, %%rbx\n\t"
      "leaq 1(%%rdx), %%rbp\n\t"
      "leaq 2(%%rdx), %%r12\n\t"
      "leaq 3(%%rdx), %%r13\n\t"
      "leaq 4(%%rdx), %%r14\n\t"
      "leaq 5(%%rdx), %%r15\n\t"
      "call stackless_switch_context\n\t"
      "movq %%rbp, %%rcx\n\t"
      "popq %%rbp\n\t"
      "popq %%rax\n\t"
      "addq $128, %%rsp\n\t"
      "movq %%rbx, (%%rax)\n\t"
      "movq %%rcx, 8(%%rax)\n\t"
      "movq %%r12, 16(%%rax)\n\t"
      "movq %%r13, 24(%%rax)\n\t"
      "movq %%r14, 32(%%rax)\n\t"
      "movq %%r15, 40(%%rax)\n\t"
      : "+a"(out), "+d"(base), "+D"(parked), "+S"(target)
      :
      : "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
#elif defined(__aarch64__)
  register std::uint64_t x2 asm("x2") = base;
  register void* x3 asm("x3") = seen.data();
  register StackPointer* x0 asm("x0") = parked;
  register StackPointer x1 asm("x1") = target;
  asm volatile(
      "stp x3, x29, [sp, #-16]!\n\t"
      "mov x19, x2\n\tadd x20, x2, #1\n\tadd x21, x2, #2\n\tadd x22, x2, #3\n\t"
      "add x23, x2, #4\n\tadd x24, x2, #5\n\tadd x25, x2, #6\n\tadd x26, x2, #7\n\t"
      "add x27, x2, #8\n\tadd x28, x2, #9\n\tadd x29, x2, #10\n\t"
      "add x4, x2, #11\n\tfmov d8, x4\n\tadd x4, x2, #12\n\tfmov d9, x4\n\t"
      "add x4, x2, #13\n\tfmov d10, x4\n\tadd x4, x2, #14\n\tfmov d11, x4\n\t"
      "add x4, x2, #15\n\tfmov d12, x4\n\tadd x4, x2, #16\n\tfmov d13, x4\n\t"
      "add x4, x2, #17\n\tfmov d14, x4\n\tadd x4, x2, #18\n\tfmov d15, x4\n\t"
      "bl stackless_switch_context\n\t"
      "mov x4, x29\n\t"
      "ldp x3, x29, [sp], #16\n\t"
      "stp x19, x20, [x3]\n\tstp x21, x22, [x3, #16]\n\tstp x23, x24, [x3, #32]\n\t"
      "stp x25, x26, [x3, #48]\n\tstp x27, x28, [x3, #64]\n\tstr x4, [x3, #80]\n\t"
      "str d8, [x3, #88]\n\tstr d9, [x3, #96]\n\tstr d10, [x3, #104]\n\tstr d11, [x3, #112]\n\t"
      "str d12, [x3, #120]\n\tstr d13, [x3, #128]\n\tstr d14, [x3, #136]\n\t"
      "str d15, [x3, #144]\n\t"
      : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
      :
      : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17",
        "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30", "d8", "d9",
        "d10", "d11", "d12", "d13", "d14", "d15", "memory", "cc");
#endif
  return seen;
}

Registers counting_from(std::uint64_t base) {
  Registers expected(register_count);
  for (std::size_t i = 0; i < register_count; ++i) {
    expected[i] = base + i;
  }
  return expected;
}

TEST(Context, TheFirstSwitchEntersAndLaterOnesResume) {
  StackPool pool;
  std::string log;
  Coroutine coroutine(pool, [&](Coroutine& self) {
    log += "a";
    self.yield();
    log += "b";
    self.yield();
    log += "c";
  });
  for (int i = 1; i <= 3; ++i) {
    coroutine.resume();
    log += std::to_string(i);
  }
  EXPECT_EQ(log, "a1b2c3");
  EXPECT_TRUE(coroutine.done());
}

TEST(Context, OneContextCanSwitchToAnotherWithoutGoingThroughItsCreator) {
  StackPool pool;
  std::string log;
  std::vector<Coroutine*> both;
  const auto play = [&](Coroutine& self, int me) {
    self.yield();
    for (int i = 0; i < 3; ++i) {
      log += std::to_string(me);
      switch_context(&self.own_, both[1 - me]->own_);
    }
  };
  Coroutine zero(pool, [&](Coroutine& self) { play(self, 0); });
  Coroutine one(pool, [&](Coroutine& self) { play(self, 1); });
  both = {&zero, &one};
  zero.resume();
  one.resume();
  zero.resume();  // until `zero`, the first to finish, comes back here
  EXPECT_EQ(log, "010101");
  EXPECT_TRUE(zero.done());
  EXPECT_FALSE(one.done());
}

TEST(Context, AThousandContextsKeepTheirLocals) {
  StackPool pool(256 * 1024);
  std::vector<std::unique_ptr<Coroutine>> all;
  std::uint64_t total = 0;
  for (std::uint64_t n = 0; n < 1000; ++n) {
    all.push_back(std::make_unique<Coroutine>(pool, [&total, n](Coroutine& self) {
      std::uint64_t mine = n;
      for (int i = 0; i < 5; ++i) {
        self.yield();
        mine += n;
      }
      total += mine;
    }));
  }
  for (int round = 0; round < 6; ++round) {
    for (auto& coroutine : all) {
      coroutine->resume();
    }
  }
  EXPECT_EQ(total, 6u * 999 * 1000 / 2);
}

TEST(Context, CalleeSavedRegistersSurviveOnBothSides) {
  StackPool pool;
  Registers inside;
  Coroutine coroutine(pool, [&](Coroutine& self) {
    inside = switch_with_registers(1000, &self.own_, self.creator_);
  });
  coroutine.resume();
  EXPECT_EQ(switch_with_registers(7000, &coroutine.creator_, coroutine.own_), counting_from(7000));
  EXPECT_EQ(inside, counting_from(1000));
  EXPECT_TRUE(coroutine.done());
}

// Values that the compiler would like to keep in registers across a switch, of every kind.
template <class Switch>
__attribute__((noinline)) double compute_across(double seed, Switch give_way) {
  double sum[8];
  std::uint64_t whole[8];
  for (int i = 0; i < 8; ++i) {
    sum[i] = seed + i;
    whole[i] = static_cast<std::uint64_t>(seed) * 3 + static_cast<std::uint64_t>(i);
  }
  for (int round = 0; round < 20; ++round) {
    give_way();
    for (int i = 0; i < 8; ++i) {
      sum[i] = sum[i] * 1.0625 + static_cast<double>(i);
      whole[i] = whole[i] * 5 + static_cast<std::uint64_t>(round);
    }
  }
  double total = 0;
  for (int i = 0; i < 8; ++i) {
    total += sum[i] + static_cast<double>(whole[i] % 1009);
  }
  return total;
}

TEST(Context, ComputationsAreNotDisturbedByEachOther) {
  StackPool pool;
  double inside = 0;
  Coroutine coroutine(pool,
                      [&](Coroutine& self) { inside = compute_across(7, [&] { self.yield(); }); });
  const double outside = compute_across(1000, [&] { coroutine.resume(); });
  coroutine.resume();
  EXPECT_TRUE(coroutine.done());
  EXPECT_EQ(inside, compute_across(7, [] {}));
  EXPECT_EQ(outside, compute_across(1000, [] {}));
}

TEST(Context, TheCalledAndTheInlineSwitchUnderstandEachOther) {
  // Each way of parking meets each way of resuming.
  StackPool pool;
  Registers inside;
  std::string log;
  Coroutine coroutine(pool, [&](Coroutine& self) {
    self.yield();  // parked inline, resumed by call
    log += "a";
    inside = switch_with_registers(100, &self.own_, self.creator_);  // and the other way round
    log += "b";
    self.yield();
  });
  coroutine.resume();
  EXPECT_EQ(switch_with_registers(500, &coroutine.creator_, coroutine.own_), counting_from(500));
  coroutine.resume();
  EXPECT_EQ(inside, counting_from(100));
  EXPECT_EQ(switch_with_registers(900, &coroutine.creator_, coroutine.own_), counting_from(900));
  EXPECT_EQ(log, "ab");
  EXPECT_TRUE(coroutine.done());
}

TEST(Context, TheStackIsAlignedWhereEntryBegins) {
  StackPool pool;
  std::uintptr_t address = 1;
  Coroutine coroutine(pool, [&](Coroutine&) {
    struct alignas(16) Aligned {
      float values[4];
    };
    volatile Aligned local{};
    address = reinterpret_cast<std::uintptr_t>(&local);
  });
  coroutine.resume();
  EXPECT_EQ(address % 16, 0u);
}

TEST(Context, ExceptionsAreThrownAndCaughtInsideAContext) {
  StackPool pool;
  std::string caught;
  Coroutine coroutine(pool, [&](Coroutine& self) {
    try {
      self.yield();
      throw std::runtime_error("inside");
    } catch (const std::runtime_error& error) {
      caught = error.what();
    }
  });
  coroutine.resume();
  coroutine.resume();
  EXPECT_EQ(caught, "inside");
}

TEST(Context, AnUnwinderStopsAtTheBaseOfTheStack) {
  StackPool pool;
  int depth = 0;
  Coroutine coroutine(pool, [&](Coroutine&) {
    void* frames[64];
    depth = backtrace(frames, 64);
  });
  coroutine.resume();
  EXPECT_GT(depth, 0);
  EXPECT_LT(depth, 16);
}

TEST(Context, ARoundingModeStaysWithItsContext) {
  StackPool pool;
  std::vector<int> inside;
  Coroutine coroutine(pool, [&](Coroutine& self) {
    std::fesetround(FE_UPWARD);
    self.yield();
    inside.push_back(std::fegetround());
    std::fesetround(FE_DOWNWARD);
    self.yield();
    inside.push_back(std::fegetround());
    std::fesetround(FE_TONEAREST);
  });
  coroutine.resume();
  EXPECT_EQ(std::fegetround(), FE_TONEAREST);
  std::fesetround(FE_TOWARDZERO);
  coroutine.resume();
  EXPECT_EQ(std::fegetround(), FE_TOWARDZERO);
  coroutine.resume();
  EXPECT_EQ(std::fegetround(), FE_TOWARDZERO);
  std::fesetround(FE_TONEAREST);
  EXPECT_EQ(inside, (std::vector<int>{FE_UPWARD, FE_DOWNWARD}));
}

TEST(Context, ANewContextStartsWithTheControlWordsOfItsMaker) {
  StackPool pool;
  int inside = -1;
  std::fesetround(FE_UPWARD);
  Coroutine coroutine(pool, [&](Coroutine&) { inside = std::fegetround(); });
  std::fesetround(FE_DOWNWARD);
  coroutine.resume();
  EXPECT_EQ(std::fegetround(), FE_DOWNWARD);
  std::fesetround(FE_TONEAREST);
  EXPECT_EQ(inside, FE_UPWARD);
}

// What the context sees that enter_context() enters.
struct Arrival {
  std::uintptr_t address;
  int rounding;
  int depth;
  StackPointer creator;
};
Arrival arrival;

TEST(Context, OneContextCanEndByEnteringAnother) {
  StackPool pool;
  Stack* stack = pool.acquire();
  Coroutine coroutine(pool, [stack](Coroutine& self) {
    std::fesetround(FE_UPWARD);
    arrival.creator = self.creator_;
    constexpr std::ptrdiff_t callees = 1024;
    abandon(static_cast<char*>(__builtin_frame_address(0)) - callees, self.top());
    enter_context(stack->top(), [] {
      struct alignas(16) Aligned {
        float values[4];
      };
      volatile Aligned local{};
      arrival.address = reinterpret_cast<std::uintptr_t>(&local);
      arrival.rounding = std::fegetround();
      void* frames[64];
      arrival.depth = backtrace(frames, 64);
      StackPointer nobody;
      switch_context(&nobody, arrival.creator);
    });
  });
  coroutine.resume();
  EXPECT_EQ(std::fegetround(), FE_TONEAREST);
  EXPECT_EQ(arrival.address % 16, 0u);
  EXPECT_LT(arrival.address, reinterpret_cast<std::uintptr_t>(stack->top()));
  EXPECT_GT(arrival.address + 4096, reinterpret_cast<std::uintptr_t>(stack->top()));
  EXPECT_EQ(arrival.rounding, FE_UPWARD);
  EXPECT_GT(arrival.depth, 0);
  EXPECT_LT(arrival.depth, 16);
  pool.release(stack);
}

#if defined(__x86_64__)

std::uint32_t mxcsr() {
  std::uint32_t value;
  asm volatile("stmxcsr %0" : "=m"(value));
  return value;
}
void set_mxcsr(std::uint32_t value) { asm volatile("ldmxcsr %0" : : "m"(value)); }
std::uint16_t x87_control() {
  std::uint16_t value;
  asm volatile("fnstcw %0" : "=m"(value));
  return value;
}
void set_x87_control(std::uint16_t value) { asm volatile("fldcw %0" : : "m"(value)); }

TEST(Context, MxcsrAndTheX87ControlWordAreKeptApart) {
  constexpr std::uint32_t flush_to_zero = 0x8000;
  constexpr std::uint16_t single_precision = 0x007f;
  StackPool pool;
  const std::uint32_t outer_mxcsr = mxcsr();
  const std::uint16_t outer_x87 = x87_control();
  std::uint32_t inner_mxcsr = 0;
  std::uint16_t inner_x87 = 0;
  Coroutine coroutine(pool, [&](Coroutine& self) {
    set_mxcsr(outer_mxcsr | flush_to_zero);  // only the one differs
    self.yield();
    inner_mxcsr = mxcsr();
    set_mxcsr(outer_mxcsr);
    set_x87_control(single_precision);  // only the other differs
    self.yield();
    inner_x87 = x87_control();
  });
  coroutine.resume();
  EXPECT_EQ(mxcsr() & 0xffc0, outer_mxcsr & 0xffc0);
  coroutine.resume();
  EXPECT_EQ(x87_control(), outer_x87);
  coroutine.resume();
  EXPECT_EQ(inner_mxcsr & 0xffc0, (outer_mxcsr | flush_to_zero) & 0xffc0);
  EXPECT_EQ(inner_x87, single_precision);
  EXPECT_EQ(x87_control(), outer_x87);
}

#endif

}  // namespace
}  // namespace stackless::core
