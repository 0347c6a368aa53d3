#include "runtime/scheduler/bomb.hpp"

#include "interp/pickling/placeholders.hpp"
#include "interp/pickling/wrap.hpp"
#include "runtime/scheduler/runtime.hpp"

namespace stackless {

Object make_bomb(Object exception) {
  auto* bomb = PyObject_GC_New(Bomb, &BombType);
  if (bomb == nullptr) {
    return nullptr;
  }
  new (&bomb->exception) Object(std::move(exception));
  PyObject_GC_Track(bomb);
  return Object::steal(reinterpret_cast<PyObject*>(bomb));
}

Object make_exception(PyObject* type, PyObject* value, PyObject* traceback) {
  if (value == Py_None) {
    value = nullptr;
  }
  if (traceback == Py_None) {
    traceback = nullptr;
  }
  if (traceback != nullptr && !PyTraceBack_Check(traceback)) {
    return raise(PyExc_TypeError, "throw() third argument must be a traceback object");
  }
  Object exception;
  if (PyExceptionInstance_Check(type)) {
    if (value != nullptr) {
      return raise(PyExc_TypeError, "instance exception may not have a separate value");
    }
    exception = Object::share(type);
  } else if (PyExceptionClass_Check(type)) {
    if (value == nullptr) {
      exception = Object::steal(PyObject_CallNoArgs(type));
    } else if (PyObject_TypeCheck(value, reinterpret_cast<PyTypeObject*>(type))) {
      exception = Object::share(value);
    } else if (PyTuple_Check(value)) {
      exception = Object::steal(PyObject_Call(type, value, nullptr));
    } else {
      exception = Object::steal(PyObject_CallOneArg(type, value));
    }
    if (exception && !PyExceptionInstance_Check(exception.get())) {
      return raise(PyExc_TypeError,
                   "calling %R should have returned an instance of BaseException, not %s", type,
                   Py_TYPE(exception.get())->tp_name);
    }
  } else {
    return raise(PyExc_TypeError, "exceptions must be classes, or instances, not %.200s",
                 Py_TYPE(type)->tp_name);
  }
  if (exception && traceback != nullptr) {
    PyException_SetTraceback(exception.get(), traceback);
  }
  return exception;
}

Object make_exception_from(PyObject* args, const char* owner, const char* method) {
  if (PyTuple_GET_SIZE(args) < 1) {
    return raise(PyExc_TypeError, "%s() takes at least 1 argument (0 given)", method);
  }
  PyObject* type = PyTuple_GET_ITEM(args, 0);
  if (!PyExceptionClass_Check(type)) {
    return raise(PyExc_TypeError, "%s.%s needs Exception or string subclass as first parameter",
                 owner, method);
  }
  Object rest = Object::steal(PyTuple_GetSlice(args, 1, PyTuple_GET_SIZE(args)));
  return rest ? make_exception(type, rest.get(), nullptr) : Object();
}

std::nullptr_t explode(const Object& bomb) {
  restore_exception(reinterpret_cast<Bomb*>(bomb.get())->exception);
  return nullptr;
}

namespace {

PyObject* exception_of(PyObject* self) { return reinterpret_cast<Bomb*>(self)->exception.get(); }

PyObject* get_type(PyObject* self, void*) {
  PyObject* exception = exception_of(self);
  return exception == nullptr ? Py_NewRef(Py_None)
                              : Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(exception)));
}
PyObject* get_value(PyObject* self, void*) {
  PyObject* exception = exception_of(self);
  return Py_NewRef(exception == nullptr ? Py_None : exception);
}
PyObject* get_traceback(PyObject* self, void*) {
  PyObject* exception = exception_of(self);
  PyObject* traceback = exception == nullptr ? nullptr : PyException_GetTraceback(exception);
  return traceback == nullptr ? Py_NewRef(Py_None) : traceback;
}

PyObject* bomb_new(PyTypeObject*, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"type", "value", "traceback", nullptr};
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|OOO:bomb", const_cast<char**>(names), &type,
                                   &value, &traceback)) {
    return nullptr;
  }
  if (type == nullptr || type == Py_None) {
    return make_bomb(nullptr).release();
  }
  Object exception = make_exception(type, value, traceback);
  return exception ? make_bomb(std::move(exception)).release() : nullptr;
}

int bomb_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(exception_of(self));
  return 0;
}
int bomb_clear(PyObject* self) {
  reinterpret_cast<Bomb*>(self)->exception.reset();
  return 0;
}
void bomb_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  bomb_clear(self);
  PyObject_GC_Del(self);
}

// The original's state says of which of its items there are none, a bit each. The traceback goes with the
// exception.
PyObject* bomb_reduce(PyObject* self, PyObject*) {
  Object type = Object::steal(get_type(self, nullptr));
  Object exception = Object::share(exception_of(self));
  Object value = exception ? wrapped(exception.get()) : none();
  return value ? Py_BuildValue("O()(iOOO)", &BombType, exception ? 4 : 7, type.get(), value.get(),
                               Py_None)
               : nullptr;
}

PyObject* bomb_set_state(PyObject* self, PyObject* state) {
  int nulls;
  PyObject *type, *value, *traceback;
  if (!PyTuple_Check(state)) {
    return raise(PyExc_TypeError, "a bomb's state is a tuple");
  }
  if (!PyArg_ParseTuple(state, "iOOO:bomb", &nulls, &type, &value, &traceback)) {
    return nullptr;
  }
  value = interp::look_through(value);
  if (value != Py_None && !PyExceptionInstance_Check(value)) {
    return raise(PyExc_TypeError, "what a bomb holds is an exception");
  }
  reinterpret_cast<Bomb*>(self)->exception = value != Py_None ? Object::share(value) : Object();
  Py_RETURN_NONE;
}

PyMethodDef bomb_methods[] = {
    {"__reduce__", bomb_reduce, METH_NOARGS,
     "__reduce__($self, /)\n--\n\nReturn what pickle and copy need.\n"},
    {"__setstate__", bomb_set_state, METH_O,
     "__setstate__($self, state, /)\n--\n\nTake what __reduce__() has given.\n"},
    {},
};

PyGetSetDef bomb_attributes[] = {
    {"type", get_type, nullptr, "The exception's class.", nullptr},
    {"value", get_value, nullptr, "The exception.", nullptr},
    {"traceback", get_traceback, nullptr, "Its traceback, or None.", nullptr},
    {},
};

}  // namespace

PyTypeObject BombType = {
    .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
    .tp_name = "stackless.bomb",
    .tp_basicsize = sizeof(Bomb),
    .tp_dealloc = bomb_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc =
        "bomb(type=None, value=None, traceback=None)\n--\n\n"
        "An exception on its way to a tasklet: assigned to tasklet.tempval, it is raised when\n"
        "the tasklet next runs. The arguments are those of the raise statement.\n",
    .tp_traverse = bomb_traverse,
    .tp_clear = bomb_clear,
    .tp_methods = bomb_methods,
    .tp_getset = bomb_attributes,
    .tp_new = bomb_new,
};

}  // namespace stackless
