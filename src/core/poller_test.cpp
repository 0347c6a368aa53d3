#include "core/poller.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

#include "core/poller_fixture.hpp"

namespace stackless::core {
namespace {

TEST_F(PollerTest, WakesAReaderWhenDataArrives) {
  Pair pair;
  watch(pair.ours);
  wait(a, pair.ours, Direction::read);
  EXPECT_TRUE(a.waiting());
  EXPECT_EQ(poller.waiters(), 1u);
  EXPECT_EQ(poll_now(), Waiters{});
  pair.send();
  EXPECT_EQ(poll_now(), Waiters{&a});
  EXPECT_FALSE(a.waiting());
  EXPECT_EQ(poller.waiters(), 0u);
}

TEST_F(PollerTest, ReportsReadinessThatIsOlderThanTheRegistration) {
  Pair pair;
  pair.send();
  ASSERT_EQ(poller.watch(pair.ours, true), 0);
  poller.wait_for(&a, pair.ours, Direction::read);
  EXPECT_EQ(poll_now(), Waiters{&a});
}

TEST_F(PollerTest, WakesAWriterWhenThereIsRoomAgain) {
  Pair pair;
  pair.fill();
  watch(pair.ours);
  wait(a, pair.ours, Direction::write);
  EXPECT_EQ(poll_now(), Waiters{});
  Pair::drain(pair.theirs);
  EXPECT_EQ(poll_now(), Waiters{&a});
}

TEST_F(PollerTest, ReadersAndWritersOfOneDescriptorAreWokenApart) {
  Pair pair;
  pair.fill();
  watch(pair.ours);
  wait(a, pair.ours, Direction::read);
  wait(b, pair.ours, Direction::write);
  pair.send();
  EXPECT_EQ(poll_now(), Waiters{&a});
  EXPECT_TRUE(b.waiting());
  Pair::drain(pair.ours);
  wait(a, pair.ours, Direction::read);
  Pair::drain(pair.theirs);
  EXPECT_EQ(poll_now(), Waiters{&b});
  EXPECT_TRUE(a.waiting());
  poller.cancel(&a);
}

TEST_F(PollerTest, WakesEveryWaiterOfADirectionInTheOrderOfTheirComing) {
  // The edge comes once: who is woken tries again, and waits again if others were faster.
  Pair pair;
  watch(pair.ours);
  wait(a, pair.ours, Direction::read);
  wait(b, pair.ours, Direction::read);
  wait(c, pair.ours, Direction::read);
  pair.send();
  EXPECT_EQ(poll_now(), (Waiters{&a, &b, &c}));
}

TEST_F(PollerTest, ANewEdgeWakesThoseWhoCameTooLateForTheLast) {
  Pair pair;
  watch(pair.ours);
  wait(a, pair.ours, Direction::read);
  wait(b, pair.ours, Direction::read);
  pair.send();
  EXPECT_EQ(poll_now(), (Waiters{&a, &b}));
  Pair::drain(pair.ours);  // by a; b finds nothing and waits again
  wait(b, pair.ours, Direction::read);
  EXPECT_EQ(poll_now(), Waiters{});
  pair.send();
  EXPECT_EQ(poll_now(), Waiters{&b});
}

TEST_F(PollerTest, ACancelledWaiterIsNotWokenAndItsNeighboursAre) {
  Pair pair;
  for (PollWaiter* out : {&a, &b, &c}) {
    watch(pair.ours);
    wait(a, pair.ours, Direction::read);
    wait(b, pair.ours, Direction::read);
    wait(c, pair.ours, Direction::read);
    poller.cancel(out);
    EXPECT_FALSE(out->waiting());
    EXPECT_EQ(poller.waiters(), 2u);
    pair.send();
    Waiters expected{&a, &b, &c};
    std::erase(expected, out);
    EXPECT_EQ(poll_now(), expected);
    Pair::drain(pair.ours);
  }
}

TEST_F(PollerTest, CancellingWhoDoesNotWaitDoesNothing) {
  poller.cancel(&a);
  EXPECT_FALSE(a.waiting());
  EXPECT_EQ(poller.waiters(), 0u);
}

TEST_F(PollerTest, AWaiterCanBeCancelledWhileItsReadinessIsOnItsWay) {
  Pair pair;
  watch(pair.ours);
  for (PollWaiter* out : {&a, &b, &c}) {
    wait(a, pair.ours, Direction::read);
    wait(b, pair.ours, Direction::read);
    wait(c, pair.ours, Direction::read);
    pair.send();
    EXPECT_GE(poller.poll(0, nullptr), 1);
    EXPECT_TRUE(out->waiting()) << "ready, but not handed over yet";
    EXPECT_EQ(poller.waiters(), 3u);
    poller.cancel(out);
    EXPECT_FALSE(out->waiting());
    Waiters expected{&a, &b, &c};
    std::erase(expected, out);
    EXPECT_EQ(ready(), expected);
    EXPECT_EQ(poller.waiters(), 0u);
    Pair::drain(pair.ours);
  }
}

TEST_F(PollerTest, ACancelledWaiterCanWaitForSomethingElseAtOnce) {
  Pair one, other;
  watch(one.ours);
  watch(other.ours);
  wait(a, one.ours, Direction::read);
  one.send();
  EXPECT_GE(poller.poll(0, nullptr), 1);
  poller.cancel(&a);
  wait(a, other.ours, Direction::read);
  EXPECT_EQ(ready(), Waiters{});
  other.send();
  EXPECT_EQ(poll_now(), Waiters{&a});
}

TEST_F(PollerTest, PollingDoesNotSleepWhileSomebodyIsToBeWoken) {
  Pair pair;
  watch(pair.ours);
  wait(a, pair.ours, Direction::read);
  pair.send();
  EXPECT_GE(poller.poll(0, nullptr), 1);
  poller.poll(-1, nullptr);  // would hang
  EXPECT_EQ(ready(), Waiters{&a});
}

TEST_F(PollerTest, HalfCloseWakesInEveryOrder) {
  for (const bool they_shut_first : {true, false}) {
    Pair pair;
    pair.fill();
    watch(pair.ours);
    wait(a, pair.ours, Direction::read);
    wait(b, pair.ours, Direction::write);
    if (they_shut_first) {
      shutdown(pair.theirs, SHUT_WR);
      EXPECT_EQ(poll_now(), Waiters{&a}) << "end of file; there is still no room";
      shutdown(pair.ours, SHUT_WR);
    } else {
      shutdown(pair.ours, SHUT_WR);
      // Linux reports a local shutdown(SHUT_WR) as writable: writing says EPIPE at once.
      const Waiters woken = poll_now();
      EXPECT_TRUE(woken.empty() || woken == Waiters{&b} || woken == (Waiters{&a, &b}));
      shutdown(pair.theirs, SHUT_WR);
    }
    // Both directions are shut: nobody may be left sleeping.
    poll_now();
    EXPECT_FALSE(a.waiting());
    EXPECT_FALSE(b.waiting());
    forget(pair.ours);
  }
}

TEST_F(PollerTest, ThePeersCloseWakesBothDirections) {
  Pair pair;
  pair.fill();
  watch(pair.ours);
  wait(a, pair.ours, Direction::read);
  wait(b, pair.ours, Direction::write);
  pair.close_theirs();
  EXPECT_EQ(poll_now(), (Waiters{&a, &b}));
}

TEST_F(PollerTest, APipeWithoutWriterWakesItsReader) {
  Pair pipe(true);
  watch(pipe.ours);
  wait(a, pipe.ours, Direction::read);
  pipe.close_theirs();
  EXPECT_EQ(poll_now(), Waiters{&a});
}

TEST_F(PollerTest, APipeWithoutReaderWakesItsWriter) {
  Pair pipe(true);
  std::swap(pipe.ours, pipe.theirs);
  pipe.fill();
  watch(pipe.ours);
  wait(a, pipe.ours, Direction::write);
  pipe.close_theirs();
  EXPECT_EQ(poll_now(), Waiters{&a});
}

TEST_F(PollerTest, ARegularFileIsRefusedWithEperm) {
  char name[] = "/tmp/poller_test_XXXXXX";
  const int file = mkstemp(name);
  ASSERT_GE(file, 0);
  unlink(name);
  EXPECT_EQ(poller.watch(file, true), EPERM);
  EXPECT_EQ(poller.watch(file, false), EPERM);
  close(file);
}

TEST_F(PollerTest, WhatIsNoDescriptorIsRefusedWithEbadf) {
  Pair pair;
  const int number = pair.ours;
  pair.close_ours();
  EXPECT_EQ(poller.watch(number, true), EBADF);
  EXPECT_EQ(poller.watch(-1, true), EBADF);
}

TEST_F(PollerTest, ADescriptorIsQuietUntilAnEdgeOfThatDirectionOrTheEnd) {
  Pair pair;
  EXPECT_FALSE(poller.is_quiet(pair.ours, Direction::read)) << "nothing is known about it";
  pair.fill();
  watch(pair.ours);
  poller.expect_edge(pair.ours, Direction::read);
  poller.expect_edge(pair.ours, Direction::write);
  EXPECT_TRUE(poller.is_quiet(pair.ours, Direction::read));
  pair.send();
  poll_now();
  EXPECT_FALSE(poller.is_quiet(pair.ours, Direction::read));
  EXPECT_TRUE(poller.is_quiet(pair.ours, Direction::write));
  Pair::drain(pair.ours);
  poller.expect_edge(pair.ours, Direction::read);
  EXPECT_TRUE(poller.is_quiet(pair.ours, Direction::read));
  pair.close_theirs();
  poll_now();
  poller.expect_edge(pair.ours, Direction::read);
  EXPECT_FALSE(poller.is_quiet(pair.ours, Direction::read)) << "the end makes no second edge";
  forget(pair.ours);
  EXPECT_FALSE(poller.is_quiet(pair.ours, Direction::read));
}

TEST_F(PollerTest, MoreDescriptorsThanEventsAtOnceAreAllServed) {
  constexpr std::size_t count = 300;
  std::vector<Pair> pairs(count);
  std::vector<PollWaiter> waiters(count);
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_EQ(poller.watch(pairs[i].ours, true), 0);
  }
  EXPECT_EQ(poll_now(), Waiters{});
  for (std::size_t i = 0; i < count; ++i) {
    wait(waiters[i], pairs[i].ours, Direction::read);
  }
  for (const Pair& pair : pairs) {
    pair.send();
  }
  EXPECT_EQ(poll_now().size(), count);
  EXPECT_EQ(poller.waiters(), 0u);
}

TEST_F(PollerTest, PollingEndsAtItsDeadlineAndNotBefore) {
  for (const Nanoseconds span : {Nanoseconds{1}, millisecond / 4, 20 * millisecond}) {
    const Nanoseconds deadline = monotonic_now() + span;
    EXPECT_EQ(poller.poll(deadline, nullptr), 0);
    EXPECT_GE(monotonic_now(), deadline);
  }
  EXPECT_EQ(poller.poll(1, nullptr), 0);  // long ago
  EXPECT_EQ(poller.poll(0, nullptr), 0);
}

TEST_F(PollerTest, AnInterruptBeforeThePollEndsItAtOnceAndOnlyOne) {
  poller.interrupt();
  poller.interrupt();
  EXPECT_EQ(poller.poll(-1, nullptr), 1);
  EXPECT_EQ(poller.poll(0, nullptr), 0);
  EXPECT_EQ(ready(), Waiters{});
}

TEST_F(PollerTest, AnotherThreadInterruptsThePollUnderWay) {
  for (int i = 0; i < 200; ++i) {
    std::thread other([this] { poller.interrupt(); });
    EXPECT_EQ(poller.poll(monotonic_now() + patience, nullptr), 1);
    other.join();
  }
}

TEST_F(PollerTest, DataFromAnotherThreadEndsThePollUnderWay) {
  Pair pair;
  watch(pair.ours);
  wait(a, pair.ours, Direction::read);
  std::thread other([&] {
    usleep(5000);
    pair.send();
  });
  EXPECT_EQ(poller.poll(-1, nullptr), 1);
  EXPECT_EQ(ready(), Waiters{&a});
  other.join();
}

TEST_F(PollerTest, ASignalLetThroughByTheMaskEndsThePoll) {
  struct sigaction action = {};
  struct sigaction before = {};
  action.sa_handler = [](int) {};
  sigaction(SIGUSR1, &action, &before);
  sigset_t blocked, old;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &blocked, &old);
  raise(SIGUSR1);  // pending
  EXPECT_EQ(poller.poll(monotonic_now() + millisecond, nullptr), 0);
  sigset_t open = old;
  sigdelset(&open, SIGUSR1);
  EXPECT_EQ(poller.poll(monotonic_now() + patience, &open), -EINTR);
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  sigaction(SIGUSR1, &before, nullptr);
}

TEST_F(PollerTest, OpeningWithoutDescriptorsFailsAndCanBeRepeated) {
  rlimit old{};
  getrlimit(RLIMIT_NOFILE, &old);
  rlimit none = old;
  // Room for the epoll descriptor, but not for the eventfd.
  const int free_number = dup(0);
  close(free_number);
  none.rlim_cur = static_cast<rlim_t>(free_number) + 1;
  Poller second;
  setrlimit(RLIMIT_NOFILE, &none);
  const int error = second.open();
  setrlimit(RLIMIT_NOFILE, &old);
  EXPECT_EQ(error, EMFILE);
  EXPECT_FALSE(second.is_open());
  EXPECT_EQ(second.open(), 0);
  EXPECT_TRUE(second.is_open());
}

}  // namespace
}  // namespace stackless::core
