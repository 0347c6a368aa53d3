#include "runtime/waiting/signals.hpp"

#include <cstddef>

#include "runtime/scheduler/callbacks.hpp"

namespace stackless {

namespace {

struct Handler {
  PyObject_HEAD
  PyObject* handler;
};

PyObject*& handler_in(PyObject* self) { return reinterpret_cast<Handler*>(self)->handler; }

PyObject* handler_new(PyTypeObject* type, PyObject* args, PyObject*) {
  PyObject* handler;
  if (!PyArg_ParseTuple(args, "O:_Handler", &handler)) {
    return nullptr;
  }
  PyObject* self = type->tp_alloc(type, 0);
  if (self != nullptr) {
    handler_in(self) = Py_NewRef(handler);
  }
  return self;
}

PyObject* handler_call(PyObject* self, PyObject* args, PyObject* keywords) {
  Scheduler* s = scheduler();
  if (s == nullptr) {
    return nullptr;
  }
  Locked locked(s);
  Object handler = Object::share(handler_in(self));  // it may install another one
  return PyObject_Call(handler.get(), args, keywords);
}

int handler_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(handler_in(self));
  return 0;
}
int handler_clear(PyObject* self) {
  clear_reference(handler_in(self));
  return 0;
}
void handler_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  handler_clear(self);
  Py_TYPE(self)->tp_free(self);
}

PyObject* get_handler(PyObject* self, void*) { return Py_NewRef(handler_in(self)); }

PyGetSetDef handler_attributes[] = {
    {"handler", get_handler, nullptr, "What the program has given to signal.signal().", nullptr},
    {},
};

}  // namespace

PyTypeObject HandlerType = {
    .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
    .tp_name = "stackless._Handler",
    .tp_basicsize = sizeof(Handler),
    .tp_dealloc = handler_dealloc,
    .tp_call = handler_call,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "_Handler(handler, /)\n--\n\nA signal handler that can't switch tasklets.\n",
    .tp_traverse = handler_traverse,
    .tp_clear = handler_clear,
    .tp_getset = handler_attributes,
    .tp_new = handler_new,
};

}  // namespace stackless
