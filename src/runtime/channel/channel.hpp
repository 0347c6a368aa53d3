// The channel: where one tasklet's value becomes another's.
#pragma once

#include <cstdint>

#include "object/reference.hpp"
#include "runtime/scheduler/blocker.hpp"

namespace stackless {

// Those who wait at a channel: all senders or all receivers. It owns a reference to each.
struct ChannelQueue final : Blocker {
  Ref<Tasklet> cancel(Tasklet* tasklet) noexcept override;
  Object describe(Tasklet* tasklet) override;
  PyObject* owner() noexcept override;

  Tasklet* first;
  Tasklet* last;
  Py_ssize_t balance;       // waiting senders, or minus the waiting receivers
  std::uint64_t last_user;  // serial of the tasklet that used the channel last
};

struct Channel {
  PyObject_HEAD
  ChannelQueue queue;
  PyObject* weak_references;
  signed char preference;
  bool schedule_all;
  bool closing;
};

extern PyTypeObject ChannelType;
extern PyMethodDef channel_methods[];

// init_channel() says how tasklets go on that were frozen in these.
void init_channel();

inline bool is_channel(PyObject* object) { return PyObject_TypeCheck(object, &ChannelType); }
inline Channel* as_channel(PyObject* object) { return reinterpret_cast<Channel*>(object); }

}  // namespace stackless
