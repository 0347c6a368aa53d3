// Items of containers: what gets, sets and deletes them.
#include "interp/rules/crossing.hpp"

namespace stackless::interp {

namespace {

bool gets_item(const Crossing& crossing, Joint*) {
  return calls_method(crossing, 0, names.getitem);
}
bool sets_item(const Crossing& crossing, Joint*) {
  return has_rest(crossing) && calls_method(crossing, 1, names.setitem);
}
bool deletes_item(const Crossing& crossing, Joint*) {
  return has_rest(crossing) && calls_method(crossing, 0, names.delitem);
}

constexpr int subscript = subscripts_are_operators ? BINARY_OP : op::binary_subscr;
bool is_subscript(const Crossing& crossing) {
  return !subscripts_are_operators || crossing.stop.at->argument == op::nb_subscr;
}

bool subscribes(const Crossing& crossing, Joint* joint) {
  return is_subscript(crossing) && gets_item(crossing, joint);
}

// A class's __class_getitem__(): Objects/abstract.c, PyObject_GetItem.
bool gets_class_item(const Crossing& crossing, Joint*) {
  PyObject* object = crossing.operand(0);
  PyTypeObject* meta = Py_TYPE(object);
  if (!is_subscript(crossing) || !is_call(crossing) || !PyType_Check(object) ||
      meta->tp_getattro != PyType_Type.tp_getattro ||
      (meta->tp_as_mapping != nullptr && meta->tp_as_mapping->mp_subscript != nullptr) ||
      (meta->tp_as_sequence != nullptr && meta->tp_as_sequence->sq_item != nullptr) ||
      _PyType_Lookup(meta, names.class_getitem) != nullptr) {
    return false;
  }
  PyObject* method = _PyType_Lookup(reinterpret_cast<PyTypeObject*>(object), names.class_getitem);
  return method != nullptr && Py_IS_TYPE(method, &PyClassMethod_Type) &&
         leads_to(wrapped_by(method), crossing.function());
}

// Objects/dictobject.c, dict_subscript.
bool looks_up_as_dict(PyTypeObject* type) {
  return _PyType_Lookup(type, names.getitem) == _PyType_Lookup(&PyDict_Type, names.getitem);
}

// A dictionary's __missing__(); not its own hash or comparison, should it look for itself.
bool gets_missing_item(const Crossing& crossing, Joint*) {
  PyTypeObject* type = Py_TYPE(crossing.operand(0));
  return is_subscript(crossing) && looks_up_as_dict(type) &&
         calls_method(crossing, 0, names.missing) &&
         first_argument(crossing.inner) == crossing.operand(0) &&
         _PyType_Lookup(type, names.hash) != crossing.function() &&
         _PyType_Lookup(type, names.equal) != crossing.function();
}

// A function that takes nothing can't be a method of a key, but for a static one.
bool is_factory(const Crossing& crossing, PyObject* function) {
  auto* code = reinterpret_cast<PyCodeObject*>(
      reinterpret_cast<PyFunctionObject*>(crossing.function())->func_code);
  PyObject* hash = _PyType_Lookup(Py_TYPE(crossing.operand(1)), names.hash);
  return code->co_argcount == 0 && (code->co_flags & CO_VARARGS) == 0 &&
         (hash == nullptr || !Py_IS_TYPE(hash, &PyStaticMethod_Type)) &&
         leads_to(function, crossing.function());
}

// What a defaultdict's factory makes is stored: Modules/_collectionsmodule.c, defdict_missing.
bool makes_default_item(const Crossing& crossing, Joint* joint) {
  PyObject* dict = crossing.operand(0);
  PyTypeObject* type = Py_TYPE(dict);
  if (!is_subscript(crossing) || !is_call(crossing) || types.default_dict == nullptr ||
      !looks_up_as_dict(type) || PyType_IsSubtype(type, types.default_dict) == 0 ||
      _PyType_Lookup(type, names.missing) != _PyType_Lookup(types.default_dict, names.missing)) {
    return false;
  }
  joint->kept = dict;
  joint->second = crossing.operand(1);
  joint->argument = defaults_stay ? 1 : 0;
  // defdictobject: the dictionary, the factory.
  PyObject* factory =
      *reinterpret_cast<PyObject**>(reinterpret_cast<char*>(dict) + sizeof(PyDictObject));
  return factory != nullptr && is_factory(crossing, factory);
}

// ---- how they go on ----

// V is stored in what is kept, a dictionary, with the second object as its key, unless (argument 1) there is
// something, and pushed: Modules/_collectionsmodule.c, defdict_missing.
Result finish_default(const Arrival& arrival) {
  auto [stays, dict, key, value, outer] = arrival;
  if (stays != 0 && PyDict_Check(dict)) {
    return push(Object::share(PyDict_SetDefault(dict, key, value)));
  }
  return PyObject_SetItem(dict, key, value) == 0 ? push(Object::share(value)) : std::nullopt;
}

const Continuation store_default{"store_default", 22, Shape::plain, finish_default};

const Rule rules[] = {
    {STORE_SUBSCR, 3, sets_item, push_nothing},
    {DELETE_SUBSCR, 2, deletes_item, push_nothing},
    {op::binary_slice, 3, gets_item, push_value},
    {op::store_slice, 4, sets_item, push_nothing},
    {subscript, 2, subscribes, push_value},
    {subscript, 2, gets_class_item, push_value},
    {subscript, 2, gets_missing_item, push_value},
    {subscript, 2, makes_default_item, store_default},
};

}  // namespace

std::span<const Rule> item_rules() noexcept { return rules; }

}  // namespace stackless::interp
