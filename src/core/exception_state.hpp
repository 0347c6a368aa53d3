// What the C++ runtime knows of the exceptions that are being handled: two words a thread, which belong to
// whatever runs on the C stack. A tasklet that waits inside a catch block would otherwise rethrow another
// tasklet's exception.
#pragma once

#include <cxxabi.h>

#include <cstdint>
#include <utility>

namespace stackless::core {

// __cxa_eh_globals of the Itanium C++ ABI, 2.2.2.
struct ExceptionState {
  void* caught = nullptr;     // the stack of exceptions that are being handled
  unsigned int uncaught = 0;  // how many are on their way

  // is_empty() is what holds of nearly every switch.
  bool is_empty() const noexcept {
    return (reinterpret_cast<std::uintptr_t>(caught) | uncaught) == 0;
  }
  // take() leaves none.
  ExceptionState take() noexcept { return std::exchange(*this, {}); }
};

// exception_state() is the calling thread's.
inline ExceptionState* exception_state() noexcept {
  return reinterpret_cast<ExceptionState*>(abi::__cxa_get_globals());
}

}  // namespace stackless::core
