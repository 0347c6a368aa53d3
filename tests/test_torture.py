"""STACKLESS_TORTURE=pickle: what is thawed has been pickled and unpickled, and nobody can tell."""

from __future__ import annotations

import pytest
from support import child_lines

PRELUDE = """
import gc, sys, weakref
import stackless
from stackless import schedule, tasklet

def turn():
    while len(runnable) > 1:
        schedule()
runnable = [turn]

def run(function):
    def running():
        function()
        runnable.remove(running)
    runnable.append(running)
    tasklet(running)()
    tasklet(turn)()
    stackless.run()
"""


def tortured(source, mode="pickle"):
    return child_lines(PRELUDE + source, env={"STACKLESS_TORTURE": mode})


ITERATORS = (
    "iter([1, 2, 3])",
    "iter((1, 2, 3))",
    "iter('123')",
    "iter('\\xe9\\xe8')",
    "iter(b'123')",
    "iter(bytearray(b'123'))",
    "iter(range(3))",
    "iter(range(1 << 64, (1 << 64) + 2))",
    "reversed([1, 2, 3])",
    "reversed((1, 2, 3))",
    "enumerate('ab')",
    "zip([1, 2], 'ab')",
    "map(abs, [1, 2])",
    "filter(any, enumerate('ab'))",
    "map(abs, squares())",
)
LOOP = """
def squares():
    for i in range(3):
        yield i * i

def program():
    wanted = [repr(each) for each in {0}]
    iterator, found = {0}, []
    for each in iterator:
        found.append(repr(each))
        before = id(iterator)
        schedule()
        print(id(iterator) != before)
    assert found == wanted, found
run(program)
"""


@pytest.mark.parametrize("iterator", ITERATORS)
def test_an_iterator_of_a_frame_alone_comes_back_as_another_one(iterator):
    lines = tortured(LOOP.format(iterator))
    assert set(lines) == {"True"}
    assert set(tortured(LOOP.format(iterator), "1")) == {"False"}


OTHERS = (
    ("iter({1: 2, 3: 4})", "pickle copies what is left"),
    ("iter({1: 2, 3: 4}.items())", "pickle copies what is left"),
    ("iter({1, 2})", "pickle copies what is left"),
    ("list.__iter__(Own([1, 2]))", "its __iter__() would be called"),
    ("map(abs, Own([1, 2]).iterator())", "its __iter__() would be called"),
    ("shared.append(iter([1, 2])) or shared[-1]", "it is an element of a list"),
    ("kept(iter([1, 2]))", "a function has it in its closure"),
)
OTHER = """
class Own(list):
    def __iter__(self):
        raise AssertionError
    def iterator(self):
        return Iterator(self)
class Iterator:
    def __init__(self, items):
        self.items = list.__iter__(items)
    def __iter__(self):
        return self
    def __next__(self):
        return next(self.items)
shared = []
def kept(iterator):
    shared.append(lambda: iterator)
    return iterator

def program():
    iterator = {0}
    for each in iterator:
        before = id(iterator)
        schedule()
        print(id(iterator) == before)
run(program)
"""


@pytest.mark.parametrize("iterator", [each for each, _ in OTHERS])
def test_an_iterator_that_another_one_could_not_replace_is_left_alone(iterator):
    assert tortured(OTHER.format(iterator)) == ["True", "True"]


def test_everything_else_keeps_its_identity():
    lines = tortured(
        """
class Thing:
    pass
def program():
    values = [Thing(), 10**20, (1, [2]), "a b", 1.5, {}, {1}, program, Thing, sys, None]
    thing, number, items, text, fraction, mapping, group, function, kind, module, nothing = values
    weak = weakref.ref(thing)
    own, frame = stackless.getcurrent(), sys._getframe()
    try:
        raise KeyError(thing)
    except KeyError as error:
        assert schedule() is own
        assert sys.exception() is error and error.args[0] is thing
        assert error.__traceback__.tb_frame is frame is sys._getframe()
    again = [thing, number, items, text, fraction, mapping, group, function, kind, module, nothing]
    assert all(one is other for one, other in zip(values, again, strict=True))
    assert stackless.getcurrent() is own and weak() is thing
    assert frame.f_locals["number"] == 10**20 and frame.f_back.f_back is None
    print("the same")
run(program)
"""
    )
    assert lines == ["the same"]


def test_a_cell_stays_shared_with_the_functions_that_have_it():
    lines = tortured(
        """
def program():
    count = 0
    def add():
        nonlocal count
        count += 1
        schedule()
    add()
    schedule()
    count += 10
    add()
    print(count, add.__closure__[0].cell_contents)
    del add
    schedule()
    count += 10
    schedule()
    print(count)
run(program)
"""
    )
    assert lines == ["12 12", "22"]


def test_generators_that_run_in_a_tasklet_remain_themselves():
    lines = tortured(
        """
def inner():
    got = yield schedule() is not None
    while True:
        try:
            got = yield (got, schedule() and 1)
        except KeyError as error:
            schedule()
            assert sys.exception() is error
            got = "caught"
def outer():
    yield from inner()
def program():
    generator = outer()
    print(next(generator), generator.send(2), generator.throw(KeyError()))
    assert generator.gi_frame.f_lineno > 0
run(program)
"""
    )
    assert lines == ["True (2, 1) ('caught', 1)"]


SUSPENDED = """
def tell(before, iterator):
    print(id(iterator) != before)
def steps(count):
    iterator = iter(range(10))
    def add():
        nonlocal count
        count += 1
    for each in iterator:
        before = id(iterator)
        add()
        try:
            if each:
                raise KeyError(each)
            yield count
        except KeyError as error:
            yield count
            assert sys.exception() is error and error.args == (each,)
        tell(before, iterator)
async def awaits(count):
    await Awaited(count)
class Awaited:
    def __init__(self, count):
        self.count = count
    def __await__(self):
        return steps(self.count)
async def gives(count):
    for each in steps(count):
        yield each
def next_of(generator):
    try:
        generator.asend(None).send(None)
    except StopIteration as given:
        return given.value
"""
GENERATORS = (
    ("steps(0)", "next"),
    ("(each for each in steps(0))", "next"),
    ("map(abs, steps(0))", "next"),
    ("awaits(0)", "lambda coroutine: coroutine.send(None)"),
    ("gives(0)", "next_of"),
)


@pytest.mark.parametrize(("make", "step"), GENERATORS)
def test_a_suspended_generator_of_a_frame_alone_gets_another_frame(make, step):
    source = f"""
def program():
    generator, step, found = {make}, {step}, []
    before, replaced = id(generator), isinstance(generator, map)
    schedule()
    for _ in range(3):
        found.append(step(generator))
        schedule()
        assert replaced or id(generator) == before
    print(found)
    if hasattr(generator, "close"):
        generator.close()
run(program)
"""
    assert tortured(SUSPENDED + source) == ["True", "True", "[1, 2, 3]"]
    if "map" not in make:
        assert tortured(SUSPENDED + source, "1") == ["False", "False", "[1, 2, 3]"]


def test_a_suspended_generator_that_something_else_refers_to_is_left_alone():
    source = """
shared = []
def program():
    generator = steps(0)
    {}
    for _ in range(3):
        next(generator)
        schedule()
run(program)
"""
    assert tortured(SUSPENDED + source.format("shared.append(generator)")) == ["False"] * 2
    assert tortured(SUSPENDED + source.format("weak = weakref.ref(generator)")) == ["True"] * 2


def test_what_a_suspended_generator_shares_with_its_maker_stays_shared():
    lines = tortured(
        """
def program():
    count = 0
    def numbers():
        nonlocal count
        while True:
            count += 1
            yield count
    generator, frame = numbers(), None
    del numbers
    for _ in range(2):
        next(generator)
        schedule()
        count += 10
        schedule()
    print(count, next(generator))
    frame = generator.gi_frame
    schedule()
    assert generator.gi_frame is frame and frame.f_locals["count"] == 23
    generator.close()
    assert generator.gi_frame is None
run(program)
"""
    )
    assert lines == ["22 23"]


def test_the_arguments_of_the_call_die_after_it():
    lines = tortured(
        """
class Thing:
    def __del__(self):
        print("gone")
channel = stackless.channel()
def program():
    print(channel.send(Thing()), "sent")
tasklet(program)()
stackless.run()
thing = channel.receive()
print("received")
stackless.run()
del thing
"""
    )
    assert lines == ["received", "None sent", "gone"]


def test_tools_are_not_told_of_it():
    lines = tortured(
        """
def program():
    def tell(frame, event, _):
        print(frame.f_code.co_name, event)
    sys.setprofile(tell)
    schedule()
    sys.setprofile(None)
run(program)
"""
    )
    assert lines == ["program c_call", "program c_return", "program c_call"]


def test_what_can_not_be_pickled_is_left_as_it_is():
    lines = tortured(
        """
def program():
    class Body:
        for i in range(3):
            schedule()
            print(i)
run(program)
"""
    )
    assert lines == ["0", "1", "2"]


def test_a_signal_meanwhile_is_raised_by_the_call_that_returns():
    # The handler runs as soon as there is Python code, and that is the pickler's.
    lines = tortured(
        """
import signal
def interrupt(*_):
    raise InterruptedError
signal.signal(signal.SIGUSR1, interrupt)
from stackless import _torture
def strike(entries, pickle_and_unpickle=_torture.pickle_and_unpickle):
    if entries[-1][0] is program:
        signal.raise_signal(signal.SIGUSR1)
    return pickle_and_unpickle(entries)
stackless._stackless._set_pickle_and_unpickle(strike)
def program():
    for i in range(2):
        try:
            schedule()
        except InterruptedError:
            print("interrupted", i)
run(program)
"""
    )
    assert lines == ["interrupted 0", "interrupted 1"]
