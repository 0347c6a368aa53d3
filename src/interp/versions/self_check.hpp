#pragma once

namespace stackless::interp {

// raise_other_layout() says that this build is for another layout of the same version.
void raise_other_layout();

// check_interpreter() returns 0 if this build fits the running interpreter, else -1 with an
// ImportError that says what differs.
int check_interpreter();

}  // namespace stackless::interp
