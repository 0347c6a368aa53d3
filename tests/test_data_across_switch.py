"""Objects of the standard library that are half-way through something at a switch."""

from __future__ import annotations

import collections
import csv
import functools
import heapq
import io
import itertools
import json
import mmap
import pickle
import re
import sqlite3
import sys
import threading
import zlib

import pytest
import stackless
from stackless import tasklet


def together(*functions):
    """Run the functions in tasklets of their own until all have ended."""
    tasklets = [tasklet(function)() for function in functions]
    stackless.run()
    assert not any(t.alive for t in tasklets)


def test_an_exported_buffer_stays_locked_until_its_tasklet_lets_go():
    log = []
    data = bytearray(b"data")

    def exports():
        with memoryview(data) as view:
            stackless.schedule()
            view[0] = ord("D")

    def resizes():
        with pytest.raises(BufferError):
            data.append(1)
        stackless.schedule()
        data.extend(b"!")
        log.append(bytes(data))

    together(exports, resizes)
    assert log == [b"Data!"]


def test_the_view_of_a_bytesio_and_a_mapping():
    stream = io.BytesIO(b"0123456789")
    mapping = mmap.mmap(-1, 4096)

    def views():
        with stream.getbuffer() as view, memoryview(mapping) as mapped:
            stackless.schedule()
            view[:2] = b"ab"
            mapped[:2] = b"cd"

    def changes():
        with pytest.raises(BufferError):
            stream.truncate(1)
        with pytest.raises(BufferError):
            mapping.close()
        stackless.schedule()
        stream.truncate(3)
        assert mapping[:2] == b"cd"
        mapping.close()

    together(views, changes)
    assert stream.getvalue() == b"ab2"


def test_a_dict_that_changes_while_another_tasklet_iterates():
    items = dict.fromkeys("abc", 0)

    def walk():
        for _ in items:
            stackless.schedule()

    def iterates():
        with pytest.raises(RuntimeError, match="changed size"):
            walk()

    together(iterates, lambda: items.update(d=1))


def test_a_list_that_is_sorted_while_another_tasklet_appends():
    log = []
    items = [3, 1, 2]

    def key(item):
        stackless.schedule()
        return item

    def sorts():
        with pytest.raises(ValueError, match="list modified during sort"):
            items.sort(key=key)
        log.append(items)

    together(sorts, lambda: items.append(0))
    assert log == [[1, 2, 3]]


def test_two_sorts_with_keys_and_comparisons_that_switch():
    results = []

    def sorts(items):
        def key(item):
            stackless.schedule()
            return -item

        def compare(a, b):
            stackless.schedule()
            return a - b

        by_key = sorted(items, key=key)
        results.append((by_key, sorted(items, key=functools.cmp_to_key(compare))))

    together(lambda: sorts([1, 3, 2]), lambda: sorts([6, 4, 5]))
    assert sorted(results) == [([3, 2, 1], [1, 2, 3]), ([6, 5, 4], [4, 5, 6])]


def test_regular_expressions_and_their_scanners():
    results = []

    def replaces(text):
        def replacement(match):
            stackless.schedule()
            return f"<{match[0]}>"

        replaced = re.sub(r"\d+", replacement, text)
        found = []
        for match in re.finditer(r"\d", text):
            stackless.schedule()
            found.append(match[0])
        results.append((replaced, found))

    together(lambda: replaces("a1b22"), lambda: replaces("3c4"))
    assert sorted(results) == [("<3>c<4>", ["3", "4"]), ("a<1>b<22>", ["1", "2", "2"])]


def test_json_and_pickle_half_way():
    results = []

    class Thing:
        def __init__(self, name):
            self.name = name

        def __reduce__(self):
            stackless.schedule()
            return (collections.Counter, (self.name,))

    def encode(thing):
        stackless.schedule()
        return thing.name

    def hook(pairs):
        stackless.schedule()
        return pairs

    def works(name):
        text = json.dumps({"things": [Thing(name), Thing(name)]}, default=encode)
        decoded = json.loads(text, object_hook=hook)
        copied = pickle.loads(pickle.dumps([Thing(name), Thing(name)]))
        results.append((decoded["things"], copied == [collections.Counter(name)] * 2))

    together(lambda: works("aa"), lambda: works("bb"), lambda: works("cc"))
    assert sorted(results) == [([n, n], True) for n in ("aa", "bb", "cc")]


def test_sqlite_cursors_and_functions():
    results = []
    connection = sqlite3.connect(":memory:")

    def doubled(x):
        stackless.schedule()
        return x * 2

    connection.create_function("doubled", 1, doubled)
    connection.execute("create table numbers (n)")
    connection.executemany("insert into numbers values (?)", [(i,) for i in range(5)])

    def iterates():
        rows = []
        for (n,) in connection.execute("select n from numbers order by n"):
            stackless.schedule()
            rows.append(n)
        results.append(rows)

    def calls():
        results.append(connection.execute("select sum(doubled(n)) from numbers").fetchone()[0])

    together(iterates, iterates)
    together(calls)
    assert results == [list(range(5))] * 2 + [20]
    connection.close()


def test_compression_objects_shared_and_apart():
    results = []

    def compresses(data):
        compressor = zlib.compressobj()
        parts = []
        for i in range(0, len(data), 1000):
            parts.append(compressor.compress(data[i : i + 1000]))
            stackless.schedule()
        parts.append(compressor.flush())
        results.append(zlib.decompress(b"".join(parts)) == data)

    together(*(lambda b=b: compresses(bytes([b]) * 10_000) for b in range(3)))
    assert results == [True] * 3


def test_an_rlock_belongs_to_the_thread_and_so_to_all_its_tasklets():
    lock = threading.RLock()
    log = []

    def locks(name):
        with lock:
            log.append(name)
            stackless.schedule()
            log.append(name + "'")

    together(lambda: locks("a"), lambda: locks("b"))
    assert log == ["a", "b", "a'", "b'"]


def test_hashes_and_comparisons_that_switch_inside_a_dict():
    class Key:
        def __init__(self, name):
            self.name = name

        def __hash__(self):
            stackless.schedule()
            return 1

        def __eq__(self, other):
            stackless.schedule()
            return self.name == other.name

    items = {}

    def inserts(name):
        for i in range(5):
            items[Key(f"{name}{i}")] = i
        for i in range(5):
            assert items[Key(f"{name}{i}")] == i

    together(lambda: inserts("a"), lambda: inserts("b"), lambda: inserts("c"))
    assert len(items) == 15


def test_iterators_of_itertools_heapq_and_csv():
    results = []

    def slow(items):
        for item in items:
            stackless.schedule()
            yield item

    def works(offset):
        numbers = [offset + i for i in range(4)]
        merged = list(heapq.merge(slow(numbers), slow(numbers)))
        one, two = itertools.tee(slow(numbers))
        rows = list(csv.reader(slow([f"{n},x" for n in numbers])))
        joined = ",".join(slow(map(str, numbers)))
        results.append(
            merged == sorted(numbers * 2)
            and list(zip(one, two, strict=True)) == [(n, n) for n in numbers]
            and rows == [[str(n), "x"] for n in numbers]
            and joined == ",".join(map(str, numbers))
            and sum(slow(numbers)) == sum(numbers)
            and max(slow(numbers)) == numbers[-1]
            and functools.reduce(lambda a, b: a + b, slow(numbers)) == sum(numbers)
        )

    together(*(lambda n=n: works(n) for n in range(0, 50, 10)))
    assert results == [True] * 5


def test_a_cached_function_that_switches_while_it_computes():
    calls = []

    @functools.lru_cache(maxsize=2)
    def slow(n):
        calls.append(n)
        stackless.schedule()
        return n * n

    results = []
    together(*(lambda n=n: results.append(slow(n % 3)) for n in range(9)))
    assert sorted(results) == [0, 0, 0, 1, 1, 1, 4, 4, 4]


def test_text_streams_over_a_raw_stream_that_switches():
    class Raw(io.RawIOBase):
        def __init__(self, data):
            self.data = io.BytesIO(data)

        def readable(self):
            return True

        def readinto(self, buffer):
            stackless.schedule()
            return self.data.readinto(memoryview(buffer)[:7])

    results = []

    def reads(text):
        stream = io.TextIOWrapper(io.BufferedReader(Raw(text.encode())), encoding="utf-8")
        results.append(list(stream) == text.splitlines(keepends=True))

    together(lambda: reads("första\nandra\ntredje"), lambda: reads("eins\nzwei\n" * 10))
    assert results == [True, True]


def test_an_import_that_switches_shows_others_a_module_half_way(tmp_path, monkeypatch):
    """Import locks belong to the thread, so a second tasklet is not made to wait."""
    (tmp_path / "switching_module.py").write_text(
        "import stackless\nstackless.schedule()\nvalue = 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    results = []

    def imports():
        import switching_module

        results.append(getattr(switching_module, "value", "half-way"))

    together(imports, imports)
    del sys.modules["switching_module"]
    assert results == ["half-way", 1]
