"""A scheduler for each thread, and what may be done to tasklets of other threads."""

from __future__ import annotations

import contextlib
import sys
import threading

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


def test_every_thread_has_a_main_tasklet_and_a_ring_of_its_own():
    here = (stackless.getmain(), stackless.getcurrent())

    def look():
        main = stackless.getmain()
        return main, main is stackless.getcurrent(), main.is_main, stackless.getruncount()

    tasklet(nothing)()
    main, is_current, is_main, runcount = in_thread(look)
    assert main not in here
    assert (is_current, is_main, runcount) == (True, True, 1)
    stackless.run()


def test_run_runs_the_tasklets_of_its_own_thread_only():
    log = []
    tasklet(log.append)("main thread")

    def body():
        tasklet(log.append)("other thread")
        stackless.run()

    in_thread(body)
    assert log == ["other thread"]
    stackless.run()
    assert log == ["other thread", "main thread"]


def test_a_tasklet_belongs_to_the_thread_that_made_it():
    with sleeping_thread(lambda: tasklet(nothing)) as (main, t):
        assert t.thread_id == main.thread_id
        assert t.thread_id != threading.get_ident()
    assert tasklet(nothing).thread_id == threading.get_ident()


def test_is_current_and_is_main_are_meant_for_the_tasklets_own_thread():
    with sleeping_thread() as (main, _):
        assert main.is_main
        assert main.blocked
    assert stackless.getmain().is_current


def test_setup_queues_a_tasklet_in_its_own_thread_and_wakes_it():
    ran = threading.Event()
    seen = []

    def work(argument):
        seen.append((argument, threading.get_ident()))
        ran.set()
        stackless.schedule_remove()

    with sleeping_thread(lambda: tasklet(work)) as (main, t):
        t("argument")
        wait_for(ran)
        assert seen == [("argument", main.thread_id)]
        assert stackless.getruncount() == 1


@pytest.mark.parametrize("operation", ["insert", "run"])
def test_insert_and_run_wake_a_sleeping_thread_and_the_caller_goes_on(operation):
    ran = threading.Event()
    seen = []

    def work():
        seen.append(threading.get_ident())
        ran.set()
        stackless.schedule_remove()

    with sleeping_thread(lambda: tasklet(work, ())) as (main, t):
        getattr(t, operation)()
        wait_for(ran)
        wait_until(lambda: t.paused)
        assert seen == [main.thread_id]


def test_remove_takes_a_tasklet_out_of_another_threads_ring():
    log = []
    ready, go = threading.Event(), threading.Event()
    shared = []

    def body():
        shared.extend(tasklet(log.append)(name) for name in "abc")
        ready.set()
        wait_for(go)
        stackless.run()

    thread = start_thread(body)
    wait_for(ready)
    assert shared[1].remove() is shared[1]
    go.set()
    thread.join()
    assert log == ["a", "c"]
    assert stackless.getruncount() == 1


def test_run_of_a_queued_tasklet_of_a_busy_thread_does_not_touch_the_callers_ring():
    log = []
    ready, go = threading.Event(), threading.Event()
    shared = []

    def body():
        shared.extend(tasklet(log.append, (name,)) for name in "pq")
        tasklet(log.append)("a")
        ready.set()
        wait_for(go)
        stackless.run()

    thread = start_thread(body)
    wait_for(ready)
    shared[0].run()
    shared[1].insert()
    assert stackless.getruncount() == 1
    go.set()
    thread.join()
    assert log == ["p", "a", "q"]


def test_switch_to_another_threads_tasklet_is_refused():
    with sleeping_thread(lambda: tasklet(nothing, ())) as (_, t):
        with pytest.raises(RuntimeError, match="can't switch to a different thread"):
            t.switch()
        assert t.paused
        assert stackless.getmain().scheduled


@pytest.mark.parametrize("pending", [False, True])
def test_throw_to_another_thread_never_switches(pending):
    caught = threading.Event()
    log = []

    def work():
        try:
            stackless.schedule_remove()
        except ValueError as error:
            log.append((threading.get_ident(), str(error)))
            caught.set()
            stackless.schedule_remove()

    def prepare():
        t = tasklet(work)()
        t.run()
        return t

    with sleeping_thread(prepare) as (main, t):
        assert t.throw(ValueError, "across", pending=pending) is None
        wait_for(caught)
        assert log == [(main.thread_id, "across")]


@pytest.mark.parametrize("pending", [False, True])
def test_throw_wakes_another_threads_main_out_of_its_channel(pending):
    def body():
        shared.append(stackless.getmain())
        with pytest.raises(ValueError, match="wake up"):
            c.receive()
        return "woken"

    shared = []
    c = channel()
    thread = start_thread(body)
    wait_until(lambda: c.balance == -1)
    shared[0].throw(ValueError, "wake up", pending=pending)
    assert thread.join() == "woken"
    assert c.balance == 0


def test_kill_of_another_threads_tasklet_runs_its_cleanup_there():
    cleaned = threading.Event()
    log = []

    def work():
        try:
            channel().receive()
        finally:
            log.append(threading.get_ident())
            cleaned.set()
            with contextlib.suppress(TaskletExit):
                stackless.schedule_remove()

    def prepare():
        t = tasklet(work)()
        t.run()
        return t

    with sleeping_thread(prepare) as (main, t):
        t.kill()
        wait_for(cleaned)
        assert log == [main.thread_id]


def test_bind_of_another_threads_paused_tasklet():
    with sleeping_thread(lambda: tasklet(nothing)) as (_, t):
        t.bind(len, ((),))
        assert t.paused


def test_the_ended_tasklet_of_a_thread_with_a_blocked_main_is_an_error_there():
    c = channel()

    def body():
        tasklet(nothing)()
        with pytest.raises(RuntimeError, match="receiving without a sender"):
            c.receive()
        return c.balance

    assert in_thread(body) == 0


def test_two_threads_that_wait_for_each_other_are_a_deadlock():
    c = channel()
    thread = start_thread(c.receive)
    wait_until(lambda: c.balance == -1)
    with pytest.raises(RuntimeError, match="Deadlock"):
        channel().receive()
    c.send("end")
    assert thread.join() == "end"


def test_a_blocked_thread_is_no_deadlock_while_another_one_runs():
    c = channel()
    thread = start_thread(c.receive)
    wait_until(lambda: c.balance == -1)
    assert thread.is_alive()
    c.send("message")
    assert thread.join() == "message"


def test_get_thread_info_and_getthreads():
    main = stackless.getmain()
    ident = threading.get_ident()
    assert stackless.get_thread_info() == (main, main, 1)
    assert stackless.get_thread_info(-1) == (main, main, 1)
    assert stackless.get_thread_info(ident) == (main, main, 1)
    with pytest.raises(RuntimeError, match="Thread id not found"):
        stackless.get_thread_info(1)
    with sleeping_thread() as (other, _):
        assert stackless.get_thread_info(other.thread_id)[0] is other
        threads = stackless.getthreads()
        assert threads[0] == ident
        assert set(threads) == set(sys._current_frames())
    assert stackless.threads == stackless.getthreads()


def test_the_main_tasklet_of_a_thread_knows_where_it_stands():
    def body():
        main = stackless.getmain()
        return stackless.get_thread_info(main.thread_id) == (main, main, 1)

    assert in_thread(body)
