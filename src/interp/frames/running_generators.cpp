#include "interp/frames/running_generators.hpp"

#include <cstddef>

#include "interp/versions/version.hpp"

namespace stackless::interp {

PyGenObject* generator_of(_PyInterpreterFrame* frame) {
  return reinterpret_cast<PyGenObject*>(reinterpret_cast<char*>(frame) -
                                        offsetof(PyGenObject, gi_iframe));
}

namespace {

destructor close_generator;

// A generator that is running can't be closed: CPython would say so on stderr (Objects/genobject.c,
// _PyGen_Finalize; there it doesn't happen, since a running one is always reachable). When its
// tasklet is garbage, too, that one's end is the generator's. Should it live on, this call doesn't
// count: the collector marks whom it has finalized by the lowest bit of _gc_prev
// (Include/internal/pycore_gc.h).
void finalize(PyObject* object) {
  if (reinterpret_cast<PyGenObject*>(object)->gi_frame_state == FRAME_EXECUTING) {
    reinterpret_cast<std::uintptr_t*>(object)[-1] &= ~std::uintptr_t{1};
    return;
  }
  close_generator(object);
}

}  // namespace

void spare_running_generators() noexcept {
  if (PyGen_Type.tp_finalize == finalize) {
    return;
  }
  close_generator = PyGen_Type.tp_finalize;
  for (PyTypeObject* type : {&PyGen_Type, &PyCoro_Type, &PyAsyncGen_Type}) {
    if (type->tp_finalize == close_generator) {
      type->tp_finalize = finalize;
    }
  }
}

}  // namespace stackless::interp
