"""Tasklets that wait beneath C code which is known: they can be frozen, and nothing shows it.

Each scenario runs plainly and frozen at every stop; what it notes has to be the same.
"""

from __future__ import annotations

import abc
import collections
import contextlib
import contextvars
import dataclasses
import enum
import functools
import gc
import importlib
import importlib.abc
import importlib.machinery
import itertools
import math
import operator
import os
import pickle
import sys
import traceback
import types
import warnings
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

        wait.gate = gate

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
    # Not by extract_tb(), which reads and compiles the line of each frame.
    return [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]


def plainly(scenario):
    return Stops(scenario, PLENTY)


def frozen(scenario):
    return Stops(scenario, 0)


STARTS = (plainly, frozen)
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


@scenario
def waits_with_tuples_of_arguments(wait, note):
    gate = wait.__closure__[0].cell_contents
    note(gate.receive(*()))
    note(functools.reduce(lambda a, b: a + b, [gate.receive(*tuple(""))], 1))


# The interpreter makes a tuple of them then, which only its own C code knows.
@scenario(pinned=[(3, 11), (3, 12), (3, 13)])
def waits_with_lists_of_arguments(wait, note):
    gate = wait.__closure__[0].cell_contents
    note(gate.receive(*[]))


@scenario(pinned=[(3, 11), (3, 12), (3, 13)])
def waits_with_iterators_over_arguments(wait, note):
    gate = wait.__closure__[0].cell_contents
    note(gate.receive(*iter(())))


# ---- generators ----------------------------------------------------------------------------------


def collect(items):  # list() would be C code that keeps something
    return [item for item in items if item is not None]


def numbers(wait, n):
    for i in range(n):
        got = yield i, wait()
        if got is not None:
            yield "sent", got
    return f"done {n}"


@scenario()
def loops_over_generators(wait, note):
    for x in numbers(wait, 3):
        note(x)
    else:
        note("else")
    for x in numbers(wait, 2):
        for y in numbers(wait, 2):
            note((x, y, wait()))
    generator = numbers(wait, 5)
    for x in generator:
        if x[0] == 1:
            break
    note(next(generator))
    generator.close()


def handles(wait):
    try:
        yield wait()
        yield 1 / 0
    except ZeroDivisionError as error:
        yield repr(error), wait()
    try:
        raise KeyError("inner")
    except KeyError:
        yield wait()
        yield repr(sys.exc_info()[1]), wait()
    yield repr(sys.exc_info()[1])


@scenario()
def generators_that_handle_exceptions(wait, note):
    try:
        raise IndexError("outer")
    except IndexError:
        for x in handles(wait):
            note((x, repr(sys.exc_info()[1])))
    note(sys.exc_info())


@scenario()
def generators_that_fail(wait, note):
    def stops():
        wait()
        raise StopIteration(5)
        yield

    for consume in (next, collect, lambda g: g.send(None)):
        try:
            consume(stops())
        except RuntimeError as error:
            note((str(error), repr(error.__cause__), repr(error.__context__), names_in(error)))


@scenario()
def delegating_generators(wait, note):
    def delegates():
        note((yield from numbers(wait, 2)))
        note((yield from numbers(wait, 1)))
        return wait()

    for x in delegates():
        note(x)
    for x in (y for y in (z for z in delegates())):
        note(x)


@scenario()
def next_of_generators(wait, note):
    generator = numbers(wait, 2)
    note(next(generator))
    note(wait())
    note(generator.__next__())
    for _ in range(3):
        note(next(generator, "default"))
    for generator in numbers(wait, 0), (wait() for _ in ()), numbers(wait, 1):
        try:
            while True:
                note(next(generator))
        except StopIteration as stop:
            note((stop.value, names_in(stop)))


@scenario()
def sends_to_generators(wait, note):
    generator = numbers(wait, 3)
    note(generator.send(None))
    note(generator.send("a"))
    send = generator.send
    note(send(None))
    note(send("b"))
    try:
        while True:
            note(send(None))
    except StopIteration as stop:
        note(stop.value)


@scenario()
def throws_into_generators(wait, note):
    def catches():
        try:
            yield 1
        except KeyError as error:
            note(("caught", repr(error), wait()))
        try:
            yield 2
        finally:
            note(wait())

    generator = catches()
    next(generator)
    note(generator.throw(KeyError("thrown")))
    try:
        generator.throw(ValueError("uncaught"))
    except ValueError as error:
        note((repr(error), names_in(error)))


class Awaitable:
    def __init__(self, wait):
        self.wait = wait

    def __await__(self):
        return (yield from numbers(self.wait, 1))


async def adds(wait, n):
    return n + wait()


async def awaits(wait, note, n):
    note(await Awaitable(wait))
    return [await adds(wait, n), await adds(wait, n + 10)]


@scenario()
def coroutines(wait, note):
    coroutine = awaits(wait, note, 1)
    note(coroutine.send(None))
    try:
        coroutine.send(None)
    except StopIteration as stop:
        note(stop.value)


# ---- asynchronous generators ---------------------------------------------------------------------


@types.coroutine
def pause(value):
    return (yield value)


def run_coroutine(wait, note, coroutine):
    """Drive it like an event loop, which waits, too."""
    sent = None
    try:
        while True:
            sent = (coroutine.send(sent), wait())
            note(("paused", sent))
    except StopIteration as stop:
        note(("returned", stop.value))


async def gives(wait, note, n):
    try:
        for i in range(n):
            note(("before", wait()))
            got = yield i, wait()
            note(("got", got, wait(), await pause(i), wait(), await adds(wait, 1)))
    except KeyError as error:
        note(("caught", repr(error), wait(), await pause("caught")))
        yield "from except", wait()
    finally:
        note("finally")


@scenario()
def loops_over_asynchronous_generators(wait, note):
    async def loops():
        async for value in gives(wait, note, 3):
            note((value, wait(), await pause("loop")))
        note([value async for value in gives(wait, note, 2) if wait()])
        note({value async for value in (each async for each in gives(wait, note, 1))})
        return wait()

    run_coroutine(wait, note, loops())


@scenario()
def asynchronous_generators_by_hand(wait, note):
    async def drives():
        values = gives(wait, note, 5)
        note(await values.__anext__())
        note(await values.asend(wait()))
        note((await values.athrow(KeyError(1)), values.ag_running))
        try:
            await values.asend("end")
        except StopAsyncIteration as error:
            note((repr(error), names_in(error), values.ag_running))
        note((await values.aclose(), values.ag_frame))
        values = gives(wait, note, 5)
        note(await anext(values))
        try:
            await values.athrow(ValueError(2))
        except ValueError as error:
            note((repr(error), names_in(error), values.ag_running))

    run_coroutine(wait, note, drives())


@scenario(pinned=[VERSION])
def anext_with_a_default(wait, note):
    async def asks():
        values = gives(wait, note, 1)
        note(await anext(values, "default"))
        note(await anext(values, "default"))

    run_coroutine(wait, note, asks())


@scenario()
def asynchronous_generators_that_are_closed(wait, note):
    async def ignores():
        try:
            yield wait()
        except GeneratorExit:
            note((wait(), await pause("closing")))
            yield wait()

    async def obeys():
        with contextlib.suppress(GeneratorExit):
            yield wait()
        note((wait(), await pause("closing")))

    async def fails():
        try:
            yield wait()
        except GeneratorExit:
            raise KeyError(wait())  # noqa: B904

    async def closes():
        for make in ignores, obeys, fails, lambda: gives(wait, note, 2):
            values = make()
            note(await values.__anext__())
            closing = values.aclose()
            try:
                note(await closing)
            except (RuntimeError, KeyError) as error:
                note((repr(error), names_in(error), repr(error.__context__)))
            note((values.ag_running, values.ag_frame is None))
            try:
                await closing
            except RuntimeError as error:
                note(repr(error))

    run_coroutine(wait, note, closes())


@scenario()
def asynchronous_generators_driven_by_an_event_loop(wait, note):
    values = gives(wait, note, 2)
    for make in values.__anext__, values.__anext__, values.aclose, values.__anext__:
        asked = make()
        try:
            while True:
                note(("paused", asked.send(None), values.ag_running))
        except (StopIteration, StopAsyncIteration) as error:
            note((repr(error), names_in(error), values.ag_running))
        try:
            asked.send(None)
        except (RuntimeError, StopIteration) as error:
            note(repr(error))


@contextlib.asynccontextmanager
async def manages_later(wait, note, name):
    note((name, "enters", wait(), await pause(name)))
    try:
        yield wait()
    except KeyError as error:
        note((name, repr(error), wait()))
    else:
        note((name, "exits", wait(), await pause(name)))


@scenario()
def asynchronous_context_managers(wait, note):
    async def enters():
        async with manages_later(wait, note, 1) as value, manages_later(wait, note, 2):
            note((value, wait()))
        async with manages_later(wait, note, 3):
            raise KeyError
        try:
            async with manages_later(wait, note, 4):
                raise ValueError(5)
        except ValueError as error:
            note(names_in(error))
        async with contextlib.aclosing(gives(wait, note, 2)) as values:
            note(await anext(values))
        return wait()

    run_coroutine(wait, note, enters())


@scenario()
def asynchronous_generators_that_handle_exceptions(wait, note):
    async def handles():
        try:
            raise KeyError(wait())
        except KeyError:
            yield repr(sys.exception())
            note((wait(), repr(sys.exception())))
            try:
                raise ValueError(wait())
            except ValueError as error:
                yield repr(sys.exception()), repr(error.__context__)
            note((wait(), repr(sys.exception())))
        raise IndexError(wait())

    async def loops():
        try:
            raise OSError(1)
        except OSError:
            try:
                async for value in handles():
                    note((value, repr(sys.exception())))
            except IndexError as error:
                note((repr(error.__context__), names_in(error)))
            note(repr(sys.exception()))

    run_coroutine(wait, note, loops())


@scenario()
def generators_and_instances(wait, note):
    class Deep:
        def __init__(self, n):
            self.list = collect(makes(n))
            self.more = collect(y for y in makes(n + 1))

    def makes(n):
        made = Waits(wait, n)
        yield made.before, made.got
        yield from numbers(wait, 1)

    def recurses(n):
        if n:
            yield from recurses(n - 1)
            yield Waits(wait, n).got

    deep = Deep(1)
    note((deep.list, deep.more))
    deep = functools.partial(Deep, 2)
    note(collect(recurses(5)))


# ---- with ----------------------------------------------------------------------------------------


class Manager:
    def __init__(self, wait, note, suppresses=False):
        self.wait = wait
        self.note = note
        self.suppresses = suppresses

    def __enter__(self):
        self.note(("enter", self.wait()))
        return self.wait()

    def __exit__(self, kind, *_):
        self.note(("exit", kind, self.wait()))
        return self.suppresses


@scenario
def context_managers(wait, note):
    with Manager(wait, note) as a, Manager(wait, note) as b:
        note((a, b, wait()))
    try:
        with Manager(wait, note):
            raise KeyError("within")
    except KeyError as error:
        note(names_in(error))
    with Manager(wait, note, suppresses=True):
        raise KeyError("suppressed")
    note(sys.exc_info())


@contextlib.contextmanager
def manages(wait, note, name):
    note(("open", name, wait()))
    try:
        yield name
    except KeyError as error:
        note((repr(error), wait()))
    finally:
        note(("close", name, wait()))


@scenario()
def context_managers_made_of_generators(wait, note):
    with manages(wait, note, "a") as a:
        note((a, wait()))
    with manages(wait, note, "b"):
        raise KeyError("handled")
    try:
        with manages(wait, note, "c"):
            raise ValueError("not handled")
    except ValueError as error:
        note(repr(error))

    @manages(wait, note, "decorator")
    def decorated():
        return wait()

    note(decorated())


# ---- attributes ----------------------------------------------------------------------------------


class Doubles:
    """A descriptor."""

    def __get__(self, instance, owner):
        return 2 * instance.wait()

    def __set__(self, instance, value):
        instance.value = value * instance.wait()


class Attributes:
    doubles = Doubles()

    def __init__(self, wait):
        self.wait = wait
        self.value = 0

    @property
    def plain(self):
        return self.wait() + self.value

    @plain.setter
    def plain(self, value):
        self.value = value + self.wait()

    @property
    def function(self):
        wait = self.wait
        wait()
        return lambda x: (x, wait())

    @functools.cached_property
    def cached(self):
        return self.wait()

    @property
    def fails(self):
        self.wait()
        raise AttributeError("no such thing")


@scenario
def properties(wait, note):
    it = Attributes(wait)
    note(it.plain)
    note(it.plain + it.plain)
    note(it.function(3))
    it.plain = 8
    note(it.value)
    note(getattr(it, "plain"))  # noqa: B009
    try:
        note(it.fails)
    except AttributeError as error:
        note((str(error), names_in(error)))


@scenario
def other_descriptors(wait, note):
    it = Attributes(wait)
    note(it.doubles)
    it.doubles = 5
    note(it.value)
    note(it.cached)
    note(it.cached)


class Descriptor:
    def __init__(self, wait):
        self.wait = wait

    def __get__(self, instance, owner):
        return instance is None, owner.__name__, self.wait()


@scenario
def attributes_beyond(wait, note):
    class Base:
        got = Descriptor(wait)

        @property
        def own(self):
            return type(self).__name__, wait()

        @property
        def callable(self):
            value = wait()
            return lambda *rest: (value, rest)

        @property
        def fails(self):
            raise AttributeError(wait())

    class Middle(Base):
        def others(self):
            def inner(it):
                return self, super().got

            note(inner(self)[1])
            self, _ = inner(self)
            beyond = super()
            return beyond.own, beyond.callable(2), getattr(super(), "own")  # noqa: B009

        @classmethod
        def of_class(cls):
            return super().got, isinstance(super().own, property)

    class Last(Middle):
        own = callable = None

        @property
        def all(self):
            value = super().own, super().callable(wait()), super().got
            return [value, super().others()], lambda: self

        @property
        def none(self):
            return super().fails

        @classmethod
        def of_class(cls):
            return super().of_class(), super().got, cls.__name__

    for _ in range(3):
        it = Last()
        note(it.all[0])
        note(it.of_class())
        attempt(note, lambda it=it: it.none, AttributeError)


@scenario(pinned=[(3, 14), (3, 15)])
def attributes_beyond_a_named_class(wait, note):
    class Base:
        got = Descriptor(wait)

        @property
        def own(self):
            return type(self).__name__, wait()

    class Derived(Base):
        own = got = None

        def all(self, kind):
            return super(kind, self).own, [super(kind, self).got], super(kind, self).own.count(1)

    class Last(Derived):
        own = None

    for _ in range(3):
        note(Last().all(Derived))


class Anything:
    def __init__(self, wait):
        self.__dict__["wait"] = wait

    def __getattr__(self, name):
        wait = self.wait
        return (lambda: (name, wait())) if name == "call" else (name, wait())

    def __setattr__(self, name, value):
        self.__dict__[name] = value, self.wait()


@scenario
def attributes_made_up(wait, note):
    it = Anything(wait)
    note((it.one, it.two))
    note(it.call())
    it.three = 3
    note(it.three)


# ---- containers, truth, operators ----------------------------------------------------------------


class Container:
    def __init__(self, wait, note):
        self.wait = wait
        self.note = note

    def __getitem__(self, key):
        return key, self.wait()

    def __setitem__(self, key, value):
        self.note((key, value, self.wait()))

    def __delitem__(self, key):
        self.note(("deleted", key, self.wait()))

    def __contains__(self, key):
        return self.wait() > 3

    def __iter__(self):
        self.wait()
        return iter([1, 2])

    def __len__(self):
        return self.wait()


@scenario
def containers(wait, note):
    it = Container(wait, note)
    note((it[1], it[2:3], it[it[4]]))
    it[5] = 6
    it[5:6] = 7
    del it[7]
    del it[7:8]
    note((8 in it, 8 not in it, 9 in it))
    for x in it:
        note(x)
    note(collect(it))
    note(len(it))


def attempt(note, function, *errors):
    try:
        note(function())
    except (TypeError, *errors) as error:
        note((str(error), names_in(error)))


class Truth:
    def __init__(self, wait):
        self.wait = wait

    def __bool__(self):
        got = self.wait()
        return got > 2 if got != 9 else got


@scenario
def truth_tests(wait, note):
    it = Truth(wait)
    if it:
        note("true")
    note(not it)
    note("yes" if it else "no")
    note("no" if not it else "yes")
    while it:
        note("again")
        attempt(note, lambda: 1 if it else 2)
    note(1 if it or it else 2)


class Holds:
    """Waits in code that has nothing else on its value stack, and no variables."""

    gate = None

    def __bool__(self):
        return self.gate()() > 2


def both():
    return Holds() and 1


def either():
    return Holds() or 1


@scenario
def logic(wait, note):
    it = Truth(wait)
    Holds.gate = weakref.ref(wait)
    for _ in range(3):
        attempt(note, lambda: type(it and 1).__name__)
        attempt(note, lambda: type(it or 1).__name__)
        note((type(both()).__name__, type(either()).__name__))
    note([str((it and 1) or (it and 2)) for _ in range(3)])


@scenario
def wrong_results(wait, note):
    class Wrong:
        def __len__(self):
            return -wait()

        def __iter__(self):
            return wait()

        def __bool__(self):
            return wait()

        def __contains__(self, _):
            return Other(wait, 1)

        def __enter__(self):
            raise KeyError(wait())

        def __exit__(self, *_):
            pass

    wrong = Wrong()
    for attempted in (
        lambda: len(wrong),
        lambda: collect(wrong),
        lambda: not wrong,
        lambda: 1 in wrong,
    ):
        try:
            note(attempted())
        except (TypeError, ValueError) as error:
            note((repr(error), names_in(error)))
    try:
        with wrong:
            pass
    except KeyError as error:
        note((repr(error), names_in(error)))


@scenario
def truth_by_length(wait, note):
    class Sized:
        def __len__(self):
            got = wait()
            return results.get(got, got)

    results = {3: 0, 4: -1, 5: "five", 9: 2**70, 2: Index(wait)}
    it = Sized()
    for _ in range(8):
        for tested in (
            lambda: "yes" if it else "no",
            lambda: "no" if not it else "yes",
            lambda: not it,
            lambda: bool(it),
            lambda: [1 for _ in "a" if it],
        ):
            attempt(note, tested, TypeError, ValueError, OverflowError)
    while it:
        note("again")


class Index:
    def __init__(self, wait):
        self.wait = wait

    def __index__(self):
        return 0


# ---- conversions ---------------------------------------------------------------------------------


class Text(str):
    __slots__ = ()

    def __format__(self, spec):
        return f"formatted {str(self)!r} with {spec!r}"


class Whole(int):
    pass


class Real(float):
    pass


class Imaginary(complex):
    pass


class Raw(bytes):
    pass


CONVERTED = [
    "text",
    "t\xe9xt \u20ac",
    Text("more text"),
    Text("m\xf6re"),
    7,
    -1,
    True,
    Whole(8),
    2**200,
    0.5,
    Real(1.5),
    1j,
    Imaginary(2j),
    b"raw",
    Raw(b"rawer"),
    None,
    ["b", "a"],
    [1, "a"],
    NotImplemented,
    ValueError,
]


def method_that_waits(self, *_):
    value = CONVERTED[self.number]
    self.wait()
    if value is ValueError:
        raise ValueError("raised")
    return value


METHODS = (
    *("str", "repr", "format", "int", "float", "complex", "bytes", "index", "fspath", "dir"),
    *("hash", "abs", "round", "reversed", "floor", "ceil", "trunc", "divmod", "rdivmod", "pow"),
)
Converted = type("Converted", (), {f"__{name}__": method_that_waits for name in METHODS})
Converted.__qualname__ = "Inside.Converted"
HasStr = type("HasStr", (), {"__str__": method_that_waits})
HasRepr = type("HasRepr", (), {"__repr__": method_that_waits})

CONVERSIONS = {
    "str": lambda x: str(x),
    "repr": lambda x: repr(x),
    "ascii": lambda x: ascii(x),
    "format": lambda x: (format(x), format(x, ""), format(x, ">9")),
    "fstring": lambda x: f"{x}",
    "fstring_with_spec": lambda x: f"{x:>{5 + 4}}",
    "fstring_str": lambda x: f"{x!s}",
    "fstring_repr": lambda x: f"{x!r}",
    "fstring_ascii": lambda x: f"{x!a}",
    "fstring_repr_with_spec": lambda x: f"{x!r:>20}",
    "fstring_of_many": lambda x: f"{x} {x!r:>20} {x!a}",
    "int": lambda x: int(x),
    "float": lambda x: float(x),
    "complex": lambda x: complex(x),
    "bytes": lambda x: bytes(x),
    "index": lambda x: operator.index(x),
    "fspath": lambda x: os.fspath(x),
    "dir": lambda x: dir(x),
    "hash": lambda x: hash(x),
    "abs": lambda x: abs(x),
    "round": lambda x: (round(x), round(x, 2)),
    "reversed": lambda x: reversed(x),
    "floor": lambda x: math.floor(x),
    "ceil": lambda x: math.ceil(x),
    "trunc": lambda x: math.trunc(x),
    "divmod": lambda x: divmod(x, 1),
    "divmod_by": lambda x: divmod(1, x),
    "divmod_of_two": lambda x: divmod(x, HasStr()),
    "pow": lambda x: pow(x, 2),
}


def converts(convert, types, numbers, wait, note):
    for type_ in types:
        for number in numbers:
            it = type_()
            it.wait, it.number = wait, number
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                try:
                    result = convert(it)
                    note((type(result).__name__, ascii(result)))
                except (TypeError, ValueError) as error:
                    note((repr(error), names_in(error), error.__context__))
            note([(str(each.message), each.lineno, each.filename) for each in warned])


def types_for(name):
    by_str = name in ("str", "format", "fstring", "fstring_str")
    return [Converted, HasStr, HasRepr] if by_str else [Converted]


@scenario
def conversions(wait, note):
    for name, convert in CONVERSIONS.items():
        for type_ in types_for(name):
            converts(convert, [type_], [0], wait, note)


@pytest.mark.parametrize("name", CONVERSIONS)
def test_a_conversion_makes_the_same_of_any_result(name):
    def convert(wait, note):
        converts(CONVERSIONS[name], types_for(name), range(len(CONVERTED)), wait, note)

    is_as_with_a_c_stack(convert)


def is_as_with_a_c_stack(scenario, rounds=3):
    expected = plainly(scenario).finish()
    for _ in range(rounds):
        stops = frozen(scenario)
        assert (stops.finish(), stops.pins) == (expected, [])


class Number:
    def __init__(self, wait, value):
        self.wait = wait
        self.value = value

    def __add__(self, other):
        got = self.wait()
        return NotImplemented if other is None or got == 9 else ("+", self.value, got)

    def __radd__(self, other):
        return "reflected +", other, self.wait()

    def __sub__(self, other):
        self.wait()
        return NotImplemented

    def __iadd__(self, other):
        self.wait()
        return self if other == 1 else NotImplemented

    def __pow__(self, other):
        return "**", self.wait()

    def __eq__(self, other):
        return NotImplemented if isinstance(other, Other) else self.wait()

    def __lt__(self, other):
        return self.wait() > (3 if isinstance(other, Number) else 0) or NotImplemented

    def __le__(self, other):
        return self.wait() > 5

    __hash__ = None


class Other(Number):
    def __rsub__(self, other):
        return "reflected -", self.wait()

    def __gt__(self, other):
        return "greater", self.wait()


class Stranger:
    def __init__(self, wait):
        self.wait = wait

    def __radd__(self, other):
        return "a stranger", other.value, self.wait()

    def __rsub__(self, other):
        self.wait()
        return NotImplemented


@scenario
def operators(wait, note):
    n, m, other = Number(wait, 7), Number(wait, 8), Stranger(wait)
    for _ in range(3):
        attempt(note, lambda: n + 1)
        attempt(note, lambda: 5 + n)
        attempt(note, lambda: n + None)
        attempt(note, lambda: n + m)
        attempt(note, lambda: n - 1)
        attempt(note, lambda: n - n)
        attempt(note, lambda: n**2)
        attempt(note, lambda: 3 - other)
    n += 1
    note(type(n).__name__)


# The second operand's method is called by C code of ours.
@scenario(pinned=[VERSION])
def operators_that_ask_both(wait, note):
    n, m, other = Number(wait, 7), Number(wait, 8), Stranger(wait)
    for _ in range(3):
        attempt(note, lambda: n + other)
        attempt(note, lambda: n - other)
        attempt(note, lambda: n < m)
    n += 2
    note(type(n).__name__)


class Declines:
    def __init__(self, wait):
        self.wait = wait

    def __add__(self, other):
        self.wait()
        return NotImplemented

    __pow__ = __isub__ = __ipow__ = __add__


@scenario(pinned=[VERSION])  # __pow__() after __ipow__() is called by C code of ours
def augmented_assignments_of_what_can_not_be(wait, note):
    def assign(symbol):
        values = {"it": Declines(wait)}
        exec(f"it {symbol}= None", values)

    for symbol in "+", "-", "**":
        attempt(note, lambda: assign(symbol))  # noqa: B023
        attempt(note, lambda: assign(symbol))  # noqa: B023


@scenario
def comparisons(wait, note):
    n, m = Number(wait, 7), Number(wait, 8)
    for _ in range(3):
        attempt(note, lambda: n == 3)
        attempt(note, lambda: 3 == n)  # noqa: SIM300
        attempt(note, lambda: n != m)
        attempt(note, lambda: n <= m)
        attempt(note, lambda: n >= m)
        attempt(note, lambda: n < 1)
        if n == m:
            note("equal")
        note("less" if n <= m else "not less")


class Base:
    def __init__(self, wait):
        self.wait = wait

    def answer(self, text):
        got = self.wait()
        return (text, type(self).__name__, got) if got < 5 else NotImplemented

    def __sub__(self, _):
        return self.answer("-")

    def __rsub__(self, _):
        return self.answer("reflected -")

    def __pow__(self, _):
        return self.answer("**")

    def __eq__(self, _):
        return self.answer("==")

    def __lt__(self, _):
        return self.answer("<")

    def __le__(self, _):
        return self.answer("<=")

    __hash__ = None


class Inherits(Base):
    pass


class Overrides(Base):
    def __rsub__(self, _):
        return self.answer("my reflected -")

    def __rpow__(self, _):
        return self.answer("my reflected **")

    def __gt__(self, _):
        return self.answer(">")

    def __eq__(self, _):
        return self.answer("my ==")

    __hash__ = None


class MyInt(int):
    def answer(self, text):
        got = self.wait()
        return (text, got) if got < 5 else NotImplemented

    def __radd__(self, _):
        return self.answer("reflected +")

    def __rpow__(self, _):
        return self.answer("reflected **")

    def __lt__(self, _):
        return self.answer("<")

    def __eq__(self, _):
        return self.answer("==")

    __hash__ = None


OPERATIONS = {
    name: eval(f"lambda a, b: a {name} b") for name in ("-", "+", "**", "==", "!=", "<", ">", "<=")
}


# Where the other operand's method is called by C code of ours it is pinned.
@scenario(pinned=[VERSION])
def operators_of_derived_classes(wait, note):
    mine = MyInt(5)
    mine.wait = wait
    for operation in OPERATIONS.values():
        for right in Inherits(wait), Overrides(wait):
            attempt(note, lambda: operation(Base(wait), right))  # noqa: B023
            attempt(note, lambda: operation(Base(wait), right))  # noqa: B023
        for left in 2, True:
            attempt(note, lambda: operation(left, mine))  # noqa: B023
            attempt(note, lambda: operation(left, mine))  # noqa: B023
    n, other = Number(wait, 7), Other(wait, 8)
    attempt(note, lambda: n - other)
    attempt(note, lambda: n < other)


@scenario
def operators_of_derived_classes_that_answer(wait, note):
    mine = MyInt(5)
    mine.wait = lambda: min(wait(), 4)
    for operation in OPERATIONS.values():
        for right in Inherits(mine.wait), Overrides(mine.wait):
            attempt(note, lambda: operation(Base(mine.wait), right))  # noqa: B023
        attempt(note, lambda: operation(2, mine))  # noqa: B023


@scenario(pinned=[VERSION])
def comparisons_within_sequences_that_contain_the_operand(wait, note):
    """The method of one that is contained isn't the method of the operator."""

    class Contained(list):
        def __eq__(self, other):
            return wait() > 2

        __hash__ = None

    class Sequence(list):
        def __lt__(self, other):
            return False

    one = Contained([1])
    note(Sequence([one]) == one)
    note(Sequence([one, 1]) == one)


@scenario
def instances_made_by_their_class(wait, note):
    class Made:
        def __new__(cls, *_):
            self = super().__new__(cls)
            self.made = True
            return self

        def __init__(self, wait):
            self.got = wait()

    class Items(list):
        def __init__(self, wait):
            super().__init__([1, 2])
            self.append(wait())

    class Failure(Exception):
        def __init__(self, wait):
            super().__init__("failed", wait())

    note((Made(wait).got, Items(wait), Failure(wait).args))


class Single(type):
    """A metaclass that makes one instance of each class."""

    def __call__(cls, *args):
        if cls.instance is None:
            cls.instance = super().__call__(*args)
        return cls.instance

    @property
    def label(cls):
        return cls.__name__, cls.wait()


class OwnerIsEnough:
    def __get__(self, instance, owner):
        return owner.__name__, instance, owner.wait()


@scenario
def instances_made_by_a_metaclass(wait, note):
    class One(metaclass=Single):
        instance = None

        def __init__(self, x, y=2):
            self.got = x, y, note(wait())

    one = One(1)
    note((one.got, One(2) is one))


# What __init__() waits for afterwards it does beneath C code of ours.
@scenario(pinned=[VERSION])
def instances_that_wait_as_they_are_made(wait, note):
    class Made:
        def __new__(cls, *args):
            self = super().__new__(cls)
            self.made = args, wait()
            return self

    class Initialised(Made):
        def __init__(self, *args):
            self.initialised = args, wait()

    note((Initialised(1).initialised, Initialised(1, 2).made))


@scenario
def instances_made_by_new(wait, note):
    class Made:
        def __new__(cls, *args):
            wait()
            self = super().__new__(cls)
            self.made = args, wait()
            return self

    class Initialised(Made):
        def __init__(self, a, b=2):
            self.initialised = a, b

    class Other:
        def __new__(cls, other):
            return other, wait()

        def __init__(self, other):
            raise AssertionError

    class Number(int):
        def __new__(cls, value):
            return super().__new__(cls, value + wait())

    for _ in range(2):
        note((Made().made, Made(1, wait()).made))
        made = Initialised(1)
        note((made.made, made.initialised))
        attempt(note, lambda: Initialised(1, 2, 3))
        note(Other(5))
        note((Number(1), type(Number(2)).__name__))


@scenario
def attributes_of_classes(wait, note):
    class Labelled(metaclass=Single):
        described = OwnerIsEnough()

    Labelled.wait = staticmethod(wait)
    note(Labelled.label)
    note(Labelled.described)
    note(getattr(Labelled, "label"))  # noqa: B009


@scenario
def attributes_of_modules(wait, note):
    module = types.ModuleType("module")
    module.__getattr__ = lambda name: (name, wait())
    note((module.something, module.__name__))
    module.__getattr__ = lambda name: lambda: (name, wait())
    note(module.something())


class Whole:
    def __init__(self, wait):
        self.wait = wait

    def __getattribute__(self, name):
        wait = object.__getattribute__(self, "wait")
        return (lambda: (name, wait())) if name == "call" else (name, wait())


@scenario
def attributes_all_made_up(wait, note):
    it = Whole(wait)
    note((it.one, it.two))
    note(it.call())


# ---- containers and classes that make up what they lack ------------------------------------------


class Makes(dict):
    def __missing__(self, key):
        if key == "fails":
            raise KeyError(self["other"])
        return key, self.get("wait")()


class Keeps(collections.defaultdict):
    def __setitem__(self, key, value):
        super().__setitem__(key, ("kept", value))


@scenario
def items_that_are_missing(wait, note):
    it = Makes(wait=wait)
    note(it["a"])
    note(it["a", "b"])
    note(it["wait"] is wait)
    it["fails"]


@scenario
def items_made_by_default(wait, note):
    def stores():
        got = wait()
        dict.__setitem__(it, "x", "stored already")
        return got

    for kind in collections.defaultdict, Keeps:
        it = kind(wait)
        note((it["a"], it["a"], it[1, 2], dict(it)))
        it = kind(stores)
        note((it["x"], dict(it)))
        it = kind(lambda: 1 / (wait() - wait()))
        note(it["y"])


@scenario
def subscripts_of_classes(wait, note):
    class Generic:
        def __class_getitem__(cls, key):
            return cls.__name__, key, wait()

    class Derived(Generic):
        @classmethod
        def __class_getitem__(cls, key):
            return super().__class_getitem__(key), wait()

    note(Generic[int])
    note(Derived[1:2, 3])


class Kinds(type):
    def __instancecheck__(cls, instance):
        return instance.wait() - 1 if instance is not None else []

    def __subclasscheck__(cls, subclass):
        return subclass.wait(), None


@scenario
def checks_of_kinds(wait, note):
    class Kind(metaclass=Kinds):
        pass

    class Thing:
        pass

    Thing.wait = staticmethod(wait)
    note((isinstance(Thing(), Kind), isinstance(Thing(), Kind), isinstance(Thing(), Kind)))
    note((isinstance(None, Kind), isinstance(Kind(), Kind)))
    note(issubclass(Thing, Kind))


@scenario()
def delegation_to_iterators(wait, note):
    class Iterator:
        def __init__(self, n, result=None):
            self.n = n
            self.result = result

        def __iter__(self):
            return self

        def __next__(self):
            got = wait()
            if not self.n:
                raise StopIteration(self.result)
            self.n -= 1
            return got, self.n

    def delegates(iterator):
        try:
            note((yield from iterator))
        except ValueError as error:
            note(names_in(error))
            yield wait()

    for iterator in Iterator(2, "done"), Iterator(0), Iterator(1, (1, 2)):
        for value in delegates(iterator):
            note(value)


class Removes:
    def __init__(self, wait, note):
        self.wait = wait
        self.note = note

    @property
    def plain(self):
        return None

    @plain.deleter
    def plain(self):
        self.note(("plain", self.wait()))

    def __delete__(self, instance):
        self.note(("descriptor", self.wait()))


class RemovesAll:
    def __init__(self, wait, note):
        self.wait = wait
        self.note = note

    def __delattr__(self, name):
        self.note((name, self.wait()))
        if name == "unknown":
            raise AttributeError(name)


@scenario
def attributes_deleted(wait, note):
    class Has:
        descriptor = Removes(wait, note)

    it = Removes(wait, note)
    del it.plain
    it = Has()
    del it.descriptor
    it = RemovesAll(wait, note)
    del it.something, it.something_else
    try:
        del it.unknown
    except AttributeError as error:
        note((str(error), names_in(error)))


class Signed:
    def __init__(self, wait):
        self.wait = wait

    def __neg__(self):
        return "-", self.wait()

    def __pos__(self):
        return "+", self.wait()

    def __invert__(self):
        return "~", self.wait()


@scenario
def unary_operators(wait, note):
    it = Signed(wait)
    for _ in range(3):
        note((-it, +it, ~it))


@scenario
def loops_over_channels(wait, note):
    gate = wait.__closure__[0].cell_contents
    for x in gate:
        note(x)
        if x > 3:
            break
    for x in range(2):
        for y in gate:
            note((x, y, wait()))
            break
    try:
        for x in gate:
            note(1 / (x - 9))
    except ZeroDivisionError as error:
        note(names_in(error))


class Counts:
    """An iterator."""

    def __init__(self, wait, n):
        self.wait = wait
        self.left = n

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            self.wait()
            raise StopIteration("no more")
        self.left -= 1
        return self.left, self.wait()


@scenario
def loops_over_iterators(wait, note):
    for x in Counts(wait, 2):
        note(x)
    else:
        note("else")
    for x in Counts(wait, 2):
        for y in Counts(wait, 1):
            note((x, y, wait()))
        if x[0]:
            break
    note([x for _ in "ab" for x in Counts(wait, 1)])
    try:
        for _ in Counts(None, 1):
            pass
    except TypeError as error:
        note((str(error), names_in(error)))
    note(sys.exc_info())


@scenario()
def generators_that_loop_over_iterators(wait, note):
    def loops():
        for x in Counts(wait, 2):  # noqa: UP028
            yield x

    note([x for x in (y for y in loops())])  # noqa: C416
    try:
        raise KeyError("outer")
    except KeyError as error:
        for x in Counts(wait, 1):
            note((x, sys.exc_info()[1] is error))
        note(sys.exc_info()[1] is error)


@scenario
def loops_over_maps(wait, note):
    def adds(x, y=0):
        if x == 3:
            raise StopIteration("ends it")
        return x, y, wait()

    for x in map(adds, [1, 2]):
        note(x)
    for x in map(adds, (1, 2, 3, 4), "abcd"):
        note(x)
    note([x for x in map(functools.partial(adds), {5: 6})])  # noqa: C416


# The mapped function waits on behalf of the inner map, whose item goes through the outer one yet.
@scenario(pinned=[VERSION])
def loops_over_maps_of_maps(wait, note):
    def adds(x):
        return x + wait()

    for x in map(adds, map(adds, [1, 2])):
        note(x)


# ---- iterators that ask another one --------------------------------------------------------------


class Waiting:
    """An iterator whose last deed is what the last value sent to it says."""

    def __init__(self, wait, n):
        self.wait = wait
        self.left = n

    def __iter__(self):
        return self

    def __next__(self):
        got = self.wait()
        self.left -= 1
        if self.left >= 0:
            return got
        raise (StopIteration("no more") if got % 2 else KeyError("failed"))


def waiting(wait, n):
    for _ in range(n):
        yield wait()
    if not wait() % 2:
        raise KeyError("failed")
    return "returned"


class Items:
    def __init__(self, wait, n):
        self.wait = wait
        self.length = n

    def __getitem__(self, i):
        got = self.wait()
        if i < self.length:
            return i, got
        raise (IndexError if got % 2 else KeyError)("no more")


def is_odd(x):
    return x % 2


def joins(x, y):
    return x * 10 + y


def fails_at_four(x):
    if x == 4:
        raise ValueError("four")
    return x


class Stateful:
    """A callable that fails now and then."""

    def __init__(self, wait):
        self.wait = wait

    def call(self):
        got = self.wait()
        if got == 5:
            raise KeyError("five")
        return got


WRAPPERS = {
    "enumerate": lambda asked: enumerate(asked, 5),
    "zip": lambda asked: zip(asked, "abcdef", strict=False),
    "zip_with_a_short_one": lambda asked: zip(asked, "a", strict=False),
    "zip_strictly": lambda asked: zip(asked, "abc", strict=True),
    "zip_of_one": lambda asked: zip(asked, strict=True),
    "zip_with_a_generator": lambda asked: zip(asked, (x for x in "abcdef"), strict=False),
    "map": lambda asked: map(joins, asked, [1, 2, 3, 4]),
    "map_that_fails": lambda asked: map(fails_at_four, asked),
    "filter": lambda asked: filter(is_odd, asked),
    "filter_that_fails": lambda asked: filter(fails_at_four, asked),
    "filter_by_truth": lambda asked: filter(None, asked),
    "filterfalse": lambda asked: itertools.filterfalse(is_odd, asked),
    "takewhile": lambda asked: itertools.takewhile(is_odd, asked),
    "dropwhile": lambda asked: itertools.dropwhile(is_odd, asked),
    "chain": lambda asked: itertools.chain([0], asked, "a"),
    "islice": lambda asked: itertools.islice(asked, 1, 6, 2),
    "islice_to_its_end": lambda asked: itertools.islice(asked, 2),
    "accumulate": lambda asked: itertools.accumulate(asked),
    "accumulate_from": lambda asked: itertools.accumulate(asked, joins, initial=1),
    "starmap": lambda asked: itertools.starmap(joins, zip(asked, [1, 2, 3], strict=False)),
    "cycle": lambda asked: itertools.islice(itertools.cycle(asked), 8),
    "nested": lambda asked: enumerate(
        itertools.islice(filter(None, itertools.chain(zip(asked, "abc", strict=False))), 2)
    ),
    "of_maps": lambda asked: map(fails_at_four, map(joins, asked, [1, 2, 3])),
}


def tries(note, function):
    try:
        note(function())
    except (StopIteration, KeyError, ValueError, TypeError) as error:
        note((repr(error), names_in(error), repr(error.__context__)))


# These look at what they know before they ask: they must not be anybody else's, too.
ALONE = ["chain", "islice", "islice_to_its_end", "takewhile", "cycle", "nested"]


def goes_through(wrapper):
    items = []
    for item in wrapper:
        items += [item]
    return items


def goes_step_by_step(wrapper):
    return [next(wrapper), next(wrapper, "end"), next(wrapper, "end"), next(wrapper)]


def goes_through_later(wrapper):
    return [next(wrapper, "end"), *goes_through(iter(wrapper))]


WAYS = [goes_through, goes_step_by_step, goes_through_later]
ASKED = {"object": Waiting, "generator": waiting}


@scenario
def iterators_that_ask_an_object(wait, note):
    for wrap in WRAPPERS.values():
        tries(note, lambda wrap=wrap: goes_through(wrap(Waiting(wait, 1))))


@scenario()
def iterators_that_ask_a_generator(wait, note):
    for wrap in WRAPPERS.values():
        tries(note, lambda wrap=wrap: goes_through(wrap(waiting(wait, 1))))


@pytest.mark.parametrize("kind", ASKED)
@pytest.mark.parametrize("name", WRAPPERS)
def test_an_iterator_goes_on_with_any_answer(name, kind):
    def goes_on(wait, note):
        for n in range(4):
            for way in WAYS:
                tries(note, lambda n=n, way=way: way(WRAPPERS[name](ASKED[kind](wait, n))))

    is_as_with_a_c_stack(goes_on)


@scenario
def iterators_of_sequences(wait, note):
    for n in range(3):
        for way in WAYS:
            tries(note, lambda n=n, way=way: way(iter(Items(wait, n))))
            tries(note, lambda n=n, way=way: way(enumerate(Items(wait, n))))


@scenario
def iterators_that_call(wait, note):
    for sentinel in (2, 9, 1):
        for way in WAYS:
            call = Stateful(wait).call
            tries(note, lambda sentinel=sentinel, way=way, call=call: way(iter(call, sentinel)))
            tries(
                note,
                lambda sentinel=sentinel, way=way, call=call: way(
                    zip(iter(call, sentinel), "abc", strict=False)
                ),
            )
    tries(note, lambda: collect(iter(functools.partial(wait), 4)))


@scenario
def iterators_after_they_have_failed(wait, note):
    """An exception isn't their end, but for some."""

    def goes_on_after_failures(wrapper):
        for _ in range(3):
            tries(note, lambda: collect(enumerate(wrapper)))
            try:
                note(next(wrapper))
            except (StopIteration, KeyError, ValueError) as error:
                note(repr(error))

    for name, wrap in WRAPPERS.items():
        if name not in ALONE:
            goes_on_after_failures(wrap(Waiting(wait, 2)))
    for name in ALONE:
        wrapper = WRAPPERS[name](Waiting(wait, 2))
        for _ in range(3):
            try:
                for item in wrapper:
                    note(item)
            except (KeyError, ValueError) as error:
                note(repr(error))


def first_of(items, count):
    """The first items of an iterator, and then none is asked for."""
    found = []
    for item in items:
        found += [item]
        if len(found) == count:
            break
    return found


@scenario
def loops_that_ask_a_channel(wait, note):
    for name, wrap in WRAPPERS.items():
        tries(note, lambda wrap=wrap: first_of(wrap(wait.gate), 3))
        note((name, wait()))


@scenario
def calls_of_next_that_ask_a_channel(wait, note):
    for name, wrap in WRAPPERS.items():
        if name not in ALONE:  # a variable has it, too
            wrapper = wrap(wait.gate)
            tries(note, lambda wrapper=wrapper: (next(wrapper), next(wrapper, "default")))
    tries(note, lambda: (next(wait.gate), next(wait.gate, "default"), next(enumerate(wait.gate))))


@scenario
def loops_in_loops_over_a_channel(wait, note):
    def numbered(items):
        for i, x in enumerate(items):
            yield i, x, first_of(zip(items, "ab", strict=False), 2) if x == 9 else wait()

    for i, item in enumerate(numbered(wait.gate)):
        note((i, item))
        for j, x in enumerate(wait.gate, 10):
            note((j, x))
            if j > 10:
                break
        if i == 1:
            break


@scenario
def loops_over_a_channel_that_skip_items(wait, note):
    """Who skips one asks for the next in the same call."""
    for even in itertools.filterfalse(is_odd, itertools.islice(wait.gate, 2, 9, 2)):
        note(even)
    note(first_of(itertools.dropwhile(is_odd, enumerate(wait.gate, 1)), 1))
    note(first_of(filter(None, itertools.filterfalse(is_odd, wait.gate)), 3))


@scenario(pinned=[VERSION])
def functions_of_iterators(wait, note):
    def odd(x):
        return x + wait() & 1

    tries(note, lambda: collect(filter(odd, iter([1, 2, 3]))))
    tries(note, lambda: collect(enumerate(itertools.takewhile(odd, Waiting(wait, 3)))))
    tries(note, lambda: collect(zip([1, 2], Waiting(wait, 3), strict=False)))
    tries(note, lambda: next(map(odd, [1])))
    tries(note, lambda: collect(enumerate(map(odd, [1, 2, 3]))))


# A generator that is asked twice for an item: the second time the first item is C's.
@scenario(pinned=[VERSION])
def pairs_from_one_iterator(wait, note):
    asked = waiting(wait, 5)
    tries(note, lambda: collect(zip(asked, asked, strict=False)))
    asked = Waiting(wait, 5)
    tries(note, lambda: collect(zip(asked, asked, strict=False)))
    tries(note, lambda: collect(zip(Waiting(wait, 2), Waiting(wait, 2), strict=False)))


@scenario(pinned=[VERSION])
def functions_that_ask_the_same_iterator(wait, note):
    asked = waiting(wait, 9)
    tries(note, lambda: collect(filter(lambda x: next(asked) > x, asked)))
    asked = Waiting(wait, 9)
    tries(note, lambda: len(collect(filter(type(asked).__next__, iter([asked, asked])))))


@scenario
def next_of_iterators(wait, note):
    it = Counts(wait, 2)
    note((next(it), next(it, "default"), next(it, "default"), iter(it) is it))
    try:
        next(it)
    except StopIteration as stop:
        note((stop.value, names_in(stop)))


@scenario
def iterators_asked_for(wait, note):
    class Iterable:
        def __iter__(self):
            got = wait()
            return iter([got]) if got != 4 else got

    for _ in range(3):
        attempt(note, lambda: next(iter(Iterable())))


@scenario
def attributes_by_name(wait, note):
    it = Attributes(wait)
    for name in "plain", "fails", "doubles":
        note(getattr(it, name, "default"))
        note(hasattr(it, name))
    note(setattr(it, "plain", 5))
    note(setattr(it, "doubles", 5))
    note(it.value)
    it = RemovesAll(wait, note)
    note(delattr(it, "one"))
    try:
        delattr(it, "unknown")
    except AttributeError as error:
        note((str(error), names_in(error)))


@scenario()
def generators_that_are_closed(wait, note):
    def closes(result=None, refuses=False, fails=False):
        try:
            yield 1
        except GeneratorExit:
            note(wait())
            if fails:
                raise KeyError("fails") from None
            if refuses:
                yield 2
            if result:
                return result
            raise

    def closed(**arguments):
        generator = closes(**arguments)
        next(generator)
        return generator.close()

    note(closed())
    note(closed(result=5))
    for arguments in {"refuses": True}, {"fails": True}:
        try:
            closed(**arguments)
        except (RuntimeError, KeyError) as error:
            note((repr(error), names_in(error), repr(error.__context__)))
    generator = closes()
    next(generator)
    close = generator.close
    note((close(), close()))

    async def coroutine():
        try:
            await Awaitable(wait)
        finally:
            note(wait())

    waits = coroutine()
    waits.send(None)
    waits.close()
    note(sys.exc_info())


# ---- contexts ------------------------------------------------------------------------------------

NUMBER = contextvars.ContextVar("number", default=0)


@scenario
def functions_run_in_contexts(wait, note):
    first, second = contextvars.copy_context(), contextvars.copy_context()

    def inner(*args, **keywords):
        NUMBER.set(NUMBER.get() + wait())
        note((args, keywords, NUMBER.get()))
        for context in first, second, contextvars.copy_context():
            try:
                note(context.run(NUMBER.get))
            except RuntimeError as error:
                note(str(error).startswith("cannot enter context"))
        return wait()

    def outer(context, n):
        NUMBER.set(n)
        try:
            note(context.run(inner, 1, key=2))
        finally:
            note(NUMBER.get())

    NUMBER.set(100)
    note(first.run(inner))
    run = first.run
    note(run(run_partial := functools.partial(inner, 5)))
    note(first.run(outer, second, 1000))
    note((NUMBER.get(), first[NUMBER], second[NUMBER]))
    note(second.run(run_partial))
    for _ in range(2):
        try:
            first.run(lambda: 1 / (wait() - wait()) + second.run(lambda: {}[wait()]))
        except KeyError as error:
            note((str(error), names_in(error)))
    note(NUMBER.get())
    first.run(lambda: {}[wait()])


def test_a_context_of_a_frozen_tasklet_is_entered():
    gate, notes = channel(), []
    context = contextvars.copy_context()

    def run():
        notes.append(context.run(lambda: (NUMBER.set(5), gate.receive(), NUMBER.get())[1:]))
        notes.append(NUMBER.get())

    stackless.set_stack_budget(0)
    t = tasklet(run)()
    t.run()
    assert stackless.why_pinned(t) is None
    assert stackless.statistics()["frozen"] == 1
    with pytest.raises(RuntimeError, match="already entered"):
        context.run(gate.send, 1)
    assert NUMBER.get() == 0
    gate.send(2)
    assert notes == [(2, 5), 0]
    assert context.run(NUMBER.get) == 5


# ---- code with a namespace of its own ------------------------------------------------------------

MODULE_CODE = compile(
    """
value = [wait()]
try:
    value.append(wait())
except ValueError as error:
    value.append(str(error))
if value[-1] == 3:
    raise KeyError(value)
""",
    "<code>",
    "exec",
)


class Mapping:
    """Local variables that are no dictionary."""

    def __init__(self):
        self.items = {}

    def __getitem__(self, name):
        return self.items[name]

    def __setitem__(self, name, value):
        self.items[name] = value

    def keys(self):
        return sorted(self.items)


@scenario
def code_that_is_executed(wait, note):
    names = {"wait": wait, "frames": frames}
    note(exec(MODULE_CODE, names))
    note(names.pop("value"))
    local = {}
    note(exec(MODULE_CODE, names, local))
    note((local, "value" in names))
    note(exec("value = wait(), frames()", names, mapping := Mapping()))
    note(mapping.items)
    note(exec(*["value = wait(), __name__, sorted(locals())"]))
    note(exec(*[MODULE_CODE, names]))
    note(exec("exec('raise IndexError(wait())')", names))


def frames():
    """The names of those who run."""
    names, frame = [], sys._getframe(1)
    while frame.f_code.co_name != "run":
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names


@scenario
def functions_whose_code_is_executed(wait, note):
    def closure():
        nonlocal got
        got = wait()
        note((got, sorted(locals()), frames()))

    got = None
    code = closure.__code__
    cells = closure.__closure__
    note(exec(code, {"frames": frames}, closure=cells))
    note(got)
    note(exec(code, {"frames": frames}, {"x": 1}, closure=cells))
    if VERSION >= (3, 13):
        note(exec(code, locals={"y": 1}, globals={"frames": frames}, closure=cells))


@scenario
def code_that_is_evaluated(wait, note):
    names = {"wait": wait, "frames": frames}
    note(eval("wait() + 1"))
    note(eval(" [wait(), wait(), frames()]", names))
    note(eval("(wait(), value)", names, {"value": 5}))
    note(eval(*["[wait() for _ in range(2)]", names]))
    note(eval(compile("wait()", "<code>", "eval"), names))
    note(eval(MODULE_CODE, names))
    note(eval("eval('wait() / 0', names)"))


# ---- class statements ----------------------------------------------------------------------------


class Meta(type):
    notes = None

    @classmethod
    def __prepare__(cls, name, bases, **keywords):
        return {"prepared": (name, len(bases), keywords)}

    def __new__(cls, name, bases, namespace, **keywords):
        namespace = {**namespace, "keywords": keywords}
        return super().__new__(cls, name, bases, namespace)

    def __init__(cls, *_, **keywords):
        cls.initialised = sorted(keywords)


class Derived(Meta):
    pass


class WithMeta(metaclass=Meta):
    pass


class WithDerived(metaclass=Derived):
    pass


def public(cls):
    names = {name: value for name, value in vars(cls).items() if not name.startswith("__")}
    names.pop("method", None)
    return type(cls).__name__, [base.__name__ for base in cls.__mro__], names


def attempt_class(note, define, *arguments):
    try:
        note(public(define(*arguments)))
    except Exception as error:
        note((repr(error), names_in(error)))


@scenario
def classes(wait, note):
    class Plain:
        first = wait()
        second = first + wait()
        seen = frames()

    note(public(Plain))

    class Subclass(Plain, list):
        third = wait()

        def method(self):
            return super().first, __class__.__name__

    note(public(Subclass)[1])
    note((Subclass().method(), Subclass.third))

    @lambda cls: (cls, wait())
    class Decorated(WithMeta, key=wait()):
        got = wait()

    note((public(Decorated[0]), Decorated[1]))

    class Winner(WithMeta, WithDerived, a=1, b=wait()):
        got = wait()

    note(public(Winner))

    class Explicit(WithMeta, metaclass=Derived):
        got = wait()

        class Nested:
            got = wait()

    note((public(Explicit)[0], public(Explicit.Nested)))

    class Colour(enum.Enum):
        RED = wait()
        GREEN = wait() + 10

    note(repr(list(Colour)))

    @dataclasses.dataclass
    class Data:
        value: int = wait()

    note(repr(Data()))


@scenario
def classes_that_are_something_else(wait, note):
    def make(name, bases, namespace, **keywords):
        got = namespace.pop("got")
        return name, bases, got, keywords, wait() if keywords else None

    class Made(int, metaclass=make):
        got = wait()

    note(Made)

    def body():
        return wait()

    note(public(__build_class__(body, "Built", dict)))


@scenario
def classes_that_fail(wait, note):
    class Forgets(type):
        def __new__(cls, name, bases, namespace):
            namespace.pop("__classcell__", None)
            return super().__new__(cls, name, bases, namespace)

    class Swaps(type):
        def __new__(cls, name, bases, namespace):
            super().__new__(cls, name, bases, namespace)
            return super().__new__(cls, name, bases, {})

    class Refuses(type):
        def __init__(cls, *_):
            raise TypeError("refused")

    def define(meta):
        class Defined(metaclass=meta):
            got = wait()

            def method(self):
                return __class__

        return Defined

    for meta in Forgets, Swaps, Refuses:
        for _ in range(2):
            try:
                define(meta)
            except (TypeError, RuntimeError) as error:
                note((repr(error), names_in(error)))

    def takes_no_keywords():
        class Wrong(dict, unknown=wait()):
            got = wait()

    attempt(note, takes_no_keywords)

    class Fails:
        got = 1 / (wait() - wait() - 3)


class WaitsInAll(type):
    """A metaclass whose methods all wait."""

    wait = None

    @classmethod
    def __prepare__(cls, name, bases, **keywords):
        return {"prepared": (name, len(bases), keywords, cls.wait())}

    def __new__(cls, name, bases, namespace, **keywords):
        made = super().__new__(cls, name, bases, {**namespace, "made": cls.wait()})
        made.keywords = keywords, cls.wait()
        return made

    def __init__(cls, name, bases, namespace, **keywords):
        super().__init__(name, bases, namespace)
        cls.initialised = name, len(bases), sorted(namespace), keywords, type(cls).wait()


@scenario
def classes_of_metaclasses_that_wait(wait, note):
    class Waiting(WaitsInAll):
        pass

    Waiting.wait = staticmethod(wait)

    class Plain(metaclass=Waiting):
        got = wait()

    note(public(Plain))

    class Keyed(Plain, list, key=wait()):
        got = 1

        def method(self):
            return __class__.got, super().append(wait())

    note((public(Keyed), Keyed().method()))

    class Frozen(Plain, a=1):
        @classmethod
        def method(cls):
            return __class__, wait()

    note((public(Frozen)[:2], Frozen.method()[0] is Frozen))


@scenario
def classes_initialised_by_their_metaclass(wait, note):
    class Initialises(type):
        def __new__(cls, *arguments, **_):
            return super().__new__(cls, *arguments)

        def __init__(cls, *arguments, **keywords):
            super().__init__(*arguments)
            cls.got = wait(), len(arguments), keywords

    class Plain(metaclass=Initialises, key=wait()):
        pass

    class Other(Plain):
        def method(self):
            return __class__

    note((public(Plain), public(Other)[1], Other.got, Other().method() is Other))
    note(Initialises("Called", (), {"other": 1}).got)

    class Returns(type):
        def __init__(cls, *_):
            return wait()

    def define():
        class Wrong(metaclass=Returns):
            pass

    attempt_class(note, define)
    attempt_class(note, Returns, "Wrong", (), {})


@scenario
def derived_classes_told_of(wait, note):
    class Registers:
        def __init_subclass__(cls, **keywords):
            super().__init_subclass__()
            if cls.__name__ != "Base":
                cls.told = keywords, wait()

    class Base(Registers):
        pass

    class Plain(Base):
        got = wait()

    class Keyed(Plain, dict, key=wait()):
        def method(self):
            return super().get(1), __class__.told

    note((Plain.told, Keyed.told, Keyed().method()))
    note(type("Called", (Base,), {"x": 1}).told)
    note(type("Called", (Base,), {}, key=wait()).told)
    note(type.__new__(type, "Called", (Base,), {}).told)
    note(types.new_class("Called", (Base,), {"key": 2}).told)

    class Abstract(Base, abc.ABC):
        @abc.abstractmethod
        def method(self):
            pass

    note((Abstract.told, Abstract.__abstractmethods__))

    class Fails:
        def __init_subclass__(cls, *, answer):
            note((cls.__name__, wait()))
            raise KeyError(answer)

    def define(answer):
        class Failing(Fails, answer=answer):
            got = wait()

        return Failing

    attempt_class(note, define, 1)
    attempt_class(note, type, "Failing", (Fails,), {})
    note(Base.__subclasses__()[0] is Plain)


@scenario
def classes_prepared_wrongly(wait, note):
    class Prepares(type):
        @classmethod
        def __prepare__(cls, name, bases):
            return wait()

    class PreparesByFunction(type):
        def __prepare__(name, bases):  # noqa: N804
            return {"got": (name, bases, wait())}

    class PreparesStatically(type):
        @staticmethod
        def __prepare__(name, bases):
            return {"got": (name, bases, wait())}

    def define(meta):
        class Prepared(metaclass=meta):
            own = wait()

            def method(self):
                return __class__

        return Prepared

    for meta in Prepares, PreparesByFunction, PreparesStatically:
        attempt_class(lambda it: note(str(it)[:60]), define, meta)


@scenario
def classes_whose_cell_gets_lost(wait, note):
    class Forgets(type):
        def __new__(cls, name, bases, namespace):
            names = {**namespace}
            names.pop("__classcell__", None)
            note(wait())
            return super().__new__(cls, name, bases, names)

        def __init__(cls, *_):
            cls.initialised = wait()

    class Swaps(type):
        def __new__(cls, name, bases, namespace):
            super().__new__(cls, name, bases, namespace)
            return super().__new__(cls, name, bases, {"got": wait()})

    class SomethingElse(type):
        def __new__(cls, name, bases, namespace):
            return name, wait()

        def __init__(cls, *_):
            raise AssertionError

    def define(meta):
        class Defined(metaclass=meta):
            got = wait()

            def method(self):
                return __class__

        return Defined

    attempt_class(note, define, Forgets)
    attempt_class(note, define, Swaps)
    note(define(SomethingElse))


@scenario
def classes_of_code_that_is_executed(wait, note):
    names = {"wait": wait, "__name__": "elsewhere"}
    exec("class A:\n    got = wait()\nclass B(A):\n    got = A.got + wait()", names)
    note((public(names["B"]), names["B"].__module__))


# ---- imports -------------------------------------------------------------------------------------

SOURCES = {
    "wait_plain": "got = wait()\nmore = got + wait()\n",
    "wait_package": "got = wait()\n__all__ = ['listed', 'got']\n",
    "wait_package.listed": "got = wait()\n",
    "wait_package.inner": "got = wait()\nfrom . import sibling\nfrom .sibling import got as same\n",
    "wait_package.inner.deep": "got = wait()\nfrom ..listed import got as other\n",
    "wait_package.inner.sibling": "got = wait()\n",
    "wait_fails": "got = wait()\nraise KeyError(got)\n",
    "wait_fails_late": "import wait_plain\nimport wait_fails\n",
    "wait_refuses": "got = wait()\nraise ImportError(got)\n",
    "wait_lacks": "got = wait()\nimport wait_nothing_like_that\n",
    "wait_replaced": "import sys\ngot = wait()\nsys.modules[__name__] = 'replaced', got\n",
    "wait_syntax": "got = = 1\n",
}
PACKAGES = "wait_package", "wait_package.inner"


class Importer(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds the modules above, in which wait() is known. It keeps nobody alive."""

    def __init__(self, wait):
        reference = weakref.ref(wait)
        self.wait = lambda: reference()()

    def find_spec(self, name, path, target=None):
        if name not in SOURCES:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=name in PACKAGES)

    def get_source(self, name):
        return SOURCES[name]

    def is_package(self, name):
        return name in PACKAGES

    def exec_module(self, module):
        module.wait = self.wait
        super().exec_module(module)


@contextlib.contextmanager
def importer(wait):
    finder = Importer(wait)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in SOURCES:
            sys.modules.pop(name, None)


def imports_of(function):
    """A scenario whose modules wait."""

    @scenario
    @functools.wraps(function)
    def imports(wait, note):
        with importer(wait):
            function(wait, note)

    return imports


def described(module):
    return module.__name__, {k: v for k, v in vars(module).items() if isinstance(v, int)}


@imports_of
def imports_of_modules(wait, note):
    import wait_plain

    note(described(wait_plain))
    import wait_package.inner.deep as deep

    note(described(deep))
    del sys.modules["wait_package.inner.deep"]
    import wait_package.inner.deep

    note(described(wait_package))
    note(described(sys.modules["wait_package.inner"]))
    note(sorted(name for name in sys.modules if name.startswith("wait_")))


@imports_of
def imports_of_what_is_in_modules(wait, note):
    from wait_plain import got, more

    note((got, more))
    import wait_package
    from wait_package import got, inner, listed

    note((got, described(listed), described(inner), wait_package is sys.modules["wait_package"]))
    from wait_package.inner.deep import got, other

    note((got, other))


@scenario(pinned=[VERSION])
def imports_from_packages_that_wait_themselves(wait, note):
    """When the package has come, C code has its modules imported."""
    with importer(wait):
        from wait_package import got, listed

        note((got, described(listed)))


@imports_of
def imports_of_everything(wait, note):
    names = {}
    exec("import wait_package\nfrom wait_package import *", names)
    note((described(names["listed"]), names["got"]))


@imports_of
def imports_by_functions(wait, note):
    note(described(importlib.import_module("wait_package.inner")))
    note(described(importlib.import_module("..listed", "wait_package.inner")))
    note(described(__import__("wait_package.inner.deep")))
    note(described(__import__("wait_plain", None, None, ["got"], 0)))


@imports_of
def imports_of_modules_that_are_something_else(wait, note):
    import wait_replaced

    note(wait_replaced)


@imports_of
def imports_that_fail(wait, note):
    for name in "fails", "fails_late", "refuses", "lacks", "syntax":
        for statement in "import wait_{}", "from wait_{} import got", "__import__('wait_{}')":
            try:
                exec(statement.format(name))
            except (KeyError, ImportError, SyntaxError) as error:
                note((type(error), names_in(error)))
    try:
        exec("from wait_package import nothing")
    except ImportError as error:
        note((str(error), names_in(error)))
    exec("import wait_package.nothing")


@imports_of
def imports_by_a_function_of_the_program(wait, note):
    def replacement(name, *arguments):
        return name, arguments[2:], wait()

    names = {"__builtins__": {"__import__": replacement}}
    exec("import a.b\nimport a.b as c\nfrom d import __class__ as e", names)
    note((names["a"], names["e"]))


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
    # What leaks does so each time; what else is allocated comes to an end, sometimes late.
    growth = [100]
    while growth[-1] >= 50 and len(growth) < 12:
        before = count_references()
        for _ in range(100):
            run_at_every_stop(name)
        growth.append(count_references() - before)
    assert growth[-1] < 50, growth


# ---- what tools are told -------------------------------------------------------------------------

TOLD = [name for name in SCENARIOS if "asynchronous" in name or "calls_of_next" in name]
HARNESS = ("wait", "run", "scenario", "plainly", "frozen", *vars(Stops))


def is_told_of(code):
    ours = code.co_filename in (__file__, contextlib.__file__, "<stackless>")
    return ours and code.co_name not in HARNESS


def events_of(start, name, listen, silence):
    events = []

    def scenario(wait, note):
        listen(events)
        try:
            SCENARIOS[name](wait, note)
        finally:
            silence()

    stops = start(scenario)
    assert stops.finish()
    assert stops.pins == []
    return events


@pytest.mark.skipif(VERSION == (3, 11), reason="a trace function pins what it is told of")
@pytest.mark.parametrize("name", TOLD)
def test_a_trace_function_is_told_the_same(name):
    def listen(events):
        def trace(frame, event, arg):
            if not is_told_of(frame.f_code):
                return None
            what = arg[0] if event == "exception" else None
            told = (event, frame.f_code.co_name, frame.f_lineno, what)
            # 3.12 tells it once more of an exception that has left a frozen generator.
            if VERSION != (3, 12) or what is None or events[-1:] != [told]:
                events.append(told)
            return trace

        sys.settrace(trace)

    lists = [events_of(start, name, listen, lambda: sys.settrace(None)) for start in STARTS]
    assert lists[0] == lists[1]
    assert {"call", "line", "return", "exception"} == {each[0] for each in lists[0]}


@pytest.mark.skipif(VERSION == (3, 11), reason="sys.monitoring came with 3.12")
@pytest.mark.parametrize("name", TOLD)
def test_tools_are_told_the_same(name):
    monitoring = sys.monitoring
    all_events = [
        event
        for event in vars(monitoring.events)
        # Of calls: that a tool waits for their end pins.
        if event.isupper() and event not in ("NO_EVENTS", "INSTRUCTION", "BRANCH", "CALL")
        if event not in ("C_RAISE", "C_RETURN")
    ]
    tool = 3

    def listen(events):
        for event in all_events:

            def told(code, *values, event=event):
                if is_told_of(code) and not (
                    VERSION == (3, 12) and code.co_name == "<continuation>"
                ):
                    # An exception's place is another one for functions called without C in between.
                    values = values[1:] if isinstance(values[-1], BaseException) else values
                    kinds = (each if type(each) is int else type(each) for each in values)
                    events.append((event, code.co_name, *kinds))

            monitoring.register_callback(tool, getattr(monitoring.events, event), told)
        monitoring.set_events(tool, sum(getattr(monitoring.events, each) for each in all_events))

    monitoring.use_tool_id(tool, "test")
    try:
        lists = [
            events_of(start, name, listen, lambda: monitoring.set_events(tool, 0))
            for start in STARTS
        ]
    finally:
        monitoring.free_tool_id(tool)
    assert lists[0] == lists[1]
    assert {"PY_START", "PY_YIELD", "RAISE"} < {each[0] for each in lists[0]}


def loops(gate, notes):
    for x in gate:
        notes.append(x)
    else:
        notes.append("else")
    notes.append([y for x in "ab" for y in gate])
    notes.append([x for x in (y for y in gate)])  # noqa: C416
    return notes


def test_a_stop_iteration_that_is_sent_ends_a_loop_over_the_channel():
    """It ends the innermost, as in C: the generator expression goes on with nothing."""
    results = []
    for budget in [PLENTY, *[0] * ROUNDS]:
        gate, notes = channel(), []
        stackless.set_stack_budget(budget)
        t = tasklet(loops)(gate, notes)
        t.run()
        for value in [1, 2, None, 3, None, 4, None, 5, 6, None]:
            assert (stackless.why_pinned(t) is None) or notes[-1:] == [[3, 4]]
            if value is None:
                gate.send_exception(StopIteration, "the end")
            else:
                gate.send(value)
        assert not t.alive
        results.append(notes)
    assert results == [[1, 2, "else", [3, 4], [5, 6]]] * (ROUNDS + 1)


def test_a_loop_over_a_channel_can_be_pickled():
    gate, notes = channel(), []
    t = tasklet(loops)(gate, notes)
    t.run()
    gate.send(1)
    data = pickle.dumps((t, gate, notes))
    t.kill()
    for _ in range(2):
        copy, gate, notes = pickle.loads(data)
        gate.send(2)
        gate.send_exception(StopIteration)
        assert notes == [1, 2, "else"]
        copy.kill()


# ---- what isn't known ---------------------------------------------------------------------------


def test_who_else_is_called_by_exec_pins():
    """What exec() runs is only what it has been given."""
    gate = channel()

    class Name(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other):
            return gate.receive()

    def run():
        exec("pass", {Name("__builtins__"): {}})

    stackless.set_stack_budget(0)
    t = tasklet(run)()
    t.run()
    assert "exec" in stackless.why_pinned(t)
    while gate.balance < 0:
        gate.send(True)
    assert not t.alive


# ---- as data -------------------------------------------------------------------------------------


class Everything:
    """Waits in whatever is done with it."""

    def __init__(self, gate):
        self.gate = gate

    def __enter__(self):
        return self.gate.receive()

    def __exit__(self, *_):
        return self.gate.receive()

    def __add__(self, other):
        return self.gate.receive() + other

    def __lt__(self, other):
        return self.gate.receive() < other

    def __ne__(self, other):
        return self.gate.receive() != other

    def __bool__(self):
        return self.gate.receive() > 0

    def __setitem__(self, key, value):
        self.item = key, value, self.gate.receive()

    def __contains__(self, key):
        return self.gate.receive() == key

    @property
    def call(self):
        value = self.gate.receive()
        return lambda: value


def enters(it):
    with it as value:
        pass
    return value


def stores(it):
    it[1] = 2
    return it.item


def decides(it):
    return "true" if it else "false"


class Prepares(type):
    @classmethod
    def __prepare__(cls, name, bases, it):
        return {"prepared": it.gate.receive()}

    def __new__(cls, name, bases, namespace, it):
        return super().__new__(cls, name, bases, namespace)

    def __init__(cls, name, bases, namespace, it):
        cls.initialised = sorted(namespace)[-1], it.gate.receive()


class Creates(type):
    def __new__(cls, name, bases, namespace, it):
        made = it.gate.receive()
        return super().__new__(cls, name, bases, {**namespace, "made": made})

    def __init__(cls, name, bases, namespace, it):
        cls.initialised = sorted(namespace)[-1], it.gate.receive()


def defines_prepared(it):
    class Defined(metaclass=Prepares, it=it):
        got = it.gate.receive()

    return Defined.prepared, Defined.got, Defined.initialised


def defines_created(it):
    class Defined(metaclass=Creates, it=it):
        got = 5

    return Defined.made, Defined.initialised


USES = {
    "prepare": (defines_prepared, (7, 7, ("prepared", 7))),
    "create": (defines_created, (7, ("got", 7))),
    "enter": (enters, 7),
    "add": (lambda it: it + 1, 8),
    "compare": (lambda it: it < 9, True),
    "differ": (lambda it: it != 7, False),
    "truth": (decides, "true"),
    "store": (stores, (1, 2, 7)),
    "contain": (lambda it: 7 in it, True),
    "call": (lambda it: it.call(), 7),
}


def uses(it, name, results):
    results.append(USES[name][0](it))


@pytest.mark.parametrize("name", USES)
def test_it_can_be_pickled(name):
    gate, results = channel(), []
    stackless.set_stack_budget(0)
    t = tasklet(uses)(Everything(gate), name, results)
    t.run()
    assert stackless.why_pinned(t) is None
    data = pickle.dumps((t, gate, results))
    t.kill()
    for _ in range(2):
        _, gate, results = pickle.loads(data)
        while gate.balance < 0:
            gate.send(7)
        assert results == [USES[name][1]]


async def receives(gate):
    try:
        yield gate.receive()
        yield gate.receive() + await adds(gate.receive, 1)
    except KeyError as error:
        yield error.args, gate.receive()
    finally:
        gate.receive()


async def gathers(gate):
    return [(value, gate.receive()) async for value in receives(gate)]


async def closes(gate):
    values = receives(gate)
    return await anext(values), await values.aclose(), values.ag_running, values.ag_frame


async def throws(gate):
    values = receives(gate)
    first = await values.asend(None)
    second = await values.athrow(KeyError(first))
    async for value in values:
        return value
    return second, values.ag_running


async def fails(gate):
    try:
        async with contextlib.aclosing(receives(gate)) as values:
            raise ValueError(await anext(values))
    except ValueError as error:
        return error.args, values.ag_frame


ASYNCHRONOUS_USES = {
    gathers: [(7, 7), (15, 7)],
    closes: (7, None, False, None),
    throws: (((7,), 7), False),
    fails: ((7,), None),
}


def runs(make, gate, results):
    try:
        make(gate).send(None)
    except StopIteration as stop:
        results.append(stop.value)


@pytest.mark.parametrize("make", ASYNCHRONOUS_USES, ids=lambda make: make.__name__)
def test_asynchronous_generators_can_be_pickled_at_every_stop(make):
    gate, results = channel(), []
    stackless.set_stack_budget(0)
    original = tasklet(runs)(make, gate, results)
    original.run()
    stops = 0
    while original.alive:
        assert stackless.why_pinned(original) is None
        data = pickle.dumps((original, gate, results))
        for _ in range(2):
            copy, its_gate, its_results = pickle.loads(data)
            while its_gate.balance < 0:
                its_gate.send(7)
            assert (copy.alive, its_results) == (False, [ASYNCHRONOUS_USES[make]])
        gate.send(7)
        stops += 1
    assert results == [ASYNCHRONOUS_USES[make]]
    assert stops >= 2


def takes_next(wrapper, name, seen):
    try:
        seen.append((name, next(wrapper)))
    except (StopIteration, KeyError, ValueError) as error:
        seen.append((name, repr(error)))


SHARED = [name for name in WRAPPERS if name not in ("nested", "zip_with_a_generator", "of_maps")]


@pytest.mark.parametrize("name", SHARED)
def test_an_iterator_may_be_asked_by_several_tasklets(name):
    def asks_together(stacks):
        gate, seen, pins = channel(), [], []
        wrapper = WRAPPERS[name](Waiting(gate.receive, 6))
        stackless.set_stack_budget(stacks)
        asking = [tasklet(takes_next)(wrapper, i, seen) for i in range(4)]
        stackless.run()
        pins += [stackless.why_pinned(each) is not None for each in asking if each.alive]
        for value in VALUES * 3:
            if gate.balance == 0:
                break
            gate.send(value)
        for rest in range(3):
            tasklet(takes_next)(wrapper, rest, seen)
            stackless.run()
            while gate.balance < 0:
                gate.send(3)
        return seen, pins

    seen, pins = asks_together(0)
    assert seen == asks_together(PLENTY)[0]
    assert set(pins) == {name in ALONE}


def test_a_generator_that_nobody_else_has_pins_no_frame_that_somebody_has_looked_at():
    def numbers(gate):
        yield gate.receive()

    def work(gate):
        sys._getframe()
        return [next(numbers(gate)), next(numbers(gate), 0), *numbers(gate).send(None)]

    gate, reasons = stackless.channel(), []
    waiting = tasklet(work)(gate)
    stackless.run()
    for value in (1, 2, [3]):
        reasons.append(stackless.why_pinned(waiting))
        gate.send(value)
        stackless.run()
    assert (reasons, waiting.alive) == ([None] * 3, False)
