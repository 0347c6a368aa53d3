#include "interp/freezing/inspect.hpp"

#include <utility>

#include "interp/freezing/frozen.hpp"
#include "interp/switching/switch.hpp"
#include "object/reference.hpp"

namespace stackless::interp {

namespace {

_PyInterpreterFrame* top(PyThreadState* ts, Suspended tasklet) {
  if (tasklet.frozen != nullptr) {
    return tasklet.frozen->inner;
  }
  return top_of(ts, tasklet.parked);
}

bool is_running(Suspended tasklet) {
  return tasklet.parked == nullptr && tasklet.frozen == nullptr;
}

}  // namespace

PyObject* frame(PyThreadState* ts, Suspended tasklet) {
  if (is_running(tasklet)) {
    return reinterpret_cast<PyObject*>(PyThreadState_GetFrame(ts));
  }
  // Only PyThreadState_GetFrame() makes frame objects from outside CPython, and only of the running
  // frame: so the suspended one runs for the length of the call. No collection may see that.
  int collecting = PyGC_Disable();
  _PyInterpreterFrame* running = top_of(ts);
  set_top(ts, top(ts, tasklet));
  auto* result = reinterpret_cast<PyObject*>(PyThreadState_GetFrame(ts));
  set_top(ts, running);
  if (collecting != 0) {
    PyGC_Enable();
  }
  return result;
}

int depth(PyThreadState* ts, Suspended tasklet) noexcept {
  int frames = 0;
  for (_PyInterpreterFrame* f = top(ts, tasklet); f != nullptr; f = f->previous) {
    frames += is_python(f) ? 1 : 0;
  }
  return frames;
}

int loops(PyThreadState* ts, Suspended tasklet) noexcept {
  if (tasklet.frozen != nullptr) {
    return 1;  // what it will need
  }
  int count = 0;
  for (_PyInterpreterFrame* f = top(ts, tasklet); f != nullptr; f = f->previous) {
    count += is_entry(f) && !ends_loop(f) ? 1 : 0;
  }
  return count;
}

namespace {

Tracing tracing_of(PyThreadState* ts, Suspended tasklet) {
  if (tasklet.frozen != nullptr) {
    const Extras* extras = tasklet.frozen->extras;
    return extras != nullptr ? extras->functions : Tracing{};
  }
  if (tasklet.parked != nullptr) {
    return tasklet.parked->share.tracing_functions();
  }
  Tracing running;
  running.save(ts);
  return running;
}

int store_tracing(Suspended tasklet, const Tracing& functions, bool any) {
  if (Parked* parked = tasklet.parked) {
    parked->share.traced = any;
    parked->share.functions = functions;
    return 0;
  }
  Extras* extras = any ? extras_of(tasklet.frozen) : tasklet.frozen->extras;
  if (extras != nullptr) {
    extras->functions = functions;
  } else if (any) {
    PyErr_NoMemory();
    return -1;
  }
  return 0;
}

int call_sys(const char* name, PyObject* function) {
  PyObject* setter = PySys_GetObject(name);
  if (setter == nullptr) {
    PyErr_Format(PyExc_RuntimeError, "lost sys.%s", name);
    return -1;
  }
  auto result = Object::steal(PyObject_CallOneArg(setter, function));
  return result ? 0 : -1;
}

// The trampolines that call a Python trace function are static in Python/sysmodule.c, so it has to
// be sys.settrace() itself, with the suspended tasklet's functions loaded for the length of the
// call.
int call_sys_for(PyThreadState* ts, Suspended tasklet, const char* name, PyObject* function) {
  if (is_running(tasklet)) {
    return call_sys(name, function);
  }
  // Room first: afterwards there is no way back.
  Tracing before = tracing_of(ts, tasklet);
  if (store_tracing(tasklet, before, true) < 0) {
    return -1;
  }
  Share running;
  running.save(ts);
  running.functions.save(ts);
  running.traced = true;
  before.load(ts);
  int result = call_sys(name, function);
  Tracing after;
  after.save(ts);
  store_tracing(tasklet, after, Tracing::is_any(ts));
  running.load(ts);
  return result;
}

}  // namespace

TraceFunction trace_function(PyThreadState* ts, Suspended tasklet) noexcept {
  Tracing functions = tracing_of(ts, tasklet);
  return {functions.trace_function, functions.trace_object};
}

TraceFunction profile_function(PyThreadState* ts, Suspended tasklet) noexcept {
  Tracing functions = tracing_of(ts, tasklet);
  return {functions.profile_function, functions.profile_object};
}

int set_trace_function(PyThreadState* ts, Suspended tasklet, PyObject* function) {
  return call_sys_for(ts, tasklet, "settrace", function);
}

int set_profile_function(PyThreadState* ts, Suspended tasklet, PyObject* function) {
  return call_sys_for(ts, tasklet, "setprofile", function);
}

PyObject* context(PyThreadState* ts, Suspended tasklet) noexcept {
  if (tasklet.frozen != nullptr) {
    return tasklet.frozen->context;
  }
  return tasklet.parked != nullptr ? tasklet.parked->share.context : ts->context;
}

void set_context(PyThreadState* ts, Suspended tasklet, PyObject* context) noexcept {
  PyObject* old = interp::context(ts, tasklet);
  if (tasklet.frozen != nullptr) {
    tasklet.frozen->context = context;
  } else if (tasklet.parked != nullptr) {
    tasklet.parked->share.context = context;
  } else {
    CommonShare::load_context(ts, context);
  }
  drop_reference(old);
}

PyObject* asynchronous_exception(PyThreadState* ts) noexcept { return ts->async_exc; }

bool is_ending(PyThreadState* ts) noexcept { return is_being_cleared(ts); }

// Where the hook of asynchronous generators is kept, which PyThreadState_Clear() drops after the thread's dictionary, with
// all that its thread-local variables hold (Python/pystate.c, 3.12 to 3.15).
bool leave_to_the_end(PyThreadState* ts, PyObject* object) {
  if (ts->async_gen_finalizer != nullptr) {
    drop_reference(object);
    PyErr_SetString(PyExc_RuntimeError, "this thread is ending: no tasklet can run in it any more");
    return false;
  }
  ts->async_gen_finalizer = object;
  return true;
}

PyObject* thread_dictionary(PyThreadState* ts) {
  if (ts->dict == nullptr) {
    ts->dict = PyDict_New();
  }
  return ts->dict;
}

// Before the object lies its PyGC_Head, two words: _gc_next and _gc_prev. Untracking leaves the bit
// that says "finalized" in the latter (Include/internal/pycore_gc.h, 3.11 to 3.15).
void forget_finalized(PyObject* object) noexcept {
  reinterpret_cast<std::uintptr_t*>(object)[-1] = 0;
}

bool in_context_run(PyThreadState* ts, Suspended tasklet) noexcept {
  PyObject* current = context(ts, tasklet);
  return current != nullptr && reinterpret_cast<PyContext*>(current)->ctx_entered != 0;
}

}  // namespace stackless::interp
