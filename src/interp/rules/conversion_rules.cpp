// Conversions: builtins that call a method for an object of another type, and f-strings.
#include "interp/rules/conversions.hpp"
#include "interp/rules/crossing.hpp"

namespace stackless::interp {

namespace {

bool use_conversion(PyObject* object, PyObject* specification, Joint* joint,
                    Conversion conversion) {
  joint->kept = object;
  joint->second = specification;
  joint->argument = conversion.argument;
  return conversion.known;
}

bool calls_conversion(const Seam& seam, Joint* joint) {
  PyObject* callable = seam.callable();
  int arguments = seam.stop.at->argument;
  if (!is_call(seam) || callable == nullptr || arguments < 1 || arguments > 2 ||
      !has_arguments(seam, arguments)) {
    return false;
  }
  PyObject* object = seam.argument(0);
  PyObject* second = arguments == 2 ? seam.argument(1) : nullptr;
  return use_conversion(object, second, joint,
                        find_call(callable, object, second, seam.function()));
}

bool formats(const Seam& seam, PyObject* specification, Joint* joint) {
  PyObject* object = seam.operand(0);
  return is_call(seam) && use_conversion(object, specification, joint,
                                         find_formatting(object, specification, seam.function()));
}

// `number`: 1 for !s, 2 for !r, 3 for !a.
bool converts(const Seam& seam, int number, bool then_formats, PyObject* specification,
              Joint* joint) {
  PyObject* object = seam.operand(0);
  return is_call(seam) && number >= 1 && number <= 3 &&
         use_conversion(object, specification, joint,
                        find_conversion(" sra"[number], then_formats, object, seam.function()));
}

#if PY_VERSION_HEX >= 0x030D0000
bool formats_simply(const Seam& seam, Joint* joint) { return formats(seam, nullptr, joint); }
bool formats_with_specification(const Seam& seam, Joint* joint) {
  return formats(seam, seam.operand(1), joint);
}
bool converts_only(const Seam& seam, Joint* joint) {
  return converts(seam, seam.stop.at->argument, false, nullptr, joint);
}
#else
// One instruction does both (Python/ceval.c and bytecodes.c, FORMAT_VALUE).
constexpr int conversion = 3, has_specification = 4;

bool converts_and_formats(const Seam& seam, PyObject* specification, Joint* joint) {
  int number = seam.stop.at->argument & conversion;
  return number == 0 ? formats(seam, specification, joint)
                     : converts(seam, number, true, specification, joint);
}
bool formats_simply(const Seam& seam, Joint* joint) {
  return (seam.stop.at->argument & has_specification) == 0 &&
         converts_and_formats(seam, nullptr, joint);
}
bool formats_with_specification(const Seam& seam, Joint* joint) {
  return (seam.stop.at->argument & has_specification) != 0 &&
         converts_and_formats(seam, seam.operand(1), joint);
}
#endif

const Rule rules[] = {
    {CALL, a_calls, calls_conversion, Ending::convert},
#if PY_VERSION_HEX >= 0x030D0000
    {FORMAT_SIMPLE, 1, formats_simply, Ending::convert},
    {FORMAT_WITH_SPEC, 2, formats_with_specification, Ending::convert},
    {CONVERT_VALUE, 1, converts_only, Ending::convert},
#else
    {FORMAT_VALUE, 1, formats_simply, Ending::convert},
    {FORMAT_VALUE, 2, formats_with_specification, Ending::convert},
#endif
};

}  // namespace

std::span<const Rule> conversion_rules() noexcept { return rules; }

}  // namespace stackless::interp
