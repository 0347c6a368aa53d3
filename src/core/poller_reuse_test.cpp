// Descriptors that are closed, forgotten, duplicated and reused while somebody waits.
#include <errno.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/poller_fixture.hpp"

namespace stackless::core {
namespace {

TEST_F(PollerTest, ForgettingHandsOverReadersThenWriters) {
  Pair pair;
  pair.fill();
  watch(pair.ours);
  wait(a, pair.ours, Direction::write);
  wait(b, pair.ours, Direction::read);
  wait(c, pair.ours, Direction::write);
  wait(d, pair.ours, Direction::read);
  EXPECT_EQ(forget(pair.ours), (Waiters{&b, &d, &a, &c}));
  EXPECT_EQ(poller.waiters(), 0u);
  EXPECT_FALSE(a.waiting());
}

TEST_F(PollerTest, ForgettingHandsOverThoseWhoseReadinessIsOnItsWay) {
  // Left to themselves they would try again on whatever has the number by then.
  Pair pair, other;
  pair.fill();
  watch(pair.ours);
  watch(other.ours);
  wait(a, pair.ours, Direction::read);
  wait(b, other.ours, Direction::read);
  wait(c, pair.ours, Direction::write);
  pair.send();
  other.send();
  while (poller.poll(0, nullptr) > 0) {
  }
  wait(d, pair.ours, Direction::read);
  EXPECT_EQ(forget(pair.ours), (Waiters{&a, &d, &c}));
  EXPECT_EQ(ready(), Waiters{&b});
}

TEST_F(PollerTest, ForgettingWhatIsUnknownDoesNothing) {
  EXPECT_EQ(forget(-1), Waiters{});
  EXPECT_EQ(forget(0), Waiters{});
  EXPECT_EQ(forget(1 << 20), Waiters{});
}

TEST_F(PollerTest, AReusedNumberStartsAnew) {
  Pair old;
  watch(old.ours);
  wait(a, old.ours, Direction::read);
  const int number = old.ours;
  EXPECT_EQ(forget(number), Waiters{&a});
  old.close_ours();
  Pair fresh;
  ASSERT_EQ(dup2(fresh.ours, number), number);
  watch(number);
  wait(b, number, Direction::read);
  EXPECT_EQ(poll_now(), Waiters{});
  fresh.send();
  EXPECT_EQ(poll_now(), Waiters{&b});
  forget(number);
  close(number);
}

TEST_F(PollerTest, ADuplicateOfAClosedDescriptorDoesNotWakeItsSuccessor) {
  for (const bool told : {true, false}) {
    SCOPED_TRACE(told ? "closed with forget()" : "closed behind our back");
    Pair old;
    watch(old.ours);
    const int number = old.ours;
    const int duplicate = dup(number);  // keeps the open file, and its registration, alive
    if (told) {
      forget(number);
    }
    old.close_ours();
    Pair fresh;
    ASSERT_EQ(dup2(fresh.ours, number), number);
    watch(number, true);
    wait(a, number, Direction::read);
    old.send();
    EXPECT_EQ(poll_now(), Waiters{}) << "woken by the predecessor's data";
    fresh.send();
    EXPECT_EQ(poll_now(), Waiters{&a});
    forget(number);
    close(number);
    close(duplicate);
  }
}

TEST_F(PollerTest, WaitersOfADescriptorClosedBehindOurBackAreWokenWhenItsNumberIsReused) {
  Pair old;
  watch(old.ours);
  wait(a, old.ours, Direction::write);
  wait(b, old.ours, Direction::read);
  const int number = old.ours;
  old.close_ours();  // nobody is told
  EXPECT_EQ(poll_now(), Waiters{});
  Pair fresh;
  ASSERT_EQ(dup2(fresh.ours, number), number);
  ASSERT_EQ(poller.watch(number, true), 0);
  poller.wait_for(&c, number, Direction::read);
  EXPECT_EQ(poll_now(), (Waiters{&b, &a}));
  EXPECT_TRUE(c.waiting());
  fresh.send();
  EXPECT_EQ(poll_now(), Waiters{&c});
  forget(number);
  close(number);
}

TEST_F(PollerTest, TheSameFileUnderTheSameNumberIsArmedAgain) {
  Pair pair;
  watch(pair.ours);
  pair.send();
  EXPECT_EQ(poll_now(), Waiters{});  // the edge is gone
  const int number = pair.ours;
  const int duplicate = dup(number);
  close(number);
  ASSERT_EQ(dup2(duplicate, number), number);  // epoll knows this pair of file and number
  ASSERT_EQ(poller.watch(number, true), 0);
  poller.wait_for(&a, number, Direction::read);
  EXPECT_EQ(poll_now(), Waiters{&a});
  close(duplicate);
}

TEST_F(PollerTest, TwoNumbersOfOneFileWaitApart) {
  Pair pair;
  const int duplicate = dup(pair.ours);
  watch(pair.ours);
  watch(duplicate);
  wait(a, pair.ours, Direction::read);
  wait(b, duplicate, Direction::read);
  EXPECT_EQ(forget(pair.ours), Waiters{&a});
  pair.close_ours();
  pair.send();
  EXPECT_EQ(poll_now(), Waiters{&b});
  forget(duplicate);
  close(duplicate);
}

TEST_F(PollerTest, GenerationsHoldOutManyReuses) {
  for (int i = 0; i < 1000; ++i) {
    Pair pair;
    watch(pair.ours);
    wait(a, pair.ours, Direction::read);
    pair.send();
    ASSERT_EQ(poll_now(), Waiters{&a});
    if (i % 2 == 0) {
      forget(pair.ours);
    }
  }
}

TEST_F(PollerTest, ADeadPredecessorsWaitersAreWokenEvenWhenItsSuccessorIsRefused) {
  Pair pair;
  watch(pair.ours);
  wait(a, pair.ours, Direction::read);
  const int number = pair.ours;
  pair.close_ours();
  EXPECT_EQ(poller.watch(number, true), EBADF);
  EXPECT_EQ(poll_now(), Waiters{&a});
}

TEST_F(PollerTest, ADescriptorForgottenBetweenWaitAndDispatchWakesNobody) {
  // Other threads may call any member while one sleeps in wait().
  Pair pair, other;
  watch(pair.ours);
  wait(a, pair.ours, Direction::read);
  pair.send();
  const int events = poller.wait(-1, nullptr);
  EXPECT_EQ(events, 1);
  EXPECT_EQ(forget(pair.ours), Waiters{&a});
  const int number = pair.ours;
  pair.close_ours();
  ASSERT_EQ(dup2(other.ours, number), number);
  ASSERT_EQ(poller.watch(number, true), 0);
  poller.wait_for(&b, number, Direction::read);
  poller.dispatch(events);
  EXPECT_EQ(ready(), Waiters{});
  EXPECT_EQ(forget(number), Waiters{&b});
  close(number);
}

TEST_F(PollerTest, AForkedChildAbandonsAndTheParentNoticesNothing) {
  Pair pair;
  watch(pair.ours);
  wait(a, pair.ours, Direction::read);
  wait(b, pair.ours, Direction::read);
  const pid_t child = fork();
  if (child == 0) {
    poller.abandon();
    if (poller.is_open() || poller.waiters() != 0 || poller.open() != 0) {
      _exit(1);
    }
    poller.cancel(&a);  // a waiter of the parent's lifetime
    if (a.waiting() || poller.waiters() != 0) {
      _exit(2);
    }
    if (poller.watch(pair.ours, false) != 0) {
      _exit(3);
    }
    poller.wait_for(&a, pair.ours, Direction::read);
    poller.cancel(&b);
    pair.send();
    if (poller.poll(monotonic_now() + patience, nullptr) < 1 || poller.next_ready() != &a ||
        poller.next_ready() != nullptr) {
      _exit(4);
    }
    _exit(0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0) << "exit status " << WEXITSTATUS(status);
  EXPECT_EQ(poll_now(), (Waiters{&a, &b}));
}

}  // namespace
}  // namespace stackless::core
