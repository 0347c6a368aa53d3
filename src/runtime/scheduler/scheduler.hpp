// One scheduler for each thread: its ring of runnable tasklets, and who runs next.
//
// Invariant: whenever Python code runs, the current tasklet is the head of the ring, except in
// callbacks and signal handlers, where no switch is allowed.
#pragma once

#include "core/poller.hpp"
#include "core/ring.hpp"
#include "core/timer_queue.hpp"
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
  PyThreadState* ts;  // null once the thread has ended
  unsigned long thread_id;
  Tasklet* current;
  core::Ring<Tasklet> ring;
  // Whatever makes the fast paths not good enough, a bit each: they test this one word.
  unsigned attention;
  // Left for whoever runs next, before it goes on: to wait for something runnable, to drop `departed`.
  bool duties;
  bool idle_wanted;
  Ref<Tasklet> main;
  Object departed;  // to be dropped by whoever runs next
  Object thrown;    // at the current tasklet by another thread
  // While the C functions of the current tasklet are ended (runtime/freezing.cpp): who runs next, and
  // the mail that is kept from it meanwhile.
  Tasklet* after_unwinding;
  Object withheld_mail;
  Object run_callers;  // list: [None, caller of the outermost run(), ..., innermost]
  int switch_trap;
  int locked;     // callbacks and signal handlers under way
  RunMode mode;   // of the innermost run()
  bool sleeping;  // in the poller now, without the GIL
  bool helpless;  // so, and nothing of its own could wake it
  int pickle_flags;
  std::size_t references;  // tasklets, and the thread itself
  std::uint64_t freezes;
  std::uint64_t thaws;
  std::uint64_t trades;  // of these, those in which two traded places (interp/trade.hpp)
  std::uint64_t switches;
  Tasklet* first_started;
  core::StackPool stacks{runtime->stack_bytes};
  Seats seats;
  core::Poller poller;
  core::TimerQueue timers;
  Wait* first_wait;  // descriptors waited for, to watch again after a fork
  std::size_t io_waits;
  unsigned rounds;  // switches since the last poll, while somebody waits
  Scheduler* next;  // the runtime's list

  enum Attention : unsigned {
    trap = 1,      // switch_trap is set
    callback = 2,  // a schedule or channel callback is set
    lock = 4,      // locked > 0
    waiters = 8,   // somebody waits for I/O or time: poll now and then
    crowded = 16,  // more C stacks are in use than there shall be: freeze who gives way
    struck = 32,   // thrown is set: raise it in who gives way
  };

  bool has_waiters() const noexcept { return io_waits > 0 || !timers.empty(); }
  // anybody_waits() leaves out timeouts of those who don't wait, such as the caller of run().
  bool anybody_waits() const;
};

// The calling thread's scheduler, made on first use; null with MemoryError set.
extern constinit thread_local Scheduler* this_scheduler;
Scheduler* make_scheduler();
// scheduler_of() is that of another thread, made on first use too.
Scheduler* scheduler_of(PyThreadState* ts);
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
// unblock() takes a blocked tasklet off its channel or wait; the queue's reference is returned.
Ref<Tasklet> unblock(Tasklet* tasklet);
// make_runnable() takes the tasklet from wherever it is into the ring, if it isn't there.
void make_runnable(Tasklet* tasklet);

// ---- switching --------------------------------------------------------------------------------

// switch_would_fail() raises and returns true if the current tasklet can't switch to `next` now:
// switch_trap is set, a callback is under way (RuntimeError), or there is no stack for a tasklet that
// has not started yet (MemoryError).
bool switch_would_fail(Scheduler* s, Tasklet* next);
// giving_way_would_fail() is the same for a switch to whoever's turn it is: where there is no stack
// for `next`, it is innermost_run() that is told, while `next` stays in the ring.
bool giving_way_would_fail(Scheduler* s, Tasklet* next);

// hand_over() runs `next`, making it runnable first if need be, and returns the current tasklet's
// mail when that runs again. The caller has asked switch_would_fail().
Object hand_over(Scheduler* s, Tasklet* next, interp::CallMark mark = nullptr);

// block() suspends the current tasklet, which is not in the ring any more, until somebody makes it
// runnable, and returns its mail. This is where "who runs next?" is answered: the ring, then those
// who wait for I/O or time, then other threads, then the run() caller, then deadlock.
Object block(Scheduler* s, interp::CallMark mark = nullptr);

// may_block() raises and returns false if block() would have to switch and may not. Called while
// the current tasklet is still in the ring.
bool may_block(Scheduler* s);
// may_wait() is the same for a tasklet that is about to wait for I/O or time.
bool may_wait(Scheduler* s);

// leave_to_successor() has whoever runs next drop a reference: the one to the tasklet that is about
// to be suspended may be the last.
void leave_to_successor(Scheduler* s, Object object);

// is_run_caller() tells whether the tasklet waits for a run() of its own to return.
bool is_run_caller(Scheduler* s, Tasklet* tasklet);

// innermost_run() is whom to wake when nothing is runnable: the innermost run() caller or main.
Tasklet* innermost_run(Scheduler* s);

// successor() picks who runs after the current tasklet, which has just ended with `exception` (or none) and is
// out of the ring.
Tasklet* successor(Scheduler* s, Object exception);

// schedule() and schedule_remove() of the module; `value` null means the tasklet itself.
Object schedule(Scheduler* s, PyObject* value, interp::CallMark mark);
Object schedule_remove(Scheduler* s, PyObject* value, interp::CallMark mark);
// run() and pump() of the module.
Object run(Scheduler* s, RunMode mode);
Object pump(Scheduler* s, core::Nanoseconds max_wait);

// tasklet_entry() is what a C stack runs.
void tasklet_entry();

// throw_at_running() has the exception raised in the current tasklet of another thread when that next
// gives way; TaskletExit as soon as the interpreter looks.
void throw_at_running(Scheduler* s, Object exception);

// ---- threads ----------------------------------------------------------------------------------

// wake() ends the other thread's sleep, so that it looks at its ring.
void wake(Scheduler* s);
// others_may_wake() tells whether another thread could still make one of ours runnable.
bool others_may_wake(Scheduler* s);
// notice_ends_of_other_threads() sees to it that `s` is woken when a thread ends on which its last
// hope rests, even one that has nothing to do with tasklets.
void notice_ends_of_other_threads(Scheduler* s);
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
