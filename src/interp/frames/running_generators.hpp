// Generators and coroutines whose frames belong to suspended tasklets.
#pragma once

#include "interp/versions/version.hpp"

namespace stackless::interp {

PyGenObject* generator_of(_PyInterpreterFrame* frame);

// spare_running_generators() has the collector leave those alone that are running in a suspended
// tasklet: they end when that does.
void spare_running_generators() noexcept;

}  // namespace stackless::interp
