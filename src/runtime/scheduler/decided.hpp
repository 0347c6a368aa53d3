// Debug builds abort if Python code has run between a decision and its switch.
#pragma once

#include "interp/switching/canary.hpp"
#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

#ifdef NDEBUG
inline void note_decision(Scheduler*) noexcept {}
inline void forget_decision(Scheduler*) noexcept {}
inline void check_decision(Scheduler*) noexcept {}
#else
inline void note_decision(Scheduler* s) noexcept { s->canary = interp::set_canary(s->ts); }
inline void forget_decision(Scheduler* s) noexcept { s->canary = nullptr; }
inline void check_decision(Scheduler* s) noexcept {
  assert(interp::is_alive(s->ts, std::exchange(s->canary, nullptr)) &&
         "Python code has run between deciding who runs next and the switch");
}
#endif

}  // namespace stackless
