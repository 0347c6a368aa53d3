#include "interp/pickling/code_hash.hpp"

#include <algorithm>
#include <cstring>

#include "interp/frames/code_map.hpp"
#include "object/compat.hpp"
#include "object/reference.hpp"

namespace stackless::interp {

namespace {

bool hash_constant(Hash* hash, PyObject* object);

// All that says what it does, and nothing of where its source is.
constexpr const char* code_fields[] = {
    "co_code",      "co_exceptiontable", "co_consts",         "co_names", "co_varnames",
    "co_cellvars",  "co_freevars",       "co_flags",          "co_name",  "co_argcount",
    "co_stacksize", "co_kwonlyargcount", "co_posonlyargcount"};

bool hash_code(Hash* hash, PyObject* code) {
  auto add = [&](const char* field) {
    Object value = Object::steal(PyObject_GetAttrString(code, field));
    return value != nullptr && hash_constant(hash, value.get());
  };
  return std::ranges::all_of(code_fields, add);
}

// The order of a frozenset's elements is another one in each process.
bool hash_set(Hash* hash, PyObject* set) {
  Object iterator = Object::steal(PyObject_GetIter(set));
  if (iterator == nullptr) {
    return false;
  }
  std::uint64_t sum = 0;
  while (PyObject* element = PyIter_Next(iterator.get())) {
    Object keep = Object::steal(element);
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
  Object text = Object::steal(PyObject_ASCII(object));
  if (text == nullptr) {
    return false;
  }
  hash->add(PyUnicode_DATA(text.get()), static_cast<std::size_t>(PyUnicode_GET_LENGTH(text.get())));
  return true;
}

}  // namespace

bool has_hash(PyCodeObject* code) {
  const CodeMap* map = code_map(code);
  return map != nullptr && map->hash != 0;
}

std::int32_t code_hash(PyCodeObject* code) {
  const CodeMap* map = code_map(code);
  if (map == nullptr) {
    return 0;
  }
  if (map->hash == 0) {
    Hash hash;
    hash.add_number(this_version);
    if (!hash_code(&hash, reinterpret_cast<PyObject*>(code))) {
      return 0;
    }
    map->hash = hash.folded();
  }
  return map->hash;
}

}  // namespace stackless::interp
