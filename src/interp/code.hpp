// What has to be known of a code object to stop in the middle of it: each instruction as the compiler
// wrote it, whatever the interpreter or a tool has made of it since, and how high the value stack is
// before it.
#pragma once

#include <Python.h>

#include <cstdint>
#include <memory>

namespace stackless::interp {

struct Instruction {
  std::int32_t argument;
  std::int16_t
      height;  // of the value stack alone; -1 if never reached, or on 3.14+, where frames know
  std::uint8_t opcode;
};

struct CodeMap {
  std::unique_ptr<Instruction[]> instructions;  // by index of the code unit
  int size;
  mutable std::int32_t hash = 0;  // interp/portable.hpp; 0 until somebody asks
  bool keeps_first_argument;      // there is one, and nothing is ever stored in its place
  bool first_argument_in_cell;
};

// code_map() returns the map of `code`, which lives as long as that; null with MemoryError set.
const CodeMap* code_map(PyCodeObject* code);

// init_code_maps() is called once, at import; -1 with an exception set.
int init_code_maps();

}  // namespace stackless::interp
