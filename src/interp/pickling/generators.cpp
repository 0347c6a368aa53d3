// Generators, coroutines and asynchronous generators as Python objects that pickle can write, and back.
#include <vector>

#include "interp/pickling/code_hash.hpp"
#include "interp/pickling/frame_record.hpp"
#include "interp/pickling/frames.hpp"
#include "interp/pickling/placeholders.hpp"
#include "interp/versions/facts.hpp"
#include "object/reference.hpp"

namespace stackless::interp {

namespace {

bool has_finished(const PyGenObject* generator) {
  return generator->gi_frame_state > FRAME_EXECUTING;
}

}  // namespace

PyObject* function_in_generator(PyObject* object) noexcept {
  PyGenObject* generator = as_generator(object);
  return has_finished(generator) ? nullptr : function_of(frame_in(generator));
}

namespace {

// What a generator expression of 3.15 can be called with: it asks for an iterator before it begins.
PyAsyncMethods any_async = {.am_aiter = PyObject_SelfIter, .am_anext = PyObject_SelfIter};
PyTypeObject AnythingType = {
    .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
    .tp_name = "stackless._anything",
    .tp_basicsize = sizeof(PyObject),
    .tp_as_async = &any_async,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = [](PyObject*) -> PyObject* { return nullptr; },
};

// Calls `code`, which returns its generator before it does anything else; Python has no other way to make
// one that works on debug builds (Objects/genobject.c of 3.13, gen_new_with_qualname(), has assertions that
// contradict each other).
PyObject* call_for_generator(PyCodeObject* code) {
  Object globals = Object::steal(PyDict_New()), defaults = Object::steal(PyDict_New()),
         names = Object::steal(PyCode_GetVarnames(code)),
         closure = Object::steal(PyTuple_New(PyCode_GetNumFree(code)));
  if (globals == nullptr || defaults == nullptr || names == nullptr || closure == nullptr) {
    return nullptr;
  }
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(closure.get()); ++i) {
    PyObject* cell = PyCell_New(nullptr);
    if (cell == nullptr) {
      return nullptr;
    }
    PyTuple_SET_ITEM(closure.get(), i, cell);
  }
  for (int i = 0; i < code->co_kwonlyargcount; ++i) {
    PyObject* name = PyTuple_GET_ITEM(names.get(), code->co_argcount + i);
    if (PyDict_SetItem(defaults.get(), name, Py_None) < 0) {
      return nullptr;
    }
  }
  Object anything = Object::steal(
      PyType_Ready(&AnythingType) == 0 ? PyObject_New(PyObject, &AnythingType) : nullptr);
  if (anything == nullptr) {
    return nullptr;
  }
  std::vector<PyObject*> arguments(static_cast<std::size_t>(code->co_argcount), anything.get());
  return PyEval_EvalCodeEx(reinterpret_cast<PyObject*>(code), globals.get(), nullptr,
                           arguments.data(), code->co_argcount, nullptr, 0, nullptr, 0,
                           defaults.get(),
                           PyTuple_GET_SIZE(closure.get()) > 0 ? closure.get() : nullptr);
}

}  // namespace

PyObject* new_generator(PyCodeObject* code, PyObject* name, PyObject* qualname) {
  if ((code->co_flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR)) == 0) {
    altered("the code is not a generator's");
    return nullptr;
  }
  PyObject* object = call_for_generator(code);
  if (object == nullptr) {
    return nullptr;
  }
  PyGenObject* generator = as_generator(object);
  replace_reference(generator->gi_name, Object::share(name));
  replace_reference(generator->gi_qualname, Object::share(qualname));
  if (PyCoro_CheckExact(object)) {
    clear_reference(generator->gi_origin_or_finalizer);
  }
  _PyInterpreterFrame* f = frame_in(generator);
  pop_slots(f, 0);
  instruction_of(f) = before_first(code);
  generator->gi_frame_state = FRAME_EXECUTING;
  return object;
}

namespace {

bool is_async(const PyGenObject* generator) {
  return PyAsyncGen_CheckExact(reinterpret_cast<const PyObject*>(generator));
}

// Borrowed. A plain generator has neither; that of an asynchronous one counts from its first step on.
PyObject* origin_or_finalizer(const PyGenObject* generator) {
  bool has_one = PyCoro_CheckExact(reinterpret_cast<const PyObject*>(generator)) ||
                 (is_async(generator) && generator->gi_hooks_inited != 0);
  if (!has_one) {
    return Py_None;
  }
  PyObject* other = generator->gi_origin_or_finalizer;
  return other != nullptr ? other : is_async(generator) ? Py_False : Py_None;
}

enum AsyncFlags { async_closed = 1, async_awaited = 2 };

int async_flags(const PyGenObject* generator) {
  return is_async(generator) ? (generator->gi_closed != 0 ? async_closed : 0) |
                                   (generator->gi_running_async != 0 ? async_awaited : 0)
                             : 0;
}

void set_async_flags(PyGenObject* generator, int flags) {
  if (is_async(generator)) {
    generator->gi_closed = (flags & async_closed) != 0 ? 1 : 0;
    generator->gi_running_async = (flags & async_awaited) != 0 ? 1 : 0;
  }
}

}  // namespace

PyObject* generator_state(PyObject* object) {
  PyGenObject* generator = as_generator(object);
  _PyInterpreterFrame* f = frame_in(generator);
  if (!has_finished(generator)) {
    auto code = Object::share(reinterpret_cast<PyObject*>(code_of(f)));
    if (code_hash(code_of(f)) == 0) {  // which may call Python
      return nullptr;
    }
  }
  NoCollection undisturbed;
  Object entry;
  if (has_finished(generator)) {
    entry = Object::steal(Py_NewRef(Py_None));
  } else if (generator->gi_frame_state == FRAME_EXECUTING) {
    entry = Object::share(function_of(f));
  } else {
    entry = Object::steal(
        make_entry(f, function_of(f), Sort::suspended, generator->gi_frame_state, height_of(f)));
  }
  PyObject* value = generator->gi_exc_state.exc_value;
  return entry != nullptr ? Py_BuildValue("OiOOi", entry.get(), generator->gi_frame_state,
                                          value != nullptr ? value : Py_None,
                                          origin_or_finalizer(generator), async_flags(generator))
                          : nullptr;
}

int fill_generator(PyObject* object, PyObject* state) {
  PyGenObject* generator = as_generator(object);
  _PyInterpreterFrame* f = frame_in(generator);
  int frame_state, flags;
  PyObject *owner, *exception, *other;
  if (!PyArg_ParseTuple(state, "OiOOi:generator", &owner, &frame_state, &exception, &other,
                        &flags)) {
    return -1;
  }
  owner = look_through(owner);
  bool running = frame_state == FRAME_EXECUTING, finished = owner == Py_None;
  if (!is_exception_or_none(exception) || finished != (frame_state > FRAME_EXECUTING)) {
    altered("a generator's state is impossible");
    return -1;
  }
  bool has_origin = PyCoro_CheckExact(object) && other != Py_None;
  if (has_origin && !PyTuple_CheckExact(other)) {
    altered("a coroutine's origin is no tuple");
    return -1;
  }
  if (finished) {
    drop_function(f);
    generator->gi_frame_state = FRAME_CLEARED;
    set_async_flags(generator, flags);
    return 0;
  }
  // A running one may have got its frame from its tasklet already.
  if (running ? !is_function(owner) : !is_untouched(generator)) {
    altered("a generator has no function");
    return -1;
  }
  Entry entry{};
  if (running) {
    entry.function = reinterpret_cast<PyFunctionObject*>(owner);
    entry.code = reinterpret_cast<PyCodeObject*>(entry.function->func_code);
  } else if (!read_entry(owner, nullptr, Sort::suspended, frame_state, &entry)) {
    return -1;
  }
  if (entry.code != code_of(f)) {
    altered("a generator's function is another one");
    return -1;
  }
  drop_function(f);
  set_owner(f, entry.function);
  if (!running && !fill(f, entry)) {
    return -1;
  }
  generator->gi_frame_state = static_cast<decltype(generator->gi_frame_state)>(frame_state);
  if (!running) {  // what a running one handles is its tasklet's to write, too
    replace_reference(generator->gi_exc_state.exc_value, Object::steal(handled(exception)));
  }
  set_async_flags(generator, flags);
  if (has_origin) {
    replace_reference(generator->gi_origin_or_finalizer, Object::share(other));
  }
  return 0;
}

}  // namespace stackless::interp
