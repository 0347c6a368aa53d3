// The extension module stackless._stackless: nothing but registration.
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <new>

#include "interp/freezing/thaw.hpp"
#include "interp/interp.hpp"
#include "interp/pickling/async_placeholders.hpp"
#include "interp/pickling/placeholders.hpp"
#include "io/socket.hpp"
#include "module/functions.hpp"
#include "object/compat.hpp"
#include "runtime/channel/channel.hpp"
#include "runtime/ending.hpp"
#include "runtime/freezing/freezing.hpp"
#include "runtime/pickling/tasklet_state.hpp"
#include "runtime/pickling/torture.hpp"
#include "runtime/scheduler/bomb.hpp"
#include "runtime/scheduler/mounting.hpp"
#include "runtime/scheduler/scheduler.hpp"
#include "runtime/waiting/reply.hpp"
#include "runtime/waiting/signals.hpp"
#include "runtime/waiting/timeout.hpp"

namespace stackless {

Runtime* runtime = nullptr;

namespace {

// Set when a tasklet of the main thread has called sys.exit(): even if the main tasklet eats the
// TaskletExit that comes of it and ends as if nothing had happened, this is the status of the
// process. Outlives the runtime.
int forced_status = -1;

void force_exit_status(int status, void*) {
  if (forced_status >= 0 && status == 0) {
    std::fflush(nullptr);
    _exit(forced_status);
  }
}

int fail(const char* message) {
  PyErr_SetString(PyExc_ImportError, message);
  return -1;
}

// A class SystemExit of its own name in builtins, where the original has it.
int add_tasklet_exit(PyObject* module) {
  Object builtins = Object::steal(PyImport_ImportModule("builtins"));
  if (!builtins) {
    return -1;
  }
  Object type = Object::steal(PyErr_NewExceptionWithDoc(
      "builtins.TaskletExit",
      "Ends a tasklet in silence. Raised in it by tasklet.kill(), and when nothing refers to it any "
      "more.",
      PyExc_SystemExit, nullptr));
  if (!type || PyObject_SetAttrString(builtins.get(), "TaskletExit", type.get()) < 0 ||
      PyModule_AddObjectRef(module, "TaskletExit", type.get()) < 0) {
    return -1;
  }
  runtime->tasklet_exit = std::move(type);
  return 0;
}

// The main thread's ident, whichever thread imports us first.
int find_main_thread() {
  Object threading = Object::steal(PyImport_ImportModule("threading"));
  Object main = threading
                    ? Object::steal(PyObject_CallMethod(threading.get(), "main_thread", nullptr))
                    : Object();
  Object id = main ? Object::steal(PyObject_GetAttrString(main.get(), "ident")) : Object();
  if (!id) {
    return -1;
  }
  runtime->main_thread = PyLong_AsUnsignedLong(id.get());
  return PyErr_Occurred() ? -1 : 0;
}

// $STACKLESS_STACK_SIZE, in KiB: a smaller one lies denser in memory, a larger one carries deeper
// recursion through C.
int read_stack_size() {
  const char* text = getenv("STACKLESS_STACK_SIZE");
  if (text == nullptr || *text == '\0') {
    return 0;
  }
  char* end;
  unsigned long kib = strtoul(text, &end, 10);
  if (*end != '\0' || kib < 64 || kib > 1UL << 20) {
    return fail(
        "STACKLESS_STACK_SIZE is the size of a tasklet's C stack in KiB, from 64 to 1048576");
  }
  runtime->stack_bytes = kib << 10;
  return 0;
}

// $STACKLESS_TORTURE: freeze and thaw at every switch whatever can be frozen. What "pickle" asks for besides,
// the package sees to.
void read_torture() {
  const char* text = getenv("STACKLESS_TORTURE");
  if (text != nullptr && *text != '\0' && std::strcmp(text, "0") != 0) {
    runtime->stack_budget = 0;
  }
}

int make_function_that_does_nothing() {
  Object globals = Object::steal(PyDict_New());
  runtime->does_nothing =
      globals ? Object::steal(PyRun_String("lambda: None", Py_eval_input, globals.get(), nullptr))
              : Object();
  return runtime->does_nothing ? 0 : -1;
}

int register_hooks(PyObject* module) {
  Object atexit = Object::steal(PyImport_ImportModule("atexit"));
  Object end = Object::steal(PyObject_GetAttrString(module, "_end_interpreter"));
  Object registered =
      atexit && end ? Object::steal(PyObject_CallMethod(atexit.get(), "register", "O", end.get()))
                    : Object();
  Object os = Object::steal(PyImport_ImportModule("os"));
  Object forked = Object::steal(PyObject_GetAttrString(module, "_after_fork_in_child"));
  Object hook = os ? Object::steal(PyObject_GetAttrString(os.get(), "register_at_fork")) : Object();
  Object keywords = Object::steal(PyDict_New()), no_arguments = Object::steal(PyTuple_New(0));
  if (!registered || !hook || !forked || !keywords || !no_arguments ||
      PyDict_SetItemString(keywords.get(), "after_in_child", forked.get()) < 0 ||
      !Object::steal(PyObject_Call(hook.get(), no_arguments.get(), keywords.get()))) {
    return -1;
  }
  on_exit(force_exit_status, nullptr);
  return 0;
}

int add_types(PyObject* module) {
  for (PyTypeObject* type : {&BombType, &TaskletType, &ChannelType, &TimeoutType, &ReplyType}) {
    if (PyModule_AddType(module, type) < 0) {
      return -1;
    }
  }
  // Not for programs, and so without the public module's name.
  struct Private {
    const char* name;
    PyTypeObject* type;
  };
  for (Private each : {Private{"_Handler", &HandlerType},
                       {"_StandIn", &interp::StandInType},
                       {"_FunctionShell", &interp::FunctionShell},
                       {"_GeneratorShell", &interp::GeneratorShell},
                       {"_CoroutineShell", &interp::CoroutineShell},
                       {"_AsyncGeneratorShell", &interp::AsyncGeneratorShell},
                       {"_AsendShell", &interp::AsendShell},
                       {"_AthrowShell", &interp::AthrowShell},
                       {"_AsendType", interp::asend_type},
                       {"_AthrowType", interp::athrow_type}}) {
    if (PyType_Ready(each.type) < 0 ||
        PyModule_AddObjectRef(module, each.name, reinterpret_cast<PyObject*>(each.type)) < 0) {
      return -1;
    }
  }
  return PyModule_AddFunctions(module, pickling_functions) < 0
             ? -1
             : PyModule_AddFunctions(module, torture_functions);
}

struct ModuleState {
  alignas(Runtime) char storage[sizeof(Runtime)];
};

int execute(PyObject* module) {
  if (interp::check_interpreter() < 0) {
    return -1;
  }
  if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
    return fail(
        "stackless runs in one interpreter of a process only, the main one: import it there");
  }
  if (runtime != nullptr) {
    return fail(
        "stackless has been imported before in this process, and was removed from sys.modules since: "
        "it can't be imported twice. Keep its modules, or put them back");
  }
  auto* state = static_cast<ModuleState*>(PyModule_GetState(module));
  runtime = new (state->storage) Runtime{};
  // Tasklets and thread states outlive the module at the interpreter's end: it is never freed.
  runtime->module = Object::share(module);
  read_torture();
  runtime->thread_ends = thread_ends;
  init_pickling();
  init_functions();  // first, for schedule() is asked for most
  init_channel();
  init_tasklet();
  init_reply();
  if (read_stack_size() < 0 || interp::init_freezing() < 0 || interp::init_shells() < 0 ||
      find_main_thread() < 0 || add_types(module) < 0 || init_unwinding() < 0 ||
      init_timeout(module) < 0 || add_tasklet_exit(module) < 0 || add_socket_type(module) < 0 ||
      make_function_that_does_nothing() < 0 || register_hooks(module) < 0) {
    return -1;
  }
  return scheduler() != nullptr ? 0 : -1;
}

PyModuleDef_Slot slots[] = {
    {Py_mod_exec, reinterpret_cast<void*>(execute)},
    STACKLESS_NO_OTHER_INTERPRETER,
    {0, nullptr},
};

PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "stackless._stackless",
    .m_doc = "Tasklets, channels and the scheduler.",
    .m_size = sizeof(ModuleState),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = nullptr,
    .m_clear = nullptr,
    .m_free = nullptr,
};

}  // namespace

void request_exit(int status) { forced_status = status; }

}  // namespace stackless

PyMODINIT_FUNC PyInit__stackless() { return PyModuleDef_Init(&stackless::definition); }
