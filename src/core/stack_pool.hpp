// C stacks for tasklets: carved out of large reserved slabs, guarded, lazily committed, reused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/context.hpp"

namespace stackless::core {

// A Stack describes one slot of a slab:
//
//   low  [guard page][ ......... C stack, grows down ......... ]top|Stack|data ... data_end
//
// The Stack object itself lies just above `top`, and the data area (the first chunk of a tasklet's
// Python data stack) just above the object. `top` is placed in the middle of a page, so that a
// tasklet that is shallow on both touches this one page and no other.
struct Stack {
  Stack* next_free;  // the pool's link
  std::byte* low;    // lowest usable byte of the C stack, above the guard
  std::byte* data;   // the data area: data .. data_end
  std::byte* data_end;
  bool deep;  // set by the user: this stack was seen deep, trim it when it comes back

  // top() returns the first byte above the C stack, 16-byte aligned.
  std::byte* top() noexcept { return reinterpret_cast<std::byte*>(this); }
  // size() returns the bytes of C stack, guard excluded.
  std::size_t size() noexcept { return static_cast<std::size_t>(top() - low); }
};

// StackPool hands out stacks, newest first, so that the one handed out is hot in the cache.
// It belongs to one thread at a time and takes no lock.
class StackPool {
 public:
  // The room in every stack's data area, at least.
  static constexpr std::size_t least_data_bytes = std::size_t{24} * 1024;

  // How guards are made on this system, decided by the first stack.
  enum class Guard { unknown, madvise, mprotect };

  struct Statistics {
    std::size_t in_use;          // handed out now
    std::size_t pooled;          // waiting in the pool
    std::size_t reserved_bytes;  // address space of all slabs
  };

  // `stack_bytes` is the virtual size of one slot, a multiple of the page size; 8 MiB by default.
  explicit StackPool(std::size_t stack_bytes = std::size_t{8} << 20) noexcept;
  // ~StackPool() gives the slabs back; no stack may be in use.
  ~StackPool();
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;

  // acquire() returns a stack, or null if there is no memory (or no mapping) for one more.
  Stack* acquire() noexcept {
    if (Stack* stack = free_) {
      free_ = stack->next_free;
      --pooled_;
      ++in_use_;
      return stack;
    }
    return carve();
  }

  // release() takes a stack back. It may be called while still standing on that stack, provided
  // that the caller switches away for good before anybody calls acquire().
  void release(Stack* stack) noexcept {
    if (stack->deep || (++releases_ % trim_every) == 0) {
      trim(stack);
    }
    put_back(stack);
  }

  // put_back() takes back a stack that nobody has run on since it was acquired.
  void put_back(Stack* stack) noexcept {
    stack->next_free = free_;
    free_ = stack;
    ++pooled_;
    --in_use_;
  }

  // is_guard() tells whether `address` lies in the guard page of one of this pool's stacks.
  bool is_guard(const void* address) const noexcept;

  Statistics statistics() const noexcept;
  std::size_t in_use() const noexcept { return in_use_; }

 private:
  struct Slab {
    std::byte* base;
    std::size_t bytes;
    std::byte* first;  // the first slot; what lies before and behind the slots is alignment
    std::size_t slots;
  };

  // One release in so many trims its stack without having been asked: what a stack has used is
  // not known to us, only to the kernel, and asking it each time would cost a system call.
  static constexpr std::uint32_t trim_every = 1024;

  // carve() makes a stack out of the next slot.
  Stack* carve() noexcept;
  bool reserve_slab() noexcept;
  bool install_guard(std::byte* guard) noexcept;
  // trim() gives the memory of the deeper part of an idle stack back to the kernel.
  static void trim(Stack* stack) noexcept;

  std::size_t stack_bytes_;
  Stack* free_ = nullptr;
  std::size_t pooled_ = 0;
  std::size_t in_use_ = 0;
  std::uint32_t releases_ = 0;
  Guard guard_ = Guard::unknown;
  std::byte* next_slot_ = nullptr;  // what is left of the newest slab
  std::size_t slots_left_ = 0;
  std::size_t slab_slots_;  // how many slots the next slab shall have
  std::vector<Slab> slabs_;
};

}  // namespace stackless::core
