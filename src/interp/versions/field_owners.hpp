// Every field of PyThreadState is classified; a field that CPython adds fails the build here until
// somebody has decided whose it is. This is how a new version announces its surprises.
#pragma once

#include <cstddef>
#include <utility>

namespace stackless::interp {

enum class Owner {
  thread,      // belongs to the OS thread: a switch leaves it alone
  tasklet,     // swapped by Share::save() and Share::load()
  irrelevant,  // dead at every point where a switch can happen
};

struct Field {
  std::size_t offset;
  std::size_t size;
  std::size_t align;
  Owner owner;
};

// covers() is true if the fields, in order, fill a struct of `bytes` with no room between them for
// another one, alignment gaps excepted (count() sees what hides in those).
template <std::size_t N>
constexpr bool covers(const Field (&fields)[N], std::size_t first, std::size_t bytes) {
  std::size_t end = first;
  for (const Field& field : fields) {
    std::size_t expected = (end + field.align - 1) / field.align * field.align;
    if (field.offset != expected) {
      return false;
    }
    end = field.offset + field.size;
  }
  return (end + 7) / 8 * 8 == bytes;
}

// Convertible to anything: initialises any one member of an aggregate.
struct Anything {
  template <class T>
  constexpr operator T() const noexcept;
};

template <class T, std::size_t... I>
constexpr bool initialisable(std::index_sequence<I...>) {
  return requires { T{(static_cast<void>(I), Anything{})...}; };
}

// has_members() is true if the aggregate T has exactly N members.
template <class T, std::size_t N>
constexpr bool has_members() {
  return initialisable<T>(std::make_index_sequence<N>{}) &&
         !initialisable<T>(std::make_index_sequence<N + 1>{});
}

// Fields that came at the end of a struct within a minor version: present in newer micro versions,
// so the room they take is known by asking for them. Both belong to the thread.
template <class T>
inline constexpr std::size_t cached_chunk_fields =
    requires(T& t) { t.datastack_cached_chunk; } ? 1 : 0;
template <class T>
inline constexpr std::size_t stack_init_fields = requires(T& t) { t.c_stack_init_base; } ? 2 : 0;

#define STACKLESS_FIELD(type, owner, name)                                   \
  ::stackless::interp::Field {                                               \
    offsetof(type, name), sizeof(type::name), alignof(decltype(type::name)), \
        ::stackless::interp::Owner::owner                                    \
  }

}  // namespace stackless::interp
