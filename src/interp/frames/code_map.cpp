#include "interp/frames/code_map.hpp"

#include <new>
#include <vector>

#include "interp/versions/internals.h"
#include "interp/versions/opcodes.hpp"
#include "interp/versions/version.hpp"
#include "object/compat.hpp"

namespace stackless::interp {

namespace {

Py_ssize_t extra_index = -1;

void forget(void* map) {
  for (KnownMap& known : known_maps) {
    if (known.map == map) {
      known = {};
    }
  }
  delete static_cast<CodeMap*>(map);
}

void read_instructions(const unsigned char* bytes, CodeMap* map) {
  int argument = 0;
  for (int i = 0; i < map->size; ++i) {
    int opcode = bytes[2 * i];
    argument = argument << 8 | bytes[2 * i + 1];
    map->instructions[i] = {argument, -1, static_cast<std::uint8_t>(opcode)};
    if (opcode == EXTENDED_ARG) {
      continue;
    }
    argument = 0;
    for (int caches = stackless_inline_caches[opcode]; caches > 0 && i + 1 < map->size; --caches) {
      map->instructions[++i] = {0, -1, CACHE};
    }
  }
}

struct Flow {
  int target;      // where it may jump to, or -1
  bool continues;  // whether the next instruction may follow
};

// Where control goes after instruction `i`.
Flow flow_of(int opcode, int argument, int i) {
  int next = i + 1 + stackless_inline_caches[opcode];
  switch (jump_of(opcode)) {
    case Jump::forward:
      return {next + argument, false};
    case Jump::backward:
      return {next - argument, false};
    case Jump::forward_if:
      return {next + argument, true};
    case Jump::backward_if:
      return {next - argument, true};
    case Jump::none:
      break;
  }
  bool leaves = opcode == RETURN_VALUE || opcode == op::return_const || opcode == RAISE_VARARGS ||
                opcode == RERAISE;
  return {-1, !leaves};
}

// A forward data flow over the instructions, with the compiler's own stack effects. Where paths
// meet their heights agree, so that each instruction is looked at once.
class Heights {
 public:
  explicit Heights(CodeMap* map) : map_(map) {}

  void compute(PyCodeObject* code) {
    reach(0, 0);
    reach_handlers(code->co_exceptiontable);
    while (!work_.empty()) {
      int i = work_.back();
      work_.pop_back();
      step(i);
    }
    if constexpr (calls_have_precall) {
      leave_arguments_to_call();
    }
  }

 private:
  void reach(int i, int height) {
    if (i >= 0 && i < map_->size && map_->instructions[i].height < 0) {
      map_->instructions[i].height = static_cast<std::int16_t>(height);
      work_.push_back(i);
    }
  }

  // Objects/exception_handling_notes.txt: start, length, target, depth << 1 | lasti.
  void reach_handlers(PyObject* table) {
    const auto* p = reinterpret_cast<const unsigned char*>(PyBytes_AS_STRING(table));
    const auto* end = p + PyBytes_GET_SIZE(table);
    auto number = [&p] {
      int value = *p & 63;
      while ((*p++ & 64) != 0) {
        value = value << 6 | (*p & 63);
      }
      return value;
    };
    while (p < end) {
      number();
      number();
      int target = number(), depth = number();
      reach(target, (depth >> 1) + (depth & 1) + 1);
    }
  }

  // The compiler has PRECALL take the arguments off, the interpreter CALL.
  void leave_arguments_to_call() {
    for (int i = 0; i < map_->size; ++i) {
      Instruction& at = map_->instructions[i];
      if (at.opcode == CALL && at.height >= 0) {
        at.height = static_cast<std::int16_t>(at.height + at.argument);
      }
    }
  }

  void step(int i) {
    int height = map_->instructions[i].height;
    while (map_->instructions[i].opcode == EXTENDED_ARG && i + 1 < map_->size) {
      map_->instructions[++i].height = static_cast<std::int16_t>(height);
    }
    auto [argument, _, opcode] = map_->instructions[i];
    int next = i + 1 + stackless_inline_caches[opcode];
    if (generator_is_pushed_unsaid && opcode == RETURN_GENERATOR) {
      reach(next, height + 1);
      return;
    }
    int effective = opcode >= HAVE_ARGUMENT ? argument : 0;
    Flow flow = flow_of(opcode, argument, i);
    if (flow.target >= 0) {
      reach(flow.target, height + PyCompile_OpcodeStackEffectWithJump(opcode, effective, 1));
    }
    if (flow.continues) {
      reach(next, height + PyCompile_OpcodeStackEffectWithJump(opcode, effective, 0));
    }
  }

  CodeMap* map_;
  std::vector<int> work_;
};

void compute_heights(CodeMap* map, PyCodeObject* code) { Heights(map).compute(code); }

// ---- the first argument ----------------------------------------------------------------------

// Whether the instruction stores something in local variable `local`, or deletes it.
bool changes(const Instruction& at, int local) {
  switch (int opcode = at.opcode; opcode) {
    case STORE_FAST:
    case DELETE_FAST:
    case STORE_DEREF:
    case DELETE_DEREF:
    case op::load_fast_and_clear:
      return at.argument == local;
    case op::store_fast_load_fast:
      return at.argument >> 4 == local;
    case op::store_fast_store_fast:
      return at.argument >> 4 == local || (at.argument & 15) == local;
    default:
      return false;
  }
}

bool any_changes(const CodeMap& map, int local) {
  for (int i = 0; i < map.size; ++i) {
    if (changes(map.instructions[i], local)) {
      return true;
    }
  }
  return false;
}

std::unique_ptr<CodeMap> read_code(PyCodeObject* code);

// Whether an inner function stores something in the variable of that name. True if it can't be
// found out.
bool inner_changes(PyCodeObject* code, PyObject* name) {
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(code->co_consts); ++i) {
    PyObject* constant = PyTuple_GET_ITEM(code->co_consts, i);
    if (!PyCode_Check(constant)) {
      continue;
    }
    auto* inner = reinterpret_cast<PyCodeObject*>(constant);
    for (int k = inner->co_nlocalsplus - inner->co_nfreevars; k < inner->co_nlocalsplus; ++k) {
      if (PyUnicode_Compare(PyTuple_GET_ITEM(inner->co_localsplusnames, k), name) != 0) {
        continue;
      }
      std::unique_ptr<CodeMap> map = read_code(inner);
      if (map == nullptr || any_changes(*map, k) || inner_changes(inner, name)) {
        PyErr_Clear();
        return true;
      }
    }
  }
  return false;
}

bool keeps(const CodeMap& map, PyCodeObject* code, int i) {
  return i < code->co_argcount && !any_changes(map, i) &&
         (!is_in_cell(code, i) ||
          !inner_changes(code, PyTuple_GET_ITEM(code->co_localsplusnames, i)));
}

std::unique_ptr<CodeMap> read_code(PyCodeObject* code) {
  auto bytes = Object::steal(PyCode_GetCode(code));
  if (!bytes) {
    return nullptr;
  }
  auto map = std::make_unique<CodeMap>();
  map->size = static_cast<int>(PyBytes_GET_SIZE(bytes.get()) / 2);
  map->instructions = std::make_unique<Instruction[]>(static_cast<std::size_t>(map->size));
  read_instructions(reinterpret_cast<const unsigned char*>(PyBytes_AS_STRING(bytes.get())),
                    map.get());
  return map;
}

std::unique_ptr<CodeMap> make_map(PyCodeObject* code) {
  std::unique_ptr<CodeMap> map = read_code(code);
  if (map != nullptr) {
    if constexpr (!frames_know_height) {
      compute_heights(map.get(), code);
    }
    map->keeps_first_argument = keeps(*map, code, 0);
  }
  return map;
}

}  // namespace

const CodeMap* find_code_map(PyCodeObject* code, KnownMap* known) {
  auto* object = reinterpret_cast<PyObject*>(code);
  void* attached = nullptr;
  if (get_code_extra(object, extra_index, &attached) < 0) {
    return nullptr;
  }
  if (attached == nullptr) {
    try {
      std::unique_ptr<CodeMap> map = make_map(code);
      if (map == nullptr || set_code_extra(object, extra_index, map.get()) < 0) {
        return nullptr;
      }
      attached = map.release();
    } catch (const std::bad_alloc&) {
      PyErr_NoMemory();
      return nullptr;
    }
  }
  *known = {code, static_cast<CodeMap*>(attached)};
  return known->map;
}

int height_before(PyCodeObject* code, int index) {
  if constexpr (!frames_know_height) {
    const CodeMap* map = code_map(code);
    return map != nullptr ? map->instructions[index].height : -1;
  }
  std::unique_ptr<CodeMap> map = read_code(code);
  if (map == nullptr) {
    return -1;
  }
  compute_heights(map.get(), code);
  return map->instructions[index].height;
}

bool is_in_cell(PyCodeObject* code, int i) {
  return (_PyLocals_GetKind(code->co_localspluskinds, i) & CO_FAST_CELL) != 0;
}

bool keeps_argument(PyCodeObject* code, int i) {
  const CodeMap* map = code_map(code);
  return map != nullptr && (i == 0 ? map->keeps_first_argument : keeps(*map, code, i));
}

int init_code_maps() {
  extra_index = request_code_extra_index(forget);
  if (extra_index < 0) {
    PyErr_SetString(
        PyExc_ImportError,
        "stackless needs one of the interpreter's slots for data about code objects, and "
        "all are taken (PyUnstable_Eval_RequestCodeExtraIndex)");
    return -1;
  }
  return 0;
}

}  // namespace stackless::interp
