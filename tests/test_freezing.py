"""Tasklets without a C stack: when they are frozen, and that nothing shows it."""

from __future__ import annotations

import contextvars
import functools
import gc
import sys
import traceback

import pytest
import stackless
from stackless import channel, tasklet


@pytest.fixture
def freeze():
    """Every switch freezes what can be frozen."""
    before = stackless.set_stack_budget(0)
    yield
    stackless.set_stack_budget(before)


def counts():
    statistics = stackless.statistics()
    return statistics["mounted"], statistics["frozen"]


def wait_for(gate, depth=0):
    return wait_for(gate, depth - 1) if depth else gate.receive()


# ---- when ----------------------------------------------------------------------------------------


def test_a_tasklet_beyond_the_budget_is_frozen_as_it_gives_way():
    gate = channel()
    before = stackless.set_stack_budget(10)
    try:
        tasklets = [tasklet(wait_for)(gate) for _ in range(100)]
        stackless.run()
        assert counts() == (11, 89)  # one stays to trade places with
        for _ in tasklets:
            gate.send(None)
        assert counts() == (0, 0)
    finally:
        stackless.set_stack_budget(before)


def test_below_the_budget_nothing_is_frozen():
    before = stackless.set_stack_budget(1000)
    freezes = stackless.statistics()["freezes"]
    try:
        for _ in range(100):
            tasklet(stackless.schedule)()
        stackless.run()
        assert stackless.statistics()["freezes"] == freezes
    finally:
        stackless.set_stack_budget(before)


def test_frozen_tasklets_take_little_memory(freeze):
    gate = channel()
    tasklets = [tasklet(wait_for)(gate) for _ in range(100)]
    stackless.run()
    assert counts() == (0, 100)
    assert stackless.statistics()["frozen_bytes"] <= 100 * 256
    assert stackless.statistics()["stacks_in_use"] == 0
    for t in tasklets:
        t.kill()


@pytest.mark.parametrize("wrong", ["1", 1.5, None])
def test_a_budget_is_a_number(wrong):
    with pytest.raises(TypeError):
        stackless.set_stack_budget(wrong)
    with pytest.raises(OverflowError):
        stackless.set_stack_budget(-1)


WAITS = {
    "receive": lambda c: c.receive(),
    "send": lambda c: c.send("sent"),
    "schedule": lambda _: stackless.schedule(),
    "schedule a value": lambda _: stackless.schedule("value"),
    "remove": lambda _: stackless.schedule_remove(),
    "remove a value": lambda _: stackless.schedule_remove("value"),
    "sleep": lambda _: stackless.sleep(3600),
    "switch": lambda _: tasklet(stackless.schedule)().switch(),
}


@pytest.mark.parametrize("waits", WAITS.values(), ids=WAITS)
def test_a_tasklet_can_be_frozen_in(waits, freeze):
    t = tasklet(waits)(channel())
    tasklet(stackless.schedule)()
    t.run()
    assert counts()[1] >= 1
    assert t.frame is not None
    assert stackless.why_pinned(t) is None
    t.kill()
    stackless.run()


def test_a_tasklet_is_frozen_while_it_runs_another(freeze):
    seen = []

    def runs():
        tasklet(lambda: seen.append(counts()))().run()

    tasklet(runs)()
    stackless.run()
    assert seen == [(1, 1)]


# ---- that nothing shows --------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [0, 1, 10, 900])
def test_the_value_comes_back_through_all_frames(freeze, depth):
    gate, got = channel(), []
    t = tasklet(lambda: got.append(wait_for(gate, depth)))()
    stackless.run()
    assert counts() == (0, 1)
    assert t.recursion_depth == depth + 2
    gate.send("value")
    assert got == ["value"]


def test_100_000_frames_can_be_frozen(freeze):
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(110_000)
    try:
        gate, got = channel(), []
        tasklet(lambda: got.append(wait_for(gate, 100_000)))()
        stackless.run()
        assert counts() == (0, 1)
        gate.send("value")
        assert got == ["value"]
    finally:
        sys.setrecursionlimit(limit)


def test_an_exception_thrown_in_has_a_whole_traceback(freeze):
    seen = []

    def outer(gate):
        try:
            wait_for(gate, 2)
        except KeyError as error:
            seen.extend(f.name for f in traceback.extract_tb(error.__traceback__))

    gate = channel()
    tasklet(outer)(gate)
    stackless.run()
    gate.send_exception(KeyError, "thrown")
    assert seen == ["outer", "wait_for", "wait_for", "wait_for"]


def test_its_frames_can_be_looked_at(freeze):
    gate = channel()
    t = tasklet(wait_for)(gate, 2)
    stackless.run()
    frame = t.frame
    depths = []
    while frame is not None:
        depths.append((frame.f_code.co_name, frame.f_locals["depth"]))
        frame = frame.f_back
    assert depths == [("wait_for", 0), ("wait_for", 1), ("wait_for", 2)]
    t.kill()


def test_a_frame_object_follows_its_frame(freeze):
    frames = []

    def keeps(gate):
        frames.append(sys._getframe())
        value = gate.receive()
        frames.append(frames[0] is sys._getframe())
        return value

    gate = channel()
    tasklet(keeps)(gate)
    stackless.run()
    line = frames[0].f_lineno
    gate.send("value")
    assert frames[1] is True
    assert frames[0].f_locals["value"] == "value"
    assert frames[0].f_lineno == line + 2


def test_a_frame_that_is_kept_has_no_other_tasklets_callers(freeze):
    kept = []

    def ends():
        stackless.schedule()
        kept.append(sys._getframe())

    def fails():
        try:
            stackless.schedule()
            raise LookupError
        except LookupError as error:
            kept.append(error.__traceback__.tb_frame)

    found = []

    def look():
        stackless.schedule()
        found.extend((frame.f_code.co_name, frame.f_back) for frame in kept)

    for work in (ends, fails):
        tasklet(work)()
    stackless.run()
    for _ in kept:  # on the stack of each
        tasklet(look)()
    stackless.run()
    assert found == [("ends", None), ("fails", None)] * 2


class SwitchesAtItsEnd:
    def __init__(self, log, name):
        self.log, self.name = log, name

    def __del__(self):
        self.log.append(self.name)
        stackless.schedule()
        self.log.append(self.name + "'")


@pytest.mark.parametrize("ends_in_generator", [False, True])
def test_variables_die_in_their_order_when_a_function_ends(freeze, ends_in_generator):
    def function(log):
        a, b = SwitchesAtItsEnd(log, "a"), SwitchesAtItsEnd(log, "b")
        stackless.schedule()
        log.append("ends")
        return a is b

    def generator(log):
        a, b = SwitchesAtItsEnd(log, "a"), SwitchesAtItsEnd(log, "b")
        yield
        stackless.schedule()
        log.append("ends")
        return a is b

    def run_generator(log):
        for _ in generator(log):
            stackless.schedule()

    work = run_generator if ends_in_generator else function
    plain, frozen = [], []
    for budget, log in ((1 << 20, plain), (0, frozen)):
        stackless.set_stack_budget(budget)
        freezes = stackless.statistics()["freezes"]
        tasklet(work)(log)
        tasklet(lambda: [stackless.schedule() for _ in range(9)])()
        stackless.run()
    assert stackless.statistics()["freezes"] > freezes
    assert len(plain) == 5
    assert plain == frozen


def test_the_exception_being_handled_stays_its_own(freeze):
    seen = []

    def handles(name):
        try:
            raise KeyError(name)
        except KeyError as error:
            stackless.schedule()
            seen.append(sys.exc_info()[1] is error)
            try:
                raise ValueError
            except ValueError as second:
                stackless.schedule()
                seen.append(second.__context__ is error)
        seen.append(sys.exc_info()[1])

    tasklet(handles)("a")
    tasklet(handles)("b")
    stackless.run()
    assert seen == [True, True, True, None, True, None]


def test_context_variables_stay_its_own(freeze):
    variable = contextvars.ContextVar("variable")
    seen = []

    def sets(value):
        variable.set(value)
        stackless.schedule()
        seen.append(variable.get())

    for value in "ab":
        tasklet(sets)(value)
    stackless.run()
    assert seen == ["a", "b"]
    assert variable.get(None) is None


def test_a_trace_function_stays_its_own(freeze):
    events = []

    def trace(frame, event, _argument):
        if frame.f_code in (traced.__code__, helper.__code__):
            events.append((event, frame.f_code.co_name))
        return trace

    def helper():
        pass

    def traced():
        stackless.schedule()
        helper()

    def starts():
        sys.settrace(trace)
        traced()
        sys.settrace(None)

    old = sys.gettrace()
    sys.settrace(None)
    try:
        t = tasklet(starts)()
        tasklet(stackless.schedule)()
        t.run()
        assert t.trace_function is trace
        assert sys.gettrace() is None
        stackless.run()
    finally:
        sys.settrace(old)
    calls = [event for event in events if event[0] in ("call", "return")]
    assert calls == [
        ("call", "traced"),
        ("call", "helper"),
        ("return", "helper"),
        ("return", "traced"),
    ]


def test_arguments_are_dropped_as_early_as_ever(freeze):
    log = []

    class Noted:
        def __del__(self):
            log.append("dropped")

    def drops(argument):
        stackless.schedule()
        del argument
        log.append("deleted")

    tasklet(drops)(Noted())
    tasklet(stackless.schedule)()
    stackless.run()
    assert log == ["dropped", "deleted"]


def test_generators_and_with_blocks_in_progress(freeze):
    log = []

    class Manager:
        def __enter__(self):
            log.append("enter")

        def __exit__(self, kind, *_):
            log.append(("exit", kind))

    def works(gate):
        with Manager():
            for item in iter([1, 2]):
                log.append((item, gate.receive()))
        return [gate.receive() for _ in range(2)]

    gate = channel()
    tasklet(lambda: log.append(works(gate)))()
    stackless.run()
    for value in "abcd":
        gate.send(value)
    assert log == ["enter", (1, "a"), (2, "b"), ("exit", None), ["c", "d"]]


def test_a_collection_during_the_freeze_finds_everything(freeze):
    gate, got = channel(), []

    def holds():
        values = [object() for _ in range(10)]
        total = [*values, gate.receive(), *values]
        got.append(len({id(v) for v in total}))

    for _ in range(50):
        tasklet(holds)()
    stackless.run()
    gc.collect()
    for _ in range(50):
        gate.send(None)
        gc.collect()
    assert got == [11] * 50


# ---- pinned --------------------------------------------------------------------------------------


def test_why_pinned_names_the_function_and_the_line(freeze):
    gate = channel()

    def sorts():
        sorted([1], key=lambda _: gate.receive())

    t = tasklet(sorts)()
    t.run()
    line = sorts.__code__.co_firstlineno + 1
    assert counts() == (1, 0)
    assert stackless.why_pinned(t) == (
        f"C code is in the way: sorted, called at {__file__}:{line} in {sorts.__qualname__}"
    )
    t.kill()


def test_why_pinned_without_python_frames():
    t = tasklet(functools.partial(wait_for, channel()))()
    t.run()
    assert stackless.why_pinned(t) == "it was started through C code: functools.partial"
    t.kill()
    u = tasklet(channel().receive)()
    u.run()
    assert stackless.why_pinned(u) == "it was started through C code: channel.receive"
    u.kill()


def test_why_pinned_of_those_that_do_not_wait():
    t = tasklet(wait_for)(channel())
    assert stackless.why_pinned(t) is None
    assert stackless.why_pinned(stackless.getmain()) == "it is a main tasklet"
    t.kill()
    with pytest.raises(TypeError, match="takes a tasklet"):
        stackless.why_pinned(1)


def test_a_pinned_tasklet_works_all_the_same(freeze):
    gate, got = channel(), []

    def sorts():
        got.append(sorted([3, 1, 2], key=lambda value: (gate.receive(), value)))

    tasklet(sorts)()
    stackless.run()
    for _ in range(3):
        gate.send(0)
    assert got == [[1, 2, 3]]
    assert counts() == (0, 0)


def test_what_makes_a_number_of_sleeps_argument_may_wait_itself(freeze):
    gate, log = channel(), []

    class Late:
        __float__ = gate.receive

    def work():
        log.append(stackless.sleep(Late()))

    sleeper = tasklet(work)()
    stackless.run()
    assert "C code is in the way: sleep, called" in stackless.why_pinned(sleeper)
    gate.send(0.0)
    stackless.run()
    assert log == [None]
