// What is left of an import when importlib's Python functions return (Python/import.c,
// PyImport_ImportModuleLevelObject).
#pragma once

#include <Python.h>

namespace stackless::interp {

// importlib_function() is a function of importlib._bootstrap; borrowed, or null.
PyObject* importlib_function(const char* name);

// is_original_import() tells whether that is builtins.__import__() as it was at the beginning, which is what
// the interpreter calls by itself.
bool is_original_import(PyObject* function);

// may_finish_import() is false if more than what finish_import() does is left to do.
bool may_finish_import();

// finish_import() returns what the import of `name` results in, whose module has been found (level 0, or with a
// list of what is wanted from it); null with an exception set.
PyObject* finish_import(PyObject* name, PyObject* from_list, PyObject* module);

// cut_importlib() leaves the functions of importlib that have only passed the exception on out of its
// traceback; cut_importlib_of_error() does so with the one that is set.
void cut_importlib(PyObject* exception);
void cut_importlib_of_error();

}  // namespace stackless::interp
