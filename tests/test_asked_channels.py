"""Tasklets are frozen where an iterator of C, like enumerate(), asks a channel for an item."""

from __future__ import annotations

import gc
import itertools
import pickle
import sys
import threading
import traceback
import weakref

import pytest
import stackless
from stackless import channel, tasklet
from support import in_thread

PLENTY = 100_000
PICKLES_ITERTOOLS = sys.version_info < (3, 14)


@pytest.fixture(autouse=True)
def freeze():
    """Every switch freezes what can be frozen."""
    before = stackless.set_stack_budget(0)
    yield
    stackless.set_stack_budget(before)


def start(function, *arguments):
    t = tasklet(function)(*arguments)
    t.run()
    return t


def frozen(t):
    """Whether it is frozen, and nothing but this says that it can be."""
    return stackless.why_pinned(t) is None and stackless.statistics()["frozen"] > 0


def numbers(gate, log, name="item"):
    for i, x in enumerate(gate):
        log.append((name, i, x))
    log.append((name, "ends"))


def numbers_of_numbers(gate, log):
    for i, x in enumerate(gate, 10):
        for j, y in zip(gate, range(2), strict=False):
            log.append((i, x, j, y))
        log.append((i, next(gate), next(enumerate(gate))))


def sums(gate, log):
    """Who skips an item asks again in the same call."""
    for i, x in enumerate(filter(None, map(abs_of, gate))):
        log.append((i, x))


def abs_of(x):
    return -x if x < 0 else x


def test_items_keep_their_numbers_and_their_order():
    gate, log = channel(), []
    t = start(numbers, gate, log)
    for x in "abc":
        assert frozen(t)
        gate.send(x)
        log.append(("sent", x))
        stackless.schedule()
    gate.send_exception(StopIteration)
    assert log == [
        *[("item", 0, "a"), ("sent", "a"), ("item", 1, "b"), ("sent", "b")],
        *[("item", 2, "c"), ("sent", "c"), ("item", "ends")],
    ]
    assert not t.alive


@pytest.mark.parametrize("preference", [-1, 0, 1])
def test_who_goes_first_makes_no_difference(preference):
    def run(budget):
        stackless.set_stack_budget(budget)
        gate, log = channel(), []
        gate.preference = preference

        def sends(name):
            for x in range(4):
                log.append((name, x))
                gate.send((name, x))

        receivers = [start(numbers, gate, log, name) for name in "ab"]
        for name in "xyz":
            tasklet(sends)(name)
        stackless.run()
        assert [t.alive for t in receivers] == [True, True]
        for t in receivers:
            t.kill()
        return log

    assert run(0) == run(PLENTY)


def test_one_that_has_got_its_item_and_has_not_run_yet():
    """It waits for its turn then, no longer for the channel."""
    gate, log = channel(), []
    gate.preference = 0
    stackless.set_stack_budget(PLENTY)
    t = start(numbers, gate, log)
    gate.send("a")
    assert (log, t.blocked, stackless.why_pinned(t)) == ([], False, None)
    copy, copied_log = pickle.loads(pickle.dumps((t, log)))
    t.run()
    copy.run()
    assert log == copied_log == [("item", 0, "a")]
    gate.send("b")
    t.run()
    assert log == [("item", 0, "a"), ("item", 1, "b")]
    t.kill()
    copy.kill()


def test_a_channel_that_is_closed_ends_the_loop_when_those_who_wait_are_served():
    gate, log = channel(), []
    t = start(numbers, gate, log)
    gate.send("a")
    gate.close()
    assert frozen(t)
    gate.send("b")
    assert log == [("item", 0, "a"), ("item", 1, "b"), ("item", "ends")]
    assert not t.alive


class Broken(Exception):
    pass


def test_an_exception_that_is_sent_comes_out_of_the_loop():
    gate, log = channel(), []

    def work(gate, log):
        try:
            numbers(gate, log)
        except Broken as error:
            names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
            log.append((error.args, names, error.__context__))
        for item in enumerate(gate, 5):
            log.append(item)

    t = start(work, gate, log)
    gate.send("a")
    assert frozen(t)
    gate.send_exception(Broken, 1)
    assert frozen(t)
    gate.send("b")
    assert log == [("item", 0, "a"), ((1,), ["work", "numbers"], None), (5, "b")]
    t.kill()


@pytest.mark.parametrize("ends", [tasklet.kill, lambda t: t.throw(TaskletExit)])
def test_it_can_be_ended_there(ends):
    gate, log = channel(), []

    def work():
        try:
            numbers(gate, log)
        finally:
            log.append("left")

    t = start(work)
    gate.send("a")
    assert frozen(t)
    ends(t)
    assert (log, t.alive, gate.balance) == ([("item", 0, "a"), "left"], False, 0)


def test_it_goes_on_in_another_thread():
    gate, log = channel(), []
    t = start(numbers_of_numbers, gate, log)
    gate.send("a")
    gate.send("b")
    assert frozen(t)

    def go_on():
        stackless.set_stack_budget(0)
        t.bind_thread()
        for x in "cdefg":
            gate.send(x)
        return t.thread_id

    assert in_thread(go_on) != threading.get_ident()
    assert log == [(10, "a", "b", 0), (10, "a", "c", 1), (10, "e", (0, "f"))]
    t.bind_thread()
    for x in "hi":
        gate.send(x)
    assert log[3:] == [(11, "g", "h", 0), (11, "g", "i", 1)]
    t.kill()


def sends_all(gate, items):
    for x in items:
        gate.send(x)


@pytest.mark.parametrize("work", [numbers, numbers_of_numbers, sums])
def test_it_can_be_pickled_at_every_stop(work):
    items = [3, 0, -1, 4, 0, 0, 5, -9, 2, 6, 0, 7]
    gate, log = channel(), []
    original = start(work, gate, log)
    sends_all(gate, items)
    original.kill()
    expected = log
    gate, log = channel(), []
    original = start(work, gate, log)
    for n in range(len(items)):
        data = pickle.dumps((original, gate, log))
        for _ in range(2):
            copy, copied_gate, copied_log = pickle.loads(data)
            sends_all(copied_gate, items[n:])
            assert copied_log == expected
            copy.kill()
        gate.send(items[n])
    assert log == expected
    original.kill()


def test_a_pickle_that_lacks_or_repeats_what_asks_is_refused():
    gate, log = channel(), []
    t = start(numbers, gate, log)
    state = list(t.__reduce__()[2])
    frame, asks = state[3]
    assert len(asks) == 5
    other = (asks[0] - 1, *asks[1:])
    for entries in [frame], [frame, asks, asks], [asks, frame], [asks], [frame, other]:
        state[3] = entries
        with pytest.raises(ValueError, match="the snapshot is damaged"):
            tasklet().__setstate__(tuple(state))
    t.kill()


def test_what_isnt_an_iterator_of_its_kind_any_more_is_noticed():
    gate, log = channel(), []
    t = start(numbers, gate, log)
    state = list(t.__reduce__()[2])
    frame, asks = state[3]
    state[3] = [frame, (*asks[:3], iter("abc"), asks[4])]
    copy = tasklet()
    copy.__setstate__(tuple(state))
    with pytest.raises(ValueError, match="the snapshot is damaged: an iterator asks nobody"):
        copy.run()
    t.kill()


def test_nothing_is_lost_if_what_is_dropped_meanwhile_waits():
    """enumerate() drops its last item when it has the next one; a killed tasklet runs then."""
    gate, log = channel(), []

    def loops():
        for i, x in enumerate(gate):
            log.append((i, type(x).__name__))
            x = None

    def ends_late():
        try:
            stackless.schedule_remove()
        finally:
            log.append(stackless.why_pinned(loop).partition(",")[0])

    loop = start(loops)
    gate.send(start(ends_late))
    gate.send("a")
    stackless.run()
    gate.send("b")
    assert log == [
        (0, "tasklet"),
        "C code is in the way: enumerate.__next__",
        (1, "str"),
        (2, "str"),
    ]
    assert frozen(loop)
    loop.kill()


def test_what_may_have_been_asked_for_something_else_pins():
    gate = channel()
    shared = itertools.islice(gate, 5)

    def loops(iterator):
        for _ in iterator():
            pass

    for iterator, name in [
        (lambda: zip("ab", gate, strict=False), "zip"),
        (lambda: zip(gate, gate, strict=False), "zip"),
        (lambda: map(gate.send, gate), "map"),
        (lambda: enumerate(shared), "enumerate"),
        (lambda: itertools.pairwise(gate), "itertools.pairwise"),
    ]:
        t = start(loops, iterator)
        reason = stackless.why_pinned(t)
        assert reason.startswith(f"C code is in the way: {name}.__next__, called at "), reason
        t.kill()


def test_several_that_ask_one_iterator_get_different_items():
    gate, log = channel(), []
    shared = enumerate(gate)

    def takes(name):
        for i, x in shared:
            log.append((name, i, x))

    asking = [start(takes, name) for name in "ab"]
    sends_all(gate, "wxyz")
    assert log == [("a", 0, "w"), ("b", 1, "x"), ("a", 2, "y"), ("b", 3, "z")]
    for t in asking:
        assert frozen(t)
        t.kill()


def test_the_collector_finds_one_that_nobody_knows():
    class Log(list):
        pass

    gate, log = channel(), Log()
    t = start(numbers, gate, log)
    gate.send(log)
    assert frozen(t)
    gone = weakref.ref(t), weakref.ref(gate), weakref.ref(log)
    del t, gate, log
    gc.collect()
    assert [reference() for reference in gone] == [None] * 3


def test_recursion_is_as_deep_as_it_would_be():
    def deepest(gate):
        for depth in map(lambda _: levels(), gate):  # noqa: C417
            return depth, levels()
        return None

    def levels(n=1):
        try:
            return levels(n + 1)
        except RecursionError:
            return n

    found = []
    for budget in PLENTY, 0, 0:
        stackless.set_stack_budget(budget)
        gate = channel()
        start(lambda gate=gate: found.append((deepest(gate), levels())))
        gate.send(1)
    assert len(set(found)) == 1
