// Freeze: take a suspended tasklet's frames off its stacks, into one block of memory.
//
// A tasklet can be frozen where one evaluation loop stands on its C stack, which has called a C
// function of ours. Such a loop keeps nothing of its own that the frames don't hold, nor does the
// way from there into our function; so the C stack can be forgotten as it is, if our function holds
// no reference either. The value that the call is to return is pushed when the tasklet runs again.
// If several loops stand there, it is by merging them (freezing/merge_loops.hpp).
#pragma once

#include <Python.h>

#include "interp/freezing/find_halt.hpp"

namespace stackless::interp {

// freeze() moves the frames, the exception being handled, the context and the trace functions out;
// the stacks hold nothing of value any more. Null if there is no memory (no exception is set).
Frozen* freeze(PyThreadState* ts, Parked* parked, const Halt& halt) noexcept;

// drop() clears the frames without running anything of theirs, and consumes `frozen`.
void drop(Frozen* frozen);

// take_context() hands the context over, for begin().
PyObject* take_context(Frozen* frozen) noexcept;

std::size_t memory_of(const Frozen* frozen) noexcept;
// count_operands() is how many values the call at which it stands has left on the value stack.
int count_operands(const Frozen* frozen) noexcept;

}  // namespace stackless::interp
