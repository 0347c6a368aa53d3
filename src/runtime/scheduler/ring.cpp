// In and out of the ring of runnable tasklets.
#include "runtime/scheduler/scheduler.hpp"

#include "runtime/scheduler/blocker.hpp"

namespace stackless {

void insert_owned(Ref<Tasklet> tasklet) {
  Tasklet* t = tasklet.release();
  assert(t->place == Place::nowhere);
  Guard guard;
  Scheduler* home = t->scheduler;
  home->ring.push_back(t);
  t->place = Place::ring;
  if (home != this_scheduler) {
    wake(home);
  }
}

void insert(Tasklet* tasklet) { insert_owned(Ref<Tasklet>::share(tasklet)); }

Ref<Tasklet> unlink(Tasklet* tasklet) {
  assert(tasklet->place == Place::ring);
  tasklet->scheduler->ring.remove(tasklet);
  tasklet->place = Place::nowhere;
  return Ref<Tasklet>::steal(tasklet);
}

void make_runnable(Tasklet* tasklet) {
  switch (tasklet->place) {
    case Place::ring:
      return;
    case Place::nowhere:
      insert(tasklet);
      return;
    case Place::blocked:
      insert_owned(tasklet->blocked_on->cancel(tasklet));
  }
}

}  // namespace stackless
