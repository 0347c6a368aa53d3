#include "core/stack_pool.hpp"

#include <benchmark/benchmark.h>
#include <cstring>
#include <vector>

namespace stackless::core {
namespace {

void BM_AcquireAndRelease(benchmark::State& state) {
  StackPool pool;
  pool.release(pool.acquire());
  for (auto _ : state) {
    Stack* stack = pool.acquire();
    benchmark::DoNotOptimize(stack);
    pool.release(stack);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_AcquireAndRelease);

// The price of a deep stack: 64 KiB used, trimmed and faulted in again.
void BM_DeepUseAndTrim(benchmark::State& state) {
  StackPool pool;
  for (auto _ : state) {
    Stack* stack = pool.acquire();
    std::memset(stack->top() - 64 * 1024, 1, 64 * 1024);
    stack->deep = true;
    pool.release(stack);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_DeepUseAndTrim);

// The price of the first use of each stack: guard, page table and page.
void BM_CarveAThousand(benchmark::State& state) {
  for (auto _ : state) {
    StackPool pool;
    std::vector<Stack*> stacks(1000);
    for (Stack*& stack : stacks) {
      stack = pool.acquire();
    }
    for (Stack* stack : stacks) {
      pool.release(stack);
    }
  }
  state.SetItemsProcessed(1000 * state.iterations());
}
BENCHMARK(BM_CarveAThousand)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace stackless::core
