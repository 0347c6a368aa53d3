#include "interp/rules/rules.hpp"

#include <algorithm>
#include <array>

#include "interp/frames/call_position.hpp"
#include "interp/rules/continuation_frame.hpp"
#include "interp/rules/crossing.hpp"
#include "interp/rules/wrapping_iterators.hpp"
#include "interp/versions/internals.h"

namespace stackless::interp {

namespace {

std::array<std::span<const Rule>, 10> tables() {
  return {call_rules(),     class_rules(), import_rules(),     attribute_rules(), item_rules(),
          operator_rules(), truth_rules(), conversion_rules(), iterator_rules(),  wrapper_rules()};
}

// Whether one of the rules of the instruction is like that.
template <typename Predicate>
bool any_rule(int opcode, Predicate predicate) {
  return std::ranges::any_of(tables(), [&](std::span<const Rule> table) {
    return std::ranges::any_of(
        table, [&](const Rule& rule) { return rule.opcode == opcode && predicate(rule); });
  });
}

// Up to 3.13 CALL_FUNCTION_EX keeps the tuple and dict that it makes of its operands to itself, having
// dropped these (Python/bytecodes.c).
int stale_operands(const Instruction& at) {
  return !frames_know_their_operands && at.opcode == CALL_FUNCTION_EX ? 1 + (at.argument & 1) : 0;
}

}  // namespace

namespace {

bool is_dead_reference(PyObject* object) {
  return PyWeakref_Check(object) &&
         reinterpret_cast<PyWeakReference*>(object)->wr_object == Py_None;
}

// Whether a frame's argument, or one of those beyond the named ones, is a weak reference to something that has
// gone: who is told of that gets it, behind what a bound method or the like puts before it.
bool is_told_of_an_end(PyObject* argument) {
  if (PyCell_Check(argument)) {
    argument = PyCell_GET(argument);
  }
  if (argument != nullptr && PyTuple_CheckExact(argument)) {
    PyObject** items = &PyTuple_GET_ITEM(argument, 0);
    return std::any_of(items, items + PyTuple_GET_SIZE(argument), is_dead_reference);
  }
  return argument != nullptr && is_dead_reference(argument);
}

// Whether a destructor is neither a Python function nor C code's own.
bool may_call_others(PyObject* destructor) {
  return destructor != nullptr && !PyFunction_Check(destructor) &&
         !Py_IS_TYPE(destructor, &PyWrapperDescr_Type) &&
         !Py_IS_TYPE(destructor, &PyMethodDescr_Type);
}

}  // namespace

bool is_finalizer(_PyInterpreterFrame* f) noexcept {
  PyCodeObject* code = code_of(f);
  if (PyUnicode_CompareWithASCIIString(code->co_name, "__del__") == 0) {
    return true;
  }
  int arguments = code->co_argcount + ((code->co_flags & CO_VARARGS) != 0 ? 1 : 0);
  for (int i = 0; i < arguments; ++i) {
    int slot = i < code->co_argcount ? i : i + code->co_kwonlyargcount;
    PyObject* argument = object_in(f->localsplus[slot]);
    if (argument != nullptr && is_told_of_an_end(argument)) {
      return true;
    }
  }
  PyObject* first = code->co_argcount > 0 ? object_in(f->localsplus[0]) : nullptr;
  if (first == nullptr) {
    return false;
  }
  static PyObject* name = PyUnicode_InternFromString("__del__");
  if (Py_TYPE(first)->tp_finalize == nullptr || name == nullptr) {
    return false;
  }
  PyObject* destructor = _PyType_Lookup(Py_TYPE(first), name);
  return destructor == function_of(f) || may_call_others(destructor);
}

namespace {

// How many operands there are of an instruction that can run a generator.
int driving_operands(const Instruction& at) {
  switch (at.opcode) {
    case FOR_ITER:
      return 1;
    case SEND:
      return 2;
    default:
      return call_operands(at);
  }
}

}  // namespace

namespace {

bool lacks_operands(_PyInterpreterFrame* f, const Stop& stop) {
  auto lacks_any = [&](int first, int count) {
    const Slot* operands = f->localsplus + stop.height - first;
    return std::any_of(operands, operands + count,
                       [](Slot slot) { return object_in(slot) == nullptr; });
  };
  switch (int operands = call_operands(*stop.at); stop.at->opcode) {
    case SEND:  // what is sent is handed over
      return false;
    case CALL_FUNCTION_EX:  // there may be no keywords
      return lacks_any(operands - 2, 1);
    default: {  // what is called may have no object
      int last = operands != 0 ? operands - 2 : dropped_at_once(*stop.at);
      return lacks_any(last, last);
    }
  }
}
// What was dropped before may be anything by now, but is still memory.
[[gnu::no_sanitize_address]] bool has_dying_operand(_PyInterpreterFrame* f, const Stop& stop) {
  // f(*iterable) puts a tuple in the iterable's place, but leaves that on the value stack (Python/ceval.c).
  int iterable =
      stop.at->opcode == CALL_FUNCTION_EX ? stop.height - 1 - (stop.at->argument & 1) : -1;
  for (int i = code_of(f)->co_nlocalsplus; i < stop.height; ++i) {
    if (PyObject* object = object_in(f->localsplus[i]);
        object != nullptr && object->ob_refcnt == 0 &&
        (i != iterable || object->ob_type == &PyTuple_Type)) {
      return true;
    }
  }
  return false;
}

}  // namespace

bool drops_operands(_PyInterpreterFrame* f, const Stop& stop) noexcept {
  return frames_know_their_operands ? lacks_operands(f, stop) : has_dying_operand(f, stop);
}

bool may_have_dropped(_PyInterpreterFrame* outer, _PyInterpreterFrame* inner,
                      const Stop& stop) noexcept {
  if (is_on_data_stack(inner)) {
    return is_finalizer(inner) || drops_operands(outer, stop);
  }
  if (frames_know_their_operands) {
    return false;
  }
  auto* generator = reinterpret_cast<PyObject*>(generator_of(inner));
  int first = std::max(stop.height - driving_operands(*stop.at), code_of(outer)->co_nlocalsplus);
  bool is_operand = std::ranges::any_of(outer->localsplus + first, outer->localsplus + stop.height,
                                        [&](Slot slot) { return object_in(slot) == generator; });
  return Py_REFCNT(generator) == 1 && outer->frame_obj != nullptr && !is_operand;
}

bool find_joint(_PyInterpreterFrame* outer, _PyInterpreterFrame* inner, Joint* joint) noexcept {
  Crossing crossing{outer, inner, {}, 0};
  if (Joint before; read_continuation_frame(outer, &before)) {
    auto* find_next = before.continuation->find_next;
    bool known = find_next != nullptr && find_next(before, outer->previous, inner, joint);
    joint->height = 4;  // of the continuation's frame: its object, and V, come last
    joint->pops = 2;
    joint->again = true;
    return known && (inner == nullptr || !is_on_data_stack(inner) || !is_finalizer(inner));
  }
  if (find_stop(outer, &crossing.stop) != Pin::none ||
      (inner != nullptr && may_have_dropped(outer, inner, crossing.stop))) {
    return false;
  }
  const Instruction& at = *crossing.stop.at;
  // Tools may want to know of what it does; not so of SEND, of which only the line is told, beforehand.
  if (opcode_at(instruction_of(outer)) >= stackless_first_instrumented && at.opcode != SEND) {
    return false;
  }
  return any_rule(at.opcode, [&](const Rule& rule) {
    crossing.operands = rule.operands == a_calls ? call_operands(at) : rule.operands;
    if (crossing.stop.height - crossing.operands < code_of(outer)->co_nlocalsplus ||
        (inner == nullptr && !rule.continuation.asks)) {
      return false;
    }
    *joint = {};
    joint->height = crossing.stop.height;
    joint->pops = crossing.operands;
    joint->stale = stale_operands(at);
    joint->continuation = &rule.continuation;
    return rule.holds(crossing, joint);
  });
}

bool may_end(PyCodeObject* code, int instruction, int height, const Joint& joint) noexcept {
  const CodeMap* map = code_map(code);
  if (map == nullptr || instruction < 0 || instruction >= map->size) {
    PyErr_Clear();
    return false;
  }
  while (instruction > 0 && map->instructions[instruction].opcode == CACHE) {  // 3.11
    --instruction;
  }
  const Instruction& at = map->instructions[instruction];
  const Continuation* continuation = joint.continuation;
  return continuation->fits({code, at, height, joint.argument}) &&
         any_rule(at.opcode, [=](const Rule& rule) { return &rule.continuation == continuation; });
}

namespace {

std::array<const Continuation*, most_continuations> by_number;

int number_continuations() {
  for (std::span<const Rule> table : tables()) {
    for (const Rule& rule : table) {
      const Continuation*& found = by_number[static_cast<std::size_t>(rule.continuation.number)];
      if (found != nullptr && found != &rule.continuation) {
        PyErr_Format(PyExc_SystemError, "%s and %s have the same number in pickles", found->name,
                     rule.continuation.name);
        return -1;
      }
      found = &rule.continuation;
    }
  }
  return 0;
}

}  // namespace

const Continuation* continuation_of(int number) noexcept {
  bool is_number = number >= 0 && static_cast<std::size_t>(number) < most_continuations;
  return is_number ? by_number[static_cast<std::size_t>(number)] : nullptr;
}

int init_rules() {
  if (init_known_objects() < 0 || init_wrappers() < 0 || init_operators() < 0 ||
      init_conversions() < 0 || init_classes() < 0) {
    return -1;
  }
  return number_continuations() < 0 ? -1 : init_continuation_frames();
}

}  // namespace stackless::interp
