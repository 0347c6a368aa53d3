"""Finalizers and weakref callbacks that switch, and what they drop."""

from __future__ import annotations

import functools
import gc
import weakref

import pytest
import stackless
import stackless.socket
from stackless import channel, tasklet


def pauses(log, name="t"):
    try:
        stackless.schedule_remove()
    except BaseException as error:
        log.append((name, type(error).__name__))
        raise
    finally:
        log.append((name, "finally"))


KILLED = [("t", "TaskletExit"), ("t", "finally")]


def test_a_weakref_callback_may_switch():
    log = []

    class Thing:
        pass

    def switches(_reference):
        log.append("callback>")
        stackless.schedule()
        log.append("<callback")

    def work():
        thing = Thing()
        reference = weakref.ref(thing, switches)
        log.append("del>")
        del thing
        log.append("<del")
        return reference

    tasklet(work)()
    tasklet(log.append)("neighbour")
    stackless.run()
    assert log == ["del>", "callback>", "neighbour", "<callback", "<del"]


class Switcher:
    """Its finalizer switches."""

    def __init__(self, log):
        self.log = log

    def __del__(self):
        self.log.append("finalizer>")
        stackless.schedule()
        self.log.append("<finalizer")


def test_a_finalizer_may_switch():
    log = []

    def work():
        thing = Switcher(log)
        log.append("del>")
        del thing
        log.append("<del")

    tasklet(work)()
    tasklet(log.append)("neighbour")
    stackless.run()
    assert log == ["del>", "finalizer>", "neighbour", "<finalizer", "<del"]


def test_a_finalizer_may_switch_while_the_collector_runs():
    log = []

    def work():
        thing = Switcher(log)
        thing.myself = thing
        del thing
        gc.collect()
        log.append("collected")

    tasklet(work)()
    tasklet(log.append)("neighbour")
    stackless.run()
    assert log == ["finalizer>", "neighbour", "<finalizer", "collected"]


def test_a_finalizer_may_switch_at_the_end_of_its_tasklet():
    log = []

    def work():
        local = Switcher(log)
        assert local

    tasklet(work)()
    tasklet(log.append)("neighbour")
    stackless.run()
    assert log == ["finalizer>", "neighbour", "<finalizer"]


def test_a_finalizer_may_receive_from_a_channel():
    log = []
    c = channel()

    class Receiver:
        def __del__(self):
            log.append(c.receive())

    def work():
        local = Receiver()
        del local
        log.append("deleted")

    tasklet(work)()
    stackless.run()
    assert (log, c.balance) == ([], -1)
    c.send("message")
    stackless.run()
    assert log == ["message", "deleted"]


def test_a_finalizer_may_drop_the_last_reference_to_a_blocked_tasklet():
    log = []

    class Owner:
        def __del__(self):
            log.append("finalizer>")
            del self.t
            log.append("<finalizer")

    owner = Owner()
    owner.t = tasklet(pauses)(log)
    owner.t.run()
    del owner
    assert log == ["finalizer>", *KILLED, "<finalizer"]


# ---- destructors that are functions of ours ------------------------------------------------------

GATE, TOLD = channel(), channel()
PAIR = []
REFERENCES = []


class Thing:
    """Something that can have a weak reference."""


def tells(_):
    thing = Thing()
    REFERENCES[:] = [weakref.ref(thing, TOLD.send)]
    return thing


def schedules(_):
    thing = Thing()
    REFERENCES[:] = [weakref.ref(thing, stackless.schedule)]
    return thing


def with_destructor(make):
    """Return what makes an object with the destructor that `make` returns."""

    def make_thing(checker):
        return type("Thing", (), {"__del__": make(checker)})()

    make_thing.__name__ = make.__name__
    return make_thing


@with_destructor
def receives(_):
    return TOLD.receive


@with_destructor
def gives(_):
    return staticmethod(functools.partial(TOLD.send, "gone"))


@with_destructor
def steps_aside(_):
    return stackless.schedule


@with_destructor
def removes(_):
    return stackless.schedule_remove


@with_destructor
def sleeps(_):
    return staticmethod(functools.partial(stackless.sleep, 0))


@with_destructor
def runs(checker):
    return checker.run


@with_destructor
def switches(checker):
    return checker.switch


@with_destructor
def reads(_):
    return staticmethod(functools.partial(PAIR[0].recv, 1))


DESTRUCTORS = [
    tells,
    schedules,
    receives,
    gives,
    steps_aside,
    removes,
    sleeps,
    runs,
    switches,
    reads,
]


def sends(make):
    return GATE.send(make())


def sends_tuple(make):
    return GATE.send(*(make(),))


def sends_list(make):
    return GATE.send(*[make()])


def sends_by_class(make):
    return type(GATE).send(GATE, make())


def sends_by_a_method_that_goes(make):
    return getattr(GATE, "send")(make())  # noqa: B009


class Box(channel):
    """A channel that takes something with it."""

    def __init__(self, thing):
        """Keep the thing."""
        super().__init__()
        self.thing = thing
        self.preference = 1


def receives_from_one_that_goes(make):
    return Box(make()).receive()


def receives_by_a_method_that_goes(make):
    return getattr(Box(make()), "receive")()  # noqa: B009


PROGRAMS = [
    sends,
    sends_tuple,
    sends_list,
    sends_by_class,
    sends_by_a_method_that_goes,
    receives_from_one_that_goes,
    receives_by_a_method_that_goes,
]


def repeat(program, make, log):
    for _ in range(ROUNDS):
        log.append(program(make))


ROUNDS = 200  # enough for the interpreter to specialise the call


def end_call(t):
    """Let the call return in which the tasklet waits; it doesn't run yet."""
    if t._channel.balance > 0:
        t._channel.receive()
    else:
        t._channel.send(None)


def end_destructor(t):
    """Do what the tasklet waits for in the destructor."""
    if TOLD.balance > 0:
        TOLD.receive()
    elif TOLD.balance < 0:
        TOLD.send(None)
    elif t.paused:
        t.insert()
    else:
        PAIR[1].send(b"x")


def check_pinned(t, reasons):
    """Look at a tasklet that waits in the destructor."""
    stackless.set_stack_budget(1000)
    if len(reasons) in (0, ROUNDS - 1):
        gc.collect()
    reason = stackless.why_pinned(t)
    # What pickle does freezes it if it can.
    reasons.append((reason, t.restorable, t.__reduce__()[2][-1]))
    end_destructor(t)


@pytest.fixture
def pair():
    PAIR[:] = stackless.socket.socketpair()
    yield
    for each in PAIR:
        each.close()


@pytest.fixture(params=["mounted", "frozen"])
def budget(request):
    before = stackless.set_stack_budget(1000)
    yield 1000 if request.param == "mounted" else 0
    stackless.set_stack_budget(before)


@pytest.mark.usefixtures("pair")
@pytest.mark.parametrize("destructor", DESTRUCTORS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_one_that_waits_in_the_destructor_of_an_operand_is_pinned(destructor, program, budget):
    """The call is over, and has begun to drop its operands: it can't be the one that waits."""
    log, reasons, checkers = [], [], []

    def make():
        checkers.append(tasklet(check_pinned)(t, reasons).remove())
        return destructor(checkers[-1])

    t = tasklet(repeat)(program, make, log)
    stackless.run()
    for done in range(1, ROUNDS + 1):
        end_call(t)
        checkers[-1].insert()
        stackless.set_stack_budget(budget)
        stackless.run()
        assert (len(reasons), log) == (done, [None] * done)
    assert not t.alive
    assert {restorable for _, restorable, _ in reasons} == {False}
    assert all(
        reason == pickled and reason.startswith("C code is in the way: ")
        for reason, _, pickled in reasons
    )


class Loop(channel):
    """A channel that can have a weak reference."""


def iterates(log):
    holder = [Loop()]
    REFERENCES[:] = [weakref.ref(holder[0], TOLD.send), weakref.ref(holder[0])]
    for each in holder.pop():
        log.append(each)
    log.append("end")


def test_one_that_waits_in_the_destructor_of_what_it_looped_over_is_pinned(budget):
    log = []
    t = tasklet(iterates)(log)
    stackless.run()
    loop = REFERENCES[1]()
    loop.close()
    loop.preference = 1
    loop.send("last")
    del loop
    stackless.set_stack_budget(budget)
    stackless.run()
    stackless.set_stack_budget(1000)
    assert (log, TOLD.balance) == (["last"], 1)
    assert (t.restorable, stackless.why_pinned(t) is None) == (False, False)
    TOLD.receive()
    stackless.run()
    assert (log, t.alive) == (["last", "end"], False)


class Waits:
    """Waits as it is made, several times for the interpreter to specialise that."""

    def __init__(self):
        """Wait."""
        self.got = GATE.receive()


def test_a_collection_looks_at_one_that_waits_in_an_init(budget):
    """The interpreter calls it from a frame of its own, whose instruction nothing is known of."""
    log = []
    t = tasklet(lambda: log.extend(Waits().got for _ in range(50)))()
    stackless.set_stack_budget(budget)
    stackless.run()
    for i in range(50):
        gc.collect(0)
        GATE.send(i)
    assert (log, t.alive) == (list(range(50)), False)
