#include "interp/frames/async_generators.hpp"

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

}  // namespace

PyObject* given_in(PyObject* yielded) noexcept {
  return Py_IS_TYPE(yielded, given_type) ? reinterpret_cast<Given*>(yielded)->value : nullptr;
}

int& state_of(PyObject* awaitable) noexcept {
  return Py_IS_TYPE(awaitable, athrow_type) ? as_athrow(awaitable)->state
                                            : as_asend(awaitable)->state;
}

void set_hooks(PyObject* object, PyObject* finalizer) {
  PyGenObject* generator = reinterpret_cast<PyGenObject*>(object);
  generator->gi_hooks_inited = 1;
  Py_XSETREF(generator->gi_origin_or_finalizer, Py_XNewRef(finalizer));
}

namespace {

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

int init_async_generators() {
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
  return fits ? 0 : -1;
}

}  // namespace stackless::interp
