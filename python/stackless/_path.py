"""The way to what can't be pickled, for the error that says so."""

from __future__ import annotations

import io
import types

import stackless
from stackless._stackless import _generator_function

FIXED_ITEMS = 6  # what comes before the values of an entry: interp/portable.hpp
_MOST = 10_000  # objects looked at


class _Nowhere(io.RawIOBase):
    def write(self, data):
        return len(data)


def _fails(value, pickler):
    try:
        pickler(_Nowhere()).dump(value)
    except RecursionError:
        return False
    except Exception:  # whatever its __reduce__ raises
        return True
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


def _children(value):
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
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            yield f"closure {name!r}", cell
        yield "defaults", value.__defaults__
    elif isinstance(value, types.MethodType):
        yield "self", value.__self__
    elif not isinstance(value, type):
        reduced = value.__reduce_ex__(4)
        if isinstance(reduced, tuple):
            yield "arguments", reduced[1]
            state = reduced[2] if len(reduced) > 2 else None
            for part in state if isinstance(state, tuple) else (state,):
                for name, each in part.items() if isinstance(part, dict) else ():
                    yield f".{name}", each


def path_to_culprit(value, pickler):
    """Return the way from `value` to the innermost object that can't be pickled."""
    path = [_label(value)]
    seen = set()
    while len(seen) < _MOST:
        seen.add(id(value))
        try:
            for step, child in _children(value):
                child = (
                    getattr(child, "object", child)
                    if type(child).__name__.startswith("_Stand")
                    else child
                )
                if id(child) not in seen and _fails(child, pickler):
                    path.append(step)
                    value = child
                    break
            else:
                break
        except Exception:  # a __reduce__ that raises is the culprit
            break
    if len(path) > 1:
        path.append(_label(value))
    return " → ".join(path)
