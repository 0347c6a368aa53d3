#include "interp/freezing/find_halt.hpp"

#include <new>

#include "interp/frames/call_position.hpp"
#include "interp/frames/code_map.hpp"
#include "interp/frames/hidden_frames.hpp"
#include "interp/frames/loops.hpp"
#include "interp/freezing/frozen.hpp"
#include "interp/rules/continuation_frame.hpp"
#include "interp/rules/crossing.hpp"
#include "interp/rules/rules.hpp"
#include "interp/rules/wrapping_iterators.hpp"
#include "interp/switching/switch.hpp"
#include "interp/versions/opcodes.hpp"

namespace stackless::interp {

Halt::Halt() = default;
Halt::~Halt() = default;

Pin find_call(_PyInterpreterFrame* frame, const Stop& stop, Halt* halt) {
  bool watched = opcode_at(instruction_of(frame)) >= stackless_first_instrumented;
  if (stop.at->opcode == FOR_ITER) {
    int iterator = stop.height - (iterators_have_index ? 2 : 1);
    // The end of a loop takes something off (frames/call_position.hpp, end_loop).
    if (iterator < 1) {
      return Pin::instruction;
    }
    halt->height = stop.height;
    halt->iterator = object_in(frame->localsplus[iterator]);
    return watched ? Pin::tool : Pin::none;
  }
  int operands = call_operands(*stop.at);
  if (operands == 0 || operands > most_pops ||
      stop.height - operands < code_of(frame)->co_nlocalsplus) {
    return Pin::instruction;
  }
  halt->height = stop.height;
  halt->arguments = stop.at->argument;
  halt->pops = operands;
  halt->merges = stop.at->opcode == CALL_FUNCTION_EX;
  if (halt->merges) {
    // The interpreter has made a tuple of some of its operands. They die with that.
    halt->height -= operands;
    halt->pops = 0;
    halt->arguments = -1;
  }
  halt->function = c_function(callable_at(frame, stop, operands));
  if (halt->function == nullptr) {
    return Pin::callee;
  }
  return watched ? Pin::tool : Pin::none;
}

namespace {

// A frame, and the height of its value stack.
struct Position {
  _PyInterpreterFrame* frame;
  int height;
};

bool count_frame(_PyInterpreterFrame* f, int height, Halt* halt) {
  if (height < 0) {
    return false;
  }
  ++halt->frames;
  if (is_on_data_stack(f)) {
    halt->used_words += used_words(height);
    halt->room_words += static_cast<std::size_t>(frame_words(code_of(f)));
    return true;
  }
  ++halt->generators;
  halt->generator_words += used_words(height);
  return f->owner == FRAME_OWNED_BY_GENERATOR;
}

// Notes what C code stands between the two, and where the outer one stands.
Pin add_joint(_PyInterpreterFrame* outer, _PyInterpreterFrame* inner, Halt* halt,
              Position* position) {
  Joint joint;
  if (is_entry_only(outer) || !find_joint(outer, inner, &joint)) {
    return Pin::loops;
  }
  try {
    halt->joints.push_back(joint);
  } catch (const std::bad_alloc&) {
    return Pin::memory;
  }
  halt->merges = true;
  if (joint.continuation->has_frame()) {
    ++halt->frames;
    halt->used_words += used_words(continuation_height);
    halt->room_words += static_cast<std::size_t>(continuation_words(*joint.continuation));
  }
  *position = joint.again ? Position{outer->previous, height_of(outer->previous)}
                          : Position{outer, joint.height - joint.pops};
  return Pin::none;
}

// Whether what has been called may be C code that asks an iterator.
bool may_ask(const Halt& halt) {
  return halt.iterator != nullptr ? is_wrapper(halt.iterator) : halt.function == builtins.next;
}

// What the innermost frame has called, perhaps through C code, and where it stands.
Pin find_innermost(_PyInterpreterFrame* f, CallMark mark, Halt* halt, Position* position) {
  Stop stop;
  Pin pin = find_stop(f, &stop);
  if (pin == Pin::none && is_under_way(f, stop, mark)) {
    pin = find_call(f, stop, halt);
    *position = {f, halt->height};
    return pin;
  }
  // Unless C code asks an iterator of ours, the frame's call is over, and what it has called may be
  // gone.
  bool asks =
      mark.kind() == CallMark::Kind::turn &&
      (is_own(f) || (pin == Pin::none && find_call(f, stop, halt) == Pin::none && may_ask(*halt)));
  if (!asks || add_joint(f, nullptr, halt, position) != Pin::none ||
      loop_mark(halt->joints.back().asked) != mark) {
    return pin != Pin::none ? pin : Pin::callee;
  }
  halt->asks = true;
  halt->function = nullptr;
  halt->iterator = halt->joints.back().asked;
  halt->pops = 0;
  return Pin::none;
}

}  // namespace

Pin find_halt(PyThreadState* ts, Parked* parked, Halt* halt, CallMark mark) noexcept {
  _PyInterpreterFrame* f = top_of(ts, parked);
  if (f == bottom(ts) || f == nullptr) {
    return Pin::no_frame;
  }
  if (!generators_end_loops && is_entry(f)) {
    return Pin::callee;
  }
  if (parked != nullptr ? runs_machine_code(parked->share) : runs_machine_code(ts)) {
    return Pin::jit;
  }
  Position position;
  if (Pin pin = find_innermost(f, parked != nullptr ? parked->mark : mark, halt, &position);
      pin != Pin::none) {
    return pin;
  }
  if (traced_calls_hold_references &&
      (Tracing::is_any(ts) || (parked != nullptr && parked->share.traced))) {
    return Pin::tool;
  }
  for (;;) {
    f = position.frame;
    if (!count_frame(f, position.height, halt)) {
      return Pin::frame;
    }
    switch (end_of(ts, f)) {
      case End::no:
        position = {f->previous, height_of(f->previous)};
        break;
      case End::loop: {
        _PyInterpreterFrame* outer = outer_of(f->previous);
        if (outer == nullptr || outer == bottom(ts)) {
          return Pin::frame;
        }
        if (Pin pin = add_joint(outer, f, halt, &position); pin != Pin::none) {
          halt->pinned_at = outer;
          halt->pinned_by = f;
          return pin;
        }
        break;
      }
      case End::all:
        halt->outermost = function_of(f);
        return halt->used_words + halt->generator_words < most_words ? Pin::none : Pin::memory;
    }
  }
}

int pins(PyThreadState* ts, Suspended tasklet) noexcept {
  if (tasklet.frozen != nullptr) {
    return 0;
  }
  int count = 0;
  _PyInterpreterFrame* f = top_of(ts, tasklet.parked);
  while (f != nullptr && f != bottom(ts)) {
    End end = is_entry_only(f) ? End::no : end_of(ts, f);
    if (end == End::all) {
      break;
    }
    _PyInterpreterFrame* caller = f->previous;
    if (end == End::loop) {
      caller = outer_of(caller);
      Joint joint;
      bool known = caller != nullptr && !is_entry_only(caller) && find_joint(caller, f, &joint);
      count += known ? 0 : 1;
    }
    f = caller;
  }
  return count;
}

namespace {

// Whether one of those names, or one in a module that they name, is that of the object.
bool is_named(PyObject* names, const PyObject* object, bool in_modules) {
  PyObject *name, *value;
  Py_ssize_t position = 0;
  while (PyDict_Check(names) && PyDict_Next(names, &position, &name, &value) != 0) {
    if (value == object ||
        (in_modules && PyModule_Check(value) && is_named(PyModule_GetDict(value), object, false))) {
      return true;
    }
  }
  return false;
}

// Whether what has been called is sure to be there still, if that call may be over. A method of C
// code that has been got with its object is its class's.
bool is_kept(_PyInterpreterFrame* f, const Slot* operands, const PyObject* callable) {
  bool has_object = object_in(operands[callable_comes_first ? 1 : 0]) != nullptr;
  return !calls_drop_callable_first || has_object || is_named(f->f_builtins, callable, false) ||
         is_named(f->f_globals, callable, true);
}

}  // namespace

PinPlace find_pin(PyThreadState* ts, Parked* parked) noexcept {
  _PyInterpreterFrame* f = top_of(parked->share);
  if (f == nullptr || f == bottom(ts)) {
    return {};
  }
  // The innermost frame, if it is that which called something else than a function of ours; else
  // the one that called the C code which entered a loop.
  Halt halt;
  _PyInterpreterFrame* inner = nullptr;
  if (find_halt(ts, parked, &halt) == Pin::loops) {
    f = halt.pinned_at;
    inner = halt.pinned_by;
  }
  while (f != nullptr && f != bottom(ts) && !is_python(f)) {
    f = f->previous;
  }
  if (f == nullptr || f == bottom(ts)) {
    return {};
  }
  PinPlace place;
  place.code = code_of(f);
  int index = instruction_index(f);
  place.line = PyCode_Addr2Line(place.code, index * static_cast<int>(sizeof(_Py_CODEUNIT)));
  Stop stop;
  if (find_stop(f, &stop) == Pin::none) {
    int operands = call_operands(*stop.at);
    bool calls = operands != 0 && stop.height - operands >= place.code->co_nlocalsplus;
    PyObject* callable = calls ? callable_at(f, stop, operands) : nullptr;
    // Some functions use the slot of what was called for something else
    // (PY_VECTORCALL_ARGUMENTS_OFFSET).
    bool over = inner != nullptr ? may_have_dropped(f, inner, stop)
                                 : calls && !is_under_way(f, stop, parked->mark);
    bool gone = over && !(calls && is_kept(f, f->localsplus + stop.height - operands, callable));
    bool known =
        !gone && callable != nullptr && PyCallable_Check(callable) && !PyFunction_Check(callable);
    place.callable = known ? callable : nullptr;
    place.opcode = stop.at->opcode;
    if (place.opcode == FOR_ITER && !gone) {
      int iterator = stop.height - (iterators_have_index ? 2 : 1);
      place.iterates = Py_TYPE(object_in(f->localsplus[iterator]));
    }
  }
  PyErr_Clear();
  return place;
}

const void* call_of(const Frozen* frozen) noexcept { return instruction_of(frozen->inner); }

const void* call_of(PyThreadState* ts, Parked* parked) noexcept {
  _PyInterpreterFrame* f = top_of(ts, parked);
  if (f == bottom(ts) || is_entry_only(f)) {
    return nullptr;
  }
  if (Stop stop; !frames_remember_return && find_stop(f, &stop) != Pin::none) {
    return nullptr;
  }
  return after_call(f);
}

}  // namespace stackless::interp
