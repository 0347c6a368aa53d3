// Seats: where the budget of C stacks is exhausted, it is remembered who waits mounted at which call of the code. A
// frozen one that waits at the same call can run in the place of the one who sits there, by trading with it
// (interp/trade.hpp): so tasklets of different functions take turns without leaving evaluation loops and
// entering others. For that a few tasklets more stay mounted than the budget says.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "runtime/scheduler/tasklet.hpp"

namespace stackless {

class Seats {
 public:
  // at() is who sits at the call (interp::call_of()), or was there when it sat down; null if nobody does.
  [[nodiscard]] Tasklet* at(const void* call) const noexcept { return seats_[index(call)]; }
  // sit_down() gives the tasklet, which is mounted, the seat at a call.
  void sit_down(const void* call, Tasklet* tasklet) noexcept {
    leave(tasklet);
    std::size_t i = index(call);
    if (seats_[i] != nullptr) {
      seats_[i]->seat = 0;
    }
    seats_[i] = tasklet;
    tasklet->seat = static_cast<unsigned char>(i + 1);
  }
  // leave() is called when a tasklet's C stack is taken away.
  void leave(Tasklet* tasklet) noexcept {
    if (tasklet->seat != 0) [[unlikely]] {
      seats_[tasklet->seat - 1] = nullptr;
      tasklet->seat = 0;
    }
  }
  // pass_on() gives the seat of a tasklet, if it has one, to another one.
  void pass_on(Tasklet* tasklet, Tasklet* other) noexcept {
    if (unsigned char seat = std::exchange(tasklet->seat, 0); seat != 0) {
      leave(other);
      seats_[seat - 1] = other;
      other->seat = seat;
    }
  }
  // next_in_turn() is somebody who has a seat and is suspended; null if nobody is.
  Tasklet* next_in_turn() noexcept {
    for (std::size_t i = 0; i < size; ++i) {
      turn_ = (turn_ + 1) % size;
      if (seats_[turn_] != nullptr && seats_[turn_]->parked != nullptr) {
        return seats_[turn_];
      }
    }
    return nullptr;
  }

  // most_extra() is how many C stacks may be in use beyond that budget.
  static std::size_t most_extra(std::size_t budget) noexcept {
    return budget / 4 < size ? budget / 4 : size;
  }
  std::size_t extra = 0;  // and how many may be so far
  unsigned misses = 0;    // how often there was nobody to trade with, and no C stack more

 private:
  static constexpr std::size_t size = 64;

  static std::size_t index(const void* call) noexcept {
    auto address = reinterpret_cast<std::uintptr_t>(call);
    return (address >> 1 ^ address >> 7 ^ address >> 13) % size;
  }

  std::array<Tasklet*, size> seats_{};
  std::size_t turn_ = 0;
};

}  // namespace stackless
