// Generators and coroutines whose frames belong to suspended tasklets.
#pragma once

namespace stackless::interp {

// spare_running_generators() has the collector leave those alone that are running in a suspended
// tasklet: they end when that does.
void spare_running_generators() noexcept;

}  // namespace stackless::interp
