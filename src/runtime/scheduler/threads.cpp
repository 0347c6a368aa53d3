// A scheduler for each thread: how it comes to be, how threads wake each other, how it ends.
#include <time.h>

#include <algorithm>
#include <new>

#include "runtime/scheduler/blocker.hpp"
#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/callbacks.hpp"
#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

constinit thread_local Scheduler* this_scheduler = nullptr;
constinit thread_local std::uint64_t ended_thread_state = 0;

void unlist(Scheduler* s) {
  Guard guard;
  Scheduler** place = &runtime->schedulers;
  for (; *place != nullptr; place = &(*place)->next) {
    if (*place == s) {
      *place = s->next;
      return;
    }
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

namespace {

// Has the capsule die with the thread: in the thread's dictionary, or where the thread is ending and that is gone
// already, where it is looked for later; false with an exception set.
bool hang_in_thread(PyThreadState* ts, Object capsule) {
  if (interp::is_ending(ts)) {
    return interp::leave_to_the_end(ts, capsule.release());
  }
  PyObject* dictionary = PyThreadState_GetDict();
  if (dictionary == nullptr) {
    PyErr_NoMemory();
    return false;
  }
  return PyDict_SetItemString(dictionary, capsule_name, capsule.get()) == 0;
}

}  // namespace

// A scheduler belongs to the thread that makes it: no thread makes one for another, which may not have its ident yet, or
// may be on its way out already.
Scheduler* make_scheduler() {
  PyThreadState* ts = PyThreadState_Get();
  if (ts->id == ended_thread_state) {
    return raise(PyExc_RuntimeError, "this thread is ending: no tasklet can run in it any more");
  }
  auto* s = new (std::nothrow) Scheduler{};
  if (s == nullptr) {
    PyErr_NoMemory();
    return nullptr;
  }
  s->ts = ts;
  s->thread_id = PyThread_get_thread_ident();
  s->thread_state_id = ts->id;
  s->exception_state = core::exception_state();
  s->references = 1;
  s->pickle_flags = runtime->default_pickle_flags;
  s->runs.callers = Object::steal(Py_BuildValue("[O]", Py_None));
  s->main = s->runs.callers ? new_tasklet(&TaskletType, s) : nullptr;
  Object capsule =
      s->main ? Object::steal(PyCapsule_New(s, capsule_name, runtime->thread_ends)) : Object();
  if (!capsule) {
    s->main.reset();
    remove_reference(s);
    return nullptr;
  }
  become_main(s, std::move(s->main));
  s->next = runtime->schedulers;
  runtime->schedulers = s;
  this_scheduler = s;
  update_attention();
  if (!hang_in_thread(ts, std::move(capsule))) {
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
  if (s->sleep.asleep) {
    s->sleep.poller.interrupt();
  }
}

bool others_may_wake(const Scheduler* s) {
  Guard guard;
  PyInterpreterState* interpreter = PyThreadState_GetInterpreter(s->ts);
  for (PyThreadState* ts = PyInterpreterState_ThreadHead(interpreter); ts != nullptr;
       ts = PyThreadState_Next(ts)) {
    if (ts == s->ts) {
      continue;
    }
    bool helpless = false;
    for (Scheduler* other = runtime->schedulers; other != nullptr; other = other->next) {
      helpless |= other->ts == ts && other->sleep.helpless && other->ring.empty();
    }
    if (!helpless) {
      return true;
    }
  }
  return false;
}

namespace {

const char* const notice_name = "stackless._stackless.notice";

void give_notice(PyObject*) { wake_helpless(); }

}  // namespace

void wake_helpless() {
  for (Scheduler* s = runtime->schedulers; s != nullptr; s = s->next) {
    if (s->sleep.helpless) {
      wake(s);
    }
  }
}

void notice_ends_of_other_threads(Scheduler* s) {
  PyInterpreterState* interpreter = PyThreadState_GetInterpreter(s->ts);
  for (PyThreadState* ts = PyInterpreterState_ThreadHead(interpreter); ts != nullptr;
       ts = PyThreadState_Next(ts)) {
    // The dictionary dies with the thread (Python/pystate.c, PyThreadState_Clear), and the capsule with it.
    PyObject* dictionary = interp::is_ending(ts) ? nullptr : interp::thread_dictionary(ts);
    if (dictionary != nullptr && PyDict_GetItemString(dictionary, notice_name) == nullptr) {
      Object capsule = Object::steal(PyCapsule_New(&runtime, notice_name, give_notice));
      if (capsule) {
        PyDict_SetItemString(dictionary, notice_name, capsule.get());
      }
    }
    PyErr_Clear();  // no memory to be told; then we sleep longer than need be
  }
}

}  // namespace stackless
