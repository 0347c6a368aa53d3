#include "interp/freezing/gc_traverse.hpp"

#include "interp/frames/call_position.hpp"
#include "interp/frames/code_map.hpp"
#include "interp/freezing/freeze.hpp"
#include "interp/freezing/frozen.hpp"
#include "interp/rules/rules.hpp"
#include "interp/switching/switch.hpp"
#include "interp/versions/internals.h"

namespace stackless::interp {

namespace {

int traverse_slots(_PyInterpreterFrame* f, int first, int last, visitproc visit, void* arg) {
  for (int i = first; i < last; ++i) {
    if (owns(f->localsplus[i])) {
      Py_VISIT(object_in(f->localsplus[i]));
    }
  }
  return 0;
}

int traverse_specials(_PyInterpreterFrame* f, visitproc visit, void* arg) {
  Py_VISIT(f->f_locals);
  Py_VISIT(f->frame_obj);
  return visit_function_and_code(f, visit, arg);
}

int traverse_tracing(const Tracing& functions, visitproc visit, void* arg) {
  Py_VISIT(functions.trace_object);
  Py_VISIT(functions.profile_object);
  return 0;
}

int traverse_frozen(Frozen* frozen, visitproc visit, void* arg) {
  int result = 0;
  for_each_frame(frozen, [&](_PyInterpreterFrame* f) {
    if (result == 0 && is_on_data_stack(f)) {
      result = traverse_specials(f, visit, arg);
      result = result != 0 ? result : traverse_slots(f, 0, height_of(f), visit, arg);
    }
  });
  if (result != 0) {
    return result;
  }
  Py_VISIT(frozen->exc_value);
  Py_VISIT(frozen->context);
  const Extras* extras = frozen->extras;
  return extras != nullptr ? traverse_tracing(extras->functions, visit, arg) : 0;
}

// Visits the slots of a mounted tasklet's frame that are surely its own. While C code runs on its
// behalf, a frame of 3.13 or before doesn't know its height, and operands may have been lent or
// dropped. Beneath `inner` it has called C code that entered a loop; or if that is null, the call
// with `mark` may be its own.
int traverse_mounted_slots(_PyInterpreterFrame* f, _PyInterpreterFrame* inner, CallMark mark,
                           visitproc visit, void* arg) {
  if (int height = height_of(f); height >= 0) {
    return traverse_slots(f, 0, height, visit, arg);
  }
  int locals = code_of(f)->co_nlocalsplus;
  Stop stop;
  if (find_stop(f, &stop) != Pin::none) {
    return traverse_slots(f, 0, locals, visit, arg);
  }
  const Instruction& at = *stop.at;
  // Whether the instruction has called that code, and not a destructor in the course of it. A
  // generator may be one that is about to go, and runs its finally block.
  bool calls = inner != nullptr
                   ? is_on_data_stack(inner) && !is_finalizer(inner) && !drops_operands(f, stop)
                   : is_under_way(f, stop, mark);
  // An exception that is looking for its handler drops what lies on the value stack. It has made a
  // traceback before, and that a frame object (Python/ceval.c, error).
  if (!calls && f->frame_obj != nullptr) {
    return traverse_slots(f, 0, locals, visit, arg);
  }
  switch (int opcode = at.opcode; opcode) {
    case op::call_kw:
    case CALL: {
      // A callee that is no C function may borrow the slot before its arguments
      // (PY_VECTORCALL_ARGUMENTS_OFFSET).
      Halt halt;
      if (calls && find_call(f, stop, &halt) == Pin::none) {
        return traverse_slots(f, 0, halt.height, visit, arg);
      }
      int arguments = stop.height - at.argument - (at.opcode == op::call_kw ? 1 : 0);
      int result = traverse_slots(f, 0, arguments - 2, visit, arg);
      return result != 0 || !calls ? result : traverse_slots(f, arguments, stop.height, visit, arg);
    }
    // They keep their operands until they are done.
    case FOR_ITER:
    case SEND:
    case LOAD_ATTR:
    case STORE_ATTR:
    case BINARY_OP:
    case STORE_SUBSCR:
    case COMPARE_OP:
    case CONTAINS_OP:
    case GET_ITER:
    case WITH_EXCEPT_START:
      return traverse_slots(f, 0, stop.height - (calls ? 0 : dropped_at_once(at)), visit, arg);
    default:
      return traverse_slots(f, 0, locals, visit, arg);
  }
}

int traverse_parked(PyThreadState* ts, Parked* parked, visitproc visit, void* arg) {
  const Share& share = parked->share;
  _PyInterpreterFrame* inner =
      nullptr;  // the last one of the loop above, beneath which a loop begins
  for (_PyInterpreterFrame* f = top_of(share); f != nullptr && f != bottom(ts); f = f->previous) {
    int result = 0;
    if (is_entry_only(f)) {
      continue;
    }
    if (is_on_data_stack(f)) {
      result = traverse_specials(f, visit, arg);
      result = result != 0 ? result : traverse_mounted_slots(f, inner, parked->mark, visit, arg);
    } else if (!generators_show_running_frames && height_of(f) < 0) {
      result = traverse_mounted_slots(f, inner, parked->mark, visit, arg);
    }
    if (result != 0) {
      return result;
    }
    inner = end_of(ts, f) == End::no ? nullptr : f;
  }
  for (_PyErr_StackItem* item = share.exc_info; item != nullptr; item = item->previous_item) {
    if (item->previous_item == nullptr) {  // the others are generators'
      Py_VISIT(item->exc_value);
    }
  }
  Py_VISIT(share.context);
  return traverse_tracing(share.tracing_functions(), visit, arg);
}

}  // namespace

int traverse(PyThreadState* ts, Suspended tasklet, visitproc visit, void* arg) {
  if (tasklet.frozen != nullptr) {
    return traverse_frozen(tasklet.frozen, visit, arg);
  }
  return tasklet.parked != nullptr ? traverse_parked(ts, tasklet.parked, visit, arg) : 0;
}

}  // namespace stackless::interp
