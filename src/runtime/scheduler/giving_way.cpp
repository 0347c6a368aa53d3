#include "runtime/scheduler/giving_way.hpp"
#include "runtime/scheduler/decided.hpp"

#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/callbacks.hpp"
#include "runtime/scheduler/idle.hpp"
#include "runtime/scheduler/mounting.hpp"
#include "runtime/scheduler/switching.hpp"
#include "runtime/scheduler/who_runs_next.hpp"

namespace stackless {

bool is_run_caller(const Scheduler* s, const Tasklet* tasklet) {
  PyObject* callers = s->runs.callers.get();
  for (Py_ssize_t i = 1; i < PyList_GET_SIZE(callers); ++i) {
    if (PyList_GET_ITEM(callers, i) == as_object(const_cast<Tasklet*>(tasklet))) {
      return !tasklet->scheduled();
    }
  }
  return false;
}

Tasklet* innermost_run(const Scheduler* s) {
  Py_ssize_t size = PyList_GET_SIZE(s->runs.callers.get());
  return size > 1 ? as_tasklet(PyList_GET_ITEM(s->runs.callers.get(), size - 1)) : s->main.get();
}

void put_mail(Scheduler* s, Tasklet* tasklet, Object value) {
  s->left.drop_later(std::exchange(tasklet->tempval, std::move(value)));
}

void explode_in(Scheduler* s, Tasklet* tasklet, Object exception) {
  NoCollection hush;
  Object bomb = make_bomb(std::move(exception));
  if (!bomb) {
    bomb = make_bomb(take_exception());  // MemoryError instead
  }
  put_mail(s, tasklet, std::move(bomb));
}

namespace {

bool give_stack(Scheduler* s, Tasklet* next) {
  next->stack = s->stacks.pool.acquire();
  update_crowded(s);
  if (next->stack == nullptr) {
    PyErr_SetString(PyExc_MemoryError,
                    "no memory for the C stack of another tasklet (see stackless.statistics() and "
                    "the limits on address space and mappings)");
    return false;
  }
  return true;
}

// Makes sure that `next` has a stack to run on; MemoryError if there is none to be had.
bool prepare(Scheduler* s, Tasklet* next) {
  return next->parked != nullptr || next->stack != nullptr || next == s->current ||
         give_stack(s, next);
}

}  // namespace

void start_stack(Scheduler* s, Tasklet* self, Tasklet* next, interp::CallMark mark) {
  assert(next->stack != nullptr);
  interp::start(s->ts, &self->parked, next->stack, tasklet_entry, mark);
}

Tasklet* switch_while_handling(Scheduler* s, Tasklet* self, Tasklet* next, interp::CallMark mark) {
  core::ExceptionState mine = s->exception_state->take();
  self = switch_stacks(s, self, next, mark);
  *s->exception_state = mine;
  return self;
}

namespace {

// Drops what was left to be dropped.
void drop_left(Scheduler* s, Tasklet* self) {
  // What destructors run may switch, and so must not find this tasklet's mail.
  Object mail = std::move(self->tempval);
  if (s->left.sleep) {
    Locked locked(s);  // the tasklet isn't in the ring
    s->left.drop();
  } else {
    s->left.drop();
  }
  if (self->tempval) {
    s->left.drop_later(std::move(mail));  // something was thrown at it meanwhile
  } else {
    self->tempval = std::move(mail);
  }
}

}  // namespace

Tasklet* do_duties(Scheduler* s, Tasklet* self) {
  while (s->left.any) {
    s->left.any = false;
    drop_left(s, self);
    if (!std::exchange(s->left.sleep, false)) {
      continue;
    }
    Decision decision = sleep(s, self);
    while (decision.turn != Turn::run) {
      decision = sleep(s, self);  // the callback has taken away whoever was runnable
    }
    if (decision.who != self) {
      s->ring.rotate_to(decision.who);
      self = switch_stacks(s, self, decision.who, {});
    }
  }
  return self;
}

Tasklet* settle_left(Scheduler* s) {
  forget_decision(s);
  Tasklet* self = s->current;
  // In a callback or signal handler the current tasklet may be half-way out: whoever runs next sees to it.
  return s->left.any && s->forbidden.locks == 0 ? do_duties(s, self) : self;
}

PyObject* explode_mail(PyObject* bomb) { return explode(Object::steal(bomb)); }

namespace {

bool trapped(Scheduler* s) {
  if ((s->attention & (Scheduler::trap | Scheduler::lock)) != 0) [[unlikely]] {
    if (s->forbidden.traps != 0) {
      raise(PyExc_RuntimeError, "switch_trap");
    } else {
      raise(PyExc_RuntimeError, "no switch is possible inside a callback or a signal handler");
    }
    return true;
  }
  return false;
}

// Whether the exception is one that the interpreter was asked to raise, too.
bool is_asked_for(PyObject* exception) {
  return Py_IS_TYPE(exception, reinterpret_cast<PyTypeObject*>(runtime->tasklet_exit.get()));
}

// Has the interpreter raise now what it was asked to, and forget it: an exception that is only taken back
// (PyThreadState_SetAsyncExc) leaves 3.11 and 3.12 looking for it ever after (Python/ceval_gil.c,
// _Py_HandlePending).
void raise_asynchronous() {
  Object nothing = Object::steal(PyObject_CallNoArgs(runtime->does_nothing.get()));
}

}  // namespace

// Takes what another thread has thrown at the current tasklet; null if there is nothing, or the interpreter
// has raised it meanwhile, or with an exception set by a signal handler.
Object take_thrown(Scheduler* s) {
  s->attention &= ~static_cast<unsigned>(Scheduler::struck);
  Object exception = std::move(s->thrown);
  if (is_asked_for(exception.get())) {
    if (interp::asynchronous_exception(s->ts) != runtime->tasklet_exit.get()) {
      return nullptr;
    }
    raise_asynchronous();
    Object raised = take_exception();
    if (raised && !is_asked_for(raised.get())) {
      restore_exception(std::move(raised));
      return nullptr;
    }
  }
  return exception;
}

bool is_struck(Scheduler* s) {
  if ((s->attention & Scheduler::struck) == 0) [[likely]] {
    return false;
  }
  Object exception = take_thrown(s);
  if (exception) {
    restore_exception(std::move(exception));
  }
  return PyErr_Occurred() != nullptr;
}

// Whoever runs instead of `next` if there is no stack for that.
Tasklet* next_or_told(Scheduler* s, Tasklet* next) {
  if (prepare(s, next)) [[likely]] {
    return next;
  }
  Object error = take_exception();
  Tasklet* told = innermost_run(s);
  if (told->place != Place::ring) {
    make_runnable(told);
    explode_in(s, told, std::move(error));
  }
  return told;
}

namespace {

// Whether the current tasklet goes on. In callbacks it may be on its way out already.
bool stays(const Scheduler* s, const Tasklet* next) {
  return next == s->current && next->place == Place::ring;
}

}  // namespace

bool switch_would_fail(Scheduler* s, Tasklet* next) {
  return is_struck(s) || (!stays(s, next) && (trapped(s) || !prepare(s, next)));
}

bool giving_way_would_fail(Scheduler* s, Tasklet* next) {
  if (is_struck(s)) [[unlikely]] {
    return true;
  }
  if (stays(s, next)) {
    return false;
  }
  if (trapped(s)) {
    return true;
  }
  if (prepare(s, next)) {
    return false;
  }
  if (innermost_run(s) == s->current) {
    return true;
  }
  PyErr_Clear();
  return false;
}

void throw_at_running(Scheduler* s, Object exception) {
  bool asks = is_asked_for(exception.get());
  s->thrown = std::move(exception);
  s->attention |= Scheduler::struck;
  if (asks) {
    PyThreadState_SetAsyncExc(s->thread_id, runtime->tasklet_exit.get());
  }
}

// Notes that the current tasklet blocks deep down its C stack, whose pages the pool then gives back
// when the tasklet has ended. The hot path doesn't look; the pool also trims some unasked.
void note_depth(Tasklet* self) {
  constexpr std::ptrdiff_t deep = 64 * 1024;
  if (self->stack != nullptr) {
    auto* here = static_cast<std::byte*>(__builtin_frame_address(0));
    self->stack->deep = self->stack->deep || self->stack->top() - here > deep;
  }
}
}  // namespace stackless
