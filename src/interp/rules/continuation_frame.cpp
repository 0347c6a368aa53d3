#include "interp/rules/continuation_frame.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "interp/frames/call_position.hpp"
#include "interp/versions/internals.h"
#include "interp/versions/monitoring.hpp"
#include "interp/versions/opcodes.hpp"

namespace stackless::interp {

namespace {

// A continuation with its argument, as an object of Python.
struct ContinuationObject {
  PyObject_HEAD
  const Continuation* continuation;
  int argument;
};

// Made beforehand: nothing may fail when they are needed.
constexpr std::size_t arguments = largest_argument + 1;
std::array<std::array<ContinuationObject, arguments>, most_continuations> continuation_objects;

std::array<PyObject*, shapes> codes;  // of the frames, by shape

bool is_continuation(PyObject* object);

// What the frames' instructions have in common: what `step` says of V is what lies at the bottom of the value stack
// afterwards.
template <auto step>
PyObject* conclude(PyObject* self, PyObject* value) {
  if (!is_continuation(self)) {
    Py_RETURN_NOTIMPLEMENTED;
  }
  PyThreadState* ts = PyThreadState_Get();
  _PyInterpreterFrame* frame = top_of(ts);
  end_hush(frame);
  const auto* how = reinterpret_cast<ContinuationObject*>(self);
  PyObject* kept = object_in(frame->localsplus[0]);
  PyObject* second = object_in(frame->localsplus[1]);
  Result result = (how->continuation->*step)({how->argument, kept, second, value, frame->previous});
  if (!result) {
    hide_error(ts, frame);
    return nullptr;
  }
  frame->localsplus[0] = *result;
  if (operands_go_from_the_top) {
    frame->localsplus[1] = make_slot(Py_NewRef(Py_None));
    drop_reference(second);
  }
  drop_reference(kept);
  return Py_NewRef(Py_None);
}

// + the value that has been returned, - the exception, * the value that has been yielded.
PyNumberMethods continuation_number = {.nb_add = conclude<&Continuation::finish>,
                                       .nb_subtract = conclude<&Continuation::finish_exception>,
                                       .nb_multiply = conclude<&Continuation::finish_yielded>};
PyTypeObject ContinuationType = {
    .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
    .tp_name = "stackless._continuation",
    .tp_basicsize = sizeof(ContinuationObject),
    .tp_as_number = &continuation_number,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc =
        "How an instruction of the interpreter is completed that has called Python code through C.",
};

bool is_continuation(PyObject* object) { return Py_IS_TYPE(object, &ContinuationType); }

PyObject* object_of(const Joint& joint) {
  auto& objects = continuation_objects[static_cast<std::size_t>(joint.continuation->number)];
  return reinterpret_cast<PyObject*>(&objects[static_cast<std::size_t>(joint.argument)]);
}

PyObject* code_for(Shape shape) { return codes[static_cast<std::size_t>(shape)]; }

}  // namespace

int continuation_words(const Continuation& continuation) {
  return frame_words(reinterpret_cast<PyCodeObject*>(code_for(continuation.shape)));
}

_PyInterpreterFrame* make_continuation_frame(Slot* place, const Joint& joint) {
  const Continuation& continuation = *joint.continuation;
  bool drives = continuation.shape == Shape::driving;
  _PyInterpreterFrame* f = make_frame(place, code_for(continuation.shape));
  auto or_none = [](PyObject* object) { return object != nullptr ? object : Py_None; };
  int height = 0;
  auto push = [&](PyObject* value) { f->localsplus[height++] = make_slot(Py_XNewRef(value)); };
  push(or_none(joint.kept));
  push(or_none(drives ? joint.generator : joint.second));
  push(object_of(joint));
  if (drives) {
    f->localsplus[height++] = make_slot(make_hush());
  }
  if (continuation.waits_for_generator()) {
    push(joint.generator);
    if (iterators_have_index) {
      push(nullptr);
    }
    instruction_of(f) = _PyCode_CODE(code_of(f)) + 1;
    await_generator(f);
  } else if (continuation.catches_exceptions()) {
    instruction_of(f) = _PyCode_CODE(code_of(f)) + 1;
    step_over(f);
  }
  set_height(f, height);
  return f;
}

bool read_continuation_frame(_PyInterpreterFrame* f, Joint* joint) noexcept {
  *joint = {};
  if (opcode_at(_PyCode_CODE(code_of(f))) == op::exit_init_check) {
    joint->continuation = &new_instance;
    joint->argument = is_level_of_recursion;
    joint->kept = object_in(f->localsplus[0]);
    return true;
  }
  auto* code = reinterpret_cast<PyObject*>(code_of(f));
  if (std::ranges::find(codes, code) == codes.end()) {
    return false;
  }
  PyObject* object = object_in(f->localsplus[2]);
  if (!is_continuation(object)) {
    return false;  // it has ended, and drops what it has kept
  }
  const auto* how = reinterpret_cast<ContinuationObject*>(object);
  joint->continuation = how->continuation;
  joint->argument = how->argument;
  joint->kept = object_in(f->localsplus[0]);
  joint->second = object_in(f->localsplus[1]);
  if (joint->continuation->shape == Shape::driving) {
    joint->generator = std::exchange(joint->second, nullptr);
  } else if (joint->continuation->waits_for_generator()) {
    joint->generator = object_in(f->localsplus[3]);
  }
  return true;
}

bool counts_as_level(_PyInterpreterFrame* f) noexcept {
  Joint joint;
  return !is_own(f) || (read_continuation_frame(f, &joint) && joint.continuation == &new_instance &&
                        joint.argument == is_level_of_recursion);
}

namespace {

// What takes the generator off the value stack: after SEND it lies beneath what it has yielded, and from 3.12 on
// beneath what it has returned, too.
constexpr OwnInstruction drop_yielding[] = {
    waiting_has_an_end ? OwnInstruction{op::end_send} : OwnInstruction{SWAP, 2},
    waiting_has_an_end ? OwnInstruction{NOP} : OwnInstruction{POP_TOP}};
constexpr OwnInstruction drop_returned = {waiting_has_an_end ? op::end_send : NOP};

PyObject* assemble_waiting() {
  constexpr int returns = 7;  // the index of `drop_returned`, after those that have no caches
  return assemble("<continuation>", {{NOP},
                                     {SEND, returns},
                                     drop_yielding[0],
                                     drop_yielding[1],
                                     {SWAP, 4},
                                     {POP_TOP},
                                     {POP_TOP},
                                     {POP_TOP},
                                     {RETURN_VALUE},
                                     drop_returned,
                                     {BINARY_OP},
                                     {POP_TOP},
                                     {POP_TOP},
                                     {RETURN_VALUE},
                                     {RESUME}});
}

PyObject* assemble_driving() {
  // What is raised while it stands at SEND goes to BINARY_OP, above three values. (From 3.13 on the
  // interpreter looks for the instruction before that which has made a call: Python/ceval.c, exit_unwind.)
  const int waiting = 2 + stackless_inline_caches[SEND];
  return assemble("<continuation>",
                  {{NOP},
                   {SEND, waiting_has_an_end ? 0 : 2},
                   drop_yielding[0],
                   drop_yielding[1],
                   {SWAP, 2},
                   {POP_TOP},
                   {BINARY_OP},
                   {POP_TOP},
                   {POP_TOP},
                   {RETURN_VALUE},
                   {RESUME}},
                  {waiting, waiting + 4, 3});
}

PyObject* assemble_closing() {
  int waiting = 2 + stackless_inline_caches[SEND];
  int operation = 1 + stackless_inline_caches[BINARY_OP];
  int returns = 2 + operation + 3;  // the index of `drop_returned`, as SEND counts
  int handler = waiting + returns + 1 + operation + 3;
  return assemble("<continuation>",
                  {{NOP},
                   {SEND, returns},
                   drop_yielding[0],
                   drop_yielding[1],
                   {BINARY_OP, NB_MULTIPLY},
                   {POP_TOP},
                   {POP_TOP},
                   {RETURN_VALUE},
                   drop_returned,
                   {BINARY_OP},
                   {POP_TOP},
                   {POP_TOP},
                   {RETURN_VALUE},
                   {BINARY_OP, NB_SUBTRACT},
                   {POP_TOP},
                   {POP_TOP},
                   {RETURN_VALUE},
                   {RESUME}},
                  {waiting, handler, 3});
}

// The first instruction is there because an exception may count as that of the one before (Python/ceval.c of
// 3.13, exception_unwind).
PyObject* assemble_catching() {
  int handler = 2 + 1 + stackless_inline_caches[BINARY_OP] + 3;
  return assemble("<continuation>",
                  {{NOP},
                   {NOP},
                   {BINARY_OP},
                   {POP_TOP},
                   {POP_TOP},
                   {RETURN_VALUE},
                   {BINARY_OP, NB_SUBTRACT},
                   {POP_TOP},
                   {POP_TOP},
                   {RETURN_VALUE},
                   {RESUME}},
                  {2, handler, 3});
}

}  // namespace

int init_continuation_frames() {
  // In the order of Shape. The RESUME never runs: sys.monitoring refuses code without one.
  codes = {
      nullptr,
      assemble("<continuation>", {{BINARY_OP}, {POP_TOP}, {POP_TOP}, {RETURN_VALUE}, {RESUME}}),
      assemble_waiting(),
      assemble_driving(),
      assemble_catching(),
      assemble_closing()};
  for (std::size_t i = 1; i < shapes; ++i) {
    if (codes[i] == nullptr || hide_from_tools(codes[i]) < 0) {
      return -1;
    }
  }
  if (PyType_Ready(&ContinuationType) < 0) {
    return -1;
  }
  for (std::size_t number = 0; number < most_continuations; ++number) {
    const Continuation* continuation = continuation_of(static_cast<int>(number));
    for (std::size_t argument = 0; continuation != nullptr && argument < arguments; ++argument) {
      ContinuationObject& object = continuation_objects[number][argument];
      PyObject_Init(reinterpret_cast<PyObject*>(&object), &ContinuationType);
      object.continuation = continuation;
      object.argument = static_cast<int>(argument);
    }
  }
  return 0;
}

}  // namespace stackless::interp
