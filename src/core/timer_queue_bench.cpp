#include "core/timer_queue.hpp"

#include <benchmark/benchmark.h>
#include <limits>
#include <random>
#include <vector>

namespace stackless::core {
namespace {

// A queue of range(0) sleepers, each of which sleeps again when it is woken.
void BM_PopAndPush(benchmark::State& state) {
  std::mt19937 random(1);
  TimerQueue queue;
  std::vector<Timer> timers(static_cast<std::size_t>(state.range(0)));
  for (Timer& timer : timers) {
    queue.push(&timer, static_cast<Nanoseconds>(random() % 1'000'000));
  }
  for (auto _ : state) {
    Timer* timer = queue.pop_due(std::numeric_limits<Nanoseconds>::max());
    queue.push(timer, timer->deadline + static_cast<Nanoseconds>(random() % 1'000'000));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_PopAndPush)->Arg(10)->Arg(1000)->Arg(100000);

// A timeout that never fires: the usual fate of timeouts.
void BM_PushAndRemove(benchmark::State& state) {
  TimerQueue queue;
  std::vector<Timer> timers(static_cast<std::size_t>(state.range(0)));
  Nanoseconds now = 0;
  for (Timer& timer : timers) {
    queue.push(&timer, ++now);
  }
  Timer timeout;
  for (auto _ : state) {
    queue.push(&timeout, ++now);
    queue.remove(&timeout);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_PushAndRemove)->Arg(10)->Arg(100000);

void BM_MonotonicNow(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(monotonic_now());
  }
}
BENCHMARK(BM_MonotonicNow);

}  // namespace
}  // namespace stackless::core
