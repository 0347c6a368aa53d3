// stackless._stackless.Socket: the standard socket whose waits block one tasklet only.
#pragma once

#include "object/reference.hpp"

namespace stackless {

// add_socket_type() makes the type, a subclass of the standard library's socket.socket, and adds it
// to the module; -1 with an exception set.
int add_socket_type(PyObject* module);

}  // namespace stackless
