// The channel: where one tasklet's value becomes another's.
#pragma once

#include <cstdint>

#include "object/reference.hpp"
#include "runtime/scheduler/tasklet.hpp"

namespace stackless {

struct Channel {
  PyObject_HEAD
  Tasklet* first;  // the queue: all senders or all receivers; it owns a reference to each
  Tasklet* last;
  Py_ssize_t balance;  // waiting senders, or minus the waiting receivers
  PyObject* weak_references;
  std::uint64_t last_user;  // serial of the tasklet that used it last
  signed char preference;
  bool schedule_all;
  bool closing;
};

extern PyTypeObject ChannelType;
extern PyMethodDef channel_methods[];

inline bool is_channel(PyObject* object) { return PyObject_TypeCheck(object, &ChannelType); }
inline Channel* as_channel(PyObject* object) { return reinterpret_cast<Channel*>(object); }

}  // namespace stackless
