#include "core/poller.hpp"

#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <cassert>
#include <cerrno>
#include <climits>
#include <new>

namespace stackless::core {
namespace {

#ifdef SYS_epoll_pwait2
static_assert(SYS_epoll_pwait2 == 441);
#endif
constexpr long sys_epoll_pwait2 = 441;          // Linux 5.11, on every machine
constexpr std::size_t kernel_sigset_bytes = 8;  // not sizeof(sigset_t), which is glibc's
constexpr Nanoseconds second = 1'000'000'000;
constexpr Nanoseconds millisecond = 1'000'000;

constexpr std::uint64_t wakeup_event = ~std::uint64_t{0};  // no descriptor is that large

std::uint64_t tag(int fd, std::uint32_t generation) noexcept {
  return std::uint64_t{generation} << 32 | static_cast<std::uint32_t>(fd);
}

void close_and_reset(int& fd) noexcept {
  if (fd >= 0) {
    close(fd);
    fd = -1;
  }
}

}  // namespace

void Poller::Queue::push_back(PollWaiter* waiter) noexcept {
  if (first == nullptr) {
    first = waiter->next = waiter->prev = waiter;
    return;
  }
  waiter->next = first;
  waiter->prev = first->prev;
  first->prev->next = waiter;
  first->prev = waiter;
}

void Poller::Queue::remove(PollWaiter* waiter) noexcept {
  if (waiter->next == waiter) {
    first = nullptr;
  } else {
    waiter->prev->next = waiter->next;
    waiter->next->prev = waiter->prev;
    if (first == waiter) {
      first = waiter->next;
    }
  }
  waiter->next = waiter->prev = nullptr;
}

void Poller::Queue::append(Queue& other) noexcept {
  if (other.first == nullptr) {
    return;
  }
  if (first == nullptr) {
    first = other.first;
  } else {
    PollWaiter* last = first->prev;
    PollWaiter* other_last = other.first->prev;
    last->next = other.first;
    other.first->prev = last;
    other_last->next = first;
    first->prev = other_last;
  }
  other.first = nullptr;
}

Poller::~Poller() {
  close_and_reset(wakeup_);
  close_and_reset(epoll_);
}

int Poller::open() noexcept {
  assert(!is_open());
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) {
    return errno;
  }
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = wakeup_event;
  wakeup_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wakeup_ < 0 || epoll_ctl(epoll_, EPOLL_CTL_ADD, wakeup_, &event) != 0) {
    const int error = errno;
    close_and_reset(wakeup_);
    close_and_reset(epoll_);
    return error;
  }
  return 0;
}

void Poller::abandon() noexcept {
  close_and_reset(wakeup_);
  close_and_reset(epoll_);
  entries_.clear();
  ready_ = Queue{};
  waiters_ = 0;
  ++lifetime_;
}

int Poller::watch(int fd, bool fresh) noexcept {
  if (fd < 0) {
    return EBADF;
  }
  const auto index = static_cast<std::size_t>(fd);
  if (index >= entries_.size()) {
    try {
      entries_.resize(std::max(index + 1, 2 * entries_.size()));
    } catch (const std::bad_alloc&) {
      return ENOMEM;
    }
  }
  Entry& entry = entries_[index];
  if (entry.registered) {
    if (!fresh) {
      return 0;
    }
    // Who still waits here waits for a descriptor that nobody told us was closed. The kernel will
    // never wake them, so we do: they try again and learn what has become of it.
    make_ready(entry, Direction::read);
    make_ready(entry, Direction::write);
    entry.registered = false;
    ++entry.generation;
  }
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET;
  event.data.u64 = tag(fd, entry.generation);
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) {
    // EEXIST: the same open file, known under this number from before (a second owner, or a
    // dup2() back). Modifying makes the kernel report its present state anew.
    if (errno != EEXIST || epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) != 0) {
      return errno;
    }
  }
  entry.registered = true;
  entry.hung_up = entry.seen[0] = entry.seen[1] = false;
  return 0;
}

void Poller::wait_for(PollWaiter* waiter, int fd, Direction direction) noexcept {
  assert(!waiter->waiting());
  assert(static_cast<std::size_t>(fd) < entries_.size() && entries_[fd].registered);
  waiter->fd = fd;
  waiter->direction = direction;
  waiter->ready = false;
  waiter->lifetime = lifetime_;
  queue_of(*waiter).push_back(waiter);
  ++waiters_;
}

void Poller::cancel(PollWaiter* waiter) noexcept {
  if (!waiter->waiting()) {
    return;
  }
  if (waiter->lifetime != lifetime_) {
    // abandon() dropped its queue, and its neighbours there may be gone.
    waiter->next = waiter->prev = nullptr;
    waiter->fd = -1;
    return;
  }
  unlink(queue_of(*waiter), waiter);
}

PollWaiter* Poller::forget_one(int fd) noexcept {
  if (fd < 0 || static_cast<std::size_t>(fd) >= entries_.size()) {
    return nullptr;
  }
  Entry& entry = entries_[fd];
  if (entry.registered) {
    // Closing would do, if we knew that no duplicate keeps the file open and its events coming.
    epoll_event unused{};
    epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, &unused);
    entry.registered = false;
    ++entry.generation;
  }
  // Those whose wake-up is on its way wait for this descriptor as well, and did so before others.
  for (Direction direction : {Direction::read, Direction::write}) {
    if (PollWaiter* waiter = ready_.first) {
      do {
        if (waiter->fd == fd && waiter->direction == direction) {
          unlink(ready_, waiter);
          return waiter;
        }
        waiter = waiter->next;
      } while (waiter != ready_.first);
    }
    Queue& queue = entry.queue[static_cast<int>(direction)];
    if (PollWaiter* waiter = queue.first) {
      unlink(queue, waiter);
      return waiter;
    }
  }
  return nullptr;
}

void Poller::dispatch(int events) noexcept {
  for (int i = 0; i < events; ++i) {
    dispatch_one(events_[i]);
  }
}

PollWaiter* Poller::next_ready() noexcept {
  PollWaiter* waiter = ready_.first;
  if (waiter != nullptr) {
    unlink(ready_, waiter);
  }
  return waiter;
}

void Poller::interrupt() const noexcept {
  // EAGAIN: the counter is full, so the wake-up is certain anyway.
  const int saved = errno;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wakeup_, &one, sizeof one);
  errno = saved;
}

Poller::Queue& Poller::queue_of(const PollWaiter& waiter) noexcept {
  return waiter.ready ? ready_ : entries_[waiter.fd].queue[static_cast<int>(waiter.direction)];
}

void Poller::unlink(Queue& queue, PollWaiter* waiter) noexcept {
  queue.remove(waiter);
  waiter->fd = -1;
  --waiters_;
}

void Poller::make_ready(Entry& entry, Direction direction) noexcept {
  Queue& queue = entry.queue[static_cast<int>(direction)];
  if (PollWaiter* waiter = queue.first) {
    do {
      waiter->ready = true;
      waiter = waiter->next;
    } while (waiter != queue.first);
    ready_.append(queue);
  }
}

int Poller::wait(Nanoseconds deadline, const sigset_t* mask) noexcept {
  if (ready_.first != nullptr) {
    deadline = 0;  // nobody sleeps while somebody is to be woken
  }
  int milliseconds = deadline < 0 ? -1 : 0;
  if (deadline > 0) {
    const Nanoseconds left = std::max<Nanoseconds>(deadline - monotonic_now(), 0);
    if (left > 0 && has_pwait2_) {
      // The kernel's own type, whatever the C library thinks of time_t.
      struct {
        std::int64_t seconds, nanoseconds;
      } timeout{left / second, left % second};
      const long count = syscall(sys_epoll_pwait2, epoll_, events_, events_at_once, &timeout, mask,
                                 kernel_sigset_bytes);
      // EPERM: a sandbox older than the system call.
      if (count >= 0 || (errno != ENOSYS && errno != EPERM)) {
        return count >= 0 ? static_cast<int>(count) : -errno;
      }
      has_pwait2_ = false;
    }
    // Rounded up, lest we wake before the time and go round in circles.
    milliseconds = static_cast<int>(
        std::min<Nanoseconds>(left / millisecond + (left % millisecond != 0), INT_MAX));
  }
  const int count = epoll_pwait(epoll_, events_, events_at_once, milliseconds, mask);
  return count >= 0 ? count : -errno;
}

void Poller::dispatch_one(const epoll_event& event) noexcept {
  if (event.data.u64 == wakeup_event) {
    std::uint64_t count;
    [[maybe_unused]] const ssize_t drained = read(wakeup_, &count, sizeof count);
    return;
  }
  const auto index = static_cast<std::size_t>(event.data.u64 & 0xffffffff);
  const auto generation = static_cast<std::uint32_t>(event.data.u64 >> 32);
  Entry& entry = entries_[index];
  if (entry.generation != generation) {
    return;  // about a closed predecessor, kept open by a duplicate
  }
  constexpr std::uint32_t broken = EPOLLERR | EPOLLHUP;
  // Urgent data too: reads end at its mark, though there is more behind.
  if (event.events & (EPOLLRDHUP | EPOLLPRI | broken)) {
    entry.hung_up = true;
  }
  if (event.events & (EPOLLIN | EPOLLRDHUP | broken)) {
    entry.seen[static_cast<int>(Direction::read)] = true;
    make_ready(entry, Direction::read);
  }
  if (event.events & (EPOLLOUT | broken)) {
    entry.seen[static_cast<int>(Direction::write)] = true;
    make_ready(entry, Direction::write);
  }
}

}  // namespace stackless::core
