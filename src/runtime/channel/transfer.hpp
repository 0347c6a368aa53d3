// Sending and receiving: whose value goes where, and who goes on.
#pragma once

#include "runtime/channel/channel.hpp"

namespace stackless {

enum class Way { send, receive };

// enqueue() queues a tasklet that is nowhere; the queue takes the reference.
void enqueue(Channel* channel, Ref<Tasklet> tasklet, Way way);
// send() and receive() of the type, called with `mark`; `value` may be a bomb.
Object send(Channel* channel, Object value, interp::CallMark mark);
Object receive(Channel* channel, interp::CallMark mark);

// The methods, and next().
PyObject* send_method(PyObject* self, PyObject* const* args, Py_ssize_t nargs);
PyObject* receive_method(PyObject* self, PyObject* const* args, Py_ssize_t nargs);
PyObject* next_value(PyObject* self);

}  // namespace stackless
