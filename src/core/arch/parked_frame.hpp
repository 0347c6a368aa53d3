// Everything that differs by machine, behind one include: arch::ParkedFrame, and the way to switch
// that suits the machine, arch::switch_context().
#pragma once

#if defined(__x86_64__) && defined(__LP64__) && defined(__ELF__)
#include "core/arch/x86_64.hpp"
#elif defined(__aarch64__) && defined(__LP64__) && defined(__ELF__)
#include "core/arch/aarch64.hpp"
#else
#error \
    "Stackless switches C stacks and has no code for this ABI: it supports Linux on x86-64 and \
aarch64. A port adds one .S and one .hpp file to src/core/arch."
#endif
