"""What may not come between deciding who runs next and the switch: destructors and callbacks."""

from __future__ import annotations

import gc
import pickle
import sys
import threading

import pytest
import stackless
from stackless import channel, tasklet
from support import child_lines


class Runs:
    """Runs something when it is dropped."""

    def __init__(self, action):
        self.action = action

    def __del__(self):
        self.action()


def counts(log, name, times=3):
    for number in range(times):
        log.append((name, number))
        stackless.schedule()


def leave(action):
    """Leave in the current tasklet's mailbox what runs `action` when it is dropped."""
    stackless.getcurrent().tempval = Runs(action)


@pytest.mark.parametrize(
    "wait",
    [
        lambda _: stackless.schedule(1),
        lambda _: stackless.sleep(0),
        lambda line: line.send("x"),
        lambda line: line.receive(),
        lambda _: None,
    ],
    ids=["schedule", "sleep", "send", "receive", "end"],
)
def test_mail_whose_destructor_gives_way_is_dropped_while_somebody_is_current(wait):
    log, line = [], channel()

    def waits():
        leave(lambda: log.append("dropped") or stackless.schedule())
        wait(line)
        log.append("went on")

    def serves():
        for _ in range(8):
            stackless.schedule()
        if line.balance:
            (line.receive if line.balance > 0 else lambda: line.send("y"))()

    tasklet(waits)()
    tasklet(counts)(log, "other")
    tasklet(serves)()
    stackless.run()
    assert sorted(map(str, log)) == sorted(
        map(str, ["dropped", ("other", 0), ("other", 1), ("other", 2), "went on"])
    )
    assert (line.balance, stackless.runcount) == (0, 1)


def test_a_destructor_that_kills_the_receiver_finds_it_served_already():
    line, got = channel(), []
    line.preference = 1
    receiver = tasklet(lambda: got.append(line.receive()))()
    stackless.schedule()
    leave(receiver.kill)
    line.send("value")
    assert (got, line.balance, receiver.alive) == ([], 0, False)


def test_a_destructor_that_lets_a_receiver_wait_does_not_find_the_sender_queued_twice():
    line, got = channel(), []
    line.preference = 0

    def receive():
        got.append(line.receive())

    def wake():
        tasklet(receive)()
        stackless.schedule()

    def send():
        leave(wake)
        line.send("x")

    tasklet(send)()
    stackless.run()
    stackless.run()  # the destructor ran when the first one was about to return
    assert (got, line.balance, line.queue) == (["x"], 0, None)


def test_arguments_that_bind_their_tasklet_anew_as_it_is_unbound_find_it_over():
    log = []

    def wait(argument):
        del argument
        stackless.schedule_remove()

    def again():
        if not bound.alive:  # frozen while it waits, it has lost its arguments before
            bound.bind(counts, (log, "again", 1))
            bound.run()

    bound = tasklet(wait)(Runs(again))
    stackless.run()
    bound.bind(None)
    stackless.run()
    assert not bound.alive
    assert log in ([("again", 0)], [])


def test_of_two_exceptions_for_the_caller_of_run_the_first_comes_and_the_later_is_reported(
    monkeypatch,
):
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", lambda each: reported.append(repr(each.exc_value)))

    def throws():
        stackless.getmain().throw(ValueError("first"), pending=True)

    def fails():
        raise KeyError("second")

    tasklet(throws)()
    tasklet(fails)()
    with pytest.raises(ValueError, match="first"):
        stackless.run()
    assert reported == ["KeyError('second')"]


def test_a_paused_tasklet_beneath_c_code_is_stored_while_many_are_runnable():
    class Slow:
        def __init__(self):
            stackless.schedule_remove()

    log = []
    paused = tasklet(lambda: log.append(Slow() is not None))()
    paused.run()
    for _ in range(100):
        tasklet(stackless.schedule)()
    budget = stackless.set_stack_budget(1024)
    assert isinstance(paused.__reduce__(), tuple)
    stackless.set_stack_budget(budget)
    paused.run()
    stackless.run()
    assert (log, stackless.runcount) == ([True], 1)


# ---- schedule callbacks --------------------------------------------------------------------------


@pytest.fixture
def other_thread():
    ready, over = threading.Event(), threading.Event()
    ident = []

    def work():
        stackless.getcurrent()
        ident.append(threading.get_ident())
        ready.set()
        over.wait()

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait()
    yield ident[0]
    over.set()
    thread.join()


def run_with(action, log, names="abcd"):
    """Run some tasklets; `action` meddles with c when c is to run first."""
    tasklets = {name: tasklet(counts)(log, name, 2) for name in names}
    told = []

    def callback(previous, following):
        name = next((n for n, t in tasklets.items() if t is following), None)
        told.append(name)
        if name == "c" and told.count("c") == 1:
            action(tasklets["c"])

    stackless.set_schedule_callback(callback)
    try:
        stackless.run()
    finally:
        stackless.set_schedule_callback(None)
    return tasklets, told


def test_a_callback_that_removes_the_next_one_is_told_of_another():
    log = []
    tasklets, told = run_with(lambda c: c.remove(), log)
    assert log == [(n, 0) for n in "abd"] + [(n, 1) for n in "abd"]
    assert told[:4] == ["a", "b", "c", "d"]
    assert tasklets["c"].paused
    tasklets["c"].insert()
    stackless.run()
    assert log[-2:] == [("c", 0), ("c", 1)]


@pytest.mark.parametrize(
    "action",
    [
        lambda c: pickle.dumps(c),
        lambda c: c.kill(pending=True),
        lambda c: (c.remove(), c.insert()),
        lambda c: gc.collect(),
        lambda c: stackless.set_stack_budget(stackless.set_stack_budget(0)),
    ],
    ids=["stores", "kills", "moves to the end", "collects", "changes the budget"],
)
def test_a_callback_may_do_anything_with_the_next_one(action):
    log = []
    tasklets, _ = run_with(action, log)
    assert not any(t.alive for t in tasklets.values())
    assert {(n, i) for n in "abd" for i in (0, 1)} <= set(log)
    assert stackless.runcount == 1


def test_a_callback_may_move_the_next_one_to_another_thread(other_thread):
    log = []
    tasklets, _ = run_with(lambda c: (c.remove(), c.bind_thread(other_thread)), log)
    assert log == [(n, 0) for n in "abd"] + [(n, 1) for n in "abd"]
    assert tasklets["c"].thread_id == other_thread
    tasklets["c"].bind_thread()
    tasklets["c"].insert()
    stackless.run()
    assert log[-2:] == [("c", 0), ("c", 1)]


def test_a_callback_that_removes_everybody_is_told_as_often_as_there_are_tasklets():
    log, told = [], []
    tasklets = [tasklet(counts)(log, number, 1) for number in range(5)]

    def callback(previous, following):
        if following in tasklets:
            told.append(tasklets.index(following))
            following.remove()

    stackless.set_schedule_callback(callback)
    stackless.run()
    stackless.set_schedule_callback(None)
    assert (told, log) == ([0, 1, 2, 3, 4], [])
    for each in tasklets:
        each.insert()
    stackless.run()
    assert log == [(number, 0) for number in range(5)]


# ---- ends ----------------------------------------------------------------------------------------


def test_a_leftover_that_refuses_to_go_never_runs_again_and_the_program_ends():
    lines = child_lines("""
        import stackless
        def worker():
            while True:
                try:
                    stackless.sleep(0.001)
                except:
                    pass
        stackless.tasklet(worker)().run()
        print("main is done")
    """)
    assert lines == ["main is done"]


def waits_in_the_only_handler(line):
    try:
        raise ExceptionGroup("g", [ValueError()])
    except* ValueError:
        line.receive()


def waits_with_a_rest(line):
    try:
        raise ExceptionGroup("g", [ValueError(), TypeError()])
    except* ValueError:
        line.receive()


def waits_after_a_failure(line):
    try:
        raise ExceptionGroup("g", [ValueError(), TypeError()])
    except* ValueError:
        raise KeyError from None
    except* TypeError:
        line.receive()


@pytest.mark.parametrize(
    "program",
    [waits_in_the_only_handler, waits_with_a_rest, waits_after_a_failure],
    ids=lambda program: program.__name__,
)
def test_kill_of_one_that_waits_in_except_star_is_silent(program):
    line = channel()
    killed = tasklet(program)(line)
    killed.run()
    killed.kill()
    assert (killed.alive, line.balance) == (False, 0)


def test_a_tasklet_of_a_daemon_thread_that_can_be_frozen_ends_with_the_program():
    lines = child_lines("""
        import threading, time
        import stackless
        def worker():
            try:
                stackless.channel().receive()
            finally:
                print("its finally")
        def serve():
            kept.append(stackless.tasklet(worker)())
            kept[0].run()
            ready.set()
            time.sleep(1000)
        kept, ready = [], threading.Event()
        threading.Thread(target=serve, daemon=True).start()
        ready.wait()
        print("main is done")
    """)
    assert lines == ["main is done", "its finally"]
