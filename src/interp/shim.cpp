#include "interp/shim.hpp"

#include <array>

#include "interp/monitoring.hpp"
#include "interp/stop.hpp"
#if PY_VERSION_HEX >= 0x030D0000
#include <opcode_ids.h>
#else
#include <opcode.h>
#endif

extern "C" PyAPI_FUNC(int) _PyGen_SetStopIterationValue(PyObject*);

namespace stackless::interp {

namespace {

struct EndingObject {
  PyObject_HEAD
  Ending ending;
};

std::array<PyObject*, endings> ending_objects;
PyObject* shim_code;
PyObject* waiting_shim_code;

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
    case Ending::next:
      _PyGen_SetStopIterationValue(value);
      return nullptr;
    case Ending::next_or:
      return Py_NewRef(kept);
    case Ending::push:
    case Ending::generator:
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

namespace {

PyObject* code_for(Ending ending) {
  return waits_for_generator(ending) ? waiting_shim_code : shim_code;
}

}  // namespace

int shim_words(Ending ending) {
  return frame_words(reinterpret_cast<PyCodeObject*>(code_for(ending)));
}

_PyInterpreterFrame* make_shim(Slot* place, const Joint& joint) {
  _PyInterpreterFrame* f = make_frame(place, code_for(joint.ending));
  PyObject* kept = joint.kept != nullptr ? joint.kept : Py_None;
  int height = 0;
  auto push = [&](PyObject* value) { f->localsplus[height++] = make_slot(Py_XNewRef(value)); };
  push(kept);
  push(Py_None);
  push(ending_objects[static_cast<std::size_t>(joint.ending)]);
  if (waits_for_generator(joint.ending)) {
    push(joint.generator);
    if (PY_VERSION_HEX >= 0x030F0000) {
      push(nullptr);
    }
    instruction_of(f) = _PyCode_CODE(code_of(f));
    await_generator(f);
  }
  set_height(f, height);
  return f;
}

bool read_shim(_PyInterpreterFrame* f, Joint* joint) noexcept {
  *joint = {};
#if PY_VERSION_HEX >= 0x030D0000
  if (opcode_at(_PyCode_CODE(code_of(f))) == EXIT_INIT_CHECK) {
    joint->ending = Ending::instance;
    joint->kept = object_in(f->localsplus[0]);
    return true;
  }
#endif
  auto* code = reinterpret_cast<PyObject*>(code_of(f));
  if (code != shim_code && code != waiting_shim_code) {
    return false;
  }
  joint->ending = reinterpret_cast<EndingObject*>(object_in(f->localsplus[2]))->ending;
  joint->kept = object_in(f->localsplus[0]);
  if (waits_for_generator(joint->ending)) {
    joint->generator = object_in(f->localsplus[3]);
  }
  return true;
}

namespace {

#if PY_VERSION_HEX >= 0x030C0000
PyObject* assemble_waiting_shim() {
  constexpr int returns = 6;  // index of the second END_SEND, after those that have no caches
  return assemble("<shim>", {{SEND, returns},
                             {END_SEND},
                             {SWAP, 4},
                             {POP_TOP},
                             {POP_TOP},
                             {POP_TOP},
                             {RETURN_VALUE},
                             {END_SEND},
                             {BINARY_OP},
                             {POP_TOP},
                             {POP_TOP},
                             {RETURN_VALUE},
                             {RESUME}});
}
#else
PyObject* assemble_waiting_shim() { return Py_NewRef(shim_code); }
#endif

}  // namespace

int init_shims() {
  // The RESUME never runs: sys.monitoring refuses code without one.
  shim_code = assemble("<shim>", {{BINARY_OP}, {POP_TOP}, {POP_TOP}, {RETURN_VALUE}, {RESUME}});
  waiting_shim_code = shim_code != nullptr ? assemble_waiting_shim() : nullptr;
  if (waiting_shim_code == nullptr || PyType_Ready(&EndingType) < 0) {
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
  return hide_from_tools(shim_code) == 0 && hide_from_tools(waiting_shim_code) == 0 ? 0 : -1;
}

}  // namespace stackless::interp
