#include "interp/rules/wrapping_iterators.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include "interp/frames/loops.hpp"
#include "interp/rules/crossing.hpp"
#include "object/errors.hpp"

namespace stackless::interp {

namespace {

// Which iterator of the chain enumerate(filter(f, it)) is running: 0 enumerate, 1 filter, 2 it.
struct Asked {
  bool known;
  int depth;            // 0: the outermost itself (map() for its function)
  PyObject* generator;  // whose frame runs, or null
  PyObject* frameless;  // the iterator that waits, if no frame runs
};
constexpr int deepest = 15;

// How a wrapper asks.
enum class Manner : char {
  iterator,  // for the next item; before it asks others, if it does
  sequence,  // for the item of an index
  callable,  // by a call
};

// One of the types (Objects/enumobject.c, Objects/iterobject.c, Python/bltinmodule.c, Modules/itertoolsmodule.c;
// 3.11 to 3.15).
struct Wrapper {
  const char* sample;  // an expression that makes one, of `asked` and `function`
  Manner manner = Manner::iterator;
  // It looks at its own state before it asks. So nobody else may have it, who could alter that in the meantime.
  bool is_alone = false;
  PyTypeObject* type = nullptr;  // null where it isn't known well enough
  std::ptrdiff_t place = 0;      // of whom it asks, or of a tuple which begins with that,
  bool in_tuple = false;
  std::ptrdiff_t function = 0;  // and of a function of the program that it calls as well, 0: none
};

std::array table = {
    Wrapper{"enumerate(asked)"},
    Wrapper{"zip(asked)"},
    Wrapper{"map(function, asked)"},
    Wrapper{"filter(function, asked)"},
    Wrapper{"iter(asked_for_items)", Manner::sequence},
    Wrapper{"iter(asked_by_call, None)", Manner::callable},
    Wrapper{"begun(itertools.chain(asked))", Manner::iterator, true},
    Wrapper{"itertools.islice(asked, 9)", Manner::iterator, true},
    Wrapper{"itertools.takewhile(function, asked)", Manner::iterator, true},
    Wrapper{"itertools.dropwhile(function, asked)"},
    Wrapper{"itertools.filterfalse(function, asked)"},
    Wrapper{"itertools.accumulate(asked, function)"},
    Wrapper{"itertools.starmap(function, asked)"},
    Wrapper{"itertools.cycle(asked)"},
};

const Wrapper* wrapper_of(PyObject* object) {
  const auto* found = std::ranges::find(table, Py_TYPE(object), &Wrapper::type);
  return found != table.end() ? found : nullptr;
}

PyObject** field(PyObject* object, std::ptrdiff_t offset) {
  return reinterpret_cast<PyObject**>(reinterpret_cast<char*>(object) + offset);
}

// Those that it asks, as a tuple; null if it is only one.
PyObject* asked_tuple(const Wrapper& wrapper, PyObject* object) {
  return wrapper.in_tuple ? *field(object, wrapper.place) : nullptr;
}

// Where it has whom it asks; null if that is nowhere.
PyObject** place_in(const Wrapper& wrapper, PyObject* object) {
  if (!wrapper.in_tuple) {
    return field(object, wrapper.place);
  }
  PyObject* tuple = asked_tuple(wrapper, object);
  return tuple != nullptr && PyTuple_CheckExact(tuple) && PyTuple_GET_SIZE(tuple) > 0
             ? &PyTuple_GET_ITEM(tuple, 0)
             : nullptr;
}

// ---- what runs ---------------------------------------------------------------------------------------

// Whether what runs (null: no frame) is the iterator itself.
bool is_own_frame(PyObject* iterator, _PyInterpreterFrame* inner) {
  if (inner == nullptr) {
    return false;
  }
  if (!is_on_data_stack(inner)) {
    return PyGen_CheckExact(iterator) &&
           reinterpret_cast<PyObject*>(generator_of(inner)) == iterator;
  }
  return method_of(Py_TYPE(iterator), names.next) == function_of(inner) &&
         first_argument(inner) == iterator;
}

bool runs_function(PyObject* callable, _PyInterpreterFrame* inner) {
  return inner != nullptr && is_on_data_stack(inner) && leads_to(callable, function_of(inner));
}

// Whether to ask the iterator runs no Python function.
bool is_quiet(PyObject* iterator) {
  std::array quiet{types.ascii_iterator,  &PyListIter_Type,     &PyTupleIter_Type,
                   &PyRangeIter_Type,     &PyUnicodeIter_Type,  &PyDictIterKey_Type,
                   &PyDictIterValue_Type, &PyDictIterItem_Type, &PySetIter_Type,
                   &PyBytesIter_Type};
  return std::ranges::find(quiet, Py_TYPE(iterator)) != quiet.end();
}

// Whether to ask the iterator enters no frame but its own, and that isn't what runs.
bool is_another(PyObject* iterator, _PyInterpreterFrame* inner) {
  bool has_frame =
      PyGen_CheckExact(iterator) || method_of(Py_TYPE(iterator), names.next) != nullptr;
  return is_quiet(iterator) || (has_frame && !is_own_frame(iterator, inner));
}

bool are_others(PyObject* tuple, Py_ssize_t first, _PyInterpreterFrame* inner) {
  for (Py_ssize_t i = first; i < PyTuple_GET_SIZE(tuple); ++i) {
    if (!is_another(PyTuple_GET_ITEM(tuple, i), inner)) {
      return false;
    }
  }
  return true;
}

// The same for a call of what a wrapper calls with the items.
bool is_another_function(PyObject* callable, _PyInterpreterFrame* inner) {
  if (callable == nullptr || callable == Py_None ||
      callable == reinterpret_cast<PyObject*>(&PyBool_Type)) {
    return true;
  }
  PyObject* function =
      Py_IS_TYPE(callable, &PyMethod_Type) ? PyMethod_GET_FUNCTION(callable) : callable;
  return PyFunction_Check(function) && !runs_function(function, inner);
}

// Python/bltinmodule.c, map_next: a call of its function is its last deed.
bool has_called(PyObject* object, _PyInterpreterFrame* inner) {
  const Wrapper& map = *wrapper_of(object);
  return Py_IS_TYPE(object, &PyMap_Type) && are_others(asked_tuple(map, object), 0, inner) &&
         runs_function(*field(object, map.function), inner);
}

// Whether what runs, if it is whom the wrapper asks, can't have been called by it for something else.
bool only_asks(const Wrapper& wrapper, PyObject* object, _PyInterpreterFrame* inner) {
  PyObject* tuple = asked_tuple(wrapper, object);
  return (tuple == nullptr || are_others(tuple, 1, inner)) &&
         (wrapper.function == 0 || is_another_function(*field(object, wrapper.function), inner));
}

// How many references to the object the tasklet's frames have. None of them runs before the call is over.
int count_references(_PyInterpreterFrame* f, int height, PyObject* object) {
  int count = 0;
  _PyInterpreterFrame* end = bottom(PyThreadState_Get());
  for (; f != end && f != nullptr; f = f->previous) {
    if (!is_entry_only(f)) {
      int known = height >= 0 ? height : code_of(f)->co_nlocalsplus;
      count += static_cast<int>(std::count_if(f->localsplus, f->localsplus + known, [=](Slot slot) {
        return object_in(slot) == object && owns(slot);
      }));
    }
    height = f->previous != nullptr && f->previous != end && !is_entry_only(f->previous)
                 ? height_of(f->previous)
                 : 0;
  }
  return count;
}

bool is_asked(const Wrapper& wrapper, PyObject* object, _PyInterpreterFrame* inner) {
  switch (wrapper.manner) {
    case Manner::sequence:
      return is_on_data_stack(inner) &&
             method_of(Py_TYPE(object), names.getitem) == function_of(inner) &&
             first_argument(inner) == object;
    case Manner::callable:
      return runs_function(object, inner);
    case Manner::iterator:
      return is_own_frame(object, inner);
  }
  return false;
}

// The wrapper `object` has been called by a frame with a value stack of that height, and what runs is the frame that
// this call has entered, perhaps through other wrappers; null if that waits in C code of ours, and the last one that is
// asked is no wrapper. `again`: the caller is a frame of ours.
Asked find_asked(PyObject* object, _PyInterpreterFrame* caller, int height, bool again,
                 _PyInterpreterFrame* inner) {
  PyObject* generator = inner == nullptr || is_on_data_stack(inner)
                            ? nullptr
                            : reinterpret_cast<PyObject*>(generator_of(inner));
  for (int depth = 0; depth <= deepest; ++depth) {
    const Wrapper* wrapper = wrapper_of(object);
    if (wrapper == nullptr) {
      return inner == nullptr ? Asked{true, depth, nullptr, object} : Asked{};
    }
    if (has_called(object, inner)) {
      return {true, depth, nullptr, nullptr};
    }
    PyObject** place = place_in(*wrapper, object);
    // Another wrapper has it, or a frame of ours.
    int others = depth > 0 || again ? 1 : 0;
    if (place == nullptr || *place == nullptr || !only_asks(*wrapper, object, inner) ||
        (wrapper->is_alone &&
         Py_REFCNT(object) > count_references(caller, height, object) + others)) {
      return {};
    }
    if (inner != nullptr && is_asked(*wrapper, *place, inner)) {
      return {depth < deepest, depth + 1, generator, nullptr};
    }
    object = *place;
  }
  return {};
}

// ---- the answer --------------------------------------------------------------------------------------

// How the answer has come: as a value, as the end (the value is what a generator has returned), or as an exception.
enum class Answer : char { item, end, exception };

// Takes the place of the iterator that a wrapper asks. The answer is given once; what is asked further is passed on to
// the iterator. With the answer the iterator is put back, unless `stays`, but some wrappers have remembered who was
// there (filter_next).
struct Answering {
  PyObject_HEAD
  PyObject** place;  // null when `asked` is back there
  PyObject* asked;
  PyObject* value;
  Answer answer;
  bool stays;
  bool has_answered;
};

Answering* as_answering(PyObject* object) { return reinterpret_cast<Answering*>(object); }

// Nobody else refers to it but the place, if that still exists.
void put_back(Answering* self) {
  PyObject** place = std::exchange(self->place, nullptr);
  if (place != nullptr && Py_REFCNT(self) > 1) {
    *place = Py_XNewRef(self->asked);
    drop_reference(self);
  }
}

PyObject* give(PyObject* object) {
  Answering* self = as_answering(object);
  if (self->has_answered) {
    return self->asked != nullptr && PyIter_Check(self->asked)
               ? Py_TYPE(self->asked)->tp_iternext(self->asked)
               : nullptr;
  }
  self->has_answered = true;
  if (!self->stays) {
    put_back(self);
  }
  switch (self->answer) {
    case Answer::item:
      return Py_NewRef(self->value);
    case Answer::end:
      if (self->value != Py_None) {
        _PyGen_SetStopIterationValue(self->value);
      }
      return nullptr;
    case Answer::exception:
      restore_exception(Object::share(self->value));
      return nullptr;
  }
  return nullptr;
}
PyObject* give_item(PyObject* self, Py_ssize_t) { return give(self); }
PyObject* give_for_call(PyObject* self, PyObject*, PyObject*) { return give(self); }

void drop_answering(PyObject* object) {
  Answering* self = as_answering(object);
  clear_reference(self->asked);
  clear_reference(self->value);
  PyObject_Free(self);
}

PySequenceMethods answering_sequence = {.sq_item = give_item};
PyTypeObject AnsweringType = {
    .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
    .tp_name = "stackless._asked",
    .tp_basicsize = sizeof(Answering),
    .tp_dealloc = drop_answering,
    .tp_as_sequence = &answering_sequence,
    .tp_call = give_for_call,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Has the answer that an iterator waits for.",
    .tp_iternext = give,
};

// Puts one there; the reference that lies there becomes its own.
Ref<Answering> put(PyObject** place, bool stays, Answer answer, PyObject* value) {
  Answering* self = PyObject_New(Answering, &AnsweringType);
  if (self != nullptr) {
    self->place = place;
    self->asked = std::exchange(*place, Py_NewRef(reinterpret_cast<PyObject*>(self)));
    self->value = Py_NewRef(value);
    self->answer = answer;
    self->stays = stays;
    self->has_answered = false;
  }
  return Ref<Answering>::steal(self);
}

// What the wrapper returns then: null for its end, perhaps without an exception.
Object go_on(PyObject* object, int depth, Answer answer, PyObject* value) {
  PyObject* last = object;
  PyObject** place = nullptr;
  const Wrapper* wrapper = nullptr;
  for (int i = 0; i < depth; ++i) {
    last = place != nullptr ? *place : object;
    wrapper = last != nullptr ? wrapper_of(last) : nullptr;
    place = wrapper != nullptr ? place_in(*wrapper, last) : nullptr;
    if (place == nullptr) {
      return raise(PyExc_ValueError, "the snapshot is damaged: an iterator asks nobody");
    }
  }
  PyObject* nowhere = nullptr;
  Ref<Answering> answering =
      put(place != nullptr ? place : &nowhere,
          wrapper != nullptr && wrapper->manner == Manner::sequence, answer, value);
  if (!answering) {
    return nullptr;
  }
  Object result = Object::steal(place != nullptr ? Py_TYPE(object)->tp_iternext(object)
                                                 : give(answering.object()));
  put_back(answering.get());
  return result;
}

// ---- the rules ---------------------------------------------------------------------------------------

// Who wants the next item of a wrapper: a loop, next(), or next() with a default, which is the second object. The
// continuation's argument says so, and which iterator of the chain has been asked.
enum class AskedBy : std::uint8_t { loop, next, next_or };
constexpr int asking(AskedBy by, int depth) { return static_cast<int>(by) | depth << 2; }
constexpr AskedBy asked_by(int argument) { return static_cast<AskedBy>(argument & 3); }
constexpr int depth_in(int argument) { return argument >> 2; }
static_assert(asking(AskedBy::next_or, deepest) <= largest_argument);

// An iterator of C waits for one that it asks (interp/wrappers.hpp).
bool asks(const Crossing& crossing, PyObject* iterator, bool by_generator, AskedBy by,
          Joint* joint) {
  Asked asked = find_asked(iterator, crossing.outer, crossing.stop.height, false, crossing.inner);
  joint->kept = iterator;
  joint->generator = asked.generator;
  joint->asked = asked.frameless;
  joint->argument = asking(by, asked.depth);
  return asked.known && (asked.generator != nullptr) == by_generator;
}

template <bool by_generator>
bool loops_over_wrapper(const Crossing& crossing, Joint* joint) {
  joint->pops = 0;
  return may_end_loop(crossing.stop.height) &&
         asks(crossing, crossing.operand(0), by_generator, AskedBy::loop, joint);
}

template <bool by_generator>
bool calls_next_of_wrapper(const Crossing& crossing, Joint* joint) {
  bool has_default = calls_builtin(crossing, builtins.next, 2);
  joint->second = has_default ? crossing.argument(1) : nullptr;
  return (has_default || calls_builtin(crossing, builtins.next, 1)) &&
         asks(crossing, crossing.argument(0), by_generator,
              has_default ? AskedBy::next_or : AskedBy::next, joint);
}

// What is kept, an iterator, goes on: Python/bytecodes.c, FOR_ITER; Python/bltinmodule.c, builtin_next.
template <Answer answer>
Result finish_wrapped(const Arrival& arrival) {
  AskedBy by = asked_by(arrival.argument);
  if (Object item = go_on(arrival.kept, depth_in(arrival.argument), answer, arrival.value)) {
    return push(std::move(item));
  }
  if (PyErr_Occurred() != nullptr &&
      (by == AskedBy::next || PyErr_ExceptionMatches(PyExc_StopIteration) == 0)) {
    return std::nullopt;
  }
  if (by == AskedBy::next) {
    PyErr_SetNone(PyExc_StopIteration);
    return std::nullopt;
  }
  PyErr_Clear();
  return by == AskedBy::loop ? end_loop(arrival.outer) : push(Object::share(arrival.second));
}

bool may_ask(const Place& place) noexcept {
  bool loops = asked_by(place.argument) == AskedBy::loop;
  return (place.argument & 3) <= 2 && loops == (place.at.opcode == FOR_ITER) &&
         (!loops || may_end_loop(place.height));
}

bool find_next_asked(const Joint& before, _PyInterpreterFrame* outer, _PyInterpreterFrame* inner,
                     Joint* joint) noexcept;

const Continuation answer_wrapper{.name = "answer_wrapper",
                                  .number = 27,
                                  .shape = Shape::catching,
                                  .finish = finish_wrapped<Answer::item>,
                                  .fits = may_ask,
                                  .finish_exception = finish_wrapped<Answer::exception>,
                                  .find_next = find_next_asked,
                                  .asks = true};
// The same if a generator has yielded V, returned or raised.
const Continuation answer_wrapper_by_generator{
    .name = "answer_wrapper_by_generator",
    .number = 28,
    .shape = Shape::closing,
    .finish = finish_wrapped<Answer::end>,
    .fits = may_ask,
    .finish_exception = finish_wrapped<Answer::exception>,
    .finish_yielded = finish_wrapped<Answer::item>,
    .find_next = find_next_asked,
    .asks = true};

// The iterator has gone on, and asked others once more.
bool find_next_asked(const Joint& before, _PyInterpreterFrame* outer, _PyInterpreterFrame* inner,
                     Joint* joint) noexcept {
  Asked asked = find_asked(before.kept, outer, height_of(outer), true, inner);
  *joint = before;
  joint->continuation = asked.generator != nullptr ? &answer_wrapper_by_generator : &answer_wrapper;
  joint->argument = asking(asked_by(before.argument), asked.depth);
  joint->generator = asked.generator;
  joint->asked = asked.frameless;
  return asked.known;
}

constexpr int operands_of_loop = iterators_have_index ? 2 : 1;

const Rule rules[] = {
    {CALL, a_calls, calls_next_of_wrapper<false>, answer_wrapper},
    {CALL, a_calls, calls_next_of_wrapper<true>, answer_wrapper_by_generator},
    {FOR_ITER, operands_of_loop, loops_over_wrapper<false>, answer_wrapper},
    {FOR_ITER, operands_of_loop, loops_over_wrapper<true>, answer_wrapper_by_generator},
};

}  // namespace

std::span<const Rule> wrapper_rules() noexcept { return rules; }

bool is_wrapper(PyObject* object) noexcept { return wrapper_of(object) != nullptr; }

// ---- being left by an exception ----------------------------------------------------------------------

bool Held::hold(PyObject* object) noexcept {
  const Wrapper* wrapper = wrapper_of(object);
  for (int i = 0; i < deepest && wrapper != nullptr; ++i) {
    PyObject** place = place_in(*wrapper, object);
    if (place == nullptr || *place == nullptr) {
      return true;
    }
    try {
      links_.push_back({Object::share(object), place, Object::share(*place)});
    } catch (const std::bad_alloc&) {
      return false;
    }
    object = *place;
    wrapper = wrapper_of(object);
  }
  return true;
}

void Held::let_go() noexcept {
  for (const Link& link : links_) {
    if (*link.place == nullptr) {
      *link.place = Object(link.asked).release();
    }
  }
  links_.clear();
}

// ---- learning from samples ---------------------------------------------------------------------------

namespace {

int note_reference(PyObject* object, void* list) {
  return PyList_Append(static_cast<PyObject*>(list), object);
}

// Where the object has a reference to that one, or to a tuple that begins with it; 0 if nowhere.
std::ptrdiff_t find_place(PyObject* object, PyObject* wanted, bool* in_tuple) {
  Object references = Object::steal(PyList_New(0));
  if (!references || Py_TYPE(object)->tp_traverse == nullptr ||
      Py_TYPE(object)->tp_traverse(object, note_reference, references.get()) != 0) {
    return 0;
  }
  PyObject* target = nullptr;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(references.get()); ++i) {
    PyObject* each = PyList_GET_ITEM(references.get(), i);
    bool leads = PyTuple_CheckExact(each) && PyTuple_GET_SIZE(each) > 0 &&
                 PyTuple_GET_ITEM(each, 0) == wanted;
    if (each == wanted || leads) {
      target = each;
      *in_tuple = leads;
    }
  }
  references.reset();
  constexpr auto word = static_cast<std::ptrdiff_t>(sizeof(PyObject*));
  for (std::ptrdiff_t offset = sizeof(PyObject);
       target != nullptr && offset + word <= Py_TYPE(object)->tp_basicsize; offset += word) {
    if (*field(object, offset) == target) {
      return offset;
    }
  }
  return 0;
}

constexpr const char* preparation =
    "import itertools\n"
    "asked = iter([1, 2])\n"
    "def function(*_): return True\n"
    "def asked_by_call(): return 1\n"
    "class Items:\n"
    "    def __getitem__(self, i): return i\n"
    "asked_for_items = Items()\n"
    "def begun(wrapper):\n"
    "    next(wrapper)\n"
    "    return wrapper\n";

void learn(Wrapper* wrapper, PyObject* sample, PyObject* globals) {
  const char* name = wrapper->manner == Manner::sequence   ? "asked_for_items"
                     : wrapper->manner == Manner::callable ? "asked_by_call"
                                                           : "asked";
  bool in_tuple = false;
  wrapper->function = find_place(sample, PyDict_GetItemString(globals, "function"), &in_tuple);
  in_tuple = false;
  wrapper->place = find_place(sample, PyDict_GetItemString(globals, name), &in_tuple);
  wrapper->in_tuple = in_tuple;
  wrapper->type =
      wrapper->place != 0 ? Ref<PyTypeObject>::share(Py_TYPE(sample)).release() : nullptr;
}

}  // namespace

int init_wrappers() {
  Object globals = Object::steal(PyDict_New());
  Object done =
      globals
          ? Object::steal(PyRun_String(preparation, Py_file_input, globals.get(), globals.get()))
          : Object();
  if (!done) {
    return -1;
  }
  for (Wrapper& wrapper : table) {
    Object sample =
        Object::steal(PyRun_String(wrapper.sample, Py_eval_input, globals.get(), globals.get()));
    if (!sample) {
      return -1;
    }
    learn(&wrapper, sample.get(), globals.get());
  }
  return PyType_Ready(&AnsweringType);
}

}  // namespace stackless::interp
