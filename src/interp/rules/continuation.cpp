#include "interp/rules/continuation.hpp"

#include "object/errors.hpp"

namespace stackless::interp {

bool takes_a_flag(const Place& place) noexcept { return place.argument <= 1; }

Result raise_again(const Arrival& arrival) {
  restore_exception(Object::share(arrival.value));
  return std::nullopt;
}

void push_on(_PyInterpreterFrame* frame, Object object) {
  int height = height_of(frame);
  frame->localsplus[height] = make_slot(object.release());
  set_height(frame, height + 1);
}

Slot pop_off(_PyInterpreterFrame* frame) {
  int height = height_of(frame) - 1;
  set_height(frame, height);
  return frame->localsplus[height];
}

bool has_operands(const Place& place) noexcept {
  return place.argument >= 2 && call_operands(place.at) == place.argument &&
         place.height >= place.code->co_nlocalsplus + place.argument;
}

// ---- values --------------------------------------------------------------------------------------

namespace {

Result give_value(const Arrival& arrival) { return push(Object::share(arrival.value)); }

Result give_nothing(const Arrival& arrival) { return pop_off(arrival.outer); }

bool finds_something(const Place& place) noexcept {
  return takes_a_flag(place) && place.height > 0;
}

Result give_none(const Arrival&) { return push(none()); }

Result give_second_or_value(const Arrival& arrival) {
  return push(Object::share(arrival.second != Py_None ? arrival.second : arrival.value));
}

Result give_default(const Arrival& arrival) {
  PyObject* expected = arrival.argument == 0 ? PyExc_StopIteration : PyExc_AttributeError;
  if (PyErr_GivenExceptionMatches(arrival.value, expected) == 0) {
    return raise_again(arrival);
  }
  return push(Object::share(arrival.kept));
}

}  // namespace

const Continuation push_value{"push_value", 0, Shape::none, give_value};
const Continuation push_nothing{"push_nothing", 1, Shape::plain, give_nothing, finds_something};
const Continuation resume_generator{"resume_generator", 3, Shape::none, give_value};
const Continuation push_none{"push_none", 14, Shape::plain, give_none};
const Continuation push_or_default{"push_or_default",    16,           Shape::catching,
                                   give_second_or_value, takes_a_flag, give_default};

}  // namespace stackless::interp
