// The switch by itself, among many stacks, and beside Boost.Context's. "items" counts switches.
//
// Switch and BoostJump go to and fro between two loops: nothing happens but the switch.
// TaskletSwitch and BoostTaskletJump are two contexts of the same program, as tasklets are: they
// switch inside a function that was called by a function ..., and return from it when resumed.
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

// depth calls lie between what runs in a context and its switch.
template <int depth, class Switch>
__attribute__((noinline)) void descend(Switch& hand_over) {
  if constexpr (depth == 0) {
    hand_over();
  } else {
    descend<depth - 1>(hand_over);
  }
  asm volatile("");  // not a tail call
}

struct HandOver {
  StackPointer* own;
  StackPointer* other;
  void operator()() const { switch_context(own, *other); }
};
StackPointer left, right;

template <int depth>
void tasklet() {
  HandOver hand_over{&right, &left};
  for (;;) {
    descend<depth>(hand_over);
  }
}

template <int depth>
void BM_TaskletSwitch(benchmark::State& state) {
  StackPool pool;
  Stack* stack = pool.acquire();
  right = make_context(stack->top(), tasklet<depth>);
  HandOver hand_over{&left, &right};
  for (auto _ : state) {
    descend<depth>(hand_over);
  }
  state.SetItemsProcessed(2 * state.iterations());
  pool.release(stack);
}
BENCHMARK(BM_TaskletSwitch<3>);
BENCHMARK(BM_TaskletSwitch<8>);

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

struct BoostHandOver {
  boost_context::fcontext_t other;
  void operator()() { other = boost_context::jump_fcontext(other, nullptr).fctx; }
};

template <int depth>
void boost_tasklet(boost_context::transfer_t from) {
  BoostHandOver hand_over{from.fctx};
  for (;;) {
    descend<depth>(hand_over);
  }
}

template <int depth>
void BM_BoostTaskletJump(benchmark::State& state) {
  StackPool pool;
  Stack* stack = pool.acquire();
  BoostHandOver hand_over{
      boost_context::make_fcontext(stack->top(), stack->size(), boost_tasklet<depth>)};
  for (auto _ : state) {
    descend<depth>(hand_over);
  }
  state.SetItemsProcessed(2 * state.iterations());
  pool.release(stack);
}
BENCHMARK(BM_BoostTaskletJump<3>);
BENCHMARK(BM_BoostTaskletJump<8>);

#endif

}  // namespace
}  // namespace stackless::core
