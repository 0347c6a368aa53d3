#include "interp/frames/async_generators.hpp"

#include "interp/versions/self_check.hpp"
#include "interp/versions/version.hpp"
#include "object/compat.hpp"

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
  auto* generator = reinterpret_cast<PyGenObject*>(object);
  generator->gi_hooks_inited = 1;
  replace_reference(generator->gi_origin_or_finalizer, Object::share(finalizer));
}

namespace {

// Calls the method, and looks at what that returns before and after it is closed.
bool check(PyObject* generator, const char* method, PyObject* argument, PyTypeObject** type,
           Py_ssize_t size) {
  auto object =
      Object::steal(argument != nullptr ? PyObject_CallMethod(generator, method, "O", argument)
                                        : PyObject_CallMethod(generator, method, nullptr));
  if (!object) {
    return false;
  }
  *type = Py_TYPE(object.get());
  bool fits = (*type)->tp_basicsize == size && generator_driven_by(object.get()) == generator &&
              state_of(object.get()) == awaitable_new &&
              sends_or_throws(object.get()) == (argument != nullptr);
  if (fits && argument != nullptr) {
    PyObject* value = as_asend(object.get())->values[0];
    fits =
        value == argument || (PyTuple_CheckExact(value) && PyTuple_GET_ITEM(value, 0) == argument);
  }
  auto done = Object::steal(PyObject_CallMethod(object.get(), "close", nullptr));
  return fits && done && state_of(object.get()) == awaitable_closed;
}

bool check_given(PyObject* generator) {
  PyObject* yielded = nullptr;
  if (PyIter_Send(generator, Py_None, &yielded) != PYGEN_NEXT) {
    return false;
  }
  auto given = Object::steal(yielded);
  given_type = Py_TYPE(yielded);
  return given_type->tp_basicsize == sizeof(Given) && given_in(yielded) == Py_Ellipsis;
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
  auto globals = Object::steal(PyDict_New());
  auto done = Object::steal(globals ? PyRun_String("async def f(): yield ...\n", Py_file_input,
                                                   globals.get(), globals.get())
                                    : nullptr);
  auto generator =
      Object::steal(done ? PyObject_CallNoArgs(PyDict_GetItemString(globals.get(), "f")) : nullptr);
  bool fits = generator && check_all(generator.get());
  if (!fits && PyErr_Occurred() == nullptr) {
    raise_other_layout();
  }
  return fits ? 0 : -1;
}

}  // namespace stackless::interp
