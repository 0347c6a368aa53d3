#include "interp/portable.hpp"

#include <frameobject.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "interp/aside.hpp"
#include "interp/code.hpp"
#include "interp/frozen.hpp"
#include "interp/shells.hpp"
#include "interp/shim.hpp"

namespace stackless::interp {

namespace {

// An owned reference, for as long as something may fail.
struct Drop {
  void operator()(PyObject* object) const noexcept { Py_DECREF(object); }
};
using Owned = std::unique_ptr<PyObject, Drop>;

// ---- hashes: FNV-1a ------------------------------------------------------------------------------------

class Hash {
 public:
  void add(const void* bytes, std::size_t size) noexcept {
    const auto* p = static_cast<const unsigned char*>(bytes);
    for (std::size_t i = 0; i < size; ++i) {
      value_ = (value_ ^ p[i]) * 0x100000001b3;
    }
  }
  template <typename Number>
  void add_number(Number number) noexcept {
    auto wide = static_cast<std::int64_t>(number);
    add(&wide, sizeof wide);
  }
  std::uint64_t value() const noexcept { return value_; }
  // Never 0.
  std::int32_t folded() const noexcept {
    auto result = static_cast<std::int32_t>(value_ ^ (value_ >> 32));
    return result != 0 ? result : 1;
  }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325;
};

bool hash_constant(Hash* hash, PyObject* object);

// All that says what it does, and nothing of where its source is.
constexpr const char* code_fields[] = {
    "co_code",      "co_exceptiontable", "co_consts",         "co_names", "co_varnames",
    "co_cellvars",  "co_freevars",       "co_flags",          "co_name",  "co_argcount",
    "co_stacksize", "co_kwonlyargcount", "co_posonlyargcount"};

bool hash_code(Hash* hash, PyObject* code) {
  auto add = [&](const char* field) {
    Owned value(PyObject_GetAttrString(code, field));
    return value != nullptr && hash_constant(hash, value.get());
  };
  return std::ranges::all_of(code_fields, add);
}

// The order of a frozenset's elements is another one in each process.
bool hash_set(Hash* hash, PyObject* set) {
  Owned iterator(PyObject_GetIter(set));
  if (iterator == nullptr) {
    return false;
  }
  std::uint64_t sum = 0;
  while (PyObject* element = PyIter_Next(iterator.get())) {
    Owned keep(element);
    Hash one;
    if (!hash_constant(&one, element)) {
      return false;
    }
    sum += one.value();
  }
  hash->add_number(sum);
  return PyErr_Occurred() == nullptr;
}

bool hash_constant(Hash* hash, PyObject* object) {
  const char* type = Py_TYPE(object)->tp_name;
  hash->add(type, std::strlen(type));
  if (PyCode_Check(object)) {
    return hash_code(hash, object);
  }
  if (PyTuple_CheckExact(object)) {
    hash->add_number(PyTuple_GET_SIZE(object));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(object); ++i) {
      if (!hash_constant(hash, PyTuple_GET_ITEM(object, i))) {
        return false;
      }
    }
    return true;
  }
  if (PyFrozenSet_CheckExact(object)) {
    return hash_set(hash, object);
  }
  if (PyBytes_CheckExact(object)) {
    hash->add(PyBytes_AS_STRING(object), static_cast<std::size_t>(PyBytes_GET_SIZE(object)));
    return true;
  }
  Owned text(PyObject_ASCII(object));
  if (text == nullptr) {
    return false;
  }
  hash->add(PyUnicode_DATA(text.get()), static_cast<std::size_t>(PyUnicode_GET_LENGTH(text.get())));
  return true;
}

bool get_int(PyObject* object, long least, long most, int* result) {
  if (!PyLong_CheckExact(object)) {
    return false;
  }
  int overflow;
  long value = PyLong_AsLongAndOverflow(object, &overflow);
  if (overflow != 0 || value < least || value > most) {
    return false;
  }
  *result = static_cast<int>(value);
  return true;
}

// ---- from a frame to an entry --------------------------------------------------------------------------

// What an entry is of. An entry of one sort is not to be taken for another.
enum class Sort : char { inner = 'i', outer = 'o', suspended = 's', joint = 'j' };

// Whether a slot is that of a variable the program has a name for, whose type nothing takes for granted.
// That of the iterator that a comprehension is called with begins with a dot.
bool is_named(PyCodeObject* code, int slot) {
  return slot < code->co_nlocalsplus &&
         PyUnicode_READ_CHAR(PyTuple_GET_ITEM(code->co_localsplusnames, slot), 0) != '.';
}

// Whether a list may be what an except* has gathered.
bool holds_exceptions(PyObject* list) {
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) {
    PyObject* item = PyList_GET_ITEM(list, i);
    if (item != Py_None && !PyExceptionInstance_Check(item)) {
      return false;
    }
  }
  return true;
}

// A letter for what lies in a slot: of a variable whether it is set and a cell; of the value stack all that
// some instruction takes for granted.
char kind_of(PyObject* object, bool variable) {
  if (object == nullptr) {
    return '.';
  }
  if (PyCell_Check(object)) {
    return 'c';
  }
  if (variable) {
    return 'o';
  }
  if (is_function(object)) {
    return 'f';
  }
  if (is_generator(object)) {
    return generator_kind(object);
  }
  if (object == Py_None) {
    return '0';
  }
  if (PyList_CheckExact(object) && holds_exceptions(object)) {
    return 'x';
  }
  struct Exact {
    PyTypeObject* type;
    char kind;
  };
  for (Exact each : {Exact{&PyLong_Type, 'n'},
                     {&PyTuple_Type, 't'},
                     {&PyList_Type, 'l'},
                     {&PyDict_Type, 'd'},
                     {&PySet_Type, 's'},
                     {&PyUnicode_Type, 'u'}}) {
    if (Py_IS_TYPE(object, each.type)) {
      return each.kind;
    }
  }
  if (PyExceptionInstance_Check(object)) {
    return 'e';
  }
  return Py_TYPE(object)->tp_iternext != nullptr ? 'i' : 'o';
}

std::int32_t check_of(Sort sort, int state, int instruction, int offset, std::int32_t code,
                      const char* shape, Py_ssize_t size, long numbers = 0) {
  Hash hash;
  hash.add_number(numbers);
  hash.add(&sort, sizeof sort);
  hash.add_number(state);
  hash.add_number(instruction);
  hash.add_number(offset);
  hash.add_number(code);
  hash.add(shape, static_cast<std::size_t>(size));
  return hash.folded();
}

constexpr Py_ssize_t fixed_items = 6;

// Numbers on the value stack may say where to go on after an exception.
void count_in(long* numbers, PyObject* number) {
  int overflow;
  constexpr long factor = 1000003;
  *numbers =
      static_cast<long>(static_cast<unsigned long>(*numbers) * factor +
                        static_cast<unsigned long>(PyLong_AsLongAndOverflow(number, &overflow)));
}

// Whether the local variables have no slots: those of a class statement, or of what exec() runs, are those of a
// mapping, which is an entry's last item.
bool has_named_locals(PyCodeObject* code) { return (code->co_flags & CO_OPTIMIZED) == 0; }

// `state` is that of a suspended generator, or the check of the frame that this one has called; `height` is
// how much of the frame is in use.
PyObject* make_entry(_PyInterpreterFrame* f, PyObject* owner, Sort sort, int state, int height,
                     Wrap wrap) {
  PyCodeObject* code = code_of(f);
  bool named = has_named_locals(code);
  if (named && (f->f_locals == nullptr || f->f_locals == f->f_globals)) {
    PyErr_Format(PyExc_TypeError, "%U() can't be pickled: its local variables are its global ones",
                 code->co_qualname);
    return nullptr;
  }
  std::int32_t hash = code_hash(code);
  if (hash == 0) {
    return nullptr;
  }
  Owned shape(PyBytes_FromStringAndSize(nullptr, height));
  if (shape == nullptr) {
    return nullptr;
  }
  char* kinds = PyBytes_AS_STRING(shape.get());
  long numbers = 0;
  Py_ssize_t values = 0;
  for (int i = 0; i < height; ++i) {
    Slot slot = f->localsplus[i];
    kinds[i] = is_tagged(slot) ? '#' : kind_of(object_in(slot), is_named(code, i));
    values += kinds[i] != '.' ? 1 : 0;
    if (kinds[i] == 'n') {
      count_in(&numbers, object_in(slot));
    }
  }
  int instruction = instruction_index(f);
  std::int32_t check =
      check_of(sort, state, instruction, offset_of(f), hash, kinds, height, numbers);
  Owned entry(PyTuple_New(fixed_items + values + (named ? 1 : 0)));
  if (entry == nullptr) {
    return nullptr;
  }
  bool failed = false;
  auto put = [&](Py_ssize_t place, PyObject* item) {
    PyTuple_SET_ITEM(entry.get(), place, item);
    failed = failed || item == nullptr;
  };
  put(0, wrap(owner));
  put(1, PyLong_FromLong(instruction));
  put(2, PyLong_FromLong(offset_of(f)));
  put(3, PyLong_FromLong(hash));
  put(4, PyLong_FromLong(check));
  put(5, shape.release());
  Py_ssize_t place = fixed_items;
  for (int i = 0; i < height && !failed; ++i) {
    Slot slot = f->localsplus[i];
    if (is_tagged(slot)) {
      put(place++, PyLong_FromSsize_t(untag(slot)));
    } else if (PyObject* object = object_in(slot); object != nullptr) {
      put(place++, wrap(object));
    }
  }
  if (named && !failed) {
    put(place, wrap(f->f_locals));
  }
  return failed ? nullptr : entry.release();
}

// ---- and back ------------------------------------------------------------------------------------------

// Raises, and is false.
bool altered(const char* what) {
  PyErr_Format(PyExc_ValueError, "the snapshot is damaged: %s", what);
  return false;
}

// An entry's items, looked at but not believed.
struct Entry {
  PyObject* tuple;
  PyFunctionObject* function;
  PyCodeObject* code;
  int instruction;
  int offset;
  int height;
  const char* shape;
};

bool is_another_code(Entry* entry, int hash) {
  std::int32_t here = code_hash(entry->code);
  if (here == 0 || here == hash) {
    return here == 0;
  }
  PyErr_Format(
      PyExc_ValueError,
      "the snapshot stands in the middle of %U.%U(), whose code is another one here: "
      "%08x there, %08x here",
      entry->function->func_module != nullptr && PyUnicode_Check(entry->function->func_module)
          ? entry->function->func_module
          : entry->code->co_filename,
      entry->code->co_qualname, static_cast<unsigned>(hash), static_cast<unsigned>(here));
  return true;
}

// `function` null: the entry's owner.
bool read_entry(PyObject* tuple, PyObject* function, Sort sort, int state, Entry* entry) {
  if (!PyTuple_CheckExact(tuple) || PyTuple_GET_SIZE(tuple) < fixed_items) {
    return altered("a frame is no frame");
  }
  auto item = [&](Py_ssize_t i) { return PyTuple_GET_ITEM(tuple, i); };
  function = function != nullptr ? function : look_through(item(0));
  PyObject* shape = item(5);
  int hash, check;
  if (!is_function(function) || !PyBytes_CheckExact(shape)) {
    return altered("a frame belongs to no function");
  }
  entry->tuple = tuple;
  entry->function = reinterpret_cast<PyFunctionObject*>(function);
  entry->code = reinterpret_cast<PyCodeObject*>(entry->function->func_code);
  entry->shape = PyBytes_AS_STRING(shape);
  Py_ssize_t height = PyBytes_GET_SIZE(shape);
  if (!get_int(item(3), INT32_MIN, INT32_MAX, &hash) ||
      !get_int(item(4), INT32_MIN, INT32_MAX, &check)) {
    return altered("a frame is incomplete");
  }
  if (is_another_code(entry, hash)) {
    return false;
  }
  Py_ssize_t most = Py_ssize_t{entry->code->co_nlocalsplus} + entry->code->co_stacksize;
  if (!get_int(item(1), -1, Py_SIZE(entry->code) - 1, &entry->instruction) ||
      !get_int(item(2), 0, UINT16_MAX, &entry->offset) || height < entry->code->co_nlocalsplus ||
      height > most) {
    return altered("a frame has been altered");
  }
  entry->height = static_cast<int>(height);
  long numbers = 0;
  Py_ssize_t next = fixed_items, size = PyTuple_GET_SIZE(tuple);
  for (int i = 0; i < entry->height; ++i) {
    if (entry->shape[i] == '.') {
      continue;
    }
    if (next == size) {
      return altered("a frame lacks a value");
    }
    PyObject* value = look_through(PyTuple_GET_ITEM(tuple, next++));
    bool fits = entry->shape[i] == '#'
                    ? PyLong_CheckExact(value)
                    : kind_of(value, is_named(entry->code, i)) == entry->shape[i];
    if (!fits) {
      PyErr_Format(PyExc_ValueError,
                   "the snapshot can't go on in %U(): what was pickled there has come back as "
                   "something else, of type %s",
                   entry->code->co_qualname, Py_TYPE(value)->tp_name);
      return false;
    }
    if (entry->shape[i] == 'n') {
      count_in(&numbers, value);
    }
  }
  size -= has_named_locals(entry->code) ? 1 : 0;
  bool unaltered = next == size && check == check_of(sort, state, entry->instruction, entry->offset,
                                                     hash, entry->shape, height, numbers);
  return unaltered || altered("a frame has been altered");
}

// Gives a frame whose slots are empty what the entry says.
bool fill(_PyInterpreterFrame* f, const Entry& entry) {
  Py_ssize_t next = fixed_items;
  for (int i = 0; i < entry.height; ++i) {
    Slot slot = make_slot(nullptr);
    if (entry.shape[i] == '#') {
      Py_ssize_t number = PyLong_AsSsize_t(PyTuple_GET_ITEM(entry.tuple, next++));
      bool fits = number >= PY_SSIZE_T_MIN / 4 && number <= PY_SSIZE_T_MAX / 4;
      if (!fits || (number == -1 && PyErr_Occurred() != nullptr)) {
        PyErr_Clear();
        return altered("a number is too large");
      }
      slot = tag(number);
    } else if (entry.shape[i] != '.') {
      slot = make_slot(Py_NewRef(look_through(PyTuple_GET_ITEM(entry.tuple, next++))));
    }
    f->localsplus[i] = slot;
    set_height(f, i + 1);
  }
  if (has_named_locals(entry.code)) {
    f->f_locals = Py_NewRef(look_through(PyTuple_GET_ITEM(entry.tuple, next)));
  }
  set_height(f, entry.height);
  instruction_of(f) = _PyCode_CODE(entry.code) + entry.instruction;
  set_offset(f, entry.offset);
  return true;
}

void set_owner(_PyInterpreterFrame* f, PyFunctionObject* function) {
  set_function(f, Py_NewRef(reinterpret_cast<PyObject*>(function)));
  f->f_globals = function->func_globals;
  f->f_builtins = function->func_builtins;
}

// As a generator's frame is left when it has finished.
void drop_function(_PyInterpreterFrame* f) {
#if PY_VERSION_HEX >= 0x030E0000
  PyStackRef_CLEAR(f->f_funcobj);
#elif PY_VERSION_HEX >= 0x030C0000
  Py_CLEAR(f->f_funcobj);
#else
  Py_CLEAR(f->f_func);
#endif
}

_PyInterpreterFrame* frame_in(PyGenObject* generator) {
  return reinterpret_cast<_PyInterpreterFrame*>(&generator->gi_iframe);
}

PyGenObject* as_generator(PyObject* object) { return reinterpret_cast<PyGenObject*>(object); }

bool is_untouched(PyGenObject* generator) {
  _PyInterpreterFrame* f = frame_in(generator);
  return instruction_of(f) == before_first(code_of(f));
}

}  // namespace

std::int32_t code_hash(PyCodeObject* code) {
  const CodeMap* map = code_map(code);
  if (map == nullptr) {
    return 0;
  }
  if (map->hash == 0) {
    Hash hash;
    hash.add_number(PY_VERSION_HEX >> 16);
    if (!hash_code(&hash, reinterpret_cast<PyObject*>(code))) {
      return 0;
    }
    map->hash = hash.folded();
  }
  return map->hash;
}

namespace {

std::int32_t check_of_joint(const Joint& joint, int inner) {
  return check_of(Sort::joint, inner, static_cast<int>(joint.ending), joint.argument, 0, "", 0);
}

PyObject* make_joint_entry(const Joint& joint, int inner, Wrap wrap) {
  Owned kept(wrap(joint.kept != nullptr ? joint.kept : Py_None));
  Owned second(kept != nullptr ? wrap(joint.second != nullptr ? joint.second : Py_None) : nullptr);
  return second != nullptr
             ? Py_BuildValue("(iiiOO)", static_cast<int>(joint.ending), joint.argument,
                             check_of_joint(joint, inner), kept.get(), second.get())
             : nullptr;
}

bool is_joint_entry(PyObject* entry) {
  return PyTuple_CheckExact(entry) && PyTuple_GET_SIZE(entry) == fixed_items - 1;
}

// What an entry says that its check is: that of the next outer one counts it in, so that no frame comes to
// stand on another. 0 if it says nothing; then it is refused itself.
int check_in(PyObject* entry) {
  int check = 0;
  if (is_joint_entry(entry)) {
    get_int(PyTuple_GET_ITEM(entry, 2), INT32_MIN, INT32_MAX, &check);
  } else if (PyTuple_CheckExact(entry) && PyTuple_GET_SIZE(entry) >= fixed_items) {
    get_int(PyTuple_GET_ITEM(entry, 4), INT32_MIN, INT32_MAX, &check);
  }
  return check;
}

}  // namespace

// ---- tasklets ------------------------------------------------------------------------------------------

PyObject* take_apart(const Frozen* frozen, Wrap wrap) {
  Owned list(PyList_New(frozen->frames));
  _PyInterpreterFrame* f = frozen->inner;
  int inner = 0;
  for (int i = frozen->frames; list != nullptr && i-- > 0; f = f->previous) {
    Joint joint;
    PyObject* entry;
    if (read_shim(f, &joint)) {
      entry = make_joint_entry(joint, inner, wrap);
    } else {
      bool innermost = f == frozen->inner;
      PyObject* owner =
          is_on_data_stack(f) ? function_of(f) : reinterpret_cast<PyObject*>(generator_of(f));
      entry = make_entry(f, owner, innermost ? Sort::inner : Sort::outer, inner,
                         height_of(f) - (innermost ? frozen->pops : 0), wrap);
    }
    if (entry == nullptr) {
      return nullptr;
    }
    PyList_SET_ITEM(list.get(), i, entry);
    inner = check_in(entry);
  }
  return list.release();
}

PyObject* handled_exceptions(const Frozen* frozen, Wrap wrap) {
  Py_ssize_t size = 0;
  bool any = false;
  for (const _PyErr_StackItem* item = frozen->exc_info; item != nullptr;
       item = item->previous_item) {
    ++size;
    any = any || (item->exc_value != nullptr && item->exc_value != Py_None);
  }
  if (!any) {
    return Py_NewRef(Py_None);
  }
  Owned result(PyTuple_New(size));
  Py_ssize_t i = 0;
  for (const _PyErr_StackItem* item = frozen->exc_info; item != nullptr && result != nullptr;
       item = item->previous_item) {
    PyObject* value = wrap(item->exc_value != nullptr ? item->exc_value : Py_None);
    if (value == nullptr) {
      return nullptr;
    }
    PyTuple_SET_ITEM(result.get(), i++, value);
  }
  return result.release();
}

namespace {

bool is_exception_or_none(PyObject* object) {
  return object == Py_None || PyExceptionInstance_Check(look_through(object));
}

PyObject* handled(PyObject* object) {
  return object == Py_None ? nullptr : Py_NewRef(look_through(object));
}

struct Plan {
  Entry entry;
  PyGenObject* generator;  // or null
  Joint joint;
  bool is_joint;  // rather than an entry

  std::size_t used() const { return used_words(is_joint ? shim_height : entry.height); }
  std::size_t room() const {
    return static_cast<std::size_t>(is_joint ? shim_words(joint.ending) : frame_words(entry.code));
  }
};

bool read_joint(PyObject* tuple, int inner, Plan* plan) {
  int ending, check;
  plan->is_joint = true;
  auto item = [&](Py_ssize_t i) { return PyTuple_GET_ITEM(tuple, i); };
  if (!get_int(item(0), 0, endings - 1, &ending) || !needs_shim(static_cast<Ending>(ending)) ||
      !get_int(item(1), 0, largest_argument, &plan->joint.argument) ||
      !get_int(item(2), INT32_MIN, INT32_MAX, &check)) {
    return altered("there is no such code between two frames");
  }
  plan->joint.ending = static_cast<Ending>(ending);
  if (check != check_of_joint(plan->joint, inner)) {
    return altered("the code between two frames has been altered");
  }
  plan->joint.kept = look_through(item(3));
  plan->joint.second = look_through(item(4));
  return true;
}

// Code that waits for a generator stands between one that runs and its caller.
bool joints_fit(Plan* plans, Py_ssize_t count) {
  for (Py_ssize_t i = 0; i < count; ++i) {
    if (!plans[i].is_joint) {
      continue;
    }
    bool last = i == count - 1 || plans[i + 1].is_joint;
    PyGenObject* generator = last ? nullptr : plans[i + 1].generator;
    if (i == 0 || last || plans[i - 1].is_joint ||
        (generator != nullptr) != waits_for_generator(plans[i].joint.ending)) {
      return altered("a frame waits for nothing");
    }
    const Entry& outer = plans[i - 1].entry;
    if (!may_end(outer.code, outer.instruction, outer.height, plans[i].joint)) {
      return altered("the code between two frames has been altered");
    }
    plans[i].joint.generator = reinterpret_cast<PyObject*>(generator);
  }
  return true;
}

bool read_plan(PyObject* entries, std::unique_ptr<Plan[]>* plans, Py_ssize_t* generators) {
  Py_ssize_t count = PyList_GET_SIZE(entries);
  for (Py_ssize_t i = 0; i < count; ++i) {
    Plan* plan = &(*plans)[static_cast<std::size_t>(i)];
    PyObject* tuple = PyList_GET_ITEM(entries, i);
    bool last = i == count - 1;
    int inner = last ? 0 : check_in(PyList_GET_ITEM(entries, i + 1));
    if (is_joint_entry(tuple)) {
      if (!read_joint(tuple, inner, plan)) {
        return false;
      }
      continue;
    }
    PyObject* owner = PyTuple_CheckExact(tuple) && PyTuple_GET_SIZE(tuple) > 0
                          ? PyTuple_GET_ITEM(tuple, 0)
                          : nullptr;
    PyObject* function = nullptr;
    if (owner != nullptr && is_generator(owner)) {
      plan->generator = as_generator(owner);
      function = function_in_generator(owner);
      if (function == nullptr || !is_untouched(plan->generator)) {
        PyErr_Format(PyExc_ValueError, "the generator %U is running in another tasklet",
                     plan->generator->gi_qualname);
        return false;
      }
      for (Py_ssize_t j = 0; j < i; ++j) {
        if ((*plans)[static_cast<std::size_t>(j)].generator == plan->generator) {
          return altered("a generator runs twice");
        }
      }
      ++*generators;
    }
    if (!read_entry(tuple, function, last ? Sort::inner : Sort::outer, inner, &plan->entry)) {
      return false;
    }
  }
  return joints_fit(plans->get(), count);
}

// Puts frame by frame into the block, innermost first; false with an exception set.
bool place_frames(Frozen* frozen, const Plan* plans, Py_ssize_t count) {
  Slot* words = frozen->words();
  _PyInterpreterFrame** link = &frozen->inner;
  for (Py_ssize_t i = count; i-- > 0;) {
    const Plan& plan = plans[i];
    _PyInterpreterFrame* f;
    if (plan.is_joint) {
      f = make_shim(words, plan.joint);
      words += plan.used();
    } else if (plan.generator != nullptr) {
      f = frame_in(plan.generator);
      plan.generator->gi_frame_state = FRAME_EXECUTING;
#if PY_VERSION_HEX < 0x030C0000
      f->is_entry = true;
#endif
    } else {
      f = reinterpret_cast<_PyInterpreterFrame*>(words);
      words += plan.used();
      std::memset(static_cast<void*>(f), 0, special_words * sizeof(Slot));
      set_owner(f, plan.entry.function);
      set_code(f, Py_NewRef(reinterpret_cast<PyObject*>(plan.entry.code)));
      f->owner = FRAME_OWNED_BY_THREAD;
      set_height(f, 0);
    }
    *link = f;
    link = &f->previous;
    *link = nullptr;
    ++frozen->frames;
    if (!plan.is_joint && !fill(f, plan.entry)) {
      return false;
    }
  }
  return true;
}

void place_exceptions(Frozen* frozen, const Plan* plans, Py_ssize_t count, PyObject* exceptions) {
  Py_ssize_t next = 0;
  auto take = [&] {
    return exceptions == Py_None ? nullptr : handled(PyTuple_GET_ITEM(exceptions, next++));
  };
  _PyErr_StackItem** link = &frozen->exc_info;
  for (Py_ssize_t i = count; i-- > 0;) {
    if (PyGenObject* generator = plans[i].generator) {
      Py_XSETREF(generator->gi_exc_state.exc_value, take());
      *link = &generator->gi_exc_state;
      link = &generator->gi_exc_state.previous_item;
    }
  }
  frozen->exc_item.exc_value = take();
  *link = &frozen->exc_item;
}

}  // namespace

Frozen* put_together(PyObject* entries, PyObject* exceptions) {
  Py_ssize_t count = PyList_GET_SIZE(entries), generators = 0;
  std::unique_ptr<Plan[]> plans(new (std::nothrow) Plan[static_cast<std::size_t>(count)]());
  if (plans == nullptr) {
    PyErr_NoMemory();
    return nullptr;
  }
  if (count == 0) {
    altered("a tasklet stands nowhere");
    return nullptr;
  }
  if (!read_plan(entries, &plans, &generators)) {
    return nullptr;
  }
  bool fits = exceptions == Py_None ||
              (PyTuple_CheckExact(exceptions) && PyTuple_GET_SIZE(exceptions) == generators + 1);
  for (Py_ssize_t i = 0; fits && exceptions != Py_None && i <= generators; ++i) {
    fits = is_exception_or_none(PyTuple_GET_ITEM(exceptions, i));
  }
  if (!fits) {
    altered("a frame handles what is no exception");
    return nullptr;
  }
  std::size_t used = 0, room = 0;
  for (Py_ssize_t i = 0; i < count; ++i) {
    const Plan& plan = plans[static_cast<std::size_t>(i)];
    if (plan.generator == nullptr) {
      used += plan.used();
      room += plan.room();
    }
  }
  Frozen* frozen = new_block(used);
  if (frozen == nullptr) {
    PyErr_NoMemory();
    return nullptr;
  }
  *frozen = {};
  frozen->floating.save();
  frozen->used_words = static_cast<std::uint32_t>(used);
  frozen->exc_info = &frozen->exc_item;
  bool complete = place_frames(frozen, plans.get(), count);
  if (complete && needs_room(room)) {
    frozen->room = make_room(room);
    if (frozen->room == nullptr) {
      PyErr_NoMemory();
      complete = false;
    }
  }
  if (!complete) {
    drop(frozen);
    return nullptr;
  }
  place_exceptions(frozen, plans.get(), count, exceptions);
  return frozen;
}

// ---- generators ----------------------------------------------------------------------------------------

namespace {

bool has_finished(const PyGenObject* generator) {
  return generator->gi_frame_state > FRAME_EXECUTING;
}

}  // namespace

PyObject* function_in_generator(PyObject* object) noexcept {
  PyGenObject* generator = as_generator(object);
  return has_finished(generator) ? nullptr : function_of(frame_in(generator));
}

namespace {

// What a generator expression of 3.15 can be called with: it asks for an iterator before it begins.
PyAsyncMethods any_async = {.am_aiter = PyObject_SelfIter, .am_anext = PyObject_SelfIter};
PyTypeObject AnythingType = {
    .ob_base = PyVarObject_HEAD_INIT(nullptr, 0)
    .tp_name = "stackless._anything",
    .tp_basicsize = sizeof(PyObject),
    .tp_as_async = &any_async,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = [](PyObject*) -> PyObject* { return nullptr; },
};

// Calls `code`, which returns its generator before it does anything else; Python has no other way to make
// one that works on debug builds (Objects/genobject.c of 3.13, gen_new_with_qualname(), has assertions that
// contradict each other).
PyObject* call_for_generator(PyCodeObject* code) {
  Owned globals(PyDict_New()), defaults(PyDict_New()), names(PyCode_GetVarnames(code));
  Owned closure(PyTuple_New(PyCode_GetNumFree(code)));
  if (globals == nullptr || defaults == nullptr || names == nullptr || closure == nullptr) {
    return nullptr;
  }
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(closure.get()); ++i) {
    PyObject* cell = PyCell_New(nullptr);
    if (cell == nullptr) {
      return nullptr;
    }
    PyTuple_SET_ITEM(closure.get(), i, cell);
  }
  for (int i = 0; i < code->co_kwonlyargcount; ++i) {
    PyObject* name = PyTuple_GET_ITEM(names.get(), code->co_argcount + i);
    if (PyDict_SetItem(defaults.get(), name, Py_None) < 0) {
      return nullptr;
    }
  }
  Owned anything(PyType_Ready(&AnythingType) == 0 ? PyObject_New(PyObject, &AnythingType)
                                                  : nullptr);
  if (anything == nullptr) {
    return nullptr;
  }
  std::vector<PyObject*> arguments(static_cast<std::size_t>(code->co_argcount), anything.get());
  return PyEval_EvalCodeEx(reinterpret_cast<PyObject*>(code), globals.get(), nullptr,
                           arguments.data(), code->co_argcount, nullptr, 0, nullptr, 0,
                           defaults.get(),
                           PyTuple_GET_SIZE(closure.get()) > 0 ? closure.get() : nullptr);
}

}  // namespace

PyObject* new_generator(PyCodeObject* code, PyObject* name, PyObject* qualname) {
  if ((code->co_flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR)) == 0) {
    altered("the code is not a generator's");
    return nullptr;
  }
  PyObject* object = call_for_generator(code);
  if (object == nullptr) {
    return nullptr;
  }
  PyGenObject* generator = as_generator(object);
  Py_XSETREF(generator->gi_name, Py_NewRef(name));
  Py_XSETREF(generator->gi_qualname, Py_NewRef(qualname));
  if (PyCoro_CheckExact(object)) {
    Py_CLEAR(generator->gi_origin_or_finalizer);
  }
  _PyInterpreterFrame* f = frame_in(generator);
  pop_slots(f, 0);
  instruction_of(f) = before_first(code);
  generator->gi_frame_state = FRAME_EXECUTING;
  return object;
}

namespace {

bool is_async(const PyGenObject* generator) {
  return PyAsyncGen_CheckExact(reinterpret_cast<const PyObject*>(generator));
}

// Borrowed. A plain generator has neither; that of an asynchronous one counts from its first step on.
PyObject* origin_or_finalizer(const PyGenObject* generator) {
  bool has_one = PyCoro_CheckExact(reinterpret_cast<const PyObject*>(generator)) ||
                 (is_async(generator) && generator->gi_hooks_inited != 0);
  if (!has_one) {
    return Py_None;
  }
  PyObject* other = generator->gi_origin_or_finalizer;
  return other != nullptr ? other : is_async(generator) ? Py_False : Py_None;
}

enum AsyncFlags { async_closed = 1, async_awaited = 2 };

int async_flags(const PyGenObject* generator) {
  return is_async(generator) ? (generator->gi_closed != 0 ? async_closed : 0) |
                                   (generator->gi_running_async != 0 ? async_awaited : 0)
                             : 0;
}

void set_async_flags(PyGenObject* generator, int flags) {
  if (is_async(generator)) {
    generator->gi_closed = (flags & async_closed) != 0 ? 1 : 0;
    generator->gi_running_async = (flags & async_awaited) != 0 ? 1 : 0;
  }
}

}  // namespace

PyObject* generator_state(PyObject* object, Wrap wrap) {
  PyGenObject* generator = as_generator(object);
  _PyInterpreterFrame* f = frame_in(generator);
  Owned entry;
  if (has_finished(generator)) {
    entry.reset(Py_NewRef(Py_None));
  } else if (generator->gi_frame_state == FRAME_EXECUTING) {
    entry.reset(wrap(function_of(f)));
  } else {
    entry.reset(make_entry(f, function_of(f), Sort::suspended, generator->gi_frame_state,
                           height_of(f), wrap));
  }
  PyObject* value = generator->gi_exc_state.exc_value;
  Owned exception(entry != nullptr ? wrap(value != nullptr ? value : Py_None) : nullptr);
  Owned wrapped(exception != nullptr ? wrap(origin_or_finalizer(generator)) : nullptr);
  return wrapped != nullptr ? Py_BuildValue("OiOOi", entry.get(), generator->gi_frame_state,
                                            exception.get(), wrapped.get(), async_flags(generator))
                            : nullptr;
}

int fill_generator(PyObject* object, PyObject* state) {
  PyGenObject* generator = as_generator(object);
  _PyInterpreterFrame* f = frame_in(generator);
  int frame_state, flags;
  PyObject *owner, *exception, *other;
  if (!PyArg_ParseTuple(state, "OiOOi:generator", &owner, &frame_state, &exception, &other,
                        &flags)) {
    return -1;
  }
  owner = look_through(owner);
  bool running = frame_state == FRAME_EXECUTING, finished = owner == Py_None;
  if (!is_exception_or_none(exception) || finished != (frame_state > FRAME_EXECUTING)) {
    altered("a generator's state is impossible");
    return -1;
  }
  bool has_origin = PyCoro_CheckExact(object) && other != Py_None;
  if (has_origin && !PyTuple_CheckExact(other)) {
    altered("a coroutine's origin is no tuple");
    return -1;
  }
  if (finished) {
    drop_function(f);
    generator->gi_frame_state = FRAME_CLEARED;
    set_async_flags(generator, flags);
    return 0;
  }
  // A running one may have got its frame from its tasklet already.
  if (running ? !is_function(owner) : !is_untouched(generator)) {
    altered("a generator has no function");
    return -1;
  }
  Entry entry{};
  if (running) {
    entry.function = reinterpret_cast<PyFunctionObject*>(owner);
    entry.code = reinterpret_cast<PyCodeObject*>(entry.function->func_code);
  } else if (!read_entry(owner, nullptr, Sort::suspended, frame_state, &entry)) {
    return -1;
  }
  if (entry.code != code_of(f)) {
    altered("a generator's function is another one");
    return -1;
  }
  drop_function(f);
  set_owner(f, entry.function);
  if (!running && !fill(f, entry)) {
    return -1;
  }
  generator->gi_frame_state = static_cast<decltype(generator->gi_frame_state)>(frame_state);
  if (!running) {  // what a running one handles is its tasklet's to write, too
    Py_XSETREF(generator->gi_exc_state.exc_value, handled(exception));
  }
  set_async_flags(generator, flags);
  if (has_origin) {
    Py_XSETREF(generator->gi_origin_or_finalizer, Py_NewRef(other));
  }
  return 0;
}

void set_hooks(PyObject* object, PyObject* finalizer) {
  PyGenObject* generator = as_generator(object);
  generator->gi_hooks_inited = 1;
  Py_XSETREF(generator->gi_origin_or_finalizer, Py_XNewRef(finalizer));
}

PyObject* new_frame(PyThreadState* ts, PyObject* code, PyObject* globals, PyObject* back) {
  PyFrameObject* frame = PyFrame_New(ts, reinterpret_cast<PyCodeObject*>(code), globals, nullptr);
  if (frame != nullptr) {
    frame->f_back = reinterpret_cast<PyFrameObject*>(Py_XNewRef(back));
  }
  return reinterpret_cast<PyObject*>(frame);
}

}  // namespace stackless::interp
