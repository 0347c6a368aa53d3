// Exceptions thrown at a tasklet.
#include "runtime/scheduler/bomb.hpp"

#include "runtime/freezing/freezing.hpp"
#include "runtime/scheduler/callbacks.hpp"
#include "runtime/scheduler/giving_way.hpp"
#include "runtime/scheduler/who_runs_next.hpp"

namespace stackless {

namespace {

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
  auto keep = Ref<Tasklet>::share(tasklet);
  // What may run Python code comes first, so that what is found next holds.
  Object bomb = make_bomb(exception);
  if (!bomb || (!pending && is_struck(s))) {
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
  exception.reset();  // the bomb has it
  put_mail(s, tasklet, std::move(bomb));
  if (switches) {
    return hand_over(s, tasklet);
  }
  make_runnable(tasklet);
  settle_left(s);
  return none();
}

}  // namespace stackless
