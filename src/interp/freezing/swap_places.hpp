// Trade: a frozen tasklet and a mounted one change places, if both stand at the same calls of the
// same code. Their frames have the same shape then, so their contents are swapped where they lie:
// nothing is allocated, no evaluation loop is left or entered. Among many tasklets that run the
// same functions, which is what a program with many tasklets has, that is what freezing costs.
#pragma once

#include <Python.h>

#include <array>

#include "interp/frames/frame.hpp"
#include "interp/freezing/freeze.hpp"
#include "interp/switching/switch.hpp"

namespace stackless::interp {

class Trade {
 public:
  // Looks whether a suspended tasklet, or the running one (`parked` null), which is about to wait
  // in the call with `mark`, stands where the frozen one does.
  Trade(PyThreadState* ts, Parked* parked, Frozen* frozen, CallMark mark = nullptr) noexcept;
  // Drops what has been left; may run any code.
  ~Trade();
  Trade(const Trade&) = delete;
  Trade& operator=(const Trade&) = delete;

  // The C function that both have called, null if they can't trade, and the function of the mounted
  // one's outermost frame; both borrowed.
  [[nodiscard]] const PyMethodDef* function() const noexcept { return function_; }
  [[nodiscard]] PyObject* outermost() const noexcept { return outermost_; }

  // drops() returns how many objects the frozen one has made its call with that nobody else holds.
  [[nodiscard]] int drops() const noexcept;

  // make() lets the mounted tasklet be what has been frozen, and the reverse. Its call is the one
  // to return next, with what a call at which the frozen one has stood is to return.
  void make() noexcept;
  // take_left() returns one of those with which the frozen one has made its call, for the caller to
  // drop; null if none is left.
  PyObject* take_left() noexcept;

 private:
  static constexpr int most_operands = 4;

  PyThreadState* ts_;
  Parked* parked_;
  Frozen* frozen_;
  const PyMethodDef* function_ = nullptr;
  PyObject* outermost_ = nullptr;
  std::array<Slot, most_operands> left_;  // the frozen one's operands
  int left_count_ = 0;
};

}  // namespace stackless::interp
