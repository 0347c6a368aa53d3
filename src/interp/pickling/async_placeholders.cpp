#include "interp/pickling/async_placeholders.hpp"

#include "interp/pickling/frames.hpp"
#include "interp/pickling/placeholders.hpp"

namespace stackless::interp {

namespace {

// ---- out -----------------------------------------------------------------------------------------------

// The arguments of athrow(), as a tuple; a new reference.
PyObject* thrown_by(PyObject* object) {
  PyObject** values = as_athrow(object)->values;
  if (!athrow_keeps_arguments_apart) {
    return Py_NewRef(values[0]);
  }
  PyObject *type = values[0], *traceback = values[1], *value = values[2];
  if (traceback != nullptr) {
    return PyTuple_Pack(3, type, value, traceback);
  }
  return value != nullptr ? PyTuple_Pack(2, type, value) : PyTuple_Pack(1, type);
}

PyObject* reduce(PyObject*, PyObject* object) {
  if (!is_awaitable(object)) {
    PyErr_SetString(PyExc_TypeError, "what asend() or athrow() returns is needed");
    return nullptr;
  }
  bool throws = Py_IS_TYPE(object, athrow_type), has_value = sends_or_throws(object);
  PyObject* value = !has_value ? Py_NewRef(Py_None)
                    : throws   ? thrown_by(object)
                               : Py_NewRef(as_asend(object)->values[0]);
  return value != nullptr ? Py_BuildValue("O()(ONiO)", throws ? &AthrowShell : &AsendShell,
                                          generator_driven_by(object), value, state_of(object),
                                          has_value ? Py_True : Py_False)
                          : nullptr;
}

// ---- and back ------------------------------------------------------------------------------------------

PyObject* make_shell(PyTypeObject* type, PyObject* args, PyObject*) {
  return PyArg_ParseTuple(args, ":awaitable") ? type->tp_alloc(type, 0) : nullptr;
}

// A shell holds nothing yet.
void shell_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  Py_TYPE(self)->tp_free(self);
}
int shell_traverse(PyObject*, visitproc, void*) { return 0; }

// A frame that awaits one takes for granted that it is an iterator.
PyObject* shell_next(PyObject*) {
  PyErr_SetString(PyExc_ValueError, "the snapshot is damaged: an awaitable has no state");
  return nullptr;
}

// Gives athrow() its arguments.
bool set_thrown(PyObject* self, PyObject* arguments) {
  constexpr Py_ssize_t most = 3;
  Py_ssize_t size = PyTuple_CheckExact(arguments) ? PyTuple_GET_SIZE(arguments) : 0;
  if (size < 1 || size > most) {
    PyErr_SetString(PyExc_ValueError, "the snapshot is damaged: athrow() has other arguments");
    return false;
  }
  auto item = [=](Py_ssize_t i) {
    return i < size ? Py_NewRef(look_through(PyTuple_GET_ITEM(arguments, i))) : nullptr;
  };
  PyObject** values = as_athrow(self)->values;
  if (athrow_keeps_arguments_apart) {
    values[0] = item(0);
    values[1] = item(2);
    values[2] = item(1);
    return true;
  }
  values[0] = PyTuple_New(size);
  for (Py_ssize_t i = 0; values[0] != nullptr && i < size; ++i) {
    PyTuple_SET_ITEM(values[0], i, item(i));
  }
  return values[0] != nullptr;
}

// The generator may still be a shell: it refuses to run.
PyObject* set_state(PyObject* self, PyObject* args) {
  PyObject *generator, *value;
  int state, has_value;
  if (!PyArg_ParseTuple(args, "(OOip):awaitable", &generator, &value, &state, &has_value)) {
    return nullptr;
  }
  bool fits =
      Py_IS_TYPE(generator, &PyAsyncGen_Type) || Py_IS_TYPE(generator, &AsyncGeneratorShell);
  if (!fits || state < awaitable_new || state > awaitable_closed) {
    PyErr_SetString(PyExc_ValueError,
                    "the snapshot is damaged: an awaitable's state is impossible");
    return nullptr;
  }
  bool throws = Py_IS_TYPE(self, &AthrowShell);
  if (has_value != 0 && throws && !set_thrown(self, value)) {
    return nullptr;
  }
  if (has_value != 0 && !throws) {
    as_asend(self)->values[0] = Py_NewRef(look_through(value));
  }
  as_asend(self)->generator = Py_NewRef(generator);
  Py_SET_TYPE(self, throws ? athrow_type : asend_type);
  state_of(self) = state;
  Py_RETURN_NONE;
}

PyMethodDef methods[] = {
    {"__setstate__", set_state, METH_VARARGS,
     "__setstate__($self, state, /)\n--\n\nMake it the real thing.\n"},
    {"__reduce__", reduce, METH_O | METH_STATIC,
     "__reduce__(object, /)\n--\n\nReturn what a real one is made of.\n"},
    {},
};

PyTypeObject shell_type(const char* name, Py_ssize_t size) {
  return {
      .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
      .tp_name = name,
      .tp_basicsize = size,
      .tp_dealloc = shell_dealloc,
      .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
      .tp_doc = "What a pickle makes first, until __setstate__() makes it the real thing.",
      .tp_traverse = shell_traverse,
      .tp_iternext = shell_next,
      .tp_methods = methods,
      .tp_new = make_shell,
  };
}

}  // namespace

PyTypeObject AsendShell = shell_type("stackless._wrap.async_generator_asend", sizeof(Asend));
PyTypeObject AthrowShell = shell_type("stackless._wrap.async_generator_athrow", sizeof(Athrow));

int init_awaitables() { return PyType_Ready(&AsendShell) == 0 ? PyType_Ready(&AthrowShell) : -1; }

}  // namespace stackless::interp
