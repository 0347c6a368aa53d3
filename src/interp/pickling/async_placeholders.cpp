#include "interp/pickling/async_placeholders.hpp"

#include "interp/pickling/frames.hpp"
#include "interp/pickling/placeholders.hpp"

namespace stackless::interp {

PyTypeObject* asend_type;
PyTypeObject* athrow_type;

namespace {

// Objects/genobject.c, _PyAsyncGenWrappedValue (3.11 to 3.15).
struct Given {
  PyObject_HEAD
  PyObject* value;
};
PyTypeObject* given_type;

Asend* as_asend(PyObject* object) { return reinterpret_cast<Asend*>(object); }
Athrow* as_athrow(PyObject* object) { return reinterpret_cast<Athrow*>(object); }

// ---- out -----------------------------------------------------------------------------------------------

// The arguments of athrow(), as a tuple; a new reference.
PyObject* thrown_by(PyObject* object) {
#if PY_VERSION_HEX >= 0x030F0000
  auto [type, traceback, value] = as_athrow(object)->values;
  if (traceback != nullptr) {
    return PyTuple_Pack(3, type, value, traceback);
  }
  return value != nullptr ? PyTuple_Pack(2, type, value) : PyTuple_Pack(1, type);
#else
  return Py_NewRef(as_athrow(object)->values[0]);
#endif
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
  auto& values = as_athrow(self)->values;
#if PY_VERSION_HEX >= 0x030F0000
  values[0] = item(0);
  values[1] = item(2);
  values[2] = item(1);
#else
  values[0] = PyTuple_New(size);
  for (Py_ssize_t i = 0; values[0] != nullptr && i < size; ++i) {
    PyTuple_SET_ITEM(values[0], i, item(i));
  }
#endif
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

// ---- is that how they are? -------------------------------------------------------------------------------

// Calls the method, and looks at what that returns before and after it is closed.
bool check(PyObject* generator, const char* method, PyObject* argument, PyTypeObject** type,
           Py_ssize_t size) {
  PyObject* object = argument != nullptr ? PyObject_CallMethod(generator, method, "O", argument)
                                         : PyObject_CallMethod(generator, method, nullptr);
  if (object == nullptr) {
    return false;
  }
  *type = Py_TYPE(object);
  bool fits = Py_TYPE(object)->tp_basicsize == size && generator_driven_by(object) == generator &&
              state_of(object) == awaitable_new && sends_or_throws(object) == (argument != nullptr);
  if (fits && argument != nullptr) {
    PyObject* value = as_asend(object)->values[0];
    fits =
        value == argument || (PyTuple_CheckExact(value) && PyTuple_GET_ITEM(value, 0) == argument);
  }
  PyObject* done = PyObject_CallMethod(object, "close", nullptr);
  fits = fits && done != nullptr && state_of(object) == awaitable_closed;
  Py_XDECREF(done);
  Py_DECREF(object);
  return fits;
}

bool check_given(PyObject* generator) {
  PyObject* given = nullptr;
  if (PyIter_Send(generator, Py_None, &given) != PYGEN_NEXT) {
    return false;
  }
  given_type = Py_TYPE(given);
  bool fits = given_type->tp_basicsize == sizeof(Given) && given_in(given) == Py_Ellipsis;
  Py_DECREF(given);
  return fits;
}

bool check_all(PyObject* generator) {
  set_hooks(generator, nullptr);  // nobody is told of this one
  PyTypeObject *anext, *aclose;
  return check_given(generator) && check(generator, "asend", Py_True, &asend_type, sizeof(Asend)) &&
         check(generator, "__anext__", nullptr, &anext, sizeof(Asend)) && anext == asend_type &&
         check(generator, "athrow", PyExc_KeyError, &athrow_type, sizeof(Athrow)) &&
         check(generator, "aclose", nullptr, &aclose, sizeof(Athrow)) && aclose == athrow_type &&
         asend_type != athrow_type;
}

}  // namespace

PyTypeObject AsendShell = shell_type("stackless._wrap.async_generator_asend", sizeof(Asend));
PyTypeObject AthrowShell = shell_type("stackless._wrap.async_generator_athrow", sizeof(Athrow));

PyObject* given_in(PyObject* yielded) noexcept {
  return Py_IS_TYPE(yielded, given_type) ? reinterpret_cast<Given*>(yielded)->value : nullptr;
}

int& state_of(PyObject* awaitable) noexcept {
  return Py_IS_TYPE(awaitable, athrow_type) ? as_athrow(awaitable)->state
                                            : as_asend(awaitable)->state;
}

int init_awaitables() {
  PyObject* globals = PyDict_New();
  PyObject* done = globals != nullptr
                       ? PyRun_String("async def f(): yield ...\n", Py_file_input, globals, globals)
                       : nullptr;
  PyObject* generator =
      done != nullptr ? PyObject_CallNoArgs(PyDict_GetItemString(globals, "f")) : nullptr;
  bool fits = generator != nullptr && check_all(generator);
  Py_XDECREF(generator);
  Py_XDECREF(done);
  Py_XDECREF(globals);
  if (!fits && PyErr_Occurred() == nullptr) {
    PyErr_Format(PyExc_ImportError,
                 "stackless was built for another layout of CPython %d.%d than %s. Rebuild it with "
                 "this interpreter: pip install --no-binary stackless-native stackless-native",
                 PY_MAJOR_VERSION, PY_MINOR_VERSION, Py_GetVersion());
  }
  return fits && PyType_Ready(&AsendShell) == 0 ? PyType_Ready(&AthrowShell) : -1;
}

}  // namespace stackless::interp
