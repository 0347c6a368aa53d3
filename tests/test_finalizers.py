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


# ---- destructors that are Python functions, and don't look like that -----------------------------


class Temporary:
    """Nobody keeps it: the instruction that has used it drops it."""

    attribute = 1

    def __add__(self, _other):
        """Return a number."""
        return 1.5

    def __eq__(self, _other):
        """Be equal to nothing."""
        return False

    __hash__ = None

    def __neg__(self):
        """Return a number."""
        return 1.5

    def __bool__(self):
        """Be true."""
        return True

    def __str__(self):
        """Always look the same."""
        return "temporary"

    def __getitem__(self, _key):
        """Have one item."""
        return 1.5

    def __setitem__(self, _key, _value):
        """Ignore it."""

    def __delitem__(self, _key):
        """Ignore it."""

    def __contains__(self, _item):
        """Have it."""
        return True

    def __call__(self, *_arguments):
        """Return a number."""
        return 1.5

    def __enter__(self):
        """Return a number."""
        return 1.5

    def __exit__(self, *_error):
        """Ignore it."""

    def __iter__(self):
        """Have one item."""
        yield 1.5


class Keeper:
    """Is told when something goes."""

    def gone(self, _reference):
        """Wait."""
        TOLD.send(None)


def gone_with_more(_more, _reference):
    TOLD.send(None)


def gone_with_anything(*_references):
    TOLD.send(None)


def gone_and_seen(reference):
    def look():
        return reference

    TOLD.send(None)
    return look


def gone_and_forgotten(_more, reference):
    del reference
    TOLD.send(None)


def gone_and_replaced(_more, reference):
    reference = reference()
    TOLD.send(None)


KEEPER = Keeper()
CALLBACKS = {
    "forgets": functools.partial(gone_and_forgotten, 1),
    "replaces": functools.partial(gone_and_replaced, 1),
    "method": KEEPER.gone,
    "partial": functools.partial(gone_with_more, 1),
    "any": gone_with_anything,
    "cell": gone_and_seen,
    "finalize": None,
    "__del__": None,
}


class Deleted(Temporary):
    """Has a destructor that is no function."""

    __del__ = functools.partialmethod(gone_and_replaced, weakref.ref(Temporary))


def deletes_item(make):
    del make()[make()]


def enters(make):
    with make() as number:
        return number


def sets_item(make):
    make()[make()] = make()


def sets_attribute(make):
    make().attribute = make()


def loops(make):
    return [number for number in make()]  # noqa: C416


def unpacks(make):
    (number,) = make()
    return number


def adds_in_place(make):
    number = make()
    number += make()
    return number


def raises(make):
    try:
        return [make(), make(), make() * make()]
    except TypeError:
        return 1.5


def raises_in_call(make):
    try:
        return [make(), isinstance(make(), make())]
    except TypeError:
        return 1.5


DROPPING = {
    "adds": lambda make: make() + make(),
    "compares": lambda make: make() == make(),
    "gets item": lambda make: make()[make()],
    "sets item": sets_item,
    "deletes item": deletes_item,
    "sets attribute": sets_attribute,
    "contains": lambda make: make() in make(),
    "calls": lambda make: make()(make()),
    "calls partial": lambda make: functools.partial(make(), make())(make()),
    "calls tuple": lambda make: make()(*(make(), make())),
    "calls built-in": lambda make: isinstance(make(), Temporary),
    "calls with names": lambda make: sorted([], key=make()),
    "calls by map": lambda make: list(map(make(), [make()])),
    "enters": enters,
    "loops": loops,
    "gets attribute": lambda make: make().attribute,
    "negates": lambda make: -make(),
    "tests": lambda make: not make(),
    "formats": lambda make: f"{make()}",
    "unpacks": unpacks,
    "adds in place": adds_in_place,
    "raises": raises,
    "raises in a call": raises_in_call,
}


@pytest.mark.parametrize("callback", CALLBACKS)
@pytest.mark.parametrize("program", DROPPING)
def test_one_that_waits_while_an_instruction_drops_what_it_has_used(program, callback, budget):
    """Some of what was on the value stack is gone, and nobody may look at it."""
    references, log, waited = [], [], 0

    def make():
        thing = Deleted() if callback == "__del__" else Temporary()
        if callback == "__del__":
            references.append(None)
        elif callback == "finalize":
            references.append(weakref.finalize(thing, gone_with_anything))
        else:
            references.append(weakref.ref(thing, CALLBACKS[callback]))
        return thing

    def repeat():
        for _ in range(20):  # enough for the interpreter to specialise the instruction
            log.append(DROPPING[program](make))

    t = tasklet(repeat)()
    stackless.set_stack_budget(budget)
    stackless.run()
    while t.alive:
        waited += 1
        assert t.restorable is False
        assert stackless.why_pinned(t) is not None
        gc.collect()
        TOLD.receive()
        stackless.run()
    assert waited == len(references)
    assert log == [log[0]] * 20


class Left:
    """Waits before it says that it doesn't know how to add."""

    def __add__(self, _other):
        """Wait."""
        GATE.receive()
        return NotImplemented


class Right:
    """Adds itself to anything."""

    def __radd__(self, _other):
        """Add."""
        return 1.5


def drop_operands(budgets):
    """Add two temporaries; return who goes first."""
    log, references = [], []

    def make(kind):
        thing = kind()
        references.append(weakref.finalize(thing, TOLD.send, kind.__name__))
        return thing

    t = tasklet(lambda: log.append(make(Left) + make(Right)))()
    stackless.set_stack_budget(budgets[0])
    stackless.run()
    stackless.set_stack_budget(budgets[1])
    GATE.send(None)
    names = []
    while t.alive:
        assert t.restorable is False
        gc.collect()
        names.append(TOLD.receive())
        stackless.run()
    assert log == [1.5]
    return names


@pytest.mark.parametrize("budgets", [(0, 0), (0, 1000), (1000, 0)])
def test_one_that_waits_while_an_operator_drops_its_operands(budgets):
    """What has gone on with the operator for C code is over, too; they go in the same order."""
    before = stackless.set_stack_budget(1000)
    try:
        mounted = drop_operands((1000, 1000))
        assert set(mounted) == {"Left", "Right"}
        assert drop_operands(budgets) == mounted
    finally:
        stackless.set_stack_budget(before)
