// Attributes: what gets, sets and deletes them.
#include "interp/rules/crossing.hpp"

namespace stackless::interp {

namespace {

PyObject* property_function(PyObject* property, int i) {
  // Objects/descrobject.c, propertyobject: the getter, the setter ...
  return reinterpret_cast<PyObject**>(reinterpret_cast<char*>(property) + sizeof(PyObject))[i];
}

bool calls_getter(const Crossing& crossing, PyObject* descriptor) {
  return Py_IS_TYPE(descriptor, &PyProperty_Type)
             ? leads_to(property_function(descriptor, 0), crossing.function())
             : method_of(Py_TYPE(descriptor), names.get) == crossing.function();
}

// Objects/typeobject.c, type_getattro: its metaclass's data descriptors, its own attributes, those of its
// metaclass. What comes first and is written in Python has been passed if it isn't what runs.
bool gets_attribute_of_class(const Crossing& crossing, PyTypeObject* type, PyObject* name) {
  PyObject* of_meta = _PyType_Lookup(Py_TYPE(type), name);
  PyObject* own = _PyType_Lookup(type, name);
  if (of_meta != nullptr && (own == nullptr || Py_TYPE(of_meta)->tp_descr_set != nullptr)) {
    return calls_getter(crossing, of_meta);
  }
  // A property of its own is what it is called with itself for.
  return own != nullptr && !Py_IS_TYPE(own, &PyProperty_Type) && calls_getter(crossing, own);
}

bool gets_attribute_of_module(const Crossing& crossing, PyObject* module, PyObject* name) {
  PyObject* variables = PyModule_GetDict(module);
  PyObject* found = _PyType_Lookup(Py_TYPE(module), name);
  return found == nullptr &&
         leads_to(PyDict_GetItem(variables, names.getattr), crossing.function());
}

// Objects/typeobject.c, super_getattro. A property of a class is itself.
bool gets_attribute_beyond(const Crossing& crossing, PyTypeObject* type, PyObject* object,
                           PyTypeObject* of, PyObject* name) {
  PyObject* found =
      of != nullptr && name != names.own_class ? find_beyond(type, of, name) : nullptr;
  bool is_class = object == reinterpret_cast<PyObject*>(of);
  return found != nullptr && !(is_class && Py_IS_TYPE(found, &PyProperty_Type)) &&
         calls_getter(crossing, found);
}

// The same for a super object: the class, whose it is, and the class whose order counts.
bool gets_attribute_of_super(const Crossing& crossing, PyObject* object, PyObject* name) {
  auto* items = reinterpret_cast<PyObject**>(reinterpret_cast<char*>(object) + sizeof(PyObject));
  return gets_attribute_beyond(crossing, reinterpret_cast<PyTypeObject*>(items[0]), items[1],
                               reinterpret_cast<PyTypeObject*>(items[2]), name);
}

// Whether what runs gets that attribute of the object, and nothing is done to what it returns.
bool gets_attribute(const Crossing& crossing, PyObject* object, PyObject* name) {
  PyTypeObject* type = Py_TYPE(object);
  if (!is_call(crossing)) {
    return false;
  }
  if (type->tp_getattro == slots.getattr) {
    // Up to its first use a class with __getattribute__() only has this slot, too (slot_tp_getattr_hook).
    PyObject* own =
        _PyType_Lookup(type, names.getattr) != nullptr ? names.getattr : names.getattribute;
    return method_of(type, own) == crossing.function();
  }
  if (type->tp_getattro == slots.getattribute) {
    return method_of(type, names.getattribute) == crossing.function();
  }
  if (type->tp_getattro == PyType_Type.tp_getattro) {
    return gets_attribute_of_class(crossing, reinterpret_cast<PyTypeObject*>(object), name);
  }
  if (type == &PySuper_Type) {
    return gets_attribute_of_super(crossing, object, name);
  }
  if (type->tp_getattro == PyModule_Type.tp_getattro) {
    return gets_attribute_of_module(crossing, object, name);
  }
  PyObject* found =
      type->tp_getattro == PyObject_GenericGetAttr ? _PyType_Lookup(type, name) : nullptr;
  return found != nullptr && calls_getter(crossing, found);
}

// Whether what runs sets or deletes that attribute of the object: its class's `own` method, the property's function of
// that number, or the descriptor's method.
bool changes_attribute(const Crossing& crossing, PyObject* object, PyObject* name, PyObject* own,
                       int property, PyObject* descriptor) {
  PyTypeObject* type = Py_TYPE(object);
  if (!is_call(crossing)) {
    return false;
  }
  if (type->tp_setattro != PyObject_GenericSetAttr) {
    return method_of(type, own) == crossing.function();
  }
  PyObject* found = _PyType_Lookup(type, name);
  if (found == nullptr) {
    return false;
  }
  if (Py_IS_TYPE(found, &PyProperty_Type)) {
    return leads_to(property_function(found, property), crossing.function());
  }
  return method_of(Py_TYPE(found), descriptor) == crossing.function();
}

bool sets_attribute(const Crossing& crossing, PyObject* object, PyObject* name) {
  return changes_attribute(crossing, object, name, names.setattr, 1, names.set);
}

bool deletes_attribute(const Crossing& crossing, PyObject* object, PyObject* name) {
  return changes_attribute(crossing, object, name, names.delattr, 2, names.remove);
}

PyObject* name_in(const Crossing& crossing, int i) {
  return PyTuple_GET_ITEM(code_of(crossing.outer)->co_names, i);
}

bool is_for_call(const Crossing& crossing) {
  return methods_have_an_instruction ? crossing.stop.at->opcode != LOAD_ATTR
                                     : (crossing.stop.at->argument & 1) != 0;
}

bool loads_attribute(const Crossing& crossing, Joint*) {
  return !is_for_call(crossing) &&
         gets_attribute(crossing, crossing.operand(0),
                        name_in(crossing, name_index(crossing.stop.at->argument)));
}

bool loads_callable(const Crossing& crossing, Joint*) {
  return is_for_call(crossing) &&
         gets_attribute(crossing, crossing.operand(0),
                        name_in(crossing, name_index(crossing.stop.at->argument)));
}

// ---- super().attribute (Python/bytecodes.c, LOAD_SUPER_ATTR; Objects/typeobject.c) ----

// Whose class's order counts (supercheck), if __class__ needn't be asked.
PyTypeObject* class_for_super(PyTypeObject* type, PyObject* object) {
  auto* own = reinterpret_cast<PyTypeObject*>(object);
  if (PyType_Check(object) && PyType_IsSubtype(own, type) != 0) {
    return own;
  }
  return PyType_IsSubtype(Py_TYPE(object), type) != 0 ? Py_TYPE(object) : nullptr;
}

bool gets_from_super(const Crossing& crossing, PyObject* type, PyObject* object) {
  if (!is_call(crossing) || type == nullptr || object == nullptr || !PyType_Check(type)) {
    return false;
  }
  auto* known = reinterpret_cast<PyTypeObject*>(type);
  return gets_attribute_beyond(crossing, known, object, class_for_super(known, object),
                               name_in(crossing, crossing.stop.at->argument >> 2));
}

// [super, class, self]; they may have been dropped, then a super object has them.
bool loads_from_operands(const Crossing& crossing, Joint* joint) {
  joint->stale = crossing.operands;
  return crossing.operand(0) == reinterpret_cast<PyObject*>(&PySuper_Type) &&
         gets_from_super(crossing, crossing.operand(1), crossing.operand(2));
}
bool is_super_itself(_PyInterpreterFrame* frame) {
  PyObject* globals = frame->f_globals;
  PyObject* builtins = frame->f_builtins;
  return PyDict_Check(globals) && PyDict_GetItem(globals, names.super) == nullptr &&
         PyDict_Check(builtins) &&
         PyDict_GetItem(builtins, names.super) == reinterpret_cast<PyObject*>(&PySuper_Type);
}

// How high the value stack is above where it is when the instruction begins.
int rise(const Crossing& crossing) {
  PyCodeObject* code = code_of(crossing.outer);
  int index = static_cast<int>(crossing.stop.at - code_map(code)->instructions.get());
  return crossing.stop.height - code->co_nlocalsplus - height_before(code, index);
}

// They have been taken off, unless the instruction is specialised: what super() has found is to be found as it does
// that (super_init_without_args).
bool loads_from_variables(const Crossing& crossing) {
  constexpr int all = 3, has_arguments = 2;
  PyCodeObject* code = code_of(crossing.outer);
  if (rise(crossing) != crossing.operands - all ||
      (crossing.stop.at->argument & has_arguments) != 0 || code->co_argcount < 1 ||
      !is_super_itself(crossing.outer)) {
    return false;
  }
  PyObject* object = object_in(crossing.outer->localsplus[0]);
  if (object != nullptr && is_in_cell(code, 0) && PyCell_Check(object)) {
    object = PyCell_GET(object);
  }
  for (int i = code->co_nlocalsplus - code->co_nfreevars; i < code->co_nlocalsplus; ++i) {
    PyObject* cell = object_in(crossing.outer->localsplus[i]);
    if (PyTuple_GET_ITEM(code->co_localsplusnames, i) == names.own_class && cell != nullptr &&
        PyCell_Check(cell)) {
      return gets_from_super(crossing, PyCell_GET(cell), object);
    }
  }
  return false;
}
template <bool for_call>
bool loads_from_super(const Crossing& crossing, Joint* joint) {
  return is_for_call(crossing) == for_call &&
         (frames_know_their_operands ? loads_from_variables(crossing)
                                     : loads_from_operands(crossing, joint));
}

bool stores_attribute(const Crossing& crossing, Joint*) {
  return has_rest(crossing) && sets_attribute(crossing, crossing.operand(1),
                                              name_in(crossing, crossing.stop.at->argument));
}

bool removes_attribute(const Crossing& crossing, Joint*) {
  return has_rest(crossing) && deletes_attribute(crossing, crossing.operand(0),
                                                 name_in(crossing, crossing.stop.at->argument));
}

bool calls_getattr(const Crossing& crossing, Joint*) {
  return calls_builtin(crossing, builtins.getattr, 2) &&
         PyUnicode_CheckExact(crossing.argument(1)) &&
         gets_attribute(crossing, crossing.argument(0), crossing.argument(1));
}

bool calls_getattr_with_default(const Crossing& crossing, Joint* joint) {
  if (!calls_builtin(crossing, builtins.getattr, 3)) {
    return false;
  }
  joint->argument = 1;
  joint->kept = crossing.argument(2);
  return PyUnicode_CheckExact(crossing.argument(1)) &&
         gets_attribute(crossing, crossing.argument(0), crossing.argument(1));
}

bool calls_hasattr(const Crossing& crossing, Joint* joint) {
  joint->argument = 1;
  joint->kept = Py_False;
  joint->second = Py_True;
  return calls_builtin(crossing, builtins.hasattr, 2) &&
         PyUnicode_CheckExact(crossing.argument(1)) &&
         gets_attribute(crossing, crossing.argument(0), crossing.argument(1));
}

bool calls_setattr(const Crossing& crossing, Joint*) {
  return calls_builtin(crossing, builtins.setattr, 3) &&
         PyUnicode_CheckExact(crossing.argument(1)) &&
         sets_attribute(crossing, crossing.argument(0), crossing.argument(1));
}

bool calls_delattr(const Crossing& crossing, Joint*) {
  return calls_builtin(crossing, builtins.delattr, 2) &&
         PyUnicode_CheckExact(crossing.argument(1)) &&
         deletes_attribute(crossing, crossing.argument(0), crossing.argument(1));
}

// V is pushed as an attribute that may be called as a method, but is none.
Result finish_attribute(const Arrival& arrival) {
  push_on(arrival.outer, attribute_comes_first ? Object::share(arrival.value) : Object());
  return make_slot(attribute_comes_first ? nullptr : Py_NewRef(arrival.value));
}

const Continuation push_attribute{"push_attribute", 7, Shape::plain, finish_attribute};

const Rule rules[] = {
    {CALL, a_calls, calls_getattr, push_value},
    {CALL, a_calls, calls_getattr_with_default, push_or_default},
    {CALL, a_calls, calls_hasattr, push_or_default},
    {CALL, a_calls, calls_setattr, push_none},
    {CALL, a_calls, calls_delattr, push_none},
    {LOAD_ATTR, 1, loads_attribute, push_value},
    {op::load_method, 1, loads_callable, push_attribute},
    {methods_have_an_instruction ? op::no_instruction : LOAD_ATTR, 1, loads_callable,
     push_attribute},
    {op::load_super_attr, 3, loads_from_super<false>, push_value},
    {op::load_super_attr, 3, loads_from_super<true>, push_attribute},
    {frames_know_their_operands ? op::load_super_attr : op::no_instruction, 0,
     loads_from_super<false>, push_value},
    {frames_know_their_operands ? op::load_super_attr : op::no_instruction, 0,
     loads_from_super<true>, push_attribute},
    {STORE_ATTR, 2, stores_attribute, push_nothing},
    {DELETE_ATTR, 1, removes_attribute, push_nothing},
};

}  // namespace

std::span<const Rule> attribute_rules() noexcept { return rules; }

}  // namespace stackless::interp
