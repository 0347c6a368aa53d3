// Attributes: what gets, sets and deletes them.
#include "interp/seam.hpp"

namespace stackless::interp {

namespace {

PyObject* property_function(PyObject* property, int i) {
  // Objects/descrobject.c, propertyobject: the getter, the setter ...
  return reinterpret_cast<PyObject**>(reinterpret_cast<char*>(property) + sizeof(PyObject))[i];
}

bool calls_getter(const Seam& seam, PyObject* descriptor) {
  return Py_IS_TYPE(descriptor, &PyProperty_Type)
             ? leads_to(property_function(descriptor, 0), seam.function())
             : method_of(Py_TYPE(descriptor), names.get) == seam.function();
}

// Objects/typeobject.c, type_getattro: its metaclass's data descriptors, its own attributes, those of its
// metaclass. What comes first and is written in Python has been passed if it isn't what runs.
bool gets_attribute_of_class(const Seam& seam, PyTypeObject* type, PyObject* name) {
  PyObject* of_meta = _PyType_Lookup(Py_TYPE(type), name);
  PyObject* own = _PyType_Lookup(type, name);
  if (of_meta != nullptr && (own == nullptr || Py_TYPE(of_meta)->tp_descr_set != nullptr)) {
    return calls_getter(seam, of_meta);
  }
  // A property of its own is what it is called with itself for.
  return own != nullptr && !Py_IS_TYPE(own, &PyProperty_Type) && calls_getter(seam, own);
}

bool gets_attribute_of_module(const Seam& seam, PyObject* module, PyObject* name) {
  PyObject* variables = PyModule_GetDict(module);
  PyObject* found = _PyType_Lookup(Py_TYPE(module), name);
  return found == nullptr && leads_to(PyDict_GetItem(variables, names.getattr), seam.function());
}

// Whether what runs gets that attribute of the object, and nothing is done to what it returns.
bool gets_attribute(const Seam& seam, PyObject* object, PyObject* name) {
  PyTypeObject* type = Py_TYPE(object);
  if (!is_call(seam)) {
    return false;
  }
  if (type->tp_getattro == slots.getattr) {
    // Up to its first use a class with __getattribute__() only has this slot, too (slot_tp_getattr_hook).
    PyObject* own =
        _PyType_Lookup(type, names.getattr) != nullptr ? names.getattr : names.getattribute;
    return method_of(type, own) == seam.function();
  }
  if (type->tp_getattro == slots.getattribute) {
    return method_of(type, names.getattribute) == seam.function();
  }
  if (type->tp_getattro == PyType_Type.tp_getattro) {
    return gets_attribute_of_class(seam, reinterpret_cast<PyTypeObject*>(object), name);
  }
  if (type->tp_getattro == PyModule_Type.tp_getattro) {
    return gets_attribute_of_module(seam, object, name);
  }
  PyObject* found =
      type->tp_getattro == PyObject_GenericGetAttr ? _PyType_Lookup(type, name) : nullptr;
  return found != nullptr && calls_getter(seam, found);
}

// Whether what runs sets or deletes that attribute of the object: its class's `own` method, the property's function of
// that number, or the descriptor's method.
bool changes_attribute(const Seam& seam, PyObject* object, PyObject* name, PyObject* own,
                       int property, PyObject* descriptor) {
  PyTypeObject* type = Py_TYPE(object);
  if (!is_call(seam)) {
    return false;
  }
  if (type->tp_setattro != PyObject_GenericSetAttr) {
    return method_of(type, own) == seam.function();
  }
  PyObject* found = _PyType_Lookup(type, name);
  if (found == nullptr) {
    return false;
  }
  if (Py_IS_TYPE(found, &PyProperty_Type)) {
    return leads_to(property_function(found, property), seam.function());
  }
  return method_of(Py_TYPE(found), descriptor) == seam.function();
}

bool sets_attribute(const Seam& seam, PyObject* object, PyObject* name) {
  return changes_attribute(seam, object, name, names.setattr, 1, names.set);
}

bool deletes_attribute(const Seam& seam, PyObject* object, PyObject* name) {
  return changes_attribute(seam, object, name, names.delattr, 2, names.remove);
}

PyObject* name_in(const Seam& seam, int i) {
  return PyTuple_GET_ITEM(code_of(seam.outer)->co_names, i);
}

#if PY_VERSION_HEX < 0x030C0000
bool is_for_call(const Seam& seam) { return seam.stop.at->opcode == LOAD_METHOD; }
#else
bool is_for_call(const Seam& seam) { return (seam.stop.at->argument & 1) != 0; }
#endif

bool loads_attribute(const Seam& seam, Joint*) {
  return !is_for_call(seam) &&
         gets_attribute(seam, seam.operand(0), name_in(seam, name_index(seam.stop.at->argument)));
}

bool loads_callable(const Seam& seam, Joint*) {
  return is_for_call(seam) &&
         gets_attribute(seam, seam.operand(0), name_in(seam, name_index(seam.stop.at->argument)));
}

bool stores_attribute(const Seam& seam, Joint*) {
  return has_rest(seam) &&
         sets_attribute(seam, seam.operand(1), name_in(seam, seam.stop.at->argument));
}

bool removes_attribute(const Seam& seam, Joint*) {
  return has_rest(seam) &&
         deletes_attribute(seam, seam.operand(0), name_in(seam, seam.stop.at->argument));
}

bool calls_getattr(const Seam& seam, Joint*) {
  return calls_builtin(seam, builtins.getattr, 2) && PyUnicode_CheckExact(seam.argument(1)) &&
         gets_attribute(seam, seam.argument(0), seam.argument(1));
}

bool calls_getattr_with_default(const Seam& seam, Joint* joint) {
  if (!calls_builtin(seam, builtins.getattr, 3)) {
    return false;
  }
  joint->argument = 1;
  joint->kept = seam.argument(2);
  return PyUnicode_CheckExact(seam.argument(1)) &&
         gets_attribute(seam, seam.argument(0), seam.argument(1));
}

bool calls_hasattr(const Seam& seam, Joint* joint) {
  joint->argument = 1;
  joint->kept = Py_False;
  joint->second = Py_True;
  return calls_builtin(seam, builtins.hasattr, 2) && PyUnicode_CheckExact(seam.argument(1)) &&
         gets_attribute(seam, seam.argument(0), seam.argument(1));
}

bool calls_setattr(const Seam& seam, Joint*) {
  return calls_builtin(seam, builtins.setattr, 3) && PyUnicode_CheckExact(seam.argument(1)) &&
         sets_attribute(seam, seam.argument(0), seam.argument(1));
}

bool calls_delattr(const Seam& seam, Joint*) {
  return calls_builtin(seam, builtins.delattr, 2) && PyUnicode_CheckExact(seam.argument(1)) &&
         deletes_attribute(seam, seam.argument(0), seam.argument(1));
}

const Rule rules[] = {
    {CALL, a_calls, calls_getattr, Ending::push},
    {CALL, a_calls, calls_getattr_with_default, Ending::fallback},
    {CALL, a_calls, calls_hasattr, Ending::fallback},
    {CALL, a_calls, calls_setattr, Ending::none},
    {CALL, a_calls, calls_delattr, Ending::none},
    {LOAD_ATTR, 1, loads_attribute, Ending::push},
#if PY_VERSION_HEX < 0x030C0000
    {LOAD_METHOD, 1, loads_callable, Ending::attribute},
#else
    {LOAD_ATTR, 1, loads_callable, Ending::attribute},
#endif
    {STORE_ATTR, 2, stores_attribute, Ending::nothing},
    {DELETE_ATTR, 1, removes_attribute, Ending::nothing},
};

}  // namespace

std::span<const Rule> attribute_rules() noexcept { return rules; }

}  // namespace stackless::interp
