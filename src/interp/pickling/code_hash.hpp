// A hash of what a code object does, by which a snapshot finds out whether it is still the same.
#pragma once

#include <Python.h>

#include <cstddef>
#include <cstdint>

namespace stackless::interp {

// FNV-1a.
class Hash {
 public:
  void add(const void* bytes, std::size_t size) noexcept {
    const auto* p = static_cast<const unsigned char*>(bytes);
    for (std::size_t i = 0; i < size; ++i) {
      value_ = (value_ ^ p[i]) * 0x100000001b3;
    }
  }
  template <typename Number>
  void add_number(Number number) noexcept {
    auto wide = static_cast<std::int64_t>(number);
    add(&wide, sizeof wide);
  }
  std::uint64_t value() const noexcept { return value_; }
  // Never 0.
  std::int32_t folded() const noexcept {
    auto result = static_cast<std::int32_t>(value_ ^ (value_ >> 32));
    return result != 0 ? result : 1;
  }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325;
};

// code_hash() is the same for the same code, in any process and wherever its source file is; 0 with
// an exception set. It asks for the text of constants, where the interpreter looks for signals and
// collections.
std::int32_t code_hash(PyCodeObject* code);
// has_hash() tells whether that is known already.
bool has_hash(PyCodeObject* code);

}  // namespace stackless::interp
