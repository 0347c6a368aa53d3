// What has to be known of a code object to stop in the middle of it: each instruction as the
// compiler wrote it, whatever the interpreter or a tool has made of it since, and how high the
// value stack is before it.
#pragma once

#include <Python.h>

#include <array>
#include <cstdint>
#include <memory>

namespace stackless::interp {

struct Instruction {
  std::int32_t argument;
  std::int16_t height;  // of the value stack alone; -1 if never reached, or where frames know it
  std::uint8_t opcode;
};

struct CodeMap {
  std::unique_ptr<Instruction[]> instructions;  // by index of the code unit
  int size;
  mutable std::int32_t hash = 0;  // pickling/code_hash.hpp; 0 until somebody asks
  bool keeps_first_argument;
};

// The maps asked for last: getting one from the code object takes three calls.
struct KnownMap {
  PyCodeObject* code;
  const CodeMap* map;
};
inline std::array<KnownMap, 64> known_maps;
const CodeMap* find_code_map(PyCodeObject* code, KnownMap* known);

// code_map() returns the map of `code`, which lives as long as that; null with MemoryError set.
inline const CodeMap* code_map(PyCodeObject* code) {
  constexpr unsigned alignment_bits = 6;
  KnownMap& known =
      known_maps[(reinterpret_cast<std::uintptr_t>(code) >> alignment_bits) % known_maps.size()];
  return known.code == code ? known.map : find_code_map(code, &known);
}

// height_before() is how high the value stack is before the instruction of that index, even where
// frames know it and no map does (it takes its time then); -1 if it is never reached, or with
// MemoryError set.
int height_before(PyCodeObject* code, int index);

// keeps_argument() tells whether there is such a positional argument, and nothing is ever stored in
// its place; false with MemoryError set, perhaps. is_in_cell() tells whether it lies in a cell, for
// inner functions.
bool keeps_argument(PyCodeObject* code, int i);
bool is_in_cell(PyCodeObject* code, int i);

// init_code_maps() is called once, at import; -1 with an exception set.
int init_code_maps();

}  // namespace stackless::interp
