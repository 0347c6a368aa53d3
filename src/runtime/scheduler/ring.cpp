// In and out of the ring of runnable tasklets.
#include "runtime/scheduler/scheduler.hpp"

#include "runtime/channel/transfer.hpp"
#include "runtime/scheduler/idle.hpp"

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

Ref<Tasklet> unblock(Tasklet* tasklet) {
  if (tasklet->place == Place::channel) {
    return remove_from_queue(tasklet);
  }
  return cancel_wait(tasklet);
}

void make_runnable(Tasklet* tasklet) {
  switch (tasklet->place) {
    case Place::ring:
      return;
    case Place::nowhere:
      insert(tasklet);
      return;
    case Place::channel:
    case Place::waiting:
      insert_owned(unblock(tasklet));
  }
}

}  // namespace stackless
