#include "interp/switching/canary.hpp"

#include "interp/versions/version.hpp"

namespace stackless::interp {

namespace {

char canary_itself;
PyObject* const sitting = reinterpret_cast<PyObject*>(&canary_itself);

}  // namespace

Canary set_canary(PyThreadState* ts) noexcept {
  Canary top = ts->datastack_top;
  if (top == nullptr || top >= ts->datastack_limit) {
    return nullptr;
  }
  *top = sitting;
  return top;
}

bool is_alive(PyThreadState* ts, Canary canary) noexcept {
  return canary == nullptr || (ts->datastack_top == canary && *canary == sitting);
}

}  // namespace stackless::interp
