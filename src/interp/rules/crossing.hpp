// A crossing: an outer Python frame has called C code, which has called an inner one. A rule looks at a crossing and
// says how the outer frame goes on without the C code.
#pragma once

#include <array>
#include <span>

#include "interp/frames/call_position.hpp"
#include "interp/frames/running_generators.hpp"
#include "interp/rules/known_objects.hpp"
#include "interp/rules/rules.hpp"
#include "interp/versions/facts.hpp"
#include "interp/versions/opcodes.hpp"

namespace stackless::interp {

struct Crossing {
  _PyInterpreterFrame* outer;
  _PyInterpreterFrame* inner;
  Stop stop;
  int operands;

  // What the inner frame is that of.
  PyObject* function() const { return function_of(inner); }
  PyObject* generator() const {
    return is_on_data_stack(inner) ? nullptr : reinterpret_cast<PyObject*>(generator_of(inner));
  }

  // The operands, counted from the first.
  PyObject* operand(int i) const {
    return object_in(outer->localsplus[stop.height - operands + i]);
  }
  // Of a call:
  PyObject* callable() const { return callable_at(outer, stop, operands); }
  PyObject* argument(int i) const { return operand(2 + i); }
  // self, if a method descriptor is called; else null.
  PyObject* self() const {
    PyObject* tells = operand(callable_comes_first ? 1 : 0);
    return tells != nullptr ? operand(1) : nullptr;
  }
};

// At this instruction, with so many operands on the value stack (or a call's), if that is so, the outer frame
// goes on like this.
struct Rule {
  int opcode;
  int operands;
  bool (*holds)(const Crossing& crossing, Joint* joint);
  const Continuation& continuation;
};

constexpr int a_calls = -1;

// The rules, by what they are about.
std::span<const Rule> call_rules() noexcept;
std::span<const Rule> class_rules() noexcept;
std::span<const Rule> import_rules() noexcept;
std::span<const Rule> attribute_rules() noexcept;
std::span<const Rule> item_rules() noexcept;
std::span<const Rule> operator_rules() noexcept;
std::span<const Rule> truth_rules() noexcept;
std::span<const Rule> conversion_rules() noexcept;
std::span<const Rule> iterator_rules() noexcept;
std::span<const Rule> wrapper_rules() noexcept;

// What some of these files need; called once, at import; -1 with an exception set.
int init_operators();
int init_conversions();
int init_classes();

// ---- what can be asked ---------------------------------------------------------------------------

// method_of() is the function that an attribute of the type is; null if it is anything else.
PyObject* method_of(PyTypeObject* type, PyObject* name);

// method_in() is the C function that a method of the type is; null if it is anything else.
const PyMethodDef* method_in(PyTypeObject* type, PyObject* name);

// wrapped_by() is the function that a static or class method is made of; borrowed.
inline PyObject* wrapped_by(PyObject* method) {
  // Objects/funcobject.c, staticmethod, classmethod: it comes first.
  return *reinterpret_cast<PyObject**>(reinterpret_cast<char*>(method) + sizeof(PyObject));
}

// is_call() tells whether the inner frame is that of a function which has been called, not of a generator.
inline bool is_call(const Crossing& crossing) { return is_on_data_stack(crossing.inner); }

// leads_to() tells whether a call of `callable` is a call of `function`, with nothing done to what that returns.
bool leads_to(PyObject* callable, PyObject* function);

// argument_of() is a positional argument of a frame which still has it; borrowed, or null.
PyObject* argument_of(_PyInterpreterFrame* frame, int i);
inline PyObject* first_argument(_PyInterpreterFrame* frame) { return argument_of(frame, 0); }

// find_beyond() is what super(type, of) looks up: the attribute of the first class behind `type` in the order of
// `of` that has one; borrowed, or null.
PyObject* find_beyond(PyTypeObject* type, PyTypeObject* of, PyObject* name);

// is_builtin() tells whether a call has called that C function; calls_builtin(), with so many arguments, all
// of them positional.
bool is_builtin(const Crossing& crossing, const PyMethodDef* function);
bool calls_builtin(const Crossing& crossing, const PyMethodDef* function, int arguments);

// has_keywords() tells whether a call of one of its instructions, CALL, has been made with keyword arguments.
bool has_keywords(const Crossing& crossing);
// has_arguments() tells whether a call has so many positional arguments, and nothing else.
bool has_arguments(const Crossing& crossing, int count);

// calls_method() tells whether the operand's method has been called.
bool calls_method(const Crossing& crossing, int operand, PyObject* name);

// has_rest() is needed by continuations that push nothing: they have to find something to take off.
inline bool has_rest(const Crossing& crossing) { return crossing.stop.height > crossing.operands; }

}  // namespace stackless::interp
