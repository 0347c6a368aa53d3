"""Tasklets that stand at the same place trade places: what runs and what is frozen are swapped."""

from __future__ import annotations

import contextvars
import gc
import random
import sys
import traceback
import weakref

import pytest
import stackless
from stackless import channel, tasklet


@pytest.fixture(autouse=True)
def freeze():
    """Every switch freezes what can be frozen."""
    before = stackless.set_stack_budget(0)
    yield
    stackless.set_stack_budget(before)


class Counted:
    """How many trades there were in a with block."""

    def __enter__(self):
        self.before = stackless.statistics()
        return self

    def __exit__(self, *_):
        after = stackless.statistics()
        self.trades = after["trades"] - self.before["trades"]
        self.freezes = after["freezes"] - self.before["freezes"]
        self.thaws = after["thaws"] - self.before["thaws"]


def test_tasklets_of_one_function_take_turns_by_trading():
    log = []

    def work(name):
        for i in range(3):
            log.append((name, i))
            stackless.schedule()

    for name in "abc":
        tasklet(work)(name)
    with Counted() as count:
        stackless.run()
    assert log == [(name, i) for i in range(3) for name in "abc"]
    # They start one after the other, then trade round by round until the first one ends.
    assert count.trades == 7
    assert count.freezes == count.thaws == 9


def test_those_of_different_functions_do_not():
    def one():
        for _ in range(3):
            stackless.schedule()

    def other():
        for _ in range(3):
            stackless.schedule()

    tasklet(one)()
    tasklet(other)()
    with Counted() as count:
        stackless.run()
    assert (count.trades, count.freezes) == (0, 6)


def test_nor_those_at_different_lines_or_depths():
    def deep(depth):
        if depth:
            return deep(depth - 1)
        for _ in range(2):
            stackless.schedule()
        return None

    for depth in (0, 1, 2):
        tasklet(deep)(depth)
    with Counted() as count:
        stackless.run()
    assert (count.trades, count.freezes) == (0, 6)


def test_those_that_are_equally_deep_do():
    found = []

    def deep(name, depth):
        local = [name, depth]
        if depth:
            deep(name, depth - 1)
        else:
            stackless.schedule()
            stackless.schedule()
        found.append(local)

    for name in "ab":
        tasklet(deep)(name, 5)
    with Counted() as count:
        stackless.run()
    assert found == [[name, depth] for name in "ab" for depth in range(6)]
    assert count.trades == 2


def test_each_keeps_its_closure_its_globals_and_its_defaults():
    source = "def work():\n    for i in range(3):\n        log.append((name, i)); schedule()\n"
    log = []
    code = compile(source, "worker", "exec")
    spaces = [{"name": name, "log": log, "schedule": stackless.schedule} for name in "ab"]
    exec(code, spaces[0])
    exec(code, spaces[1])
    spaces[1]["work"].__code__ = spaces[0]["work"].__code__

    def make(name):
        def work():
            nonlocal name
            for i in range(3):
                log.append((name, i))
                name = name.upper()
                stackless.schedule()

        return work

    for space in spaces:
        tasklet(space["work"])()
    with Counted() as count:
        stackless.run()
    assert log == [(name, i) for i in range(3) for name in "ab"]
    assert count.trades == 5
    del log[:]
    for name in "ab":
        tasklet(make(name))()
    stackless.run()
    assert log == [("a", 0), ("b", 0), ("A", 1), ("B", 1), ("A", 2), ("B", 2)]


def test_each_gets_its_mail_from_its_own_channel():
    log = []

    def listen(name, line):
        for _ in range(3):
            log.append((name, line.receive()))

    lines = [channel() for _ in range(3)]
    for name, line in zip("abc", lines, strict=True):
        line.preference = 0
        tasklet(listen)(name, line)
    stackless.run()
    with Counted() as count:
        for i in range(3):
            for line in lines:
                line.send(i)
            stackless.run()
    assert log == [(name, i) for i in range(3) for name in "abc"]
    # Of each round the first one is thawed, being unlike the main tasklet; in the last they end.
    assert count.trades == 4


def test_channels_that_are_called_on_are_neither_lost_nor_kept():
    class Line(channel):
        pass

    def listen(make):
        for _ in range(4):
            make().receive()

    lines = {}

    def maker(name):
        def make():
            line = Line()
            line.preference = 0
            lines[name] = weakref.ref(line)
            return line

        return make

    for name in "ab":
        tasklet(listen)(maker(name))
    stackless.run()
    for _ in range(4):
        for name in "ab":
            lines[name]().send(None)
        stackless.run()
    gc.collect()
    assert [lines[name]() for name in "ab"] == [None, None]


def test_loops_that_ask_a_channel_keep_their_items_whoever_trades():
    """They trade while they are at schedule(), and not where they ask."""

    def work(name, line, log):
        for i, x in enumerate(filter(None, line)):
            log.append((name, i, x))
            stackless.schedule()
            log.append((name, i))

    def run(budget):
        stackless.set_stack_budget(budget)
        lines, log = {name: channel() for name in "abcde"}, []
        for name, line in lines.items():
            tasklet(work)(name, line, log)
        stackless.run()
        for x in [1, 0, 2, 0, 0, 3]:
            for line in lines.values():
                line.preference = 0
                line.send(x)
            stackless.run()
        for line in lines.values():
            line.send_exception(StopIteration)
        stackless.run()
        return log

    expected = run(1000)
    assert [each for each in expected if each[0] == "c"] == [
        each for i in range(3) for each in (("c", i, i + 1), ("c", i))
    ]
    for budget in (4, 2, 1, 0):
        with Counted() as count:
            assert run(budget) == expected
    # The last one to come to schedule() each time, with the first one.
    assert count.trades == 3


def test_send_trades_too():
    log = []
    line = channel()

    def talk(name):
        for i in range(3):
            line.send((name, i))
        log.append(name)

    for name in "ab":
        tasklet(talk)(name)
    stackless.run()
    got = [line.receive() for _ in range(6)]
    stackless.run()
    assert got == [(name, i) for i in range(3) for name in "ab"]
    assert log == ["a", "b"]


def test_exceptions_reach_the_one_they_are_meant_for():
    log = []

    def work(name):
        while True:
            try:
                stackless.schedule()
            except KeyError as error:
                log.append(
                    (name, error.args, [f.name for f in traceback.extract_tb(error.__traceback__)])
                )

    tasklets = {name: tasklet(work)(name) for name in "abc"}
    stackless.schedule()
    stackless.schedule()
    for name in "abc":
        tasklets[name].throw(KeyError, name, pending=True)
        with Counted() as count:
            stackless.schedule()
        assert count.trades > 0
    assert log == [(name, (name,), ["work"]) for name in "abc"]
    for each in tasklets.values():
        each.kill()
    assert [each.alive for each in tasklets.values()] == [False] * 3


def test_the_exception_that_each_handles_stays_with_it():
    log = []

    def work(name):
        try:
            raise KeyError(name)
        except KeyError:
            for _ in range(3):
                stackless.schedule()
                log.append((name, sys.exc_info()[1].args))
        log.append((name, sys.exc_info()[1]))

    for name in "ab":
        tasklet(work)(name)
    with Counted() as count:
        stackless.run()
    assert count.trades == 5
    assert log == [
        *[(name, (name,)) for _ in range(2) for name in "ab"],
        ("a", ("a",)),
        ("a", None),
        ("b", ("b",)),
        ("b", None),
    ]


def test_context_variables_stay_with_their_tasklets():
    variable = contextvars.ContextVar("variable")
    log = []

    def work(name):
        variable.set(name)
        for _ in range(3):
            stackless.schedule()
            log.append((name, variable.get()))

    for name in "ab":
        tasklet(work)(name)
    with Counted() as count:
        stackless.run()
    assert count.trades == 5
    assert all(name == value for name, value in log)
    assert len(log) == 6
    assert variable.get(None) is None


def test_frame_objects_show_their_own_tasklet():
    frames = {}

    def work(name):
        frames[name] = sys._getframe()
        for step in range(3):
            stackless.schedule(step)
        return step

    tasklets = {name: tasklet(work)(name) for name in "abc"}
    for _ in range(3):
        stackless.schedule()
        for name, frame in frames.items():
            assert frame.f_locals["name"] == name
            assert tasklets[name].frame is frame
            assert frame.f_lineno == work.__code__.co_firstlineno + 3
    stackless.run()
    assert {name: frame.f_locals["step"] for name, frame in frames.items()} == dict.fromkeys(
        "abc", 2
    )


def test_one_that_ends_in_the_place_of_another():
    log = []

    class Watched:
        def __init__(self, name):
            self.name = name

        def __del__(self):
            log.append(("gone", self.name))

    def work(name, rounds, watched):
        for _ in range(rounds):
            stackless.schedule()
        log.append((name, stackless.getcurrent().alive))

    tasklets = [
        tasklet(work)(name, rounds, Watched(name))
        for name, rounds in zip("abc", (3, 1, 2), strict=True)
    ]
    references = [weakref.ref(each) for each in tasklets]
    del tasklets
    stackless.run()
    gc.collect()
    assert log == [
        ("b", True),
        ("gone", "b"),
        ("c", True),
        ("gone", "c"),
        ("a", True),
        ("gone", "a"),
    ]
    assert [reference() for reference in references] == [None] * 3


def test_a_profiler_or_a_trace_function_ends_the_trade():
    def work(tool):
        if tool:
            sys.settrace(lambda *_: None)
        for _ in range(3):
            stackless.schedule()

    for tool in (False, True, False):
        tasklet(work)(tool)
    with Counted() as count:
        stackless.run()
    assert count.trades < 6
    assert sys.gettrace() is None


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with 3.12")
def test_monitoring_sees_what_it_sees_of_mounted_ones():
    tool = 3
    events = sys.monitoring.events

    def work(name):
        for _ in range(3):
            stackless.schedule()
        return name

    def run(budget):
        log = []
        stackless.set_stack_budget(budget)
        for name in "ab":
            tasklet(work)(name)
        sys.monitoring.use_tool_id(tool, "test")
        try:
            for event in (events.PY_START, events.LINE, events.PY_RETURN):
                sys.monitoring.register_callback(tool, event, lambda code, *rest: log.append(rest))
            sys.monitoring.set_local_events(
                tool, work.__code__, events.PY_START | events.LINE | events.PY_RETURN
            )
            stackless.run()
        finally:
            sys.monitoring.set_local_events(tool, work.__code__, 0)
            sys.monitoring.free_tool_id(tool)
        return log

    with Counted() as count:
        frozen = run(0)
    assert count.trades == 5
    assert frozen == run(100)


def random_program(seed):
    """Many tasklets of few functions, that do at random what their own dice say."""
    dice = random.Random(seed)
    lines = [channel() for _ in range(3)]
    for line in lines:
        line.preference = dice.choice((-1, 0, 1))
    log = []

    def calm(name, dice, depth):
        values = [name]
        for i in range(dice.randrange(1, 8)):
            if depth and dice.random() < 0.3:
                values.append(calm(name, dice, depth - 1))
            step(name, dice, values, i)
        return values

    def hasty(name, dice, depth):
        total = 0
        try:
            for i in range(dice.randrange(1, 8)):
                with_exception = dice.random() < 0.2
                stackless.schedule(i)
                total += i
                if with_exception:
                    raise ValueError(name, i)
        except ValueError as error:
            stackless.schedule()
            log.append((name, error.args))
            total += step(name, dice, [total], depth)
        return total

    def step(name, dice, values, i):
        line = dice.choice(lines)
        kind = dice.randrange(3)
        if kind == 0 or (kind == 1 and line.balance >= 0) or (kind == 2 and line.balance > 4):
            values.append(stackless.schedule(i))
        elif kind == 1:
            line.send((name, i))
        elif line.balance > 0:
            values.append(line.receive())
        log.append((name, i, len(values)))
        return i

    def start(name, dice, function):
        log.append((name, "ends", function(name, dice, 2)))

    for name in range(30):
        tasklet(start)(name, random.Random(seed * 1000 + name), dice.choice((calm, hasty)))
    stackless.run()
    return log


@pytest.mark.parametrize("seed", range(40))
def test_random_programs_do_the_same_whoever_is_frozen(seed):
    stackless.set_stack_budget(1000)
    with Counted() as count:
        expected = random_program(seed)
    assert count.freezes == 0
    for budget in (20, 5, 1, 0):
        stackless.set_stack_budget(budget)
        with Counted() as count:
            assert random_program(seed) == expected
    assert count.trades > 0


def test_nothing_is_leaked():
    def work(line, values):
        for _ in range(20):
            values = [*values, line.receive(), object()]

    def round_of_them():
        lines = [channel() for _ in range(5)]
        for line in lines:
            tasklet(work)(line, [])
        stackless.run()
        for _ in range(20):
            for line in lines:
                line.preference = 0
                line.send(object())
            stackless.run()
        gc.collect()
        return len(gc.get_objects())

    def trades():
        return stackless.statistics()["trades"]

    round_of_them()
    expected = round_of_them(), sys.getrefcount(channel.receive), sys.getrefcount(work.__code__)
    before = trades()
    for _ in range(3):
        found = round_of_them(), sys.getrefcount(channel.receive), sys.getrefcount(work.__code__)
    assert trades() - before > 150
    assert found == expected
