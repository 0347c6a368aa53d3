"""``STACKLESS_TORTURE=pickle``: what is thawed has been pickled and unpickled.

Before a frozen tasklet runs on, the entries of its frames (as ``__reduce__()`` gives them) go
through pickle, and are put back into the same tasklet. Frames, cells and iterators come back as new
ones; anything else comes back as itself, by a persistent id, so that the program can't tell.

Nor may it find that a cell or an iterator is another one now. So only those are pickled that
nothing outside refers to: not the cell that a function has in its closure, nor the iterator that is
an element of a list. Generators remain themselves, and so do frame objects; the frames beneath
these are new, those of suspended generators if nothing outside refers to the generator. And there
are iterators that pickle doesn't take as they are:

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
from stackless._stackless import (
    _generator_as_it_is,
    _rebuild_generator,
    _set_pickle_and_unpickle,
)

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
_GENERATORS = {types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType}


class _Kept:
    """What stands for an object that comes back as itself."""

    __slots__ = ("object",)

    def __init__(self, object):
        self.object = object


def _parts_of(value):
    """Return what a cell, an iterator or a generator's frame is made of; None for anything else."""
    kind = type(value)
    if kind in _GENERATORS:
        entry = _generator_as_it_is(value)[0]
        return _values_in(entry) if type(entry) is tuple else None
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
    """Note, by id, those of the values that have parts, with the ids of these."""
    for value in values:
        if id(value) not in found and (parts := _parts_of(value)) is not None:
            found[id(value)] = value, [id(each) for each in parts]
            _find(parts, found)


def _sole(entries):
    """Return, by id, what has parts and nothing refers to but the entries and other such parts."""
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
            return {key: value for key, (value, _) in found.items()}
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

    def keep_state(self, state):
        entry, frame_state, exception, other, flags = state
        return self.keep_values(entry), frame_state, _Kept(exception), _Kept(other), flags

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
    sole = _sole(entries)
    generators = [each for each in sole.values() if type(each) in _GENERATORS]
    states = [_generator_as_it_is(each) for each in generators]
    file = io.BytesIO()
    pickler = _Pickler(file, sole.keys() - set(map(id, generators)))
    pickler.dump(
        (
            [pickler.keep_values(entry) for entry in entries],
            [pickler.keep_state(state) for state in states],
        )
    )
    file.seek(0)
    entries, states = _Unpickler(file, pickler.kept).load()
    for generator, state in zip(generators, states, strict=True):
        _rebuild_generator(generator, state)
    return entries


def install():
    """Have that done to whatever is thawed from now on."""
    _set_pickle_and_unpickle(pickle_and_unpickle)
