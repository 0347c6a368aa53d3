"""A blocked tasklet that nothing can reach any more receives TaskletExit, mounted or frozen."""

from __future__ import annotations

import contextlib
import gc
import operator
import weakref

import pytest
import stackless
from stackless import channel, tasklet

log: list[str] = []


@pytest.fixture(autouse=True)
def empty_log():
    log.clear()
    gc.collect()


@pytest.fixture(params=["mounted", "frozen"])
def state(request):
    before = stackless.set_stack_budget(0 if request.param == "frozen" else 1 << 20)
    yield request.param
    stackless.set_stack_budget(before)


def through_a_channel():
    c = channel()
    try:
        c.receive()
    finally:
        log.append("finally")


def through_itself():
    me = stackless.getcurrent()
    try:
        channel().receive()
    finally:
        log.append("finally" if me.alive else "dead")


def while_sending_itself():
    c = channel()
    try:
        c.send(stackless.getcurrent())
    finally:
        log.append("finally")


def through_a_with_block():
    c = channel()
    with contextlib.ExitStack() as stack:
        stack.callback(log.append, "finally")
        c.receive()


def through_a_callers_local():
    def inner(c):
        c.receive()

    c = channel()
    try:
        inner(c)
    finally:
        log.append("finally")


def through_a_handled_exception():
    c = channel()
    try:
        raise KeyError(c)
    except KeyError:
        del c
        try:
            channel().receive()
        finally:
            log.append("finally")


def beneath_a_sort():
    c = channel()

    def key(_value):
        c.receive()

    try:
        sorted([1, 2], key=key)
    finally:
        log.append("finally")


def in_a_generator():
    c = channel()

    def numbers():
        try:
            yield c.receive()
        finally:
            log.append("finally")

    for _ in numbers():
        pass


@pytest.mark.parametrize(
    "function",
    [
        through_a_channel,
        through_itself,
        while_sending_itself,
        through_a_with_block,
        through_a_callers_local,
        through_a_handled_exception,
        beneath_a_sort,
        in_a_generator,
    ],
)
def test_an_abandoned_tasklet_is_collected(function, state):
    t = tasklet(function)()
    gone = weakref.ref(t)
    stackless.run()
    assert t.blocked
    del t
    gc.collect()
    assert log == ["finally"]
    gc.collect()
    assert gone() is None


def test_two_that_wait_for_each_other_are_collected(state):
    def one(mine, other):
        try:
            mine.receive()
            other.send(None)
        finally:
            log.append("finally")

    a, b = channel(), channel()
    tasklet(one)(a, b)
    tasklet(one)(b, a)
    stackless.run()
    del a, b
    gc.collect()
    assert log == ["finally"] * 2


def test_one_that_somebody_can_still_wake_is_not_collected(state):
    c = channel()

    def waits(c):
        try:
            log.append(c.receive())
        finally:
            log.append("finally")

    tasklet(waits)(c)
    stackless.run()
    gc.collect()
    assert log == []
    c.send("woken")
    assert log == ["woken", "finally"]


def test_a_sleeper_is_not_collected(state):
    def sleeps():
        stackless.sleep(0.001)
        log.append("woke up")

    tasklet(sleeps)()
    stackless.pump()
    gc.collect()
    stackless.run()
    assert log == ["woke up"]


def test_one_that_saves_itself_lives_on(state):
    saved = []

    def stubborn():
        c = channel()
        try:
            c.receive()
        except TaskletExit:
            saved.append(stackless.getcurrent())
            log.append(c.receive())

    tasklet(stubborn)()
    stackless.run()
    gc.collect()
    assert saved[0].blocked
    saved[0]._channel.send("later")
    assert log == ["later"]


def test_a_server_that_abandons_tasklets_stays_flat(state):
    def serve():
        for _ in range(200):
            tasklet(through_a_channel)()
            tasklet(in_a_generator)()
        stackless.run()
        gc.collect()

    serve()
    for _ in range(5):
        serve()
        counts = stackless.statistics()
        assert (counts["mounted"], counts["frozen"]) == (0, 0)
    assert len(log) == 6 * 400


def test_what_a_frozen_tasklet_holds_is_seen(state):
    class Thing:
        pass

    def holds(thing):
        channel().receive()

    thing = Thing()
    t = tasklet(holds)(thing)
    stackless.run()
    reachable = gc.get_referents(t)
    assert thing in reachable
    t.kill()


class Waiting:
    """Something whose destructor waits."""

    def __init__(self, gate):
        self.gate = gate

    def __del__(self):
        log.append(self.gate.receive())


def as_an_exception_is_raised(gate):
    with contextlib.suppress(ZeroDivisionError):
        print(Waiting(gate), [object()], {object()}, 1 // 0)


def as_a_call_raises(gate):
    with contextlib.suppress(TypeError):
        print(Waiting(gate), [object()], len(5))


def as_the_arguments_of_a_call_go(gate):
    operator.is_([object()], Waiting(gate))


def as_the_operands_of_an_operator_go(gate):
    [object()] == Waiting(gate)  # noqa: B015


def as_the_argument_of_an_instance_goes(gate):
    Kept([object()], Waiting(gate))


def begun(gate):
    def generator():
        try:
            yield
        finally:
            log.append(gate.receive())

    made = generator()
    next(made)
    return made


def made_for_the_occasion():
    return [object()].pop


def as_a_generator_goes_when_a_call_raises(gate):
    with contextlib.suppress(TypeError):
        print(begun(gate), [object()], made_for_the_occasion()("wrong"))


class Kept:
    def __init__(self, *values):
        pass


@pytest.mark.parametrize(
    "function",
    [
        as_an_exception_is_raised,
        as_a_call_raises,
        as_the_arguments_of_a_call_go,
        as_the_operands_of_an_operator_go,
        as_the_argument_of_an_instance_goes,
        as_a_generator_goes_when_a_call_raises,
    ],
    ids=lambda function: function.__name__,
)
def test_what_has_gone_already_when_a_destructor_waits_is_not_looked_at(state, function):
    gate = channel()
    waiting = tasklet(function)(gate)
    stackless.run()
    assert gate.balance == -1
    # What is made now lies where that lay.
    made = [[object()] for _ in range(1000)]
    gc.collect()
    assert stackless.why_pinned(waiting) is not None
    assert not any(value in made for value in gc.get_referents(waiting) if type(value) is list)
    gate.send("gone")
    stackless.run()
    assert (log, waiting.alive) == (["gone"], False)
