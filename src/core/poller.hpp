// Waiting for the outside world: epoll, edge-triggered, and an eventfd by which other threads
// interrupt the wait.
//
// Facts that force the design: a descriptor is registered once, edge-triggered for both
// directions, and stays registered until forget(); the caller always tries its system call before
// it waits, so an edge that arrives while nobody waits can be dropped without loss. A descriptor
// number can be reused after close, so each entry has a generation that every event carries;
// events of an earlier generation are ignored. The kernel forgets a closed descriptor by itself;
// the entry learns it from forget(), or, when it was closed behind our back, from watch(fd, true).
#pragma once

#include <signal.h>
#include <sys/epoll.h>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/timer_queue.hpp"

namespace stackless::core {

enum class Direction : std::uint8_t { read, write };

// A PollWaiter stands in the queue of one descriptor and direction. It lies wherever its owner
// keeps it and must be unlinked (by firing or by cancel()) before it dies.
struct PollWaiter {
  PollWaiter* next = nullptr;
  PollWaiter* prev = nullptr;
  int fd = -1;  // -1 while not waiting
  Direction direction = Direction::read;
  bool ready = false;          // the poller's: in the list of those to wake
  std::uint16_t lifetime = 0;  // the poller's: see Poller::lifetime_
  bool waiting() const noexcept { return fd >= 0; }
};

class Poller {
 public:
  Poller() noexcept = default;
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // open() creates the descriptors; 0, or an errno value. Called before anything else, again
  // after a failure, and once more in a forked child after abandon().
  int open() noexcept;
  bool is_open() const noexcept { return epoll_ >= 0; }
  // abandon() closes the descriptors and drops every registration without touching the waiters
  // (a forked child's first act: the parent's epoll set is not ours to change).
  void abandon() noexcept;

  // watch() makes sure that `fd` is registered; `fresh` says that the caller has not waited on
  // this descriptor before, so an entry under the same number is a closed predecessor's.
  // Returns 0 or an errno value (EPERM for files that are always ready, EBADF, ENOMEM ...).
  int watch(int fd, bool fresh) noexcept;
  // wait_for() queues `waiter` (fd and direction set by the call) behind others; fd is watched.
  void wait_for(PollWaiter* waiter, int fd, Direction direction) noexcept;
  // cancel() takes `waiter` out of its queue; nothing happens if it is in none.
  void cancel(PollWaiter* waiter) noexcept;
  // forget() is told that `fd` is about to be closed, and hands every waiter on it to `each`
  // (unlinked, in queue order: readers, then writers).
  template <class F>
  void forget(int fd, F&& each) {
    while (PollWaiter* waiter = forget_one(fd)) {
      each(waiter);
    }
  }

  // poll() waits until something happens, at most until `deadline` (monotonic; 0 = don't wait,
  // negative = for ever). `mask`, if not null, is the signal mask during the wait, atomically.
  // Returns the number of events taken, or -errno (EINTR included). Then next_ready() returns,
  // one after another, the waiters to wake (unlinked), null at the end.
  int poll(Nanoseconds deadline, const sigset_t* mask) noexcept {
    const int events = wait(deadline, mask);
    dispatch(events);
    return events;
  }
  // poll() is these two. wait() touches nothing but the room for events, so that other threads may
  // call any member meanwhile; dispatch() is told what it returned.
  int wait(Nanoseconds deadline, const sigset_t* mask) noexcept;
  void dispatch(int events) noexcept;
  PollWaiter* next_ready() noexcept;

  // expect_edge() says that the caller is about to try its system call; is_quiet() tells whether
  // nothing has happened to the descriptor in that direction since. A read that took less than it
  // asked for, on a quiet descriptor, has left nothing behind: the next one may wait at once.
  void expect_edge(int fd, Direction direction) noexcept {
    const auto index = static_cast<std::size_t>(fd);
    if (index < entries_.size()) {  // not after abandon()
      entries_[index].seen[static_cast<int>(direction)] = false;
    }
  }
  bool is_quiet(int fd, Direction direction) const noexcept {
    const auto index = static_cast<std::size_t>(fd);
    return index < entries_.size() && entries_[index].registered && !entries_[index].hung_up &&
           !entries_[index].seen[static_cast<int>(direction)];
  }

  // interrupt() ends the poll() under way in another thread, or the next one at once.
  // The only member that other threads may call.
  void interrupt() const noexcept;

  // waiters() returns how many waiters are queued.
  std::size_t waiters() const noexcept { return waiters_; }

 private:
#ifdef STACKLESS_CORE_TINY
  static constexpr int events_at_once = 1;
#else
  static constexpr int events_at_once = 128;
#endif

  // A Queue is a circular list; first->prev is the last.
  struct Queue {
    PollWaiter* first = nullptr;
    void push_back(PollWaiter* waiter) noexcept;
    void remove(PollWaiter* waiter) noexcept;
    // append() moves everything in `other` behind what is here.
    void append(Queue& other) noexcept;
  };
  struct Entry {
    Queue queue[2];  // by direction
    std::uint32_t generation = 0;
    bool registered = false;
    bool seen[2] = {false, false};  // an edge since expect_edge(), by direction
    bool hung_up = false;           // for good: what comes after it makes no edge of its own
  };

  Queue& queue_of(const PollWaiter& waiter) noexcept;
  // unlink() takes `waiter` out of `queue`, for good.
  void unlink(Queue& queue, PollWaiter* waiter) noexcept;
  // make_ready() moves everyone who waits on `entry` for `direction` to the list of the ready.
  void make_ready(Entry& entry, Direction direction) noexcept;
  PollWaiter* forget_one(int fd) noexcept;
  void dispatch_one(const epoll_event& event) noexcept;

  int epoll_ = -1;
  int wakeup_ = -1;
  bool has_pwait2_ = true;  // until the kernel says no
  // How often abandon() was called: a waiter of an earlier lifetime is in none of our queues.
  std::uint16_t lifetime_ = 0;
  std::size_t waiters_ = 0;
  std::vector<Entry> entries_;  // by descriptor
  Queue ready_;
  epoll_event events_[events_at_once];  // here, not on the stack of a tasklet that runs poll()
};

}  // namespace stackless::core
