"""Tasklets that wait beneath C code which is known: they can be frozen, and nothing shows it.

Each scenario runs plainly and frozen at every stop; what it notes has to be the same.
"""

from __future__ import annotations

import functools
import gc
import sys
import traceback
import weakref

import pytest
import stackless
from stackless import channel, tasklet

VERSION = sys.version_info[:2]
VALUES = [3, 1, 4, 1, 5, 9, 2, 6]
# Enough for the interpreter to specialise what it runs.
ROUNDS = 20
PLENTY = 100_000


@pytest.fixture(autouse=True)
def budget():
    before = stackless.set_stack_budget(PLENTY)
    yield
    stackless.set_stack_budget(before)


class Stops:
    """A tasklet that runs a scenario, and stops whenever that calls wait()."""

    def __init__(self, scenario, budget):
        self.gate = gate = channel()
        self.notes = []

        def wait():
            return gate.receive()

        def run():
            try:
                scenario(wait, self.notes.append)
            except BaseException as error:
                self.notes.append((type(error), names_in(error)))

        self.budget = budget
        self.number = 0
        self.pins = []
        self.tasklet = tasklet(run)()
        self.go(stackless.run)

    @property
    def stopped(self):
        return self.tasklet.alive

    def go(self, step, *arguments):
        stackless.set_stack_budget(self.budget)
        try:
            step(*arguments)
        finally:
            stackless.set_stack_budget(PLENTY)
        if self.stopped and self.budget == 0 and stackless.statistics()["frozen"] != 1:
            self.pins.append(stackless.why_pinned(self.tasklet))

    def send(self):
        value = VALUES[self.number % len(VALUES)]
        self.number += 1
        self.go(self.gate.send, value)

    def throw(self):
        self.go(self.gate.send_exception, ValueError, "thrown")

    def finish(self):
        while self.stopped:
            self.send()
            assert self.number < 500
        return self.notes


def names_in(error):
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def plainly(scenario):
    return Stops(scenario, PLENTY)


def frozen(scenario):
    return Stops(scenario, 0)


SCENARIOS = {}
PINNED = {}


def scenario(function=None, *, pinned=()):
    """What a tasklet does. `pinned` are the versions on which it can't be frozen at every stop."""
    if function is None:
        return functools.partial(scenario, pinned=pinned)
    SCENARIOS[function.__name__] = function
    PINNED[function.__name__] = VERSION in pinned
    return function


# ---- classes being instantiated ------------------------------------------------------------------


class Waits:
    def __init__(self, wait, x=0, *, k=1):
        self.before = (x, k)
        self.got = wait()
        self.after = wait()


@scenario
def instances(wait, note):
    for i in range(3):
        made = Waits(wait, i)
        note((type(made).__name__, made.before, made.got, made.after))
    note(Waits(wait, k=5).before)
    keywords = {"k": 8}
    note(Waits(wait, *(7,), **keywords).before)
    note(Waits(*[wait, 9]).before)


class Inner(Waits):
    def __init__(self, wait):
        super().__init__(wait, "inner")
        self.own = wait()
        self.part = Waits(wait)
        self.me = lambda: self


@scenario
def instances_of_derived_classes(wait, note):
    made = Inner(wait)
    note((made.got, made.after, made.own, made.part.got, made.me() is made))


@scenario
def instances_that_return_something(wait, note):
    class Returns:
        def __init__(self):
            wait()
            return 5

    try:
        Returns()
    except TypeError as error:
        note((str(error), names_in(error)))


@scenario
def instances_that_fail(wait, note):
    class Fails:
        def __init__(self):
            try:
                wait()
                raise KeyError("failed")
            finally:
                note(wait())

    try:
        Fails()
    except KeyError as error:
        note((names_in(error), error.__context__))


@scenario
def instances_while_an_exception_is_handled(wait, note):
    try:
        raise KeyError("outer")
    except KeyError as error:
        note(Waits(wait).got)
        note(sys.exc_info()[1] is error)
        try:
            raise ValueError
        except ValueError as second:
            note(second.__context__ is error)
    note(sys.exc_info())


@scenario
def instances_seen_from_within(wait, note):
    def callers():
        frame, names = sys._getframe(1), []
        while frame is not None and frame.f_code.co_name != "run":
            names.append((frame.f_code.co_name, frame.f_lineno))
            frame = frame.f_back
        return names

    class Looks:
        def __init__(self):
            wait()
            note(callers())

    Looks()
    note([Looks() is None, callers()])


# ---- functions called through C ------------------------------------------------------------------


def takes(wait, a, b=2, *, c=3):
    return a, b, c, wait()


def wraps(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return "wrapped", function(*args, **kwargs)

    return wrapper


@scenario
def functions_with_argument_lists(wait, note):
    note(takes(wait, *[1, 2]))
    keywords = {"c": 5}
    note(takes(wait, *iter((1, 2)), **keywords))
    note(wraps(takes)(wait, 1))
    note(wraps(wraps(takes))(wait, 1, c=6))


class Callable:
    def __call__(self, wait, a, b=2):
        return type(self).__name__, a, b, wait()


@scenario
def callable_instances(wait, note):
    call = Callable()
    note(call(wait, 1))
    note(call(wait, 1, b=wait()))
    note(Callable()(wait, 5))
    note(call(*[wait, 1, 2]))


# functools.partial lends a slot of the caller's value stack there, and hides what is called.
@scenario(pinned=[(3, 11), (3, 12)])
def partial_functions_with_one_argument(wait, note):
    note(functools.partial(takes, wait)(1))


@scenario
def partial_functions(wait, note):
    note(functools.partial(takes, wait, 1)())
    note(functools.partial(takes, wait, 1)(b=3, c=4))
    note(functools.partial(functools.partial(takes, wait, 1), 8)())


# ---- what has to hold for all --------------------------------------------------------------------

every_scenario = pytest.mark.parametrize("name", SCENARIOS)


@every_scenario
def test_the_results_are_the_same(name):
    expected = plainly(SCENARIOS[name]).finish()
    assert expected
    for _ in range(ROUNDS):
        stops = frozen(SCENARIOS[name])
        assert stops.finish() == expected
        if PINNED[name]:
            assert stops.pins
        else:
            assert stops.pins == []


def number_of_stops(name):
    stops = plainly(SCENARIOS[name])
    stops.finish()
    return stops.number


@every_scenario
def test_an_exception_thrown_in_does_the_same(name):
    for n in range(number_of_stops(name)):
        results = []
        for start in plainly, frozen:
            stops = start(SCENARIOS[name])
            for _ in range(n):
                stops.send()
            stops.throw()
            results.append(stops.finish())
        assert results[0] == results[1]


@every_scenario
def test_it_can_be_killed_while_frozen(name):
    for n in range(number_of_stops(name)):
        results = []
        for start in plainly, frozen:
            stops = start(SCENARIOS[name])
            for _ in range(n):
                stops.send()
            stops.tasklet.kill()
            results.append(stops.finish())
        assert results[0] == results[1]


@every_scenario
def test_collections_find_everything(name):
    expected = plainly(SCENARIOS[name]).finish()
    stops = frozen(SCENARIOS[name])
    while stops.stopped:
        gc.collect()
        stops.send()
        gc.collect()
    assert stops.notes == expected


@every_scenario
def test_it_may_be_forgotten_while_frozen(name):
    """The last reference to a blocked tasklet goes: TaskletExit, as ever."""
    if PINNED[name]:
        pytest.skip("what a pinned one holds the collector doesn't see")
    for n in range(number_of_stops(name)):
        stops = frozen(SCENARIOS[name])
        for _ in range(n):
            stops.send()
        gone = weakref.ref(stops.gate)
        del stops
        gc.collect()
        assert gone() is None


def count_references():
    gc.collect()
    count = getattr(sys, "gettotalrefcount", None)
    return count() if count is not None else sys.getallocatedblocks()


def run_at_every_stop(name):
    frozen(SCENARIOS[name]).finish()
    stops = frozen(SCENARIOS[name])
    stops.throw()
    stops.finish()


@every_scenario
def test_nothing_leaks(name):
    for _ in range(100):
        run_at_every_stop(name)
    growth = []
    for _ in range(3):
        before = count_references()
        for _ in range(100):
            run_at_every_stop(name)
        growth.append(count_references() - before)
    assert min(growth) < 50, growth
