#include "runtime/scheduler/callbacks.hpp"

#include "runtime/scheduler/bomb.hpp"

namespace stackless {

void notify_switch(Scheduler* s, Tasklet* prev, Tasklet* next) {
  if (!runtime->schedule_callback) [[likely]] {
    return;
  }
  KeepException pending;
  Locked locked(s);
  Object callback = runtime->schedule_callback;
  PyObject* arguments[] = {prev != nullptr ? as_object(prev) : Py_None,
                           next != nullptr ? as_object(next) : Py_None};
  auto keep_prev = Object::share(arguments[0]), keep_next = Object::share(arguments[1]);
  Object result = Object::steal(PyObject_Vectorcall(callback.get(), arguments, 2, nullptr));
  if (!result) {
    PySys_WriteStderr("Error in scheduling callback\n");
    PyErr_WriteUnraisable(callback.get());
  }
}

int notify_channel(Scheduler* s, PyObject* channel, Tasklet* tasklet, bool sending,
                   bool will_block) {
  if (!runtime->channel_callback) {
    return 0;
  }
  if (s->forbidden.locks > 0) {
    raise(PyExc_RuntimeError, "Recursive channel call due to callbacks!");
    return -1;
  }
  Locked locked(s);
  Object callback = runtime->channel_callback;
  Object is_sending = Object::steal(PyLong_FromLong(sending ? 1 : 0));
  Object is_blocking = Object::steal(PyLong_FromLong(will_block ? 1 : 0));
  PyObject* arguments[] = {channel, as_object(tasklet), is_sending.get(), is_blocking.get()};
  Object result = Object::steal(PyObject_Vectorcall(callback.get(), arguments, 4, nullptr));
  return result ? 0 : -1;
}

void update_attention() {
  Guard guard;
  bool set = runtime->schedule_callback || runtime->channel_callback;
  for (Scheduler* s = runtime->schedulers; s != nullptr; s = s->next) {
    if (set) {
      s->attention |= Scheduler::callback;
    } else {
      s->attention &= ~Scheduler::callback;
    }
  }
}

bool is_exit(PyObject* exception) {
  if (exception == nullptr) {
    return false;
  }
  if (PyErr_GivenExceptionMatches(exception, runtime->tasklet_exit.get()) != 0) {
    return true;
  }
  if (PyErr_GivenExceptionMatches(exception, PyExc_BaseExceptionGroup) == 0) {
    return false;
  }
  Object members = Object::steal(PyObject_GetAttrString(exception, "exceptions"));
  if (!members || !PyTuple_Check(members.get())) {
    PyErr_Clear();
    return false;
  }
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(members.get()); ++i) {
    if (is_exit(PyTuple_GET_ITEM(members.get(), i))) {
      return true;
    }
  }
  return false;
}

namespace {

int exit_status_of(PyObject* exception) {
  Object code = Object::steal(PyObject_GetAttrString(exception, "code"));
  if (!code) {
    PyErr_Clear();
    return 1;
  }
  if (code.get() == Py_None) {
    return 0;
  }
  return PyLong_Check(code.get()) ? static_cast<int>(PyLong_AsLong(code.get())) & 0xFF : 1;
}

// sys.exit() in a tasklet of the main thread: the main tasklet receives TaskletExit with the status,
// so that its finally blocks run and the process ends as if it had called sys.exit() itself; should
// it go on and let this tasklet run again, the process ends from here.
void exit_process(Scheduler* s, Object exception) {
  request_exit(exit_status_of(exception.get()));
  Object arguments = Object::steal(PyObject_GetAttrString(exception.get(), "args"));
  Object exit =
      arguments
          ? Object::steal(PyObject_Call(runtime->tasklet_exit.get(), arguments.get(), nullptr))
          : Object();
  if (!exit || !throw_exception(s->main.get(), std::move(exit), false)) {
    return;
  }
  restore_exception(std::move(exception));
  interp::leave_data_stack(s->ts);
  PyErr_Print();  // of a SystemExit this is the end of the process
}

}  // namespace

Object uncaught(Scheduler* s) {
  Object exception = take_exception();
  if (is_exit(exception.get())) {
    return nullptr;
  }
  if (PyErr_GivenExceptionMatches(exception.get(), PyExc_SystemExit) != 0 &&
      !s->current->left_over) {
    if (s->thread_id != runtime->main_thread) {
      return nullptr;  // as in a plain thread: it ends the thread's work in silence
    }
    exit_process(s, std::move(exception));
    // Somebody has thrown an exception at the tasklet instead of letting it exit.
    exception = take_exception();
    return is_exit(exception.get()) ? Object() : exception;
  }
  if (!runtime->error_handler) {
    return exception;
  }
  Object handler = runtime->error_handler;
  Object traceback = Object::steal(PyException_GetTraceback(exception.get()));
  PyObject* arguments[] = {reinterpret_cast<PyObject*>(Py_TYPE(exception.get())), exception.get(),
                           traceback ? traceback.get() : Py_None};
  Object result = Object::steal(PyObject_Vectorcall(handler.get(), arguments, 3, nullptr));
  if (result) {
    return nullptr;
  }
  exception = take_exception();
  return is_exit(exception.get()) ? Object() : exception;
}

}  // namespace stackless
