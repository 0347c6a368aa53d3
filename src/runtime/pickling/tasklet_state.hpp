// Pickling: a tasklet's state as pickle and copy see it.
#pragma once

#include "runtime/scheduler/tasklet.hpp"

namespace stackless {

// reduce_tasklet() returns (type, (), state) with the eight items that the original's state has:
//   flags, mailbox, nesting level, frames, exceptions being handled, context, attributes, reason
// Frames are a list: of entries (interp/portable.hpp), outermost first, if it has started; of one tuple
// (function, arguments, keywords) if it hasn't; of lines of text, for who wants to look at it, if it can't go
// on elsewhere, for the reason given last.
Object reduce_tasklet(Tasklet* tasklet);
// restore_tasklet() gives a tasklet that is not bound such a state; false with an exception set.
bool restore_tasklet(Tasklet* tasklet, PyObject* state);

// wrapped() returns what stands for an object that pickle can't write as it is, or the object.
Object wrapped(PyObject* object);

// attributes_of() returns what a class derived from `base` has added to an object, as object.__getstate__()
// does: None, a dictionary, or a pair with one for slots. set_attributes() is the way back; false with an
// exception set.
Object attributes_of(PyObject* object, PyTypeObject* base);
bool set_attributes(PyObject* object, PyObject* attributes);

// refusal() returns the reason (borrowed) why an unpickled tasklet can't go on; null if it can.
PyObject* refusal(const Tasklet* tasklet);

// init_pickling() is called once, at import.
void init_pickling();
extern PyMethodDef pickling_functions[];

}  // namespace stackless
