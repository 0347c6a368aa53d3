#pragma once

namespace stackless::interp {

// check_interpreter() returns 0 if this build fits the running interpreter, else -1 with an
// ImportError that says what differs.
int check_interpreter();

}  // namespace stackless::interp
