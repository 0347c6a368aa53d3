#include "runtime/waiting/reply.hpp"

#include <new>

#include "object/arguments.hpp"
#include "object/errors.hpp"
#include "runtime/scheduler/blocker.hpp"
#include "runtime/scheduler/blocking_calls.hpp"
#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/deadlock.hpp"
#include "runtime/scheduler/giving_way.hpp"
#include "runtime/scheduler/idle.hpp"
#include "runtime/scheduler/who_runs_next.hpp"

namespace stackless {

namespace {

struct ReplyBlocker final : Blocker {
  Ref<Tasklet> cancel(Tasklet* tasklet) noexcept override {
    Scheduler* s = tasklet->scheduler;
    --s->sleep.replies;
    update_waiters(s);
    tasklet->blocked_on = nullptr;
    tasklet->place = Place::nowhere;
    return std::move(waiter);
  }
  Object describe(Tasklet* tasklet) override {
    return Object::steal(
        PyUnicode_FromFormat("waiting for a helper thread%U", place_of(tasklet).get()));
  }
  Moved move(Scheduler* from, Scheduler* to) override {
    if (is_given) {
      return Moved::again;  // while it had no thread; the mail has been put already
    }
    --from->sleep.replies;
    ++to->sleep.replies;
    update_waiters(from);
    update_waiters(to);
    wake(to);
    return Moved::on;
  }

  Ref<Tasklet> waiter;
  Object mail;  // given, and not yet taken
  bool is_given = false;
};

struct Reply {
  PyObject_HEAD
  ReplyBlocker blocker;
};

ReplyBlocker& blocker_of(PyObject* object) { return reinterpret_cast<Reply*>(object)->blocker; }

PyObject* reply_new(PyTypeObject* type, PyObject*, PyObject*) {
  PyObject* self = type->tp_alloc(type, 0);
  if (self != nullptr) {
    new (&blocker_of(self)) ReplyBlocker();
  }
  return self;
}

PyObject* wait(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  if (!takes("_Reply.wait", 0, nargs)) {
    return nullptr;
  }
  ReplyBlocker& blocker = blocker_of(self);
  Scheduler* s = scheduler();
  if (s == nullptr || is_struck(s)) {
    return nullptr;
  }
  Tasklet* tasklet = s->current;
  if (blocker.is_given) {
    put_mail(s, tasklet, std::move(blocker.mail));
    return claim(settle_left(s)).release();
  }
  if (blocker.waiter) {
    return raise(PyExc_RuntimeError, "another tasklet waits for this reply");
  }
  if (tasklet->block_trap) {
    return raise(PyExc_RuntimeError, "this tasklet does not like to be blocked.");
  }
  if (!may_wait(s)) {
    return nullptr;
  }
  put_mail(s, tasklet, nullptr);
  blocker.waiter = unlink(tasklet);
  tasklet->place = Place::blocked;
  tasklet->blocked_on = &blocker;
  ++s->sleep.replies;
  update_waiters(s);
  return block(s, interp::call_mark(args, 0)).release();
}

PyObject* deliver(PyObject* self, Object mail) {
  ReplyBlocker& blocker = blocker_of(self);
  if (blocker.is_given) {
    return raise(PyExc_RuntimeError, "the reply has been given already");
  }
  blocker.is_given = true;
  if (!blocker.waiter) {
    blocker.mail = std::move(mail);
    Py_RETURN_NONE;
  }
  Tasklet* waiter = blocker.waiter.get();
  Object replaced = std::exchange(waiter->tempval, std::move(mail));
  if (waiter->scheduler->ts != nullptr) {
    insert_owned(blocker.cancel(waiter));
  }
  Py_RETURN_NONE;
}

PyObject* give(PyObject* self, PyObject* value) { return deliver(self, Object::share(value)); }

PyObject* fail(PyObject* self, PyObject* exception) {
  if (!PyExceptionInstance_Check(exception)) {
    return raise(PyExc_TypeError, "fail() takes an exception");
  }
  Object bomb = make_bomb(Object::share(exception));
  return bomb ? deliver(self, std::move(bomb)) : nullptr;
}

int reply_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(blocker_of(self).waiter.object());
  Py_VISIT(blocker_of(self).mail.get());
  return 0;
}

int reply_clear(PyObject* self) {
  ReplyBlocker& blocker = blocker_of(self);
  Ref<Tasklet> waiter;
  if (blocker.waiter) {
    waiter = blocker.cancel(blocker.waiter.get());
  }
  Object mail = std::move(blocker.mail);
  return 0;
}

void reply_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  reply_clear(self);
  blocker_of(self).~ReplyBlocker();
  Py_TYPE(self)->tp_free(self);
}

PyMethodDef reply_methods[] = {
    {"wait", method(wait), METH_FASTCALL,
     "wait($self, /)\n--\n\n"
     "Return what another thread gives, or raise what it fails with; only the calling tasklet waits.\n\n"
     "run() waits for a tasklet that waits here. Raises RuntimeError if another tasklet waits here, or\n"
     "block_trap is set.\n"},
    {"give", give, METH_O,
     "give($self, value, /)\n--\n\n"
     "Have wait() return `value`. May be called in any thread, once; the caller goes on.\n"},
    {"fail", fail, METH_O,
     "fail($self, exception, /)\n--\n\n"
     "Have wait() raise the exception. May be called in any thread, once; the caller goes on.\n"},
    {},
};

}  // namespace

void init_reply() { register_blocking_call(reply_methods, "wait", Completion::mail); }

PyTypeObject ReplyType = {
    .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
    .tp_name = "stackless._Reply",
    .tp_basicsize = sizeof(Reply),
    .tp_dealloc = reply_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "_Reply()\n--\n\nWhere one tasklet waits for what a helper thread finds out.\n",
    .tp_traverse = reply_traverse,
    .tp_clear = reply_clear,
    .tp_methods = reply_methods,
    .tp_new = reply_new,
};

}  // namespace stackless
