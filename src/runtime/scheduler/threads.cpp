// A scheduler for each thread: how it comes to be, how threads wake each other, how it ends.
#include <time.h>

#include <algorithm>
#include <new>

#include "runtime/ending.hpp"
#include "runtime/freezing/freezing.hpp"
#include "runtime/scheduler/blocker.hpp"
#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/callbacks.hpp"
#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

constinit thread_local Scheduler* this_scheduler = nullptr;

void unlist(Scheduler* s) {
  Guard guard;
  Scheduler** place = &runtime->schedulers;
  while (*place != nullptr && *place != s) {
    place = &(*place)->next;
  }
  if (*place == s) {
    *place = s->next;
  }
}

void become_main(Scheduler* s, Ref<Tasklet> tasklet) {
  s->main = std::move(tasklet);
  Tasklet* main = s->main.get();
  main->is_main = main->started = true;
  s->current = main;
  main->place = Place::ring;
  s->ring.push_back(Ref<Tasklet>::share(main).release());
}

Scheduler* make_scheduler() {
  Scheduler* s = scheduler_of(PyThreadState_Get());
  this_scheduler = s;
  return s;
}

Scheduler* scheduler_of(PyThreadState* ts) {
  Guard guard;
  for (Scheduler* s = runtime->schedulers; s != nullptr; s = s->next) {
    if (s->ts == ts) {
      return s;
    }
  }
  PyObject* dictionary = interp::thread_dictionary(ts);
  if (dictionary == nullptr) {
    return nullptr;
  }
  auto* s = new (std::nothrow) Scheduler{};
  if (s == nullptr) {
    PyErr_NoMemory();
    return nullptr;
  }
  s->ts = ts;
  s->thread_id = ts->thread_id;
  s->references = 1;
  s->pickle_flags = runtime->default_pickle_flags;
  s->run_callers = Object::steal(Py_BuildValue("[O]", Py_None));
  s->main = s->run_callers ? new_tasklet(&TaskletType, s) : nullptr;
  Object capsule = s->main ? Object::steal(PyCapsule_New(s, capsule_name, thread_ends)) : Object();
  if (!capsule) {
    s->main.reset();
    remove_reference(s);
    return nullptr;
  }
  become_main(s, std::move(s->main));
  s->next = runtime->schedulers;
  runtime->schedulers = s;
  update_attention();
  if (PyDict_SetItemString(dictionary, capsule_name, capsule.get()) < 0) {
    return nullptr;  // dropping the capsule has ended it
  }
  notify_switch(s, nullptr, s->main.get());
  return s;
}

void remove_reference(Scheduler* s) noexcept {
  if (--s->references == 0) {
    delete s;
  }
}

void wake(Scheduler* s) {
  if (s->sleeping) {
    s->poller.interrupt();
  }
}

bool others_may_wake(Scheduler* s) {
  Guard guard;
  PyInterpreterState* interpreter = PyThreadState_GetInterpreter(s->ts);
  for (PyThreadState* ts = PyInterpreterState_ThreadHead(interpreter); ts != nullptr;
       ts = PyThreadState_Next(ts)) {
    if (ts == s->ts) {
      continue;
    }
    bool helpless = false;
    for (Scheduler* other = runtime->schedulers; other != nullptr; other = other->next) {
      helpless |= other->ts == ts && other->helpless && other->ring.empty();
    }
    if (!helpless) {
      return true;
    }
  }
  return false;
}

void notice_ends_of_other_threads(Scheduler* s) {
  PyInterpreterState* interpreter = PyThreadState_GetInterpreter(s->ts);
  for (PyThreadState* ts = PyInterpreterState_ThreadHead(interpreter); ts != nullptr;
       ts = PyThreadState_Next(ts)) {
    if (scheduler_of(ts) == nullptr) {
      PyErr_Clear();  // no memory to be told; then we sleep longer than need be
    }
  }
}
}  // namespace stackless
