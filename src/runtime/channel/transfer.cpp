#include "runtime/channel/transfer.hpp"

#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/callbacks.hpp"
#include "runtime/scheduler/switching.hpp"

namespace stackless {

// Queues a tasklet that is nowhere; the queue takes the reference.
void enqueue(Channel* c, Ref<Tasklet> tasklet, Way way) {
  Guard guard;
  Tasklet* t = tasklet.release();
  t->prev = c->last;
  t->next = nullptr;
  (c->last != nullptr ? c->last->next : c->first) = t;
  c->last = t;
  c->balance += way == Way::send ? 1 : -1;
  t->place = Place::channel;
  t->channel = c;
  t->sending = way == Way::send;
}

Ref<Tasklet> remove_from_queue(Tasklet* t) {
  Guard guard;
  Channel* c = t->channel;
  if (t->place != Place::channel || c == nullptr) {
    __builtin_unreachable();
  }
  (t->prev != nullptr ? t->prev->next : c->first) = t->next;
  (t->next != nullptr ? t->next->prev : c->last) = t->prev;
  t->next = t->prev = nullptr;
  c->balance += t->sending ? -1 : 1;
  t->place = Place::nowhere;
  t->channel = nullptr;
  return Ref<Tasklet>::steal(t);
}

namespace {

// The one who has waited longest, where the balance says that there is one.
Tasklet* first_of(Channel* c) {
  if (c->first == nullptr) {
    __builtin_unreachable();
  }
  return c->first;
}

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
  self->tempval.reset();
  self->tempval = std::move(value);
  enqueue(c, unlink(self), way);
  return block(s, mark);
}

// Somebody waits: `other` and the caller exchange values, and who goes on depends on the channel
// (the table of the original's manual: preference, schedule_all).
Object exchange(Scheduler* s, Channel* c, Object value, Way way, interp::CallMark mark) {
  Tasklet* self = s->current;
  Tasklet* other = first_of(c);
  c->last_user = self->serial;
  self->used_channel = true;
  if (other->scheduler != s) [[unlikely]] {
    Object mine = std::exchange(self->tempval, Object());
    self->tempval = std::exchange(other->tempval, std::move(value));
    insert_owned(remove_from_queue(other));
    // Across threads the callback comes late, when the transfer has been made.
    if ((s->attention & Scheduler::callback) != 0 &&
        notify_channel(s, c, self, way == Way::send, false) < 0) {
      return nullptr;
    }
    return claim(self);
  }
  bool yields = c->schedule_all;
  bool partner_first = !yields && c->preference == (way == Way::send ? -1 : 1);
  if (partner_first || yields) {
    Tasklet* next = partner_first || self->next == self ? other : self->next;
    if (giving_way_would_fail(s, next)) {
      return nullptr;
    }
  }
  self->tempval.reset();
  self->tempval = std::exchange(other->tempval, std::move(value));
  Ref<Tasklet> partner = remove_from_queue(other);
  if (partner_first) {
    partner->place = Place::ring;
    s->ring.insert_after(self, partner.release());
    return hand_over(s, other, mark);
  }
  insert_owned(std::move(partner));
  return yields ? hand_over(s, self->next, mark) : claim(self);
}

// A tasklet whose thread has ended can't be served; if it gets another one, it is told.
void leave_threadless(const Ref<Tasklet>& tasklet) {
  raise(PyExc_RuntimeError, "the tasklet had no thread when its turn came at the channel");
  Object bomb = make_bomb(take_exception());
  PyErr_Clear();
  tasklet->tempval = std::move(bomb);
}

inline Object transfer(Channel* c, Object value, Way way, interp::CallMark mark) {
  Scheduler* s = scheduler();
  if (s == nullptr) [[unlikely]] {
    return nullptr;
  }
  // Whoever waits there without a thread would take the value with it.
  while (c->first != nullptr && c->first->scheduler->ts == nullptr) [[unlikely]] {
    leave_threadless(remove_from_queue(c->first));
  }
  bool ready = way == Way::send ? c->balance < 0 : c->balance > 0;
  Tasklet* self = s->current;
  if ((s->attention & (Scheduler::callback | Scheduler::lock)) != 0) [[unlikely]] {
    if (s->locked > 0) {
      return raise(PyExc_RuntimeError, "Recursive channel call due to callbacks!");
    }
    if (!ready || first_of(c)->scheduler == s) {
      // The callback finds the value in the mailbox.
      Object replaced = std::exchange(self->tempval, value);
      int failed = notify_channel(s, c, self, way == Way::send, !ready);
      self->tempval = std::move(replaced);
      if (failed < 0) {
        return nullptr;
      }
      ready = way == Way::send ? c->balance < 0 : c->balance > 0;
    }
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

[[gnu::always_inline]] inline bool may_wake_at_once(Scheduler* s, Channel* c) {
  return s != nullptr && s->attention == 0 && c->balance < 0 && c->preference == -1 &&
         !c->schedule_all && c->first->scheduler == s && c->first->parked != nullptr;
}

[[gnu::always_inline]] inline PyObject* wake_receiver(Scheduler* s, Channel* c, PyObject* value,
                                                      interp::CallMark mark) {
  Tasklet* self = s->current;
  Tasklet* receiver = c->first;
  c->last_user = self->serial;
  self->used_channel = true;
  PyObject* mail = receiver->tempval.release();
  receiver->tempval = Object::share(value);
  Object replaced = std::exchange(self->tempval, Object::steal(mail));
  // remove_from_queue() for the first of the queue, and its reference goes over to the ring.
  c->first = receiver->next;
  (receiver->next != nullptr ? receiver->next->prev : c->last) = nullptr;
  ++c->balance;
  receiver->next = nullptr;
  receiver->place = Place::ring;
  s->ring.insert_after(self, receiver);
  s->ring.rotate_to(receiver);
  return take_mail(run_other(s, self, receiver, mark));
}

[[gnu::always_inline]] inline bool may_wait_at_once(Scheduler* s, Channel* c, Way way) {
  if (s == nullptr || (way == Way::send ? c->balance < 0 : c->balance > 0) || c->closing) {
    return false;
  }
  Tasklet* self = s->current;
  return self->next != self && can_run_at_once(s, self->next) && !self->block_trap &&
         !self->tempval;
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
  if (c->closing && c->balance <= 0) {
    return nullptr;
  }
  return receive(c, interp::loop_mark(self)).release();
}
}  // namespace stackless
