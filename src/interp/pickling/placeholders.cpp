#include "interp/pickling/placeholders.hpp"

#include "interp/pickling/async_placeholders.hpp"
#include "interp/pickling/frames.hpp"
#include "object/reference.hpp"

namespace stackless::interp {

namespace {

PyTypeObject* real_type(PyTypeObject* shell) {
  if (shell == &FunctionShell) {
    return &PyFunction_Type;
  }
  if (shell == &GeneratorShell) {
    return &PyGen_Type;
  }
  return shell == &CoroutineShell ? &PyCoro_Type : &PyAsyncGen_Type;
}

void shell_dealloc(PyObject* self) {
  PyTypeObject* type = real_type(Py_TYPE(self));
  Py_SET_TYPE(self, type);
  type->tp_dealloc(self);
}
int shell_traverse(PyObject* self, visitproc visit, void* arg) {
  return real_type(Py_TYPE(self))->tp_traverse(self, visit, arg);
}
int shell_clear(PyObject* self) {
  inquiry clear = real_type(Py_TYPE(self))->tp_clear;
  return clear != nullptr ? clear(self) : 0;
}

// ---- functions -----------------------------------------------------------------------------------------

PyObject* function_new(PyTypeObject* type, PyObject* args, PyObject*) {
  PyObject *code, *globals;
  if (!PyArg_ParseTuple(args, "OO:function", &code, &globals)) {
    return nullptr;
  }
  code = look_through(code);
  globals = look_through(globals);
  if (!PyCode_Check(code) || !PyDict_CheckExact(globals)) {
    PyErr_SetString(PyExc_TypeError, "a function is made of a code object and a dictionary");
    return nullptr;
  }
  PyObject* self = PyFunction_New(code, globals);
  if (self != nullptr) {
    Py_SET_TYPE(self, type);
  }
  return self;
}

bool is_closure(PyObject* closure, PyCodeObject* code) {
  int cells = PyCode_GetNumFree(code);
  if (closure == Py_None) {
    return cells == 0;
  }
  if (!PyTuple_CheckExact(closure) || PyTuple_GET_SIZE(closure) != cells) {
    return false;
  }
  for (Py_ssize_t i = 0; i < cells; ++i) {
    if (!PyCell_Check(PyTuple_GET_ITEM(closure, i))) {
      return false;
    }
  }
  return true;
}

PyObject* function_set_state(PyObject* self, PyObject* args) {
  PyObject *closure, *attributes;
  if (!PyArg_ParseTuple(args, "(OO!):function", &closure, &PyDict_Type, &attributes)) {
    return nullptr;
  }
  auto* code =
      reinterpret_cast<PyCodeObject*>(reinterpret_cast<PyFunctionObject*>(self)->func_code);
  if (!is_closure(closure, code)) {
    PyErr_Format(PyExc_ValueError, "the snapshot is damaged: the closure of %U() doesn't fit it",
                 code->co_qualname);
    return nullptr;
  }
  Py_SET_TYPE(self, &PyFunction_Type);
  if (PyFunction_SetClosure(self, closure) < 0) {
    return nullptr;
  }
  PyObject *name, *value;
  Py_ssize_t position = 0;
  while (PyDict_Next(attributes, &position, &name, &value)) {
    if (PyObject_SetAttr(self, name, value) < 0) {
      return nullptr;
    }
  }
  Py_RETURN_NONE;
}

PyMethodDef function_methods[] = {
    {"__setstate__", function_set_state, METH_VARARGS,
     "__setstate__($self, state, /)\n--\n\nMake it a function.\n"},
    {},
};

// ---- generators ----------------------------------------------------------------------------------------

PyObject* generator_new(PyTypeObject* type, PyObject* args, PyObject*) {
  PyObject *code, *name, *qualname;
  if (!PyArg_ParseTuple(args, "OUU:generator", &code, &name, &qualname)) {
    return nullptr;
  }
  code = look_through(code);
  if (!PyCode_Check(code)) {
    PyErr_SetString(PyExc_TypeError, "a generator is made of a code object");
    return nullptr;
  }
  PyObject* self = new_generator(reinterpret_cast<PyCodeObject*>(code), name, qualname);
  if (self == nullptr) {
    return nullptr;
  }
  if (Py_TYPE(self) != real_type(type)) {
    drop_reference(self);
    PyErr_SetString(PyExc_ValueError, "the snapshot is damaged: the code is not a generator's");
    return nullptr;
  }
  Py_SET_TYPE(self, type);
  return self;
}

PyObject* generator_set_state(PyObject* self, PyObject* state) {
  if (!PyTuple_CheckExact(state)) {
    PyErr_SetString(PyExc_TypeError, "a generator's state is a tuple");
    return nullptr;
  }
  PyTypeObject* shell = Py_TYPE(self);
  Py_SET_TYPE(self, real_type(shell));
  if (fill_generator(self, state) < 0) {
    Py_SET_TYPE(self, shell);
    return nullptr;
  }
  PyObject* hooks = PyTuple_GET_ITEM(state, 3);
  if (shell == &AsyncGeneratorShell && hooks != Py_None) {
    return restore_hooks(self, hooks);
  }
  Py_RETURN_NONE;
}

// A frame that loops over one takes for granted that it can.
PyObject* shell_next(PyObject*) {
  PyErr_SetString(PyExc_ValueError, "the snapshot is damaged: a generator has no state");
  return nullptr;
}

PyMethodDef generator_methods[] = {
    {"__setstate__", generator_set_state, METH_O,
     "__setstate__($self, state, /)\n--\n\nMake it a generator.\n"},
    {},
};

// ---- stand-ins -----------------------------------------------------------------------------------------

PyObject*& object_in_stand_in(PyObject* self) { return reinterpret_cast<StandIn*>(self)->object; }

PyObject* stand_in_new(PyTypeObject* type, PyObject* args, PyObject*) {
  PyObject* object;
  if (!PyArg_ParseTuple(args, "O:stand_in", &object)) {
    return nullptr;
  }
  PyObject* self = type->tp_alloc(type, 0);
  if (self != nullptr) {
    object_in_stand_in(self) = Py_NewRef(object);
  }
  return self;
}
int stand_in_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(object_in_stand_in(self));
  return 0;
}
int stand_in_clear(PyObject* self) {
  replace_reference(object_in_stand_in(self), none());
  return 0;
}
void stand_in_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  clear_reference(object_in_stand_in(self));
  Py_TYPE(self)->tp_free(self);
}
PyObject* get_object(PyObject* self, void*) { return Py_NewRef(object_in_stand_in(self)); }
PyGetSetDef stand_in_attributes[] = {
    {"object", get_object, nullptr, "What it stands for.", nullptr},
    {},
};

PyTypeObject make_shell(const char* name, PyMethodDef* methods, newfunc make,
                        iternextfunc next = nullptr) {
  return {
      .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
      .tp_name = name,
      .tp_dealloc = shell_dealloc,
      .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
      .tp_doc = "What a pickle makes first, until __setstate__() makes it the real thing.",
      .tp_traverse = shell_traverse,
      .tp_clear = shell_clear,
      .tp_iternext = next,
      .tp_methods = methods,
      .tp_new = make,
  };
}

}  // namespace

PyTypeObject FunctionShell = make_shell("stackless._wrap.function", function_methods, function_new);
PyTypeObject GeneratorShell =
    make_shell("stackless._wrap.generator", generator_methods, generator_new, shell_next);
PyTypeObject CoroutineShell =
    make_shell("stackless._wrap.coroutine", generator_methods, generator_new, shell_next);
PyTypeObject AsyncGeneratorShell =
    make_shell("stackless._wrap.async_generator", generator_methods, generator_new, shell_next);

PyTypeObject StandInType = {
    .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
    .tp_name = "stackless._stackless._StandIn",
    .tp_basicsize = sizeof(StandIn),
    .tp_dealloc = stand_in_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_doc = "_StandIn(object, /)\n--\n\nWhat an object is pickled by.\n",
    .tp_traverse = stand_in_traverse,
    .tp_clear = stand_in_clear,
    .tp_getset = stand_in_attributes,
    .tp_new = stand_in_new,
};

PyObject* (*restore_hooks)(PyObject*, PyObject*);

bool is_function(PyObject* object) noexcept {
  return PyFunction_Check(object) || Py_IS_TYPE(object, &FunctionShell);
}

bool is_generator(PyObject* object) noexcept {
  PyTypeObject* type = Py_TYPE(object);
  return type == &PyGen_Type || type == &PyCoro_Type || type == &PyAsyncGen_Type ||
         type == &GeneratorShell || type == &CoroutineShell || type == &AsyncGeneratorShell;
}

char generator_kind(PyObject* object) noexcept {
  PyTypeObject* type = Py_TYPE(object);
  if (type == &PyGen_Type || type == &GeneratorShell) {
    return 'g';
  }
  return type == &PyCoro_Type || type == &CoroutineShell ? 'w' : 'a';
}

int init_shells() {
  for (PyTypeObject* shell :
       {&FunctionShell, &GeneratorShell, &CoroutineShell, &AsyncGeneratorShell}) {
    shell->tp_basicsize = real_type(shell)->tp_basicsize;
    shell->tp_itemsize = real_type(shell)->tp_itemsize;
    if (PyType_Ready(shell) < 0) {
      return -1;
    }
  }
  return init_awaitables() == 0 ? PyType_Ready(&StandInType) : -1;
}

}  // namespace stackless::interp
