#include "core/timer_queue.hpp"

#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <random>
#include <vector>

namespace stackless::core {
namespace {

constexpr Nanoseconds for_ever = std::numeric_limits<Nanoseconds>::max();

TEST(MonotonicClock, NeverGoesBack) {
  Nanoseconds last = monotonic_now();
  EXPECT_GT(last, 0);
  for (int i = 0; i < 1000; ++i) {
    const Nanoseconds now = monotonic_now();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(TimerQueue, NothingIsDueInAnEmptyQueue) {
  TimerQueue queue;
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.pop_due(for_ever), nullptr);
}

TEST(TimerQueue, ATimerIsDueFromItsDeadlineOn) {
  TimerQueue queue;
  Timer timer;
  ASSERT_TRUE(queue.push(&timer, 100));
  EXPECT_TRUE(timer.armed());
  EXPECT_EQ(queue.earliest(), &timer);
  EXPECT_EQ(queue.earliest_deadline(), 100);
  EXPECT_EQ(queue.pop_due(99), nullptr);
  EXPECT_EQ(queue.pop_due(100), &timer);
  EXPECT_FALSE(timer.armed());
  EXPECT_TRUE(queue.empty());
}

TEST(TimerQueue, EqualDeadlinesFireInTheOrderTheyWereArmed) {
  TimerQueue queue;
  std::vector<Timer> timers(100);
  Timer early;
  for (Timer& timer : timers) {
    ASSERT_TRUE(queue.push(&timer, 5));
  }
  ASSERT_TRUE(queue.push(&early, 4));
  EXPECT_EQ(queue.pop_due(5), &early);
  for (Timer& timer : timers) {
    ASSERT_EQ(queue.pop_due(5), &timer);
  }
}

TEST(TimerQueue, AReArmedTimerGoesBehindItsEquals) {
  TimerQueue queue;
  Timer a, b;
  ASSERT_TRUE(queue.push(&a, 5));
  ASSERT_TRUE(queue.push(&b, 5));
  queue.remove(&a);
  EXPECT_FALSE(a.armed());
  ASSERT_TRUE(queue.push(&a, 5));
  EXPECT_EQ(queue.pop_due(5), &b);
  EXPECT_EQ(queue.pop_due(5), &a);
}

TEST(TimerQueue, BehavesLikeAMultimapUnderRandomOperations) {
  for (unsigned seed = 0; seed < 30; ++seed) {
    std::mt19937 random(seed);
    TimerQueue queue;
    // A multimap keeps equal keys in the order of their insertion: just what is asked for.
    std::multimap<Nanoseconds, Timer*> model;
    std::vector<Timer> timers(200);
    Nanoseconds now = 0;
    for (int step = 0; step < 5000; ++step) {
      Timer& timer = timers[random() % timers.size()];
      if (timer.armed()) {
        auto found = model.begin();
        while (found->second != &timer) {
          ++found;
        }
        model.erase(found);
        queue.remove(&timer);
      } else {
        const Nanoseconds deadline = now + static_cast<Nanoseconds>(random() % 50);
        ASSERT_TRUE(queue.push(&timer, deadline));
        model.emplace(deadline, &timer);
      }
      if (random() % 8 == 0) {
        now += static_cast<Nanoseconds>(random() % 10);
        while (Timer* due = queue.pop_due(now)) {
          ASSERT_FALSE(model.empty());
          ASSERT_EQ(due, model.begin()->second) << "seed " << seed << ", step " << step;
          model.erase(model.begin());
        }
        ASSERT_TRUE(model.empty() || model.begin()->first > now);
      }
      ASSERT_EQ(queue.size(), model.size());
      if (!model.empty()) {
        ASSERT_EQ(queue.earliest(), model.begin()->second);
        ASSERT_EQ(queue.earliest_deadline(), model.begin()->first);
      }
    }
  }
}

}  // namespace
}  // namespace stackless::core
