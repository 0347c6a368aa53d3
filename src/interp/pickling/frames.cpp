#include "interp/pickling/frames.hpp"

#include <frameobject.h>

#include <cstring>
#include <memory>
#include <new>

#include "interp/frames/call_position.hpp"
#include "interp/frames/running_generators.hpp"
#include "interp/freezing/frozen.hpp"
#include "interp/freezing/thaw.hpp"
#include "interp/pickling/code_hash.hpp"
#include "interp/pickling/frame_record.hpp"
#include "interp/pickling/placeholders.hpp"
#include "interp/rules/continuation_frame.hpp"
#include "interp/versions/facts.hpp"
#include "object/reference.hpp"

namespace stackless::interp {

namespace {

std::int32_t check_of_joint(const Joint& joint, int inner) {
  return check_of(Sort::joint, inner, joint.continuation->number, joint.argument, 0, "", 0);
}

PyObject* make_joint_entry(const Joint& joint, int inner) {
  return Py_BuildValue("(iiiOO)", joint.continuation->number, joint.argument,
                       check_of_joint(joint, inner), joint.kept != nullptr ? joint.kept : Py_None,
                       joint.second != nullptr ? joint.second : Py_None);
}

bool is_joint_entry(PyObject* entry) {
  return PyTuple_CheckExact(entry) && PyTuple_GET_SIZE(entry) == fixed_items - 1;
}

// What an entry says that its check is: that of the next outer one counts it in, so that no frame comes to
// stand on another. 0 if it says nothing; then it is refused itself.
int check_in(PyObject* entry) {
  int check = 0;
  if (is_joint_entry(entry)) {
    get_int(PyTuple_GET_ITEM(entry, 2), INT32_MIN, INT32_MAX, &check);
  } else if (PyTuple_CheckExact(entry) && PyTuple_GET_SIZE(entry) >= fixed_items) {
    get_int(PyTuple_GET_ITEM(entry, 4), INT32_MIN, INT32_MAX, &check);
  }
  return check;
}

}  // namespace

bool hash_codes(const Frozen* frozen) {
  _PyInterpreterFrame* f = frozen->inner;
  for (int i = frozen->frames; i-- > 0; f = f->previous) {
    PyCodeObject* code = code_of(f);
    if (Joint joint; !read_continuation_frame(f, &joint) && !has_hash(code)) {
      auto keep = Object::share(reinterpret_cast<PyObject*>(code));
      code_hash(code);
      return false;
    }
  }
  return true;
}

PyObject* take_apart(const Frozen* frozen) {
  NoCollection undisturbed;
  Object list = Object::steal(PyList_New(frozen->frames));
  _PyInterpreterFrame* f = frozen->inner;
  int inner = 0;
  for (int i = frozen->frames; list != nullptr && i-- > 0; f = f->previous) {
    Joint joint;
    PyObject* entry;
    if (read_continuation_frame(f, &joint)) {
      entry = make_joint_entry(joint, inner);
    } else {
      bool innermost = f == frozen->inner;
      PyObject* owner =
          is_on_data_stack(f) ? function_of(f) : reinterpret_cast<PyObject*>(generator_of(f));
      entry = make_entry(f, owner, innermost ? Sort::inner : Sort::outer, inner,
                         height_of(f) - (innermost ? frozen->pops : 0));
    }
    if (entry == nullptr) {
      return nullptr;
    }
    PyList_SET_ITEM(list.get(), i, entry);
    inner = check_in(entry);
  }
  return list.release();
}

PyObject* handled_exceptions(Frozen* frozen) {
  NoCollection undisturbed;
  auto for_each = [&](auto visit) {
    for_each_generator(frozen,
                       [&](PyGenObject* generator) { visit(generator->gi_exc_state.exc_value); });
    visit(frozen->exc_value);
  };
  Py_ssize_t size = 0;
  bool any = false;
  for_each([&](PyObject* value) {
    ++size;
    any = any || (value != nullptr && value != Py_None);
  });
  if (!any) {
    return Py_NewRef(Py_None);
  }
  Object result = Object::steal(PyTuple_New(size));
  if (result == nullptr) {
    return nullptr;
  }
  Py_ssize_t i = 0;
  for_each([&](PyObject* value) {
    PyTuple_SET_ITEM(result.get(), i++, Py_NewRef(value != nullptr ? value : Py_None));
  });
  return result.release();
}

namespace {

struct Plan {
  Entry entry;
  PyGenObject* generator;  // or null
  Joint joint;
  bool is_joint;       // rather than an entry
  PyObject* operands;  // of the call that it makes again, or null

  int height() const {
    return entry.height + static_cast<int>(operands != nullptr ? PyTuple_GET_SIZE(operands) : 0);
  }
  std::size_t used() const { return used_words(is_joint ? continuation_height : height()); }
  std::size_t room() const {
    return static_cast<std::size_t>(is_joint ? continuation_words(*joint.continuation)
                                             : frame_words(entry.code));
  }
};

bool read_joint(PyObject* tuple, int inner, Plan* plan) {
  int number, check;
  plan->is_joint = true;
  auto item = [&](Py_ssize_t i) { return PyTuple_GET_ITEM(tuple, i); };
  if (!get_int(item(0), 0, most_continuations - 1, &number) ||
      !get_int(item(1), 0, largest_argument, &plan->joint.argument) ||
      !get_int(item(2), INT32_MIN, INT32_MAX, &check) || continuation_of(number) == nullptr ||
      !continuation_of(number)->has_frame()) {
    return altered("there is no such code between two frames");
  }
  plan->joint.continuation = continuation_of(number);
  if (check != check_of_joint(plan->joint, inner)) {
    return altered("the code between two frames has been altered");
  }
  plan->joint.kept = look_through(item(3));
  plan->joint.second = look_through(item(4));
  return true;
}

// Code that waits for a generator stands between one that runs and its caller; the innermost may be one that waits
// for an iterator without a frame.
bool joints_fit(Plan* plans, Py_ssize_t count) {
  for (Py_ssize_t i = 0; i < count; ++i) {
    if (!plans[i].is_joint) {
      continue;
    }
    bool last = i == count - 1;
    const Continuation& continuation = *plans[i].joint.continuation;
    bool fits = last ? continuation.asks : !plans[i + 1].is_joint;
    PyGenObject* generator = last ? nullptr : plans[i + 1].generator;
    if (i == 0 || !fits || plans[i - 1].is_joint ||
        (generator != nullptr) != continuation.waits_for_generator()) {
      return altered("a frame waits for nothing");
    }
    const Entry& outer = plans[i - 1].entry;
    if (!may_end(outer.code, outer.instruction, outer.height, plans[i].joint)) {
      return altered("the code between two frames has been altered");
    }
    plans[i].joint.generator = reinterpret_cast<PyObject*>(generator);
  }
  return true;
}

bool read_plan(PyObject* entries, std::unique_ptr<Plan[]>* plans, Py_ssize_t* generators) {
  Py_ssize_t count = PyList_GET_SIZE(entries);
  for (Py_ssize_t i = 0; i < count; ++i) {
    Plan* plan = &(*plans)[static_cast<std::size_t>(i)];
    PyObject* tuple = PyList_GET_ITEM(entries, i);
    bool last = i == count - 1;
    int inner = last ? 0 : check_in(PyList_GET_ITEM(entries, i + 1));
    if (is_joint_entry(tuple)) {
      if (!read_joint(tuple, inner, plan)) {
        return false;
      }
      continue;
    }
    PyObject* owner = PyTuple_CheckExact(tuple) && PyTuple_GET_SIZE(tuple) > 0
                          ? PyTuple_GET_ITEM(tuple, 0)
                          : nullptr;
    PyObject* function = nullptr;
    if (owner != nullptr && is_generator(owner)) {
      plan->generator = as_generator(owner);
      function = function_in_generator(owner);
      if (function == nullptr || !is_untouched(plan->generator)) {
        PyErr_Format(PyExc_ValueError, "the generator %U is running in another tasklet",
                     plan->generator->gi_qualname);
        return false;
      }
      for (Py_ssize_t j = 0; j < i; ++j) {
        if ((*plans)[static_cast<std::size_t>(j)].generator == plan->generator) {
          return altered("a generator runs twice");
        }
      }
      ++*generators;
    }
    if (!read_entry(tuple, function, last ? Sort::inner : Sort::outer, inner, &plan->entry)) {
      return false;
    }
  }
  return joints_fit(plans->get(), count);
}

// Whether the plan's frame stands at a call with these operands.
bool takes(const Plan& plan, PyObject* operands) {
  const CodeMap* map = code_map(plan.entry.code);
  if (map == nullptr || plan.is_joint || plan.entry.instruction < 0) {
    return false;
  }
  const Instruction& at = *passed_instruction(plan.entry.code, plan.entry.instruction);
  Py_ssize_t size = PyTuple_GET_SIZE(operands);
  return at.opcode == CALL && size == call_operands(at) &&
         plan.entry.height + size <=
             plan.entry.code->co_nlocalsplus + plan.entry.code->co_stacksize;
}

void push(_PyInterpreterFrame* f, PyObject* operands) {
  int height = height_of(f);
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(operands); ++i) {
    PyObject* operand = PyTuple_GET_ITEM(operands, i);
    f->localsplus[height++] = make_slot(operand != Py_None ? Py_NewRef(operand) : nullptr);
  }
  set_height(f, height);
}

// Puts frame by frame into the block, innermost first; false with an exception set.
bool place_frames(Frozen* frozen, const Plan* plans, Py_ssize_t count) {
  Slot* words = frozen->words();
  _PyInterpreterFrame** link = &frozen->inner;
  for (Py_ssize_t i = count; i-- > 0;) {
    const Plan& plan = plans[i];
    _PyInterpreterFrame* f;
    if (plan.is_joint) {
      f = make_continuation_frame(words, plan.joint);
      words += plan.used();
    } else if (plan.generator != nullptr) {
      f = frame_in(plan.generator);
      plan.generator->gi_frame_state = FRAME_EXECUTING;
      set_entry(f, true);
    } else {
      f = reinterpret_cast<_PyInterpreterFrame*>(words);
      words += plan.used();
      std::memset(static_cast<void*>(f), 0, special_words * sizeof(Slot));
      set_owner(f, plan.entry.function);
      set_code(f, Py_NewRef(reinterpret_cast<PyObject*>(plan.entry.code)));
      f->owner = FRAME_OWNED_BY_THREAD;
      set_height(f, 0);
    }
    *link = f;
    link = &f->previous;
    *link = nullptr;
    ++frozen->frames;
    if (!plan.is_joint && !fill(f, plan.entry)) {
      return false;
    }
    if (plan.operands != nullptr) {
      push(f, plan.operands);
      frozen->pops = static_cast<unsigned>(PyTuple_GET_SIZE(plan.operands));
    }
  }
  return true;
}

void place_exceptions(Frozen* frozen, const Plan* plans, Py_ssize_t count, PyObject* exceptions) {
  Py_ssize_t next = 0;
  auto take = [&] {
    return exceptions == Py_None ? nullptr : handled(PyTuple_GET_ITEM(exceptions, next++));
  };
  for (Py_ssize_t i = count; i-- > 0;) {
    if (PyGenObject* generator = plans[i].generator) {
      replace_reference(generator->gi_exc_state.exc_value, Object::steal(take()));
    }
  }
  frozen->exc_value = take();
}

}  // namespace

PyObject* method_operands(Py_ssize_t count, PyObject* method, PyObject* object,
                          PyObject* argument) {
  switch (count) {
    case 3:
      return PyTuple_Pack(3, method, object, argument);
    case 4:
      return callable_comes_first ? PyTuple_Pack(4, method, Py_None, object, argument)
                                  : PyTuple_Pack(4, Py_None, method, object, argument);
    default:
      altered("a call has another number of arguments");
      return nullptr;
  }
}

Frozen* put_together(PyObject* entries, PyObject* exceptions, PyObject* operands) {
  Py_ssize_t count = PyList_GET_SIZE(entries), generators = 0;
  std::unique_ptr<Plan[]> plans(new (std::nothrow) Plan[static_cast<std::size_t>(count)]());
  if (plans == nullptr) {
    PyErr_NoMemory();
    return nullptr;
  }
  if (count == 0) {
    altered("a tasklet stands nowhere");
    return nullptr;
  }
  if (!read_plan(entries, &plans, &generators)) {
    return nullptr;
  }
  if (operands != nullptr) {
    Plan& inner = plans[static_cast<std::size_t>(count - 1)];
    if (!takes(inner, operands)) {
      altered("a frame doesn't stand at the call that it is to make again");
      return nullptr;
    }
    inner.operands = operands;
  }
  bool fits = exceptions == Py_None ||
              (PyTuple_CheckExact(exceptions) && PyTuple_GET_SIZE(exceptions) == generators + 1);
  for (Py_ssize_t i = 0; fits && exceptions != Py_None && i <= generators; ++i) {
    fits = is_exception_or_none(PyTuple_GET_ITEM(exceptions, i));
  }
  if (!fits) {
    altered("a frame handles what is no exception");
    return nullptr;
  }
  std::size_t used = 0, room = 0;
  for (Py_ssize_t i = 0; i < count; ++i) {
    const Plan& plan = plans[static_cast<std::size_t>(i)];
    if (plan.generator == nullptr) {
      used += plan.used();
      room += plan.room();
    }
  }
  if (used >= most_words || static_cast<std::size_t>(count) >= most_words / special_words) {
    PyErr_NoMemory();
    return nullptr;
  }
  Frozen* frozen = new_block(used);
  if (frozen == nullptr) {
    PyErr_NoMemory();
    return nullptr;
  }
  *frozen = {};
  frozen->floating.save();
  frozen->used_words = static_cast<std::uint32_t>(used);
  bool complete = place_frames(frozen, plans.get(), count);
  if (complete && needs_room(room)) {
    Extras* extras = extras_of(frozen);
    if (extras == nullptr || (extras->room = make_room(room)) == nullptr) {
      PyErr_NoMemory();
      complete = false;
    }
  }
  if (!complete) {
    drop(frozen);
    return nullptr;
  }
  place_exceptions(frozen, plans.get(), count, exceptions);
  return frozen;
}

// ---- tracebacks ----------------------------------------------------------------------------------------

PyObject* new_frame(PyThreadState* ts, PyObject* code, PyObject* globals, PyObject* back) {
  PyFrameObject* frame = PyFrame_New(ts, reinterpret_cast<PyCodeObject*>(code), globals, nullptr);
  if (frame != nullptr) {
    frame->f_back = reinterpret_cast<PyFrameObject*>(Py_XNewRef(back));
  }
  return reinterpret_cast<PyObject*>(frame);
}

}  // namespace stackless::interp
