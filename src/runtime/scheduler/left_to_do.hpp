// What the tasklet that gives way leaves to whoever runs next, its successor.
//
// Between deciding who runs next and the switch no Python code may run: it could undo what the decision rests
// on (remove the tasklet that was chosen, serve the one that is about to wait). So what has to be dropped
// then is left to the successor; and so is waiting where nothing is runnable, since the tasklet that gives
// way may lose its C stack. The protocol:
//
//   1. Whoever is about to give way calls drop_later(), or sets `sleep`, any time before the switch.
//   2. The successor calls do_duties() first thing on its own stack, before it returns to Python code: it drops
//      what there is, in order, waits if it is to, and starts again, for either may leave something more.
//   3. If there was no switch after all, whoever has called drop_later() calls do_duties() itself.
#pragma once

#include <new>
#include <utility>
#include <vector>

#include "object/reference.hpp"

namespace stackless {

struct LeftToDo {
  bool any = false;    // the one word that the hot path looks at
  bool sleep = false;  // wait until something is runnable

  void drop_later(Object object) noexcept {
    if (!object) {
      return;
    }
    any = true;
    if (!first_) {
      first_ = std::move(object);
      return;
    }
    try {
      more_.push_back(std::move(object));
    } catch (const std::bad_alloc&) {
      // Rather lose its memory than run its destructor here.
      [[maybe_unused]] PyObject* lost = object.release();
    }
  }
  void sleep_later() noexcept { any = sleep = true; }
  // drop() drops what there is, in order. Something more may be left meanwhile.
  void drop() {
    std::vector<Object> more;
    more.swap(more_);
    first_.reset();
    for (Object& object : more) {
      object.reset();
    }
  }

 private:
  Object first_;  // there is rarely more than one
  std::vector<Object> more_;
};

}  // namespace stackless
