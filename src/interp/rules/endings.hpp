// What the rules' files do when an inner frame has returned.
#pragma once

#include "interp/frames/frame.hpp"
#include "interp/rules/rules.hpp"
#include "interp/rules/wrapping_iterators.hpp"

namespace stackless::interp {

PyObject* finish_instance(PyObject* kept, PyObject* value);
PyObject* finish_creation(int operands, PyObject* type, PyObject* made, _PyInterpreterFrame* outer);
PyObject* finish_length(PyObject* value);
PyObject* finish_truth(int argument, PyObject* object, PyObject* value);
void complain_of_iterator(PyObject* object, PyObject* value);
bool finish_drive(int argument, PyObject* awaitable, PyObject* generator, PyObject* value,
                  _PyInterpreterFrame* outer, Slot* result);
bool finish_delegation(PyObject* exception, _PyInterpreterFrame* outer, Slot* result);
PyObject* finish_default(int stays, PyObject* dict, PyObject* key, PyObject* value);
bool finish_wrapped(int argument, PyObject* iterator, PyObject* otherwise, Answer answer,
                    PyObject* value, _PyInterpreterFrame* outer, Slot* result);

}  // namespace stackless::interp
