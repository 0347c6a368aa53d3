#include "runtime/ending.hpp"

#include <time.h>
#include <algorithm>
#include <vector>

#include "runtime/freezing/freezing.hpp"
#include "runtime/scheduler/callbacks.hpp"
#include "runtime/scheduler/idle.hpp"
#include "runtime/scheduler/mounting.hpp"

namespace stackless {

namespace {

constexpr int kill_attempts = 10;

// Takes every queued tasklet but the current one out of the ring, so that killing one does not run
// the others.
void empty_ring(Scheduler* s) {
  while (s->current != nullptr && s->current->place == Place::ring &&
         s->current->next != s->current) {
    unlink(s->current->next);
  }
}

void kill_one(Scheduler* s, Tasklet* tasklet) {
  auto keep = Ref<Tasklet>::share(tasklet);
  tasklet->left_over = true;
  for (int attempt = 0; attempt < kill_attempts && tasklet->started; ++attempt) {
    Object exit = Object::steal(PyObject_CallNoArgs(runtime->tasklet_exit.get()));
    if (!exit || !throw_exception(tasklet, std::move(exit), false)) {
      PyErr_WriteUnraisable(as_object(tasklet));
    }
    empty_ring(s);
  }
  // One that won't go never runs again: what it needs may be gone by then.
  tasklet->zombie = tasklet->started;
}

// Takes all of a scheduler's tasklets off whatever holds them; where that is only what `which` says of.
template <class F>
std::vector<Ref<Tasklet>> take_all_away(Scheduler* s, F&& which) {
  std::vector<Ref<Tasklet>> taken;
  for (Tasklet* t = s->first_started; t != nullptr; t = t->neighbors.next) {
    if (t->scheduled() && which(t)) {
      taken.push_back(take_away(t));
    }
  }
  return taken;
}

// Leaves the tasklets of a thread that is gone, or of a parent process, without a thread.
void cut_off(Scheduler* s) {
  s->ts = nullptr;
  unlist(s);
  // None is dropped before all is in order: what ends with one may look at the others.
  std::vector<Ref<Tasklet>> taken = take_all_away(s, [](const Tasklet* t) {
    return t->place == Place::ring || t->blocked_on->ends_with_thread();
  });
  while (Tasklet* head = s->ring.head()) {
    taken.push_back(unlink(head));
  }
  s->current = nullptr;
  s->main->started = false;
  taken.push_back(std::move(s->main));
  if (this_scheduler == s) {
    this_scheduler = nullptr;
    ended_thread_state = s->thread_state_id;
  }
  wake_helpless();  // those that counted on this one look again
}

}  // namespace

void thread_ends(PyObject* capsule) {
  auto* s = static_cast<Scheduler*>(PyCapsule_GetPointer(capsule, capsule_name));
  if (s->ts != nullptr) {
    if (s != this_scheduler) {
      // Another thread clears this one: it was left behind by a fork, or at the interpreter's end.
      // Nobody can end its tasklets, but they must not wait in channels, to take values with them.
      std::vector<Ref<Tasklet>> taken = take_all_away(s, [](const Tasklet*) { return true; });
      taken.push_back(take_away(s->main.get()));
    } else if (s->current == s->main.get()) {
      KeepException pending;
      // The thread's function has returned, so the tasklet that ran it is over; another one stands in
      // for it while the rest is killed.
      if (Ref<Tasklet> stand_in = new_tasklet(&TaskletType, s)) {
        unlink(s->main.get());
        s->main->started = false;
        become_main(s, std::move(stand_in));
      }
      kill_started(s, false);
    }
    cut_off(s);
  }
  remove_reference(s);
}

namespace {

bool outlives_its_thread(Tasklet* t) {
  bool held_elsewhere = Py_REFCNT(as_object(t)) > (t->scheduled() ? 1 : 0);
  return runtime->profile != Profile::hard && held_elsewhere && freeze_tasklet(t);
}

}  // namespace

void kill_started(Scheduler* s, bool all) {
  empty_ring(s);
  // Those who die may start others, so it takes rounds; who survives one has had its chances.
  constexpr int rounds = 10;
  std::uint64_t newest_seen = 0;
  for (int round = 0; round < rounds; ++round) {
    Object victims = Object::steal(PyList_New(0));
    std::uint64_t newest = newest_seen;
    for (Tasklet* t = s->first_started; t != nullptr && victims; t = t->neighbors.next) {
      // Who was spared may have been woken by one who died.
      if (t == s->current || t->zombie || (!t->spared && t->serial <= newest_seen)) {
        continue;
      }
      t->spared = !all && outlives_its_thread(t);
      if (!t->spared) {
        newest = std::max(newest, t->serial);
        if (PyList_Append(victims.get(), as_object(t)) < 0) {
          victims.reset();
        }
      }
    }
    if (!victims) {
      PyErr_WriteUnraisable(nullptr);
      return;
    }
    if (PyList_GET_SIZE(victims.get()) == 0) {
      return;
    }
    newest_seen = newest;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(victims.get()); ++i) {
      kill_one(s, as_tasklet(PyList_GET_ITEM(victims.get(), i)));
    }
  }
}

namespace {

void throw_exit(Tasklet* tasklet) {
  if (!alive(tasklet)) {
    return;
  }
  Object exit = Object::steal(PyObject_CallNoArgs(runtime->tasklet_exit.get()));
  if (!exit || !throw_exception(tasklet, std::move(exit), true)) {
    PyErr_Clear();
  }
}

// Threads that still run get TaskletExit in their main, current and suspended tasklets, and a few
// milliseconds to act on it. Those that wait for something else than us are left alone.
void end_other_threads(Scheduler* mine) {
  bool others = false;
  for (Scheduler* s = runtime->schedulers; s != nullptr; s = s->next) {
    if (s == mine) {
      continue;
    }
    others = true;
    // Throwing runs no code of theirs as long as we hold the GIL, so the list stays as it is.
    for (Tasklet* t = s->first_started; t != nullptr; t = t->neighbors.next) {
      throw_exit(t);
    }
    throw_exit(s->main.get());
  }
  constexpr int milliseconds = 20;
  for (int i = 0; others && i < milliseconds; ++i) {
    Py_BEGIN_ALLOW_THREADS
    timespec one_millisecond{0, 1'000'000};
    nanosleep(&one_millisecond, nullptr);
    Py_END_ALLOW_THREADS
    others = false;
    for (Scheduler* s = runtime->schedulers; s != nullptr; s = s->next) {
      others |= s != mine;
    }
  }
}

}  // namespace

namespace {

// Takes over what a thread that doesn't act, a daemon in C code, say, has left: those that can be frozen end here. Others
// are left alone.
void take_over(Scheduler* mine, Scheduler* other) {
  std::vector<Ref<Tasklet>> left;
  for (Tasklet* t = other->first_started; t != nullptr; t = t->neighbors.next) {
    if (t != other->current && t != other->main.get()) {
      left.push_back(Ref<Tasklet>::share(t));
    }
  }
  for (const Ref<Tasklet>& t : left) {
    if (t->scheduler != other || !t->started || !freeze_tasklet(t.get())) {
      continue;
    }
    Ref<Tasklet> queued = take_away(t.get());
    if (!move_to(t.get(), mine)) {
      PyErr_Clear();
    }
  }
}

}  // namespace

PyObject* end_interpreter(PyObject*, PyObject*) {
  end_other_threads(this_scheduler);
  Scheduler* mine = scheduler();
  if (mine == nullptr) {
    return nullptr;
  }
  for (Scheduler* s = runtime->schedulers; s != nullptr;) {
    Scheduler* next = s->next;
    if (s != mine) {
      take_over(mine, s);
    }
    s = next;
  }
  kill_started(mine, true);
  Py_RETURN_NONE;
}

PyObject* after_fork_in_child(PyObject*, PyObject*) {
  for (Scheduler* s = runtime->schedulers; s != nullptr;) {
    Scheduler* next = s->next;
    if (s != this_scheduler) {
      cut_off(s);
    }
    s = next;
  }
  if (Scheduler* mine = this_scheduler) {
    mine->thread_id = PyThread_get_thread_ident();
    runtime->main_thread = mine->thread_id;
    mine->sleep.poller.abandon();
    rewatch(mine);
  } else {
    runtime->main_thread = PyThread_get_thread_ident();
  }
  Py_RETURN_NONE;
}
}  // namespace stackless
