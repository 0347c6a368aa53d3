#include "runtime/scheduler/tasklet.hpp"

#include "runtime/scheduler/blocker.hpp"
#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

bool alive(const Tasklet* tasklet) noexcept {
  return tasklet->scheduler->ts != nullptr && (tasklet->started || tasklet->function);
}

Ref<Tasklet> take_away(Tasklet* tasklet) {
  switch (tasklet->place) {
    case Place::blocked:
      return tasklet->blocked_on->cancel(tasklet);
    case Place::ring:
      return unlink(tasklet);
    case Place::nowhere:
      break;
  }
  return nullptr;
}

void forget_function(Tasklet* tasklet) {
  // All is gone before the first destructor looks.
  Object function = std::move(tasklet->function);
  Object arguments = std::move(tasklet->arguments);
  Object keywords = std::move(tasklet->keywords);
}

void cancel_start(Tasklet* tasklet) {
  Ref<Tasklet> keep = take_away(tasklet);
  if (!tasklet->started && tasklet->function) {
    Object mail = std::move(tasklet->tempval);
    forget_function(tasklet);
  }
}

Object claim(Tasklet* tasklet) {
  Object mail = std::move(tasklet->tempval);
  if (!mail) {
    return none();
  }
  if (is_bomb(mail.get())) [[unlikely]] {
    return explode(mail);
  }
  return mail;
}

}  // namespace stackless
