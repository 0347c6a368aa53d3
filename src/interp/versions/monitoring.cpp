#include "interp/versions/monitoring.hpp"

#include <utility>

#include "interp/versions/self_check.hpp"
#include "interp/versions/version.hpp"
#include "object/compat.hpp"

#if PY_VERSION_HEX >= 0x030D0000 && PY_VERSION_HEX < 0x030F0000  // exported, but declared nowhere
extern "C" PyAPI_FUNC(void)
    _PyEval_MonitorRaise(PyThreadState*, _PyInterpreterFrame*, _Py_CODEUNIT*);
#endif

namespace stackless::interp {

#if PY_VERSION_HEX >= 0x030C0000

namespace {

constexpr int tool_ids = 6;

PyObject* monitoring() {
  PyObject* module = PySys_GetObject("monitoring");
  if (module == nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "lost sys.monitoring");
  }
  return module;
}

bool call(const char* name, const char* format, ...) {
  auto function = Object::steal(PyObject_GetAttrString(monitoring(), name));
  va_list values;
  va_start(values, format);
  auto arguments = Object::steal(function ? Py_VaBuildValue(format, values) : nullptr);
  va_end(values);
  auto result =
      Object::steal(arguments ? PyObject_CallObject(function.get(), arguments.get()) : nullptr);
  return result != nullptr;
}

// A tool of ours that never wants an event, registered when it is first needed and kept: giving it
// back would make all code stale again (Python/instrumentation.c, _PyMonitoring_ClearToolId, 3.14).
int tool_id = -1;

int tool() {
  for (int candidate = tool_ids - 1; tool_id < 0 && candidate >= 0; --candidate) {
    if (call("use_tool_id", "(is)", candidate, "stackless")) {
      tool_id = candidate;
    } else {
      PyErr_Clear();  // in use
    }
  }
  return tool_id;
}

bool touch(int id, PyObject* code) {
  constexpr int py_start = 1;
  return call("set_local_events", "(iOi)", id, code, py_start) &&
         call("set_local_events", "(iOi)", id, code, 0);
}

// A change of a code object's own events has it rewritten at once, for everybody's.
void rewrite(PyCodeObject* code) {
  if (int id = tool(); id < 0 || !touch(id, reinterpret_cast<PyObject*>(code))) {
    PyErr_Clear();  // its tools miss some events, as they did before
  }
}

}  // namespace

void catch_up(PyThreadState* ts, _PyInterpreterFrame* inner) noexcept {
  std::uintptr_t version = monitoring_version(ts);
  for (_PyInterpreterFrame* f = inner; f != nullptr; f = f->previous) {
    if (is_python(f) && code_of(f)->_co_instrumentation_version != version) {
      rewrite(code_of(f));
    }
  }
}

int hide_from_tools(PyObject* code) {
  int id = tool();
  if (id < 0) {
    return 0;
  }
  tool_id = -1;
  bool hidden = touch(id, code) && call("free_tool_id", "(i)", id);
#ifdef CO_NO_MONITORING_EVENTS  // 3.13+
  // A tool that comes while the code is running would find it after all.
  reinterpret_cast<PyCodeObject*>(code)->co_flags |= CO_NO_MONITORING_EVENTS;
#endif
  return hidden ? 0 : -1;
}

#if PY_VERSION_HEX >= 0x030F0000
void tell_of_raise(PyThreadState*, _PyInterpreterFrame*) noexcept {}
#elif PY_VERSION_HEX >= 0x030D0000
void tell_of_raise(PyThreadState* ts, _PyInterpreterFrame* frame) noexcept {
  _PyEval_MonitorRaise(ts, frame, frame->instr_ptr);
}
#else
// As Python/instrumentation.c does it, call_instrumentation_vector(), which nobody else can call.
void tell_of_raise(PyThreadState* ts, _PyInterpreterFrame* frame) noexcept {
  if (ts->tracing != 0) {
    return;
  }
  Object exception = take_exception();
  int index = static_cast<int>(instruction_of(frame) - _PyCode_CODE(code_of(frame)));
  bool goes_on = true;
  for (int tool = stackless_tools - 1; goes_on && tool >= 0; --tool) {
    PyObject* callback = stackless_raise_callback(ts, tool);
    if (callback == nullptr) {
      continue;
    }
    ++ts->tracing;
    auto result = Object::steal(
        PyObject_CallFunction(callback, "OiO", code_of(frame),
                              index * static_cast<int>(sizeof(_Py_CODEUNIT)), exception.get()));
    --ts->tracing;
    goes_on = result != nullptr;
  }
  if (goes_on) {
    restore_exception(std::move(exception));
  }
}
#endif

int check_monitoring() {
  PyThreadState* ts = PyThreadState_Get();
  auto globals = Object::steal(PyDict_New());
  auto result = Object::steal(
      globals ? PyRun_String("def f(): pass\nf()\n", Py_file_input, globals.get(), globals.get())
              : nullptr);
  PyObject* function = result ? PyDict_GetItemString(globals.get(), "f") : nullptr;
  if (function == nullptr) {
    return -1;
  }
  auto* code = reinterpret_cast<PyCodeObject*>(PyFunction_GET_CODE(function));
  if (instrumentation_version(code) != monitoring_version(ts)) {
    raise_other_layout();
    return -1;
  }
  return 0;
}

#else

void catch_up(PyThreadState*, _PyInterpreterFrame*) noexcept {}
int hide_from_tools(PyObject*) { return 0; }
void tell_of_raise(PyThreadState*, _PyInterpreterFrame*) noexcept {}
int check_monitoring() { return 0; }

#endif

}  // namespace stackless::interp
