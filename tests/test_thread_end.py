"""How threads end, what they leave behind, and how tasklets move to another thread."""

from __future__ import annotations

import contextlib
import gc
import pickle
import threading
import weakref

import pytest
import stackless
from stackless import channel, tasklet
from support import in_thread, start_thread, wait_for, wait_until


@contextlib.contextmanager
def sleeping_thread(prepare=lambda: None):
    """A thread whose main tasklet sleeps in a channel: yields (its main, what prepare() made)."""
    ready, wake = threading.Event(), channel()
    shared = []

    def body():
        shared.extend((stackless.getmain(), prepare()))
        ready.set()
        return wake.receive()

    thread = start_thread(body)
    wait_for(ready)
    wait_until(lambda: wake.balance == -1)
    try:
        yield shared
    finally:
        if wake.balance < 0:
            wake.send(None)
        shared.clear()
        thread.join()


def nothing():
    pass


def test_the_end_of_a_thread_runs_the_cleanup_of_its_tasklets_there():
    log = []

    def work(how):
        try:
            how()
        finally:
            log.append((stackless.getcurrent().thread_id, threading.get_ident()))

    def body():
        pinned = tasklet(work)(lambda: sorted([1], key=lambda _: stackless.schedule_remove()))
        # Nobody else holds this one.
        tasklet(work)(channel().receive)
        stackless.run()
        return threading.get_ident(), pinned

    ident, pinned = in_thread(body)
    assert log == [(ident, ident)] * 2
    assert (pinned.alive, pinned.thread_id) == (False, -1)


def test_tasklets_that_a_dead_thread_left_behind():
    def body():
        paused = tasklet(stackless.schedule_remove)()
        blocked = tasklet(channel().receive)()
        stackless.run()
        return stackless.getmain(), paused, blocked, tasklet(nothing, ())

    for t in in_thread(body):
        assert (t.alive, t.scheduled, t.blocked, t.paused) == (False, False, False, False)
        assert t.thread_id == -1
        for operation in ("insert", "run", "switch", "setup"):
            with pytest.raises(RuntimeError):
                getattr(t, operation)()
        with pytest.raises(RuntimeError):
            t.throw(ValueError)
        assert t.remove() is t
        assert t.kill() is None


class Blow(Exception):
    """Something thrown."""


@pytest.mark.parametrize(
    "end",
    [lambda t: t.kill(), lambda t: t.throw(TaskletExit)],
    ids=["kill", "throw"],
)
def test_a_tasklet_that_never_started_and_is_killed_drops_what_was_thrown_at_it(end):
    def body():
        t = tasklet(nothing)()
        t.throw(Blow(t), pending=True)
        return t.remove()

    t = in_thread(body)
    blow = weakref.ref(t.tempval.value)
    assert blow().args == (t,)
    end(t)
    assert (blow(), t.tempval) == (None, None)


@pytest.mark.parametrize("arguments", [None, ("argument",)], ids=["bound", "with arguments"])
def test_a_tasklet_that_never_started_can_be_revived_in_another_thread(arguments):
    log = []
    t = in_thread(lambda: tasklet(log.append, arguments))
    assert t.thread_id == -1
    t.bind_thread()
    assert t.thread_id == threading.get_ident()
    if arguments:
        t.insert()
    else:
        t("argument")
    stackless.run()
    assert log == ["argument"]


def test_bind_thread_moves_a_tasklet_that_never_started():
    log = []
    t = tasklet(lambda: log.append(threading.get_ident()), ())

    def body():
        t.bind_thread()
        t.run()
        return threading.get_ident()

    ident = in_thread(body)
    assert log == [ident]


def test_bind_thread_names_a_thread():
    with sleeping_thread() as (main, _):
        t = tasklet(nothing, ())
        t.bind_thread(main.thread_id)
        assert t.thread_id == main.thread_id
        t.bind_thread(-1)
        assert t.thread_id == threading.get_ident()


def test_bind_thread_used_wrongly():
    t = tasklet(nothing, ())
    with pytest.raises(OverflowError):
        t.bind_thread(-2)
    with pytest.raises(ValueError, match="bad thread"):
        t.bind_thread(1)
    with pytest.raises(TypeError):
        t.bind_thread("thread")
    assert t.thread_id == threading.get_ident()


def test_bind_thread_to_its_own_thread_is_allowed_for_everyone():
    queued = tasklet(nothing)()
    for t in (stackless.getcurrent(), queued):
        assert t.bind_thread() is None
        assert t.bind_thread(threading.get_ident()) is None
    stackless.run()


def test_bind_thread_takes_no_runnable_tasklet_away():
    queued = tasklet(nothing)()

    def body():
        with pytest.raises(RuntimeError, match="runnable"):
            queued.bind_thread()

    in_thread(body)
    assert queued.scheduled
    stackless.run()


def numbers(gate, log):
    """Freezable wherever it waits."""
    total = 0
    try:
        for _ in range(3):
            total += gate.receive()
            log.append((total, threading.get_ident()))
    finally:
        log.append(("end", threading.get_ident()))


def test_a_started_tasklet_moves_to_another_thread_and_back():
    gate, log = channel(), []
    t = tasklet(numbers)(gate, log)
    gate.send(1)

    def body():
        t.bind_thread()
        assert t.thread_id == threading.get_ident()
        assert t.blocked
        gate.send(10)
        t.bind_thread(main)
        return threading.get_ident()

    main = threading.get_ident()
    other = in_thread(body)
    gate.send(100)
    assert log == [(1, main), (11, other), (111, main), ("end", main)]


def test_a_tasklet_that_somebody_holds_outlives_its_thread_and_goes_on_in_another():
    gate, log = channel(), []

    def body():
        t = tasklet(numbers)(gate, log)
        gate.send(1)
        return t, threading.get_ident()

    t, other = in_thread(body)
    assert (t.alive, t.thread_id, t.blocked) == (False, -1, True)
    t.bind_thread()
    assert (t.alive, t.thread_id, t.blocked) == (True, threading.get_ident(), True)
    gate.send(10)
    t.kill()
    mine = threading.get_ident()
    assert log == [(1, other), (11, mine), ("end", mine)]


def test_one_that_is_woken_by_the_end_of_another_outlives_its_thread_all_the_same():
    gate, log = channel(), []

    def waits():
        log.append(gate.receive())
        try:
            gate.receive()
        finally:
            log.append(threading.get_ident())

    def dies():
        try:
            channel().receive()
        finally:
            gate.send("first")

    def body():
        t = tasklet(waits)()
        tasklet(dies)()
        stackless.pump()
        return t

    t = in_thread(body)
    assert log == ["first"]
    t.kill()
    assert log == ["first", threading.get_ident()]


def test_a_tasklet_without_a_thread_takes_no_value_and_is_told():
    gate, log = channel(), []

    def body():
        t = tasklet(numbers)(gate, log)
        gate.send(1)
        return t

    t = in_thread(body)
    tasklet(gate.send)("for somebody else")
    assert gate.receive() == "for somebody else"
    t.bind_thread()
    assert t.paused
    with pytest.raises(RuntimeError, match="no thread when its turn came"):
        t.run()
    stackless.run()


def test_a_tasklet_that_outlived_its_thread_is_killed_in_the_thread_that_says_so():
    log = []

    def body():
        t = tasklet(numbers)(channel(), log)
        stackless.run()
        return t

    t = in_thread(body)
    with pytest.raises(RuntimeError, match="tasklet has no thread"):
        t.throw(ValueError)
    t.kill()
    assert log == [("end", threading.get_ident())]
    assert not t.alive


def test_a_tasklet_without_a_thread_is_cleaned_up_in_whichever_drops_it():
    log = []

    def body():
        t = tasklet(numbers)(channel(), log)
        stackless.run()
        return t

    t = in_thread(body)
    assert log == []
    del t
    gc.collect()
    assert log == [("end", threading.get_ident())]


def test_a_sleeper_moves_to_another_thread():
    log = []

    def sleeps():
        stackless.sleep(0.001)
        log.append(threading.get_ident())

    t = tasklet(sleeps)()
    stackless.pump()

    def body():
        t.bind_thread()
        stackless.run()
        return threading.get_ident()

    assert log == [in_thread(body)]


def limited(gate, log, seconds):
    with stackless.timeout(seconds), contextlib.suppress(TimeoutError), stackless.timeout(None):
        try:
            gate.receive()
        finally:
            log.append(threading.get_ident())


def test_a_tasklet_takes_its_timeouts_along_to_another_thread():
    log = []
    t = tasklet(limited)(channel(), log, 0.5)
    stackless.pump()

    def body():
        t.bind_thread()
        with pytest.raises(TimeoutError):
            stackless.run()
        return threading.get_ident()

    assert log == [in_thread(body)]
    assert not t.alive


def test_a_tasklet_that_outlived_its_thread_leaves_its_timeouts_in_another():
    log = []

    def body():
        t = tasklet(limited)(channel(), log, 1000)
        stackless.pump()
        return t

    t = in_thread(body)
    del t
    gc.collect()
    assert log == [threading.get_ident()]


def test_bind_thread_leaves_a_tasklet_on_c_frames_where_it_is():
    t = tasklet(sorted)([1], key=stackless.schedule_remove)
    t.run()

    def body():
        with pytest.raises(RuntimeError, match="its stack: it was started through C code: sorted"):
            t.bind_thread()

    in_thread(body)
    assert t.thread_id == threading.get_ident()
    t.kill()


class Waits:
    """Its `+` waits, beneath C code that may be ended."""

    def __add__(self, log):
        stackless.schedule_remove()
        return threading.get_ident()


def adds(log):
    log.append(Waits() + log)


@pytest.fixture
def plenty():
    """Nobody is frozen unasked."""
    before = stackless.set_stack_budget(1000)
    yield
    stackless.set_stack_budget(before)


@pytest.mark.usefixtures("plenty")
def test_only_its_own_thread_can_give_a_tasklet_beneath_c_code_away():
    log = []
    t = tasklet(adds)(log)
    t.run()
    owner = threading.get_ident()
    reason = (
        f"only its own thread ({owner}) can end the C functions that it waits in: do this there"
    )

    def asks_for_it():
        pinned = stackless.statistics()["pinned"]
        for attempt in (t.bind_thread, t.bind):
            with pytest.raises(RuntimeError) as refused:
                attempt()
            assert str(refused.value) == f"tasklet has C state on its stack: {reason}"
        restored = pickle.loads(pickle.dumps(t))
        with pytest.raises(RuntimeError, match="can end the C functions"):
            restored.run()
        return stackless.why_pinned(t), t.restorable, pinned

    assert in_thread(asks_for_it) == (reason, False, 0)
    assert (stackless.why_pinned(t), t.restorable, t.thread_id) == (None, True, owner)

    started, given = threading.Event(), threading.Event()

    def is_given_it():
        stackless.getcurrent()
        started.set()
        wait_for(given)
        t.run()

    thread = start_thread(is_given_it)
    wait_for(started)
    t.bind_thread(thread.ident)
    given.set()
    thread.join()
    assert log == [thread.ident] != [owner]


@pytest.mark.usefixtures("plenty")
def test_one_that_its_thread_has_frozen_may_be_taken_beneath_c_code_too():
    log = []
    t = tasklet(adds)(log)
    t.run()
    pickle.dumps(t)

    def takes_it():
        assert (stackless.why_pinned(t), t.restorable) == (None, True)
        t.bind_thread()
        t.run()
        return [threading.get_ident()]

    assert in_thread(takes_it) == log
