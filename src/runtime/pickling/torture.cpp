#include "runtime/pickling/torture.hpp"

#include "interp/pickling/placeholders.hpp"
#include "interp/pickling/rebuild.hpp"
#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/callbacks.hpp"

namespace stackless {

namespace {

// Nothing of the program runs while it lives, for what runs then may not switch: no tool, no finalizer.
class Hush {
 public:
  explicit Hush(Scheduler* s) : locked_(s), ts_(s->ts) { PyThreadState_EnterTracing(ts_); }
  ~Hush() { PyThreadState_LeaveTracing(ts_); }
  Hush(const Hush&) = delete;
  Hush& operator=(const Hush&) = delete;

 private:
  Locked locked_;
  NoCollection undisturbed_;
  PyThreadState* ts_;
};

}  // namespace

interp::Frozen* pickle_and_unpickle(Scheduler* s, Tasklet* self, interp::Frozen* frozen) {
  Hush hush(s);
  Object entries = Object::steal(interp::take_apart(frozen));
  Object handled = entries ? Object::steal(interp::handled_exceptions(frozen)) : Object();
  Object operands = handled ? Object::steal(interp::operands_of(frozen)) : Object();
  if (!operands) {
    PyErr_Clear();
    return frozen;
  }
  interp::strip(frozen);
  Object unpickled =
      Object::steal(PyObject_CallOneArg(runtime->pickle_and_unpickle.get(), entries.get()));
  interp::Frozen* fresh =
      unpickled ? interp::put_together(unpickled.get(), handled.get()) : nullptr;
  if (fresh == nullptr) {
    Object error = take_exception();
    fresh = interp::put_together(entries.get(), handled.get());
    if (fresh == nullptr) {
      interp::drop(frozen);
      return nullptr;
    }
    Object bomb = make_bomb(std::move(error));
    self->tempval = bomb ? std::move(bomb) : make_bomb(take_exception());
  }
  interp::replace(frozen, fresh);
  self->arguments = std::move(operands);  // the call has them until it returns
  return fresh;
}

namespace {

PyObject* set_pickle_and_unpickle(PyObject*, PyObject* function) {
  runtime->pickle_and_unpickle = function != Py_None ? Object::share(function) : Object();
  runtime->torture = function != Py_None ? pickle_and_unpickle : nullptr;
  Py_RETURN_NONE;
}

PyObject* generator_as_it_is(PyObject*, PyObject* generator) {
  if (!interp::is_generator(generator)) {
    return raise(PyExc_TypeError, "a generator is needed");
  }
  return interp::generator_state(generator);
}

PyObject* rebuild_generator(PyObject*, PyObject* args) {
  PyObject *generator, *state;
  if (!PyArg_ParseTuple(args, "OO!", &generator, &PyTuple_Type, &state)) {
    return nullptr;
  }
  if (!interp::is_generator(generator)) {
    return raise(PyExc_TypeError, "a generator is needed");
  }
  return interp::rebuild(generator, state) == 0 ? Py_NewRef(Py_None) : nullptr;
}

}  // namespace

PyMethodDef torture_functions[] = {
    {"_set_pickle_and_unpickle", set_pickle_and_unpickle, METH_O,
     "_set_pickle_and_unpickle($module, function, /)\n--\n\n"
     "Have that done to the frames of each tasklet that is thawed.\n"},
    {"_generator_as_it_is", generator_as_it_is, METH_O,
     "_generator_as_it_is($module, generator, /)\n--\n\n"
     "Return what _generator_state() does, without stand-ins.\n"},
    {"_rebuild_generator", rebuild_generator, METH_VARARGS,
     "_rebuild_generator($module, generator, state, /)\n--\n\n"
     "Give a suspended generator that state in place of its own.\n"},
    {},
};

}  // namespace stackless
