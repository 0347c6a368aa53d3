#include "interp/pickling/rebuild.hpp"

#include <utility>

#include "interp/freezing/frozen.hpp"
#include "interp/pickling/frame_record.hpp"

namespace stackless::interp {

PyObject* operands_of(const Frozen* frozen) {
  _PyInterpreterFrame* f = frozen->inner;
  int height = height_of(f);
  PyObject* result = PyTuple_New(frozen->pops);
  for (int i = 0; result != nullptr && i < frozen->pops; ++i) {
    PyObject* object = object_in(f->localsplus[height - frozen->pops + i]);
    PyTuple_SET_ITEM(result, i, Py_NewRef(object != nullptr ? object : Py_None));
  }
  return result;
}

namespace {

// Leaves the frame of a generator ready to be filled.
void strip_in_place(_PyInterpreterFrame* f) {
  pop_slots(f, 0);
  instruction_of(f) = before_first(code_of(f));
}

}  // namespace

void strip(Frozen* frozen) {
  // put_together() links the generators' frames anew: of the old chain only the others remain.
  _PyInterpreterFrame** link = &frozen->inner;
  unsigned remaining = 0;
  for_each_frame(frozen, [&](_PyInterpreterFrame* f) {
    if (!is_on_data_stack(f)) {
      strip_in_place(f);
      return;
    }
    pop_slots(f, 0);
    *link = f;
    link = &f->previous;
    ++remaining;
  });
  *link = nullptr;
  frozen->frames = remaining;
}

void replace(Frozen* old, Frozen* fresh) {
  fresh->floating = old->floating;
  if (fresh->extras == nullptr) {
    std::swap(fresh->extras, old->extras);  // more room than it needs does no harm
  } else if (old->extras != nullptr) {
    std::swap(fresh->extras->functions, old->extras->functions);
  }
  _PyInterpreterFrame* from = old->inner;
  for_each_frame(fresh, [&](_PyInterpreterFrame* f) {
    if (!is_on_data_stack(f)) {
      return;
    }
    if (f->f_locals == nullptr) {  // else it has been pickled
      f->f_locals = std::exchange(from->f_locals, nullptr);
    }
    f->frame_obj = std::exchange(from->frame_obj, nullptr);
    if (f->frame_obj != nullptr) {
      f->frame_obj->f_frame = f;
    }
    from = from->previous;
  });
  drop(old);
}

int rebuild(PyObject* object, PyObject* state) {
  PyGenObject* generator = as_generator(object);
  if (generator->gi_frame_state >= FRAME_EXECUTING) {
    PyErr_SetString(PyExc_ValueError, "only a suspended generator can be rebuilt");
    return -1;
  }
  strip_in_place(frame_in(generator));
  generator->gi_frame_state = FRAME_EXECUTING;  // nobody runs it before it is filled
  return fill_generator(object, state);
}

}  // namespace stackless::interp
