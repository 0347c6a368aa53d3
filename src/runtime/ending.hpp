// How threads, the process, and a fork end tasklets.
#pragma once

#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

// kill_started() throws TaskletExit into every started tasklet but the main and current ones, and but
// those, unless `all`, that somebody holds and that can be frozen: they may go on in another thread.
void kill_started(Scheduler* s, bool all);
// end_interpreter() is the atexit handler: it ends the tasklets of all threads.
PyObject* end_interpreter(PyObject*, PyObject*);
// after_fork_in_child() leaves the forking thread's tasklets alive, and those of others dead.
PyObject* after_fork_in_child(PyObject*, PyObject*);
// thread_ends() is the destructor of the capsule by which a scheduler hangs in its thread's dictionary.
void thread_ends(PyObject* capsule);

}  // namespace stackless
