#include "interp/monitoring.hpp"

#include "interp/version.hpp"

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
  PyObject* function = PyObject_GetAttrString(monitoring(), name);
  va_list values;
  va_start(values, format);
  PyObject* arguments = function != nullptr ? Py_VaBuildValue(format, values) : nullptr;
  va_end(values);
  PyObject* result = arguments != nullptr ? PyObject_CallObject(function, arguments) : nullptr;
  Py_XDECREF(result);
  Py_XDECREF(arguments);
  Py_XDECREF(function);
  return result != nullptr;
}

// A tool of ours that never wants an event, registered when it is first needed and kept: giving it
// back would make all code stale again (Python/instrumentation.c, _PyMonitoring_ClearToolId, 3.14).
int tool() {
  static int id = -1;
  for (int candidate = tool_ids - 1; id < 0 && candidate >= 0; --candidate) {
    if (call("use_tool_id", "(is)", candidate, "stackless")) {
      id = candidate;
    } else {
      PyErr_Clear();  // in use
    }
  }
  return id;
}

// A change of a code object's own events has it rewritten at once, for everybody's.
void rewrite(PyCodeObject* code) {
  constexpr int py_start = 1;
  auto* object = reinterpret_cast<PyObject*>(code);
  if (int id = tool(); id < 0 || !call("set_local_events", "(iOi)", id, object, py_start) ||
                       !call("set_local_events", "(iOi)", id, object, 0)) {
    PyErr_Clear();  // its tools miss some events, as they did before
  }
}

}  // namespace

void catch_up(PyThreadState* ts) noexcept {
  std::uintptr_t version = monitoring_version(ts);
  for (_PyInterpreterFrame* f = top_of(ts); f != nullptr; f = caller_of(f)) {
    if (is_python(f) && code_of(f)->_co_instrumentation_version != version) {
      rewrite(code_of(f));
    }
  }
}

int check_monitoring() {
  PyThreadState* ts = PyThreadState_Get();
  PyObject* globals = PyDict_New();
  PyObject* result = globals == nullptr
                         ? nullptr
                         : PyRun_String("def f(): pass\nf()\n", Py_file_input, globals, globals);
  PyObject* function = result != nullptr ? PyDict_GetItemString(globals, "f") : nullptr;
  bool fits =
      function != nullptr &&
      reinterpret_cast<PyCodeObject*>(PyFunction_GET_CODE(function))->_co_instrumentation_version ==
          monitoring_version(ts);
  Py_XDECREF(result);
  Py_XDECREF(globals);
  if (function == nullptr) {
    return -1;
  }
  if (!fits) {
    PyErr_Format(PyExc_ImportError,
                 "stackless was built for another layout of CPython %d.%d than %s. Rebuild it with "
                 "this interpreter: pip install --no-binary stackless-native stackless-native",
                 PY_MAJOR_VERSION, PY_MINOR_VERSION, Py_GetVersion());
    return -1;
  }
  return 0;
}

#else

void catch_up(PyThreadState*) noexcept {}
int check_monitoring() { return 0; }

#endif

}  // namespace stackless::interp
