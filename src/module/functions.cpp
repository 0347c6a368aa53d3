#include "module/functions.hpp"
#include "runtime/ending.hpp"
#include "runtime/scheduler/giving_way.hpp"
#include "runtime/scheduler/idle.hpp"
#include "runtime/scheduler/mounting.hpp"
#include "runtime/scheduler/operation.hpp"
#include "runtime/scheduler/who_runs_next.hpp"

#include "interp/freezing/freeze.hpp"
#include "object/arguments.hpp"
#include "runtime/freezing/freezing.hpp"
#include "runtime/scheduler/blocking_calls.hpp"
#include "runtime/scheduler/callbacks.hpp"
#include "runtime/scheduler/scheduler.hpp"
#include "runtime/scheduler/switching.hpp"
#include "runtime/waiting/wait.hpp"

namespace stackless {

namespace {

// ---- scheduling -----------------------------------------------------------------------------------

constexpr const char* retval[] = {"retval"};
constexpr Parameters schedule_parameters{"schedule", retval, 0};
constexpr Parameters schedule_remove_parameters{"schedule_remove", retval, 0};

PyObject* schedule_function(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  if (Scheduler* s = this_scheduler; nargs == 0 && names == nullptr && s != nullptr) [[likely]] {
    Tasklet* self = s->current;
    Tasklet* next = self->next;
    if (next != self && !self->tempval) {
      interp::CallMark mark = interp::call_mark(args, 0);
      if (can_run_at_once(s, next)) {
        s->ring.rotate_to(next);
        self = run_other(s, self, next, mark);
        return self->tempval ? take_mail(self) : Py_NewRef(as_object(self));
      }
      if (Object result; may_trade(s, next) && trade(s, self, next, mark, &result)) {
        return result.release();
      }
    }
  }
  PyObject* value = nullptr;
  if (nargs != 0 || names != nullptr) {
    if (!bind_arguments(schedule_parameters, args, nargs, names, {&value, 1})) {
      return nullptr;
    }
  }
  Scheduler* s = scheduler();
  interp::CallMark mark = interp::call_mark(args, value != nullptr ? 1 : 0);
  return s != nullptr ? schedule(s, value, mark).release() : nullptr;
}

PyObject* schedule_remove_function(PyObject*, PyObject* const* args, Py_ssize_t nargs,
                                   PyObject* names) {
  PyObject* value = nullptr;
  if (!bind_arguments(schedule_remove_parameters, args, nargs, names, {&value, 1})) {
    return nullptr;
  }
  Scheduler* s = scheduler();
  interp::CallMark mark = interp::call_mark(args, value != nullptr ? 1 : 0);
  return s != nullptr ? schedule_remove(s, value, mark).release() : nullptr;
}

PyObject* run_function(PyObject*, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"timeout",        "threadblock",  "soft",
                                "ignore_nesting", "totaltimeout", nullptr};
  long timeout = 0;
  int threadblock = 0, soft = 0, ignore_nesting = 0, totaltimeout = 0;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|lpppp:run", const_cast<char**>(names),
                                   &timeout, &threadblock, &soft, &ignore_nesting, &totaltimeout)) {
    return nullptr;
  }
  if (timeout > 0) {
    return raise(PyExc_NotImplementedError,
                 "run(timeout) needs preemption, which this version does not have yet");
  }
  Scheduler* s = scheduler();
  return s != nullptr ? run(s, threadblock != 0 ? RunMode::threadblock : RunMode::own).release()
                      : nullptr;
}

PyObject* pump_function(PyObject*, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"max_wait", nullptr};
  PyObject* seconds = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O:pump", const_cast<char**>(names),
                                   &seconds)) {
    return nullptr;
  }
  core::Nanoseconds wait = 0;
  if (seconds != nullptr) {
    wait = parse_timeout(seconds, "max_wait");
    if (wait == -2) {
      return nullptr;
    }
    wait = wait == forever ? forever : wait - core::monotonic_now();
    wait = wait != forever && wait < 0 ? 0 : wait;
  }
  Scheduler* s = scheduler();
  return s != nullptr ? pump(s, wait).release() : nullptr;
}

PyObject* sleep_function(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  if (!takes("stackless.sleep", 1, nargs)) {
    return nullptr;
  }
  PyObject* seconds = args[0];
  core::Nanoseconds deadline = parse_timeout(seconds, "sleep length");
  Scheduler* s = scheduler();
  if (deadline == -2 || s == nullptr) {
    return nullptr;
  }
  if (deadline == forever && seconds == Py_None) {
    return raise(PyExc_TypeError, "sleep() takes a number of seconds, not None");
  }
  interp::CallMark mark = interp::call_mark(args, 1);
  if (sleep_until(s, deadline == forever ? INT64_MAX : deadline, mark) < 0) {
    return nullptr;
  }
  Py_RETURN_NONE;
}

PyObject* getcurrent(PyObject*, PyObject*) {
  Scheduler* s = scheduler();
  return s != nullptr ? Py_NewRef(as_object(s->current)) : nullptr;
}

PyObject* getmain(PyObject*, PyObject*) {
  Scheduler* s = scheduler();
  return s != nullptr ? Py_NewRef(s->main.object()) : nullptr;
}

PyObject* getruncount(PyObject*, PyObject*) {
  Scheduler* s = scheduler();
  return s != nullptr ? PyLong_FromSize_t(s->ring.size()) : nullptr;
}

PyObject* getcurrentid(PyObject*, PyObject*) {
  Scheduler* s = scheduler();
  if (s == nullptr) {
    return nullptr;
  }
  return s->current->is_main ? PyLong_FromUnsignedLong(s->thread_id)
                             : PyLong_FromVoidPtr(s->current);
}

PyObject* switch_trap(PyObject*, PyObject* args) {
  int change = 0;
  if (!PyArg_ParseTuple(args, "|i:switch_trap", &change)) {
    return nullptr;
  }
  Scheduler* s = scheduler();
  if (s == nullptr) {
    return nullptr;
  }
  int before = s->forbidden.traps;
  s->forbidden.traps += change;
  if (s->forbidden.traps != 0) {
    s->attention |= Scheduler::trap;
  } else {
    s->attention &= ~Scheduler::trap;
  }
  return PyLong_FromLong(before);
}

// ---- threads --------------------------------------------------------------------------------------

PyObject* getthreads(PyObject*, PyObject*) {
  if (scheduler() == nullptr) {
    return nullptr;
  }
  Object threads = Object::steal(PyList_New(0));
  PyInterpreterState* interpreter = PyInterpreterState_Get();
  for (PyThreadState* ts = PyInterpreterState_ThreadHead(interpreter); ts != nullptr && threads;
       ts = PyThreadState_Next(ts)) {
    if (ts->thread_id == 0) {
      continue;
    }
    Object id = Object::steal(PyLong_FromUnsignedLong(ts->thread_id));
    Py_ssize_t at = ts->thread_id == runtime->main_thread ? 0 : PyList_GET_SIZE(threads.get());
    if (!id || PyList_Insert(threads.get(), at, id.get()) < 0) {
      return nullptr;
    }
  }
  return threads.release();
}

constexpr unsigned long with_stack_serials = 1UL << 30;
constexpr unsigned long with_run_callers = 1UL << 31;

PyObject* get_thread_info(PyObject*, PyObject* args) {
  PyObject* id = nullptr;
  unsigned long flags = 0;
  if (!PyArg_ParseTuple(args, "|Ok:get_thread_info", &id, &flags)) {
    return nullptr;
  }
  Scheduler* s = scheduler();
  if (s == nullptr) {
    return nullptr;
  }
  if (id != nullptr) {
    long wanted = static_cast<long>(PyLong_AsUnsignedLongMask(id));
    if (PyErr_Occurred()) {
      return nullptr;
    }
    if (wanted != -1) {
      PyThreadState* ts = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
      while (ts != nullptr && ts->thread_id != static_cast<unsigned long>(wanted)) {
        ts = PyThreadState_Next(ts);
      }
      if (ts == nullptr) {
        return raise(PyExc_RuntimeError, "Thread id not found");
      }
      s = runtime->schedulers;
      while (s != nullptr && s->ts != ts) {
        s = s->next;
      }
    }
  }
  // One that has never used this module has no tasklets.
  Object info =
      Object::steal(s != nullptr ? Py_BuildValue("(OOn)", s->main.object(), as_object(s->current),
                                                 static_cast<Py_ssize_t>(s->ring.size()))
                                 : Py_BuildValue("(OOi)", Py_None, Py_None, 0));
  if (info && (flags & with_stack_serials) != 0) {
    Object more = Object::steal(Py_BuildValue("(iiO)", 0, 0, Py_None));
    info = more ? Object::steal(PySequence_Concat(info.get(), more.get())) : Object();
  }
  if (info && (flags & with_run_callers) != 0) {
    Object more = Object::steal(s != nullptr ? Py_BuildValue("(O)", s->runs.callers.get())
                                             : Py_BuildValue("([O])", Py_None));
    info = more ? Object::steal(PySequence_Concat(info.get(), more.get())) : Object();
  }
  return info.release();
}

// ---- callbacks ------------------------------------------------------------------------------------

PyObject* or_none(const Object& object) { return Py_NewRef(object ? object.get() : Py_None); }

PyObject* set_callable(Object* slot, PyObject* callable, const char* what) {
  if (callable != Py_None && !PyCallable_Check(callable)) {
    PyErr_Format(PyExc_TypeError, "%s must be callable", what);
    return nullptr;
  }
  Guard guard;
  Object before = std::exchange(*slot, Object::share(callable == Py_None ? nullptr : callable));
  update_attention();
  return before ? before.release() : Py_NewRef(Py_None);
}

PyObject* set_schedule_callback(PyObject*, PyObject* callback) {
  return set_callable(&runtime->schedule_callback, callback, "schedule callback");
}
PyObject* get_schedule_callback(PyObject*, PyObject*) {
  return or_none(runtime->schedule_callback);
}
PyObject* set_channel_callback(PyObject*, PyObject* callback) {
  return set_callable(&runtime->channel_callback, callback, "channel callback");
}
PyObject* get_channel_callback(PyObject*, PyObject*) { return or_none(runtime->channel_callback); }

PyObject* set_error_handler(PyObject*, PyObject* args) {
  PyObject* handler = Py_None;
  if (!PyArg_ParseTuple(args, "|O:set_error_handler", &handler)) {
    return nullptr;
  }
  return set_callable(&runtime->error_handler, handler, "error handler");
}

// ---- odds and ends --------------------------------------------------------------------------------

PyObject* enable_softswitch(PyObject*, PyObject* flag) {
  bool before = runtime->softswitch && runtime->profile != Profile::hard;
  if (flag != Py_None) {
    if (!PyLong_Check(flag)) {
      return raise(PyExc_TypeError, "enable_softswitch() takes a bool, an int or None");
    }
    runtime->softswitch = PyObject_IsTrue(flag) == 1;
  }
  return PyBool_FromLong(before ? 1 : 0);
}

PyObject* getuncollectables(PyObject*, PyObject*) {
  Object list = Object::steal(PyList_New(0));
  for (Scheduler* s = runtime->schedulers; s != nullptr && list; s = s->next) {
    for (Tasklet* t = s->first_started; t != nullptr; t = t->neighbors.next) {
      if (t->frozen == nullptr && PyList_Append(list.get(), as_object(t)) < 0) {
        return nullptr;
      }
    }
  }
  return list.release();
}

PyObject* getdebug(PyObject*, PyObject*) {
#ifdef NDEBUG
  Py_RETURN_FALSE;
#else
  Py_RETURN_TRUE;
#endif
}

constexpr long all_pickle_flags = 15;

PyObject* change_pickle_flags(int* flags, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"new", "mask", nullptr};
  long replacement = -1, mask = -1;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|ll", const_cast<char**>(names), &replacement,
                                   &mask)) {
    return nullptr;
  }
  if (replacement < -1 || (replacement & mask) > all_pickle_flags) {
    return raise(PyExc_ValueError, "new must be -1 or a combination of PICKLEFLAGS_...");
  }
  if (mask < -1 || mask > all_pickle_flags) {
    return raise(PyExc_ValueError, "mask must be -1 or a combination of PICKLEFLAGS_...");
  }
  int before = *flags;
  if (replacement != -1) {
    *flags = static_cast<int>((before & ~mask) | (replacement & mask));
  }
  return PyLong_FromLong(before);
}

PyObject* pickle_flags(PyObject*, PyObject* args, PyObject* keywords) {
  Scheduler* s = scheduler();
  return s != nullptr ? change_pickle_flags(&s->pickle_flags, args, keywords) : nullptr;
}
PyObject* pickle_flags_default(PyObject*, PyObject* args, PyObject* keywords) {
  return change_pickle_flags(&runtime->default_pickle_flags, args, keywords);
}

PyObject* statistics(PyObject*, PyObject*) {
  unsigned long long mounted = 0, frozen = 0, pinned = 0, frozen_bytes = 0;
  unsigned long long switches = 0, freezes = 0, thaws = 0, trades = 0;
  unsigned long long stacks = 0, pooled = 0, bytes = 0, io = 0, timers = 0;
  for (Scheduler* s = runtime->schedulers; s != nullptr; s = s->next) {
    for (Tasklet* t = s->first_started; t != nullptr; t = t->neighbors.next) {
      if (t->frozen != nullptr) {
        ++frozen;
        frozen_bytes += interp::memory_of(t->frozen);
        frozen_bytes += t->operation != nullptr ? t->operation->memory() : 0;
      } else {
        ++mounted;
        pinned += t->parked != nullptr && is_pinned(t) ? 1 : 0;
      }
    }
    auto pool = s->stacks.pool.statistics();
    stacks += pool.in_use;
    pooled += pool.pooled;
    bytes += pool.reserved_bytes;
    io += s->sleep.io_waits;
    timers += s->sleep.timers.size();
    switches += s->counts.switches;
    freezes += s->counts.freezes;
    thaws += s->counts.thaws;
    trades += s->counts.trades;
  }
  return Py_BuildValue("{s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K}", "mounted", mounted,
                       "frozen", frozen, "pinned", pinned, "frozen_bytes", frozen_bytes, "switches",
                       switches, "freezes", freezes, "thaws", thaws, "trades", trades,
                       "stacks_in_use", stacks, "stacks_pooled", pooled, "stack_bytes_reserved",
                       bytes, "io_waiters", io, "timers", timers);
}

PyObject* why_pinned_function(PyObject*, PyObject* tasklet) {
  if (!is_tasklet(tasklet)) {
    return raise(PyExc_TypeError, "why_pinned() takes a tasklet");
  }
  return why_pinned(as_tasklet(tasklet)).release();
}

PyObject* call_at_starts(PyObject*, PyObject* function) {
  runtime->at_starts = function != Py_None ? Object::share(function) : Object();
  Py_RETURN_NONE;
}

// The budget is a thread's; all threads have the same.
PyObject* set_stack_budget(PyObject*, PyObject* stacks) {
  std::size_t budget = PyLong_AsSize_t(stacks);
  if (budget == static_cast<std::size_t>(-1) && PyErr_Occurred()) {
    return nullptr;
  }
  PyObject* before = PyLong_FromSize_t(runtime->stack_budget);
  if (before != nullptr) {
    runtime->stack_budget = budget;
    for (Scheduler* s = runtime->schedulers; s != nullptr; s = s->next) {
      s->stacks.seats.extra = 0;
      update_crowded(s);
    }
  }
  return before;
}

// Calls its first argument from C: a frame on the C stack that no tasklet can be taken off. Like any
// builtin it is not bound to an instance when it is looked up on a class.
PyObject* test_nostacklesscall(PyObject*, PyObject* args, PyObject* keywords) {
  if (PyTuple_GET_SIZE(args) < 1) {
    return raise(PyExc_TypeError, "_test_nostacklesscall() takes a callable");
  }
  Object rest = Object::steal(PyTuple_GetSlice(args, 1, PyTuple_GET_SIZE(args)));
  return rest ? PyObject_Call(PyTuple_GET_ITEM(args, 0), rest.get(), keywords) : nullptr;
}

PyObject* set_test_profile(PyObject*, PyObject* name) {
  if (PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, "soft") == 0) {
    runtime->profile = Profile::soft;
  } else if (PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, "hard") == 0) {
    runtime->profile = Profile::hard;
  } else {
    return raise(PyExc_ValueError, "the profile is 'soft' or 'hard'");
  }
  Py_RETURN_NONE;
}

}  // namespace

PyMethodDef functions[] = {
    {"schedule", method(schedule_function), METH_FASTCALL | METH_KEYWORDS,
     "schedule($module, /, retval=...)\n--\n\n"
     "Let the next tasklet in the run queue run; the caller becomes the last.\n\n"
     "Returns `retval`, by default the tasklet itself, when its turn comes again; at once if nobody\n"
     "else is runnable.\n"
     "Raises RuntimeError under a switch_trap. As in the original.\n"},
    {"schedule_remove", method(schedule_remove_function), METH_FASTCALL | METH_KEYWORDS,
     "schedule_remove($module, /, retval=...)\n--\n\n"
     "Pause the caller until somebody inserts or runs it, and let the next tasklet run.\n\n"
     "Returns `retval`, by default the tasklet itself, then. Raises RuntimeError if that would be a\n"
     "deadlock, or under a switch_trap. As in the original.\n"},
    {"run", method(run_function), METH_VARARGS | METH_KEYWORDS,
     "run($module, /, timeout=0, threadblock=False, soft=False, ignore_nesting=False, "
     "totaltimeout=False)\n--\n\n"
     "Run the scheduler until no tasklet is runnable and none waits for I/O or time; the caller waits\n"
     "meanwhile. With `threadblock` also wait for other threads to make one runnable.\n\n"
     "Returns None; raises what a tasklet did not catch, the others stay queued.\n"
     "A `timeout` (in bytecodes) is not supported yet: NotImplementedError; the other arguments matter\n"
     "only with one. As in the original.\n"},
    {"pump", method(pump_function), METH_VARARGS | METH_KEYWORDS,
     "pump($module, /, max_wait=0)\n--\n\n"
     "Run what is runnable, look for I/O and timers once, run what those have woken, and return: for\n"
     "programs with a main loop of their own.\n\n"
     "`max_wait` is how many seconds to wait at most for something to happen, None for ever.\n"
     "Returns None; raises what a tasklet did not catch.\n"},
    {"sleep", method(sleep_function), METH_FASTCALL,
     "sleep($module, seconds, /)\n--\n\n"
     "Block the calling tasklet, and no other, for that many seconds; 0 lets the others run once.\n\n"
     "Returns None. Raises ValueError for a negative number.\n"},
    {"getcurrent", getcurrent, METH_NOARGS,
     "getcurrent($module, /)\n--\n\nReturn the tasklet that is running in the calling thread.\n"},
    {"getmain", getmain, METH_NOARGS,
     "getmain($module, /)\n--\n\nReturn the main tasklet of the calling thread.\n"},
    {"getruncount", getruncount, METH_NOARGS,
     "getruncount($module, /)\n--\n\n"
     "Return the number of runnable tasklets of the calling thread, the current one included.\n"},
    {"getcurrentid", getcurrentid, METH_NOARGS,
     "getcurrentid($module, /)\n--\n\n"
     "Return a number for the current tasklet: the thread's ident for a main tasklet, else its id().\n"},
    {"switch_trap", switch_trap, METH_VARARGS,
     "switch_trap($module, change=0, /)\n--\n\n"
     "Add `change` to the thread's trap level and return the level before. While it is not 0, an\n"
     "operation that would switch tasklets raises RuntimeError and changes nothing.\n"},
    {"getthreads", getthreads, METH_NOARGS,
     "getthreads($module, /)\n--\n\nReturn the idents of all threads, the main thread's first.\n"},
    {"get_thread_info", get_thread_info, METH_VARARGS,
     "get_thread_info($module, thread_id=-1, flags=0, /)\n--\n\n"
     "Return (main tasklet, current tasklet, run count) of the thread with that ident; of the calling\n"
     "thread for -1. Raises RuntimeError if there is no such thread.\n"},
    {"set_schedule_callback", set_schedule_callback, METH_O,
     "set_schedule_callback($module, callback, /)\n--\n\n"
     "Set the function called as callback(prev, next) before every switch; None for none.\n\n"
     "It must not switch. What it raises is reported as unraisable. Returns the previous callback.\n"
     "Raises TypeError if it is not callable.\n"},
    {"get_schedule_callback", get_schedule_callback, METH_NOARGS,
     "get_schedule_callback($module, /)\n--\n\nReturn the schedule callback, or None.\n"},
    {"set_channel_callback", set_channel_callback, METH_O,
     "set_channel_callback($module, callback, /)\n--\n\n"
     "Set the function called as callback(channel, tasklet, sending, willblock) at every channel\n"
     "operation, before the transfer (after it, between threads); None for none.\n\n"
     "It must not switch. What it raises comes out of the operation, which then does nothing. Returns\n"
     "the previous callback. Raises TypeError if it is not callable.\n"},
    {"get_channel_callback", get_channel_callback, METH_NOARGS,
     "get_channel_callback($module, /)\n--\n\nReturn the channel callback, or None.\n"},
    {"set_error_handler", set_error_handler, METH_VARARGS,
     "set_error_handler($module, handler=None, /)\n--\n\n"
     "Set the function called as handler(type, value, traceback) in a tasklet that ends with an\n"
     "exception; if it returns, the exception is done with. None for none: the exception comes out of\n"
     "run(). Returns the previous handler. Raises TypeError if it is not callable.\n"},
    {"enable_softswitch", enable_softswitch, METH_O,
     "enable_softswitch($module, flag, /)\n--\n\n"
     "Set whether tasklets beneath pure Python code report nesting_level 0; None changes nothing.\n"
     "Returns the old value. Raises TypeError for anything but a bool, an int or None.\n"},
    {"getuncollectables", getuncollectables, METH_NOARGS,
     "getuncollectables($module, /)\n--\n\nReturn the tasklets that own a C stack.\n"},
    {"getdebug", getdebug, METH_NOARGS,
     "getdebug($module, /)\n--\n\nReturn whether this is a build with assertions.\n"},
    {"pickle_flags", method(pickle_flags), METH_VARARGS | METH_KEYWORDS,
     "pickle_flags($module, /, new=-1, mask=-1)\n--\n\n"
     "Set those of the thread's PICKLEFLAGS_... that `mask` names; -1 only asks. Returns the old ones.\n"
     "Raises ValueError for undefined bits.\n"},
    {"pickle_flags_default", method(pickle_flags_default), METH_VARARGS | METH_KEYWORDS,
     "pickle_flags_default($module, /, new=-1, mask=-1)\n--\n\n"
     "The same for the flags that new threads start with.\n"},
    {"statistics", statistics, METH_NOARGS,
     "statistics($module, /)\n--\n\n"
     "Return a dict of counts over all threads: tasklets mounted on a C stack and frozen, how many of the\n"
     "former are pinned to it where they wait, the bytes the latter take beside their objects; how often\n"
     "tasklets were switched, frozen and thawed, and how often two did both by trading places; stacks in\n"
     "use and pooled, bytes of address space reserved for stacks, tasklets waiting for I/O, timers.\n"},
    {"set_stack_budget", set_stack_budget, METH_O,
     "set_stack_budget($module, stacks, /)\n--\n\n"
     "Set how many C stacks each thread's tasklets may use before those that give way are frozen, where\n"
     "that is possible; 0 freezes at every switch. A quarter more, and 64 at most, may be used by some with\n"
     "whom frozen ones trade places. Returns the budget before. The default is 1024.\n"
     "Raises TypeError for anything but an int, OverflowError for a negative one.\n"},
    {"why_pinned", why_pinned_function, METH_O,
     "why_pinned($module, tasklet, /)\n--\n\n"
     "Return None if the calling thread can freeze the tasklet where it waits, or it has not started, or has\n"
     "finished; else a string that says why not: it names the C function in the way and the line that\n"
     "called it, or the tasklet's own thread, where C functions have to be ended that are no hindrance there.\n"
     "Raises TypeError for anything but a tasklet.\n"},
    {"_test_nostacklesscall", method(test_nostacklesscall), METH_VARARGS | METH_KEYWORDS,
     "_test_nostacklesscall($module, callable, /, *args, **kwargs)\n--\n\n"
     "Call `callable(*args, **kwargs)` through C, for tests.\n"},
    {"_call_at_starts", call_at_starts, METH_O,
     "_call_at_starts($module, function, /)\n--\n\n"
     "Call `function()` in each tasklet that starts, before its own function; None: no more.\n"},
    {"_set_test_profile", set_test_profile, METH_O,
     "_set_test_profile($module, profile, /)\n--\n\nFor the conformance runner alone.\n"},
    {"_end_interpreter", end_interpreter, METH_NOARGS, nullptr},
    {"_after_fork_in_child", after_fork_in_child, METH_NOARGS, nullptr},
    {},
};

void init_functions() {
  register_blocking_call(functions, "schedule", Completion::mail_or_self, Waits::and_trades);
  register_blocking_call(functions, "sleep", Completion::nothing);
  register_blocking_call(functions, "schedule_remove", Completion::removed);
}

}  // namespace stackless
