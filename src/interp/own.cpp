#include "interp/own.hpp"

#include <cstring>
#include <string>

#include "interp/internals.h"

namespace stackless::interp {

namespace {

PyObject* empty_globals;

// No tool is told anything while one of these lives. It goes with the frame whose local names it is.
void speak_again(PyObject* silence) {
  --PyThreadState_Get()->tracing;
  PyObject_Free(silence);
}

PyTypeObject SilenceType = {
    .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
    .tp_name = "stackless._silence",
    .tp_basicsize = sizeof(PyObject),
    .tp_dealloc = speak_again,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Keeps tools from seeing frames of ours.",
};

void hush_now(PyObject* hush) {
  PyThreadState* ts = PyThreadState_Get();
  _PyInterpreterFrame* frame = top_of(ts);
  if (frame != nullptr && frame->f_globals == empty_globals && frame->f_locals == nullptr) {
    hide_error(ts, frame);
  }
  PyObject_Free(hush);
}

PyTypeObject HushType = {
    .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
    .tp_name = "stackless._hush",
    .tp_basicsize = sizeof(PyObject),
    .tp_dealloc = hush_now,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Keeps tools from seeing what frames of ours handle.",
};

}  // namespace

PyObject* make_hush() noexcept {
  auto* hush = static_cast<PyObject*>(PyObject_Malloc(sizeof(PyObject)));
  return hush != nullptr ? PyObject_Init(hush, &HushType) : Py_NewRef(Py_None);
}

void end_hush(_PyInterpreterFrame* frame) noexcept { Py_CLEAR(frame->f_locals); }

void hide_error([[maybe_unused]] PyThreadState* ts, [[maybe_unused]] _PyInterpreterFrame* frame) {
#if PY_VERSION_HEX >= 0x030C0000 && PY_VERSION_HEX < 0x030F0000
  auto* silence = static_cast<PyObject*>(PyObject_Malloc(sizeof(PyObject)));
  if (silence != nullptr) {
    frame->f_locals = PyObject_Init(silence, &SilenceType);
    ++ts->tracing;
  }
#endif
}

PyObject* assemble(const char* name, const OwnInstruction* instructions, std::size_t count,
                   OwnHandler handler) {
  // Objects/exception_handling_notes.txt: start, length, target, depth << 1; each less than 64.
  constexpr int first = 128;
  std::string handlers;
  if (handler.units > 0) {
    for (int number : {first, handler.units, handler.handler, handler.height << 1}) {
      handlers += static_cast<char>(number);
    }
  }
  std::string bytes;
  for (std::size_t i = 0; i < count; ++i) {
    auto [opcode, argument] = instructions[i];
    bytes += static_cast<char>(opcode);
    bytes += static_cast<char>(argument);
    bytes.append(2U * stackless_inline_caches[opcode], '\0');
  }
  auto* empty = reinterpret_cast<PyObject*>(PyCode_NewEmpty("<stackless>", name, 1));
  PyObject* replace = empty != nullptr ? PyObject_GetAttrString(empty, "replace") : nullptr;
  PyObject* none = PyTuple_New(0);
  PyObject* fields = Py_BuildValue(
      "{s:N,s:i,s:y,s:N}", "co_code",
      PyBytes_FromStringAndSize(bytes.data(), static_cast<Py_ssize_t>(bytes.size())),
      "co_stacksize", 7, "co_linetable", "", "co_exceptiontable",
      PyBytes_FromStringAndSize(handlers.data(), static_cast<Py_ssize_t>(handlers.size())));
  PyObject* code = replace != nullptr && none != nullptr && fields != nullptr
                       ? PyObject_Call(replace, none, fields)
                       : nullptr;
  Py_XDECREF(fields);
  Py_XDECREF(none);
  Py_XDECREF(replace);
  Py_XDECREF(empty);
  return code;
}

_PyInterpreterFrame* make_frame(Slot* place, PyObject* code) {
  auto* f = reinterpret_cast<_PyInterpreterFrame*>(place);
  std::memset(static_cast<void*>(f), 0, special_words * sizeof(Slot));
  set_function(f, Py_NewRef(Py_None));
  set_code(f, Py_NewRef(code));
  f->f_globals = f->f_builtins = empty_globals;
  f->owner = FRAME_OWNED_BY_THREAD;
  set_height(f, 0);
  instruction_of(f) = before_first(reinterpret_cast<PyCodeObject*>(code));
  return f;
}

int init_own() {
  empty_globals = PyDict_New();
  return empty_globals != nullptr && PyType_Ready(&SilenceType) == 0 ? PyType_Ready(&HushType) : -1;
}

}  // namespace stackless::interp
