"""``STACKLESS_TORTURE=pickle``: what is thawed has been pickled and unpickled.

Before a frozen tasklet runs on, the entries of its frames (as ``__reduce__()`` gives them) go
through pickle, and are put back into the same tasklet. Frames, cells and iterators come back as new
ones; anything else comes back as itself, by a persistent id, so that the program can't tell.

Nor may it find that a cell or an iterator is another one now. So only those are pickled that
nothing outside refers to: not the cell that a function has in its closure, nor the iterator that is
an element of a list. Generators remain themselves, and so do frame objects; the frames beneath
these are new. And there are iterators that pickle doesn't take as they are:

* those of dictionaries and sets: it copies what is left;
* those of sequences of the program's own: it calls their ``__iter__()``;
* itertools', of which it is deprecated.
"""

from __future__ import annotations

import io
import pickle
import sys
import types
import typing
from collections import Counter

from stackless import _wrap
from stackless._path import FIXED_ITEMS
from stackless._stackless import _set_pickle_and_unpickle

_SEQUENCES: tuple[typing.Any, ...] = (
    [],
    (),
    "",
    "\xe9",
    b"",
    bytearray(),
    range(0),
    range(1 << 64),
)
# Which of the arguments that it is made of anew each kind of iterator iterates over;
_ITERATED: dict[typing.Any, slice] = {
    **{type(make(each)): slice(None) for make in (iter, reversed) for each in _SEQUENCES},
    enumerate: slice(1),
    filter: slice(1, None),
    map: slice(1, None),
    zip: slice(None),
}
# and what it iterates over without calling anything of the program's.
_OTHERS: tuple[typing.Any, ...] = ({}, {}.values(), {}.items(), set())
_ITERABLE = {*_ITERATED, *map(type, _SEQUENCES), *(type(iter(each)) for each in _OTHERS)}
_ITERABLE.add(types.GeneratorType)


class _Kept:
    """What stands for an object that comes back as itself."""

    __slots__ = ("object",)

    def __init__(self, object):
        self.object = object


def _parts_of(value):
    """Return what a cell or an iterator is made of, or None if it isn't to be pickled."""
    kind = type(value)
    if kind is types.CellType:
        try:
            return (value.cell_contents,)
        except ValueError:
            return ()
    if kind not in _ITERATED:
        return None
    parts = value.__reduce__()[1]
    return parts if all(type(each) in _ITERABLE for each in parts[_ITERATED[kind]]) else None


def _values_in(entry):
    return entry[FIXED_ITEMS:] if len(entry) >= FIXED_ITEMS else entry[-2:]


def _find(values, found):
    """Note, by id, the cells and iterators among the values, with the ids of their parts."""
    for value in values:
        if id(value) not in found and (parts := _parts_of(value)) is not None:
            found[id(value)] = value, [id(each) for each in parts]
            _find(parts, found)


def _sole(entries):
    """Return, by id, the cells and iterators that nothing but the entries and they refer to."""
    found = {}
    for entry in entries:
        _find(_values_in(entry), found)
    own = 2  # references: the pair in `found`, and the argument of getrefcount()
    while True:
        references = Counter()
        for entry in entries:
            references.update(map(id, _values_in(entry)))
        for key in found:
            references.update(found[key][1])
        lost = [key for key in found if sys.getrefcount(found[key][0]) - own != references[key]]
        if not lost:
            return found.keys()
        for key in lost:
            del found[key]


class _Pickler(pickle.Pickler):
    """Pickles entries; `kept` is what it has left out."""

    def __init__(self, file, sole):
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.sole = sole
        self.kept = []

    def keep(self, value):
        return value if id(value) in self.sole else _Kept(value)

    def keep_values(self, entry):
        if len(entry) < FIXED_ITEMS:
            return *entry[:-2], *map(self.keep, entry[-2:])
        return (
            _Kept(entry[0]),
            *entry[1:FIXED_ITEMS],
            *map(self.keep, entry[FIXED_ITEMS:]),
        )

    def persistent_id(self, obj):
        if type(obj) is not _Kept:
            return None
        self.kept.append(obj.object)
        return len(self.kept) - 1

    def reducer_override(self, obj):
        if id(obj) not in self.sole:
            return NotImplemented
        parts = tuple(map(self.keep, _parts_of(obj)))
        if type(obj) is types.CellType:
            return _wrap.cell, (), (None, {"cell_contents": parts[0]}) if parts else None
        make, _, *state = obj.__reduce__()
        return make, parts, *state


class _Unpickler(pickle.Unpickler):
    def __init__(self, file, kept):
        super().__init__(file)
        self.kept = kept

    def persistent_load(self, pid):
        return self.kept[pid]


def pickle_and_unpickle(entries):
    """Return what becomes of the entries of a tasklet's frames that is pickled and unpickled."""
    file = io.BytesIO()
    pickler = _Pickler(file, _sole(entries))
    pickler.dump([pickler.keep_values(entry) for entry in entries])
    file.seek(0)
    return _Unpickler(file, pickler.kept).load()


def install():
    """Have that done to whatever is thawed from now on."""
    _set_pickle_and_unpickle(pickle_and_unpickle)
