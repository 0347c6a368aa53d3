#include "interp/shim.hpp"

#include <array>

#include "interp/monitoring.hpp"
#if PY_VERSION_HEX >= 0x030D0000
#include <opcode_ids.h>
#else
#include <opcode.h>
#endif

namespace stackless::interp {

namespace {

struct EndingObject {
  PyObject_HEAD
  Ending ending;
};

constexpr std::size_t endings = 2;
std::array<PyObject*, endings> ending_objects;
PyObject* shim_code;

// What type.__call__() does when __init__() returns (Objects/typeobject.c, slot_tp_init).
PyObject* finish_instance(PyObject* kept, PyObject* value) {
  if (value != Py_None) {
    PyErr_Format(PyExc_TypeError, "__init__() should return None, not '%.200s'",
                 Py_TYPE(value)->tp_name);
    return nullptr;
  }
  return Py_NewRef(kept);
}

PyObject* finish(Ending ending, PyObject* kept, PyObject* value) {
  switch (ending) {
    case Ending::instance:
      return finish_instance(kept, value);
    case Ending::push:
      break;
  }
  return Py_NewRef(value);
}

// The shim's BINARY_OP.
PyObject* complete(PyObject* self, PyObject* value) {
  if (Py_TYPE(self)->tp_as_number == nullptr || Py_TYPE(self)->tp_as_number->nb_add != complete) {
    Py_RETURN_NOTIMPLEMENTED;
  }
  _PyInterpreterFrame* shim = top_of(PyThreadState_Get());
  Slot& bottom = shim->localsplus[0];
  PyObject* kept = object_in(bottom);
  PyObject* result = finish(reinterpret_cast<EndingObject*>(self)->ending, kept, value);
  if (result == nullptr) {
    return nullptr;
  }
  bottom = make_slot(result);
  Py_DECREF(kept);
  return Py_NewRef(Py_None);
}

PyNumberMethods ending_number = {.nb_add = complete};
PyTypeObject EndingType = {
    .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
    .tp_name = "stackless._ending",
    .tp_basicsize = sizeof(EndingObject),
    .tp_as_number = &ending_number,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc =
        "How an instruction of the interpreter is completed that has called Python code through C.",
};

}  // namespace

int shim_words() { return frame_words(reinterpret_cast<PyCodeObject*>(shim_code)); }

_PyInterpreterFrame* make_shim(Slot* place, const Joint& joint) {
  _PyInterpreterFrame* f = make_frame(place, shim_code);
  PyObject* kept = joint.kept != nullptr ? joint.kept : Py_None;
  f->localsplus[0] = make_slot(Py_NewRef(kept));
  f->localsplus[1] = make_slot(Py_NewRef(Py_None));
  f->localsplus[2] = make_slot(Py_NewRef(ending_objects[static_cast<std::size_t>(joint.ending)]));
  set_height(f, shim_height);
  return f;
}

int init_shims() {
  // The RESUME never runs: sys.monitoring refuses code without one.
  shim_code = assemble("<shim>", {{BINARY_OP}, {POP_TOP}, {POP_TOP}, {RETURN_VALUE}, {RESUME}});
  if (shim_code == nullptr || PyType_Ready(&EndingType) < 0) {
    return -1;
  }
  for (std::size_t i = 0; i < endings; ++i) {
    auto* object = PyObject_New(EndingObject, &EndingType);
    if (object == nullptr) {
      return -1;
    }
    object->ending = static_cast<Ending>(i);
    ending_objects[i] = reinterpret_cast<PyObject*>(object);
  }
  return hide_from_tools(shim_code);
}

}  // namespace stackless::interp
