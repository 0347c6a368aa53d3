#include "interp/pickling/frame_record.hpp"

#include "interp/pickling/code_hash.hpp"
#include "interp/pickling/placeholders.hpp"
#include "object/reference.hpp"

namespace stackless::interp {

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

bool altered(const char* what) {
  PyErr_Format(PyExc_ValueError, "the snapshot is damaged: %s", what);
  return false;
}

std::int32_t check_of(Sort sort, int state, int instruction, int offset, std::int32_t code,
                      const char* shape, Py_ssize_t size, long numbers) {
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

bool is_exception_or_none(PyObject* object) {
  return object == Py_None || PyExceptionInstance_Check(look_through(object));
}

PyObject* handled(PyObject* object) {
  return object == Py_None ? nullptr : Py_NewRef(look_through(object));
}

// ---- from a frame to an entry --------------------------------------------------------------------------

namespace {

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

}  // namespace

PyObject* make_entry(_PyInterpreterFrame* f, PyObject* owner, Sort sort, int state, int height) {
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
  Object shape = Object::steal(PyBytes_FromStringAndSize(nullptr, height));
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
  Object entry = Object::steal(PyTuple_New(fixed_items + values + (named ? 1 : 0)));
  if (entry == nullptr) {
    return nullptr;
  }
  bool failed = false;
  auto put = [&](Py_ssize_t place, PyObject* item) {
    PyTuple_SET_ITEM(entry.get(), place, item);
    failed = failed || item == nullptr;
  };
  put(0, Py_NewRef(owner));
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
      put(place++, Py_NewRef(object));
    }
  }
  if (named && !failed) {
    put(place, Py_NewRef(f->f_locals));
  }
  return failed ? nullptr : entry.release();
}

// ---- and back ------------------------------------------------------------------------------------------

namespace {

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

}  // namespace

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

}  // namespace stackless::interp
