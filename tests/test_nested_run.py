"""stackless.run(), called by main, by tasklets, and inside one another."""

from __future__ import annotations

import pytest
import stackless
from stackless import channel, tasklet


def test_run_with_nothing_to_do_returns_at_once():
    assert stackless.run() is None
    assert stackless.getruncount() == 1


def test_run_takes_the_caller_out_of_the_ring_until_the_ring_is_empty():
    log = []
    main = stackless.getmain()

    def look(name):
        log.append((name, main.paused, main.scheduled, stackless.getruncount()))

    tasklet(look)("a")
    tasklet(look)("b")
    assert stackless.run() is None
    log.append(("main", main.paused, main.scheduled, stackless.getruncount()))
    assert log == [
        ("a", True, False, 2),
        ("b", True, False, 1),
        ("main", False, True, 1),
    ]


def test_run_returns_when_the_last_one_blocks_and_leaves_it_blocked():
    c = channel()
    t = tasklet(c.receive)()
    stackless.run()
    assert (t.blocked, c.balance) == (True, -1)
    t.kill()


def test_run_returns_when_the_last_one_removes_itself():
    t = tasklet(stackless.schedule_remove)()
    stackless.run()
    assert t.paused
    t.kill()


def test_run_inside_a_tasklet_ends_before_the_outer_one():
    log = []
    main = stackless.getmain()

    def outer():
        log.append("outer")
        tasklet(inner)("inner")
        stackless.run()
        log.append("outer again")

    def inner(name):
        log.append((name, main.paused, t.paused))

    t = tasklet(outer)()
    tasklet(log.append)("bystander")
    stackless.run()
    assert log == ["outer", "bystander", ("inner", True, True), "outer again"]


def test_three_levels_of_run_end_from_the_inside_out():
    log = []

    def level(n):
        log.append(f"{n}>")
        if n < 3:
            tasklet(level)(n + 1)
            stackless.run()
        log.append(f"<{n}")

    level(1)
    assert log == ["1>", "2>", "3>", "<3", "<2", "<1"]


def test_an_exception_comes_out_of_the_innermost_run():
    log = []

    def fail():
        raise ValueError("inner")

    def outer():
        tasklet(fail)()
        tasklet(log.append)("still queued")
        try:
            stackless.run()
        except ValueError as error:
            log.append(str(error))

    tasklet(outer)()
    stackless.run()
    assert log == ["inner", "still queued"]


def test_an_exception_passes_through_every_run_on_its_way_out():
    log = []

    def level(n):
        tasklet(level if n < 3 else fail)(n + 1)
        try:
            stackless.run()
        finally:
            log.append(n)

    def fail(_n):
        raise ValueError("from the depth")

    with pytest.raises(ValueError, match="from the depth"):
        level(1)
    assert log == [3, 2, 1]


def test_inserting_a_caller_of_run_makes_its_run_return():
    log = []
    main = stackless.getmain()

    def wake_main():
        log.append("wake")
        main.insert()
        stackless.schedule()
        log.append("woken up later")

    tasklet(wake_main)()
    stackless.run()
    log.append("main")
    assert stackless.getruncount() == 2
    stackless.run()
    assert log == ["wake", "main", "woken up later"]


@pytest.mark.parametrize("how", ["insert", "run", "throw"])
def test_a_woken_outer_run_takes_the_deeper_ones_along(how):
    log = []
    main = stackless.getmain()

    def outer():
        tasklet(wake_main)()
        stackless.run()
        log.append("outer's run returned")

    def wake_main():
        log.append("wake")
        if how == "throw":
            main.throw(ValueError)
        else:
            getattr(main, how)()
        stackless.schedule()
        log.append("waker again")

    t = tasklet(outer)()
    try:
        stackless.run()
    except ValueError:
        log.append("ValueError")
    log.append("main's run returned")
    assert t.scheduled
    stackless.run()
    # insert() lets the waker yield before main returns; run() and throw() leave it inside the call.
    last = ["waker again", "outer's run returned"]
    if how != "insert":
        last.reverse()
    expected = ["wake", "main's run returned", *last]
    if how == "throw":
        expected.insert(1, "ValueError")
    assert log == expected


def test_a_workers_run_while_main_is_runnable_ends_when_main_blocks():
    log = []
    c = channel()

    def worker():
        log.append("worker>")
        stackless.run()
        log.append("<worker")
        c.send("from the worker")

    t = tasklet(worker)()
    stackless.schedule()
    log.append(("main", t.paused))
    log.append(c.receive())
    stackless.run()
    assert log == ["worker>", ("main", True), "<worker", "from the worker"]


def test_a_workers_run_while_main_is_runnable_ends_when_main_removes_itself():
    log = []
    main = stackless.getmain()

    def worker():
        stackless.run()
        log.append("<worker")
        main.insert()

    tasklet(worker)()
    stackless.schedule()
    stackless.schedule_remove()
    log.append("main")
    assert log == ["<worker", "main"]


def test_a_workers_run_stays_when_main_calls_run_too():
    log = []

    def worker():
        stackless.run()
        log.append("<worker")

    t = tasklet(worker)()
    stackless.schedule()
    stackless.run()
    log.append("main's run returned")
    assert (t.paused, t.alive) == (True, True)
    t.insert()
    stackless.run()
    assert log == ["main's run returned", "<worker"]


def test_killing_a_worker_that_waits_in_run_ends_its_run():
    log = []

    def worker():
        try:
            stackless.run()
        except TaskletExit:
            log.append("killed")
            raise

    t = tasklet(worker)()
    stackless.schedule()
    t.kill()
    assert (log, t.alive) == (["killed"], False)
    tasklet(log.append)("run works as before")
    stackless.run()
    assert log == ["killed", "run works as before"]


def test_run_can_be_repeated_from_the_same_tasklet():
    log = []
    for i in range(3):
        tasklet(log.append)(i)
        stackless.run()
        log.append("|")
    assert log == [0, "|", 1, "|", 2, "|"]


def test_tasklets_created_during_run_belong_to_it():
    log = []

    def spawn(n):
        log.append(n)
        if n:
            tasklet(spawn)(n - 1)

    tasklet(spawn)(5)
    stackless.run()
    assert log == [5, 4, 3, 2, 1, 0]


def test_the_list_of_callers_of_run_is_live():
    thread_id = stackless.getmain().thread_id
    idle = stackless.get_thread_info(thread_id, 1 << 31)[3]
    assert idle == [None]
    seen = []

    def look():
        seen.append(list(stackless.get_thread_info(thread_id, 1 << 31)[3]))

    tasklet(look)()
    stackless.run()
    assert seen == [[None, stackless.getmain()]]
    assert stackless.get_thread_info(thread_id, 1 << 31)[3] is idle
    assert idle == [None]
