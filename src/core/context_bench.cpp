// The switch by itself, among many stacks, and beside Boost.Context's. Each iteration is there and
// back: two switches. "items" counts switches.
#include "core/context.hpp"

#include <benchmark/benchmark.h>
#include <vector>

#include "core/stack_pool.hpp"

#ifdef STACKLESS_BENCH_BOOST
#include <boost/context/detail/fcontext.hpp>
#endif

namespace stackless::core {
namespace {

StackPointer outside;

// What every context here does: hand control back, for ever.
StackPointer* starting;
void bounce() {
  StackPointer* own = starting;
  for (;;) {
    switch_context(own, outside);
  }
}

void start(StackPointer* own, Stack* stack) {
  *own = make_context(stack->top(), bounce);
  starting = own;
  switch_context(&outside, *own);
}

void BM_Switch(benchmark::State& state) {
  StackPool pool;
  Stack* stack = pool.acquire();
  StackPointer inside;
  start(&inside, stack);
  for (auto _ : state) {
    switch_context(&outside, inside);
  }
  state.SetItemsProcessed(2 * state.iterations());
  pool.release(stack);
}
BENCHMARK(BM_Switch);

// With many stacks it is the caches that are measured: where the stacks' hot pages lie.
void BM_SwitchAmong(benchmark::State& state) {
  StackPool pool;
  const auto count = static_cast<std::size_t>(state.range(0));
  std::vector<Stack*> stacks(count);
  std::vector<StackPointer> inside(count);
  for (std::size_t i = 0; i < count; ++i) {
    stacks[i] = pool.acquire();
    start(&inside[i], stacks[i]);
  }
  std::size_t next = 0;
  for (auto _ : state) {
    switch_context(&outside, inside[next]);
    next = next + 1 == count ? 0 : next + 1;
  }
  state.SetItemsProcessed(2 * state.iterations());
  for (Stack* stack : stacks) {
    pool.release(stack);
  }
}
BENCHMARK(BM_SwitchAmong)->Arg(10)->Arg(100)->Arg(1000)->Arg(10000);

void BM_MakeAndEnter(benchmark::State& state) {
  StackPool pool;
  Stack* stack = pool.acquire();
  StackPointer inside;
  for (auto _ : state) {
    start(&inside, stack);
  }
  state.SetItemsProcessed(2 * state.iterations());
  pool.release(stack);
}
BENCHMARK(BM_MakeAndEnter);

#ifdef STACKLESS_BENCH_BOOST

namespace boost_context = boost::context::detail;

void bounce_boost(boost_context::transfer_t from) {
  for (;;) {
    from = boost_context::jump_fcontext(from.fctx, nullptr);
  }
}

void BM_BoostJump(benchmark::State& state) {
  StackPool pool;
  Stack* stack = pool.acquire();
  boost_context::transfer_t inside{
      boost_context::make_fcontext(stack->top(), stack->size(), bounce_boost), nullptr};
  for (auto _ : state) {
    inside = boost_context::jump_fcontext(inside.fctx, nullptr);
  }
  state.SetItemsProcessed(2 * state.iterations());
  pool.release(stack);
}
BENCHMARK(BM_BoostJump);

void BM_BoostJumpAmong(benchmark::State& state) {
  StackPool pool;
  const auto count = static_cast<std::size_t>(state.range(0));
  std::vector<Stack*> stacks(count);
  std::vector<boost_context::transfer_t> inside(count);
  for (std::size_t i = 0; i < count; ++i) {
    stacks[i] = pool.acquire();
    inside[i].fctx =
        boost_context::make_fcontext(stacks[i]->top(), stacks[i]->size(), bounce_boost);
  }
  std::size_t next = 0;
  for (auto _ : state) {
    inside[next] = boost_context::jump_fcontext(inside[next].fctx, nullptr);
    next = next + 1 == count ? 0 : next + 1;
  }
  state.SetItemsProcessed(2 * state.iterations());
  for (Stack* stack : stacks) {
    pool.release(stack);
  }
}
BENCHMARK(BM_BoostJumpAmong)->Arg(10)->Arg(100)->Arg(1000)->Arg(10000);

#endif

}  // namespace
}  // namespace stackless::core
