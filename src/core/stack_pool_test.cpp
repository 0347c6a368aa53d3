#include "core/stack_pool.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <vector>

namespace stackless::core {
namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;

std::size_t page() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

std::byte* page_of(void* address) {
  auto* byte = static_cast<std::byte*>(address);
  return byte - reinterpret_cast<std::uintptr_t>(byte) % page();
}

// resident() counts the pages of [begin, end) that take up memory.
std::size_t resident(std::byte* begin, std::byte* end) {
  begin = page_of(begin);
  const auto bytes = static_cast<std::size_t>(end - begin);
  std::vector<unsigned char> state((bytes + page() - 1) / page());
  EXPECT_EQ(mincore(begin, bytes, state.data()), 0) << std::strerror(errno);
  return static_cast<std::size_t>(
      std::count_if(state.begin(), state.end(), [](unsigned char s) { return (s & 1) != 0; }));
}

// resident() of a stack counts all its pages: C stack and data area.
std::size_t resident(Stack* stack) { return resident(stack->low, stack->data_end); }

void fill(std::byte* begin, std::byte* end) {
  std::memset(begin, 0x5a, static_cast<std::size_t>(end - begin));
}

std::size_t address_space_in_use() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  unsigned long pages = 0;
  if (file == nullptr || std::fscanf(file, "%lu", &pages) != 1) {
    std::abort();
  }
  std::fclose(file);
  return pages * page();
}

TEST(StackPool, AStackIsLaidOutAsDocumented) {
  for (std::size_t bytes : {64 * kib, 256 * kib, 2 * mib, 8 * mib}) {
    StackPool pool(bytes);
    std::vector<Stack*> stacks;
    for (int i = 0; i < 40; ++i) {
      Stack* stack = pool.acquire();
      ASSERT_NE(stack, nullptr);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(stack->top()) % 16, 0u);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(stack->data) % 16, 0u);
      EXPECT_EQ(page_of(stack->low), stack->low);
      EXPECT_EQ(stack->top(), reinterpret_cast<std::byte*>(stack));
      EXPECT_GE(stack->data, reinterpret_cast<std::byte*>(stack + 1));
      EXPECT_FALSE(stack->deep);
      // One page for the shallow: 2 KiB of C stack and 1 KiB of data beside each other.
      EXPECT_GE(stack->top() - page_of(stack), 2048);
      EXPECT_GE(page_of(stack) + page() - stack->data, 1024);
      EXPECT_EQ(page_of(stack->data), page_of(stack));
      EXPECT_GE(stack->data_end - page_of(stack), static_cast<std::ptrdiff_t>(32 * kib));
      if (bytes >= 256 * kib) {
        EXPECT_GT(stack->size(), bytes / 2);
      } else {
        EXPECT_GT(stack->size(), 16 * kib);
      }
      // All of it can be written.
      stack->low[0] = stack->top()[-1] = stack->data[0] = stack->data_end[-1] = std::byte{1};
      stacks.push_back(stack);
    }
    for (Stack* stack : stacks) {
      pool.release(stack);
    }
  }
}

TEST(StackPool, TheNewestReleasedIsTheNextAcquired) {
  StackPool pool;
  Stack* a = pool.acquire();
  Stack* b = pool.acquire();
  ASSERT_NE(a, b);
  pool.release(a);
  pool.release(b);
  EXPECT_EQ(pool.acquire(), b);
  EXPECT_EQ(pool.acquire(), a);
  pool.release(a);
  pool.release(b);
}

TEST(StackPool, StacksDoNotOverlap) {
  StackPool pool(128 * kib);
  std::vector<Stack*> stacks;
  for (int i = 0; i < 200; ++i) {
    stacks.push_back(pool.acquire());
    ASSERT_NE(stacks.back(), nullptr);
  }
  std::vector<Stack*> sorted = stacks;
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    EXPECT_LE(sorted[i - 1]->data_end, sorted[i]->low - page());
  }
  for (Stack* stack : stacks) {
    pool.release(stack);
  }
}

TEST(StackPool, CountsWhatItHandsOut) {
  StackPool pool(1 * mib);
  EXPECT_EQ(pool.statistics().reserved_bytes, 0u);
  Stack* a = pool.acquire();
  Stack* b = pool.acquire();
  pool.release(a);
  EXPECT_EQ(pool.statistics().in_use, 1u);
  EXPECT_EQ(pool.statistics().pooled, 1u);
  EXPECT_GE(pool.statistics().reserved_bytes, 2 * mib);
  pool.release(b);
  EXPECT_EQ(pool.statistics().in_use, 0u);
  EXPECT_EQ(pool.statistics().pooled, 2u);
}

TEST(StackPool, GivesItsAddressSpaceBackWhenItDies) {
  const std::size_t before = address_space_in_use();
  for (int i = 0; i < 20; ++i) {
    StackPool pool;
    pool.release(pool.acquire());
  }
  // The allocator may have grown, but by less than a single slab.
  EXPECT_LT(address_space_in_use(), before + 100 * mib);
}

TEST(StackPool, AcquiringTouchesOnePage) {
  StackPool pool;
  std::vector<Stack*> stacks;
  for (int i = 0; i < 40; ++i) {
    Stack* stack = pool.acquire();
    stacks.push_back(stack);
    make_context(stack->top(), [] {});
    stack->data[0] = std::byte{1};
    EXPECT_EQ(resident(stack), 1u);
  }
  for (Stack* stack : stacks) {
    pool.release(stack);
  }
}

TEST(StackPool, AGuardSharesItsPageTableWithTheHotPageBelow) {
  StackPool pool;
  std::vector<Stack*> stacks;
  std::set<std::uintptr_t> regions;
  for (int i = 0; i < 1000; ++i) {
    Stack* stack = pool.acquire();
    ASSERT_NE(stack, nullptr);
    stacks.push_back(stack);
    regions.insert(reinterpret_cast<std::uintptr_t>(stack) / (2 * mib));
    regions.insert(reinterpret_cast<std::uintptr_t>(stack->low - 1) / (2 * mib));
  }
  // Each slab has one guard with nothing below it.
#ifdef STACKLESS_CORE_TINY
  const std::size_t slabs = stacks.size() / 2 + 1;
#else
  const std::size_t slabs = 10;
#endif
  EXPECT_LE(regions.size(), stacks.size() + slabs);
  for (Stack* stack : stacks) {
    pool.release(stack);
  }
}

TEST(StackPool, TrimmingADeepStackGivesItsMemoryBack) {
  StackPool pool;
  Stack* stack = pool.acquire();
  fill(stack->low, stack->top());
  fill(stack->data, stack->data_end);
  EXPECT_GT(resident(stack), 7 * mib / page());
  stack->deep = true;
  pool.release(stack);
  EXPECT_FALSE(stack->deep);
  // The hot page, 16 KiB below it and 16 KiB above are kept.
  EXPECT_LE(resident(stack), std::max<std::size_t>(64 * kib / page(), 4));
  EXPECT_GE(resident(stack), 1u);
  EXPECT_EQ(stack->top()[-1], std::byte{0x5a});
  EXPECT_EQ(stack->data[0], std::byte{0x5a});
  EXPECT_EQ(pool.acquire(), stack);
  fill(stack->low, stack->top());
  pool.release(stack);
}

TEST(StackPool, AShallowStackIsTrimmedNowAndThenWithoutBeingAsked) {
  StackPool pool;
  Stack* stack = pool.acquire();
  fill(stack->low, stack->top());
  for (int i = 0; i < 1024; ++i) {
    pool.release(stack);
    ASSERT_EQ(pool.acquire(), stack);
  }
  EXPECT_LE(resident(stack), std::max<std::size_t>(64 * kib / page(), 4));
  pool.release(stack);
}

StackPointer outside;
StackPointer inside;
StackPool* pool_of_inside;
Stack* stack_of_inside;

// descend() uses about `bytes` of stack and calls `bottom` there.
__attribute__((noinline)) int descend(std::size_t bytes, int (*bottom)()) {
  volatile char frame[1024];
  frame[0] = 1;
  frame[1023] = 1;
  const int result = bytes > sizeof frame ? descend(bytes - sizeof frame, bottom) : bottom();
  return result + (frame[0] + frame[1023] - 2);
}

TEST(StackPool, AStackCanBeReleasedByWhoStandsDeepOnIt) {
  StackPool pool;
  pool_of_inside = &pool;
  stack_of_inside = pool.acquire();
  static int result = 0;
  inside = make_context(stack_of_inside->top(), [] {
    // Trimming must spare the frames that are still to return, far below the 16 KiB it keeps.
    result = descend(1 * mib, [] {
      stack_of_inside->deep = true;
      pool_of_inside->release(stack_of_inside);
      return 42;
    });
    switch_context(&inside, outside);
  });
  switch_context(&outside, inside);
  EXPECT_EQ(result, 42);
  EXPECT_EQ(pool.statistics().in_use, 0u);
}

TEST(StackPool, TheGuardIsRecognisedByItsAddress) {
  StackPool pool;
  Stack* a = pool.acquire();
  Stack* b = pool.acquire();
  for (Stack* stack : {a, b}) {
    EXPECT_TRUE(pool.is_guard(stack->low - 1));
    EXPECT_TRUE(pool.is_guard(stack->low - page()));
    EXPECT_FALSE(pool.is_guard(stack->low));
    EXPECT_FALSE(pool.is_guard(stack->top()));
  }
  EXPECT_FALSE(pool.is_guard(&pool));
  EXPECT_FALSE(pool.is_guard(nullptr));
  // The next slot has no guard as long as nobody has asked for its stack.
  const std::byte* slot_above = std::max(a, b)->low - page() + 8 * mib;
  EXPECT_FALSE(pool.is_guard(slot_above));
  pool.release(a);
  pool.release(b);
}

// A sanitizer's handler turns the signal into a report and an exit status.
#if defined(__SANITIZE_ADDRESS__)
#define EXPECT_SEGMENTATION_FAULT(statement) EXPECT_DEATH(statement, "SEGV|stack-overflow")
#else
#define EXPECT_SEGMENTATION_FAULT(statement) \
  EXPECT_EXIT(statement, testing::KilledBySignal(SIGSEGV), "")
#endif

TEST(StackPoolDeathTest, WritingToTheGuardIsASegmentationFault) {
  StackPool pool;
  std::vector<Stack*> stacks;
  for (int i = 0; i < 3; ++i) {
    stacks.push_back(pool.acquire());
  }
  for (Stack* stack : stacks) {
    volatile std::byte* guard = stack->low - 1;
    EXPECT_SEGMENTATION_FAULT(*guard = std::byte{1});
  }
  for (Stack* stack : stacks) {
    pool.release(stack);
  }
}

TEST(StackPoolDeathTest, RecursionWithoutEndRunsIntoTheGuard) {
  StackPool pool;
  Stack* stack = pool.acquire();
  inside = make_context(stack->top(), [] {
    descend(std::size_t{1} << 40, [] { return 0; });
    std::abort();
  });
  EXPECT_SEGMENTATION_FAULT(switch_context(&outside, inside));
  pool.release(stack);
}

TEST(StackPoolDeathTest, TheGuardSurvivesTrimming) {
  StackPool pool;
  Stack* stack = pool.acquire();
  fill(stack->low, stack->top());
  stack->deep = true;
  pool.release(stack);
  volatile std::byte* guard = stack->low - 1;
  EXPECT_SEGMENTATION_FAULT(*guard = std::byte{1});
}

// skip_code is how a child says that its system lacks what the test needs.
constexpr int skip_code = 77;

// in_child() runs `body` in a child process and returns its exit status, or -signal.
template <class Body>
int in_child(Body body) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(StackPoolInAChild, RunningOutOfAddressSpaceReturnsNullAndLosesNothing) {
  const int status = in_child([] {
    rlimit limit{address_space_in_use() + 100 * mib, RLIM_INFINITY};
    rlimit now{};
    if (setrlimit(RLIMIT_AS, &limit) != 0 || getrlimit(RLIMIT_AS, &now) != 0 ||
        now.rlim_cur != limit.rlim_cur) {
      return skip_code;
    }
    StackPool pool;
    std::vector<Stack*> stacks;
    stacks.reserve(100);
    while (Stack* stack = pool.acquire()) {
      stacks.push_back(stack);
      if (stacks.size() == 100) {
        return 1;
      }
    }
    // Halving the slabs found room for nearly everything that fits (12 slots of 8 MiB).
    if (stacks.size() < 8 || pool.acquire() != nullptr) {
      return 2;
    }
    Stack* one = stacks.back();
    pool.release(one);
    if (pool.acquire() != one || pool.acquire() != nullptr) {
      return 3;
    }
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_AS, &limit);
    Stack* next = pool.acquire();
    if (next == nullptr) {
      return 4;
    }
    pool.release(next);
    for (Stack* stack : stacks) {
      pool.release(stack);
    }
    return 0;
  });
  if (status == skip_code) {
    GTEST_SKIP() << "qemu-user accepts RLIMIT_AS and ignores it";
  }
  EXPECT_EQ(status, 0);
}

TEST(StackPoolInAChild, LockedMemoryGetsItsGuardsByMprotect) {
  // The kernel refuses MADV_GUARD_INSTALL for locked memory: a way to see the fallback on a kernel
  // that has it.
  const int status = in_child([] {
    if (mlockall(MCL_FUTURE | MCL_ONFAULT) != 0) {
      return skip_code;
    }
    StackPool pool(64 * kib);
    Stack* stack = pool.acquire();
    if (stack == nullptr) {
      return 1;
    }
    stack->low[0] = std::byte{1};
    std::signal(SIGSEGV, [](int) { _exit(0); });
    volatile std::byte* guard = stack->low - 1;
    *guard = std::byte{1};
    return 2;
  });
  if (status == skip_code) {
    GTEST_SKIP() << "no right to lock memory, or an emulator that can't";
  }
  EXPECT_EQ(status, 0);
}

TEST(StackPoolInAChild, AGuardThatCantBeMadeIsTriedAgainLater) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer's own allocator can't live without new mappings";
#endif
  const int status = in_child([] {
    if (mlockall(MCL_FUTURE | MCL_ONFAULT) != 0) {
      return skip_code;  // guards by mprotect are what can fail
    }
    StackPool pool(64 * kib);
    Stack* first = pool.acquire();
    if (first == nullptr) {
      return 1;
    }
    // Every other page of a large area gets other rights: two mappings each, until there are no
    // more. That costs no memory.
    constexpr std::size_t pages = 300'000;
    auto* area = static_cast<std::byte*>(mmap(nullptr, pages * page(), PROT_NONE,
                                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (area == MAP_FAILED) {
      return skip_code;
    }
    std::size_t at = 0;
    while (at < pages && mprotect(area + at * page(), page(), PROT_READ) == 0) {
      at += 2;
    }
    if (at >= pages) {
      return skip_code;
    }
    std::vector<Stack*> stacks{first};
    stacks.reserve(100);
    while (Stack* stack = pool.acquire()) {
      stacks.push_back(stack);
      if (stacks.size() == 100) {
        return 2;
      }
    }
    const std::size_t reserved = pool.statistics().reserved_bytes;
    if (pool.acquire() != nullptr || pool.statistics().reserved_bytes != reserved) {
      return 3;  // a slot was given up
    }
    munmap(area, pages * page());
    Stack* late = pool.acquire();
    if (late == nullptr || pool.statistics().reserved_bytes != reserved) {
      return 4;
    }
    stacks.push_back(late);
    for (Stack* stack : stacks) {
      pool.release(stack);
    }
    return 0;
  });
  if (status == skip_code) {
    GTEST_SKIP() << "no right to lock memory, or no limit on mappings to run into";
  }
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace stackless::core
