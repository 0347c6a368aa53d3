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
import marshal
import pickle
import site
import sys
import types
from pathlib import Path

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
            return NotImplemented if stand is obj else stand.__reduce_ex__(pickle.DEFAULT_PROTOCOL)
        if isinstance(obj, type):
            return self._reduce_class(obj)
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
    str(Path(each).resolve())
    for each in (Path(types.__file__).parent, *site.getsitepackages(), Path(__file__).parent)
)


def _is_installed(module):
    """Whether a module will be there wherever there is this Python."""
    found = sys.modules.get(module)
    path = getattr(found, "__file__", None)
    return found is not None and (path is None or str(Path(path).resolve()).startswith(_installed))


def _names_in(code):
    for each in _wrap.codes_in(code):
        yield from each.co_names


def _named_in(variables):
    """Return those global variables of a module that any of its functions names."""
    names = set()
    for value in list(variables.values()):
        for function in (value, *vars(value).values()) if isinstance(value, type) else (value,):
            if isinstance(function, types.FunctionType):
                names.update(_names_in(function.__code__))
    return {name: variables[name] for name in sorted(names) if name in variables}


class _Rest:
    """What the namespaces hold, each of which may lead to others: so it is asked for last."""

    def __init__(self, waiting):
        self.waiting = waiting

    def __reduce_ex__(self, protocol):
        if not self.waiting:
            return tuple, ()
        namespace = self.waiting.pop()
        return _wrap.fill_namespace, (namespace, _named_in(namespace.object), _Rest(self.waiting))


class _ValuePickler(Pickler):
    """A pickler that takes all code by value that is not part of an installed package."""

    def __init__(self, file, protocol):
        super().__init__(file, protocol)
        self.rest = _Rest([])

    def reducer_override(self, obj):
        if isinstance(obj, types.CodeType):
            return _wrap.code_by_value, (sys.version_info[:2], marshal.dumps(obj))
        if isinstance(obj, _wrap.GlobalsStandIn):
            self.rest.waiting.append(obj)
            return _wrap.new_namespace, (obj.object["__name__"],)
        if isinstance(obj, _wrap.CodeStandIn):
            return self.reducer_override(obj.object)
        if isinstance(obj, types.FunctionType) and not _is_installed(obj.__module__):
            return _wrap.reduce_function(obj)
        if isinstance(obj, type) and not _is_installed(obj.__module__):
            return self._reduce_class(obj, by_value=True)
        return super().reducer_override(obj)


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
    """
    _check_key(key)
    if code not in ("reference", "value"):
        raise ValueError("code is taken by 'reference' or by 'value'")
    if code == "value" and key is None:
        raise ValueError("code is taken by value only into signed snapshots: give a key")
    file = io.BytesIO()
    try:
        if code == "value":
            pickler = _ValuePickler(file, protocol)
            pickler.dump((obj, pickler.rest))
        else:
            Pickler(file, protocol).dump(obj)
    except (pickle.PicklingError, TypeError, AttributeError, ValueError) as error:
        where = path_to_culprit(obj, Pickler)
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
    if not flags & _CODE:
        return pickle.loads(payload)
    before = getattr(_wrap.trusted, "code", False)
    _wrap.trusted.code = True
    try:
        return pickle.loads(payload)[0]
    finally:
        _wrap.trusted.code = before


# ---- looking inside ------------------------------------------------------------------------------


class _Inert:
    """What stands for an object of any class: nothing of it is run."""

    name = ""

    def __new__(cls, *args, **kwargs):
        self = super().__new__(cls)
        self.args, self.state, self.items = args, None, []
        return self

    def __init__(self, *args, **kwargs):
        pass

    def __setstate__(self, state):
        self.state = state

    def __call__(self, *args, **kwargs):
        return self

    def append(self, item):
        self.items.append(item)

    def extend(self, items):
        self.items.extend(items)

    def __setitem__(self, key, value):
        self.items.append((key, value))


class _InertUnpickler(pickle._Unpickler):
    """An unpickler that makes nothing but `_Inert`s and what pickle itself knows."""

    def find_class(self, module, name):
        return type(name.rpartition(".")[2] or "object", (_Inert,), {"name": f"{module}.{name}"})

    def persistent_load(self, pid):
        return pid


def _text(value, depth=3):
    if isinstance(value, type) and issubclass(value, _Inert):
        return value.name
    if isinstance(value, _Inert):
        return (
            f"<{value.name}>"
            if depth == 0 or not value.args
            else (f"<{value.name}({', '.join(_text(each, depth - 1) for each in value.args)})>")
        )
    if isinstance(value, list | tuple | set | frozenset | dict) and depth == 0:
        return f"<{type(value).__name__} of {len(value)}>"
    if isinstance(value, dict):
        inside = (f"{_text(k, depth - 1)}: {_text(v, depth - 1)}" for k, v in value.items())
        return "{" + ", ".join(inside) + "}"
    if isinstance(value, list | tuple):
        inside = ", ".join(_text(each, depth - 1) for each in value)
        comma = "," if len(value) == 1 else ""
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{comma})"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _describe_tasklet(number, tasklet):
    _, mail, _, frames, exceptions, _, _, reason = tasklet.state
    yield f"tasklet {number}: {tasklet.name}, mailbox {_text(mail)}"
    if reason is not None:
        yield f"  can't go on: {reason}"
    for frame in frames:
        if not isinstance(frame, tuple):
            yield "  " + str(frame).strip().replace("\n", "\n  ")
        elif len(frame) == FIXED_ITEMS - 1:
            yield f"  through C code, which keeps {_text(frame[3])}"
        elif len(frame) < FIXED_ITEMS:
            yield f"  to start: {_text(frame[0])}, arguments {_text(frame[1:])}"
        else:
            owner, instruction, _, code, _, _, *values = frame
            yield (
                f"  in {_text(owner)} at instruction {instruction}, code {code & 0xFFFFFFFF:08x}"
            )
            for value in values:
                yield f"      {_text(value)}"
    if exceptions is not None:
        yield f"  handles {_text(exceptions)}"


def _inside(value, seen):
    """Yield every inert object that is reached from `value`, each once."""
    todo = [value]
    while todo:
        each = todo.pop(0)
        if id(each) in seen or not isinstance(each, _Inert | list | tuple | dict | set):
            continue
        seen[id(each)] = each
        if isinstance(each, _Inert):
            yield each
            todo += [each.items, each.state, each.args]
        elif isinstance(each, dict):
            todo += [*each.values(), *each.keys()]
        else:
            todo += each


def describe(data, key=None):
    """Return a text that says what a snapshot contains, without running anything in it.

    A `key` is needed if it is signed: what is altered is not looked at. Raises SnapshotError.
    """
    _check_key(key)
    flags, version, payload = _open(data, key)
    content = _InertUnpickler(io.BytesIO(payload)).load()
    lines = [
        f"snapshot: {len(payload)} bytes, Python {version[0]}.{version[1]}, "
        f"{'signed' if flags & _SIGNED else 'not signed'}, "
        f"code by {'value' if flags & _CODE else 'reference'}",
        f"content: {_text(content[0] if flags & _CODE else content)}",
    ]
    others: dict[str, int] = {}
    number = 0
    for each in _inside(content, {}):
        is_tasklet = isinstance(each.state, tuple) and len(each.state) == 8
        if is_tasklet and isinstance(each.state[3], list):
            number += 1
            lines += _describe_tasklet(number, each)
        else:
            others[each.name] = others.get(each.name, 0) + 1
    lines += [f"{count} x {name}" for name, count in sorted(others.items())]
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
