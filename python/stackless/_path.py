"""The way to what can't be pickled, for the error that says so."""

from __future__ import annotations

import io
import types

import stackless
from stackless import _wrap
from stackless._stackless import _generator_function

FIXED_ITEMS = 6  # what comes before the values of an entry: interp/portable.hpp
_LONGEST = {RecursionError: 12}  # steps of a path, where it would go on and on
_MOST = 1_000


class _Nowhere(io.RawIOBase):
    def write(self, data):
        return len(data)


def _fails(value, pickler, kind):
    try:
        pickler(_Nowhere()).dump(value)
    except Exception as error:  # whatever its __reduce__ raises
        return isinstance(error, RecursionError) == (kind is RecursionError)
    return False


def _label(value):
    if isinstance(value, stackless.tasklet):
        return f"tasklet {getattr(value, 'name', None) or _name_of(value)!r}"
    return type(value).__name__


def _name_of(tasklet):
    frame = tasklet.frame
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code.co_qualname if frame is not None else "not started"


def _line(code, instruction):
    line = code.co_firstlineno
    for start, end, here in code.co_lines():
        if start <= instruction * 2 < end and here is not None:
            line = here
    return line


def _in_entry(entry):
    """Yield the values in a frame's entry with their names."""
    owner, instruction, _, _, _, shape, *values = entry
    owner = getattr(owner, "object", owner)
    function = owner if isinstance(owner, types.FunctionType) else _generator_function(owner)
    code = function.__code__
    file = code.co_filename.rpartition("/")[2]
    where = f"frame {code.co_qualname} ({file}:{_line(code, instruction)})"
    variables = list(code.co_varnames)
    variables += [each for each in code.co_cellvars if each not in variables]
    variables += code.co_freevars
    yield where, owner
    left = iter(values)
    for place, kind in enumerate(shape.decode()):
        if kind != ".":
            name = f"local {variables[place]!r}" if place < len(variables) else "a value in use"
            yield f"{where} → {name}", next(left)


def _in_tasklet(tasklet):
    _, mail, _, frames, exceptions, options, attributes, _ = tasklet.__reduce__()[2]
    for entry in frames:
        if isinstance(entry, tuple) and len(entry) >= FIXED_ITEMS:
            yield from _in_entry(entry)
        elif isinstance(entry, tuple) and len(entry) == FIXED_ITEMS - 1:
            yield "what C code keeps", entry[3:]
        elif isinstance(entry, tuple):
            yield "function", entry[0]
            yield "arguments", entry[1]
            yield "keywords", entry[2]
    yield from (("mailbox", mail), ("exception", exceptions))
    yield from (("options", options), ("attributes", attributes))


def _in_function(function, by_value):
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield f"closure {name!r}", cell
    yield "defaults", function.__defaults__
    yield "defaults", function.__kwdefaults__
    for name, each in function.__dict__.items():
        yield f".{name}", each
    variables = function.__globals__
    for name in {*_wrap.names_in(function.__code__)} & variables.keys() if by_value else ():
        yield f"global {name!r}", variables[name]


def _in_generator(generator):
    entry, _, exception, *_ = _wrap.reduce_generator(generator)[2]
    if isinstance(entry, tuple):
        yield from _in_entry(entry)
    yield "exception", exception


def _in_reduced(reduced):
    """Yield what pickle's own protocol says that a value is made of."""
    if not isinstance(reduced, tuple):
        return
    yield "arguments", reduced[1]
    state = reduced[2] if len(reduced) > 2 else None
    for place, part in enumerate(state if isinstance(state, tuple) else (state,)):
        if isinstance(part, dict):
            for name, each in part.items():
                yield f".{name}", each
        else:
            yield f"state[{place}]", part


def _children(value, by_value):
    """Yield what a value holds, each with how to get there."""
    if isinstance(value, stackless.tasklet):
        yield from _in_tasklet(value)
    elif isinstance(value, stackless.channel):
        for place, each in enumerate(value.__reduce__()[2][2]):
            yield f"queue[{place}]", each
    elif isinstance(value, dict):
        for key, each in value.items():
            yield f"key {key!r}", key
            yield f"[{key!r}]", each
    elif isinstance(value, list | tuple | set | frozenset):
        for place, each in enumerate(value):
            yield f"[{place}]", each
    elif isinstance(value, types.CellType):
        yield "contents", value.cell_contents
    elif isinstance(value, types.FunctionType):
        yield from _in_function(value, by_value)
    elif isinstance(value, types.MethodType):
        yield "self", value.__self__
        yield "function", value.__func__
    elif isinstance(value, _wrap.GENERATORS):
        yield from _in_generator(value)
    elif isinstance(value, BaseException):
        yield from _in_reduced(_wrap.stand_in(value).__reduce_ex__(4))
    elif not isinstance(value, type):
        yield from _in_reduced(value.__reduce_ex__(4))


def path_to_culprit(value, pickler, kind=Exception):
    """Return the way from `value` to the innermost object that can't be pickled.

    `kind` RecursionError: the beginning of a way that is too long for pickle.
    """
    path, kept = [_label(value)], [value]
    seen = set()
    by_value = getattr(pickler, "takes_globals", False)
    longest = _LONGEST.get(kind, _MOST)
    while len(path) <= longest:
        seen.add(id(value))
        try:
            for step, child in _children(value, by_value):
                child = child.object if isinstance(child, _wrap.StandIn) else child
                if id(child) not in seen and _fails(child, pickler, kind):
                    path.append(step)
                    kept.append(value := child)  # else its id() might be another's
                    break
            else:
                break
        except Exception:  # a __reduce__ that raises is the culprit
            break
    if len(path) > longest:
        path.append("...")
    elif len(path) > 1:
        path.append(_label(value))
    return " → ".join(path)
