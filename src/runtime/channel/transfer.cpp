#include "runtime/channel/transfer.hpp"

#include "object/arguments.hpp"
#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/callbacks.hpp"
#include "runtime/scheduler/giving_way.hpp"
#include "runtime/scheduler/switching.hpp"
#include "runtime/scheduler/who_runs_next.hpp"

namespace stackless {

void enqueue(Channel* c, Ref<Tasklet> tasklet, Way way) {
  Guard guard;
  ChannelQueue& queue = c->queue;
  Tasklet* t = tasklet.release();
  t->prev = queue.last;
  t->next = nullptr;
  (queue.last != nullptr ? queue.last->next : queue.first) = t;
  queue.last = t;
  queue.balance += way == Way::send ? 1 : -1;
  t->place = Place::blocked;
  t->blocked_on = &queue;
  t->sending = way == Way::send;
}

Ref<Tasklet> ChannelQueue::cancel(Tasklet* tasklet) noexcept {
  Guard guard;
  assert(tasklet->blocked() && tasklet->blocked_on == this);
  (tasklet->prev != nullptr ? tasklet->prev->next : first) = tasklet->next;
  (tasklet->next != nullptr ? tasklet->next->prev : last) = tasklet->prev;
  tasklet->next = tasklet->prev = nullptr;
  balance += tasklet->sending ? -1 : 1;
  tasklet->place = Place::nowhere;
  tasklet->blocked_on = nullptr;
  return Ref<Tasklet>::steal(tasklet);
}

namespace {

// Nobody waits: the caller does.
Object wait_in_queue(Scheduler* s, Channel* c, Object value, Way way, interp::CallMark mark) {
  Tasklet* self = s->current;
  if (self->block_trap) {
    return raise(PyExc_RuntimeError, "this tasklet does not like to be blocked.");
  }
  if (c->closing) {
    return raise(PyExc_ValueError, "Send/receive operation on a closed channel");
  }
  if (!may_block(s)) {
    return nullptr;
  }
  // Nothing may be held on the C stack while the tasklet is suspended; who called holds the channel.
  put_mail(s, self, std::move(value));
  enqueue(c, unlink(self), way);
  return block(s, mark);
}

// Somebody waits: `other` and the caller exchange values, and who goes on depends on the channel
// (the table of the original's manual: preference, schedule_all).
Object exchange(Scheduler* s, Channel* c, Object value, Way way, interp::CallMark mark) {
  Tasklet* self = s->current;
  Tasklet* other = c->queue.first;
  c->queue.last_user = self->serial;
  self->used_channel = true;
  bool ours = other->scheduler == s;
  bool yields = ours && c->schedule_all;
  bool partner_first = ours && !yields && c->preference == (way == Way::send ? -1 : 1);
  if (partner_first || yields) {
    Tasklet* next = partner_first || self->next == self ? other : self->next;
    if (giving_way_would_fail(s, next)) {
      return nullptr;
    }
  }
  put_mail(s, self, std::exchange(other->tempval, std::move(value)));
  Ref<Tasklet> partner = c->queue.cancel(other);
  if (partner_first) {
    partner->place = Place::ring;
    s->ring.insert_after(self, partner.release());
    return hand_over(s, other, mark);
  }
  insert_owned(std::move(partner));
  if (yields) {
    return hand_over(s, self->next, mark);
  }
  // Across threads the callback comes late, when the transfer has been made.
  if (!ours && (s->attention & Scheduler::callback) != 0 &&
      notify_channel(s, c->queue.owner(), self, way == Way::send, false) < 0) {
    return nullptr;
  }
  return claim(settle_left(s));
}

// A tasklet whose thread has ended can't be served; if it gets another one, it is told.
void leave_threadless(Scheduler* s, Channel* c) {
  Ref<Tasklet> tasklet = c->queue.cancel(c->queue.first);
  raise(PyExc_RuntimeError, "the tasklet had no thread when its turn came at the channel");
  Object bomb = make_bomb(take_exception());
  PyErr_Clear();
  put_mail(s, tasklet.get(), std::move(bomb));
  s->left.drop_later(Object::steal(tasklet.release_object()));
}

// Whether somebody waits to be served.
bool is_ready(Scheduler* s, Channel* c, Way way) {
  // Whoever waits there without a thread would take the value with it.
  while (c->queue.first != nullptr && c->queue.first->scheduler->ts == nullptr) [[unlikely]] {
    leave_threadless(s, c);
  }
  return way == Way::send ? c->queue.balance < 0 : c->queue.balance > 0;
}

inline Object transfer(Channel* c, Object value, Way way, interp::CallMark mark) {
  Scheduler* s = scheduler();
  if (s == nullptr) [[unlikely]] {
    return nullptr;
  }
  bool ready = is_ready(s, c, way);
  Tasklet* self = s->current;
  if (s->attention != 0) [[unlikely]] {
    if (s->forbidden.locks > 0) {
      return raise(PyExc_RuntimeError, "Recursive channel call due to callbacks!");
    }
    if ((s->attention & Scheduler::callback) != 0 && (!ready || c->queue.first->scheduler == s)) {
      // The callback finds the value in the mailbox.
      Object replaced = std::exchange(self->tempval, value);
      int failed = notify_channel(s, c->queue.owner(), self, way == Way::send, !ready);
      self->tempval = std::move(replaced);
      if (failed < 0) {
        return nullptr;
      }
    }
    // After the last Python code that may run here, so that what is found next holds.
    if (is_struck(s)) {
      return nullptr;
    }
    ready = is_ready(s, c, way);
  }
  return ready ? exchange(s, c, std::move(value), way, mark)
               : wait_in_queue(s, c, std::move(value), way, mark);
}

}  // namespace

Object send(Channel* channel, Object value, interp::CallMark mark) {
  return transfer(channel, std::move(value), Way::send, mark);
}

Object receive(Channel* channel, interp::CallMark mark) {
  return transfer(channel, nullptr, Way::receive, mark);
}

namespace {

// The two operations that make a message between tasklets of one thread, without detours: sending to
// a receiver that runs at once, and waiting while others are runnable. Each is what the general way would do where
// nothing needs attention.

[[gnu::always_inline]] inline bool may_wake_at_once(Scheduler* s, Channel* c) {
  return s != nullptr && s->attention == 0 && c->queue.balance < 0 && c->preference == -1 &&
         !c->schedule_all && c->queue.first->scheduler == s && c->queue.first->parked != nullptr &&
         !s->current->tempval;
}

[[gnu::always_inline]] inline PyObject* wake_receiver(Scheduler* s, Channel* c, PyObject* value,
                                                      interp::CallMark mark) {
  Tasklet* self = s->current;
  Tasklet* receiver = c->queue.first;
  c->queue.last_user = self->serial;
  self->used_channel = true;
  self->tempval = Object::steal(receiver->tempval.release());
  receiver->tempval = Object::share(value);
  // cancel() for the first of the queue, and its reference goes over to the ring.
  c->queue.first = receiver->next;
  (receiver->next != nullptr ? receiver->next->prev : c->queue.last) = nullptr;
  ++c->queue.balance;
  receiver->next = nullptr;
  receiver->place = Place::ring;
  s->ring.insert_after(self, receiver);
  s->ring.rotate_to(receiver);
  return take_mail(run_other(s, self, receiver, mark));
}

[[gnu::always_inline]] inline bool may_wait_at_once(Scheduler* s, Channel* c, Way way) {
  if (s == nullptr || (way == Way::send ? c->queue.balance < 0 : c->queue.balance > 0) ||
      c->closing) {
    return false;
  }
  Tasklet* self = s->current;
  return self->next != self && can_run_at_once(s, self->next) && !self->block_trap &&
         !self->overdue && !self->tempval;
}

[[gnu::always_inline]] inline PyObject* wait_at_once(Scheduler* s, Channel* c, PyObject* value,
                                                     Way way, interp::CallMark mark) {
  Tasklet* self = s->current;
  self->tempval = Object::share(value);
  s->ring.remove(self);
  enqueue(c, Ref<Tasklet>::steal(self), way);
  return take_mail(run_other(s, self, s->ring.head(), mark));
}

}  // namespace

PyObject* send_method(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  Channel* c = as_channel(self);
  if (Scheduler* s = this_scheduler; nargs == 1) [[likely]] {
    if (may_wake_at_once(s, c)) {
      return wake_receiver(s, c, args[0], interp::call_mark(args, 1));
    }
    if (may_wait_at_once(s, c, Way::send)) {
      return wait_at_once(s, c, args[0], Way::send, interp::call_mark(args, 1));
    }
  }
  if (!takes("channel.send", 1, nargs)) {
    return nullptr;
  }
  return send(c, Object::share(args[0]), interp::call_mark(args, 1)).release();
}

PyObject* receive_method(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  Channel* c = as_channel(self);
  if (Scheduler* s = this_scheduler; nargs == 0) [[likely]] {
    if (may_wait_at_once(s, c, Way::receive)) {
      return wait_at_once(s, c, nullptr, Way::receive, interp::call_mark(args, 0));
    }
  }
  if (!takes("channel.receive", 0, nargs)) {
    return nullptr;
  }
  return receive(c, interp::call_mark(args, 0)).release();
}

PyObject* next_value(PyObject* self) {
  Channel* c = as_channel(self);
  if (c->closing && c->queue.balance <= 0) {
    return nullptr;
  }
  return receive(c, interp::loop_mark(self)).release();
}
}  // namespace stackless
