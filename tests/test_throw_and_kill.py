"""throw(), raise_exception() and kill(): at once and pending, to tasklets in every state."""

from __future__ import annotations

import os
import sys
import threading

import pytest
import stackless
from stackless import channel, tasklet
from support import frame_names


def pause(log, name="t"):
    """Pause once; say which exception ended the pause."""
    try:
        log.append((name, stackless.schedule_remove("woken")))
    except BaseException as error:
        log.append((name, type(error).__name__, error.args))


def paused(log, name="t"):
    t = tasklet(pause)(log, name)
    t.run()
    assert t.paused
    return t


def traceback_of(error_type):
    try:
        raise error_type
    except error_type as error:
        return error.__traceback__


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((ValueError,), ("ValueError", ())),
        ((ValueError, "text"), ("ValueError", ("text",))),
        ((ValueError, (1, 2)), ("ValueError", (1, 2))),
        ((ValueError, ValueError("ready")), ("ValueError", ("ready",))),
        ((ValueError("instance"),), ("ValueError", ("instance",))),
        ((LookupError, KeyError("k")), ("KeyError", ("k",))),
    ],
)
def test_throw_takes_what_raise_takes(arguments, expected):
    log = []
    t = paused(log)
    assert t.throw(*arguments) is None
    assert log == [("t", *expected)]
    assert not t.alive


def test_throw_takes_keywords():
    log = []
    t = paused(log)
    t.throw(exc=ValueError, val=1, tb=None, pending=True)
    assert log == []
    stackless.run()
    assert log == [("t", "ValueError", (1,))]


def test_throw_appends_to_a_traceback_that_it_is_given():
    caught = []

    def waiter():
        try:
            stackless.schedule_remove()
        except ValueError as error:
            caught.append(error)

    t = tasklet(waiter)()
    t.run()
    t.throw(ValueError, None, traceback_of(ValueError))
    assert frame_names(caught[0]) == ["waiter", "traceback_of"]


@pytest.mark.parametrize("wrong", [1, "ValueError", None, object, int])
def test_only_exceptions_can_be_thrown(wrong):
    log = []
    t = paused(log)
    with pytest.raises(TypeError):
        t.throw(wrong)
    assert t.paused
    t.kill()


def test_an_instance_may_not_come_with_a_value():
    log = []
    t = paused(log)
    with pytest.raises(TypeError, match="instance exception may not have a separate value"):
        t.throw(ValueError(1), 2)
    assert log == []
    t.kill()


def test_the_third_argument_must_be_a_traceback():
    log = []
    t = paused(log)
    with pytest.raises(TypeError, match="third argument must be a traceback object"):
        t.throw(ValueError, None, "no traceback")
    assert log == []
    t.kill()


def test_throw_to_the_current_tasklet_raises_right_there():
    log = []
    tasklet(log.append)("bystander")
    with pytest.raises(ValueError, match="here"):
        stackless.getcurrent().throw(ValueError, "here")
    with pytest.raises(KeyError):
        stackless.getcurrent().throw(KeyError, "here", None, True)
    with pytest.raises(TaskletExit):
        stackless.getcurrent().kill(pending=True)
    assert log == []
    stackless.run()
    assert log == ["bystander"]


def test_throw_to_a_tasklet_that_never_started_never_runs_its_function():
    ran = []
    t = tasklet(ran.append)("ran")
    with pytest.raises(ValueError, match="uncaught"):
        t.throw(ValueError, "uncaught")
    assert (ran, t.alive) == ([], False)


def test_kill_of_a_tasklet_that_never_started_is_silent():
    ran = []
    for t in (tasklet(ran.append)("queued"), tasklet(ran.append, ("paused",))):
        t.kill()
        assert (ran, t.alive, t.scheduled) == ([], False, False)


def test_pending_throw_to_a_tasklet_that_never_started_counts_as_uncaught():
    ran = []
    t = tasklet(ran.append)("ran")
    t.throw(ValueError, "uncaught", pending=True)
    assert t.alive
    with pytest.raises(ValueError, match="uncaught"):
        stackless.run()
    assert ran == []


def test_pending_throw_lets_the_caller_go_on_and_queues_at_the_tail():
    log = []
    t = paused(log)
    tasklet(log.append)("a")
    assert t.throw(ValueError, pending=True) is None
    tasklet(log.append)("b")
    log.append("main")
    stackless.run()
    assert log == ["main", "a", ("t", "ValueError", ()), "b"]


def test_pending_throw_to_a_queued_tasklet_keeps_its_place():
    log = []
    t = paused(log)
    t.insert()
    tasklet(log.append)("a")
    t.throw(ValueError, pending=True)
    stackless.run()
    assert log == [("t", "ValueError", ()), "a"]


def test_a_thrown_exception_waits_in_tempval_as_a_bomb():
    log = []
    t = paused(log)
    t.throw(ValueError, pending=True)
    assert type(t.tempval) is stackless.bomb
    stackless.run()
    assert t.tempval is None


@pytest.mark.parametrize("pending", [False, True])
@pytest.mark.parametrize("operation", ["receive", "send"])
def test_throw_takes_a_blocked_tasklet_off_its_channel(operation, pending):
    log = []
    c = channel()

    def block():
        try:
            c.send(1) if operation == "send" else c.receive()
        except ValueError:
            log.append(c.balance)

    t = tasklet(block)()
    stackless.run()
    assert t.blocked
    t.throw(ValueError, pending=pending)
    assert (c.balance, c.queue, t.blocked) == (0, None, False)
    stackless.run()
    assert log == [0]


def test_kill_ends_the_middle_of_a_queue_only():
    log = []
    c = channel()
    receivers = [tasklet(lambda name=name: log.append((name, c.receive())))() for name in "abc"]
    stackless.run()
    receivers[1].kill()
    assert c.balance == -2
    c.send(1)
    c.send(2)
    stackless.run()
    assert log == [("a", 1), ("c", 2)]


@pytest.mark.parametrize("pending", [False, True])
def test_kill_of_a_dead_tasklet_is_silent(pending):
    t = tasklet(int)()
    stackless.run()
    assert t.kill(pending=pending) is None
    assert t.throw(TaskletExit) is None
    assert t.throw(TaskletExit()) is None
    assert tasklet().kill() is None


@pytest.mark.parametrize("pending", [False, True])
def test_throw_to_a_dead_tasklet_is_refused(pending):
    t = tasklet(int)()
    stackless.run()
    with pytest.raises(RuntimeError, match="You cannot throw to a dead tasklet"):
        t.throw(ValueError, pending=pending)
    with pytest.raises(RuntimeError, match="You cannot throw to a dead tasklet"):
        tasklet().throw(ValueError)


def test_a_killed_tasklet_runs_its_cleanup():
    log = []

    def worker():
        try:
            stackless.schedule_remove()
        except Exception:
            log.append("TaskletExit is no Exception")
        finally:
            log.append("finally")

    t = tasklet(worker)()
    t.run()
    t.kill()
    assert (log, t.alive) == (["finally"], False)


def test_a_killed_tasklet_may_refuse_and_go_on():
    log = []

    def stubborn():
        try:
            stackless.schedule_remove()
        except TaskletExit:
            log.append("refused")
        stackless.schedule_remove()
        log.append("done")

    t = tasklet(stubborn)()
    t.run()
    t.kill()
    assert (log, t.paused) == (["refused"], True)
    t.run()
    assert (log, t.alive) == (["refused", "done"], False)


def test_a_killed_tasklet_may_yield_in_its_cleanup():
    log = []

    def worker():
        try:
            stackless.schedule_remove()
        finally:
            log.append("cleanup 1")
            stackless.schedule()
            log.append("cleanup 2")

    t = tasklet(worker)()
    t.run()
    tasklet(log.append)("a")
    t.kill()
    log.append("main")
    stackless.run()
    assert log == ["cleanup 1", "main", "a", "cleanup 2"]


def test_a_cleanup_that_raises_reaches_the_killer():
    def worker():
        try:
            stackless.schedule_remove()
        finally:
            raise KeyError("in cleanup")

    t = tasklet(worker)()
    t.run()
    with pytest.raises(KeyError, match="in cleanup") as caught:
        t.kill()
    assert type(caught.value.__context__) is TaskletExit
    assert not t.alive


def test_a_tasklet_kills_the_main_tasklet_out_of_run():
    tasklet(stackless.getmain().throw)(ValueError, "from a tasklet")
    with pytest.raises(ValueError, match="from a tasklet"):
        stackless.run()
    assert stackless.getruncount() == 2
    stackless.run()


def test_tasklets_kill_each_other_in_a_chain():
    log = []

    def worker(name, successor):
        try:
            stackless.schedule_remove()
        except TaskletExit:
            log.append(name)
            if successor is not None:
                successor.kill()
            log.append(name + "'")
            raise

    t = None
    for name in "cba":
        t = tasklet(worker)(name, t)
        t.run()
    t.kill()
    stackless.run()
    assert log == ["a", "b", "c", "c'", "b'", "a'"]


def test_raise_exception_takes_a_class_and_its_arguments():
    log = []
    paused(log).raise_exception(ValueError)
    paused(log).raise_exception(KeyError, 1, 2)
    assert log == [("t", "ValueError", ()), ("t", "KeyError", (1, 2))]


def test_raise_exception_wants_a_class():
    log = []
    t = paused(log)
    with pytest.raises(TypeError, match="at least 1 argument"):
        t.raise_exception()
    for wrong in (ValueError("instance"), 1, int):
        with pytest.raises(TypeError, match="needs Exception or string subclass as first param"):
            t.raise_exception(wrong)
    assert t.paused
    t.kill()


def test_a_constructor_that_fails_takes_the_place_of_the_exception():
    class Wrong(Exception):
        def __init__(self):
            raise KeyError("constructor")

    log = []
    t = paused(log)
    with pytest.raises(KeyError, match="constructor"):
        t.raise_exception(Wrong)
    assert t.paused
    t.kill()


def test_tasklet_exit_is_a_builtin_system_exit():
    assert issubclass(TaskletExit, SystemExit)
    assert not issubclass(TaskletExit, Exception)
    assert TaskletExit(5).code == 5
    assert "TaskletExit" not in vars(stackless)


def running_in_another_thread(work):
    """Start a thread and a tasklet that runs `work` there; return both."""
    started, box = threading.Event(), []

    def body():
        def victim():
            started.set()
            work()

        box.append(tasklet(victim)())
        stackless.run()

    thread = threading.Thread(target=body)
    thread.start()
    started.wait()
    return box[0], thread


@pytest.mark.parametrize("wait", ["schedule", "sleep", "receive"])
def test_what_is_thrown_at_a_tasklet_that_runs_in_another_thread_is_raised_when_it_gives_way(wait):
    thrown, log = threading.Event(), []
    waits = {
        "schedule": stackless.schedule,
        "sleep": lambda: stackless.sleep(0),
        "receive": stackless.channel().receive,
    }

    def work():
        while not thrown.is_set():
            pass
        try:
            waits[wait]()
        except ValueError as error:
            log.append(error.args)
        stackless.schedule()
        log.append("goes on")

    victim, thread = running_in_another_thread(work)
    victim.throw(ValueError, "why")
    thrown.set()
    thread.join()
    assert log == [("why",), "goes on"]


def test_killing_a_tasklet_that_runs_in_another_thread_hits_no_other_one():
    reading, writing = os.pipe()
    ready, log = threading.Event(), []

    def work():
        def bystander():
            while not log:
                stackless.schedule()

        tasklet(bystander)()
        try:
            with open(reading, "rb", buffering=0) as lines:
                ready.set()
                for _ in lines:  # looks at no asynchronous exception before the switch
                    stackless.schedule()
        finally:
            log.append(sys.exc_info()[0])

    victim, thread = running_in_another_thread(work)
    ready.wait()
    victim.kill()
    os.write(writing, b"x\n")
    os.close(writing)
    thread.join()
    assert log == [TaskletExit]


def test_what_comes_too_late_hits_nobody():
    thrown, log = threading.Event(), []

    def work():
        tasklet(log.append)("the next one")
        while not thrown.is_set():
            pass

    victim, thread = running_in_another_thread(work)
    victim.throw(ValueError, "why")
    thrown.set()
    thread.join()
    assert log == ["the next one"]
