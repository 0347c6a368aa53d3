#include "runtime/scheduler/operation.hpp"
#include "runtime/scheduler/tasklet.hpp"

#include <cstddef>
#include <cstring>
#include <memory>

#include "interp/freezing/freeze.hpp"
#include "interp/freezing/gc_traverse.hpp"
#include "object/arguments.hpp"
#include "runtime/freezing/freezing.hpp"
#include "runtime/scheduler/blocker.hpp"
#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/callbacks.hpp"
#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

// ---- creation and destruction -------------------------------------------------------------------

namespace {

// Tasklets of the exact type come and go by the thousand: their memory is kept.
constexpr int most_spare = 1024;
Tasklet* spare = nullptr;  // linked by next
int spares = 0;

PyObject* tasklet_call(PyObject* self, PyObject* const* args, std::size_t nargsf, PyObject* names) {
  auto count = PyVectorcall_NARGS(nargsf);
  Object arguments, keywords;
  if (!pack_arguments(args, count, names, &arguments, &keywords)) {
    return nullptr;
  }
  if (setup_tasklet(as_tasklet(self), std::move(arguments), std::move(keywords)) < 0) {
    return nullptr;
  }
  return Py_NewRef(self);
}

}  // namespace

Ref<Tasklet> new_tasklet(PyTypeObject* type, Scheduler* s) {
  Tasklet* t;
  if (type == &TaskletType && spare != nullptr) {
    t = spare;
    spare = t->next;
    --spares;
    PyObject_Init(as_object(t), type);
    t->next = nullptr;
    PyObject_GC_Track(t);
  } else {
    t = as_tasklet(type->tp_alloc(type, 0));
    if (t == nullptr) {
      return nullptr;
    }
    t->vectorcall = tasklet_call;
  }
  t->scheduler = s;
  add_reference(s);
  t->serial = ++runtime->last_serial;
  return Ref<Tasklet>::steal(t);
}

namespace {

PyObject* tasklet_new(PyTypeObject* type, PyObject*, PyObject*) {
  Scheduler* s = scheduler();
  return s != nullptr ? new_tasklet(type, s).release_object() : nullptr;
}

int tasklet_init(PyObject* self, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"func", "args", "kwargs", nullptr};
  PyObject *function = nullptr, *arguments = nullptr, *more = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|OOO:tasklet", const_cast<char**>(names),
                                   &function, &arguments, &more)) {
    return -1;
  }
  return bind_tasklet(as_tasklet(self), function, arguments, more);
}

// tasklet(function), the usual call, without a tuple in between.
PyObject* tasklet_type_call(PyObject* type, PyObject* const* args, std::size_t nargsf,
                            PyObject* names) {
  auto count = PyVectorcall_NARGS(nargsf);
  if (count == 1 && names == nullptr) {
    Scheduler* s = scheduler();
    Ref<Tasklet> self = s != nullptr ? new_tasklet(&TaskletType, s) : Ref<Tasklet>();
    if (!self || bind_tasklet(self.get(), args[0], nullptr, nullptr) < 0) {
      return nullptr;
    }
    return self.release_object();
  }
  Object arguments, keywords;
  if (!pack_arguments(args, count, names, &arguments, &keywords)) {
    return nullptr;
  }
  Object self = Object::steal(
      tasklet_new(reinterpret_cast<PyTypeObject*>(type), arguments.get(), keywords.get()));
  if (!self || tasklet_init(self.get(), arguments.get(), keywords.get()) < 0) {
    return nullptr;
  }
  return self.release();
}

int tasklet_traverse(PyObject* self, visitproc visit, void* arg) {
  Tasklet* t = as_tasklet(self);
  Py_VISIT(t->tempval.get());
  Py_VISIT(t->function.get());
  Py_VISIT(t->arguments.get());
  Py_VISIT(t->keywords.get());
  if (!t->started) {
    Py_VISIT(t->start.context.get());
    Py_VISIT(t->start.tracing.get());
  }
  if (t->operation != nullptr) {
    if (int result = t->operation->traverse(visit, arg); result != 0) {
      return result;
    }
  }
  if (t->blocked() && t->blocked_on != t->operation) {
    if (int result = t->blocked_on->traverse(visit, arg); result != 0) {
      return result;
    }
  }
  // What a thread that has ended left on C stacks is of no use to anybody.
  PyThreadState* ts = t->scheduler != nullptr ? t->scheduler->ts : nullptr;
  return ts != nullptr || t->frozen != nullptr ? interp::traverse(ts, t->suspended(), visit, arg)
                                               : 0;
}

int tasklet_clear(PyObject* self) {
  Tasklet* t = as_tasklet(self);
  Object mail = std::move(t->tempval);
  if (!t->started) {
    Start start = std::exchange(t->start, {});
    forget_function(t);
  }
  return 0;
}

// A suspended tasklet that loses its last reference receives TaskletExit, so that its finally and
// with blocks run; one that won't go is left to gc.garbage.
void tasklet_finalize(PyObject* self) {
  Tasklet* t = as_tasklet(self);
  if (!t->started || t->is_main || t->zombie) {
    return;
  }
  KeepException pending;
  if (t->scheduler->ts == nullptr) {
    // What its thread has left behind ends in this one.
    Scheduler* mine = t->frozen != nullptr ? scheduler() : nullptr;
    if (mine == nullptr || !move_to(t, mine)) {
      PyErr_Clear();
      return;
    }
  }
  t->left_over = true;
  constexpr int attempts = 10;
  bool ours = t->scheduler == this_scheduler;
  bool now = ours && (t->scheduler->attention & (Scheduler::trap | Scheduler::lock)) == 0;
  // A reference beyond those we know says that it has saved itself, and may live on.
  auto references = [&] { return Py_REFCNT(self) - (t->scheduled() ? 1 : 0); };
  Py_ssize_t known = references();
  auto resurrected = [&] { return references() > known; };
  for (int i = 0; i < (now ? attempts : 1) && t->started && !resurrected(); ++i) {
    Object exit = Object::steal(PyObject_CallNoArgs(runtime->tasklet_exit.get()));
    if (!exit || !throw_exception(t, std::move(exit), !now)) {
      PyErr_WriteUnraisable(self);
    }
  }
  if (now && t->started && !resurrected()) {
    t->zombie = true;
    if (t->place == Place::ring) {
      unlink(t).reset();
    }
    Object gc = Object::steal(PyImport_ImportModule("gc"));
    Object garbage = gc ? Object::steal(PyObject_GetAttrString(gc.get(), "garbage")) : Object();
    if (!garbage || PyList_Append(garbage.get(), self) < 0) {
      PyErr_WriteUnraisable(self);
    }
  }
}

// All that a tasklet holds, to be dropped when nobody can find the tasklet any more.
struct Holdings {
  explicit Holdings(Tasklet* t)
      : mail(std::move(t->tempval)),
        function(std::move(t->function)),
        arguments(std::move(t->arguments)),
        keywords(std::move(t->keywords)),
        start(t->started ? Start{} : std::exchange(t->start, {})),
        operation(std::exchange(t->operation, nullptr)),
        frozen(std::exchange(t->frozen, nullptr)) {}
  ~Holdings() {
    if (frozen != nullptr) {
      interp::drop(frozen);
    }
  }
  Holdings(const Holdings&) = delete;
  Holdings& operator=(const Holdings&) = delete;

  Object mail, function, arguments, keywords;
  Start start;
  std::unique_ptr<Operation> operation;
  interp::Frozen* frozen;
};

// Takes the tasklet out of its scheduler's books.
void leave_scheduler(Tasklet* t) {
  Scheduler* s = t->scheduler;
  if (t->started) {
    // It outlived its thread, or every attempt to end it. If its frames are still on its C stack,
    // frame objects may point there: the stack, and with it the scheduler, stays.
    remove_started(t);
    s->stacks.seats.leave(t);
    if (t->frozen != nullptr) {
      remove_reference(s);
    }
    return;
  }
  if (t->stack != nullptr) {
    s->stacks.pool.release(std::exchange(t->stack, nullptr));
  }
  remove_reference(s);
}

void free_tasklet(Tasklet* t) {
  PyTypeObject* type = Py_TYPE(as_object(t));
  if (type != &TaskletType || spares >= most_spare) {
    type->tp_free(as_object(t));
    return;
  }
  std::memset(reinterpret_cast<char*>(t) + offsetof(Tasklet, next), 0,
              sizeof(Tasklet) - offsetof(Tasklet, next));
  interp::forget_finalized(as_object(t));
  t->next = spare;
  spare = t;
  ++spares;
}

void tasklet_dealloc(PyObject* self) {
  Tasklet* t = as_tasklet(self);
  if ((t->started || Py_TYPE(self) != &TaskletType) &&
      PyObject_CallFinalizerFromDealloc(self) < 0) {
    return;
  }
  PyObject_GC_UnTrack(self);
  if (t->weak_references != nullptr) {
    PyObject_ClearWeakRefs(self);
  }
  if (t->scheduler != nullptr) {
    leave_scheduler(t);
  }
  Holdings holdings(t);
  free_tasklet(t);
}

constexpr const char* tasklet_doc =
    "tasklet(func=None, args=None, kwargs=None)\n--\n\n"
    "A function that runs on a stack of its own and gives way when it says so.\n\n"
    "Creating one binds it to `func`, a callable or None, and to the calling thread; calling it\n"
    "gives it arguments and makes it runnable: ``tasklet(func)(1, 2)``. With `args` (a tuple) or\n"
    "`kwargs` (a dict) it is bound with arguments but not yet runnable: see bind().\n"
    "The caller goes on; the tasklet runs when it is its turn. As in the original.\n\n"
    "Raises TypeError if `func` is not callable, `args` no tuple or `kwargs` no dict.\n";

}  // namespace

PyTypeObject TaskletType = {
    .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
    .tp_name = "stackless.tasklet",
    .tp_basicsize = sizeof(Tasklet),
    .tp_dealloc = tasklet_dealloc,
    .tp_vectorcall_offset = offsetof(Tasklet, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_doc = tasklet_doc,
    .tp_traverse = tasklet_traverse,
    .tp_clear = tasklet_clear,
    .tp_weaklistoffset = offsetof(Tasklet, weak_references),
    .tp_methods = tasklet_methods,
    .tp_getset = tasklet_attributes,
    .tp_init = tasklet_init,
    .tp_new = tasklet_new,
    .tp_finalize = tasklet_finalize,
    .tp_vectorcall = tasklet_type_call,
};

}  // namespace stackless
