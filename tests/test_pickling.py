"""Suspended tasklets, generators and channels as pickles: they go on exactly where they were."""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import io
import os
import pickle
import sys
import textwrap
import threading
import traceback
import types
import warnings
from pathlib import Path

import pytest
import stackless
from stackless import channel, getcurrent, schedule_remove, tasklet
from support import child_lines, frame_names, in_thread

PICKLERS = [pickle.Pickler, pickle._Pickler]
UNPICKLERS = [pickle.Unpickler, pickle._Unpickler]
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Noted(tasklet):
    """A tasklet that keeps a log, which is pickled with it."""


def log(*values):
    getcurrent().log.extend(values)


def stop(value=None):
    return schedule_remove(value)


def start(function, *args, **kwargs):
    """Return a tasklet that has run to its first stop."""
    started = Noted(function)(*args, **kwargs)
    started.log = []
    started.run()
    return started


def finish(unfinished):
    """Run a tasklet from stop to stop to its end; return its log."""
    while unfinished.alive:
        unfinished.run()
    return unfinished.log


def copied(value):
    return pickle.loads(pickle.dumps(value))


# ---- every place at which a tasklet can stop -----------------------------------------------------


def loops():
    for a in [1, 2]:
        for b in range(2):
            for c in ("x",):
                for d in {"k": 1}.items():
                    log((a, b, c, d, stop(a)))
    number = 0
    while (number := number + stop(1)) < 3:
        log(number)
    else:
        log("else")


def iterators():
    for each in enumerate([1, 2]):
        log(each, stop())
    for each in zip("ab", [1, 2], strict=True):
        log(each, stop())
    for each in reversed([1, 2]):
        log(each, stop())
    for each in map(str, [1, 2]):
        log(each, stop())
    for each in {1}:
        log(each, stop())


def tries():
    try:
        try:
            stop()
            raise KeyError(1)
        except KeyError as error:
            stop()
            log(repr(error), sys.exc_info()[1] is error)
            raise ValueError(2) from error
        finally:
            log(stop(3))
    except ValueError as error:
        log(repr(error.__cause__), stop(2))
        log(sys.exc_info()[1] is error)
        try:
            raise
        except ValueError as again:
            log(again is error, stop(4))
    else:
        log("never")
    log(sys.exc_info()[1])


def leaves_finally():
    for number in range(3):
        try:
            if stop(number) == 1:
                continue
            log(number)
        finally:
            log("finally", stop(number))


class Manager:
    def __enter__(self):
        return "entered"

    def __exit__(self, kind, *_):
        log(kind)
        return True


def withs():
    with Manager() as first, Manager():
        log(first, stop(1))
        raise KeyError
    log(stop(2))


def comprehensions():
    log([stop(i) for i in range(2)], {stop(i) for i in range(2)}, {i: stop(i) for i in range(2)})
    log([[stop(i * j) for i in range(2)] for j in range(2) if stop(True)])


def closures():
    total = 1

    def adds(number):
        nonlocal total
        total += number
        log(total, stop(total))
        total += 1

    adds(1)
    adds(2)
    log(total, (lambda x, y=stop(2): (x, stop(y)))(1))  # noqa: B008


def counts(count):
    for number in range(count):
        log((yield stop(number)))
    return "returned"


def for_over_generators():
    for number in counts(2):
        log(number)


def yields_from():
    def outer():
        result = yield from counts(2)
        log(result, stop(result))

    for number in outer():
        log(number)


def suspended_generator():
    def two():
        try:
            log((yield 1))
            yield 2
        finally:
            log("finally")

    generator = two()
    log(next(generator))
    stop()
    log(generator.send("sent"))
    stop()
    log(list(generator))


def suspended_in_except():
    def handles():
        try:
            yield 1
        except KeyError as error:
            log((yield 2), sys.exc_info()[1] is error)
            raise

    generator = handles()
    next(generator)
    generator.throw(KeyError("thrown"))
    stop()
    try:
        generator.send("sent")
    except KeyError as error:
        log(repr(error), sys.exc_info()[1] is error)


def arguments(a, /, b=2, *c, d=3, **e):
    log(a, b, c, d, e, stop(a))


def calls():
    arguments(stop(1))
    arguments(1, 2, 3, 4, d=stop(5), e=6)
    arguments(*[1, stop(2)], **{"d": stop(3), "f": 4})  # noqa: PIE804


class Counter:
    def __init__(self, number):
        self.number = number

    def more(self, by=1, *, note=None):
        self.number += by
        log(self.number, stop(note))
        return self


def methods():
    counter = Counter(1)
    more = counter.more
    more(5, note=stop(4))
    log(counter.more().more() is counter, more.__self__ is counter, counter.number)


def expressions():
    log(1 + stop(2) * (3 if stop(4) else 5), f"{stop(1)!r:>5}", stop([1])[0], "a" in [stop("a")])
    log(stop(1) < stop(2) < stop(3), stop(0) or stop("or"), not stop(1), *stop([1, 2]))
    match stop({"k": [1, 2, 3]}):
        case {"k": [first, *rest]} if stop(True):
            log(first, rest, stop(3))


def groups():
    try:
        raise ExceptionGroup("group", [KeyError(1), ValueError(2)])
    except* KeyError as error:
        log(repr(error), stop(1))
    except* ValueError as error:
        log(repr(error), stop(2))


def down(depth):
    return down(depth - 1) + 1 if depth else stop(0)


def recursion():
    log(down(50), down(3))


def unbound():
    if stop(False):
        name = 1
    try:
        log(name)
    except UnboundLocalError:
        log("unbound")
    name = 2
    del name
    log("name" in locals(), stop(1))


def decorated():
    @functools.wraps(stop)
    def wrapper(value):
        return stop(value)

    log(wrapper(1), wrapper.__name__, wrapper.__wrapped__ is stop)


PROGRAMS = [
    *(loops, iterators, tries, leaves_finally, withs, comprehensions, closures),
    *(for_over_generators, yields_from, suspended_generator, suspended_in_except),
    *(calls, methods, expressions, groups, recursion, unbound, decorated),
]


def name_of(value):
    return getattr(value, "__name__", repr(value))


def snapshots_of(program):
    """Return a pickle made at each stop of a program, and its log."""
    pickles, runs = [], start(program)
    while runs.alive:
        assert stackless.why_pinned(runs) is None
        assert runs.restorable
        pickles.append(pickle.dumps(runs))
        runs.run()
    return pickles, runs.log


@pytest.mark.parametrize("program", PROGRAMS, ids=name_of)
def test_an_unpickled_tasklet_goes_on_at_every_stop_any_number_of_times_in(program):
    expected = finish(start(program))
    pickles, original = snapshots_of(program)
    assert original == expected
    for data in pickles:
        assert [finish(pickle.loads(data)) for _ in range(3)] == [expected] * 3


@pytest.mark.parametrize("program", PROGRAMS, ids=name_of)
def test_a_tasklet_can_be_pickled_anew_at_every_stop_in(program):
    expected, runs = finish(start(program)), start(program)
    while runs.alive:
        if stackless.why_pinned(runs) is None:
            before, runs = runs, copied(runs)
            assert finish(before) == expected
        runs.run()
    assert runs.log == expected


@pytest.mark.parametrize("program", PROGRAMS, ids=name_of)
def test_deep_copies_go_on_like_the_original_in(program):
    expected, runs = finish(start(program)), start(program)
    copies = []
    while runs.alive:
        if stackless.why_pinned(runs) is None:
            copies.append(copy.deepcopy(runs))
        runs.run()
    assert [finish(each) for each in copies] == [expected] * len(copies)
    assert runs.log == expected


def leaves_a_file():
    append, written = [].append, []
    with io.StringIO() as file:
        append(stop())
        file.write("written")
        written.append(file.getvalue())
    log(written, append.__self__, file.closed)


@pytest.mark.parametrize("again", [copied, copy.deepcopy], ids=["pickle", "deepcopy"])
def test_a_method_written_in_c_is_copied_with_its_object(again):
    """The interpreter keeps file.__exit__ for the end of the block."""
    original = start(leaves_a_file)
    for each in (again(original), original):
        assert finish(each) == [["written"], [None], True]


def test_they_go_on_in_another_process(tmp_path):
    pickles = {program.__name__: snapshots_of(program) for program in PROGRAMS}
    file = tmp_path / "pickles"
    file.write_bytes(pickle.dumps(pickles))
    child = """
        import pickle, sys
        sys.path.insert(0, sys.argv[1])
        import test_pickling
        with open(sys.argv[2], "rb") as file:
            pickles = pickle.load(file)
        for name, (stops, expected) in pickles.items():
            for data in stops:
                assert test_pickling.finish(pickle.loads(data)) == expected, name
        print(len(pickles))
    """
    assert child_lines(child, str(Path(__file__).parent), str(file)) == [str(len(PROGRAMS))]


@pytest.mark.parametrize("unpickler", UNPICKLERS, ids=name_of)
@pytest.mark.parametrize("pickler", PICKLERS, ids=name_of)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_any_pickler_and_protocol_will_do(protocol, pickler, unpickler):
    for program in (tries, withs, closures, suspended_in_except, methods, decorated, groups):
        expected, runs = finish(start(program)), start(program)
        while runs.alive:
            file = io.BytesIO()
            pickler(file, protocol).dump(runs)
            file.seek(0)
            assert finish(unpickler(file).load()) == expected
            runs.run()


# ---- what it waits for ---------------------------------------------------------------------------


def receives(gate):
    log(gate.receive())


def sends(gate, value):
    log(gate.send(value))


def test_a_receiver_waits_again_if_its_channel_comes_along():
    gate = channel()
    original = start(receives, gate)
    restored = copied(original)
    other = restored._channel
    assert (restored.blocked, other.balance, gate.balance) == (True, -1, -1)
    assert other is not gate
    other.send("to the copy")
    gate.send("to the original")
    assert (restored.log, original.log) == (["to the copy"], ["to the original"])


def test_a_sender_waits_again_with_its_value():
    gate = channel()
    original = start(sends, gate, ["value"])
    restored, other = copied((original, gate))
    assert other.balance == 1
    assert other.receive() == ["value"]
    stackless.run()
    assert (restored.log, restored.alive, original.alive) == ([None], False, True)
    gate.receive()
    stackless.run()
    assert original.log == [None]


GATES = [channel()]


def receives_hidden():
    log(GATES[0].receive())


def test_a_receiver_whose_channel_is_left_out_comes_back_paused():
    original = start(receives_hidden)
    restored = copied(original)
    assert (restored.blocked, restored.paused, restored._channel) == (False, True, None)
    restored.tempval = "handed over"
    restored.run()
    assert restored.log == ["handed over"]
    original.kill()
    assert GATES[0].balance == 0


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (2, 0, 1)])
def test_a_queue_keeps_its_order_whoever_is_unpickled_first(order):
    gate = channel()
    graph = [start(receives, gate), start(receives, gate), gate]
    data = pickle.dumps([graph[each] for each in order])
    restored = dict(zip(order, pickle.loads(data), strict=True))
    for value in ("first", "second"):
        restored[2].send(value)
    assert [restored[each].log for each in (0, 1)] == [["first"], ["second"]]
    for each in graph[:2]:
        each.kill()


def test_channels_that_reach_each_other_come_back_as_one_graph():
    a, b = channel(), channel()
    a.preference, b.schedule_all = 1, 1

    def passes_on(here, there):
        there.send(here.receive() + 1)

    there, back = start(passes_on, a, b), start(passes_on, b, a)
    everything = copied({"a": a, "b": b, "there": there, "back": back})
    assert everything["there"]._channel is everything["a"]
    assert everything["back"]._channel is everything["b"]
    assert (everything["a"].preference, everything["b"].schedule_all) == (1, 1)
    everything["a"].send(1)
    assert everything["a"].receive() == 3
    assert (a.balance, b.balance) == (-1, -1)
    stackless.run()
    there.kill()
    back.kill()


def test_a_copied_channel_has_no_part_in_the_other():
    gate = channel()
    gate.schedule_all = 1
    assert copy.copy(gate).schedule_all == 1
    gate.schedule_all = 0
    waiting = start(receives, gate)
    deep = copy.deepcopy(gate)
    assert (gate.balance, deep.balance) == (-1, -1)
    deep.send("deep")
    assert (gate.balance, deep.balance, waiting.log) == (-1, 0, [])
    waiting.kill()


def sleeps():
    stackless.sleep(0.01)
    log("slept")


def test_a_sleeper_is_awake_in_the_copy():
    original = start(sleeps)
    restored = copied(original)
    assert (original.blocked, restored.blocked, restored.paused) == (True, False, True)
    assert finish(restored) == ["slept"]
    stackless.run()
    assert original.log == ["slept"]


def pickles_into(pickles, other):
    pickles.append(pickle.dumps(other))


def runs_pickler(pickles):
    tasklet(pickles_into)(pickles, getcurrent()).run()
    log("ran")


def switches_to_pickler(pickles):
    tasklet(pickles_into)(pickles, getcurrent()).switch()
    log("switched")


@pytest.mark.parametrize(
    ("program", "says"), [(runs_pickler, "ran"), (switches_to_pickler, "switched")], ids=name_of
)
def test_a_tasklet_that_runs_another_is_pickled_by_it(program, says):
    pickles = []
    original = start(program, pickles)
    stackless.run()
    if original.alive:
        original.run()
    restored = pickle.loads(pickles[0])
    assert (restored.paused, finish(restored), original.log) == (True, [says], [says])


def schedules():
    log(stackless.schedule("scheduled"))


def test_a_runnable_tasklet_comes_back_paused():
    original = start(schedules)
    restored = copied(original)
    assert (original.scheduled, restored.scheduled, restored.paused) == (True, False, True)
    assert stackless.getruncount() == 2
    restored.insert()
    stackless.run()
    assert (original.log, restored.log) == (["scheduled"], ["scheduled"])


# ---- what has not started, and what else a tasklet has -------------------------------------------


def test_those_that_have_not_started_stay_what_they_are():
    for made in (Noted(), Noted(receives), Noted(log, (1,)), Noted(log, None, {})):
        made.log = []
        restored = copied(made)
        assert (restored.alive, restored.paused) == (made.alive, made.paused)
        assert restored.tempval is made.tempval
    bound = copied(Noted(log, (1, 2)))
    bound.log = []
    assert finish(bound) == [1, 2]


def test_one_that_has_ended_comes_back_dead():
    ended = start(log, 1)
    restored = copied(ended)
    assert (restored.alive, restored.scheduled, restored.log) == (False, False, [1])


class Slotted(tasklet):
    __slots__ = ("__dict__", "label")


def test_a_class_keeps_its_slots_and_its_dictionary():
    made = Slotted(stop)()
    made.label, made.other = "label", [made]
    made.run()
    restored = copied(made)
    assert (type(restored), restored.label, restored.other[0] is restored) == (
        Slotted,
        "label",
        True,
    )
    made.kill()


def test_flags_survive():
    made = start(stop, 1)
    made.set_atomic(True)
    made.set_ignore_nesting(True)
    made.block_trap = True
    restored = copied(made)
    assert (restored.atomic, restored.ignore_nesting, restored.block_trap) == (True, True, True)
    assert restored.tempval == 1
    made.kill()


def cyclic():
    here = [getcurrent()]
    here.append(here)
    stop()
    log(here[0] is getcurrent(), here[1] is here)


def test_a_tasklet_may_hold_itself():
    original = start(cyclic)
    assert finish(copied(original)) == [True, True]
    assert finish(original) == [True, True]


def shares(other):
    other.append(getcurrent().log)
    stop()
    log(len(other))


def test_what_two_tasklets_share_they_share_again():
    shared = []
    pair = [start(shares, shared), start(shares, shared)]
    restored = copied(pair)
    restored[0].log.append("seen")
    assert finish(restored[1]) == [2]
    assert finish(restored[0]) == ["seen", 2]
    assert [finish(each) for each in pair] == [[2], [2]]


# ---- ends ----------------------------------------------------------------------------------------

ENDS = []


def notes_its_end():
    try:
        stop()
    except BaseException as error:
        ENDS.append(type(error).__name__)
        raise
    finally:
        ENDS.append("finally")


@pytest.fixture
def ending():
    ENDS.clear()
    original = start(notes_its_end)
    yield pickle.dumps(original)
    original.kill()


def test_a_restored_tasklet_that_is_killed_runs_its_finally(ending):
    restored = pickle.loads(ending)
    restored.kill()
    assert (ENDS, restored.alive) == (["TaskletExit", "finally"], False)


def test_a_restored_tasklet_that_nobody_knows_runs_its_finally(ending):
    restored = pickle.loads(ending)
    del restored
    gc.collect()
    assert ENDS == ["TaskletExit", "finally"]


def test_an_exception_thrown_at_a_restored_tasklet_has_a_whole_traceback():
    def outer():
        try:
            down(2)
        except KeyError as error:
            log(repr(error), *(each.name for each in traceback.extract_tb(error.__traceback__)))

    original = start(outer)
    restored = copied(original)
    restored.throw(KeyError, "thrown")
    assert restored.log == ["KeyError('thrown')", "outer", "down", "down", "down", "stop"]
    original.kill()


def raises():
    stop()
    raise KeyError("uncaught")


def test_an_exception_that_a_restored_tasklet_does_not_catch_comes_out_of_run():
    original = start(raises)
    restored = copied(original)
    for each in (restored, original):
        with pytest.raises(KeyError, match="uncaught") as caught:
            each.run()
        assert frame_names(caught.value)[-1] == "raises"
        assert not each.alive


def test_the_frames_of_a_restored_tasklet_can_be_looked_at():
    original = start(down, 2)
    restored = copied(original)
    assert restored.recursion_depth == original.recursion_depth == 4
    for each in (original, restored):
        frames = []
        frame = each.frame
        while frame is not None:
            frames.append((frame.f_code.co_name, frame.f_lineno, dict(frame.f_locals)))
            frame = frame.f_back
        assert [name for name, _, _ in frames] == ["stop", "down", "down", "down"]
        assert [names for _, _, names in frames] == [
            {"value": 0},
            {"depth": 0},
            {"depth": 1},
            {"depth": 2},
        ]
        each.kill()


def tells_thread():
    stop()
    log(threading.get_ident())


def test_it_belongs_to_the_thread_that_unpickles_it():
    original = start(tells_thread)
    data = pickle.dumps(original)

    def elsewhere():
        restored = pickle.loads(data)
        return restored.thread_id, finish(restored), threading.get_ident()

    made_in, ran_in, thread = in_thread(elsewhere)
    assert (made_in, ran_in) == (thread, [thread])
    assert finish(original) == [threading.get_ident()]


def test_a_restored_tasklet_moves_to_another_thread():
    original = start(tells_thread)
    restored = copied(original)

    def elsewhere():
        with pytest.raises(RuntimeError, match="different thread"):
            restored.switch()
        restored.bind_thread()
        return finish(restored), threading.get_ident()

    ran_in, thread = in_thread(elsewhere)
    assert ran_in == [thread]
    original.kill()


# ---- exceptions and tracebacks -------------------------------------------------------------------


def handles_much():
    try:
        try:
            1 / 0
        except ZeroDivisionError as error:
            error.add_note("a note")
            raise KeyError("key") from error
    except KeyError:
        stop()
        try:
            raise ValueError("value")
        except ValueError as error:
            stop()
            log("".join(traceback.format_exception(error)))


def test_exceptions_being_handled_keep_cause_context_notes_and_traceback():
    expected = finish(start(handles_much))
    assert "a note" in expected[0]
    assert "direct cause" in expected[0]
    runs = start(handles_much)
    once = copied(runs)
    once.run()
    twice = copied(once)
    for each in (runs, once, twice):
        assert [line for line in finish(each)[0].splitlines() if "^" not in line] == [
            line for line in expected[0].splitlines() if "^" not in line
        ]


def test_a_traceback_is_pickled_with_its_lines():
    try:
        down("not a number")
    except TypeError as error:
        restored = copied(error.__traceback__)
        expected = traceback.extract_tb(error.__traceback__)
    got = traceback.extract_tb(restored)
    assert [(each.name, each.lineno, each.filename) for each in got] == [
        (each.name, each.lineno, each.filename) for each in expected
    ]


def test_a_traceback_that_passes_a_frame_twice_is_pickled():
    def generator():
        yield

    def throws():
        try:
            raise KeyError
        except KeyError as error:
            into = generator()
            next(into)
            into.throw(error)

    try:
        throws()
    except KeyError as error:
        expected = traceback.extract_tb(error.__traceback__)[1:]
        got = traceback.extract_tb(copied(error.__traceback__))[1:]
    assert [each.name for each in expected] == ["throws", "generator", "throws"]
    assert [(each.name, each.lineno) for each in got] == [
        (each.name, each.lineno) for each in expected
    ]


def catches():
    try:
        stop()
    except KeyError as error:
        log(error.args, type(error.__cause__), frame_names(error))


def caused():
    try:
        try:
            raise ValueError
        except ValueError as cause:
            raise KeyError("why") from cause
    except KeyError as error:
        return error


def test_an_exception_on_its_way_is_raised_in_the_copy():
    original = start(catches)
    original.throw(caused(), pending=True)
    restored = copied(original)
    wanted = [("why",), ValueError, ["catches", "stop", "caused"]]
    assert finish(restored) == wanted
    stackless.run()
    assert original.log == wanted


@pytest.mark.parametrize("copying", [copied, copy.copy, copy.deepcopy])
def test_a_bomb_is_copied_with_its_exception_and_traceback(copying):
    error = caused()
    bomb = copying(stackless.bomb(error))
    assert (bomb.type, bomb.value.args, frame_names(bomb.value)) == (KeyError, ("why",), ["caused"])
    assert (bomb.value is error) == (copying is copy.copy)


def test_a_bomb_without_an_exception_stays_one():
    empty = copied(stackless.bomb())
    assert (type(empty), empty.type, empty.value, empty.traceback) == (
        stackless.bomb,
        None,
        None,
        None,
    )
    for state in ((7, None, None), 5, (4, KeyError, "no exception", None)):
        with pytest.raises(TypeError):
            empty.__setstate__(state)


# ---- generators and all the others ---------------------------------------------------------------


def numbers():
    try:
        got = yield 1
        yield got
    except KeyError as error:
        yield repr(error)
    finally:
        yield "finally"


@pytest.mark.parametrize("again", [copied, copy.deepcopy], ids=name_of)
def test_a_generator_is_copied_where_it_stands(again):
    generator = numbers()
    fresh = again(generator)
    assert next(generator) == 1
    sent, thrown = again(generator), again(generator)
    assert [sent.send("sent"), *sent] == ["sent", "finally"]
    assert [thrown.throw(KeyError(1)), *thrown] == ["KeyError(1)", "finally"]
    assert list(fresh) == [1, None, "finally"]
    assert list(again(sent)) == []
    assert [generator.send(5), *generator] == [5, "finally"]
    assert (fresh.__name__, fresh.__qualname__) == ("numbers", "numbers")


@types.coroutine
def pause(value):
    return (yield value)


async def adds(number):
    return number + await pause(number)


async def awaits(number):
    return await adds(number) * 2


def result_of(coroutine, value):
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(value)
    return stopped.value.value


def test_a_coroutine_is_pickled_with_those_it_waits_for():
    coroutine = awaits(3)
    fresh = copied(coroutine)
    assert coroutine.send(None) == 3
    assert [result_of(copied(coroutine), value) for value in (1, 2)] == [8, 10]
    assert fresh.send(None) == 3
    assert result_of(fresh, 5) == 16
    assert result_of(coroutine, 0) == 6
    waiting = adds(1)
    wrapper = copied(waiting.__await__())
    assert next(wrapper) == 1
    wrapper.close()
    waiting.close()


async def yields_twice():
    try:
        yield 1
        yield 2
    finally:
        ENDS.append("finally")


def step(generator):
    with pytest.raises(StopIteration) as stopped:
        generator.__anext__().send(None)
    return stopped.value.value


def test_an_asynchronous_generator_is_pickled_where_it_stands():
    ENDS.clear()
    generator = yields_twice()
    fresh = copied(generator)
    assert step(generator) == 1
    second = copied(generator)
    assert [step(fresh), step(fresh), step(second), step(generator)] == [1, 2, 2, 2]
    for each in (fresh, second, generator):
        with pytest.raises(StopAsyncIteration):
            each.__anext__().send(None)
    assert ENDS == ["finally"] * 3


async def answers():
    got = None
    while got != "end":
        try:
            got = yield await pause(got)
        except KeyError as error:
            got = repr(error)
        finally:
            ENDS.append(got)


def drive(awaitable, value=None):
    """Return what one step of it comes to."""
    try:
        return awaitable.send(value)
    except (StopIteration, StopAsyncIteration, RuntimeError) as error:
        return type(error), *error.args


def driven(awaitable):
    """Drive it to its end; return all it comes to, and whether anybody drives the generator."""
    generator = gc.get_referents(awaitable)[0]
    results = [generator.ag_running]
    while not results or not isinstance(results[-1], tuple):
        results.append(drive(awaitable, len(results)))
    return [*results, generator.ag_running, drive(awaitable)]


ASKED = {
    "asend": lambda values: values.asend("sent"),
    "__anext__": lambda values: values.__anext__(),
    "athrow": lambda values: values.athrow(KeyError("thrown")),
    "aclose": lambda values: values.aclose(),
}


@pytest.mark.parametrize("again", [copied, copy.deepcopy], ids=name_of)
@pytest.mark.parametrize("steps", [0, 1, 2])
@pytest.mark.parametrize("method", ASKED)
def test_what_drives_an_asynchronous_generator_is_pickled_in_every_state(method, steps, again):
    def asked():
        values = answers()
        first = values.__anext__()
        assert [drive(first), drive(first, 1)] == [None, (StopIteration, 1)]
        asked = ASKED[method](values)
        for _ in range(steps):
            drive(asked)
        return asked

    original = asked()
    fresh = again(original)
    assert type(fresh) is type(original)
    assert driven(fresh) == driven(original) == driven(asked())


async def gives_when_told(mail):
    yield await pause(mail)


def test_a_copy_drives_the_same_generator():
    values = gives_when_told("mail")
    asked = values.__anext__()
    assert drive(asked) == "mail"
    assert drive(copy.copy(asked), 5) == (StopIteration, 5)
    asked = values.asend("again")
    assert drive(copy.copy(asked)) == (StopAsyncIteration,)
    asked.close()


@pytest.mark.parametrize("unpickler", UNPICKLERS, ids=name_of)
@pytest.mark.parametrize("pickler", PICKLERS, ids=name_of)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_drives_a_generator_may_be_held_by_it(protocol, pickler, unpickler):
    mail = []
    values = gives_when_told(mail)
    mail += [values.athrow(KeyError("late")), values.aclose(), values.asend(None)]
    assert drive(mail[2]) is mail
    file = io.BytesIO()
    pickler(file, protocol).dump(mail)
    file.seek(0)
    for each in mail, unpickler(file).load():
        for method, later in zip(("athrow", "aclose"), each[:2], strict=True):
            running = f"{method}(): asynchronous generator is already running"
            assert drive(later) == (RuntimeError, running)
        assert drive(each[2], "x") == (StopIteration, "x")


def test_the_arguments_of_athrow_survive():
    def thrown(arguments):
        values = numbers_later()
        drive(values.__anext__())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 3.12+: that it takes more than one
            asked = values.athrow(*arguments)
        with pytest.raises(KeyError) as caught:
            copied(asked).send(None)
        asked.close()
        return caught.value.args, frame_names(caught.value)

    try:
        down("not a number")
    except TypeError as error:
        tb = error.__traceback__
    assert thrown((KeyError,)) == ((), ["thrown", "numbers_later"])
    assert thrown((KeyError(1),)) == ((1,), ["thrown", "numbers_later"])
    assert thrown((KeyError, 2)) == ((2,), ["thrown", "numbers_later"])
    assert thrown((KeyError, None, tb))[0] == ()


async def numbers_later():
    yield 1
    yield 2


def test_a_damaged_state_of_what_drives_a_generator_is_refused():
    _wrap = stackless._wrap
    values = numbers_later()
    for make, state in [
        (_wrap.async_generator_asend, (numbers(), None, 0, False)),
        (_wrap.async_generator_asend, (values, None, 3, False)),
        (_wrap.async_generator_asend, (values, None, -1, False)),
        (_wrap.async_generator_athrow, (values, None, 0, True)),
        (_wrap.async_generator_athrow, (values, (), 0, True)),
        (_wrap.async_generator_athrow, (values, (1, 2, 3, 4), 0, True)),
    ]:
        made = make()
        with pytest.raises(ValueError, match="the snapshot is damaged: "):
            made.__setstate__(state)
        with pytest.raises(ValueError, match="an awaitable has no state"):
            next(made)
        with pytest.raises(TypeError, match="asend"):
            make.__reduce__(made)
    # A generator that is never given its state can't be run.
    unfilled = _wrap.async_generator(numbers_later.__code__, "a", "b")
    for state in 0, 1:
        asked = _wrap.async_generator_asend()
        asked.__setstate__((unfilled, None, state, False))
        with pytest.raises(ValueError, match="already executing"):
            asked.send(None)


def test_a_frame_by_itself_says_where_it_stands():
    frame = sys._getframe()
    line = frame.f_lineno + 1
    fresh = copied(stackless._wrap.reduce_frame(frame))
    assert (fresh.f_code.co_filename, fresh.f_code.co_name) == (__file__, frame.f_code.co_name)
    assert (fresh.f_lineno, fresh.f_back) == (line, None)
    with pytest.raises(TypeError):
        copied(frame)


def test_functions_in_frames_keep_what_they_are_made_of():
    def program():
        def local(a, b=[1], *, c=2):  # noqa: B006
            """Say what it does."""
            return a, b, c, local

        local.attribute = "attribute"
        recursive = local
        stop()
        log(local(1)[3] is recursive, local.__doc__, local.attribute, local.__qualname__)
        log(local.__kwdefaults__, local.__defaults__, local.__module__)

    original = start(program)
    restored = finish(copied(original))
    assert restored == finish(original)
    assert restored[0] is True


def test_views_methods_modules_and_cells():
    mapping = {"a": 1}
    keys, values, items, same = copied((mapping.keys(), mapping.values(), mapping.items(), mapping))
    same["b"] = 2
    assert (list(keys), list(values), list(items)) == (["a", "b"], [1, 2], [("a", 1), ("b", 2)])
    assert copied(Counter(7).more).__self__.number == 7
    assert copied([1].append).__self__ == [1]
    assert copied((3).__add__)(4) == 7
    assert copied(traceback) is traceback
    assert copied(stackless) is stackless
    assert copied(types.CellType([1])).cell_contents == [1]
    assert copied(down.__code__) is down.__code__
    cell = types.CellType()
    cell.cell_contents = cell
    cell = copied(cell)
    assert cell.cell_contents is cell
    with pytest.raises(ValueError, match="empty"):
        copied(types.CellType()).cell_contents


def test_a_module_that_cannot_be_imported_is_refused():
    with pytest.raises(TypeError, match="module 'nowhere' can't be pickled"):
        pickle.dumps(types.ModuleType("nowhere"))


# ---- what can't be pickled, or can't go on -------------------------------------------------------


def sorts():
    log(sorted([2, 1], key=lambda each: (stop(), each)[1]))


REASON = "C code is in the way: sorted, called at "


def test_a_pinned_tasklet_is_pickled_for_inspection_and_raises_as_it_runs():
    original = start(sorts)
    restored = copied(original)
    state = original.__reduce__()[2]
    assert "in sorts" in state[3][0]
    assert state[7].startswith(REASON)
    assert (restored.alive, restored.paused) == (True, True)
    with pytest.raises(RuntimeError, match=r"cannot execute invalid frame with C code.*sorted"):
        restored.run()
    assert not restored.alive
    assert finish(original) == [[1, 2]]


def nests():
    tasklet(stackless.schedule)()
    stackless.run()
    log("ran")


def test_a_tasklet_that_waits_in_run_is_pinned():
    original = start(nests)
    data = pickle.dumps(original)
    stackless.run()
    original.run()
    assert original.log == ["ran"]
    with pytest.raises(RuntimeError, match=r"invalid frame.*C code is in the way: run, called"):
        pickle.loads(data).run()


def pickles_itself():
    pickle.dumps(getcurrent())


def test_the_current_tasklet_cannot_be_pickled():
    with pytest.raises(RuntimeError, match="cannot __reduce__ the tasklet which is current"):
        start(pickles_itself)
    with pytest.raises(RuntimeError, match="current"):
        pickle.dumps(stackless.getmain())


def pickles_main(errors):
    try:
        pickle.dumps(stackless.getmain())
    except RuntimeError as error:
        errors.append(str(error))


def test_a_main_tasklet_cannot_be_pickled():
    errors = []
    tasklet(pickles_main)(errors)
    stackless.run()
    assert errors == ["a main tasklet can't be pickled: it is its thread"]


def test_only_a_tasklet_that_is_not_bound_takes_a_state():
    original = start(stop)
    state = original.__reduce__()[2]
    for other in (original, Noted(stop)()):
        with pytest.raises(RuntimeError, match="only a tasklet that is not bound"):
            other.__setstate__(state)
    stackless.run()
    original.kill()


class Refuses:
    def __reduce_ex__(self, protocol):
        raise LookupError("not me")


class Switches:
    def __reduce_ex__(self, protocol):
        ENDS.append("before")
        stackless.schedule()
        ENDS.append("after")
        return Switches, ()


def keeps(value):
    stop()
    log(type(value).__name__)


def test_what_a_reduce_raises_comes_out_and_the_tasklet_goes_on():
    original = start(keeps, Refuses())
    with pytest.raises(LookupError, match="not me"):
        pickle.dumps(original)
    assert finish(original) == ["Refuses"]


def test_a_reduce_may_switch():
    ENDS.clear()
    original = start(keeps, Switches())
    tasklet(ENDS.append)("another")
    restored = copied(original)
    assert ENDS == ["before", "another", "after"]
    assert (finish(restored), finish(original)) == (["Switches"], ["Switches"])


class RunsIt:
    def __reduce_ex__(self, protocol):
        self.tasklet.run()
        return RunsIt, ()


def test_a_reduce_may_run_the_tasklet_that_is_being_pickled():
    runs = RunsIt()
    runs.tasklet = start(keeps, runs)
    with contextlib.suppress(RuntimeError):
        pickle.dumps(runs.tasklet)
    assert runs.tasklet.log == ["RunsIt"]
    assert not runs.tasklet.alive


def holds_next(following):
    stop()
    log(following is None or finish(following))


def test_a_graph_that_is_too_deep_is_a_recursion_error():
    last = None
    chain = []
    for _ in range(20_000):
        last = start(holds_next, last)
        chain.append(last)
    with pytest.raises((RecursionError, MemoryError)):
        pickle.dumps(last)
    assert finish(chain[0]) == [True]
    for each in chain:
        each.kill()


def test_a_state_of_another_python_is_refused():
    original = start(stop)
    state = list(original.__reduce__()[2])
    state[0] += 1 << 16
    with pytest.raises(ValueError, match=r"was made by Python 3\.\d+; this is Python 3\.\d+"):
        Noted().__setstate__(tuple(state))
    original.kill()


MODULE = """
import stackless
def work(number):
    total = number
    for each in range(3):
        total += each
        stackless.schedule_remove()
    RESULTS.append(total)
RESULTS = []
"""
MAKES = """
    import pickle, sys, stackless
    sys.path.insert(0, sys.argv[1])
    import worker
    made = stackless.tasklet(worker.work)(10)
    made.run()
    with open(sys.argv[2], "wb") as file:
        pickle.dump(made, file)
    made.kill()
"""
GOES_ON = """
    import pickle, sys
    sys.path.insert(0, sys.argv[1])
    with open(sys.argv[2], "rb") as file:
        data = file.read()
    for _ in range(2):
        try:
            made = pickle.loads(data)
        except ValueError as error:
            print(error)
            break
        while made.alive:
            made.run()
    print(sys.modules["worker"].RESULTS)
"""


def goes_on(tmp_path, later):
    module, data = tmp_path / "worker.py", tmp_path / "pickle"
    module.write_text(MODULE)
    assert child_lines(MAKES, str(tmp_path), str(data)) == []
    module.write_text(later)
    os.utime(module, (1, 1))
    return child_lines(GOES_ON, str(tmp_path), str(data), options=("-B",))


def test_a_new_process_imports_the_module_and_goes_on_any_number_of_times(tmp_path):
    assert goes_on(tmp_path, MODULE) == ["[13, 13]"]


def test_code_may_move_within_its_file(tmp_path):
    assert goes_on(tmp_path, "# a comment\n\n" + MODULE) == ["[13, 13]"]


def test_code_that_has_changed_is_refused_by_its_name(tmp_path):
    message, results = goes_on(tmp_path, MODULE.replace("+= each", "+= 2 * each"))
    assert "worker.work" in message
    assert "another one here" in message
    assert results == "[]"


def test_code_that_is_gone_is_an_error(tmp_path):
    child = MODULE.replace("def work", "def works")
    module, data = tmp_path / "worker.py", tmp_path / "pickle"
    module.write_text(MODULE)
    child_lines(MAKES, str(tmp_path), str(data))
    module.write_text(child)
    lines = child_lines(GOES_ON.replace("ValueError", "AttributeError"), str(tmp_path), str(data))
    assert "work" in lines[0]
    assert lines[1] == "[]"


def test_a_property_is_found_in_a_module_without_source():
    lines = child_lines("""
        import pickle, stackless
        class Account:
            @property
            def balance(self):
                return stackless.schedule_remove(1)
            @balance.setter
            def balance(self, value):
                self.value = stackless.schedule_remove(value)
            @balance.deleter
            def balance(self):
                print("deleted", stackless.schedule_remove(self.value))
        def work():
            account = Account()
            account.balance = 2
            print(account.balance, account.value)
            del account.balance
        t = stackless.tasklet(work)()
        t.run()
        while t.alive:
            t = pickle.loads(pickle.dumps(t))
            t.run()
    """)
    assert lines == ["1 2", "deleted 2"]


def test_no_memory_while_unpickling_is_a_memory_error():
    _testcapi = pytest.importorskip("_testcapi")
    original = start(tries)
    data = pickle.dumps(original)
    expected = finish(original)
    for failing in range(400):
        _testcapi.set_nomemory(failing, failing + 1)
        try:
            restored = pickle.loads(data)
        except MemoryError:
            restored = None
        finally:
            _testcapi.remove_mem_hooks()
        if restored is not None:
            assert finish(restored) == expected


class Labelled(channel):
    pass


def test_a_channel_keeps_what_its_class_has_added():
    labelled = Labelled()
    labelled.label = "label"
    labelled.close()
    restored = copied(labelled)
    assert (type(restored), restored.label, restored.closing) == (Labelled, "label", True)


def test_a_pinned_tasklet_is_not_restorable_when_unpickled():
    original = start(sorts)
    restored = copied(original)
    assert (original.restorable, restored.restorable) == (False, False)
    restored.bind(None)
    finish(original)


class Made:
    def __init__(self, number):
        self.number = stop(number)


def makes():
    for number in range(20):
        log(Made(number).number)


def test_a_tasklet_that_makes_an_object():
    expected, runs = finish(start(makes)), start(makes)
    while runs.alive:
        if stackless.why_pinned(runs) is None:
            assert finish(copied(runs)) == expected
        runs.run()


def generator_expressions():
    for number in (stop(i) for i in range(2)):
        log(number)


def test_generator_expressions():
    expected, runs = finish(start(generator_expressions)), start(generator_expressions)
    while runs.alive:
        if stackless.why_pinned(runs) is None:
            assert finish(copied(runs)) == expected
        runs.run()


async def asynchronous_values():
    yield 1


def test_asynchronous_generator_expressions():
    values = asynchronous_values()
    generator = (each async for each in values)
    restored = pickle.loads(pickle.dumps(generator))
    with pytest.raises(StopIteration) as stopped:
        restored.__anext__().send(None)
    assert stopped.value.value == 1


def test_a_state_without_frames():
    original = start(stop)
    state = list(original.__reduce__()[2])
    state[3] = []
    with pytest.raises(ValueError, match="damaged"):
        Noted().__setstate__(tuple(state))
    original.kill()


def test_copy_of_a_started_tasklet_is_a_type_error():
    original = start(stop)
    with pytest.raises(TypeError):
        copy.copy(original)
    original.kill()


def altered(tasklet, old, new):
    state = tasklet.__reduce__()[2]
    entry = state[3][-1]
    entry = (*entry[:6], *(new if each is old else each for each in entry[6:]))
    tasklet.kill()
    made = Noted()
    made.__setstate__((*state[:3], [*state[3][:-1], entry], *state[4:]))


def gathers():
    try:
        try:
            raise ExceptionGroup("group", [KeyError(1), ValueError(2)])
        except* KeyError:
            schedule_remove(1)
    except BaseExceptionGroup:
        pass


def test_what_an_except_star_has_gathered_is_checked():
    original = start(gathers)
    entry = original.__reduce__()[2][3][-1]
    gathered = next(each for each in entry[6:] if type(each) is list)
    with pytest.raises(ValueError, match="snapshot"):
        altered(original, gathered, [Noted()])


def test_none_in_place_of_an_exception_is_checked():
    def program():
        try:
            raise KeyError
        except KeyError:
            schedule_remove(1)
        raise ValueError

    with pytest.raises(ValueError, match="snapshot"):
        altered(start(program), None, Noted())


def test_a_loop_index_has_to_fit_into_a_tagged_number():
    original = start(program_loop)
    state = original.__reduce__()[2]
    entry = state[3][-1]
    if b"#" in entry[5]:
        place = 6 + sum(each != ord(".") for each in entry[5][: entry[5].index(b"#")])
        entry = (*entry[:place], 1 << 62, *entry[place + 1 :])
        with pytest.raises(ValueError, match="damaged"):
            Noted().__setstate__((*state[:3], [entry], *state[4:]))
    original.kill()


def program_loop():
    for _ in [1, 2]:
        schedule_remove(1)


def test_without_softswitch_tasklets_are_pinned():
    stackless.enable_softswitch(False)
    try:
        original = start(stop)
        data = pickle.dumps(original)
    finally:
        stackless.enable_softswitch(True)
    restored = pickle.loads(data)
    with pytest.raises(RuntimeError, match=r"enable_softswitch\(\) is off"):
        restored.run()
    original.kill()


class Drops:
    def __del__(self):
        with contextlib.suppress(TaskletExit):
            schedule_remove()


def holds(value):
    schedule_remove()


class Entry(list):
    def __init__(self, gate):
        super().__init__([gate.receive()])
        self.append("initialised")


def test_what_super_finds_in_a_class_written_in_c_comes_back():
    """By itself pickle would have it come back as Entry.__init__."""
    gate, results = channel(), []
    t = tasklet(lambda: results.append(Entry(gate)))()
    t.run()
    _, gate, results = pickle.loads(pickle.dumps((t, gate, results)))
    gate.send(7)
    assert results == [[7, "initialised"]]
    t.kill()


def test_why_pinned_of_a_restored_one_that_waits_beneath_its_last_frame():
    original = start(holds, Drops())
    restored = copied(original)
    restored.run()
    assert "C code" in stackless.why_pinned(restored)
    restored.kill()
    original.kill()


def test_a_tasklet_that_came_with_a_channels_queue_and_never_got_its_own_state():
    line = channel()
    line.__setstate__((-1, 0, [tasklet()]))
    line.send(1)
    with pytest.raises(RuntimeError, match="in a channel's snapshot, but its own is missing"):
        stackless.run()
    assert (line.balance, stackless.runcount) == (0, 1)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [(stackless.schedule, ()), (stackless.schedule_remove, (1,)), (stackless.sleep, (60,))],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_one_whose_function_only_waits_ends_when_it_goes_on(function, arguments):
    waiting = stackless.tasklet(function)(*arguments)
    waiting.run()
    assert waiting.alive
    restored = pickle.loads(pickle.dumps(waiting))
    assert (restored.alive, restored.paused, restored.restorable) == (True, True, True)
    restored.run()
    assert not restored.alive
    waiting.kill()


# ---- what runs while it is being pickled ---------------------------------------------------------

RUNS_MEANWHILE = """
    import copy, gc, pickle, sys
    import stackless
    from stackless import snapshot

    class Runs:
        \"\"\"Runs something when pickling looks here for a function that says it is in here.\"\"\"
        def __init__(self):
            self.looked = self.at = 0
        def __getattr__(self, name):
            self.looked += 1
            if self.looked == self.at:
                self.goes_on()
            raise AttributeError(name)

    runs = Runs()

    def counts(number):
        while True:
            values = [number]
            first, last = lambda n=number: n, lambda v=values: v[0]
            first.__qualname__ = last.__qualname__ = "runs.something"
            try:
                raise KeyError(number)
            except KeyError as error:
                stackless.schedule_remove((number, *values, first(), last(), *error.args))
            number += 1

    def generator(number):
        while True:
            values = [number]
            first, last = lambda n=number: n, lambda v=values: v[0]
            first.__qualname__ = last.__qualname__ = "runs.something"
            try:
                raise KeyError(number)
            except KeyError as error:
                yield number, *values, first(), last(), *error.args
            number += 1

    class Tasklet:
        def __init__(self):
            self.it = stackless.tasklet(counts)(0)
            self.it.run()
        def goes_on(self):
            self.it.run()

    class Generator:
        def __init__(self):
            self.it = generator(0)
            self.goes_on()
        def goes_on(self):
            next(self.it)

    class GeneratorInATasklet(Generator):
        def __init__(self):
            self.inner = generator(0)
            self.goes_on()
            self.it = stackless.tasklet(holds)(self.inner)
            self.it.run()
        def goes_on(self):
            next(self.inner)

    def holds(values):
        stackless.schedule_remove()
        holds.told = next(values)

    def number_in(made):
        \"\"\"Return the number that a copy goes on with; all that it holds has to fit.\"\"\"
        if isinstance(made, stackless.tasklet):
            made.run()
            told = made.tempval if made.alive else holds.told
            made.kill()
        else:
            told = next(made)
        number = told[0]
        assert told == (number,) * 5, told
        return number

    COPIES = {
        "pickle": lambda it: pickle.loads(pickle.dumps(it)),
        "snapshot": lambda it: snapshot.loads(snapshot.dumps(it)),
        "deepcopy": copy.deepcopy,
    }
    kind, copied = {**globals()}[sys.argv[1]], COPIES[sys.argv[2]]
"""


def run_meanwhile(program, *args):
    assert child_lines(textwrap.dedent(RUNS_MEANWHILE) + textwrap.dedent(program), *args) == ["ok"]


READ = pytest.mark.parametrize("what", ["Tasklet", "Generator", "GeneratorInATasklet"])
BY = pytest.mark.parametrize("by", ["pickle", "snapshot", "deepcopy"])


@BY
@READ
def test_what_goes_on_whenever_python_runs_meanwhile_is_stored_as_it_was(what, by):
    """It goes on when pickling looks for the first function by its name, or the second ..."""
    program = """
        runs.at, runs.looked = 1, 1
        while runs.looked >= runs.at:
            made, runs.looked = kind(), 0
            runs.goes_on = made.goes_on
            restored = copied(made.it)
            looked, runs.looked = runs.looked, -1_000_000
            number = number_in(restored)
            assert number == 1, (number, runs.at)
            runs.looked = looked
            runs.at += 1
        assert runs.at == 3
        print("ok")
    """
    run_meanwhile(program, what, by)


@BY
@READ
def test_what_a_finalizer_runs_meanwhile_is_stored_as_it_was(what, by):
    program = """
        class Cycle:
            def __init__(self, made):
                self.me, self.made = self, made
            def __del__(self):
                self.made.goes_on()

        mades = [kind() for _ in range(120)]
        for threshold, made in enumerate(mades, 1):
            gc.disable()
            gc.collect()
            Cycle(made)
            gc.set_threshold(threshold, 1, 1)
            gc.enable()
            restored = copied(made.it)
            gc.set_threshold(0)
            assert number_in(restored) in (1, 2)
        gc.collect()
        print("ok")
    """
    run_meanwhile(program, what, by)


@BY
def test_what_its_own_thread_runs_meanwhile_is_stored_as_it_was(by):
    program = """
        import threading
        sys.setswitchinterval(1e-6)
        mades, ready, done = [], threading.Event(), threading.Event()
        def owner():
            mades.append(kind())
            ready.set()
            while not done.is_set():
                mades[0].goes_on()
        thread = threading.Thread(target=owner)
        thread.start()
        ready.wait()
        numbers = []
        while len(numbers) < 200:
            try:
                restored = copied(mades[0].it)
            except RuntimeError as error:
                assert "which is current" in str(error), error
            else:
                numbers.append(number_in(restored))
        done.set()
        thread.join()
        assert numbers == sorted(numbers)
        print("ok")
    """
    run_meanwhile(program, "Tasklet", by)


def test_a_channel_whose_getstate_changes_its_queue_is_stored_with_the_new_one():
    class Line(channel):
        def __getstate__(self):
            if self.balance == -1:
                other = tasklet(self.receive)()
                other.run()
                others.append(other)
            return None

    others = []
    line = Line()
    first = tasklet(line.receive)()
    first.run()
    _, _, (balance, _, queue, *_) = line.__reduce__()
    assert (balance, queue) == (-2, [first, *others])
    for each in first, *others:
        each.kill()


def test_the_attributes_are_those_of_the_moment_it_was_read():
    original = start(stop)
    original.log.append(1)
    attributes = original.__reduce__()[2][6]
    original.other = 2
    assert attributes == {"log": [1]}
    original.kill()


# ---- what has returned and waits -----------------------------------------------------------------


class Ends:
    """Has what ends a function wait when it is dropped."""

    def __init__(self):
        self.log = getcurrent().log

    def __del__(self):
        schedule_remove()
        self.log.append("cleaned up")


def ends():
    try:
        yield
    finally:
        log = getcurrent().log
        schedule_remove()
        log.append("cleaned up")


def begun():
    made = ends()
    next(made)
    return made


def returns_what_waits(make):
    made = make()
    schedule_remove()
    return made


def has_what_waits(make):
    made = make()  # noqa: F841
    schedule_remove()


ENDED = [
    "its function has ended, and C code drops what that has left",
    "C code is in the way: ",
]


@pytest.mark.parametrize("ending", ["run", "kill"])
@pytest.mark.parametrize("make", [Ends, begun], ids=name_of)
@pytest.mark.parametrize("again", [lambda original: original, copied], ids=["itself", "copied"])
@pytest.mark.parametrize("program", [returns_what_waits, has_what_waits], ids=name_of)
def test_a_tasklet_that_has_ended_but_for_what_it_drops_is_pinned(program, again, make, ending):
    original = start(program, make)
    made = again(original)
    getattr(made, ending)()
    if made.alive:
        reason = stackless.why_pinned(made)
        assert any(map(reason.startswith, ENDED)), reason
        assert pickle.loads(pickle.dumps(made)).restorable is False
        budget = stackless.set_stack_budget(0)
        other = tasklet(schedule_remove)()
        other.run()
        other.kill()
        stackless.set_stack_budget(budget)
        gc.collect()
        made.run()
    assert (made.alive, made.log) == (False, ["cleaned up"])
    if made is not original:
        original.kill()
        while original.alive:
            original.run()


class Again:
    """What it drops is cleaned up by the function that has dropped it."""

    def work(self=None):
        schedule_remove()
        getcurrent().log.append(self is None)
        if self is None:
            return Again()

    __del__ = work


@pytest.mark.parametrize("again", [lambda original: original, copied], ids=["itself", "copied"])
def test_a_function_that_cleans_up_after_itself_is_pinned_then(again):
    made = again(start(Again.work))
    made.run()
    assert made.log == [True]
    assert stackless.why_pinned(made) == ENDED[0]
    made.run()
    assert (made.alive, made.log) == (False, [True, False])
