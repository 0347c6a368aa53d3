#include "interp/switching/switch.hpp"

#include "object/reference.hpp"

namespace stackless::interp {

static_assert(sizeof(BaseLayout) <= sizeof(Base));

void start(PyThreadState* ts, Parked** parked, core::Stack* stack, core::Entry entry,
           CallMark mark) noexcept {
  Parked mine;
  mine.mark = mark;
  mine.share.save(ts);
  *parked = &mine;
  core::switch_context(&mine.stack_pointer, core::make_context(stack->top(), entry));
  mine.share.load(ts);
  if (mine.share.is_stale(ts)) [[unlikely]] {
    catch_up(ts, top_of(ts));
  }
}

// These two never return: AddressSanitizer would leave red zones on the stack.
[[gnu::no_sanitize_address]] void leave_to(Parked* target) noexcept {
  core::StackPointer nobody;
  core::switch_context(&nobody, target->stack_pointer);
  __builtin_unreachable();
}

[[gnu::no_sanitize_address]] void leave_to_start(core::Stack* stack, core::Entry entry) noexcept {
  core::enter_context(stack->top(), entry);
  __builtin_unreachable();
}

void begin(PyThreadState* ts, Base* base, core::Stack* stack, PyObject* context) noexcept {
  Share::fresh(ts, reinterpret_cast<BaseLayout*>(base), stack, context);
}

void end(PyThreadState* ts) noexcept {
  if (Tracing::is_any(ts)) [[unlikely]] {
    PyEval_SetTrace(nullptr, nullptr);
    PyEval_SetProfile(nullptr, nullptr);
  }
  if (PyObject* context = ts->context) {
    CommonShare::load_context(ts, nullptr);
    drop_reference(context);
  }
  clear_reference(ts->exc_info->exc_value);  // None, if an exception has been handled
}

PyObject* take_context(PyThreadState* ts) noexcept {
  PyObject* context = ts->context;
  if (context != nullptr) {
    CommonShare::load_context(ts, nullptr);
  }
  return context;
}

void leave_data_stack(PyThreadState* ts) noexcept {
  constexpr std::size_t bytes = std::size_t{16} * 1024;  // Python/pystate.c, DATA_STACK_CHUNK_SIZE
  PyObjectArenaAllocator arenas;
  PyObject_GetArenaAllocator(&arenas);
  auto* chunk = static_cast<_PyStackChunk*>(arenas.alloc(arenas.ctx, bytes));
  if (chunk == nullptr) {
    return;
  }
  chunk->previous = nullptr;
  chunk->size = bytes;
  chunk->top = 0;
  ts->datastack_chunk = chunk;
  ts->datastack_top = &chunk->data[1];
  ts->datastack_limit = reinterpret_cast<PyObject**>(reinterpret_cast<char*>(chunk) + bytes);
}

}  // namespace stackless::interp
