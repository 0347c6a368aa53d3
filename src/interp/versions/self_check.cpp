// Is this the interpreter that we were compiled for? Layouts change inside a minor version too.
#include "interp/versions/self_check.hpp"

#include "interp/versions/monitoring.hpp"
#include "interp/versions/version.hpp"

#if PY_VERSION_HEX >= 0x030D0000
#define Py_BUILD_CORE 1
#include <internal/pycore_runtime.h>
#undef Py_BUILD_CORE
#endif

namespace stackless::interp {

#ifdef Py_GIL_DISABLED
#error "stackless does not support free-threaded builds of CPython yet"
#endif

namespace {

#if PY_VERSION_HEX >= 0x030D0000
struct Offset {
  const char* name;
  std::uint64_t ours;
  std::uint64_t theirs;
};

int check_offsets() {
  const _Py_DebugOffsets& there = _PyRuntime.debug_offsets;
  const Offset offsets[] = {
      {"PyThreadState.interp", offsetof(PyThreadState, interp), there.thread_state.interp},
      {"PyThreadState.current_frame", offsetof(PyThreadState, current_frame),
       there.thread_state.current_frame},
      {"PyThreadState.datastack_chunk", offsetof(PyThreadState, datastack_chunk),
       there.thread_state.datastack_chunk},
      {"PyThreadState.native_thread_id", offsetof(PyThreadState, native_thread_id),
       there.thread_state.native_thread_id},
#if PY_VERSION_HEX >= 0x030E0000
      // What follows it in _PyThreadStateImpl are the stack limits. On 3.13 it may have grown.
      {"sizeof(PyThreadState)", sizeof(PyThreadState), there.thread_state.size},
#endif
      {"_PyInterpreterFrame.previous", offsetof(_PyInterpreterFrame, previous),
       there.interpreter_frame.previous},
      {"_PyInterpreterFrame.localsplus", offsetof(_PyInterpreterFrame, localsplus),
       there.interpreter_frame.localsplus},
      {"_PyInterpreterFrame.owner", offsetof(_PyInterpreterFrame, owner),
       there.interpreter_frame.owner},
  };
  for (const Offset& offset : offsets) {
    if (offset.ours != offset.theirs) {
      PyErr_Format(PyExc_ImportError,
                   "stackless was built for another layout of CPython %d.%d: %s is %llu there and "
                   "%llu here (CPython %s). Rebuild it with this interpreter: "
                   "pip install --no-binary stackless-native stackless-native",
                   PY_MAJOR_VERSION, PY_MINOR_VERSION, offset.name,
                   static_cast<unsigned long long>(offset.ours),
                   static_cast<unsigned long long>(offset.theirs), Py_GetVersion());
      return -1;
    }
  }
  return 0;
}
#else
int check_offsets() { return 0; }
#endif

}  // namespace

void raise_other_layout() {
  PyErr_Format(PyExc_ImportError,
               "stackless was built for another layout of CPython %d.%d than %s. Rebuild it with "
               "this interpreter: pip install --no-binary stackless-native stackless-native",
               PY_MAJOR_VERSION, PY_MINOR_VERSION, Py_GetVersion());
}

int check_interpreter() {
  // Py_Version is what runs, PY_VERSION_HEX what we were compiled with.
  if (Py_Version >> 16 != PY_VERSION_HEX >> 16) {
    PyErr_Format(PyExc_ImportError,
                 "stackless was built for CPython %d.%d and can't run on CPython %lu.%lu; it "
                 "supports CPython 3.11 to 3.15, one build each",
                 PY_MAJOR_VERSION, PY_MINOR_VERSION, Py_Version >> 24, Py_Version >> 16 & 0xFF);
    return -1;
  }
  return check_offsets() < 0 ? -1 : check_monitoring();
}

}  // namespace stackless::interp
