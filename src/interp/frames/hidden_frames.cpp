#include "interp/frames/hidden_frames.hpp"

#include <cstring>
#include <string>

#include "interp/versions/internals.h"

namespace stackless::interp {

namespace {

// No tool is told anything while one of these lives. It goes with the frame whose local names it
// is.
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

bool is_silence(PyObject* object) { return object != nullptr && Py_IS_TYPE(object, &SilenceType); }

void hush_now(PyObject* hush) {
  PyThreadState* ts = PyThreadState_Get();
  _PyInterpreterFrame* frame = top_of(ts);
  if (frame != nullptr && is_own(frame) && !is_silence(frame->f_locals)) {
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

// The interpreter counts a frame of ours as a level of recursion when it leaves it, whichever way,
// and drops its local names.
void take_level(PyObject* level) {
  add_depth(PyThreadState_Get(), 1);
  PyObject_Free(level);
}

PyTypeObject LevelType = {
    .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
    .tp_name = "stackless._level",
    .tp_basicsize = sizeof(PyObject),
    .tp_dealloc = take_level,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Has a frame of ours be no level of recursion.",
};

}  // namespace

PyObject* own_globals;

bool spare_level(_PyInterpreterFrame* frame) noexcept {
  auto* level = static_cast<PyObject*>(PyObject_Malloc(sizeof(PyObject)));
  if (level == nullptr) {
    return false;
  }
  frame->f_locals = PyObject_Init(level, &LevelType);
  return true;
}

bool is_level(PyObject* object) noexcept {
  return object != nullptr && Py_IS_TYPE(object, &LevelType);
}

void forget_level(_PyInterpreterFrame* frame) noexcept {
  add_depth(PyThreadState_Get(), -1);
  clear_reference(frame->f_locals);
}

PyObject* make_hush() noexcept {
  auto* hush = static_cast<PyObject*>(PyObject_Malloc(sizeof(PyObject)));
  return hush != nullptr ? PyObject_Init(hush, &HushType) : Py_NewRef(Py_None);
}

void end_hush(_PyInterpreterFrame* frame) noexcept {
  if (is_silence(frame->f_locals)) {
    clear_reference(frame->f_locals);
  }
}

void hide_error(PyThreadState* ts, _PyInterpreterFrame* frame) {
  if constexpr (!tools_see_every_raise) {
    return;
  }
  auto* silence = static_cast<PyObject*>(PyObject_Malloc(sizeof(PyObject)));
  if (silence != nullptr) {
    clear_reference(frame->f_locals);
    frame->f_locals = PyObject_Init(silence, &SilenceType);
    ++ts->tracing;
  }
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
  constexpr int most_values = 7;  // on the value stack of such a frame
  auto empty = Ref<PyCodeObject>::steal(PyCode_NewEmpty("<stackless>", name, 1));
  auto replace = Object::steal(empty ? PyObject_GetAttrString(empty.object(), "replace") : nullptr);
  auto none = Object::steal(PyTuple_New(0));
  auto fields = Object::steal(Py_BuildValue(
      "{s:N,s:i,s:y,s:N}", "co_code",
      PyBytes_FromStringAndSize(bytes.data(), static_cast<Py_ssize_t>(bytes.size())),
      "co_stacksize", most_values, "co_linetable", "", "co_exceptiontable",
      PyBytes_FromStringAndSize(handlers.data(), static_cast<Py_ssize_t>(handlers.size()))));
  return replace && none && fields ? PyObject_Call(replace.get(), none.get(), fields.get())
                                   : nullptr;
}

_PyInterpreterFrame* make_frame(Slot* place, PyObject* code) {
  auto* f = reinterpret_cast<_PyInterpreterFrame*>(place);
  std::memset(static_cast<void*>(f), 0, special_words * sizeof(Slot));
  set_function(f, Py_NewRef(Py_None));
  set_code(f, Py_NewRef(code));
  f->f_globals = f->f_builtins = own_globals;
  f->owner = FRAME_OWNED_BY_THREAD;
  set_height(f, 0);
  instruction_of(f) = before_first(reinterpret_cast<PyCodeObject*>(code));
  return f;
}

int init_own() {
  own_globals = PyDict_New();
  bool ready = own_globals != nullptr && PyType_Ready(&SilenceType) == 0 &&
               PyType_Ready(&HushType) == 0 && PyType_Ready(&LevelType) == 0;
  return ready ? 0 : -1;
}

}  // namespace stackless::interp
