// What has to be seen to before and after a switch.
#pragma once

#include "runtime/scheduler/scheduler.hpp"

namespace stackless {

// explode_in() has the tasklet raise the exception when it next runs.
void explode_in(Tasklet* tasklet, Object exception);
// put_mail() puts `value` into the mailbox.
void put_mail(Tasklet* self, PyObject* value);
// next_or_told() is `next`, or if there is no stack for that one, whoever is told so.
Tasklet* next_or_told(Scheduler* s, Tasklet* next);
// take_thrown() takes what another thread has thrown at the current tasklet.
Object take_thrown(Scheduler* s);
// note_depth() notes that the current tasklet blocks deep down its C stack.
void note_depth(Tasklet* self);

}  // namespace stackless
