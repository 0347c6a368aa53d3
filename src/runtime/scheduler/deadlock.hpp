// What a deadlock's error says: who waits, where, and on what.
#pragma once

#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

// deadlock_report() returns the RuntimeError for `tasklet`, the last runnable one, which is about to
// block (or has); lonely_main_report() the one for a main tasklet that waits on a channel while
// nobody is left. Where there is no memory for it, they return the MemoryError.
Object deadlock_report(Scheduler* s, Tasklet* tasklet);
Object lonely_main_report(Scheduler* s, Tasklet* main);

// place_of() says where a tasklet is: " at file.py:12 in f".
Object place_of(Tasklet* tasklet);

// name_of_tasklet() names the tasklet with that serial number, of the scheduler's or gone: "tasklet 7 'worker'".
Object name_of_tasklet(std::uint64_t serial, Scheduler* s);

// remember_departed() keeps the name of a tasklet that ends, in case a report wants it.
void remember_departed(Tasklet* tasklet);

}  // namespace stackless
