// The methods of tasklet.
#include "object/arguments.hpp"
#include "runtime/freezing/freezing.hpp"
#include "runtime/pickling/tasklet_state.hpp"
#include "runtime/scheduler/blocking_calls.hpp"
#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/giving_way.hpp"
#include "runtime/scheduler/who_runs_next.hpp"

namespace stackless {

// ---- binding ------------------------------------------------------------------------------------

namespace {

PyObject* self_or_null(PyObject* self, int result) {
  return result < 0 ? nullptr : Py_NewRef(self);
}

PyObject* bind(PyObject* self, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"func", "args", "kwargs", nullptr};
  PyObject *function = nullptr, *arguments = nullptr, *more = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|OOO:bind", const_cast<char**>(names),
                                   &function, &arguments, &more)) {
    return nullptr;
  }
  return self_or_null(self, bind_tasklet(as_tasklet(self), function, arguments, more));
}

PyObject* setup(PyObject* self, PyObject* args, PyObject* keywords) {
  return self_or_null(
      self, setup_tasklet(as_tasklet(self), Object::share(args), Object::share(keywords)));
}

// ---- running ------------------------------------------------------------------------------------

// can_insert() raises and returns false if the tasklet can't be made runnable by hand.
bool can_insert(Tasklet* t) {
  if (t->blocked()) {
    raise(PyExc_RuntimeError, "You cannot run a blocked tasklet");
    return false;
  }
  if (t->scheduler->ts == nullptr) {
    raise(PyExc_RuntimeError, t->started || t->function
                                  ? "tasklet has no thread"
                                  : "You cannot run an unbound(dead) tasklet");
    return false;
  }
  if (t->place == Place::nowhere && !alive(t)) {
    raise(PyExc_RuntimeError, "You cannot run an unbound(dead) tasklet");
    return false;
  }
  return true;
}

PyObject* insert_method(PyObject* self, PyObject*) {
  Tasklet* t = as_tasklet(self);
  if (!can_insert(t)) {
    return nullptr;
  }
  make_runnable(t);
  return Py_NewRef(self);
}

PyObject* remove(PyObject* self, PyObject*) {
  Tasklet* t = as_tasklet(self);
  if (t->blocked()) {
    return raise(PyExc_RuntimeError, "You cannot remove a blocked tasklet.");
  }
  if (t->place == Place::ring) {
    if (t->scheduler->current == t) {
      return raise(PyExc_RuntimeError, "The current tasklet cannot be removed.");
    }
    unlink(t);
  }
  return Py_NewRef(self);
}

PyObject* run_method(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  if (!takes("tasklet.run", 0, nargs)) {
    return nullptr;
  }
  Tasklet* t = as_tasklet(self);
  Scheduler* s = scheduler();
  if (s == nullptr || !can_insert(t)) {
    return nullptr;
  }
  if (t->scheduler == s) {
    return switch_would_fail(s, t) ? nullptr
                                   : hand_over(s, t, interp::call_mark(args, 0)).release();
  }
  // Another thread's: it runs next there.
  Scheduler* home = t->scheduler;
  if (t->place == Place::ring && home->current != t) {
    Ref<Tasklet> owned = unlink(t);
    if (Tasklet* head = home->ring.head()) {
      home->ring.insert_after(head, owned.release());
      t->place = Place::ring;
    } else {
      insert_owned(std::move(owned));
    }
  } else if (t->place == Place::nowhere) {
    Tasklet* head = home->ring.head();
    if (head == nullptr) {
      insert(t);
    } else {
      home->ring.insert_after(head, Ref<Tasklet>::share(t).release());
      t->place = Place::ring;
    }
  }
  wake(home);
  Py_RETURN_NONE;
}

PyObject* switch_method(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  if (!takes("tasklet.switch", 0, nargs)) {
    return nullptr;
  }
  Tasklet* t = as_tasklet(self);
  Scheduler* s = scheduler();
  if (s == nullptr) {
    return nullptr;
  }
  if (t == s->current) {
    return claim(t).release();
  }
  if (t->scheduler != s && t->scheduler->ts != nullptr) {
    return raise(PyExc_RuntimeError, "can't switch to a different thread.");
  }
  if (!can_insert(t) || switch_would_fail(s, t)) {
    return nullptr;
  }
  // Nobody may be left who holds the caller: whoever runs next drops the ring's reference.
  s->left.drop_later(Object::steal(unlink(s->current).release_object()));
  return hand_over(s, t, interp::call_mark(args, 0)).release();
}

// ---- exceptions ---------------------------------------------------------------------------------

PyObject* throw_method(PyObject* self, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"exc", "val", "tb", "pending", nullptr};
  PyObject *type, *value = nullptr, *traceback = nullptr;
  int pending = 0;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|OOp:throw", const_cast<char**>(names), &type,
                                   &value, &traceback, &pending)) {
    return nullptr;
  }
  Object exception = make_exception(type, value, traceback);
  if (!exception) {
    return nullptr;
  }
  return throw_exception(as_tasklet(self), std::move(exception), pending != 0).release();
}

PyObject* raise_exception(PyObject* self, PyObject* args) {
  Object exception = make_exception_from(args, "tasklet", "raise_exception");
  return exception ? throw_exception(as_tasklet(self), std::move(exception), false).release()
                   : nullptr;
}

PyObject* kill(PyObject* self, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"pending", nullptr};
  int pending = 0;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|p:kill", const_cast<char**>(names),
                                   &pending)) {
    return nullptr;
  }
  Object exit = Object::steal(PyObject_CallNoArgs(runtime->tasklet_exit.get()));
  if (!exit) {
    return nullptr;
  }
  Tasklet* t = as_tasklet(self);
  if (t->scheduler->ts == nullptr && t->frozen == nullptr) {
    // Its frames went with its thread; there is nothing left to raise it in.
    cancel_start(t);
    Py_RETURN_NONE;
  }
  return throw_exception(t, std::move(exit), pending != 0).release();
}

// ---- flags, thread, context -----------------------------------------------------------------------

// The truth of a flag's new value; -1 with TypeError set.
int truth_of(PyObject* value, const char* name) {
  if (!PyLong_Check(value)) {
    raise(PyExc_TypeError, "%s() takes a bool or integer", name);
    return -1;
  }
  return PyObject_IsTrue(value);
}

PyObject* set_atomic(PyObject* self, PyObject* value) {
  int flag = truth_of(value, "set_atomic");
  Tasklet* t = as_tasklet(self);
  bool before = t->atomic;
  t->atomic = flag < 0 ? before : flag != 0;
  return flag < 0 ? nullptr : PyBool_FromLong(before ? 1 : 0);
}

PyObject* set_ignore_nesting(PyObject* self, PyObject* value) {
  int flag = truth_of(value, "set_ignore_nesting");
  Tasklet* t = as_tasklet(self);
  bool before = t->ignore_nesting;
  t->ignore_nesting = flag < 0 ? before : flag != 0;
  return flag < 0 ? nullptr : PyBool_FromLong(before ? 1 : 0);
}

Scheduler* scheduler_of_thread(unsigned long id) {
  for (Scheduler* s = runtime->schedulers; s != nullptr; s = s->next) {
    if (s->thread_id == id) {
      return s;
    }
  }
  return nullptr;
}

PyObject* bind_thread(PyObject* self, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"thread_id", nullptr};
  PyObject* id = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O:bind_thread", const_cast<char**>(names),
                                   &id)) {
    return nullptr;
  }
  Tasklet* t = as_tasklet(self);
  Scheduler* target = scheduler();
  if (target == nullptr) {
    return nullptr;
  }
  if (id != nullptr) {
    int overflow = 0;
    long long wanted = PyLong_AsLongLongAndOverflow(id, &overflow);
    if (wanted == -1 && PyErr_Occurred()) {
      return nullptr;
    }
    if (wanted != -1 || overflow != 0) {
      unsigned long thread = PyLong_AsUnsignedLong(id);
      if (PyErr_Occurred()) {
        return nullptr;
      }
      target = scheduler_of_thread(thread);
      if (target == nullptr) {
        return raise(PyExc_ValueError, "bad thread");
      }
    }
  }
  if (t->scheduler == target) {
    Py_RETURN_NONE;
  }
  if (t->place == Place::ring || (t->scheduler->ts != nullptr && t->scheduler->current == t)) {
    return raise(PyExc_RuntimeError, "can't (re)bind a runnable tasklet");
  }
  if (t->started && !freeze_tasklet(t)) {
    return raise_pinned(t);
  }
  if (!move_to(t, target)) {
    return nullptr;
  }
  Py_RETURN_NONE;
}

PyObject* set_context(PyObject* self, PyObject* context) {
  Tasklet* t = as_tasklet(self);
  if (!PyContext_CheckExact(context)) {
    return raise(PyExc_TypeError, "set_context() takes a contextvars.Context");
  }
  Scheduler* home = t->scheduler;
  if (home->ts != nullptr && home != scheduler() && (home->current == t || t->scheduled())) {
    return raise(PyExc_RuntimeError,
                 "tasklet belongs to a different thread and is current or scheduled");
  }
  if (t->started && (home->ts == nullptr || interp::in_context_run(home->ts, state_of(t)))) {
    return raise(PyExc_RuntimeError, "the current context of the tasklet has been entered.");
  }
  replace_context(t, Object::share(context));
  return Py_NewRef(self);
}

PyObject* context_run(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  if (nargs < 1) {
    return raise(PyExc_TypeError, "context_run() missing 1 required positional argument");
  }
  Tasklet* t = as_tasklet(self);
  Scheduler* s = scheduler();
  if (s == nullptr) {
    return nullptr;
  }
  if (s->current == t) {
    return PyObject_Vectorcall(args[0], args + 1, static_cast<std::size_t>(nargs - 1), names);
  }
  Object context = Object::share(context_of(t));
  if (!context) {
    context = Object::steal(PyContext_New());
    if (!context) {
      return nullptr;
    }
    replace_context(t, context);
  }
  // Entering a context that another tasklet is in the middle of would be an error for
  // Context.run(); here the two take turns, as they would in the original.
  PyObject* before = Py_XNewRef(interp::context(s->ts));
  interp::set_context(s->ts, {}, Py_NewRef(context.get()));
  PyObject* result =
      PyObject_Vectorcall(args[0], args + 1, static_cast<std::size_t>(nargs - 1), names);
  interp::set_context(s->ts, {}, before);
  return result;
}

PyObject* reduce(PyObject* self, PyObject*) { return reduce_tasklet(as_tasklet(self)).release(); }

PyObject* set_state(PyObject* self, PyObject* state) {
  return restore_tasklet(as_tasklet(self), state) ? Py_NewRef(Py_None) : nullptr;
}

// copy.copy(): the frames of a started one hold iterators and cells that two can't share.
PyObject* copy(PyObject* self, PyObject*) {
  if (as_tasklet(self)->started) {
    return raise(
        PyExc_TypeError,
        "a tasklet that has started can't be copied in part; copy.deepcopy() copies all of it");
  }
  Object reduced = reduce_tasklet(as_tasklet(self));
  Object made =
      reduced ? Object::steal(PyObject_CallNoArgs(PyTuple_GET_ITEM(reduced.get(), 0))) : Object();
  bool restored = made && is_tasklet(made.get()) &&
                  restore_tasklet(as_tasklet(made.get()), PyTuple_GET_ITEM(reduced.get(), 2));
  return restored ? made.release() : nullptr;
}

PyObject* deep_copy(PyObject* self, PyObject* memo) {
  Object module = Object::steal(PyImport_ImportModule("stackless._wrap"));
  return module ? PyObject_CallMethod(module.get(), "deepcopy", "OO", self, memo) : nullptr;
}

#define THROW_RETURNS                                                                          \
  "Returns what the caller's mailbox holds when it runs again, normally None, if the target\n" \
  "ran at once; None if not.\n"

}  // namespace

PyMethodDef tasklet_methods[] = {
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     "__class_getitem__($type, item, /)\n--\n\nReturn a generic alias, for type annotations.\n"},
    {"bind", method(bind), METH_VARARGS | METH_KEYWORDS,
     "bind($self, /, func=None, args=None, kwargs=None)\n--\n\n"
     "Bind the tasklet to a callable, and with `args` (a tuple) or `kwargs` (a dict) to arguments.\n\n"
     "With `func` alone it has to be given arguments by calling it or by setup(). With arguments it\n"
     "is alive and paused: insert() or run() starts it; `func` None then keeps the earlier one.\n"
     "Without anything it is unbound. The caller goes on. Returns the tasklet.\n\n"
     "Raises TypeError for what is no callable, tuple or dict, RuntimeError for the current tasklet,\n"
     "a scheduled one, one that has started, and for arguments without a function.\n"},
    {"setup", method(setup), METH_VARARGS | METH_KEYWORDS,
     "setup($self, /, *args, **kwargs)\n--\n\n"
     "Give a bound tasklet its arguments and put it at the tail of its thread's run queue.\n\n"
     "The same as calling the tasklet. The caller goes on. Returns the tasklet.\n"
     "Raises RuntimeError if it is alive, not bound, or its thread has ended.\n"},
    {"insert", insert_method, METH_NOARGS,
     "insert($self, /)\n--\n\n"
     "Put the tasklet at the tail of its own thread's run queue, if it is not in there.\n\n"
     "The caller goes on; a thread that sleeps is woken. Returns the tasklet.\n"
     "Raises RuntimeError if it is blocked or not alive.\n"},
    {"remove", remove, METH_NOARGS,
     "remove($self, /)\n--\n\n"
     "Take the tasklet out of the run queue: it is paused until insert() or run().\n\n"
     "The caller goes on. Returns the tasklet.\n"
     "Raises RuntimeError if it is blocked or the current one.\n"},
    {"run", method(run_method), METH_FASTCALL,
     "run($self, /)\n--\n\n"
     "Run the tasklet now. The caller stays in the run queue and continues when its turn comes:\n"
     "those queued between it and the tasklet run after it.\n\n"
     "For a tasklet of another thread the caller goes on, and it runs next there.\n"
     "Returns what the caller's mailbox (tempval) holds when it runs again, normally None.\n"
     "Raises RuntimeError if it is blocked or not alive, or under a switch_trap.\n"},
    {"switch", method(switch_method), METH_FASTCALL,
     "switch($self, /)\n--\n\n"
     "Run the tasklet now, and pause the caller until somebody inserts or runs it.\n\n"
     "Returns what the caller's mailbox holds then, normally None. Raises RuntimeError if the\n"
     "tasklet is blocked, not alive, or of another thread, or under a switch_trap.\n"},
    {"throw", method(throw_method), METH_VARARGS | METH_KEYWORDS,
     "throw($self, /, exc, val=None, tb=None, pending=False)\n--\n\n"
     "Raise an exception in the tasklet: `exc`, `val` and `tb` are a class or instance, a value and a\n"
     "traceback as for generator.throw().\n\n"
     "It is taken off whatever it is blocked on and runs at once, then its successors in the run\n"
     "queue; the caller stays queued. With `pending` it is put at the tail and the caller goes on, as\n"
     "it does for a tasklet of another thread.\n" THROW_RETURNS
     "Raises TypeError for what can't be raised, RuntimeError for a dead tasklet (which accepts\n"
     "TaskletExit in silence).\n"},
    {"raise_exception", raise_exception, METH_VARARGS,
     "raise_exception($self, exc_class, /, *args)\n--\n\n"
     "Raise `exc_class(*args)` in the tasklet, which runs at once; see throw().\n\n" THROW_RETURNS},
    {"kill", method(kill), METH_VARARGS | METH_KEYWORDS,
     "kill($self, /, pending=False)\n--\n\n"
     "Raise TaskletExit in the tasklet; see throw(). One that lets it pass ends in silence.\n\n" THROW_RETURNS},
    {"set_atomic", set_atomic, METH_O,
     "set_atomic($self, flag, /)\n--\n\n"
     "Keep the tasklet from being interrupted at the end of its timeslice (true), or not. Returns the\n"
     "old value.\n"
     "The caller goes on. Raises TypeError unless `flag` is a bool or int.\n"},
    {"set_ignore_nesting", set_ignore_nesting, METH_O,
     "set_ignore_nesting($self, flag, /)\n--\n\n"
     "Set whether the tasklet may be interrupted while C code stands on its stack. Returns the old\n"
     "value. The caller goes on. Raises TypeError unless `flag` is a bool or int.\n"},
    {"bind_thread", method(bind_thread), METH_VARARGS | METH_KEYWORDS,
     "bind_thread($self, /, thread_id=-1)\n--\n\n"
     "Move the tasklet to the thread with that ident, or to the calling one (-1).\n\n"
     "It must not be runnable, nor pinned to its C stack; beneath C code (see why_pinned()) only its own\n"
     "thread can give it away. The caller goes on. Returns None.\n"
     "Raises RuntimeError otherwise, ValueError if there is no such thread.\n"},
    {"set_context", set_context, METH_O,
     "set_context($self, context, /)\n--\n\n"
     "Set the contextvars.Context that the tasklet runs in. Returns the tasklet; the caller goes on.\n"
     "Raises RuntimeError while the tasklet is inside Context.run(), or if it belongs to another\n"
     "thread and is current or scheduled there. From 3.7.6 of the original.\n"},
    {"context_run", method(context_run), METH_FASTCALL | METH_KEYWORDS,
     "context_run($self, callable, /, *args, **kwargs)\n--\n\n"
     "Call `callable(*args, **kwargs)` now, in the calling tasklet but in this tasklet's context.\n\n"
     "Returns or raises what the call does. From 3.7.6 of the original.\n"},
    {"__deepcopy__", deep_copy, METH_O,
     "__deepcopy__($self, memo, /)\n--\n\n"
     "Return a copy of it and of all that it holds, its own functions included.\n"},
    {"__reduce__", reduce, METH_NOARGS,
     "__reduce__($self, /)\n--\n\n"
     "Return (type, (), state), for pickle and copy: the state has eight items, of which the first four\n"
     "are the original's: flags, mailbox, nesting level (0 if it can go on elsewhere), frames.\n\n"
     "A suspended tasklet that can be frozen is. The caller goes on.\n"
     "Raises RuntimeError for a current or a main tasklet.\n"},
    {"__copy__", copy, METH_NOARGS,
     "__copy__($self, /)\n--\n\n"
     "What copy.copy() calls. Raises TypeError if the tasklet has started: use copy.deepcopy().\n"},
    {"__setstate__", set_state, METH_O,
     "__setstate__($self, state, /)\n--\n\n"
     "Make a tasklet that is not bound what __reduce__() has told: paused, in the calling thread.\n\n"
     "Raises ValueError for a state that is damaged, of another Python, or of changed code, and\n"
     "RuntimeError if the tasklet is bound.\n"},
    {},
};

void init_tasklet() {
  register_blocking_call(tasklet_methods, "run", Completion::mail);
  register_blocking_call(tasklet_methods, "switch", Completion::mail);
}

}  // namespace stackless
