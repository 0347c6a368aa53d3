#include "core/timer_queue.hpp"

#include <time.h>
#include <cassert>
#include <new>

namespace stackless::core {

Nanoseconds monotonic_now() noexcept {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return Nanoseconds{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

bool TimerQueue::push(Timer* timer, Nanoseconds deadline) noexcept {
  assert(!timer->armed());
  const Slot slot{deadline, next_serial_, timer};
  try {
    heap_.push_back(slot);
  } catch (const std::bad_alloc&) {
    return false;
  }
  timer->deadline = deadline;
  timer->serial = next_serial_++;
  rise(heap_.size() - 1, slot);
  return true;
}

void TimerQueue::remove(Timer* timer) noexcept {
  const std::size_t place = timer->place;
  assert(place < heap_.size() && heap_[place].timer == timer);
  timer->place = Timer::npos;
  const Slot last = heap_.back();
  heap_.pop_back();
  if (place == heap_.size()) {
    return;
  }
  // The last one fills the gap. It came from another branch perhaps, so it may belong higher up.
  if (place > 0 && last < heap_[(place - 1) / 2]) {
    rise(place, last);
  } else {
    sink(place, last);
  }
}

Timer* TimerQueue::pop_due(Nanoseconds now) noexcept {
  if (heap_.empty() || heap_.front().deadline > now) {
    return nullptr;
  }
  Timer* timer = heap_.front().timer;
  remove(timer);
  return timer;
}

void TimerQueue::put(std::size_t place, const Slot& slot) noexcept {
  heap_[place] = slot;
  slot.timer->place = place;
}

void TimerQueue::rise(std::size_t place, const Slot& slot) noexcept {
  while (place > 0) {
    const std::size_t parent = (place - 1) / 2;
    if (!(slot < heap_[parent])) {
      break;
    }
    put(place, heap_[parent]);
    place = parent;
  }
  put(place, slot);
}

void TimerQueue::sink(std::size_t place, const Slot& slot) noexcept {
  const std::size_t size = heap_.size();
  for (;;) {
    std::size_t child = 2 * place + 1;
    if (child >= size) {
      break;
    }
    if (child + 1 < size && heap_[child + 1] < heap_[child]) {
      ++child;
    }
    if (!(heap_[child] < slot)) {
      break;
    }
    put(place, heap_[child]);
    place = child;
  }
  put(place, slot);
}

}  // namespace stackless::core
