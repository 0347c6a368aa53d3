"""Tasklets frozen in what sends more than a value: exceptions, sequences."""

from __future__ import annotations

import functools
import gc
import pickle
import traceback
import weakref

import pytest
import stackless
from stackless import channel, tasklet

PLENTY = 100_000
ROUNDS = 20
both = pytest.mark.parametrize("stacks", [PLENTY, 0], ids=["plainly", "frozen"])


@pytest.fixture(autouse=True)
def budget():
    before = stackless.set_stack_budget(PLENTY)
    yield
    stackless.set_stack_budget(before)


def start(function, *arguments, stacks=0):
    stackless.set_stack_budget(stacks)
    t = tasklet(function)(*arguments)
    t.run()
    return t


def is_frozen():
    return stackless.statistics()["frozen"] == 1


def receive(gate):
    """Receive, once the sender has gone on."""
    gate.preference = 1
    try:
        return gate.receive()
    except (KeyError, ValueError, IndexError) as error:
        return repr(error)


def names_in(error):
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


# ---- exceptions ----------------------------------------------------------------------------------


def sends_exceptions(gate, log):
    for i in range(3):
        log.append(gate.send_exception(KeyError, "class", i))
        log.append(gate.send_throw(ValueError(i)))
        log.append(gate.send_throw(ValueError, i + 1))
        log.append(gate.send_throw(exc=IndexError, val=("a", i)))
        log.append(gate.send_exception(*(KeyError, i)))


@both
def test_exceptions_are_received_as_ever(stacks):
    gate, log = channel(), []
    t = start(sends_exceptions, gate, log, stacks=stacks)
    received = []
    while t.alive:
        assert is_frozen() == (stacks == 0)
        assert stackless.why_pinned(t) is None
        received.append(receive(gate))
    expected = []
    for i in range(3):
        expected += [f"KeyError('class', {i})", f"ValueError({i})", f"ValueError({i + 1})"]
        expected += [f"IndexError('a', {i})", f"KeyError({i})"]
    assert received == expected
    assert log == [None] * 15


@both
@pytest.mark.parametrize("preference", [-1, 0, 1])
def test_who_runs_next_is_the_same(preference, stacks):
    gate, log = channel(), []
    gate.preference = preference

    def listen():
        for _ in range(2):
            try:
                gate.receive()
            except KeyError as error:
                log.append(error.args)

    def send():
        log.append("s>")
        log.append(gate.send_exception(KeyError, 1))
        log.append(gate.send_exception(KeyError, 2))

    stackless.set_stack_budget(stacks)
    tasklet(listen)()
    tasklet(send)()
    stackless.run()
    assert (
        log
        == {
            -1: ["s>", (1,), None, (2,), None],
            0: ["s>", None, (1,), (2,), None],
            1: ["s>", None, (1,), None, (2,)],
        }[preference]
    )


@both
def test_an_exception_thrown_at_who_sends_one_is_raised_there(stacks):
    gate, log = channel(), []

    def send():
        try:
            gate.send_throw(KeyError)
        except ValueError as error:
            log.append(names_in(error))
        log.append(gate.send_exception(KeyError, 2))

    t = start(send, stacks=stacks)
    t.throw(ValueError)
    assert receive(gate) == "KeyError(2)"
    assert (t.alive, log) == (False, [["send"], None])


def test_one_that_sends_an_exception_can_be_pickled():
    gate, log = channel(), []
    t = start(sends_exceptions, gate, log)
    data = pickle.dumps((t, gate, log))
    t.kill()
    for _ in range(2):
        copy, gate, log = pickle.loads(data)
        assert [receive(gate) for _ in range(15)][:3] == [
            "KeyError('class', 0)",
            "ValueError(0)",
            "ValueError(1)",
        ]
        assert (copy.alive, log) == (False, [None] * 15)


def test_what_waits_while_the_exception_is_made_pins():
    gate, made = channel(), channel()

    class Made(KeyError):
        __init__ = made.receive

    t = start(gate.send_exception, Made)
    assert stackless.why_pinned(t) is not None
    t.kill()

    def send():
        gate.send_exception(Made)

    t = start(send)
    reason = "C code is in the way: channel.send_exception, called at "
    assert stackless.why_pinned(t).startswith(reason)
    made.send(None)
    assert stackless.why_pinned(t) is None
    assert receive(gate) == "Made()"
    assert not t.alive


# ---- sequences -----------------------------------------------------------------------------------


def sends_sequences(gate, log):
    log.append(gate.send_sequence("ab"))
    log.append(gate.send_sequence(x * x for x in range(3)))
    log.append(gate.send_sequence([]))
    items = iter([1, 2, 3])
    try:
        log.append(gate.send_sequence(items))
    except ValueError:
        log.append("thrown")
        log.append(gate.send_sequence(items))

    def fails():
        yield 8
        raise KeyError("failed")

    try:
        gate.send_sequence(fails())
    except KeyError as error:
        log.append(
            (error.args, [frame.name for frame in traceback.extract_tb(error.__traceback__)])
        )


@both
def test_sequences_are_received_as_ever(stacks):
    gate, log = channel(), []
    t = start(sends_sequences, gate, log, stacks=stacks)
    received = []
    while t.alive:
        assert is_frozen() == (stacks == 0)
        assert stackless.why_pinned(t) is None
        gc.collect()
        received.append(receive(gate))
        if len(received) == 6:
            t.throw(ValueError)
            received.append("thrown")
    assert received == ["a", "b", 0, 1, 4, 1, "thrown", 3, 8]
    assert log == [2, 3, 0, "thrown", 1, (("failed",), ["sends_sequences", "fails"])]


@both
def test_receivers_that_wait_get_their_items_at_once(stacks):
    gate, log = channel(), []

    def listen(name):
        while (item := gate.receive()) is not None:
            log.append((name, item))

    def send():
        log.append(gate.send_sequence([1, 2, 3, 4, None, None]))

    stackless.set_stack_budget(stacks)
    tasklet(listen)("a")
    tasklet(listen)("b")
    tasklet(send)()
    stackless.run()
    assert log == [("a", 1), ("b", 2), ("a", 3), ("b", 4), 6]


@both
def test_what_sends_a_sequence_can_be_killed(stacks):
    gate, log = channel(), []

    def send():
        try:
            gate.send_sequence(numbers())
        finally:
            log.append("killed")

    def numbers():
        try:
            yield 1
        finally:
            log.append("closed")

    t = start(send, stacks=stacks)
    t.kill()
    assert (t.alive, log) == (False, ["closed", "killed"])


def test_what_sends_a_sequence_may_be_forgotten():
    class Item:
        pass

    def send(gate, items):
        gate.send_sequence(items)

    gate, items = channel(), [Item(), Item()]
    items[1].channel = gate
    gone = weakref.ref(items[1])
    start(send, gate, iter(items))
    assert is_frozen()
    del gate, items
    gc.collect()
    assert gone() is None


def test_what_waits_for_the_items_pins():
    gate, source, log = channel(), channel(), []

    def send(items):
        log.append(gate.send_sequence(items))

    def goes_on_in_send(t):
        reason = "C code is in the way: channel.send_sequence, called at "
        assert stackless.why_pinned(t).startswith(reason)
        source.send(1)
        assert stackless.why_pinned(t) is None
        assert receive(gate) == 1
        assert stackless.why_pinned(t).startswith(reason)

    t = start(send, source)
    goes_on_in_send(t)
    source.close()
    source.open()
    source.send_exception(StopIteration)
    t = start(send, iter(functools.partial(source.receive), None))
    goes_on_in_send(t)
    source.send(None)
    assert (t.alive, log) == (False, [1, 1])


def squares(count):
    for i in range(count):
        yield i * i


def sends_by_method(gate):
    return gate.send_sequence([1, 2, 3])


def sends_by_class(gate):
    return channel.send_sequence(gate, iter([1, 2, 3]))


def sends_by_a_variable(gate):
    send = gate.send_sequence
    return send(squares(3))


def gives(gate):
    yield gate.send_sequence((4, 5))


def sends_in_a_generator(gate):
    for count in gives(gate):
        return "given", count


class Line(channel):
    def send_sequence(self, items):
        return "line", super().send_sequence(items)


WAYS = [sends_by_method, sends_by_class, sends_by_a_variable, sends_in_a_generator]


def run_and_note(way, gate, log):
    log.append(way(gate))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [channel, Line])
@pytest.mark.parametrize("waits", [True, False], ids=["waiting", "runnable"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_goes_on_from_a_pickle_as_often_as_wanted(way, kind, waits, protocol):
    gate, log = kind(), []
    t = start(run_and_note, way, gate, log)
    received = []
    while t.alive:
        pickled = pickle.dumps((t, gate, log), protocol)
        received.append(receive(gate) if waits else gate.receive())
        for _ in range(2):
            other, gate_there, log_there = pickle.loads(pickled)
            if not other.blocked:
                other.insert()
            there = []
            while other.alive:
                there.append(receive(gate_there))
            received.append((there, log_there))
        if not waits:
            stackless.run()
    firsts = received[::3]
    for i, _ in enumerate(firsts):
        assert received[3 * i + 1] == received[3 * i + 2] == (firsts[i:], log)
    assert len(firsts) >= 2
    assert len(log) == 1


def state_of(t):
    return t.__reduce__()[2]


def test_an_altered_pickle_of_it_is_refused():
    gate = channel()
    t = start(run_and_note, sends_by_method, gate, [])
    state = state_of(t)
    options = state[5]
    sender, iterator, count, operands = options["operation"]
    assert (sender, list(iterator), count, operands) == (gate, [2, 3], 0, 3)
    for operation in [
        None,
        (),
        (gate, iterator, count),
        (object(), iterator, count, operands),
        (gate, [], count, operands),
        (gate, iterator, "0", operands),
        (gate, iterator, count, 1 << 70),
    ]:
        with pytest.raises((ValueError, TypeError, OverflowError)):
            tasklet().__setstate__((*state[:5], {"operation": operation}, *state[6:]))
    for operands in (-1, 0, 2, 4, 5):
        operation = gate, iterator, count, operands
        with pytest.raises(ValueError, match="the snapshot is damaged: a "):
            tasklet().__setstate__((*state[:5], {"operation": operation}, *state[6:]))
    for changed in (*state[:5], None, *state[6:]), (state[0] ^ 1 << 8, *state[1:]):
        with pytest.raises(ValueError, match="the snapshot is damaged: a tasklet waits for"):
            tasklet().__setstate__(changed)
    receives = start(run_and_note, channel.receive, channel(), [])
    with pytest.raises(ValueError, match="the snapshot is damaged: a tasklet waits for"):
        tasklet().__setstate__((*state_of(receives)[:5], options, *state[6:]))
    receives.kill()
    t.kill()


# ---- both ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sends", [sends_exceptions, sends_sequences])
def test_it_goes_on_in_another_thread(sends):
    import threading

    gate, log = channel(), []
    t = start(sends, gate, log)
    received = []

    def go_on():
        stackless.set_stack_budget(0)
        t.bind_thread()
        while t.alive:
            received.append(receive(gate))

    thread = threading.Thread(target=go_on)
    thread.start()
    thread.join()
    assert (len(received), len(log)) in [(15, 15), (9, 5)]
    assert not t.alive


def test_nothing_leaks():
    class Item:
        pass

    def items(number):
        for _ in range(number):
            yield Item()

    def send(gate, way):
        if way == "sequence":
            gate.send_sequence(items(3))
        elif way == "throw":
            gate.send_throw(KeyError(Item()))
        else:
            gate.send_exception(KeyError, Item())

    for way in ["sequence", "throw", "exception"]:
        for end in ["receive", "kill", "forget"]:
            for _ in range(ROUNDS):
                gate = channel()
                t = start(send, gate, way)
                assert is_frozen()
                if end == "receive":
                    receive(gate)
                    t.kill()
                elif end == "kill":
                    t.kill()
                del t, gate
                gc.collect()
            assert [each for each in gc.get_objects() if isinstance(each, Item)] == []
