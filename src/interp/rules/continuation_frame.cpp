#include "interp/rules/continuation_frame.hpp"

#include <array>
#include <utility>

#include <opcode.h>

#include "interp/frames/async_generators.hpp"
#include "interp/frames/call_position.hpp"
#include "interp/rules/classes.hpp"
#include "interp/rules/conversions.hpp"
#include "interp/rules/imports.hpp"
#include "interp/rules/operators.hpp"
#include "interp/rules/wrapping_iterators.hpp"
#include "interp/versions/internals.h"
#include "interp/versions/monitoring.hpp"

#if PY_VERSION_HEX >= 0x030D0000  // else Include/cpython/genobject.h has them
extern "C" PyAPI_FUNC(int) _PyGen_SetStopIterationValue(PyObject*);
extern "C" PyAPI_FUNC(int) _PyGen_FetchStopIterationValue(PyObject**);
#endif

namespace stackless::interp {

namespace {

// How to complete an instruction, as an object.
struct EndingObject {
  PyObject_HEAD
  Ending ending;
  int argument;
};

// Those with a small argument, made beforehand: nothing may fail when they are needed.
constexpr std::size_t arguments = largest_argument + 1;
std::array<std::array<EndingObject, arguments>, endings> ending_objects;
PyObject* shim_code;
PyObject* waiting_shim_code;
PyObject* driving_shim_code;
PyObject* catching_shim_code;
PyObject* closing_shim_code;

// What type.__call__() does when __init__() returns (Objects/typeobject.c, slot_tp_init).
PyObject* finish_instance(PyObject* kept, PyObject* value) {
  if (value != Py_None) {
    PyErr_Format(PyExc_TypeError, "__init__() should return None, not '%.200s'",
                 Py_TYPE(value)->tp_name);
    return nullptr;
  }
  return Py_NewRef(kept);
}

// What type.__call__() does when __new__() returns. The call's arguments are still on the caller's value stack.
PyObject* finish_creation(int operands, PyObject* type, PyObject* made,
                          _PyInterpreterFrame* outer) {
  int first = height_of(outer) - operands;
  bool is_instance =
      PyType_Check(type) && PyObject_TypeCheck(made, reinterpret_cast<PyTypeObject*>(type)) != 0;
  initproc init = is_instance ? Py_TYPE(made)->tp_init : nullptr;
  if (init != nullptr && init != PyBaseObject_Type.tp_init) {
    PyObject* arguments = PyTuple_New(operands - 2);
    for (int i = 2; i < operands && arguments != nullptr; ++i) {
      PyObject* argument = object_in(outer->localsplus[first + i]);
      PyTuple_SET_ITEM(arguments, i - 2, Py_NewRef(argument != nullptr ? argument : Py_None));
    }
    bool failed = arguments == nullptr || init(made, arguments, nullptr) < 0;
    Py_XDECREF(arguments);
    if (failed) {
      return nullptr;
    }
  }
  pop_slots(outer, first);
  return Py_NewRef(made);
}

// ---- what CPython says -------------------------------------------------------------------------

#if PY_VERSION_HEX >= 0x030F0000
void complain_of_truth(PyObject* object, PyObject* value) {
  PyErr_Format(PyExc_TypeError, "%T.__bool__() must return a bool, not %T", object, value);
}
void complain_of_iterator(PyObject* object, PyObject* value) {
  PyErr_Format(PyExc_TypeError, "%T.__iter__() must return an iterator, not %T", object, value);
}
#else
void complain_of_truth(PyObject*, PyObject* value) {
  PyErr_Format(PyExc_TypeError, "__bool__ should return bool, returned %s",
               Py_TYPE(value)->tp_name);
}
void complain_of_iterator(PyObject*, PyObject* value) {
  PyErr_Format(PyExc_TypeError, "iter() returned non-iterator of type '%.100s'",
               Py_TYPE(value)->tp_name);
}
#endif

// Objects/typeobject.c, slot_sq_length; Python/bltinmodule.c, builtin_len.
PyObject* finish_length(PyObject* value) {
  PyObject* index = PyNumber_Index(value);
  if (index == nullptr) {
    return nullptr;
  }
  PyObject* zero = PyLong_FromLong(0);
  int negative = zero != nullptr ? PyObject_RichCompareBool(index, zero, Py_LT) : -1;
  Py_XDECREF(zero);
  if (negative > 0) {
    PyErr_SetString(PyExc_ValueError, "__len__() should return >= 0");
  }
  Py_ssize_t length = negative == 0 ? PyNumber_AsSsize_t(index, PyExc_OverflowError) : -1;
  Py_DECREF(index);
  return length < 0 ? nullptr : PyLong_FromSsize_t(length);
}

// Objects/object.c, PyObject_IsTrue; Objects/typeobject.c, slot_nb_bool and slot_sq_contains.
PyObject* finish_truth(int argument, PyObject* object, PyObject* value) {
  if ((argument & tells_truth) != 0 && !PyBool_Check(value)) {
    complain_of_truth(object, value);
    return nullptr;
  }
  PyObject* told = (argument & tells_length) != 0 ? finish_length(value) : Py_NewRef(value);
  int truth = told != nullptr ? PyObject_IsTrue(told) : -1;
  Py_XDECREF(told);
  return truth < 0 ? nullptr : PyBool_FromLong(truth ^ (argument & 1));
}

// Some instructions push something else than one value. What a shim returns is pushed; so for two, it
// pushes the first of them itself, and for none, it returns what it has taken off before.
void push_on(_PyInterpreterFrame* frame, PyObject* value) {
  int height = height_of(frame);
  frame->localsplus[height] = make_slot(Py_XNewRef(value));
  set_height(frame, height + 1);
}
Slot pop_off(_PyInterpreterFrame* frame) {
  int height = height_of(frame) - 1;
  set_height(frame, height);
  return frame->localsplus[height];
}

// What an awaitable makes of what its generator has yielded, returned (None) or raised: Objects/genobject.c,
// async_gen_asend_send, async_gen_athrow_send, async_gen_unwrap_value. `waits` becomes true if the generator
// itself waits, false if StopIteration is set. False with another exception set.
//
// An athrow() which has raised after it had waited counts as done here, unlike there: nobody awaits it again.
bool finish_step(PyObject* awaitable, PyGenObject* generator, PyObject* value, bool* waits) {
  bool yields = generator->gi_frame_state < FRAME_EXECUTING;
  PyObject* given = yields ? given_in(value) : nullptr;
  *waits = yields && given == nullptr;
  if (*waits) {
    return true;
  }
  bool closes = Py_IS_TYPE(awaitable, athrow_type) && !sends_or_throws(awaitable);
  state_of(awaitable) = awaitable_closed;
  generator->gi_running_async = 0;
  if (yields && closes) {
    PyErr_SetString(PyExc_RuntimeError, "async generator ignored GeneratorExit");
    return false;
  }
  if (yields) {
    return _PyGen_SetStopIterationValue(given) == 0;
  }
  if (value == Py_None) {
    PyErr_SetNone(PyExc_StopAsyncIteration);
  } else {
    PyErr_Restore(Py_NewRef(Py_TYPE(value)), Py_NewRef(value), PyException_GetTraceback(value));
  }
  if (PyErr_ExceptionMatches(PyExc_StopAsyncIteration) != 0 ||
      PyErr_ExceptionMatches(PyExc_GeneratorExit) != 0) {
    generator->gi_closed = 1;
    if (closes) {
      PyErr_Clear();
      PyErr_SetNone(PyExc_StopIteration);
      return true;
    }
  }
  return false;
}

// Python/bytecodes.c, SEND.
bool finish_drive(int argument, PyObject* awaitable, PyObject* generator, PyObject* value,
                  _PyInterpreterFrame* outer, Slot* result) {
  if (!is_awaitable(awaitable) || generator_driven_by(awaitable) != generator) {
    PyErr_SetString(PyExc_ValueError, "the snapshot is damaged: nothing drives a generator");
    return false;
  }
  bool waits;
  if (!finish_step(awaitable, reinterpret_cast<PyGenObject*>(generator), value, &waits)) {
    return false;
  }
  PyObject* given = waits ? Py_NewRef(value) : nullptr;
  if (!waits) {
    if (argument == raises_when_done) {
      return false;
    }
    tell_of_raise(PyThreadState_Get(), outer);
    if (_PyGen_FetchStopIterationValue(&given) < 0) {
      return false;
    }
    skip_further(outer);
  }
  *result = make_slot(given);
  return true;
}

// Python/bytecodes.c, SEND, where an iterator has raised StopIteration.
bool finish_delegation(PyObject* exception, _PyInterpreterFrame* outer, Slot* result) {
  PyObject* value = reinterpret_cast<PyStopIterationObject*>(exception)->value;
  *result = make_slot(Py_NewRef(value != nullptr ? value : Py_None));
  skip_further(outer);
  return true;
}

// Modules/_collectionsmodule.c, defdict_missing.
PyObject* finish_default(int stays, PyObject* dict, PyObject* key, PyObject* value) {
  if (stays != 0 && PyDict_Check(dict)) {
    return Py_XNewRef(PyDict_SetDefault(dict, key, value));
  }
  return PyObject_SetItem(dict, key, value) == 0 ? Py_NewRef(value) : nullptr;
}

// Python/bytecodes.c, FOR_ITER; Python/bltinmodule.c, builtin_next.
bool finish_wrapped(int argument, PyObject* iterator, PyObject* otherwise, Answer answer,
                    PyObject* value, _PyInterpreterFrame* outer, Slot* result) {
  AskedBy by = asked_by(argument);
  PyObject* item = go_on(iterator, depth_in(argument), answer, value);
  *result = make_slot(item);
  if (item != nullptr || (PyErr_Occurred() != nullptr &&
                          (by == AskedBy::next || !PyErr_ExceptionMatches(PyExc_StopIteration)))) {
    return item != nullptr;
  }
  if (by == AskedBy::next) {
    PyErr_SetNone(PyExc_StopIteration);
    return false;
  }
  PyErr_Clear();
  *result = by == AskedBy::loop ? end_loop(outer) : make_slot(Py_NewRef(otherwise));
  return true;
}

// Finds what the shim returns; false with an exception set.
bool finish(const EndingObject& how, PyObject* kept, PyObject* second, PyObject* value,
            _PyInterpreterFrame* outer, Slot* result) {
  auto give = [result](PyObject* object) {
    *result = make_slot(object);
    return object != nullptr;
  };
  switch (how.ending) {
    case Ending::push:
    case Ending::generator:
      return give(Py_NewRef(value));
    case Ending::nothing:
      *result = pop_off(outer);
      return true;
    case Ending::instance:
      return give(finish_instance(kept, value));
    case Ending::next:
      if (value == Py_None) {
        PyErr_SetNone(PyExc_StopIteration);
      } else {
        _PyGen_SetStopIterationValue(value);
      }
      return false;
    case Ending::next_or:
      return give(Py_NewRef(kept));
    case Ending::enter: {
      PyObject* exit = PyMethod_New(second, kept);
      if (exit == nullptr) {
        return false;
      }
      push_on(outer, exit);
      Py_DECREF(exit);
      return give(Py_NewRef(value));
    }
    case Ending::attribute:
      push_on(outer, attribute_comes_first ? value : nullptr);
      *result = make_slot(attribute_comes_first ? nullptr : Py_NewRef(value));
      return true;
    case Ending::iterator:
      if (!PyIter_Check(value)) {
        complain_of_iterator(kept, value);
        return false;
      }
      if (iterators_have_index && how.argument == 0) {
        push_on(outer, value);
        *result = make_slot(nullptr);
        return true;
      }
      return give(Py_NewRef(value));
    case Ending::truth:
      return give(finish_truth(how.argument, kept, value));
    case Ending::jump:
    case Ending::jump_or_pop: {
      PyObject* truth = finish_truth(how.argument, kept, value);
      if (truth == nullptr) {
        return false;
      }
      bool jumps = truth == Py_False;
      if (jumps) {
        take_jump(outer);
      }
      if (how.ending == Ending::jump) {
        *result = pop_off(outer);
      } else if (jumps) {
        *result = make_slot(Py_NewRef(kept));
      } else {
        jump_again(outer);
        *result = make_slot(PyBool_FromLong(1 ^ (how.argument & 1)));
      }
      Py_DECREF(truth);
      return true;
    }
    case Ending::length:
      return give(finish_length(value));
    case Ending::binary:
      return give(
          finish_operator(how.argument, passed_instruction(outer)->argument, kept, second, value));
    case Ending::compare:
      return give(finish_comparison(how.argument, kept, second, value));
    case Ending::drive:
      return finish_drive(how.argument, kept, second, value, outer, result);
    case Ending::none:
      return give(Py_NewRef(Py_None));
    case Ending::created:
      return give(finish_creation(how.argument, kept, value, outer));
    case Ending::item:
      return give(Py_NewRef(value));
    case Ending::fallback:
      return give(Py_NewRef(second != Py_None ? second : value));
    case Ending::wrapped:
      return finish_wrapped(how.argument, kept, second, Answer::item, value, outer, result);
    case Ending::wrapped_generator:
      return finish_wrapped(how.argument, kept, second, Answer::end, value, outer, result);
    case Ending::convert:
      return give(finish_conversion(how.argument, kept, second, value));
    case Ending::closed:
      return give(Py_NewRef(PY_VERSION_HEX >= 0x030D0000 ? value : Py_None));
    case Ending::module: {
      PyObject* module = how.argument == 1 ? Py_NewRef(value) : finish_import(kept, second, value);
      if (module == nullptr) {
        cut_importlib_of_error();
      }
      return give(module);
    }
    case Ending::stored:
      return give(finish_default(how.argument, kept, second, value));
    case Ending::delegated:
      return give(Py_NewRef(value));
    case Ending::leave:
      return PyContext_Exit(kept) == 0 && give(Py_NewRef(value));
    case Ending::built:
      return give(finish_class(how.argument, kept, second, value, outer));
    case Ending::prepared:
      return give(finish_preparation(how.argument, second, value, outer));
    case Ending::made:
      return give(finish_made_class(how.argument, kept, second, value, outer));
    case Ending::initialised:
      return give(value != Py_None ? finish_instance(kept, value)
                                   : finish_whole_class(how.argument, second, kept, outer));
    case Ending::subclass:
      return give(how.argument == 0 ? Py_NewRef(kept)
                                    : finish_whole_class(how.argument, second, kept, outer));
  }
  return false;
}

void raise_again(PyObject* exception) {
  PyErr_Restore(Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(exception))), Py_NewRef(exception),
                PyException_GetTraceback(exception));
}

// The same where an exception has come instead of V.
bool finish_exception(const EndingObject& how, PyObject* kept, PyObject* second,
                      PyObject* exception, _PyInterpreterFrame* outer, Slot* result) {
  auto is = [exception](PyObject* type) {
    return PyErr_GivenExceptionMatches(exception, type) != 0;
  };
  if (is_wrapped(how.ending)) {
    return finish_wrapped(how.argument, kept, second, Answer::exception, exception, outer, result);
  }
  if (how.ending == Ending::leave && PyContext_Exit(kept) < 0) {
    return false;
  }
  if (how.ending == Ending::module) {
    cut_importlib(exception);
  }
  if (how.ending == Ending::delegated && is(PyExc_StopIteration)) {
    return finish_delegation(exception, outer, result);
  }
  if (how.ending == Ending::item && is(PyExc_StopIteration)) {
    *result = end_loop(outer);
    return true;
  }
  if (how.ending == Ending::fallback &&
      is(how.argument == 0 ? PyExc_StopIteration : PyExc_AttributeError)) {
    *result = make_slot(Py_NewRef(kept));
    return true;
  }
  if (how.ending == Ending::closed && is(PyExc_GeneratorExit)) {
    *result = make_slot(Py_NewRef(Py_None));
    return true;
  }
  raise_again(exception);
  return false;
}

// The same where a generator has yielded V that was to end, or is wrapped.
bool finish_yielded(const EndingObject& how, PyObject* kept, PyObject* second, PyObject* value,
                    _PyInterpreterFrame* outer, Slot* result) {
  if (is_wrapped(how.ending)) {
    return finish_wrapped(how.argument, kept, second, Answer::item, value, outer, result);
  }
  // Objects/genobject.c, gen_close.
  PyErr_Format(PyExc_RuntimeError, "%s ignored GeneratorExit",
               how.argument != 0 ? "coroutine" : "generator");
  return false;
}

bool is_ending(PyObject* object);

// What the shim's instructions have in common: `finish` finds what lies at the bottom of its value stack afterwards.
template <auto finish>
PyObject* conclude(PyObject* self, PyObject* value) {
  if (!is_ending(self)) {
    Py_RETURN_NOTIMPLEMENTED;
  }
  PyThreadState* ts = PyThreadState_Get();
  _PyInterpreterFrame* shim = top_of(ts);
  end_hush(shim);
  PyObject* kept = object_in(shim->localsplus[0]);
  PyObject* second = object_in(shim->localsplus[1]);
  Slot result;
  if (!finish(*reinterpret_cast<EndingObject*>(self), kept, second, value, shim->previous,
              &result)) {
    hide_error(ts, shim);
    return nullptr;
  }
  shim->localsplus[0] = result;
  if (PY_VERSION_HEX >= 0x030F0000) {  // operands go from the top (Python/generated_cases.c.h)
    shim->localsplus[1] = make_slot(Py_NewRef(Py_None));
    Py_DECREF(second);
  }
  Py_DECREF(kept);
  return Py_NewRef(Py_None);
}

// + the value that has been returned, - the exception, * the value that has been yielded.
PyNumberMethods ending_number = {.nb_add = conclude<finish>,
                                 .nb_subtract = conclude<finish_exception>,
                                 .nb_multiply = conclude<finish_yielded>};
PyTypeObject EndingType = {
    .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
    .tp_name = "stackless._ending",
    .tp_basicsize = sizeof(EndingObject),
    .tp_as_number = &ending_number,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc =
        "How an instruction of the interpreter is completed that has called Python code through C.",
};

bool is_ending(PyObject* object) { return Py_IS_TYPE(object, &EndingType); }

PyObject* ending_object(Ending ending, int argument) {
  auto& objects = ending_objects[static_cast<std::size_t>(ending)];
  return reinterpret_cast<PyObject*>(&objects[static_cast<std::size_t>(argument)]);
}

PyObject* code_for(Ending ending) {
  if (ending == Ending::drive) {
    return driving_shim_code;
  }
  if (catches_exceptions(ending)) {
    return waits_for_generator(ending) ? closing_shim_code : catching_shim_code;
  }
  return waits_for_generator(ending) ? waiting_shim_code : shim_code;
}

}  // namespace

int shim_words(Ending ending) {
  return frame_words(reinterpret_cast<PyCodeObject*>(code_for(ending)));
}

_PyInterpreterFrame* make_shim(Slot* place, const Joint& joint) {
  _PyInterpreterFrame* f = make_frame(place, code_for(joint.ending));
  auto or_none = [](PyObject* object) { return object != nullptr ? object : Py_None; };
  int height = 0;
  auto push = [&](PyObject* value) { f->localsplus[height++] = make_slot(Py_XNewRef(value)); };
  push(or_none(joint.kept));
  push(or_none(joint.ending == Ending::drive ? joint.generator : joint.second));
  push(ending_object(joint.ending, joint.argument));
  if (joint.ending == Ending::drive) {
    f->localsplus[height++] = make_slot(make_hush());
  }
  if (waits_for_generator(joint.ending)) {
    push(joint.generator);
    if (PY_VERSION_HEX >= 0x030F0000) {
      push(nullptr);
    }
    instruction_of(f) = _PyCode_CODE(code_of(f)) + 1;
    await_generator(f);
  } else if (catches_exceptions(joint.ending)) {
    instruction_of(f) = _PyCode_CODE(code_of(f)) + 1;
    step_over(f);
  }
  set_height(f, height);
  return f;
}

bool read_shim(_PyInterpreterFrame* f, Joint* joint) noexcept {
  *joint = {};
#if PY_VERSION_HEX >= 0x030D0000
  if (opcode_at(_PyCode_CODE(code_of(f))) == EXIT_INIT_CHECK) {
    joint->ending = Ending::instance;
    joint->argument = is_level_of_recursion;
    joint->kept = object_in(f->localsplus[0]);
    return true;
  }
#endif
  auto* code = reinterpret_cast<PyObject*>(code_of(f));
  if (code != shim_code && code != waiting_shim_code && code != driving_shim_code &&
      code != catching_shim_code && code != closing_shim_code) {
    return false;
  }
  PyObject* object = object_in(f->localsplus[2]);
  if (!is_ending(object)) {
    return false;  // it has ended, and drops what it has kept
  }
  const auto* how = reinterpret_cast<EndingObject*>(object);
  joint->ending = how->ending;
  joint->argument = how->argument;
  joint->kept = object_in(f->localsplus[0]);
  joint->second = object_in(f->localsplus[1]);
  if (joint->ending == Ending::drive) {
    joint->generator = std::exchange(joint->second, nullptr);
  } else if (waits_for_generator(joint->ending)) {
    joint->generator = object_in(f->localsplus[3]);
  }
  return true;
}

bool counts_as_level(_PyInterpreterFrame* f) noexcept {
  Joint joint;
  return !is_own(f) || (read_shim(f, &joint) && joint.ending == Ending::instance &&
                        joint.argument == is_level_of_recursion);
}

namespace {

// What takes the generator off the value stack: after SEND it lies beneath what it has yielded, and from 3.12 on
// beneath what it has returned, too.
#if PY_VERSION_HEX >= 0x030C0000
constexpr OwnInstruction drop_yielding[] = {{END_SEND}, {NOP}};
constexpr OwnInstruction drop_returned = {END_SEND};
#else
constexpr OwnInstruction drop_yielding[] = {{SWAP, 2}, {POP_TOP}};
constexpr OwnInstruction drop_returned = {NOP};
#endif

PyObject* assemble_waiting_shim() {
  constexpr int returns = 7;  // the index of `drop_returned`, after those that have no caches
  return assemble("<shim>", {{NOP},
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

PyObject* assemble_driving_shim() {
  // What is raised while it stands at SEND goes to BINARY_OP, above three values. (From 3.13 on the
  // interpreter looks for the instruction before that which has made a call: Python/ceval.c, exit_unwind.)
  const int waiting = 2 + stackless_inline_caches[SEND];
  return assemble("<shim>",
                  {{NOP},
                   {SEND, drop_returned.opcode == NOP ? 2 : 0},
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

PyObject* assemble_closing_shim() {
  int waiting = 2 + stackless_inline_caches[SEND];
  int operation = 1 + stackless_inline_caches[BINARY_OP];
  int returns = 2 + operation + 3;  // the index of `drop_returned`, as SEND counts
  int handler = waiting + returns + 1 + operation + 3;
  return assemble("<shim>",
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
PyObject* assemble_catching_shim() {
  int handler = 2 + 1 + stackless_inline_caches[BINARY_OP] + 3;
  return assemble("<shim>",
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

int init_shims() {
  // The RESUME never runs: sys.monitoring refuses code without one.
  shim_code = assemble("<shim>", {{BINARY_OP}, {POP_TOP}, {POP_TOP}, {RETURN_VALUE}, {RESUME}});
  waiting_shim_code = shim_code != nullptr ? assemble_waiting_shim() : nullptr;
  driving_shim_code = waiting_shim_code != nullptr ? assemble_driving_shim() : nullptr;
  catching_shim_code = driving_shim_code != nullptr ? assemble_catching_shim() : nullptr;
  closing_shim_code = catching_shim_code != nullptr ? assemble_closing_shim() : nullptr;
  if (closing_shim_code == nullptr || PyType_Ready(&EndingType) < 0 || init_operators() < 0 ||
      init_conversions() < 0 || init_classes() < 0) {
    return -1;
  }
  for (std::size_t i = 0; i < endings; ++i) {
    for (std::size_t k = 0; k < arguments; ++k) {
      EndingObject& object = ending_objects[i][k];
      PyObject_Init(reinterpret_cast<PyObject*>(&object), &EndingType);
      object.ending = static_cast<Ending>(i);
      object.argument = static_cast<int>(k);
    }
  }
  for (PyObject* code :
       {shim_code, waiting_shim_code, driving_shim_code, catching_shim_code, closing_shim_code}) {
    if (hide_from_tools(code) < 0) {
      return -1;
    }
  }
  return 0;
}

}  // namespace stackless::interp
