"""stackless.snapshot: signed, described, by value, and errors that name the way to the culprit."""

from __future__ import annotations

import functools
import pickle
import socket
import sys
import threading
from pathlib import Path
from typing import ClassVar

import pytest
import stackless
from stackless import channel, schedule_remove, snapshot, tasklet
from support import child_lines

KEY = b"a secret key"
HEADER = 11 + 1  # the magic and the flags come before the version


class Order(tasklet):
    """A tasklet with a name."""

    name = "order-17"


def work(steps):
    done = []
    for step in range(steps):
        done.append(step)
        schedule_remove(step)
    stackless.getcurrent().done = done


def started(function, *args, kind=Order):
    made = kind(function)(*args)
    made.run()
    return made


def finish(made):
    while made.alive:
        made.run()
    return made.done


@pytest.fixture
def order():
    made = started(work, 3)
    yield made
    made.kill()


# ---- there and back ------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [None, *range(pickle.HIGHEST_PROTOCOL + 1)])
@pytest.mark.parametrize("key", [None, KEY, bytearray(KEY)])
def test_a_snapshot_goes_on_any_number_of_times(order, key, protocol):
    data = snapshot.dumps(order, key, protocol=protocol)
    assert isinstance(data, bytes)
    restored = [snapshot.loads(data, key) for _ in range(3)]
    assert [finish(each) for each in restored] == [[0, 1, 2]] * 3
    assert finish(order) == [0, 1, 2]


def test_a_snapshot_may_hold_anything_that_holds_tasklets(order):
    gate = channel()
    waits = started(lambda: gate.receive())
    restored = snapshot.loads(memoryview(snapshot.dumps({"order": order, "gate": gate})))
    assert finish(restored["order"]) == [0, 1, 2]
    assert restored["gate"].balance == -1
    restored["gate"].send(1)
    waits.kill()


def test_functions_are_taken_by_value_wherever_they_are():
    functions = [lambda x: x + 1, {"f": lambda: functions}]
    restored = snapshot.loads(snapshot.dumps(functions))
    assert restored[0](1) == 2
    assert restored[1]["f"]() is restored
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(functions)


def test_exceptions_keep_their_cause_wherever_they_are():
    try:
        try:
            raise KeyError("key")
        except KeyError as error:
            raise ValueError("value") from error
    except ValueError as error:
        error.add_note("note")
        (restored,) = snapshot.loads(snapshot.dumps([error]))
    assert repr(restored.__cause__) == "KeyError('key')"
    assert restored.__notes__ == ["note"]
    assert restored.__traceback__ is not None
    assert restored.__suppress_context__


# ---- keys ----------------------------------------------------------------------------------------


class Tells:
    """Notes when it is unpickled."""

    told: ClassVar[list[str]] = []

    def __reduce__(self):
        return tells, ("unpickled",)


def tells(text):
    Tells.told.append(text)


def refused(data, key, message):
    Tells.told.clear()
    for reads in (snapshot.loads, snapshot.describe):
        with pytest.raises(snapshot.SnapshotError, match=message):
            reads(data, key)
    assert Tells.told == []


def test_an_unsigned_snapshot_is_refused_if_there_is_a_key():
    refused(snapshot.dumps(Tells()), KEY, "^the snapshot is not signed$")


def test_a_signed_snapshot_needs_its_key():
    refused(snapshot.dumps(Tells(), KEY), None, "is signed: its key is needed")
    refused(snapshot.dumps(Tells(), KEY), b"another", "not signed with this key, or has been")


@pytest.mark.parametrize("key", [None, KEY])
def test_every_altered_byte_is_noticed_before_anything_is_unpickled(key):
    data = snapshot.dumps(Tells(), key)
    for place in range(len(data)):
        for bit in (1, 16, 128):
            altered = bytearray(data)
            altered[place] ^= bit
            refused(bytes(altered), key, "^(this is no|the) snapshot")
    for size in range(len(data)):
        refused(data[:size], key, "^(this is no|the) snapshot")
    refused(data + b"\0", key, "damaged|altered")


def test_an_unsigned_snapshot_cannot_be_made_to_look_signed():
    signed, unsigned = snapshot.dumps(Tells(), KEY), snapshot.dumps(Tells())
    refused(signed[:HEADER] + unsigned[HEADER:], KEY, "altered")
    refused(signed[:HEADER] + unsigned[HEADER:], None, "its key is needed")
    refused(unsigned[:HEADER] + signed[HEADER:], None, "damaged")


@pytest.mark.parametrize("key", ["text", b"", 1, bytearray()])
def test_a_key_is_bytes_and_not_empty(key, order):
    data = snapshot.dumps(order)
    for call in (lambda: snapshot.dumps(order, key), lambda: snapshot.loads(data, key)):
        with pytest.raises(TypeError, match="a key is bytes, and not empty"):
            call()


@pytest.mark.parametrize("data", [b"", b"\x93stackless\n", b"PK\3\4" * 40, pickle.dumps(1)])
def test_what_is_no_snapshot_is_refused(data):
    refused(data, None, "^this is no snapshot$")


def test_a_snapshot_of_another_python_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 7, 5, "final", 0))
    data = snapshot.dumps(Tells(), KEY)
    monkeypatch.undo()
    Tells.told.clear()
    here = "{}.{}".format(*sys.version_info)
    with pytest.raises(
        snapshot.SnapshotError, match=rf"made by Python 3\.7; this is Python {here}"
    ):
        snapshot.loads(data, KEY)
    assert Tells.told == []
    assert "Python 3.7" in snapshot.describe(data, KEY)


# ---- code by value -------------------------------------------------------------------------------

MODULE = """
import stackless
FACTOR = 3
def helper(number):
    return number * FACTOR
def work(steps):
    added = lambda number: helper(number) + steps
    total = 0
    for step in range(steps):
        total += added(step)
        stackless.schedule_remove()
    print("total", total)
"""
MAKES = """
    import sys
    sys.path.insert(0, sys.argv[1])
    import stackless, worker
    from stackless import snapshot
    made = stackless.tasklet(worker.work)(4)
    made.run()
    data = snapshot.dumps(made, key=b"key", code=sys.argv[3])
    with open(sys.argv[2], "wb") as file:
        file.write(data)
    made.kill()
"""
GOES_ON = """
    import sys
    from stackless import snapshot
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    for _ in range(2):
        try:
            made = snapshot.loads(data, key=b"key")
        except ModuleNotFoundError as error:
            print(error)
            break
        while made.alive:
            made.run()
    print("worker" in sys.modules)
"""


def goes_on_elsewhere(tmp_path, code):
    (tmp_path / "worker.py").write_text(MODULE)
    data = tmp_path / "snapshot"
    child_lines(MAKES, str(tmp_path), str(data), code)
    return child_lines(GOES_ON, str(data))


def test_code_by_value_runs_where_its_source_is_not(tmp_path):
    assert goes_on_elsewhere(tmp_path, "value") == ["total 34", "total 34", "False"]


def test_code_by_reference_needs_its_source(tmp_path):
    assert goes_on_elsewhere(tmp_path, "reference") == ["No module named 'worker'", "False"]


def test_code_by_value_needs_a_key(order):
    with pytest.raises(ValueError, match="give a key"):
        snapshot.dumps(order, code="value")
    with pytest.raises(ValueError, match="'reference' or by 'value'"):
        snapshot.dumps(order, KEY, code="source")


def test_code_by_value_is_taken_from_signed_snapshots_only():
    payload = snapshot.dumps([lambda: 1], KEY, code="value")[HEADER + 2 + 32 :]
    with pytest.raises(ValueError, match="only from a signed snapshot"):
        pickle.loads(payload)
    restored = snapshot.loads(snapshot.dumps([lambda: 1], KEY, code="value"), KEY)
    assert restored[0]() == 1
    with pytest.raises(ValueError, match="only from a signed snapshot"):
        pickle.loads(payload)


def test_an_unsigned_snapshot_is_not_trusted_though_it_says_that_it_has_code(order):
    data = bytearray(snapshot.dumps(order))
    data[HEADER - 1] |= snapshot._CODE
    header, payload = bytes(data[: HEADER + 2]), bytes(data[HEADER + 2 + 32 :])
    forged = header + snapshot._digest(b"unsigned", header, payload) + payload
    refused(forged, None, "^code by value is accepted only from a signed snapshot$")


class GivesWay:
    """Has others run while it is unpickled."""

    def __reduce__(self):
        return stackless.schedule, (None,)


def refused_code():
    payload = snapshot.dumps([lambda: 1], KEY, code="value")[HEADER + 2 + 32 :]
    with pytest.raises(ValueError, match="only from a signed snapshot"):
        pickle.loads(payload)
    return True


def test_only_what_is_signed_is_trusted_while_several_are_loaded_at_once():
    def dumped(times):
        slow = [GivesWay() for _ in range(times)]
        return snapshot.dumps([slow, lambda: times], KEY, code="value")

    data = [dumped(times) for times in (1, 4, 2)]
    loaded, tried = [], []

    def loads(each):
        loaded.append(snapshot.loads(each, KEY)[1]())

    def tries():
        for _ in range(8):
            tried.append(refused_code())
            stackless.schedule()

    for each in data:
        tasklet(loads)(each)
    tasklet(tries)()
    stackless.run()
    assert (loaded, tried) == ([1, 2, 4], [True] * 8)


TRAVELS = """
    import sys
    from stackless import snapshot
    for _ in range(2):
        with open(sys.argv[1], "rb") as file:
            made = snapshot.loads(file.read(), key=b"key")
        made.run()
        if made.alive:
            data = snapshot.dumps(made, key=b"key", code=sys.argv[2])
            with open(sys.argv[1], "wb") as file:
                file.write(data)
"""


def travels(tmp_path, module, code):
    """Run a tasklet on in one process after the other, twice in each; return what they print."""
    (tmp_path / "worker.py").write_text(module)
    data, printed = tmp_path / "snapshot", []
    child_lines(MAKES, str(tmp_path), str(data), "value")
    while not printed:
        printed = child_lines(TRAVELS, str(data), code)
    return printed


TAKES_MUCH_ALONG = """
import functools, threading, stackless
FACTOR, CALLS = 3, []
def unused():
    return CONNECTION
CONNECTION = threading.Lock()
def numbers():
    for number in range(4):
        yield helper(number)
def helper(number):
    CALLS.append(number)
    return number * FACTOR
class Adder:
    def __init__(self, start):
        self.total = start
    @property
    def doubled(self):
        return self.total * 2
    @classmethod
    def made(cls, start):
        return cls(start)
    @staticmethod
    def plus(one, other):
        return one + other
    def add(self, number):
        self.total = self.plus(self.total, number)
        return self
def work(steps):
    values, adder = numbers(), Adder.made(steps)
    add, count = functools.partial(Adder.add, adder), 0
    def counts():
        nonlocal count
        count += 1
    for number in values:
        add(number)
        counts()
        stackless.schedule_remove()
    print("total", adder.total, adder.doubled, count, CALLS)
"""


@pytest.mark.parametrize(
    ("module", "printed"),
    [(MODULE, "total 34"), (TAKES_MUCH_ALONG, "total 22 44 4 [0, 1, 2, 3]")],
    ids=["functions", "classes, generators and more"],
)
def test_what_came_with_its_code_can_be_sent_on_with_its_code(tmp_path, module, printed):
    assert travels(tmp_path, module, "value")[0] == printed


def test_what_came_with_its_code_cannot_be_sent_on_without_it(tmp_path):
    with pytest.raises(AssertionError) as raised:
        travels(tmp_path, MODULE, "reference")
    assert "PicklingError: tasklet 'work' → frame work (worker.py:11) → function: " in str(
        raised.value
    )


# ---- describe ------------------------------------------------------------------------------------


class Dangerous:
    def __init__(self):
        Tells.told.append("ran")

    def __reduce__(self):
        return Dangerous, (), {"state": 1}

    def __setstate__(self, state):
        Tells.told.append("ran")


def holds_dangerous():
    number, text = 17, "some text"  # noqa: F841
    dangerous = Dangerous()  # noqa: F841
    schedule_remove("mail")


@pytest.mark.parametrize("key", [None, KEY])
def test_describe_tells_what_is_inside_and_runs_nothing(key):
    made = started(holds_dangerous)
    data = snapshot.dumps([made, channel()], key)
    Tells.told.clear()
    text = snapshot.describe(data, key)
    assert Tells.told == []
    version = "{}.{}".format(*sys.version_info)
    assert text.startswith(f"snapshot: {len(data) - HEADER - 2 - 32} bytes, Python {version}, ")
    for part in (
        *("signed" if key else "not signed", "code by reference", "test_snapshot.Order"),
        *("mailbox 'mail'", "holds_dangerous", "17", "'some text'", "channel"),
    ):
        assert part in text
    made.kill()


def test_describe_tells_why_a_tasklet_cannot_go_on():
    made = started(lambda: sorted([1], key=lambda each: schedule_remove(each)))
    text = snapshot.describe(snapshot.dumps(made))
    assert "can't go on: C code is in the way: sorted, called at" in text
    made.kill()


def test_describe_tells_what_has_not_started_and_what_is_handled():
    def handles():
        try:
            raise KeyError("handled")
        except KeyError:
            schedule_remove()

    handling = started(handles)
    text = snapshot.describe(snapshot.dumps([tasklet(work, (3,)), handling]))
    assert "to start: test_snapshot.work, arguments" in text
    assert "handles" in text
    assert "KeyError" in text
    handling.kill()


def unsigned(payload):
    header = snapshot._MAGIC + bytes((0, *sys.version_info[:2]))
    return header + snapshot._digest(b"unsigned", header, payload) + payload


def laughs():
    """Return a pickle of 500 bytes, whose text would have 10 ** 70 characters."""
    value = ("ha",) * 3
    for _ in range(150):
        value = (value,) * 3
    return pickle.dumps(value)


def many(opcodes, times):
    return opcodes * times + b"."


LONG = "n" * 100_000
AWKWARD = {
    "laughs": laughs(),
    "a large int": pickle.dumps([10**5000, -(10**5000)]),
    "much text": pickle.dumps([LONG, LONG.encode(), bytearray(LONG.encode())]),
    "many items": pickle.dumps([*range(200_000)]),
    "many tasklets": many(b"cstackless\ntasklet\n)R(K\0NK\0]NNNNtb0", 20_000)[:-1] + b"N.",
    "many kinds": b"(" + b"".join(b"cm\nn%d\n)R" % n for n in range(5_000)) + b"l.",
    "a deep key": b"}" + b")" + b"\x85" * 300_000 + b"Ns.",
    "deep lists": b"]" * 100_000 + b"a" * 99_999 + b".",
    "arguments shared by many": b"("
    + b"N" * 50_000
    + b"tq\0cm\nn\nq\1"
    + b"h\1h\0R0" * 5_000
    + b".",
    "keys that can't be hashed": pickle.dumps([{1: 2}, {3}, frozenset([4])]) + b"]Ns",
    "an extension": b"\x82\xf0.",
    "names on several lines": pickle.dumps(["a\nb\x1b[31m\u202e\ud800"]),
    "a class of several lines": b"\x8c\x03m\nm\x8c\x08a\n\x1b[31mb\x93)R.",
    "lines of a frame": pickle.dumps([["a\n" * 1000, LONG]]),
}
BROKEN = {
    "more bytes than there are": b"\x96" + b"\xff" * 7 + b"\0.",
    "nothing": b"",
    "no end": b"]",
    "a call of a list": b"])R.",
    "an empty stack": b"R.",
    "a number that is none": b"Ix\n.",
}


@pytest.mark.parametrize("payload", AWKWARD.values(), ids=AWKWARD)
def test_describe_has_a_limit_and_is_printable(payload):
    text = snapshot.describe(unsigned(payload))
    assert len(text) < 50_000
    assert all(line.isprintable() for line in text.split("\n"))
    assert all(len(line) < 1_000 for line in text.split("\n"))


@pytest.mark.parametrize("payload", BROKEN.values(), ids=BROKEN)
def test_describe_of_a_broken_pickle_is_a_snapshot_error(payload):
    with pytest.raises(snapshot.SnapshotError, match=r"^the snapshot can't be read: "):
        snapshot.describe(unsigned(payload))


def holds_much(number, text):
    held = {"k": [number, text]}
    try:
        raise KeyError(text)
    except KeyError:
        schedule_remove(number)
    return held


def test_describe_tells_the_beginning_of_what_is_large():
    orders = [started(holds_much, 10**5000, "x" * 1000) for _ in range(400)]
    text = snapshot.describe(snapshot.dumps(orders))
    lines = text.split("\n")
    assert lines[2] == "tasklet 1: test_snapshot.Order, mailbox <int of 16610 bits>"
    assert f"      <int of 16610 bits>\n      {'x' * 53!r}..."[:-5] in text
    assert "... 400 tasklets in all" in lines
    assert len(lines) < 1_150
    for each in orders:
        each.kill()


# ---- the way to the culprit ----------------------------------------------------------------------


def checkout(connection, number):
    schedule_remove()
    return connection, number


def serve(number):
    connection = socket.socket()
    try:
        checkout(connection, number)
    finally:
        connection.close()


def path_to(value):
    with pytest.raises(pickle.PicklingError) as raised:
        snapshot.dumps(value)
    path, _, reason = str(raised.value).partition(": ")
    return path.split(" → "), reason


def test_the_error_names_the_frame_and_the_variable():
    made = started(serve, 1)
    path, reason = path_to(made)
    file, line = Path(__file__).name, serve.__code__.co_firstlineno + 3
    assert path[0] == "tasklet 'order-17'"
    assert path[1:] == [f"frame serve ({file}:{line})", "local 'connection'", "socket"]
    assert "socket" in reason
    made.kill()


def test_the_error_names_the_way_through_containers_and_closures():
    lock = threading.Lock()

    def closes_over():
        schedule_remove()
        return lock

    made = started(closes_over)
    path, _ = path_to({"made": [made]})
    assert path[:3] == ["dict", "['made']", "[0]"]
    assert path[-3:] == ["closure 'lock'", "contents", "lock"]
    made.kill()


def test_a_cycle_does_not_hide_the_culprit():
    cycle = []
    cycle += [cycle, threading.Lock()]
    assert path_to(cycle)[0] == ["list", "[1]", "lock"]


def test_what_a_reduce_raises_names_the_way_too():
    class Refuses:
        def __reduce_ex__(self, protocol):
            raise TypeError("not me")

    path, reason = path_to([Refuses()])
    assert (path, reason) == (["list", "[0]", "Refuses"], "not me")


def test_the_error_names_the_way_through_exceptions_generators_and_methods():
    def generator(lock):
        yield lock

    class Holds:
        def method(self):
            return self

    error = KeyError(threading.Lock())
    path, _ = path_to([error])
    assert path == ["list", "[0]", "arguments", "[0]", "lock"]
    values = generator(threading.Lock())
    next(values)
    path, _ = path_to({"values": values})
    assert path[:2] == ["dict", "['values']"]
    assert path[-2:] == ["local 'lock'", "lock"]
    partial = functools.partial(print, threading.Lock())
    assert path_to([partial])[0][-2:] == ["[0]", "lock"]


def test_the_error_names_a_global_variable_where_code_is_taken_by_value(tmp_path):
    (tmp_path / "shop.py").write_text("import threading\nLOCK = threading.Lock()\ndef f(): LOCK\n")
    child = """
        import sys
        sys.path.insert(0, sys.argv[1])
        import pickle, shop
        from stackless import snapshot
        try:
            snapshot.dumps([shop.f], b"key", code="value")
        except pickle.PicklingError as error:
            print(error)
    """
    (line,) = child_lines(child, str(tmp_path))
    assert line.startswith("list → [0] → global 'LOCK' → lock: ")


def linked(following):
    schedule_remove()
    return following


def test_the_error_names_the_beginning_of_a_way_that_is_too_long():
    chain = [None]
    for _ in range(20_000):
        chain.append(started(linked, chain[-1]))
    with pytest.raises(RecursionError) as raised:
        snapshot.dumps(chain[-1])
    path, _, reason = str(raised.value).partition(": ")
    steps = path.split(" → ")
    line = linked.__code__.co_firstlineno + 1
    assert steps[0] == "tasklet 'order-17'"
    assert steps[1:3] == [f"frame linked (test_snapshot.py:{line})", "local 'following'"]
    assert steps[-1] == "..."
    assert reason == "too many objects hold one another: pickle goes into each from the one before"
    for each in chain[1:]:
        each.kill()


def test_the_current_tasklet_is_an_error_and_goes_on():
    with pytest.raises(RuntimeError, match="which is current"):
        snapshot.dumps(stackless.getcurrent())


def test_other_errors_of_a_reduce_come_out_as_they_are():
    class Refuses:
        def __reduce_ex__(self, protocol):
            raise LookupError("not me")

    with pytest.raises(LookupError, match="not me"):
        snapshot.dumps([Refuses()])


# ---- programs that call pickle themselves --------------------------------------------------------


def test_install_has_pickle_take_functions_by_value(tmp_path):
    (tmp_path / "worker.py").write_text("def outer(number):\n    return lambda: number\n")
    child = """
        import io, pickle, sys
        sys.path.insert(0, sys.argv[1])
        from stackless import snapshot
        import worker
        snapshot.install()
        for pickler in (pickle.Pickler, pickle._Pickler):
            file = io.BytesIO()
            pickler(file).dump([worker.outer(3)])
            print(pickle.loads(file.getvalue())[0]())
        print(pickle.loads(pickle.dumps({1: worker.outer(4)}))[1]())
    """
    assert child_lines(child, str(tmp_path)) == ["3", "3", "4"]


def test_install_has_picklers_take_persistent_ids_as_attributes():
    child = """
        import io, pickle
        from stackless import snapshot
        snapshot.install()
        file = io.BytesIO()
        pickler = pickle.Pickler(file)
        pickler.persistent_id = lambda value: "three" if value == 3 else None
        pickler.dump([2, 3])
        file.seek(0)
        unpickler = pickle.Unpickler(file)
        unpickler.persistent_load = {"three": "III"}.__getitem__
        print(unpickler.load())
    """
    assert child_lines(child) == ["[2, 'III']"]


class Bound:
    def __reduce__(self):
        return Tells.told.append, ("ran",)


def test_describe_of_what_is_made_by_a_method():
    text = snapshot.describe(snapshot.dumps(Bound()))
    assert text.startswith("snapshot")


def makes_a_class():
    class Local:
        def told(self):
            return type(self).__qualname__

    held = [Local()]
    stackless.schedule_remove()
    Tells.told.append(held[0].told())


def test_classes_that_have_no_name_are_taken_by_value():
    original = tasklet(makes_a_class)()
    original.run()
    restored = snapshot.loads(snapshot.dumps(original))
    original.kill()
    Tells.told.clear()
    restored.run()
    assert Tells.told == ["makes_a_class.<locals>.Local"]
    Tells.told.clear()


SHOP = """
import stackless

class Base:
    def told(self):
        return "base"

class Order(Base):
    def __init__(self, number):
        self.number = number

    def told(self):
        return super().told(), self.number

def job(number):
    order = Order(number)
    stackless.schedule_remove()
    print(order.told())
"""


def test_classes_by_value_run_where_their_source_is_not(tmp_path):
    (tmp_path / "shop.py").write_text(SHOP)
    stored = tmp_path / "stored"
    child = """
        import sys
        sys.path.insert(0, sys.argv[1])
        import shop, stackless
        from stackless import snapshot
        original = stackless.tasklet(shop.job)(3)
        original.run()
        with open(sys.argv[2], "wb") as file:
            file.write(snapshot.dumps(original, b"key", code="value"))
    """
    assert child_lines(child, str(tmp_path), str(stored)) == []
    child = """
        import sys
        from stackless import snapshot
        with open(sys.argv[1], "rb") as file:
            snapshot.loads(file.read(), b"key").run()
        print("shop" in sys.modules)
    """
    assert child_lines(child, str(stored)) == ["('base', 3)", "False"]


def declares(gate, results):
    class Thing:
        first = 1
        second = gate.receive()

        def told(self):
            return self.first, self.second, __class__.__name__

        third = second + gate.receive()

    results.append((Thing().told(), Thing.third))


def test_a_class_statement_goes_on_with_the_names_it_has_bound_so_far():
    gate, results = channel(), []
    original = started(declares, gate, results)
    ends = []
    while original.alive:
        copy, its_gate, its_results = snapshot.loads(snapshot.dumps((original, gate, results)))
        while its_gate.balance < 0:
            its_gate.send(5)
        assert (copy.alive, results) == (False, [])
        ends += its_results
        gate.send(7)
    assert ends == [((1, 5, "Thing"), 10), ((1, 7, "Thing"), 12)]
    assert results == [((1, 7, "Thing"), 14)]
