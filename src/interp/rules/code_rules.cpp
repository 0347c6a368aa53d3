// Code that runs with a namespace of its own: exec(), eval(), and modules that are imported.
#include "interp/rules/crossing.hpp"
#include "interp/rules/imports.hpp"

namespace stackless::interp {

namespace {

// Whether the inner frame is one that C code has made to evaluate code in a namespace (Python/ceval.c,
// PyEval_EvalCode): nobody else has its function, which has been made for this, and nothing is passed to it. What
// these call before has a function that somebody else has, too, or is passed something: a key's __hash__(), or
// what listens to audit events.
bool is_evaluated(const Seam& seam) {
  constexpr Py_ssize_t owners = 2;  // the frame, and that C code
  const PyCodeObject* code = code_of(seam.inner);
  return is_call(seam) && seam.inner->f_locals != nullptr && code->co_argcount == 0 &&
         code->co_kwonlyargcount == 0 && (code->co_flags & (CO_VARARGS | CO_VARKEYWORDS)) == 0 &&
         Py_REFCNT(seam.function()) <= owners;
}

// Python/bltinmodule.c: nothing else that these call evaluates code without Python code in between.
bool executes(const Seam& seam, Joint*) {
  return is_builtin(seam, builtins.exec) && is_evaluated(seam);
}
bool evaluates(const Seam& seam, Joint*) {
  return is_builtin(seam, builtins.eval) && is_evaluated(seam);
}

// ---- imports (Python/import.c, PyImport_ImportModuleLevelObject) ----

// Whether importlib looks for the module, and not for another one that has to come first.
bool finds_module(const Seam& seam, PyObject* name) {
  PyObject* first = first_argument(seam.inner);
  return seam.function() == importlib_function("_find_and_load") && first != nullptr &&
         PyUnicode_Check(first) && PyUnicode_Check(name) && PyUnicode_Compare(first, name) == 0;
}

// What is wanted from a package may have to be imported: that is done last.
bool finds_submodules(const Seam& seam) {
  return seam.function() == importlib_function("_handle_fromlist");
}

PyObject* import_in(const Seam& seam) {
  PyObject* variables = seam.outer->f_builtins;
  return PyDict_Check(variables) ? PyDict_GetItem(variables, names.import) : nullptr;
}

#if PY_VERSION_HEX >= 0x030F0000
bool is_lazy(const Seam& seam) { return (seam.stop.at->argument & 1) != 0; }
int imported_name(const Seam& seam) { return seam.stop.at->argument >> 2; }
#else
bool is_lazy(const Seam&) { return false; }
int imported_name(const Seam& seam) { return seam.stop.at->argument; }
#endif

// [level, list of what is wanted or None]
bool imports(const Seam& seam, Joint* joint) {
  if (!is_call(seam) || is_lazy(seam) || !may_finish_import() ||
      !is_original_import(import_in(seam))) {
    return false;
  }
  joint->kept = PyTuple_GET_ITEM(code_of(seam.outer)->co_names, imported_name(seam));
  joint->second = seam.operand(1);
  joint->argument = finds_submodules(seam) ? 1 : 0;
  bool is_relative = PyObject_IsTrue(seam.operand(0)) != 0;
  // The compiler never leaves the list of a relative import out.
  return joint->argument == 1 ||
         (is_relative ? seam.function() == importlib_function("_find_and_load")
                      : finds_module(seam, joint->kept));
}

bool imports_by_function(const Seam& seam, Joint*) {
  return is_call(seam) && leads_to(import_in(seam), seam.function());
}

// __import__(name, globals, locals, list of what is wanted, level)
bool calls_import(const Seam& seam, Joint* joint) {
  int arguments = seam.stop.at->argument;
  if (!is_call(seam) || !is_builtin(seam, builtins.import) || !may_finish_import() ||
      keyword_names(seam.outer, seam.stop.at, seam.stop.height) != nullptr || arguments < 1 ||
      (arguments == 5 && PyObject_IsTrue(seam.argument(4)) != 0)) {
    return false;
  }
  joint->kept = seam.argument(0);
  joint->second = arguments > 3 ? seam.argument(3) : nullptr;
  joint->argument = finds_submodules(seam) ? 1 : 0;
  return joint->argument == 1 || finds_module(seam, joint->kept);
}

// importlib calls it like that for what is wanted from a package: f(*args, **kwds). Up to 3.13 these can't be
// looked at any more, but its variables can.
bool calls_import_with_list(const Seam& seam, Joint* joint) {
  PyObject* caller = function_of(seam.outer);
  if (!is_call(seam) || !is_builtin(seam, builtins.import) || !may_finish_import() ||
      caller != importlib_function("_call_with_frames_removed")) {
    return false;
  }
  PyObject* arguments = object_in(seam.outer->localsplus[1]);
  PyObject* keywords = object_in(seam.outer->localsplus[2]);
  if (arguments == nullptr || !PyTuple_Check(arguments) || PyTuple_GET_SIZE(arguments) != 1 ||
      keywords == nullptr || !PyDict_Check(keywords) || PyDict_GET_SIZE(keywords) != 0) {
    return false;
  }
  joint->kept = PyTuple_GET_ITEM(arguments, 0);
  return finds_module(seam, joint->kept);
}

const Rule rules[] = {
    {CALL, a_calls, executes, Ending::none},
    {CALL, a_calls, evaluates, Ending::push},
    {CALL, a_calls, calls_import, Ending::module},
#if PY_VERSION_HEX >= 0x030D0000
    {CALL_KW, a_calls, executes, Ending::none},
    {CALL_KW, a_calls, evaluates, Ending::push},
#endif
    {CALL_FUNCTION_EX, a_calls, executes, Ending::none},
    {CALL_FUNCTION_EX, a_calls, evaluates, Ending::push},
    {CALL_FUNCTION_EX, a_calls, calls_import_with_list, Ending::module},
    {IMPORT_NAME, 2, imports, Ending::module},
    {IMPORT_NAME, 2, imports_by_function, Ending::push},
};

}  // namespace

std::span<const Rule> code_rules() noexcept { return rules; }

}  // namespace stackless::interp
