// Pickling: a tasklet's state as pickle and copy see it.
#pragma once

#include "runtime/scheduler/tasklet.hpp"

namespace stackless {

// reduce_tasklet() returns (type, (), state) with the eight items that the original's state has:
//   flags, mailbox, nesting level, frames, exceptions being handled, context, attributes, reason
// Frames are a list: of entries (interp/pickling/frames.hpp), outermost first, if it has started; of one tuple
// (function, arguments, keywords) if it hasn't; of lines of text, for who wants to look at it, if it can't go
// on elsewhere, for the reason given last.
Object reduce_tasklet(Tasklet* tasklet);
// restore_tasklet() gives a tasklet that is not bound such a state; false with an exception set.
bool restore_tasklet(Tasklet* tasklet, PyObject* state);

// init_pickling() is called once, at import.
void init_pickling();
extern PyMethodDef pickling_functions[];

}  // namespace stackless
