"""Suspended tasklets as bytes, to be stored, sent, signed, looked at, and run on.

In short::

    data = snapshot.dumps(tasklet, key=b"secret")
    tasklet = snapshot.loads(data, key=b"secret")      # in any process, any number of times
    tasklet.run()

``pickle.dumps()`` and ``pickle.loads()`` work on tasklets and channels, too. Snapshots go further:
they take functions by value wherever they are found, name the way to what can't be pickled, can be
signed, so that only what you have made is ever unpickled, and can carry their code.

**Unpickling is running code.** Load what you have made yourself, or what is signed with your key.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import itertools
import marshal
import os
import pickle
import site
import sys
import types
from collections import Counter
from pathlib import Path
from typing import ClassVar

from stackless import _wrap
from stackless._path import FIXED_ITEMS, path_to_culprit
from stackless._stackless import _wrapped

__all__ = ["Pickler", "SnapshotError", "describe", "dumps", "install", "loads"]


class SnapshotError(ValueError):
    """A snapshot is not to be believed: damaged, not signed with the key, or of another Python."""


# ---- functions by value --------------------------------------------------------------------------


class _ByValue:
    def reducer_override(self, obj):
        """Return how `obj` is to be pickled: see the standard library's manual."""
        if isinstance(obj, types.FunctionType | BaseException):
            stand = _wrapped(obj)
            return NotImplemented if stand is obj else (_wrap.itself, (stand,))
        if isinstance(obj, type):
            return self._reduce_class(obj)
        if isinstance(obj, property):
            return property, (obj.fget, obj.fset, obj.fdel, obj.__doc__)
        if isinstance(obj, classmethod | staticmethod):
            return type(obj), (obj.__func__,)
        return NotImplemented

    def _reduce_class(self, obj, by_value=False):
        if not by_value and _is_importable(obj):
            return NotImplemented
        try:
            import cloudpickle
        except ImportError:
            return NotImplemented
        module = sys.modules.get(obj.__module__)
        if not by_value or module is None:
            return cloudpickle.Pickler(io.BytesIO()).reducer_override(obj)
        cloudpickle.register_pickle_by_value(module)
        try:
            return cloudpickle.Pickler(io.BytesIO()).reducer_override(obj)
        finally:
            cloudpickle.unregister_pickle_by_value(module)


class Pickler(_ByValue, pickle.Pickler):
    """A pickler that also takes functions, exceptions and (with cloudpickle) classes by value.

    Functions that can be imported by their name are pickled by it, as ever. It takes what
    `pickle.Pickler` does.
    """


class _PurePickler(_ByValue, pickle._Pickler):
    """The same in Python."""


class _Unpickler(pickle.Unpickler):
    """An unpickler whose attributes can be set, as everywhere but in CPython 3.13.0."""


def _is_importable(obj):
    found = sys.modules.get(obj.__module__)
    for part in obj.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is obj


# ---- code by value -------------------------------------------------------------------------------

_installed = tuple(
    str(Path(each).resolve()) + os.sep
    for each in (Path(types.__file__).parent, *site.getsitepackages())
)


def _is_installed(module):
    """Whether a module will be there wherever there are this Python and this package."""
    found = sys.modules.get(module)
    if found is None or module == "__main__":
        return False
    if module.partition(".")[0] == "stackless":
        return True
    if (path := getattr(found, "__file__", None)) is not None:
        return str(Path(path).resolve()).startswith(_installed)
    return getattr(getattr(found, "__spec__", None), "origin", None) in ("built-in", "frozen")


class _Namespace:
    """The global variables of a module, those that are named by functions on their way out."""

    def __init__(self, stand):
        self.stand, self.named, self.written = stand, set(), set()

    def take_more(self):
        """Return those that have been named since, as a dictionary."""
        variables, more = self.stand.object, sorted(self.named - self.written)
        self.written.update(more)
        return {name: variables[name] for name in more if name in variables}


class _Rest:
    """What the namespaces hold, each of which may lead to others: so it is asked for last."""

    def __init__(self, namespaces):
        self.namespaces = namespaces

    def __reduce_ex__(self, protocol):
        for each in self.namespaces.values():
            if more := each.take_more():
                return _wrap.fill_namespace, (each.stand, more, _Rest(self.namespaces))
        return tuple, ()


class _ValuePickler(Pickler):
    """A pickler that takes all code by value that is not part of an installed package."""

    takes_globals = True

    def __init__(self, file, protocol=None):
        super().__init__(file, protocol)
        self.namespaces: dict[int, _Namespace] = {}

    def dump(self, obj):
        super().dump((obj, _Rest(self.namespaces)))

    def reducer_override(self, obj):
        if isinstance(obj, types.CodeType):
            return _wrap.code_by_value, (sys.version_info[:2], marshal.dumps(obj))
        if isinstance(obj, _wrap.CodeStandIn):
            return self.reducer_override(obj.object)
        if isinstance(obj, _wrap.GlobalsStandIn):
            return self._reduce_globals(obj)
        function = obj.object if isinstance(obj, _wrap.StandIn) else obj
        if isinstance(function, types.FunctionType) and not _is_installed(function.__module__):
            return self._reduce_function(function) if function is not obj else self._as_stand(obj)
        if isinstance(obj, type) and not _is_installed(obj.__module__):
            return self._reduce_class(obj, by_value=True)
        return super().reducer_override(obj)

    def _as_stand(self, function):
        return _wrap.itself, (_wrap.stand_in(function),)

    def _reduce_function(self, function):
        self._namespace_of(function.__globals__).named.update(_wrap.names_in(function.__code__))
        return _wrap.function_by_value(function)

    def _namespace_of(self, variables):
        if id(variables) not in self.namespaces:
            stand = _wrap.stand_in(variables, _wrap.GlobalsStandIn)
            self.namespaces[id(variables)] = _Namespace(stand)
        return self.namespaces[id(variables)]

    def _reduce_globals(self, stand):
        name = stand.object.get("__name__")
        found = sys.modules.get(name)
        if _is_installed(name) and vars(found) is stand.object:
            return NotImplemented
        self._namespace_of(stand.object)
        return _wrap.new_namespace, (name,)


class _CodeUnpickler(pickle.Unpickler):
    """Takes code by value.

    It is this unpickler that is trusted, for what it reads is signed, and not whatever is unpickled
    while it is at work.
    """

    def find_class(self, module, name):
        if (module, name) == (_wrap.code_by_value.__module__, _wrap.code_by_value.__qualname__):
            return _code
        return super().find_class(module, name)


def _code(version, data):
    if tuple(version) != sys.version_info[:2]:
        raise ValueError("the code was pickled by Python {}.{}".format(*version))
    return marshal.loads(data)


# ---- the container -------------------------------------------------------------------------------
# magic, a byte of flags, the Python's major and minor version, 32 bytes of HMAC-SHA256, the pickle.

_MAGIC = b"\x93stackless\n"
_SIGNED, _CODE = 1, 2
_HEADER = len(_MAGIC) + 3
_DIGEST = hashlib.sha256().digest_size


def _digest(key, header, payload):
    return hmac.digest(key, header + payload, "sha256")


def _check_key(key):
    if key is not None and not (isinstance(key, bytes | bytearray) and key):
        raise TypeError("a key is bytes, and not empty")


def dumps(obj, key=None, *, code="reference", protocol=None):
    """Return a snapshot of `obj` as bytes: a tasklet, a channel, or anything that holds some.

    `key` (bytes) signs it, with the standard library's HMAC-SHA256. `code` says how functions are
    pickled that the frames need: by "reference", their module and name with a hash of what they do,
    or by "value", which runs where the source isn't installed, but needs a key, since a flipped bit
    in code is a crash. `protocol` is pickle's.

    Tasklets that can be frozen are, and go on as if nothing had happened. The caller goes on.

    Raises `pickle.PicklingError` for what can't be pickled, naming the way to it. TypeError or
    ValueError for a wrong `key` or `code`. RuntimeError for a tasklet that is running.
    RecursionError, with a part of the way, where too many objects hold one another.
    """
    _check_key(key)
    if code not in ("reference", "value"):
        raise ValueError("code is taken by 'reference' or by 'value'")
    if code == "value" and key is None:
        raise ValueError("code is taken by value only into signed snapshots: give a key")
    pickler = _ValuePickler if code == "value" else Pickler
    file = io.BytesIO()
    try:
        pickler(file, protocol).dump(obj)
    except RecursionError as error:
        where = path_to_culprit(obj, pickler, RecursionError)
        raise RecursionError(
            f"{where}: too many objects hold one another: pickle goes into each from the one before"
        ) from error
    except (pickle.PicklingError, TypeError, AttributeError, ValueError) as error:
        where = path_to_culprit(obj, pickler)
        raise pickle.PicklingError(f"{where}: {error}") from error
    payload = file.getvalue()
    flags = (_SIGNED if key is not None else 0) | (_CODE if code == "value" else 0)
    header = _MAGIC + bytes((flags, *sys.version_info[:2]))
    digest = _digest(key or b"unsigned", header, payload)
    return header + digest + payload


def _open(data, key):
    """Return a container's flags and its pickle, if it is to be believed."""
    data = bytes(data)
    if not data.startswith(_MAGIC) or len(data) < _HEADER + _DIGEST:
        raise SnapshotError("this is no snapshot")
    header, digest, payload = (
        data[:_HEADER],
        data[_HEADER : _HEADER + _DIGEST],
        data[_HEADER + _DIGEST :],
    )
    flags, *version = header[len(_MAGIC) :]
    if key is not None and not flags & _SIGNED:
        raise SnapshotError("the snapshot is not signed")
    if key is None and flags & _SIGNED:
        raise SnapshotError("the snapshot is signed: its key is needed")
    if not hmac.compare_digest(digest, _digest(key or b"unsigned", header, payload)):
        raise SnapshotError(
            "the snapshot is damaged"
            if key is None
            else "the snapshot was not signed with this key, or has been altered"
        )
    if flags & _CODE and not flags & _SIGNED:
        raise SnapshotError("code by value is accepted only from a signed snapshot")
    return flags, version, payload


def loads(data, key=None):
    """Return what `dumps()` was given, made anew; each call makes another one.

    With a `key` only a snapshot that was signed with it is accepted: any other raises before a byte
    of it is unpickled. Without one, only load what you have made yourself.

    Tasklets belong to the calling thread and are paused, or blocked if the channel is part of the
    snapshot. The caller goes on; insert() or run() continues them.

    Raises SnapshotError for what is no snapshot, is damaged or not signed with `key`, or was made
    by another Python; ValueError where code that a tasklet is to go on in has changed, naming it.
    """
    _check_key(key)
    flags, version, payload = _open(data, key)
    if tuple(version) != sys.version_info[:2]:
        raise SnapshotError(
            "the snapshot was made by Python {}.{}; this is Python {}.{}".format(
                *version, *sys.version_info[:2]
            )
        )
    return _CodeUnpickler(io.BytesIO(payload)).load()[0] if flags & _CODE else pickle.loads(payload)


# ---- looking inside ------------------------------------------------------------------------------
# What is described is not to be believed. To read it costs time and memory in proportion to its
# size, the text has a limit, and whatever comes from there is printable and keeps to its line.

_LONGEST = 300  # characters of a value
_MOST_LINES = 1_000  # about tasklets
_MOST_KINDS = 100
_DEEPEST = 3  # containers within one another


class _Kind:
    """What stands for a class or a function."""

    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name


class _Inert:
    """What stands for an object of any class, and for dictionaries and sets: it does nothing."""

    __slots__ = ("args", "items", "name", "state")

    def __init__(self, name, args=()):
        self.name, self.args, self.state, self.items = name, args, None, None

    def __setstate__(self, state):
        self.state = state

    def extend(self, items):
        if self.items is None:
            self.items = []
        self.items += items

    def append(self, item):
        self.extend((item,))

    add = append

    def __setitem__(self, key, value):
        self.extend(((key, value),))


class _InertUnpickler(pickle._Unpickler):
    """An unpickler that makes nothing but `_Inert`s, lists, tuples and plain values.

    It hashes no key: a tuple may be deeper than the C stack. It calls nothing: an object refers to
    its arguments, and has no copy of its own.
    """

    dispatch: ClassVar = dict(pickle._Unpickler.dispatch)

    def find_class(self, module, name):
        return _Kind(f"{module}.{name}")

    def get_extension(self, code):
        self.append(_Kind(f"extension {code}"))

    def persistent_load(self, pid):
        return pid

    def _make(self, function, args):
        if isinstance(function, _Inert):  # what a bound method returns
            return function
        if not isinstance(function, _Kind):
            raise pickle.UnpicklingError(f"a {type(function).__name__} can't be called")
        return _Inert(function.name, args if isinstance(args, list | tuple) else (args,))

    def _instantiate(self, klass, args):
        self.append(self._make(klass, args))

    def load_reduce(self):
        args = self.stack.pop()
        self.stack[-1] = self._make(self.stack[-1], args)

    def load_newobj_ex(self):
        del self.stack[-1]
        self.load_reduce()

    def load_empty_dict(self):
        self.append(_Inert("dict"))

    def load_dict(self):
        items = self.pop_mark()
        self.load_empty_dict()
        self.stack[-1].extend(zip(items[::2], items[1::2], strict=True))

    def load_empty_set(self):
        self.append(_Inert("set"))

    def load_frozenset(self):
        items = self.pop_mark()
        self.load_empty_set()
        self.stack[-1].extend(items)

    def load_bytearray8(self):  # pickle's own makes room for as much as the pickle says it has
        self.load_binbytes8()


for _opcode, _load in (
    *((pickle.REDUCE, _InertUnpickler.load_reduce), (pickle.NEWOBJ, _InertUnpickler.load_reduce)),
    (pickle.NEWOBJ_EX, _InertUnpickler.load_newobj_ex),
    (pickle.EMPTY_DICT, _InertUnpickler.load_empty_dict),
    (pickle.DICT, _InertUnpickler.load_dict),
    (pickle.EMPTY_SET, _InertUnpickler.load_empty_set),
    (pickle.FROZENSET, _InertUnpickler.load_frozenset),
    (pickle.BYTEARRAY8, _InertUnpickler.load_bytearray8),
):
    _InertUnpickler.dispatch[_opcode[0]] = _load


def _printable(text):
    """Return the beginning of a text, all in it escaped that could pass for something else."""
    text = text[:_LONGEST]
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _plain(value):
    """Return the text of what holds nothing else."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"<int of {value.bit_length()} bits>"
    if isinstance(value, str | bytes) and len(value) > 60:
        return f"{value[:54]!r}..."
    return repr(value)


def _pieces(value, depth=_DEEPEST):
    """Yield the parts of a value's text, of which there may be more than anybody wants."""
    if isinstance(value, _Kind):
        yield value.name
    elif isinstance(value, list):
        yield from _items(value, "[]", depth)
    elif isinstance(value, tuple):
        yield from _items(value, "()", depth)
    elif not isinstance(value, _Inert):
        yield _plain(value)
    elif value.name in ("dict", "set"):
        yield from _items(value.items or (), "{}", depth, value.name)
    else:
        yield f"<{value.name[:_LONGEST]}"
        if depth > 0 and value.args:
            yield from _items(value.args, "()", depth)
        yield ">"


def _items(items, brackets, depth, name=None):
    if depth == 0:
        yield f"<{name or type(items).__name__} of {len(items)}>"
        return
    yield brackets[0]
    for place, each in enumerate(items):
        yield ", " if place else ""
        if name == "dict" and isinstance(each, tuple) and len(each) == 2:
            yield from _pieces(each[0], depth - 1)
            yield ": "
            yield from _pieces(each[1], depth - 1)
        else:
            yield from _pieces(each, depth - 1)
    yield ",)" if brackets == "()" and len(items) == 1 else brackets[1]


def _text(value):
    """Return the beginning of a value's text."""
    parts, length = [], 0
    for each in _pieces(value):
        parts.append(_printable(each))
        length += len(parts[-1])
        if length > _LONGEST:
            return "".join(parts)[:_LONGEST] + "..."
    return "".join(parts)


def _is_tasklet(value):
    state = value.state
    return isinstance(state, tuple) and len(state) == 8 and isinstance(state[3], list)


def _describe_tasklet(number, tasklet):
    _, mail, _, frames, exceptions, _, _, reason = tasklet.state
    yield f"tasklet {number}: {_printable(tasklet.name)}, mailbox {_text(mail)}"
    if reason is not None:
        yield f"  can't go on: {_printable(reason) if isinstance(reason, str) else _text(reason)}"
    for frame in frames:
        yield from _describe_frame(frame)
    if exceptions is not None:
        yield f"  handles {_text(exceptions)}"


def _describe_frame(frame):
    if isinstance(frame, str):
        for line in frame[: _LONGEST * 2].strip().splitlines():
            yield f"  {_printable(line)}"
    elif not isinstance(frame, tuple) or len(frame) < 3:
        yield "  no frame"
    elif len(frame) == FIXED_ITEMS - 1:
        yield f"  through C code, which keeps {_text(frame[3])}"
    elif len(frame) < FIXED_ITEMS:
        yield f"  to start: {_text(frame[0])}, arguments {_text(frame[1:])}"
    else:
        owner, instruction, _, code, _, _, *values = frame
        code = f"{code & 0xFFFFFFFF:08x}" if isinstance(code, int) else _text(code)
        yield f"  in {_text(owner)} at instruction {_text(instruction)}, code {code}"
        for value in values:
            yield f"      {_text(value)}"


def _inside(value):
    """Yield every inert object that is reached from `value`, each once."""
    seen, todo = set(), [value]
    for each in todo:  # which grows
        if id(each) in seen or not isinstance(each, _Inert | list | tuple):
            continue
        seen.add(id(each))
        if isinstance(each, _Inert):
            yield each
            todo += [each.items, each.state, each.args]
        else:
            todo += each


def describe(data, key=None):
    """Return a text that says what a snapshot contains, without running anything in it.

    It is printable, and has a limit: of values, tasklets and the rest it tells the beginning. A
    `key` is needed if it is signed: what is altered is not looked at. Raises SnapshotError.
    """
    _check_key(key)
    flags, version, payload = _open(data, key)
    try:
        content = _InertUnpickler(io.BytesIO(payload)).load()
        inside = list(_inside(content))
    except MemoryError:
        raise
    except Exception as error:
        raise SnapshotError(f"the snapshot can't be read: {_printable(str(error))}") from error
    if flags & _CODE and isinstance(content, tuple) and content:
        content = content[0]
    lines = [
        f"snapshot: {len(payload)} bytes, Python {version[0]}.{version[1]}, "
        f"{'signed' if flags & _SIGNED else 'not signed'}, "
        f"code by {'value' if flags & _CODE else 'reference'}",
        f"content: {_text(content)}",
    ]
    tasklets = [each for each in inside if _is_tasklet(each)]
    told = itertools.chain.from_iterable(map(_describe_tasklet, itertools.count(1), tasklets))
    lines += itertools.islice(told, _MOST_LINES)
    if next(told, None) is not None:
        lines.append(f"... {len(tasklets)} tasklets in all")
    others = Counter(
        each.name for each in inside if not _is_tasklet(each) and each.name not in ("dict", "set")
    )
    kinds = sorted(others.items())
    lines += [f"{count} x {_printable(name)}" for name, count in kinds[:_MOST_KINDS]]
    if len(kinds) > _MOST_KINDS:
        lines.append(f"... {len(kinds)} kinds in all")
    return "\n".join(lines)


# ---- for programs that call pickle themselves ----------------------------------------------------


def _dumps(obj, protocol=None, *, fix_imports=True, buffer_callback=None):
    file = io.BytesIO()
    Pickler(file, protocol, fix_imports=fix_imports, buffer_callback=buffer_callback).dump(obj)
    return file.getvalue()


def _dump(obj, file, protocol=None, *, fix_imports=True, buffer_callback=None):
    Pickler(file, protocol, fix_imports=fix_imports, buffer_callback=buffer_callback).dump(obj)


def install():
    """Have the `pickle` module use this module's Pickler, as Stackless Python's does.

    There, functions and lambdas inside of containers are pickled by value, and `persistent_id` and
    `persistent_load` can be set.
    """
    pickle.Pickler, pickle.dumps, pickle.dump = Pickler, _dumps, _dump
    pickle._Pickler, pickle.Unpickler = _PurePickler, _Unpickler
