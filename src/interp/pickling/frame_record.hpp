// Entries: what becomes of a frame in a pickle (interp/portable.hpp says of which items), one by one.
#pragma once

#include "interp/frames/frame.hpp"
#include "interp/pickling/frames.hpp"

namespace stackless::interp {

// What an entry is of. An entry of one sort is not to be taken for another.
enum class Sort : char { inner = 'i', outer = 'o', suspended = 's', joint = 'j' };

constexpr Py_ssize_t fixed_items = 6;

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

// make_entry() returns that of a frame of which `height` slots are in use; null with an exception set. `state` is
// that of a suspended generator, or the check of the frame that this one has called.
PyObject* make_entry(_PyInterpreterFrame* f, PyObject* owner, Sort sort, int state, int height);

// read_entry() looks at a tuple, and is false with an exception set if it is no such entry. `function` null:
// the entry's owner.
bool read_entry(PyObject* tuple, PyObject* function, Sort sort, int state, Entry* entry);

// fill() gives a frame whose slots are empty what the entry says; false with an exception set.
bool fill(_PyInterpreterFrame* f, const Entry& entry);
// set_owner() has it run that function.
void set_owner(_PyInterpreterFrame* f, PyFunctionObject* function);

// check_of() is the check of everything in an entry but its values.
std::int32_t check_of(Sort sort, int state, int instruction, int offset, std::int32_t code,
                      const char* shape, Py_ssize_t size, long numbers = 0);

// get_int() is false, without an exception, if the object is no int or out of range.
bool get_int(PyObject* object, long least, long most, int* result);

// An exception that is being handled is pickled as itself, and None stands for none: is_exception_or_none() tells
// whether an object may be that, and handled() returns a new reference, or null for none.
bool is_exception_or_none(PyObject* object);
PyObject* handled(PyObject* object);

// altered() raises, and is false.
bool altered(const char* what);

// ---- generators' frames ----------------------------------------------------------------------------------

inline _PyInterpreterFrame* frame_in(PyGenObject* generator) {
  return reinterpret_cast<_PyInterpreterFrame*>(&generator->gi_iframe);
}

inline PyGenObject* as_generator(PyObject* object) {
  return reinterpret_cast<PyGenObject*>(object);
}

// is_untouched() tells whether it is as new_generator() has made it.
inline bool is_untouched(PyGenObject* generator) {
  _PyInterpreterFrame* f = frame_in(generator);
  return instruction_of(f) == before_first(code_of(f));
}

}  // namespace stackless::interp
