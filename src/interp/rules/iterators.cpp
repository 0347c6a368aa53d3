// Iterators, generators, and what drives asynchronous generators.
#include <utility>

#include "interp/frames/async_generators.hpp"
#include "interp/rules/crossing.hpp"
#include "interp/versions/monitoring.hpp"
#include "object/errors.hpp"

namespace stackless::interp {

namespace {

bool gets_iterator(const Crossing& crossing, Joint* joint) {
  joint->kept = crossing.operand(0);
  return calls_method(crossing, 0, names.iter);
}

bool calls_iter(const Crossing& crossing, Joint* joint) {
  if (!is_call(crossing) || !calls_builtin(crossing, builtins.iter, 1)) {
    return false;
  }
  joint->argument = 1;
  joint->kept = crossing.argument(0);
  return method_of(Py_TYPE(crossing.argument(0)), names.iter) == crossing.function();
}

// ---- iterators ----

bool steps(const Crossing& crossing, Joint* joint) {
  joint->pops = 0;
  return may_end_loop(crossing.stop.height) && calls_method(crossing, 0, names.next);
}

bool calls_next_method(const Crossing& crossing, Joint*) {
  return is_call(crossing) && calls_builtin(crossing, builtins.next, 1) &&
         method_of(Py_TYPE(crossing.argument(0)), names.next) == crossing.function();
}

bool calls_next_method_with_default(const Crossing& crossing, Joint* joint) {
  if (!is_call(crossing) || !calls_builtin(crossing, builtins.next, 2)) {
    return false;
  }
  joint->kept = crossing.argument(1);
  return method_of(Py_TYPE(crossing.argument(0)), names.next) == crossing.function();
}

// `yield from` an iterator that isn't sent anything.
bool delegates(const Crossing& crossing, Joint* joint) {
  joint->pops = 1;
  return object_in(crossing.outer->localsplus[crossing.stop.height - 1]) == Py_None &&
         calls_method(crossing, 0, names.next);
}

// ---- generators ----

bool is_resumable(PyObject* object) {
  return PyGen_CheckExact(object) || PyCoro_CheckExact(object);
}

// The iterator, or what is delegated to, is the generator.
bool resumes_first(const Crossing& crossing, Joint* joint) {
  PyObject* generator = crossing.generator();
  bool sends = crossing.stop.at->opcode == SEND;
  joint->pops = sends ? 1 : 0;
  return generator != nullptr && crossing.operand(0) == generator && is_resumable(generator) &&
         (sends || may_end_loop(crossing.stop.height));
}

// The argument of drive_generator where the instruction is a call: StopIteration comes out of it.
constexpr int raises_when_done = 1;

// What an asynchronous generator's asend(), __anext__(), athrow() or aclose() has returned drives it.
bool drives_generator(const Crossing& crossing, PyObject* awaitable, Joint* joint) {
  joint->kept = awaitable;
  joint->generator = crossing.generator();
  return joint->generator != nullptr && awaitable != nullptr && is_awaitable(awaitable) &&
         generator_driven_by(awaitable) == joint->generator &&
         state_of(awaitable) == awaitable_begun;
}

bool drives(const Crossing& crossing, Joint* joint) {
  joint->pops = 1;
  return drives_generator(crossing, crossing.operand(0), joint);
}

// next(generator), next(generator, default): Python/bltinmodule.c, builtin_next.
bool calls_next(const Crossing& crossing, Joint* joint) {
  PyObject* callable = crossing.callable();
  int arguments = crossing.stop.at->argument;
  if (callable == nullptr || !PyCFunction_CheckExact(callable) || crossing.self() != nullptr ||
      reinterpret_cast<PyCFunctionObject*>(callable)->m_ml != builtins.next || arguments < 1) {
    return false;
  }
  joint->generator = crossing.generator();
  joint->kept = arguments == 2 ? crossing.argument(1) : nullptr;
  return joint->generator != nullptr && crossing.argument(0) == joint->generator &&
         is_resumable(joint->generator);
}
bool calls_next_without_default(const Crossing& crossing, Joint* joint) {
  return calls_next(crossing, joint) && joint->kept == nullptr;
}
bool calls_next_with_default(const Crossing& crossing, Joint* joint) {
  return calls_next(crossing, joint) && joint->kept != nullptr;
}

// generator.send(), generator.throw(), generator.__next__(), as methods or bound ones
// (Objects/genobject.c).
bool resumes_by_method(const Crossing& crossing, Joint* joint) {
  PyObject* callable = crossing.callable();
  PyObject* generator = crossing.generator();
  if (generator == nullptr || callable == nullptr || !is_resumable(generator)) {
    return false;
  }
  joint->generator = generator;
  PyObject* self = crossing.self();
  if (PyCFunction_CheckExact(callable)) {
    self = PyCFunction_GET_SELF(callable);
    const PyMethodDef* method = reinterpret_cast<PyCFunctionObject*>(callable)->m_ml;
    return self == generator && (method == method_in(Py_TYPE(generator), names.send) ||
                                 method == method_in(Py_TYPE(generator), names.throws));
  }
  return self == generator && (callable == _PyType_Lookup(Py_TYPE(generator), names.send) ||
                               callable == _PyType_Lookup(Py_TYPE(generator), names.throws) ||
                               callable == _PyType_Lookup(Py_TYPE(generator), names.next));
}

// awaitable.send(), as a method or a bound one: an event loop of the program's own.
bool drives_by_method(const Crossing& crossing, Joint* joint) {
  PyObject* callable = crossing.callable();
  if (callable == nullptr) {
    return false;
  }
  bool is_bound = PyCFunction_CheckExact(callable);
  PyObject* awaitable = is_bound ? PyCFunction_GET_SELF(callable) : crossing.self();
  joint->argument = raises_when_done;
  return drives_generator(crossing, awaitable, joint) &&
         (is_bound ? reinterpret_cast<PyCFunctionObject*>(callable)->m_ml ==
                         method_in(Py_TYPE(awaitable), names.send)
                   : callable == _PyType_Lookup(Py_TYPE(awaitable), names.send));
}

// generator.close(), as a method or a bound one (Objects/genobject.c, gen_close).
bool closes(const Crossing& crossing, Joint* joint) {
  PyObject* callable = crossing.callable();
  PyObject* generator = crossing.generator();
  if (generator == nullptr || callable == nullptr || !is_resumable(generator)) {
    return false;
  }
  joint->generator = generator;
  joint->argument = PyCoro_CheckExact(generator) ? 1 : 0;
  if (PyCFunction_CheckExact(callable)) {
    return PyCFunction_GET_SELF(callable) == generator &&
           reinterpret_cast<PyCFunctionObject*>(callable)->m_ml ==
               method_in(Py_TYPE(generator), names.close);
  }
  return crossing.self() == generator &&
         callable == _PyType_Lookup(Py_TYPE(generator), names.close);
}

constexpr int index_slot = iterators_have_index ? 1 : 0;

// ---- how they go on ----

void complain_of_iterator(PyObject* object, PyObject* value) {
  if (messages_name_types_fully) {
    PyErr_Format(PyExc_TypeError, "%T.__iter__() must return an iterator, not %T", object, value);
  } else {
    PyErr_Format(PyExc_TypeError, "iter() returned non-iterator of type '%.100s'",
                 Py_TYPE(value)->tp_name);
  }
}

// V has to be an iterator; argument 1: it is what a call returns.
Result finish_iterator(const Arrival& arrival) {
  if (!PyIter_Check(arrival.value)) {
    complain_of_iterator(arrival.kept, arrival.value);
    return std::nullopt;
  }
  Object iterator = Object::share(arrival.value);
  if (iterators_have_index && arrival.argument == 0) {
    push_on(arrival.outer, std::move(iterator));
    return make_slot(nullptr);
  }
  return push(std::move(iterator));
}

// The generator that next() has asked has yielded V, which is pushed, or returned it: StopIteration is raised, or what
// is kept is pushed.
Result raise_stop(const Arrival& arrival) {
  if (arrival.value == Py_None) {
    PyErr_SetNone(PyExc_StopIteration);
  } else {
    _PyGen_SetStopIterationValue(arrival.value);
  }
  return std::nullopt;
}
Result push_kept(const Arrival& arrival) { return push(Object::share(arrival.kept)); }

// The value is what is pushed; StopIteration ends the loop.
Result push_item(const Arrival& arrival) { return push(Object::share(arrival.value)); }
Result finish_loop(const Arrival& arrival) {
  return PyErr_GivenExceptionMatches(arrival.value, PyExc_StopIteration) != 0
             ? end_loop(arrival.outer)
             : raise_again(arrival);
}
bool is_in_loop(const Place& place) noexcept {
  return takes_a_flag(place) && may_end_loop(place.height);
}

// Python/bytecodes.c, SEND, where an iterator has raised StopIteration: its value is pushed, after a jump.
Result finish_delegation(const Arrival& arrival) {
  if (PyErr_GivenExceptionMatches(arrival.value, PyExc_StopIteration) == 0) {
    return raise_again(arrival);
  }
  PyObject* value = reinterpret_cast<PyStopIterationObject*>(arrival.value)->value;
  Object result = value != nullptr ? Object::share(value) : none();
  skip_further(arrival.outer);
  return push(std::move(result));
}

// The generator, or (argument 1) coroutine, has to end, or let GeneratorExit out: Objects/genobject.c, gen_close.
Result finish_closing(const Arrival& arrival) {
  return push(close_returns_value ? Object::share(arrival.value) : none());
}
Result expect_exit(const Arrival& arrival) {
  return PyErr_GivenExceptionMatches(arrival.value, PyExc_GeneratorExit) != 0
             ? push(none())
             : raise_again(arrival);
}
Result complain_of_yield(const Arrival& arrival) {
  PyErr_Format(PyExc_RuntimeError, "%s ignored GeneratorExit",
               arrival.argument != 0 ? "coroutine" : "generator");
  return std::nullopt;
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
    restore_exception(Object::share(value));
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

// What is kept has driven an asynchronous generator, the second object: it makes of V what the instruction gets
// (Python/bytecodes.c, SEND).
Result finish_driving(const Arrival& arrival) {
  auto [argument, awaitable, generator, value, outer] = arrival;
  if (!is_awaitable(awaitable) || generator_driven_by(awaitable) != generator) {
    PyErr_SetString(PyExc_ValueError, "the snapshot is damaged: nothing drives a generator");
    return std::nullopt;
  }
  bool waits;
  if (!finish_step(awaitable, reinterpret_cast<PyGenObject*>(generator), value, &waits)) {
    return std::nullopt;
  }
  if (waits) {
    return push(Object::share(value));
  }
  if (argument == raises_when_done) {
    return std::nullopt;
  }
  tell_of_raise(PyThreadState_Get(), outer);
  PyObject* given = nullptr;
  if (_PyGen_FetchStopIterationValue(&given) < 0) {
    return std::nullopt;
  }
  skip_further(outer);
  return make_slot(given);
}
bool is_driven_there(const Place& place) noexcept {
  return takes_a_flag(place) && (place.argument == raises_when_done) == (place.at.opcode == CALL);
}

const Continuation next_of_generator{"next_of_generator", 4, Shape::waiting, raise_stop};
const Continuation next_or_default{"next_or_default", 5, Shape::waiting, push_kept};
const Continuation push_iterator{"push_iterator", 8, Shape::plain, finish_iterator};
const Continuation item_of_loop{"item_of_loop", 15,         Shape::catching,
                                push_item,      is_in_loop, finish_loop};
const Continuation drive_generator{"drive_generator", 18, Shape::driving, finish_driving,
                                   is_driven_there};
const Continuation close_generator{"close_generator", 19,          Shape::closing,   finish_closing,
                                   takes_a_flag,      expect_exit, complain_of_yield};
const Continuation delegate{"delegate", 24,           Shape::catching,
                            push_item,  takes_a_flag, finish_delegation};

const Rule rules[] = {
    {CALL, a_calls, calls_next_without_default, next_of_generator},
    {CALL, a_calls, calls_next_with_default, next_or_default},
    {CALL, a_calls, resumes_by_method, next_of_generator},
    {CALL, a_calls, drives_by_method, drive_generator},
    {CALL, a_calls, closes, close_generator},
    {CALL, a_calls, calls_next_method, push_value},
    {CALL, a_calls, calls_next_method_with_default, push_or_default},
    {CALL, a_calls, calls_iter, push_iterator},
    {FOR_ITER, 1 + index_slot, resumes_first, resume_generator},
    {FOR_ITER, 1 + index_slot, steps, item_of_loop},
    {SEND, 2 + index_slot, resumes_first, resume_generator},
    {SEND, 2 + index_slot, drives, drive_generator},
    {SEND, 2 + index_slot, delegates, delegate},
    {GET_ITER, 1, gets_iterator, push_iterator},
};

}  // namespace

std::span<const Rule> iterator_rules() noexcept { return rules; }

}  // namespace stackless::interp
