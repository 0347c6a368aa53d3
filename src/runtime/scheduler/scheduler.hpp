// One scheduler for each thread: its ring of runnable tasklets, and who runs next.
//
// Invariant: whenever Python code runs, the current tasklet is the head of the ring, except in
// callbacks and signal handlers, where no switch is allowed.
#pragma once

#include "core/exception_state.hpp"
#include "core/poller.hpp"
#include "core/ring.hpp"
#include "core/timer_queue.hpp"
#include "interp/switching/canary.hpp"
#include "runtime/scheduler/left_to_do.hpp"
#include "runtime/scheduler/runtime.hpp"
#include "runtime/scheduler/seats.hpp"
#include "runtime/scheduler/tasklet.hpp"

namespace stackless {

struct Wait;

// What the innermost run() does when nothing is runnable and nobody waits for I/O or time.
enum class RunMode : unsigned char {
  own,          // it returns: other threads are not its business
  threadblock,  // it waits for other threads
  pump,         // it returns even if somebody waits
};

struct Scheduler {
  // ---- the hot path ----
  PyThreadState* ts;  // null once the thread has ended
  Tasklet* current;
  core::Ring<Tasklet> ring;
  // Whatever makes the fast paths not good enough, a bit each: they test this one word.
  unsigned attention;
  LeftToDo left;
  core::ExceptionState* exception_state;  // the thread's

  // ---- the thread ----
  unsigned long thread_id;
  std::uint64_t thread_state_id;  // ts->id, which no later thread state has
  std::size_t references;         // tasklets, and the thread itself
  Scheduler* next;                // the runtime's list
  Tasklet* first_started;
  Ref<Tasklet> main;
  Object thrown;  // at the current tasklet by another thread
#ifndef NDEBUG
  interp::Canary canary;  // scheduler/decided.hpp
#endif
  int pickle_flags;

  // Calls of run().
  struct Runs {
    Object callers;  // list: [None, caller of the outermost run(), ..., innermost]
    RunMode mode;    // of the innermost
  } runs;

  // What forbids switching.
  struct Forbidden {
    int traps;  // switch_trap()
    int locks;  // callbacks and signal handlers under way
  } forbidden;

  // While the C functions of the current tasklet are ended (scheduler/mounting.cpp).
  struct Unwinding {
    Tasklet* next;  // who runs then
    Object mail;    // that is kept from it meanwhile
    Tasklet* by;    // who has it frozen, and runs next whether in the ring or not
  } unwinding;

  // Waiting for the outside world.
  struct Sleep {
    core::Poller poller;
    core::TimerQueue timers;
    Wait* first_wait;  // descriptors waited for, to watch again after a fork
    std::size_t io_waits;
    std::size_t replies;  // tasklets that wait for what a helper thread does
    unsigned rounds;      // switches since the last poll, while somebody waits
    bool asleep;          // in the poller now, without the GIL
    bool helpless;        // asleep with no timer and no descriptor: only another thread can wake it
  } sleep;

  // C stacks.
  struct Stacks {
    core::StackPool pool{runtime->stack_bytes};
    Seats seats;
  } stacks;

  struct Counts {
    std::uint64_t freezes;
    std::uint64_t thaws;
    std::uint64_t trades;  // of these, those in which two traded places
    std::uint64_t switches;
  } counts;

  enum Attention : unsigned {
    trap = 1,      // forbidden.traps is set
    callback = 2,  // a schedule or channel callback is set
    lock = 4,      // forbidden.locks > 0
    waiters = 8,   // somebody waits for I/O or time: poll now and then
    crowded = 16,  // more C stacks are in use than there shall be: freeze who gives way
    struck = 32,   // thrown is set: raise it in who gives way
  };

  bool has_waiters() const noexcept {
    return sleep.io_waits > 0 || sleep.replies > 0 || !sleep.timers.empty();
  }
  // anybody_waits() leaves out timeouts of those who don't wait, such as the caller of run().
  bool anybody_waits() const;
};

// The calling thread's scheduler, made on first use; null with MemoryError set.
extern constinit thread_local Scheduler* this_scheduler;
Scheduler* make_scheduler();
// The id of the calling thread's state, once that has ended: what is destroyed after it makes no new scheduler.
extern constinit thread_local std::uint64_t ended_thread_state;
inline Scheduler* scheduler() {
  Scheduler* mine = this_scheduler;
  return mine != nullptr ? mine : make_scheduler();
}

// ---- the ring ---------------------------------------------------------------------------------

// insert() puts a tasklet that is nowhere at the tail of its thread's ring (the ring takes a
// reference) and wakes that thread if it sleeps.
void insert(Tasklet* tasklet);
void insert_owned(Ref<Tasklet> tasklet);
// unlink() takes a tasklet out of its ring and returns the ring's reference.
Ref<Tasklet> unlink(Tasklet* tasklet);
// make_runnable() takes the tasklet from wherever it is into the ring, if it isn't there.
void make_runnable(Tasklet* tasklet);

// tasklet_entry() is what a C stack runs.
void tasklet_entry();

// throw_at_running() has the exception raised in the current tasklet of another thread when that next
// gives way; TaskletExit as soon as the interpreter looks.
void throw_at_running(Scheduler* s, Object exception);

// ---- threads ----------------------------------------------------------------------------------

// wake() ends the other thread's sleep, so that it looks at its ring.
void wake(Scheduler* s);
// others_may_wake() tells whether another thread could still make one of ours runnable.
bool others_may_wake(const Scheduler* s);
// notice_ends_of_other_threads() sees to it that `s` is woken when a thread ends on which its last
// hope rests, even one that has nothing to do with tasklets.
void notice_ends_of_other_threads(Scheduler* s);
// wake_helpless() has those look again who have nothing but other threads to hope for.
void wake_helpless();
// unlist() takes a scheduler out of the runtime's list; become_main() makes a tasklet its main one.
void unlist(Scheduler* s);
void become_main(Scheduler* s, Ref<Tasklet> tasklet);
// The name of the capsule by which a scheduler hangs in its thread's dictionary.
inline constexpr const char* capsule_name = "stackless._stackless.scheduler";

inline void add_reference(Scheduler* s) noexcept { ++s->references; }
void remove_reference(Scheduler* s) noexcept;

inline void add_started(Tasklet* tasklet) noexcept {
  Scheduler* s = tasklet->scheduler;
  tasklet->neighbors = {s->first_started, nullptr};
  if (s->first_started != nullptr) {
    s->first_started->neighbors.prev = tasklet;
  }
  s->first_started = tasklet;
}
inline void remove_started(Tasklet* tasklet) noexcept {
  auto [next, prev] = std::exchange(tasklet->neighbors, {});
  (prev != nullptr ? prev->neighbors.next : tasklet->scheduler->first_started) = next;
  if (next != nullptr) {
    next->neighbors.prev = prev;
  }
}

}  // namespace stackless
