// What is common to all versions: parking, resuming, and looking at parked tasklets.
#include "interp/interp.hpp"

#include "interp/switch.hpp"

namespace stackless::interp {

static_assert(sizeof(BaseLayout) <= sizeof(Base));

void start(PyThreadState* ts, Parked** parked, core::Stack* stack, core::Entry entry) noexcept {
  Parked mine;
  mine.share.save(ts);
  *parked = &mine;
  core::switch_context(&mine.stack_pointer, core::make_context(stack->top(), entry));
  mine.share.load(ts);
  if (mine.share.is_stale(ts)) [[unlikely]] {
    catch_up(ts);
  }
}

void leave_to(Parked* target) noexcept {
  core::StackPointer nobody;
  core::switch_context(&nobody, target->stack_pointer);
  __builtin_unreachable();
}

void begin(PyThreadState* ts, Base* base, core::Stack* stack, PyObject* context) noexcept {
  Share::fresh(ts, reinterpret_cast<BaseLayout*>(base), stack, context);
}

void end(PyThreadState* ts) noexcept {
  if (CommonShare::is_traced(ts)) [[unlikely]] {
    PyEval_SetTrace(nullptr, nullptr);
    PyEval_SetProfile(nullptr, nullptr);
  }
  if (PyObject* context = ts->context) {
    CommonShare::load_context(ts, nullptr);
    Py_DECREF(context);
  }
}

void leave_data_stack(PyThreadState* ts) noexcept {
  constexpr std::size_t bytes = std::size_t{16} * 1024;  // Python/pystate.c, DATA_STACK_CHUNK_SIZE
  PyObjectArenaAllocator arenas;
  PyObject_GetArenaAllocator(&arenas);
  auto* chunk = static_cast<_PyStackChunk*>(arenas.alloc(arenas.ctx, bytes));
  if (chunk == nullptr) {
    return;
  }
  chunk->previous = nullptr;
  chunk->size = bytes;
  chunk->top = 0;
  ts->datastack_chunk = chunk;
  ts->datastack_top = &chunk->data[1];
  ts->datastack_limit = reinterpret_cast<PyObject**>(reinterpret_cast<char*>(chunk) + bytes);
}

namespace {

_PyInterpreterFrame* top(PyThreadState* ts, Parked* parked) {
  return parked != nullptr ? top_of(parked->share) : top_of(ts);
}

}  // namespace

PyObject* frame(PyThreadState* ts, Parked* parked) {
  if (parked == nullptr) {
    return reinterpret_cast<PyObject*>(PyThreadState_GetFrame(ts));
  }
  // Only PyThreadState_GetFrame() makes frame objects from outside CPython, and only of the running
  // frame: so the parked one runs for the length of the call. No collection may see that.
  int collecting = PyGC_Disable();
  _PyInterpreterFrame* running = top_of(ts);
  set_top(ts, top_of(parked->share));
  auto* result = reinterpret_cast<PyObject*>(PyThreadState_GetFrame(ts));
  set_top(ts, running);
  if (collecting != 0) {
    PyGC_Enable();
  }
  return result;
}

int depth(PyThreadState* ts, Parked* parked) noexcept {
  int frames = 0;
  for (_PyInterpreterFrame* f = top(ts, parked); f != nullptr; f = caller_of(f)) {
    frames += is_python(f) ? 1 : 0;
  }
  return frames;
}

int loops(PyThreadState* ts, Parked* parked) noexcept {
  int count = 0;
  for (_PyInterpreterFrame* f = top(ts, parked); f != nullptr; f = caller_of(f)) {
    count += is_entry(f) ? 1 : 0;
  }
  return count;
}

TraceFunction trace_function(PyThreadState* ts, Parked* parked) noexcept {
  if (parked == nullptr) {
    return {ts->c_tracefunc, ts->c_traceobj};
  }
  return parked->share.traced
             ? TraceFunction{parked->share.trace_function, parked->share.trace_object}
             : TraceFunction{nullptr, nullptr};
}

TraceFunction profile_function(PyThreadState* ts, Parked* parked) noexcept {
  if (parked == nullptr) {
    return {ts->c_profilefunc, ts->c_profileobj};
  }
  return parked->share.traced
             ? TraceFunction{parked->share.profile_function, parked->share.profile_object}
             : TraceFunction{nullptr, nullptr};
}

namespace {

int call_sys(const char* name, PyObject* function) {
  PyObject* setter = PySys_GetObject(name);
  if (setter == nullptr) {
    PyErr_Format(PyExc_RuntimeError, "lost sys.%s", name);
    return -1;
  }
  PyObject* result = PyObject_CallOneArg(setter, function);
  Py_XDECREF(result);
  return result == nullptr ? -1 : 0;
}

// The trampolines that call a Python trace function are static in Python/sysmodule.c, so it has to
// be sys.settrace() itself, with the parked tasklet's functions loaded for the length of the call.
int call_sys_for(PyThreadState* ts, Parked* parked, const char* name, PyObject* function) {
  if (parked == nullptr) {
    return call_sys(name, function);
  }
  Share running;
  running.save(ts);
  running.save_tracing(ts);
  parked->share.load_tracing(ts);
  int result = call_sys(name, function);
  parked->share.traced = CommonShare::is_traced(ts);
  parked->share.save_tracing(ts);
  running.load_tracing(ts);
  running.load(ts);
  return result;
}

}  // namespace

int set_trace_function(PyThreadState* ts, Parked* parked, PyObject* function) {
  return call_sys_for(ts, parked, "settrace", function);
}

int set_profile_function(PyThreadState* ts, Parked* parked, PyObject* function) {
  return call_sys_for(ts, parked, "setprofile", function);
}

PyObject* context(PyThreadState* ts, Parked* parked) noexcept {
  return parked != nullptr ? parked->share.context : ts->context;
}

void set_context(PyThreadState* ts, Parked* parked, PyObject* context) noexcept {
  PyObject* old;
  if (parked != nullptr) {
    old = parked->share.context;
    parked->share.context = context;
  } else {
    old = ts->context;
    CommonShare::load_context(ts, context);
  }
  Py_XDECREF(old);
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

bool in_context_run(PyThreadState* ts, Parked* parked) noexcept {
  PyObject* current = context(ts, parked);
  return current != nullptr && reinterpret_cast<PyContext*>(current)->ctx_entered != 0;
}

}  // namespace stackless::interp
