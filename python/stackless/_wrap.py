"""How what tasklets hold is pickled: functions, generators, code, cells, tracebacks and more.

Importing ``stackless`` registers these with ``copyreg``. What a pickle names in here is part of its
format: ``stackless._wrap.generator`` and so on.

Both picklers look at the type of a function, an exception or a class before they ask ``copyreg``,
and ``copy.deepcopy()`` doesn't copy the object whose method written in C it finds. So the frames of
tasklets and generators, and cells, don't hand them over as they are, but as stand-ins, which are
what they stand for once they are unpickled.

What is stored can be loaded, and is the same then; or it is refused. So a function is stored by its
name only if it is found there, and a bound method by its name only if that leads to its function.
"""

from __future__ import annotations

import builtins
import copy
import copyreg
import gc
import importlib
import sys
import types
import weakref
from contextlib import suppress
from functools import partial
from operator import is_

from stackless import _stackless
from stackless._stackless import (
    _code_hash,
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
            return _reduce_builtin_method(self.object)
        return reduce_function(self.object)

    def __deepcopy__(self, memo):
        return _remade(self, memo, self.__reduce_ex__(_PROTOCOL))


# As long as a pickler remembers a stand-in, it has to get the same one for the same object.
_stands: weakref.WeakValueDictionary[int, _Stand] = weakref.WeakValueDictionary()


def stand_in(object, kind=_Stand):
    """Return what the object is to be pickled by."""
    found = _stands.get(id(object))
    if found is None or found.object is not object:
        found = _stands[id(object)] = kind(object)
    return found


def itself(value):
    """Return the value: an object that elsewhere in the pickle has a stand-in is that one's."""
    return value


# ---- code ----------------------------------------------------------------------------------------


def codes_in(code):
    """Yield a code object and all those in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes_in(constant)


def names_in(code):
    """Yield the names that a code object and those in it use, of global variables among others."""
    for each in codes_in(code):
        yield from each.co_names


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

    def __deepcopy__(self, memo):
        return self.object


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
        name = self.object.get("__name__")
        owner = sys.modules.get(name)
        if owner is None or vars(owner) is not self.object:
            raise TypeError(
                f"a function of {name} can't be pickled: its global variables are no module's"
            )
        return namespace, (name,)

    def __deepcopy__(self, memo):
        return self.object


def _mangled(name, owner):
    """Return what a class calls an attribute that is so called in its source."""
    private = name.startswith("__") and not name.endswith("__")
    return f"_{owner.lstrip('_')}{name}" if private and owner.strip("_") else name


def _underlying(attribute):
    """Return the function that a class has made a method."""
    return getattr(attribute, "__func__", None) if isinstance(attribute, _METHODS) else attribute


_METHODS = classmethod, staticmethod


def function_in(owner, name):
    """Return a function of a class, as the class has it."""
    if not isinstance(owner, type) or not isinstance(name, str):
        raise TypeError("a class's function is pickled by the class and a name")
    found = _underlying(vars(owner).get(name))
    if not isinstance(found, types.FunctionType):
        raise ValueError(f"there is no function {name} in class {owner.__qualname__} any more")
    return found


def _place_in_class(function_):
    """Return what function_in() takes to find a function, or None."""
    *path, name = function_.__qualname__.split(".")
    owner = sys.modules.get(function_.__module__)
    for part in path:
        owner = getattr(owner, part, None)
    if not path or not isinstance(owner, type):
        return None
    attributes = vars(owner)
    for each in _mangled(name, path[-1]), *attributes:
        if _underlying(attributes.get(each)) is function_:
            return owner, each
    return None


def reduce_function(value):
    """Return how a function is pickled that can't be imported by its name."""
    place = _place_in_class(value)
    return (function_in, place) if place is not None else function_by_value(value)


def function_by_value(value):
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
        (_code_for(value), stand_in(value.__globals__, GlobalsStandIn)),
        (value.__closure__, changed),
    )


# ---- code by value: snapshot.dumps(code="value") -------------------------------------------------


def code_by_value(version, data):
    """Refuse a code object: the unpickler of a signed snapshot takes it, and does not ask here."""
    raise ValueError("code by value is accepted only from a signed snapshot")


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
GENERATORS = tuple(_shells)


def _code_of_generator(value):
    for prefix in "gi", "cr", "ag":
        if (found := getattr(value, f"{prefix}_code", None)) is not None:
            return found
    raise TypeError(f"{value!r} has no code")


def reduce_generator(value):
    """Return what a generator or coroutine is made of, for pickle."""
    # Generators can be pickled everywhere, since one in a list of a tasklet's meets the same
    # pickler; but none of ours has to be copied in part, which would share what it iterates over.
    if sys._getframe(1).f_code is copy.copy.__code__:
        raise TypeError(f"cannot pickle {type(value).__name__!r} object")
    state = _generator_state(value)
    entry = state[0]
    runs = entry[0] if type(entry) is tuple else entry
    runs = runs.object if isinstance(runs, StandIn) else runs
    code_ = _code_for(runs) if runs is not None else _code_of_generator(value)
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


_HEAP_TYPE = 1 << 9  # Include/object.h, Py_TPFLAGS_HEAPTYPE


def exception(kind, args):
    """Return an exception of which the class's own __init__() is not called."""
    if not isinstance(kind, type) or not issubclass(kind, BaseException):
        raise TypeError("the class of an exception is needed")
    base = kind
    while base.__flags__ & _HEAP_TYPE:
        base = base.__base__
    made = base.__new__(kind, *args)
    if args:
        base.__init__(made, *args)
    return made


def _is_called_in_vain(kind):
    """Whether a class may not take what Python's own __reduce__() says it is made of."""
    if not isinstance(kind.__reduce__, types.MethodDescriptorType):
        return False  # it has one of its own
    if kind.__reduce_ex__ is not object.__reduce_ex__:
        return False
    written_in_c = isinstance(kind.__init__, types.WrapperDescriptorType) and isinstance(
        kind.__new__, types.BuiltinMethodType
    )
    return not written_in_c or issubclass(kind, BaseExceptionGroup)


def _fields_of(kind):
    """Return what exceptions of a class have besides a dictionary: name and descriptor of each."""
    found = {}
    for owner in kind.__mro__:
        if not issubclass(BaseException, owner):
            for name, attribute in vars(owner).items():
                found.setdefault(name, attribute)
    # Python itself leaves out whose attribute was asked for.
    if issubclass(kind, AttributeError):
        found.pop("obj", None)
    return {
        name: attribute
        for name, attribute in found.items()
        if isinstance(attribute, types.MemberDescriptorType | types.GetSetDescriptorType)
        and name not in ("__dict__", "__weakref__")
    }


def _get(field, value):
    try:
        return field.__get__(value)
    except (AttributeError, TypeError):
        return None


def _parts_of_exception(value, args):
    """Return what exception() takes, and the state of what it makes of that."""
    kind, state = type(value), dict(value.__dict__)
    if isinstance(value, BaseExceptionGroup):
        args = value.message, list(value.exceptions)
    try:
        blank = exception(kind, args)
    except Exception:  # the arguments are those of its own __init__()
        args = ()
        blank = exception(kind, args)
    for name, field in _fields_of(kind).items():
        if (mine := _get(field, value)) is not _get(field, blank):
            with suppress(AttributeError, TypeError):  # of what can't be set
                field.__set__(blank, mine)
                state[name] = mine
    if len(blank.args) != len(value.args) or not all(map(is_, blank.args, value.args)):
        state["args"] = value.args
    if isinstance(value, BaseExceptionGroup) and len(value.args) == len(args):
        state.pop("args", None)
    return args, state


def _all_wrapped(value):
    """Return what a value is pickled by, and so each item of a list or tuple of exceptions."""
    if type(value) in (list, tuple) and any(isinstance(each, BaseException) for each in value):
        return type(value)(map(_wrapped, value))
    return _wrapped(value)


def _reduce_exception(value, protocol):
    # Its own state, and what that leaves out: cause, context and traceback.
    reduced = value.__reduce_ex__(protocol)
    if isinstance(reduced, str) or (len(reduced) > 2 and not isinstance(reduced[2], dict | None)):
        return reduced
    make, args, *rest = reduced
    state = dict(rest[0] or {}) if rest else {}
    if _is_called_in_vain(type(value)):
        make, rest = exception, []
        args, state = _parts_of_exception(value, args)
    args = tuple(map(_all_wrapped, args))
    if make is exception:
        args = type(value), args
    state = {name: _all_wrapped(each) for name, each in state.items()}
    if "args" in state:
        state["args"] = tuple(map(_all_wrapped, value.args))
    if value.__cause__ is not None:
        state["__cause__"] = stand_in(value.__cause__)
    if value.__context__ is not None:
        state["__context__"] = stand_in(value.__context__)
    if value.__traceback__ is not None:
        state["__traceback__"] = value.__traceback__
    if value.__suppress_context__:
        state["__suppress_context__"] = True
    return make, args, state or None, *rest[1:]


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


# ---- methods -------------------------------------------------------------------------------------
# By itself pickle has a bound method come back as getattr(instance, name), whatever that is: of the
# method that super() has found, another class's; of a private one, or one of no class, nothing.


def method(function_, instance):
    """Return a method that is not, or not by its own name, what the instance has."""
    return types.MethodType(function_, instance)


def bound_slot(owner, name, instance):
    """Return `super().name` of an instance, where a class written in C has the method."""
    attribute = vars(owner)[name]
    if isinstance(attribute, types.ClassMethodDescriptorType):
        return attribute.__get__(None, instance)
    return attribute.__get__(instance)


def _reduce_bound_slot(value):
    return bound_slot, (value.__objclass__, value.__name__, _wrapped(value.__self__))


def _attributes(instance, name):
    """Yield the classes that have an attribute of that name, and what it is, as getattr() asks."""
    if isinstance(instance, type):
        owners = *instance.__mro__, *type(instance).__mro__
    else:
        owners = type(instance).__mro__
        if name in getattr(instance, "__dict__", ()):
            yield None, instance.__dict__[name]
    for owner in owners:
        if name in vars(owner):
            yield owner, vars(owner)[name]


def _binds(owner, attribute, instance):
    """Whether what a class has there is bound to that instance when it is asked for."""
    of_class = isinstance(instance, type) and owner in instance.__mro__
    kind = classmethod if of_class else types.FunctionType
    return owner is not None and isinstance(attribute, kind)


def _reduce_method(value):
    function_, instance = value.__func__, value.__self__
    name = getattr(function_, "__name__", None)
    of = getattr(function_, "__qualname__", "").rpartition(".")[0].rpartition(".")[2]
    for each in (name, _mangled(name, of)) if isinstance(name, str) else ():
        owner, found = next(_attributes(instance, each), (None, None))
        if _binds(owner, found, instance) and _underlying(found) is function_:
            return getattr, (instance, each)
    return method, (_wrapped(function_), instance)


def _reduce_builtin_method(value):
    instance, name = value.__self__, value.__name__
    reduced = value.__reduce__()
    if isinstance(reduced, str):
        return reduced
    first = True
    for owner, found in _attributes(instance, name):
        if isinstance(found, types.MethodDescriptorType | types.ClassMethodDescriptorType):
            try:
                if bound_slot(owner, name, instance) == value:
                    return reduced if first else (bound_slot, (owner, name, instance))
            except TypeError:  # it is a method of other objects
                pass
        first = False
    if getattr(instance, name, None) == value:
        return reduced
    raise TypeError(f"{value!r} can't be pickled: {type(instance).__name__}.{name} is another one")


# ---- deep copies ---------------------------------------------------------------------------------
# copy.deepcopy() takes functions and C functions' methods for constants. Inside of a tasklet or a
# generator they are not: two copies of a computation must not share variables. So the
# tables of Lib/copy.py (3.11 to 3.15) lead to functions that ask the copy's memo where they are.

_FUNCTIONS_TOO = "stackless: functions too"  # a key of a deepcopy()'s memo


_PROTOCOL = 4


def deepcopy(value, memo):
    """Return a copy of a tasklet or generator with all that is in it."""
    memo[_FUNCTIONS_TOO] = True
    is_generator = type(value) in _shells
    reduced = reduce_generator(value) if is_generator else value.__reduce_ex__(_PROTOCOL)
    return _remade(value, memo, reduced)


def _remade(value, memo, reduced):
    make, args, *rest = reduced
    if make not in (function, *_shells.values()):
        return copy._reconstruct(value, memo, *reduced)
    made = memo[id(value)] = make(*copy.deepcopy(args, memo))
    # To set the state changes the type. Who tells a profile function of 3.12 or later that a method
    # has returned looks for the method once more (Python/legacy_tracing.c).
    set_state = made.__setstate__
    set_state(copy.deepcopy(rest[0], memo))
    return made


def _deepcopy_function(value, memo):
    stand = _wrapped(value) if _FUNCTIONS_TOO in memo else value
    return value if stand is value else copy.deepcopy(stand, memo)


def _deepcopy_method(value, memo):
    function_ = value.__func__
    if _FUNCTIONS_TOO in memo:
        function_ = copy.deepcopy(function_, memo)
    return types.MethodType(function_, copy.deepcopy(value.__self__, memo))


def _install_deepcopy():
    constants = types.FunctionType, types.BuiltinFunctionType
    if hasattr(copy, "_atomic_types"):  # 3.14+: Lib/copy.py asks it before it asks the other
        copy._atomic_types = copy._atomic_types.difference(constants)
    for kind in constants:
        copy._deepcopy_dispatch[kind] = _deepcopy_function
    copy._deepcopy_dispatch[types.MethodType] = _deepcopy_method
    for kind in _shells:
        copy._deepcopy_dispatch[kind] = deepcopy


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
        copyreg.pickle(kind, reduce_generator)
    for make in dict_keys, dict_values, dict_items:
        copyreg.pickle(type(make({})), partial(_reduce_by_referent, make))
    copyreg.pickle(types.CodeType, _reduce_code)
    copyreg.pickle(types.CellType, _reduce_cell)
    copyreg.pickle(types.TracebackType, _reduce_traceback)
    copyreg.pickle(types.ModuleType, _reduce_module)
    copyreg.pickle(_stackless._AsendType, _reduce_asend)
    copyreg.pickle(_stackless._AthrowType, _reduce_athrow)
    copyreg.pickle(types.MethodType, _reduce_method)
    copyreg.pickle(types.BuiltinMethodType, _reduce_builtin_method)
    copyreg.pickle(types.MethodWrapperType, _reduce_bound_slot)
    copyreg.pickle(_type_of_wrapper(), partial(_reduce_by_referent, coroutine_wrapper))
    _install_deepcopy()
