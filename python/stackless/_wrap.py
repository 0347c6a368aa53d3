"""How what tasklets hold is pickled: functions, generators, code, cells, tracebacks and more.

Importing ``stackless`` registers these with ``copyreg``. What a pickle names in here is part of its
format: ``stackless._wrap.generator`` and so on.

Both picklers look at the type of a function, an exception or a class before they ask ``copyreg``,
and ``copy.deepcopy()`` doesn't copy the object whose method written in C it finds. So the frames of
tasklets and generators, and cells, don't hand them over as they are, but as stand-ins, which are
what they stand for once they are unpickled.
"""

from __future__ import annotations

import builtins
import copyreg
import gc
import importlib
import marshal
import sys
import threading
import types
import weakref
from functools import partial

from stackless import _stackless
from stackless._stackless import (
    _code_hash,
    _generator_function,
    _generator_state,
    _set_hooks,
    _traceback_frame,
    _wrapped,
)
from stackless._stackless import (
    pickle_flags as _pickle_flags,
)

StandIn = _stackless._StandIn
function = _stackless._FunctionShell
generator = _stackless._GeneratorShell
coroutine = _stackless._CoroutineShell
async_generator = _stackless._AsyncGeneratorShell
async_generator_asend = _stackless._AsendShell
async_generator_athrow = _stackless._AthrowShell

# ---- stand-ins -----------------------------------------------------------------------------------


class _Stand(StandIn):
    """What an object is pickled by."""

    __slots__ = ("__weakref__",)

    def __reduce_ex__(self, protocol):
        if isinstance(self.object, BaseException):
            return _reduce_exception(self.object, protocol)
        if isinstance(self.object, types.BuiltinMethodType):
            return self.object.__reduce__()
        return reduce_function(self.object)


# As long as a pickler remembers a stand-in, it has to get the same one for the same object.
_stands: weakref.WeakValueDictionary[int, _Stand] = weakref.WeakValueDictionary()


def stand_in(object, kind=_Stand):
    """Return what the object is to be pickled by."""
    found = _stands.get(id(object))
    if found is None or found.object is not object:
        found = _stands[id(object)] = kind(object)
    return found


# ---- code ----------------------------------------------------------------------------------------


def codes_in(code):
    """Yield a code object and all those in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes_in(constant)


def _code_of_module(name):
    """Return the code of a module's body, compiled once more if need be; or None."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    loader = getattr(spec, "loader", None) or getattr(module, "__loader__", None)
    path = getattr(module, "__file__", None)
    if loader is not None and hasattr(loader, "get_code"):
        try:
            return loader.get_code(spec.name if spec is not None else name)
        except (ImportError, SyntaxError, OSError):
            return None
    if path is not None and not path.endswith(".pyc"):
        try:
            with open(path, "rb") as file:
                return compile(file.read(), path, "exec", dont_inherit=True)
        except (OSError, SyntaxError):
            return None
    return None


_bodies: dict[str, types.CodeType | None] = {}


def _candidates(module, qualname):
    """Where a code object of that name may be found, the most likely place first."""
    found = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
        if found is None:
            break
        accessors = (found.fget, found.fset, found.fdel) if isinstance(found, property) else ()
        for function_ in accessors or (found,):
            while isinstance(getattr(function_, "__code__", None), types.CodeType):
                yield from codes_in(function_.__code__)
                function_ = getattr(function_, "__wrapped__", None)
    if module not in _bodies:
        _bodies[module] = _code_of_module(module)
    if _bodies[module] is not None:
        yield from codes_in(_bodies[module])


def _find_code(module, qualname, wanted):
    other = None
    for candidate in _candidates(module, qualname):
        if candidate.co_qualname == qualname:
            here = _code_hash(candidate)
            if here == wanted:
                return candidate, here
            other = here
    return None, other


def code(module, qualname, wanted):
    """Return the code object of that name in a module, if it is the one that was pickled."""
    if not isinstance(module, str) or not isinstance(qualname, str) or not isinstance(wanted, int):
        raise TypeError("a code object is pickled by its module, its name and its hash")
    if module not in sys.modules:
        importlib.import_module(module)
    found, other = _find_code(module, qualname, wanted)
    if found is not None:
        return found
    if other is None:
        raise ValueError(f"there is no code {qualname} in module {module} any more")
    raise ValueError(
        f"the code of {module}.{qualname} is another one here: "
        f"{wanted & 0xFFFFFFFF:08x} there, {other & 0xFFFFFFFF:08x} here"
    )


def _module_with(filename):
    for name, module in list(sys.modules.items()):
        if getattr(module, "__file__", None) == filename:
            return name
    return None


def _reduce_code(value, module=None):
    module = module or _module_with(value.co_filename)
    hash_ = _code_hash(value)
    if module is None or _find_code(module, value.co_qualname, hash_)[0] is None:
        raise TypeError(
            f"the code of {value.co_qualname}() can't be found again by its name"
            f" (in {value.co_filename}): it is not part of a module's source"
        )
    return code, (module, value.co_qualname, hash_)


class CodeStandIn(_Stand):
    """A code object of which the module is known."""

    __slots__ = ("module",)

    def __reduce_ex__(self, protocol):
        return _reduce_code(self.object, self.module)


def _code_for(function_):
    found = stand_in(function_.__code__, CodeStandIn)
    found.module = function_.__globals__.get("__name__")
    return found


# ---- functions -----------------------------------------------------------------------------------


def namespace(name):
    """Return the global variables of a module."""
    if not isinstance(name, str):
        raise TypeError("a module is pickled by its name")
    return importlib.import_module(name).__dict__


class GlobalsStandIn(_Stand):
    """The global variables of a module."""

    __slots__ = ()

    def __reduce_ex__(self, protocol):
        return namespace, (self.object["__name__"],)


def _globals_for(function_):
    variables = function_.__globals__
    owner = sys.modules.get(variables.get("__name__"))
    if owner is None or vars(owner) is not variables:
        raise TypeError(
            f"{function_.__qualname__}() can't be pickled: its global variables are no module's"
        )
    return stand_in(variables, GlobalsStandIn)


def reduce_function(value):
    """Return what a function is made of, for pickle."""
    attributes = {
        "__name__": value.__name__,
        "__qualname__": value.__qualname__,
        "__module__": value.__module__,
        "__doc__": value.__doc__,
        "__defaults__": value.__defaults__ and tuple(map(_wrapped, value.__defaults__)),
        "__kwdefaults__": value.__kwdefaults__
        and {name: _wrapped(each) for name, each in value.__kwdefaults__.items()},
        **{name: _wrapped(each) for name, each in value.__dict__.items()},
    }
    blank = types.FunctionType(value.__code__, value.__globals__, closure=value.__closure__)
    changed = {
        name: each
        for name, each in attributes.items()
        if each is not getattr(blank, name, None) and each != getattr(blank, name, attributes)
    }
    return (
        function,
        (_code_for(value), _globals_for(value)),
        (value.__closure__, changed),
    )


# ---- code by value: snapshot.dumps(code="value") -------------------------------------------------

# Whether what is being unpickled in this thread was signed with the key that was given.
trusted = threading.local()


def code_by_value(version, data):
    """Return a code object that came along in a signed snapshot."""
    if not getattr(trusted, "code", False):
        raise ValueError("code by value is accepted only from a signed snapshot")
    if tuple(version) != sys.version_info[:2]:
        raise ValueError("the code was pickled by Python {}.{}".format(*version))
    return marshal.loads(data)


def new_namespace(name):
    """Return the global variables of a module that came along."""
    return {"__name__": name, "__builtins__": builtins}


def fill_namespace(variables, more, rest):
    """Give a namespace what its functions name."""
    variables.update(more)


# ---- cells ---------------------------------------------------------------------------------------


def cell():
    """Return an empty cell."""
    return types.CellType()


def _reduce_cell(value):
    try:
        contents = value.cell_contents
    except ValueError:
        return cell, ()
    return cell, (), (None, {"cell_contents": _wrapped(contents)})


# ---- generators ----------------------------------------------------------------------------------

_shells = {
    types.GeneratorType: generator,
    types.CoroutineType: coroutine,
    types.AsyncGeneratorType: async_generator,
}


def _code_of_generator(value):
    for prefix in "gi", "cr", "ag":
        if (found := getattr(value, f"{prefix}_code", None)) is not None:
            return found
    raise TypeError(f"{value!r} has no code")


def _reduce_generator(value):
    runs = _generator_function(value)
    code_ = _code_for(runs) if runs is not None else _code_of_generator(value)
    state = _generator_state(value)
    if type(value) is types.AsyncGeneratorType and state[3] is not None:
        state = (*state[:3], _hooks(state[3]), *state[4:])
    return _shells[type(value)], (code_, value.__name__, value.__qualname__), state


# The original's flags; see stackless.pickle_flags().
_PRESERVE_FINALIZER = 2
_RESET_FINALIZER = 4


def _hooks(finalizer):
    """Return what is pickled of the hooks that an asynchronous generator has called."""
    if _pickle_flags() & _RESET_FINALIZER:
        return None
    return (finalizer or None,) if _pickle_flags() & _PRESERVE_FINALIZER else True


def restore_hooks(restored, hooks):
    """See to the hooks of an unpickled asynchronous generator."""
    if _pickle_flags() & _RESET_FINALIZER:
        return
    if isinstance(hooks, tuple) and _pickle_flags() & _PRESERVE_FINALIZER:
        _set_hooks(restored, *hooks)
        return
    first, finalizer = sys.get_asyncgen_hooks()
    _set_hooks(restored, finalizer)
    if first is not None:
        first(restored)


def _reduce_asend(value):
    make, args, (generator_, sent, *state) = async_generator_asend.__reduce__(value)
    return make, args, (generator_, _wrapped(sent), *state)


def _reduce_athrow(value):
    make, args, (generator_, thrown, *state) = async_generator_athrow.__reduce__(value)
    return make, args, (generator_, thrown and tuple(map(_wrapped, thrown)), *state)


# ---- exceptions and tracebacks -------------------------------------------------------------------


def _reduce_exception(value, protocol):
    # Its own state, and what that leaves out: cause, context and traceback.
    reduced = value.__reduce_ex__(protocol)
    if isinstance(reduced, str) or (len(reduced) > 2 and not isinstance(reduced[2], dict | None)):
        return reduced
    state = dict(reduced[2] or {}) if len(reduced) > 2 else {}
    if value.__cause__ is not None:
        state["__cause__"] = stand_in(value.__cause__)
    if value.__context__ is not None:
        state["__context__"] = stand_in(value.__context__)
    if value.__traceback__ is not None:
        state["__traceback__"] = value.__traceback__
    if value.__suppress_context__:
        state["__suppress_context__"] = True
    return (*reduced[:2], state or None, *reduced[3:])


_NOWHERE = (lambda: None).__code__  # on one line, whichever that is


def frame(filename, name, line, back):
    """Return a frame that runs nothing: what one in a traceback has to say is where."""
    where = _NOWHERE.replace(
        co_filename=filename, co_name=name, co_qualname=name, co_firstlineno=line
    )
    return _traceback_frame(where, {"__name__": name}, back)


class _Frame(_Stand):
    """A frame in a traceback, or by itself."""

    __slots__ = ("back", "line")

    def __reduce_ex__(self, protocol):
        code_ = self.object.f_code
        return frame, (code_.co_filename, code_.co_name, self.line, self.back)


def reduce_frame(value):
    """Return what is pickled in place of a frame; frames as they are can't be."""
    stand = stand_in(value, _Frame)
    stand.line, stand.back = value.f_lineno, None
    return stand


def traceback(entries):
    """Return a traceback of one item for each (frame, instruction, line), outermost first."""
    result = None
    for where, instruction, line in reversed(entries):
        if isinstance(where, _Frame):  # in a copy
            where = where.object
        else:
            instruction = -1  # of code that isn't there
        result = types.TracebackType(result, where, instruction, line)
    return result


def _reduce_traceback(value):
    entries = []
    back = None
    seen = set()
    while value is not None:
        stand = stand_in(value.tb_frame, _Frame)
        if stand not in seen:  # an exception may pass a frame twice, if it is thrown on from there
            seen.add(stand)
            stand.line, stand.back = value.tb_lineno, back
        entries.append((stand, value.tb_lasti, value.tb_lineno))
        back, value = stand, value.tb_next
    return traceback, (entries,)


# ---- the rest of what the original registers -----------------------------------------------------


def module(name):
    """Return the module of that name."""
    return importlib.import_module(name)


def _reduce_module(value):
    if sys.modules.get(value.__name__) is not value:
        raise TypeError(f"module {value.__name__!r} can't be pickled: it can't be imported")
    return module, (value.__name__,)


def dict_keys(mapping):
    """Return a dictionary's keys()."""
    return mapping.keys()


def dict_values(mapping):
    """Return a dictionary's values()."""
    return mapping.values()


def dict_items(mapping):
    """Return a dictionary's items()."""
    return mapping.items()


def _reduce_by_referent(make, value):
    # A view or a wrapper holds what it was made of, and nothing else.
    return make, tuple(gc.get_referents(value))


def coroutine_wrapper(wrapped):
    """Return what a coroutine's __await__() does."""
    return wrapped.__await__()


def bound_slot(owner, name, instance):
    """Return `super().name` of an instance, where a class written in C has the method."""
    return vars(owner)[name].__get__(instance)


def _reduce_bound_slot(value):
    # By itself it would come back as getattr(instance, name): that of the instance's own class.
    return bound_slot, (value.__objclass__, value.__name__, _wrapped(value.__self__))


def _type_of_wrapper():
    async def nothing():
        pass

    awaited = nothing()
    kind = type(awaited.__await__())
    awaited.close()
    return kind


def install() -> None:
    """Have pickle and copy know how."""
    for kind in _shells:
        copyreg.pickle(kind, _reduce_generator)
    for make in dict_keys, dict_values, dict_items:
        copyreg.pickle(type(make({})), partial(_reduce_by_referent, make))
    copyreg.pickle(types.CodeType, _reduce_code)
    copyreg.pickle(types.CellType, _reduce_cell)
    copyreg.pickle(types.TracebackType, _reduce_traceback)
    copyreg.pickle(types.ModuleType, _reduce_module)
    copyreg.pickle(_stackless._AsendType, _reduce_asend)
    copyreg.pickle(_stackless._AthrowType, _reduce_athrow)
    copyreg.pickle(types.MethodWrapperType, _reduce_bound_slot)
    copyreg.pickle(_type_of_wrapper(), partial(_reduce_by_referent, coroutine_wrapper))
