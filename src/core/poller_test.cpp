#include "core/poller.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace stackless::core {
namespace {

constexpr Nanoseconds millisecond = 1'000'000;
constexpr Nanoseconds patience = 10'000 * millisecond;  // for what is sure to happen

using Waiters = std::vector<PollWaiter*>;

// A Pair is two connected sockets, ours and theirs, or the two ends of a pipe.
struct Pair {
  explicit Pair(bool pipe = false) {
    int fds[2];
    const int failed = pipe ? pipe2(fds, O_NONBLOCK | O_CLOEXEC)
                            : socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds);
    if (failed != 0) {
      std::abort();
    }
    ours = fds[0];
    theirs = fds[1];
  }
  ~Pair() {
    close_ours();
    close_theirs();
  }
  void close_ours() { close_one(ours); }
  void close_theirs() { close_one(theirs); }
  static void close_one(int& fd) {
    if (fd >= 0) {
      close(std::exchange(fd, -1));
    }
  }
  void send(const char* text = "x") const { EXPECT_GT(write(theirs, text, 1), 0); }
  // fill() writes into ours until it takes no more.
  void fill() const {
    char block[4096] = {};
    while (write(ours, block, sizeof block) > 0) {
    }
    EXPECT_EQ(errno, EAGAIN);
  }
  // drain() reads everything that is to be read from `fd`.
  static void drain(int fd) {
    char block[4096];
    while (read(fd, block, sizeof block) > 0) {
    }
  }

  int ours, theirs;
};

class PollerTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(poller.open(), 0); }

  // watch() does as a caller does who tried before: no old readiness is on its way afterwards.
  void watch(int fd, bool fresh = true) {
    ASSERT_EQ(poller.watch(fd, fresh), 0);
    EXPECT_EQ(poll_now(), Waiters{});
  }
  // wait() queues a waiter.
  void wait(PollWaiter& waiter, int fd, Direction direction) {
    ASSERT_EQ(poller.watch(fd, false), 0);
    poller.wait_for(&waiter, fd, direction);
  }
  Waiters ready() {
    Waiters all;
    while (PollWaiter* waiter = poller.next_ready()) {
      EXPECT_FALSE(waiter->waiting());
      all.push_back(waiter);
    }
    return all;
  }
  // poll_now() returns whom everything that has happened up to now wakes, in order.
  Waiters poll_now() {
    while (poller.poll(0, nullptr) > 0) {
    }
    return ready();
  }
  Waiters forget(int fd) {
    Waiters all;
    poller.forget(fd, [&](PollWaiter* waiter) { all.push_back(waiter); });
    return all;
  }

  Poller poller;
  PollWaiter a, b, c, d;
};

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
      EXPECT_TRUE(woken == Waiters{} || woken == Waiters{&b} || woken == (Waiters{&a, &b}));
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

TEST_F(PollerTest, ADeadPredecessorsWaitersAreWokenEvenWhenItsSuccessorIsRefused) {
  Pair pair;
  watch(pair.ours);
  wait(a, pair.ours, Direction::read);
  const int number = pair.ours;
  pair.close_ours();
  EXPECT_EQ(poller.watch(number, true), EBADF);
  EXPECT_EQ(poll_now(), Waiters{&a});
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
  struct sigaction action{}, before{};
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
