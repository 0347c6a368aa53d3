#include "runtime/scheduler/tasklet.hpp"

#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

bool alive(const Tasklet* tasklet) noexcept {
  return tasklet->scheduler->ts != nullptr && (tasklet->started || tasklet->function);
}

void forget_function(Tasklet* tasklet) {
  tasklet->function.reset();
  tasklet->arguments.reset();
  tasklet->keywords.reset();
}

void cancel_start(Tasklet* tasklet) {
  take_away(tasklet);
  if (!tasklet->started && tasklet->function) {
    forget_function(tasklet);
    tasklet->tempval.reset();
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

void take_away(Tasklet* tasklet) {
  if (tasklet->blocked()) {
    unblock(tasklet);
  } else if (tasklet->place == Place::ring) {
    unlink(tasklet);
  }
}

}  // namespace stackless
