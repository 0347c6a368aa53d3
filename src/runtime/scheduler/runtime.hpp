// What all threads of the interpreter share. It lives in the module's state; since a second
// interpreter is refused, one pointer finds it without a detour.
#pragma once

#include <array>
#include <cstdint>
#include <map>

#include "object/errors.hpp"

namespace stackless {

namespace interp {
struct Frozen;
}
struct Alarm;
struct Scheduler;
struct Tasklet;

// Guard marks the sections that touch what threads share: channels, the list of schedulers, the
// callbacks. Under the GIL there is nothing for it to do; without one it is the lock to be taken.
// None is held across a switch.
class Guard {
 public:
  Guard() noexcept {}
  ~Guard() {}
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
};

// Which of the original's rules its tests are to find: see _set_test_profile().
enum class Profile { ours, soft, hard };

struct Runtime {
  Object module;
  Object tasklet_exit;         // builtins.TaskletExit
  Object does_nothing;         // a Python function
  Object pickle_and_unpickle;  // stackless._torture's, or null
  Object at_starts;            // called in each tasklet that starts; mostly null
  Object schedule_callback;
  Object channel_callback;
  Object error_handler;
  // What rooms above the scheduler's see to.
  void (*thread_ends)(PyObject* capsule) = nullptr;  // runtime/ending.hpp
  interp::Frozen* (*torture)(Scheduler*, Tasklet*,
                             interp::Frozen*) = nullptr;  // runtime/pickling/torture.hpp, or null
  Scheduler* schedulers = nullptr;
  Profile profile = Profile::ours;
  bool softswitch = true;
  int default_pickle_flags = 0;
  std::uint64_t last_serial = 0;
  unsigned long main_thread = 0;
  std::size_t stack_budget = 1024;  // C stacks of a thread beyond which tasklets are frozen
  std::size_t stack_bytes = std::size_t{8} << 20;  // address space of a tasklet's C stack

  // That tasklets carry along. Not a hash map, which needs a newer libstdc++ than wheels may ask for.
  std::map<const Tasklet*, Alarm*> alarms;

  // Names of tasklets that used a channel and have finished, for deadlock reports.
  struct Departed {
    std::uint64_t serial = 0;
    Object name;
  };
  std::array<Departed, 64> departed;
};

extern Runtime* runtime;

// request_exit() makes `status` the status of the process, whatever becomes of the SystemExit on its
// way to the main tasklet: a tasklet of the main thread has called sys.exit().
void request_exit(int status);

}  // namespace stackless
