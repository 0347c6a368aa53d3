#include "runtime/freezing.hpp"

#include <cstring>

#include "interp/freeze.hpp"
#include "interp/merge.hpp"
#include "interp/portable.hpp"
#include "interp/switch.hpp"
#include "interp/trade.hpp"
#include "runtime/bomb.hpp"
#include "runtime/callbacks.hpp"
#include "runtime/channel.hpp"
#include "runtime/functions.hpp"
#include "runtime/pickling.hpp"
#include "runtime/switching.hpp"
#include "runtime/torture.hpp"
#include "runtime/wait.hpp"

namespace stackless {

namespace {

struct Rule {
  const PyMethodDef* function;
  Completion completion;
  bool trades = false;  // whether nothing is left to do there when the tasklet has been woken
  bool keeps_bomb = false;
};

const PyMethodDef* find(const PyMethodDef* table, const char* name) {
  while (std::strcmp(table->ml_name, name) != 0) {
    ++table;
  }
  return table;
}

// In these functions a tasklet waits without holding anything on its C stack, except for what the call has sent.
const Rule rules[] = {
    {find(channel_methods, "receive"), Completion::mail, true},
    {find(functions, "schedule"), Completion::mail_or_self, true},
    {find(channel_methods, "send"), Completion::mail, true},
    {find(functions, "sleep"), Completion::nothing},
    {find(functions, "schedule_remove"), Completion::removed},
    {find(tasklet_methods, "run"), Completion::mail},
    {find(tasklet_methods, "switch"), Completion::mail},
    {find(channel_methods, "send_exception"), Completion::mail, false, true},
    {find(channel_methods, "send_throw"), Completion::mail, false, true},
    {find(channel_methods, "send_sequence"), Completion::again},
};

const Rule* rule_of(const PyMethodDef* function) {
  for (const Rule& rule : rules) {
    if (rule.function == function) {
      return &rule;
    }
  }
  return nullptr;
}

const PyMethodDef no_methods[] = {{}};
const PyMethodDef* made_again = no_methods;

bool is_made_again(const Tasklet* t, const interp::Halt& halt) {
  const PyMethodDef* method = made_again;
  while (method->ml_name != nullptr && method != halt.function) {
    ++method;
  }
  // Without an operation it has called something else that waits. The operands of f(*arguments) don't
  // outlive the call.
  return method->ml_name != nullptr && t->operation != nullptr && halt.arguments >= 0;
}

// What a call that has a rule returns.
Completion completion_by(const Rule& rule, const interp::Halt& halt) {
  switch (rule.completion) {
    case Completion::removed:
      return halt.arguments == 0  ? Completion::removed
             : halt.arguments > 0 ? Completion::mail
                                  : Completion::none;
    case Completion::again:
      return halt.arguments >= 0 ? Completion::again : Completion::none;
    default:
      return rule.completion;
  }
}

Completion completion_of(const Tasklet* t, interp::Halt* halt) {
  if (halt->iterator != nullptr) {
    bool receives = Py_TYPE(halt->iterator)->tp_iternext == ChannelType.tp_iternext;
    return receives ? Completion::mail : Completion::none;
  }
  const Rule* rule = rule_of(halt->function);
  if (rule == nullptr) {
    return is_made_again(t, *halt) ? Completion::again : Completion::none;
  }
  halt->merges = halt->merges || rule->keeps_bomb;
  return completion_by(*rule, *halt);
}

enum class Success {
  pinned,
  frozen,   // its stack is free
  unwound,  // its stack will be, when the call in which it waits has raised unwinding_bomb
};

PyObject* unwinding_bomb;

// Whether the outermost frame is that of the function which the tasklet has been started with, so
// that nothing but we has called it. Once that has returned, nothing is: what it leaves is dropped
// by C code, and may run the same function once more.
bool is_own(const Tasklet* t, PyObject* outermost) {
  PyObject* function = t->function.get();
  if (function != nullptr && PyMethod_Check(function)) {
    function = PyMethod_GET_FUNCTION(function);
  }
  return !t->has_returned && function != nullptr && function == outermost;
}

// Where the tasklet stands, and how its call is completed then; none if it is pinned. `parked` null for the
// running one, which is about to wait in the call with `mark`.
Completion find_completion(const Tasklet* t, interp::Parked* parked, interp::Halt* halt,
                           interp::CallMark mark = nullptr) {
  PyThreadState* ts = t->scheduler->ts;
  bool free = ts != nullptr && t->stack != nullptr &&
              interp::find_halt(ts, parked, halt, mark) == interp::Pin::none &&
              is_own(t, halt->outermost);
  return free ? completion_of(t, halt) : Completion::none;
}

// Whether the C functions on the tasklet's stack can be ended now, by the calling thread.
bool can_merge(const Tasklet* t) { return t->scheduler == this_scheduler && interp::may_merge(); }
Object why_not_merged(const Tasklet* t) {
  if (t->scheduler != this_scheduler) {
    return Object::steal(PyUnicode_FromFormat(
        "only its own thread (%lu) can end the C functions that it waits in: do this there",
        t->scheduler->thread_id));
  }
  return Object::steal(PyUnicode_FromString("another tasklet's C functions are being ended"));
}

// Moves the tasklet's frames out; `merging` if C functions may be ended for that.
Success freeze(Tasklet* t, interp::Parked* parked, bool merging = true,
               interp::CallMark mark = nullptr) {
  interp::Halt halt;
  PyThreadState* ts = t->scheduler->ts;
  Completion completion = find_completion(t, parked, &halt, mark);
  if (completion == Completion::none) {
    return Success::pinned;
  }
  bool merges = halt.merges;
  if (merges && !(merging && can_merge(t))) {
    return Success::pinned;
  }
  t->frozen = merges ? interp::merge(ts, parked, halt) : interp::freeze(ts, parked, halt);
  if (t->frozen == nullptr) {
    return Success::pinned;
  }
  t->completion = completion;
  ++t->scheduler->freezes;
  if (merges) {
    return Success::unwound;
  }
  t->parked = nullptr;
  return Success::frozen;
}

// Has the C functions of `self`, whose frames have been moved out, end as soon as it runs; `next` runs
// afterwards. Destructors that run meanwhile may not switch.
void start_unwinding(Scheduler* s, Tasklet* self, Tasklet* next) {
  s->after_unwinding = next;
  s->withheld_mail = std::exchange(self->tempval, Object::share(unwinding_bomb));
  forbid_switching(s);
}

PyObject* result_of_call(Tasklet* self) {
  if (!self->tempval && self->completion == Completion::mail_or_self) {
    return Py_NewRef(as_object(self));
  }
  Object mail = claim(self);
  if (self->completion == Completion::again) {
    if (!mail) {
      drop_operation(self);
      return nullptr;
    }
    self->operation->is_over = true;
    return interp::again();
  }
  if (!mail) {
    return nullptr;
  }
  if (self->completion == Completion::nothing) {
    return Py_NewRef(Py_None);
  }
  if (self->completion == Completion::removed && mail.get() == Py_None) {
    return Py_NewRef(as_object(self));
  }
  return mail.release();
}

PyObject* finish_call() {
  Tasklet* self = this_scheduler->current;
  PyObject* result = result_of_call(self);
  if (self->arguments) [[unlikely]] {  // pickle_and_unpickle() has left the operands there
    KeepException pending;
    self->arguments.reset();
  }
  return result;
}

// What stands on it from there on is never returned to.
void release_stack(Tasklet* t, void* from) {
  core::abandon(from, t->stack->top());
  t->scheduler->seats.leave(t);
  t->scheduler->stacks.release(std::exchange(t->stack, nullptr));
  update_crowded(t->scheduler);
}

}  // namespace

bool freeze_tasklet(Tasklet* t) {
  if (t->frozen != nullptr) {
    return true;
  }
  interp::Parked* parked = t->parked;
  if (parked == nullptr) {
    return false;
  }
  KeepException pending;
  Success success;
  {
    interp::NoCollection undisturbed;
    success = freeze(t, parked);
  }
  switch (success) {
    case Success::pinned:
      return false;
    case Success::frozen:
      release_stack(t, parked->stack_pointer);
      return true;
    case Success::unwound: {
      Scheduler* s = t->scheduler;
      Tasklet* self = s->current;
      // What `self` has been left to do, and what it is left to drop by `t`, are two things.
      bool duties = std::exchange(s->duties, false);
      Object departed = std::move(s->departed);
      start_unwinding(s, t, self);
      switch_stacks(s, self, t, nullptr);
      std::swap(s->departed, departed);
      s->duties = duties;
      return true;
    }
  }
  return false;
}

bool is_pinned(const Tasklet* t) {
  if (t->frozen != nullptr) {
    return false;
  }
  interp::Halt halt;
  return t->parked == nullptr || find_completion(t, t->parked, &halt) == Completion::none;
}

bool is_left_to_its_thread(const Tasklet* t) {
  interp::Halt halt;
  return t->scheduler != this_scheduler && t->parked != nullptr &&
         find_completion(t, t->parked, &halt) != Completion::none && halt.merges;
}

std::nullptr_t raise_pinned(Tasklet* t) {
  Object reason = why_pinned(t);
  if (!reason) {
    return nullptr;
  }
  if (reason.get() == Py_None) {
    PyErr_NoMemory();
    return nullptr;
  }
  return raise(PyExc_RuntimeError, "tasklet has C state on its stack: %U", reason.get());
}

namespace {

// What its type says that it is called: an attribute of its own may be another's (functools.lru_cache).
Object name_of_callable(PyObject* callable) {
  static PyObject* attribute = PyUnicode_InternFromString("__qualname__");
  if (PyMethod_Check(callable)) {
    callable = PyMethod_GET_FUNCTION(callable);
  }
  PyTypeObject* type = Py_TYPE(callable);
  PyObject* descriptor = attribute != nullptr ? _PyType_Lookup(type, attribute) : nullptr;
  descrgetfunc get = descriptor != nullptr ? Py_TYPE(descriptor)->tp_descr_get : nullptr;
  Object name = Object::steal(
      get != nullptr ? get(descriptor, callable, reinterpret_cast<PyObject*>(type)) : nullptr);
  if (name && PyUnicode_Check(name.get())) {
    return name;
  }
  PyErr_Clear();
  return Object::steal(PyUnicode_FromString(type->tp_name));
}

Object name_of_instruction(int opcode) {
  Object module = Object::steal(PyImport_ImportModule("opcode"));
  Object names = module ? Object::steal(PyObject_GetAttrString(module.get(), "opname")) : Object();
  return names ? Object::steal(PySequence_GetItem(names.get(), opcode)) : Object();
}

Object name_of_culprit(const interp::PinPlace& place) {
  if (place.callable != nullptr) {
    return name_of_callable(place.callable);
  }
  if (place.iterates != nullptr) {
    return Object::steal(PyUnicode_FromFormat("%s.__next__", place.iterates->tp_name));
  }
  return place.opcode >= 0 ? name_of_instruction(place.opcode)
                           : Object::steal(PyUnicode_FromString("C code"));
}

// "sorted, called at shop.py:88 in checkout"
Object describe(const interp::PinPlace& place) {
  Object name = name_of_culprit(place);
  if (!name) {
    return nullptr;
  }
  return Object::steal(PyUnicode_FromFormat("%U, called at %U:%d in %U", name.get(),
                                            place.code->co_filename, place.line,
                                            place.code->co_qualname));
}

Object because(const char* format, const Object& detail) {
  return detail ? Object::steal(PyUnicode_FromFormat(format, detail.get())) : Object();
}

}  // namespace

Object why_pinned(Tasklet* t) {
  Scheduler* home = t->scheduler;
  if (PyObject* reason = refusal(t)) {
    return Object::share(reason);
  }
  if (!t->started || t->frozen != nullptr) {
    return none();
  }
  if (home->ts == nullptr) {
    return Object::steal(PyUnicode_FromString("its thread has ended, and its C stack with it"));
  }
  bool running = home->current == t;
  if (t->is_main || running || t->parked == nullptr) {
    return Object::steal(
        PyUnicode_FromString(t->is_main ? "it is a main tasklet" : "it is running"));
  }
  interp::Halt halt;
  interp::Pin pin = interp::find_halt(home->ts, t->parked, &halt);
  bool is_known = pin == interp::Pin::none && completion_of(t, &halt) != Completion::none;
  if (pin == interp::Pin::none && !is_known && halt.function != nullptr) {
    return Object::steal(PyUnicode_FromFormat(
        "it waits in %s(), which keeps something on the C stack", halt.function->ml_name));
  }
  if (pin == interp::Pin::memory) {
    return Object::steal(PyErr_NoMemory());
  }
  if (pin == interp::Pin::tool) {
    return Object::steal(PyUnicode_FromString("a profiler waits for the end of a call"));
  }
  interp::PinPlace place = interp::find_pin(home->ts, t->parked);
  Object function = t->function;
  if (!is_known && place.code != nullptr) {
    if (place.callable != nullptr && Py_REFCNT(place.callable) == 0) {
      place.callable = nullptr;  // what has been called is being destroyed, and that waits
    }
    // Who is asked for a name may run the tasklet.
    Object code = Object::share(reinterpret_cast<PyObject*>(place.code)),
           callable = Object::share(place.callable),
           type = Object::share(reinterpret_cast<PyObject*>(place.iterates));
    return because("C code is in the way: %U", describe(place));
  }
  if (is_known && is_own(t, halt.outermost)) {
    return halt.merges && !can_merge(t) ? why_not_merged(t) : none();
  }
  if (t->has_returned || !function || PyFunction_Check(function.get())) {
    return Object::steal(
        PyUnicode_FromString("its function has ended, and C code drops what that has left"));
  }
  return because("it was started through C code: %U", name_of_callable(function.get()));
}

namespace {

void change_scheduler(Tasklet* t, Scheduler* target) {
  if (t->started) {
    remove_started(t);
  }
  add_reference(target);
  remove_reference(std::exchange(t->scheduler, target));
  if (t->started) {
    add_started(t);
  }
}

}  // namespace

bool move_to(Tasklet* t, Scheduler* target) {
  if (t->stack != nullptr) {
    t->scheduler->stacks.release(std::exchange(t->stack, nullptr));
  }
  // Who waits for a descriptor looks again, and waits in the other thread's poller.
  bool looks_again = t->place == Place::waiting && t->wait->for_io;
  Ref<Tasklet> woken = looks_again ? cancel_wait(t) : Ref<Tasklet>();
  bool moved = !t->started || move_alarms(t, target);
  if (moved) {
    change_scheduler(t, target);
  }
  if (woken) {
    insert_owned(std::move(woken));
  }
  return moved;
}

bool drop_frames(Tasklet* t) {
  if (t->frozen == nullptr && !freeze_tasklet(t)) {
    return false;
  }
  remove_started(t);
  t->started = false;
  forget_function(t);
  interp::drop(std::exchange(t->frozen, nullptr));
  drop_operation(t);
  return true;
}

namespace {

// A frame holds the arguments now; to drop the tuple may run code.
void leave_arguments(Scheduler* s, Tasklet* self) {
  if (self->arguments && !s->departed) {
    leave_to_successor(s, std::move(self->arguments));
  }
}

// Whether what has been found to stand alike is all that there is of the mounted tasklet.
bool can_trade(const interp::Trade& places, const Tasklet* mounted) {
  const Rule* rule = rule_of(places.function());
  return rule != nullptr && rule->trades && is_own(mounted, places.outermost());
}

// Notes that `next`, which was frozen, stands in the place of `mounted`, which is frozen.
void note_trade(Scheduler* s, Tasklet* mounted, Tasklet* next) {
  mounted->frozen = std::exchange(next->frozen, nullptr);
  mounted->completion = next->completion;
  if (next->stack != nullptr) {
    s->stacks.put_back(next->stack);
    update_crowded(s);
  }
  next->stack = std::exchange(mounted->stack, nullptr);
  s->seats.pass_on(mounted, next);
  ++s->freezes;
  ++s->thaws;
  ++s->trades;
}

}  // namespace

bool trade(Scheduler* s, Tasklet* self, Tasklet* next, interp::CallMark mark, Object* result) {
  if (self->stack == nullptr || s->idle_wanted) {
    return false;
  }
  interp::Trade places(s->ts, nullptr, next->frozen, mark);
  if (!can_trade(places, self)) {
    return false;
  }
  places.make();
  s->ring.rotate_to(next);
  note_trade(s, self, next);
  ++s->switches;
  s->current = next;
  leave_arguments(s, self);
  if (s->duties) {
    do_duties(s, next);
  }
  Object done = std::move(next->arguments);
  *result = Object::steal(finish_call());
  return true;
}

namespace {

// Has `next` run in the place of who sits at its call; false if nobody does.
bool trade_for_seat(Scheduler* s, Tasklet* next) {
  Tasklet* other = s->seats.at(interp::call_of(next->frozen));
  if (other == nullptr || other->parked == nullptr || s->departed) {
    return false;
  }
  interp::Trade places(s->ts, other->parked, next->frozen);
  if (!can_trade(places, other) || places.drops() > 1) {  // whoever runs next can drop one
    return false;
  }
  places.make();
  while (PyObject* left = places.take_left()) {
    if (Py_REFCNT(left) > 1) {
      Py_DECREF(left);
    } else {
      leave_to_successor(s, Object::steal(left));
    }
  }
  leave_arguments(s, other);
  next->parked = std::exchange(other->parked, nullptr);
  note_trade(s, other, next);
  return true;
}

// Freezes a suspended tasklet if that is done at once.
bool freeze_at_once(Tasklet* t) {
  interp::Parked* parked = t->parked;
  if (freeze(t, parked, false) != Success::frozen) {
    return false;
  }
  release_stack(t, parked->stack_pointer);
  return true;
}

// Allows for one C stack more; or else, now and then, sees to it that one less is in use: the calls at which
// tasklets wait are others after a while.
bool make_room(Scheduler* s, const Tasklet* next) {
  Seats& seats = s->seats;
  if (s->stacks.in_use() > stacks_allowed(s) + 1) {
    return false;
  }
  if (seats.extra < Seats::most_extra(runtime->stack_budget)) {
    ++seats.extra;
    update_crowded(s);
    return true;
  }
  constexpr unsigned now_and_then = 16;
  if (seats.extra == 0 || ++seats.misses % now_and_then != 0) {
    return false;
  }
  if (Tasklet* other = seats.next_in_turn()) {
    return other != next && freeze_at_once(other);
  }
  seats.extra = 0;  // those who were meant are gone
  return false;
}

bool sits_at(const Tasklet* t, const void* call) {
  return t != nullptr && t->parked != nullptr &&
         interp::call_of(t->scheduler->ts, t->parked) == call;
}

// Whether the current tasklet stays mounted when `next` runs: another one has been frozen for that, or there is to
// be somebody at its call with whom others can trade.
bool stays_mounted(Scheduler* s, Tasklet* self, Tasklet* next) {
  if (s->idle_wanted) {
    return false;
  }
  bool traded = next->frozen != nullptr && trade_for_seat(s, next);
  const void* call = self->stack != nullptr ? interp::call_of(s->ts, nullptr) : nullptr;
  if (!traded && (call == nullptr || sits_at(s->seats.at(call), call) || !make_room(s, next))) {
    return false;
  }
  if (call != nullptr) {
    s->seats.sit_down(call, self);
  }
  return true;
}

}  // namespace

// It may not return: AddressSanitizer would leave red zones on the stack.
[[gnu::no_sanitize_address]] bool freeze_and_leave(Scheduler* s, Tasklet* self, Tasklet* next,
                                                   interp::CallMark mark, Object* result) {
  if (wait_alike(s, next) && trade(s, self, next, mark, result)) {
    return true;
  }
  if (stays_mounted(s, self, next)) {
    return false;
  }
  switch (freeze(self, nullptr, true, mark)) {
    case Success::pinned:
      return false;
    case Success::unwound:
      start_unwinding(s, self, next);
      *result = claim(self);
      return true;
    case Success::frozen:
      break;
  }
  leave_arguments(s, self);
  s->current = next;
  ++s->switches;
  constexpr std::ptrdiff_t callees = 4096;  // what has been called to get here
  release_stack(self, static_cast<char*>(__builtin_frame_address(0)) - callees);
  if (next->parked != nullptr) {
    interp::leave_to(next->parked);
  }
  interp::leave_to_start(next->stack, tasklet_entry);
}

Tasklet* finish_freezing(Scheduler* s, Tasklet* self) {
  Object deferred = Object::steal(interp::finish_merge(s->ts, self->frozen));
  allow_switching(s);
  Object withheld = std::move(s->withheld_mail);
  if (!self->tempval) {
    self->tempval = std::move(withheld);
  }
  self->parked = nullptr;
  s->seats.leave(self);
  self->stack = nullptr;
  if (deferred && !s->departed) {
    leave_to_successor(s, std::move(deferred));
  }
  return std::exchange(s->after_unwinding, nullptr);
}

void make_calls_again(const PyMethodDef* methods) { made_again = methods; }

int init_unwinding() {
  unwinding_bomb = make_bomb(Object::share(interp::unwinding_exception())).release();
  return unwinding_bomb != nullptr ? 0 : -1;
}

Object run_thawed(Scheduler* s, Tasklet* self, interp::Frozen* frozen) {
  ++s->thaws;
  self->arguments.reset();
  // A call that is made once more needs its operands, which no pickle has.
  if (runtime->pickle_and_unpickle && self->completion != Completion::again) [[unlikely]] {
    frozen = pickle_and_unpickle(s, self, frozen);
    if (frozen == nullptr) {
      return nullptr;
    }
  }
  return Object::steal(interp::thaw(s->ts, frozen, finish_call));
}

}  // namespace stackless
