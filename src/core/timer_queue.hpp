// Deadlines in order: a binary heap of intrusive timers, each of which knows its place in it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace stackless::core {

// Nanoseconds on the monotonic clock.
using Nanoseconds = std::int64_t;

// monotonic_now() returns the monotonic clock's reading.
Nanoseconds monotonic_now() noexcept;

// A Timer is armed while it is in a TimerQueue; it must outlive its stay there.
struct Timer {
  Nanoseconds deadline = 0;
  std::size_t place = npos;  // index in the heap; npos while not armed
  std::uint64_t serial = 0;  // equal deadlines fire in the order they were armed

  static constexpr std::size_t npos = static_cast<std::size_t>(-1);
  bool armed() const noexcept { return place != npos; }
};

// TimerQueue orders timers by deadline; push, pop and remove cost O(log n).
class TimerQueue {
 public:
  bool empty() const noexcept { return heap_.empty(); }
  std::size_t size() const noexcept { return heap_.size(); }
  // earliest() returns the timer that is due first; the queue must not be empty.
  Timer* earliest() const noexcept { return heap_.front().timer; }
  Nanoseconds earliest_deadline() const noexcept { return heap_.front().deadline; }
  // any() tells whether `predicate(Timer*)` holds for one of them.
  template <typename Predicate>
  bool any(Predicate predicate) const {
    return std::any_of(heap_.begin(), heap_.end(),
                       [&](const Slot& slot) { return predicate(slot.timer); });
  }
  // push() arms `timer` for `deadline`; false if there is no memory for it.
  bool push(Timer* timer, Nanoseconds deadline) noexcept;
  // remove() disarms `timer`, which must be armed here.
  void remove(Timer* timer) noexcept;
  // pop_due() disarms and returns the earliest timer if it is due at `now`, else null.
  Timer* pop_due(Nanoseconds now) noexcept;

 private:
  struct Slot {
    Nanoseconds deadline;
    std::uint64_t serial;
    Timer* timer;
    bool operator<(const Slot& other) const noexcept {
      return deadline != other.deadline ? deadline < other.deadline : serial < other.serial;
    }
  };
  void put(std::size_t place, const Slot& slot) noexcept;
  // rise() and sink() find the place of `slot` from `place` upwards or downwards and put it there.
  void rise(std::size_t place, const Slot& slot) noexcept;
  void sink(std::size_t place, const Slot& slot) noexcept;

  std::vector<Slot> heap_;
  std::uint64_t next_serial_ = 0;
};

}  // namespace stackless::core
