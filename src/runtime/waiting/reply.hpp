// A reply: one tasklet waits for what a helper thread finds out. run() waits for that tasklet as for one that waits for
// a socket.
#pragma once

#include "object/reference.hpp"

namespace stackless {

extern PyTypeObject ReplyType;

// init_reply() says how a tasklet goes on that was frozen in wait().
void init_reply();

}  // namespace stackless
