"""schedule() and schedule_remove(): the ring turns, or loses its head."""

from __future__ import annotations

import pytest
import stackless
from stackless import channel, tasklet


def test_schedule_alone_returns_at_once():
    assert stackless.schedule("alone") == "alone"
    assert stackless.getruncount() == 1


def test_schedule_lets_everybody_else_run_once():
    log = []

    def worker(name):
        log.append(name)
        stackless.schedule()
        log.append(name + "'")

    for name in "abc":
        tasklet(worker)(name)
    stackless.schedule()
    log.append("main")
    stackless.schedule()
    log.append("main'")
    assert log == ["a", "b", "c", "main", "a'", "b'", "c'", "main'"]


def test_tasklets_created_meanwhile_run_after_the_creator_is_passed():
    log = []

    def spawner():
        log.append("spawner")
        tasklet(log.append)("child")
        stackless.schedule()
        log.append("spawner again")

    tasklet(spawner)()
    tasklet(log.append)("b")
    stackless.run()
    assert log == ["spawner", "b", "child", "spawner again"]


def test_schedule_remove_pauses_the_caller():
    log = []

    def worker():
        log.append("worker")
        stackless.schedule_remove()
        log.append("worker again")

    t = tasklet(worker)()
    tasklet(log.append)("b")
    stackless.run()
    assert (t.paused, t.scheduled, t.alive) == (True, False, True)
    log.append("main")
    t.insert()
    stackless.run()
    assert log == ["worker", "b", "main", "worker again"]


def test_main_removes_itself_and_is_inserted_again():
    log = []
    main = stackless.getmain()

    def waker():
        log.append(("waker", main.paused))
        main.insert()

    tasklet(waker)()
    assert stackless.schedule_remove("mine") == "mine"
    log.append("main")
    assert log == [("waker", True), "main"]


def test_main_that_removed_itself_goes_on_when_the_last_tasklet_ends():
    log = []
    tasklet(log.append)("a")
    tasklet(log.append)("b")
    stackless.schedule_remove()
    log.append("main")
    assert log == ["a", "b", "main"]
    assert stackless.getmain().scheduled


def test_a_lone_main_can_not_remove_itself():
    assert stackless.schedule_remove("back at once") == "back at once"
    assert stackless.schedule_remove() is stackless.getmain()
    assert stackless.getmain().scheduled
    assert stackless.getruncount() == 1


def test_schedule_remove_by_the_last_one_while_main_is_blocked_is_a_deadlock():
    log = []
    c = channel()

    def last():
        try:
            stackless.schedule_remove()
        except RuntimeError as error:
            log.append(str(error).startswith("Deadlock"))
        c.send("main may go on")

    tasklet(last)()
    assert c.receive() == "main may go on"
    stackless.run()
    assert log == [True]


def test_the_ring_counts_its_tasklets():
    counts = [stackless.getruncount()]
    paused = tasklet(int, ())
    counts.append(stackless.getruncount())
    queued = tasklet(int)()
    counts.append(stackless.getruncount())
    paused.insert()
    counts.append(stackless.getruncount())
    queued.remove()
    counts.append(stackless.getruncount())
    stackless.run()
    counts.append(stackless.getruncount())
    assert counts == [1, 1, 2, 3, 2, 1]
    assert queued.paused


def test_removing_a_neighbour_does_not_disturb_the_order():
    log = []

    def remover():
        log.append("a")
        tasklets["b"].remove()
        stackless.schedule()
        log.append("a'")
        tasklets["b"].insert()

    tasklets = {"a": tasklet(remover)()}
    for name in "bcd":
        tasklets[name] = tasklet(log.append)(name)
    stackless.run()
    assert log == ["a", "c", "d", "a'", "b"]


def test_a_thousand_tasklets_keep_their_order_for_many_rounds():
    log = []

    def worker(i):
        for turn in range(5):
            log.append((turn, i))
            stackless.schedule()

    for i in range(1000):
        tasklet(worker)(i)
    stackless.run()
    assert log == [(turn, i) for turn in range(5) for i in range(1000)]


def test_schedule_takes_one_argument_at_most():
    for function in (stackless.schedule, stackless.schedule_remove):
        with pytest.raises(TypeError, match="at most 1 argument"):
            function(1, 2)
        with pytest.raises(TypeError):
            function(wrong=1)


def test_no_cycle_keeps_a_paused_tasklet_in_its_own_tempval():
    t = tasklet(stackless.schedule_remove)()
    stackless.run()
    assert t.paused
    assert t.tempval is not t
    t.kill()
