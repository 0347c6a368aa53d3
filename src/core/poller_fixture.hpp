// What the tests of the poller share: connected descriptors, and short words for what they do.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>
#include <vector>

#include "core/poller.hpp"

namespace stackless::core {
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

}  // namespace stackless::core
