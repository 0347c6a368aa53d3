// Where things lie, and why.
//
// A stack that is touched in one place costs a page for itself, a page of page table for the hot
// page, and another one for its guard. The slots are therefore shifted against the 2 MiB regions
// that a page of page table covers: a slot begins (with its guard) at the last page of a region,
// so the guard shares its page table with the hot page of the slot below.
//
// Equal distances would make hot pages fight for the same few sets of TLB and cache. Neighbouring
// slots therefore place their hot page, and `top` in it, at slightly different offsets. Measured
// (BM_SwitchAmong): among 100 contexts 11.5 -> 8.5 ns, among 1,000 15 -> 11, but among 10,000,
// which fit in no cache, 23 -> 30.
#include "core/stack_pool.hpp"

#include <sys/mman.h>
#include <unistd.h>
#include <algorithm>
#include <cassert>
#include <cerrno>
#include <new>

namespace stackless::core {
namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t page_table_reach = 2048 * kib;  // what one page of page table maps
constexpr std::size_t data_area = 32 * kib;           // Stack object and data, from the hot page on
constexpr std::size_t kept_below = 16 * kib;          // what trim() leaves of the C stack ...
constexpr std::size_t kept_above = 16 * kib;          // ... and of the data area
static_assert(data_area >= StackPool::least_data_bytes + sizeof(Stack) + 4 * kib);
constexpr std::size_t smallest_stack = 64 * kib;
#ifdef STACKLESS_CORE_TINY
constexpr std::size_t first_slab = 1;
constexpr std::size_t largest_slab = 2;
#else
constexpr std::size_t first_slab = 16;
constexpr std::size_t largest_slab = 1024;
#endif

#ifdef MADV_GUARD_INSTALL
static_assert(MADV_GUARD_INSTALL == 102);
#endif
constexpr int madv_guard_install = 102;  // Linux 6.13; older headers don't have it

std::size_t page_bytes() noexcept {
  static const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

std::size_t round_up(std::size_t value, std::size_t unit) noexcept {
  return (value + unit - 1) / unit * unit;
}

std::byte* round_up(std::byte* address, std::size_t unit) noexcept {
  const auto value = reinterpret_cast<std::uintptr_t>(address);
  return address + (round_up(value, unit) - value);
}

std::byte* page_of(std::byte* address) noexcept {
  return address - reinterpret_cast<std::uintptr_t>(address) % page_bytes();
}

// discard() gives the pages of [begin, end) back; they read as zero afterwards. That it can't be
// done (locked memory) costs memory, nothing else.
void discard(std::byte* begin, std::byte* end) noexcept {
  if (begin < end) {
    madvise(begin, static_cast<std::size_t>(end - begin), MADV_DONTNEED);
  }
}

// is_inaccessible() asks the kernel to read `address` for us, which fails instead of crashing.
bool is_inaccessible(const std::byte* address) noexcept {
  return access(reinterpret_cast<const char*>(address), F_OK) == -1 && errno == EFAULT;
}

}  // namespace

StackPool::StackPool(std::size_t stack_bytes) noexcept
    : stack_bytes_(
          round_up(std::max({stack_bytes, smallest_stack, 4 * page_bytes()}), page_bytes())),
      slab_slots_(first_slab) {}

StackPool::~StackPool() {
  assert(in_use_ == 0);
  for (const Slab& slab : slabs_) {
    munmap(slab.base, slab.bytes);
  }
}

bool StackPool::reserve_slab() noexcept {
  try {
    slabs_.reserve(slabs_.size() + 1);
  } catch (const std::bad_alloc&) {
    return false;
  }
  const std::size_t page = page_bytes();
  // Slots smaller than a region meet its borders wherever they lie.
  const bool shifted = stack_bytes_ >= page_table_reach;
  for (std::size_t slots = slab_slots_; slots > 0; slots /= 2) {
    const std::size_t bytes = slots * stack_bytes_ + (shifted ? page_table_reach : 0);
    void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
      continue;
    }
    // A huge page would make 2 MiB of every touched byte. (EINVAL: a kernel without huge pages.)
    madvise(base, bytes, MADV_NOHUGEPAGE);
    auto* first = static_cast<std::byte*>(base);
    if (shifted) {
      first = round_up(first + page, page_table_reach) - page;
    }
    slabs_.push_back(Slab{static_cast<std::byte*>(base), bytes, first, slots});
    slab_slots_ = std::min(2 * slots, largest_slab);
    next_slot_ = first;
    slots_left_ = slots;
    return true;
  }
  return false;
}

bool StackPool::install_guard(std::byte* guard) noexcept {
  const std::size_t page = page_bytes();
  if (guard_ != Guard::mprotect) {
    if (madvise(guard, page, madv_guard_install) == 0) {
      // Some emulators accept every advice and do nothing, so the first guard is put to the test.
      if (guard_ == Guard::madvise || is_inaccessible(guard)) {
        guard_ = Guard::madvise;
        return true;
      }
    } else if (errno != EINVAL) {
      return false;
    }
    // EINVAL: an older kernel, or memory locked by mlockall(), which can't have such guards.
  }
  if (mprotect(guard, page, PROT_NONE) != 0) {
    return false;
  }
  if (guard_ == Guard::unknown) {
    guard_ = Guard::mprotect;
  }
  return true;
}

Stack* StackPool::carve() noexcept {
  if (slots_left_ == 0 && !reserve_slab()) {
    return nullptr;
  }
  std::byte* slot = next_slot_;
  if (!install_guard(slot)) {
    return nullptr;  // the slot stays the next one
  }
  next_slot_ += stack_bytes_;
  const std::size_t colour = --slots_left_;
  ++in_use_;

  const std::size_t page = page_bytes();
  const std::size_t above = round_up(data_area, page);
  // A small slot has no room for other pages.
  const std::size_t pages_down = stack_bytes_ >= 1024 * kib ? colour % 64 : 0;
  std::byte* hot = slot + stack_bytes_ - above - pages_down * page;
  std::byte* place = hot + page / 8 * 5 - colour % 8 * 64;

  auto* stack = new (place) Stack;
  stack->next_free = nullptr;
  stack->low = slot + page;
  stack->data = place + round_up(sizeof(Stack), 16);
  stack->data_end = hot + above;
  stack->deep = false;
  return stack;
}

void StackPool::trim(Stack* stack) noexcept {
  stack->deep = false;
  std::byte* hot = page_of(stack->top());
  std::byte* end = hot - std::min(kept_below, static_cast<std::size_t>(hot - stack->low));
  // We may be standing on this stack: what is below our frame is free, save for what the call
  // into the kernel needs.
  auto* here = static_cast<std::byte*>(__builtin_frame_address(0));
  if (stack->low <= here && here < stack->top()) {
    end = std::min(end, page_of(here - std::min<std::size_t>(page_bytes(), here - stack->low)));
  }
  discard(stack->low, end);
  discard(round_up(hot + kept_above, page_bytes()), stack->data_end);
}

bool StackPool::is_guard(const void* address) const noexcept {
  const auto* byte = static_cast<const std::byte*>(address);
  for (const Slab& slab : slabs_) {
    const std::byte* end = slab.first + slab.slots * stack_bytes_;
    if (slab.first <= byte && byte < end) {
      const auto offset = static_cast<std::size_t>(byte - slab.first);
      const bool carved = next_slot_ == nullptr || byte < next_slot_ || &slab != &slabs_.back();
      return carved && offset % stack_bytes_ < page_bytes();
    }
  }
  return false;
}

StackPool::Statistics StackPool::statistics() const noexcept {
  std::size_t reserved = 0;
  for (const Slab& slab : slabs_) {
    reserved += slab.bytes;
  }
  return {in_use_, pooled_, reserved};
}

}  // namespace stackless::core
