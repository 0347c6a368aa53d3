// Generators of a tasklet that is being unwound: their frames stay where they are, so what these
// hold is put aside meanwhile, and then put back.
#pragma once

#include <vector>

#include "interp/frames/frame.hpp"

namespace stackless::interp {

class Aside {
 public:
  Aside() = default;
  ~Aside() = default;  // restore() has left nothing; at a thread's end nobody has the GIL
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;

  // reserve() makes room for that many frames with that many words in all; false if there is no
  // memory.
  bool reserve(std::size_t frames, std::size_t words) noexcept;
  // put() puts the contents of a generator's frame aside, and returns the copy, to be completed in
  // place. No code that runs meanwhile will clear the generator's own.
  _PyInterpreterFrame* put(_PyInterpreterFrame* frame, int height) noexcept;
  // set_driver() tells what drives the last one, if that is an asynchronous generator. Borrowed.
  void set_driver(PyObject* awaitable) noexcept { items_.back().driver = awaitable; }
  // restore() puts everything back.
  void restore() noexcept;

 private:
  struct Item {
    PyGenObject* generator;  // owned
    _PyErr_StackItem exc_state;
    std::int8_t frame_state;
    std::int8_t running_async;
    PyObject* driver;
    Slot* copy;
    std::size_t words;
  };
  std::vector<Item> items_;
  Slot* words_ = nullptr;
  Slot* unused_ = nullptr;
};

}  // namespace stackless::interp
