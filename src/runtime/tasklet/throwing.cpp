// Exceptions thrown at a tasklet.
#include "runtime/scheduler/bomb.hpp"

#include "runtime/freezing/freezing.hpp"
#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

namespace {

bool is_exit(PyObject* exception) {
  return PyErr_GivenExceptionMatches(exception, runtime->tasklet_exit.get()) != 0;
}

Object throw_at_dead(Tasklet* tasklet, PyObject* exception) {
  bool cut_off = tasklet->scheduler->ts == nullptr && (tasklet->started || tasklet->function);
  if (cut_off && tasklet->started) {
    return raise(PyExc_RuntimeError, "tasklet has no thread");
  }
  if (is_exit(exception)) {
    cancel_start(tasklet);
    return none();
  }
  return raise(PyExc_RuntimeError, tasklet->scheduler->ts == nullptr
                                       ? "tasklet has no thread"
                                       : "You cannot throw to a dead tasklet");
}

}  // namespace

Object throw_exception(Tasklet* tasklet, Object exception, bool pending) {
  Scheduler* s = scheduler();
  if (s == nullptr) {
    return nullptr;
  }
  if (tasklet == s->current) {
    restore_exception(std::move(exception));
    return nullptr;
  }
  bool left_behind = tasklet->scheduler->ts == nullptr && tasklet->frozen != nullptr;
  if (left_behind && is_exit(exception.get()) && !move_to(tasklet, s)) {
    return nullptr;  // of memory: it can only end here
  }
  if (!alive(tasklet)) {
    return throw_at_dead(tasklet, exception.get());
  }
  bool switches = !pending && tasklet->scheduler == s;
  if (switches && switch_would_fail(s, tasklet)) {
    return nullptr;
  }
  Scheduler* home = tasklet->scheduler;
  if (home != s && home->current == tasklet && tasklet->place == Place::ring) {
    throw_at_running(home, std::move(exception));
    return none();
  }
  Object bomb = make_bomb(std::move(exception));
  if (!bomb) {
    return nullptr;
  }
  auto keep = Ref<Tasklet>::share(tasklet);
  Object replaced = std::exchange(tasklet->tempval, std::move(bomb));
  if (switches) {
    return hand_over(s, tasklet);
  }
  make_runnable(tasklet);
  return none();
}

}  // namespace stackless
