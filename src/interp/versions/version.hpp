// Picks the file for the interpreter this build is for. Each defines, in stackless::interp:
//
//   struct Share      the tasklet's part of PyThreadState: save(), load(), static fresh()
//   struct BaseLayout what Base's storage holds
//   top_of(), code_of(), is_entry(), is_python()   walking the interpreter's frames
//   Slot, function_of(), instruction_of() ...   what freezing needs of a frame (frames/frame.hpp)
//   the manifest of the thread state
//
// What some versions have in common is in since_3_<minor>.hpp and until_3_<minor>.hpp, which they
// include.
#pragma once

#include <Python.h>

#include "interp/versions/facts.hpp"

#if PY_VERSION_HEX >= 0x03100000 || PY_VERSION_HEX < 0x030B0000
#error "stackless supports CPython 3.11 to 3.15"
#elif PY_VERSION_HEX >= 0x030F0000
#include "interp/versions/v3_15.hpp"
#elif PY_VERSION_HEX >= 0x030E0000
#include "interp/versions/v3_14.hpp"
#elif PY_VERSION_HEX >= 0x030D0000
#include "interp/versions/v3_13.hpp"
#elif PY_VERSION_HEX >= 0x030C0000
#include "interp/versions/v3_12.hpp"
#else
#include "interp/versions/v3_11.hpp"
#endif
