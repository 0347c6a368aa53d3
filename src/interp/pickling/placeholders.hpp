// Shells: functions and generators on their way out of a pickle.
//
// What a function or a generator holds may lead back to it. So pickle makes it first and fills it later:
// by __setstate__(), which neither type has. Until then it is of a type of ours with the same layout, which
// can do nothing else.
#pragma once

#include <Python.h>

namespace stackless::interp {

// function_shell(code, globals) and generator_shell(code, name, qualname), for coroutines and asynchronous
// generators, too, are what pickle calls; they are types named stackless._wrap.<name>.
extern PyTypeObject FunctionShell;
extern PyTypeObject GeneratorShell;
extern PyTypeObject CoroutineShell;
extern PyTypeObject AsyncGeneratorShell;

// restore_hooks() is called with an asynchronous generator and the fourth item of its state, unless that is
// None; it returns None, or null with an exception set.
extern PyObject* (*restore_hooks)(PyObject* generator, PyObject* hooks);

// is_function() and is_generator() count the shells among them.
bool is_function(PyObject* object) noexcept;
bool is_generator(PyObject* object) noexcept;
// generator_kind() is a letter for which of the three types it is, or will be.
char generator_kind(PyObject* object) noexcept;

// A stand-in is what an object is pickled by that pickle would not write as we want it; stackless._wrap
// derives a class that knows how. A copy is made without pickling: there they are to be looked through.
extern PyTypeObject StandInType;

struct StandIn {
  PyObject_HEAD
  PyObject* object;
};
inline PyObject* look_through(PyObject* object) noexcept {
  return PyObject_TypeCheck(object, &StandInType) ? reinterpret_cast<StandIn*>(object)->object
                                                  : object;
}

// init_shells() is called once, at import; -1 with an exception set.
int init_shells();

}  // namespace stackless::interp
