// Iterators, generators, and what drives asynchronous generators.
#include "interp/rules/crossing.hpp"

#include "interp/frames/async_generators.hpp"
#include "interp/rules/wrapping_iterators.hpp"

namespace stackless::interp {

namespace {

bool gets_iterator(const Seam& seam, Joint* joint) {
  joint->kept = seam.operand(0);
  return calls_method(seam, 0, names.iter);
}

bool calls_iter(const Seam& seam, Joint* joint) {
  if (!is_call(seam) || !calls_builtin(seam, builtins.iter, 1)) {
    return false;
  }
  joint->argument = 1;
  joint->kept = seam.argument(0);
  return method_of(Py_TYPE(seam.argument(0)), names.iter) == seam.function();
}

// ---- iterators ----

bool steps(const Seam& seam, Joint* joint) {
  joint->pops = 0;
  return may_end_loop(seam.stop.height) && calls_method(seam, 0, names.next);
}

// An iterator of C waits for one that it asks (interp/wrappers.hpp).
bool asks(const Seam& seam, PyObject* iterator, bool by_generator, AskedBy by, Joint* joint) {
  Asked asked = find_asked(iterator, seam.outer, seam.stop.height, false, seam.inner);
  joint->kept = iterator;
  joint->generator = asked.generator;
  joint->asked = asked.frameless;
  joint->argument = asking(by, asked.depth);
  return asked.known && (asked.generator != nullptr) == by_generator;
}

template <bool by_generator>
bool loops_over_wrapper(const Seam& seam, Joint* joint) {
  joint->pops = 0;
  return may_end_loop(seam.stop.height) &&
         asks(seam, seam.operand(0), by_generator, AskedBy::loop, joint);
}

template <bool by_generator>
bool calls_next_of_wrapper(const Seam& seam, Joint* joint) {
  bool has_default = calls_builtin(seam, builtins.next, 2);
  joint->second = has_default ? seam.argument(1) : nullptr;
  return (has_default || calls_builtin(seam, builtins.next, 1)) &&
         asks(seam, seam.argument(0), by_generator, has_default ? AskedBy::next_or : AskedBy::next,
              joint);
}

bool calls_next_method(const Seam& seam, Joint*) {
  return is_call(seam) && calls_builtin(seam, builtins.next, 1) &&
         method_of(Py_TYPE(seam.argument(0)), names.next) == seam.function();
}

bool calls_next_method_with_default(const Seam& seam, Joint* joint) {
  if (!is_call(seam) || !calls_builtin(seam, builtins.next, 2)) {
    return false;
  }
  joint->kept = seam.argument(1);
  return method_of(Py_TYPE(seam.argument(0)), names.next) == seam.function();
}

// `yield from` an iterator that isn't sent anything.
bool delegates(const Seam& seam, Joint* joint) {
  joint->pops = 1;
  return object_in(seam.outer->localsplus[seam.stop.height - 1]) == Py_None &&
         calls_method(seam, 0, names.next);
}

// ---- generators ----

bool is_resumable(PyObject* object) {
  return PyGen_CheckExact(object) || PyCoro_CheckExact(object);
}

// The iterator, or what is delegated to, is the generator.
bool resumes_first(const Seam& seam, Joint* joint) {
  PyObject* generator = seam.generator();
  bool sends = seam.stop.at->opcode == SEND;
  joint->pops = sends ? 1 : 0;
  return generator != nullptr && seam.operand(0) == generator && is_resumable(generator) &&
         (sends || may_end_loop(seam.stop.height));
}

// What an asynchronous generator's asend(), __anext__(), athrow() or aclose() has returned drives it.
bool drives_generator(const Seam& seam, PyObject* awaitable, Joint* joint) {
  joint->kept = awaitable;
  joint->generator = seam.generator();
  return joint->generator != nullptr && awaitable != nullptr && is_awaitable(awaitable) &&
         generator_driven_by(awaitable) == joint->generator &&
         state_of(awaitable) == awaitable_begun;
}

bool drives(const Seam& seam, Joint* joint) {
  joint->pops = 1;
  return drives_generator(seam, seam.operand(0), joint);
}

// next(generator), next(generator, default): Python/bltinmodule.c, builtin_next.
bool calls_next(const Seam& seam, Joint* joint) {
  PyObject* callable = seam.callable();
  int arguments = seam.stop.at->argument;
  if (callable == nullptr || !PyCFunction_CheckExact(callable) || seam.self() != nullptr ||
      reinterpret_cast<PyCFunctionObject*>(callable)->m_ml != builtins.next || arguments < 1) {
    return false;
  }
  joint->generator = seam.generator();
  joint->kept = arguments == 2 ? seam.argument(1) : nullptr;
  return joint->generator != nullptr && seam.argument(0) == joint->generator &&
         is_resumable(joint->generator);
}
bool calls_next_without_default(const Seam& seam, Joint* joint) {
  return calls_next(seam, joint) && joint->kept == nullptr;
}
bool calls_next_with_default(const Seam& seam, Joint* joint) {
  return calls_next(seam, joint) && joint->kept != nullptr;
}

// generator.send(), generator.throw(), generator.__next__(), as methods or bound ones
// (Objects/genobject.c).
bool resumes_by_method(const Seam& seam, Joint* joint) {
  PyObject* callable = seam.callable();
  PyObject* generator = seam.generator();
  if (generator == nullptr || callable == nullptr || !is_resumable(generator)) {
    return false;
  }
  joint->generator = generator;
  PyObject* self = seam.self();
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
bool drives_by_method(const Seam& seam, Joint* joint) {
  PyObject* callable = seam.callable();
  if (callable == nullptr) {
    return false;
  }
  bool is_bound = PyCFunction_CheckExact(callable);
  PyObject* awaitable = is_bound ? PyCFunction_GET_SELF(callable) : seam.self();
  joint->argument = raises_when_done;
  return drives_generator(seam, awaitable, joint) &&
         (is_bound ? reinterpret_cast<PyCFunctionObject*>(callable)->m_ml ==
                         method_in(Py_TYPE(awaitable), names.send)
                   : callable == _PyType_Lookup(Py_TYPE(awaitable), names.send));
}

// generator.close(), as a method or a bound one (Objects/genobject.c, gen_close).
bool closes(const Seam& seam, Joint* joint) {
  PyObject* callable = seam.callable();
  PyObject* generator = seam.generator();
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
  return seam.self() == generator && callable == _PyType_Lookup(Py_TYPE(generator), names.close);
}

constexpr int index_slot = iterators_have_index ? 1 : 0;

const Rule rules[] = {
    {CALL, a_calls, calls_next_without_default, Ending::next},
    {CALL, a_calls, calls_next_with_default, Ending::next_or},
    {CALL, a_calls, resumes_by_method, Ending::next},
    {CALL, a_calls, drives_by_method, Ending::drive},
    {CALL, a_calls, closes, Ending::closed},
    {CALL, a_calls, calls_next_method, Ending::push},
    {CALL, a_calls, calls_next_method_with_default, Ending::fallback},
    {CALL, a_calls, calls_next_of_wrapper<false>, Ending::wrapped},
    {CALL, a_calls, calls_next_of_wrapper<true>, Ending::wrapped_generator},
    {CALL, a_calls, calls_iter, Ending::iterator},
    {FOR_ITER, 1 + index_slot, resumes_first, Ending::generator},
    {FOR_ITER, 1 + index_slot, steps, Ending::item},
    {FOR_ITER, 1 + index_slot, loops_over_wrapper<false>, Ending::wrapped},
    {FOR_ITER, 1 + index_slot, loops_over_wrapper<true>, Ending::wrapped_generator},
    {SEND, 2 + index_slot, resumes_first, Ending::generator},
    {SEND, 2 + index_slot, drives, Ending::drive},
    {SEND, 2 + index_slot, delegates, Ending::delegated},
    {GET_ITER, 1, gets_iterator, Ending::iterator},
};

}  // namespace

std::span<const Rule> iterator_rules() noexcept { return rules; }

}  // namespace stackless::interp
