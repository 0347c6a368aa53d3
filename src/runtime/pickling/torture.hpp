// $STACKLESS_TORTURE=pickle: what is thawed has been pickled and unpickled.
#pragma once

#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

// pickle_and_unpickle() returns what stands for the frames of the current tasklet, which are about to be
// thawed, and consumes them. What can't be pickled is left as it is. An exception that comes up meanwhile,
// by a signal for example, is raised by the call at which the tasklet was frozen. Null with an exception set
// if the frames are lost.
interp::Frozen* pickle_and_unpickle(Scheduler* s, Tasklet* self, interp::Frozen* frozen);

extern PyMethodDef torture_functions[];

}  // namespace stackless
