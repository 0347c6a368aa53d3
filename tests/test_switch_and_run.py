"""tasklet.run() and tasklet.switch(): who runs next, and what becomes of the caller."""

from __future__ import annotations

import pytest
import stackless
from stackless import channel, tasklet


def test_run_of_a_paused_tasklet_keeps_the_caller_in_the_ring():
    log = []
    main = stackless.getcurrent()
    t = tasklet(lambda: log.append((main.scheduled, main.paused)), ())
    t.run()
    assert log == [(True, False)]


def test_run_comes_back_before_tasklets_that_were_queued_earlier():
    log = []
    tasklet(log.append)("a")
    tasklet(log.append, ("t",)).run()
    log.append("main")
    stackless.run()
    assert log == ["t", "main", "a"]


def test_run_of_the_current_tasklet_does_nothing():
    log = []
    tasklet(log.append)("a")
    assert stackless.getcurrent().run() is None
    log.append("main")
    stackless.run()
    assert log == ["main", "a"]


def test_run_from_tasklet_to_tasklet_rotates_the_ring():
    log = []

    def first():
        log.append("first")
        second.run()
        log.append("first again")

    def runner(name):
        log.append(name)

    tasklet(first)()
    tasklet(runner)("skipped")
    second = tasklet(runner)("second")
    tasklet(runner)("last")
    stackless.run()
    assert log == ["first", "second", "last", "first again", "skipped"]


def test_run_of_the_main_tasklet_out_of_a_nested_one():
    log = []
    main = stackless.getmain()

    def back_to_main():
        log.append("t")
        main.run()
        log.append("t again")

    t = tasklet(back_to_main)()
    t.run()
    log.append("main")
    stackless.run()
    assert log == ["t", "main", "t again"]


def test_switch_takes_the_caller_out_of_the_ring():
    log = []
    main = stackless.getcurrent()

    def look():
        log.append((main.paused, main.scheduled, stackless.getruncount()))
        main.insert()

    tasklet(look)().switch()
    assert log == [(True, False, 1)]
    assert not main.paused


def test_switch_to_a_paused_tasklet_queues_it_first():
    log = []
    main = stackless.getcurrent()

    def target():
        log.append("target")
        main.insert()

    tasklet(log.append)("a")
    tasklet(target, ()).switch()
    log.append("main")
    stackless.run()
    assert log == ["target", "a", "main"]


def test_two_tasklets_switch_to_and_fro():
    log = []

    def player(name):
        for i in range(3):
            log.append(f"{name}{i}")
            partner[name].switch()

    partner = {}
    ping, pong = tasklet(player, ("ping",)), tasklet(player, ("pong",))
    partner.update(ping=pong, pong=ping)
    ping.run()
    assert log == ["ping0", "pong0", "ping1", "pong1", "ping2", "pong2"]
    assert (ping.alive, pong.paused) == (False, True)
    pong.kill()


def test_switch_to_oneself_keeps_everything():
    log = []
    tasklet(log.append)("a")
    main = stackless.getcurrent()
    assert main.switch() is None
    assert stackless.getcurrent() is main
    assert stackless.getruncount() == 2
    stackless.run()
    assert log == ["a"]


def test_a_failed_switch_restores_caller_and_target():
    main = stackless.getcurrent()
    c = channel()
    blocked = tasklet(c.receive)()
    stackless.run()
    for target in (blocked, tasklet(), tasklet(int)):
        with pytest.raises(RuntimeError):
            target.switch()
        assert (main.scheduled, main.next is not None, stackless.getruncount()) == (True, True, 1)
    blocked.kill()


def test_the_last_tasklet_to_end_wakes_a_main_that_switched_away():
    log = []

    def worker():
        log.append("worker")

    tasklet(worker)().switch()
    log.append("main")
    assert log == ["worker", "main"]
    assert stackless.getruncount() == 1


def test_an_exception_finds_a_main_that_switched_away():
    def fail():
        raise ValueError("found")

    t = tasklet(fail)()
    with pytest.raises(ValueError, match="found"):
        t.switch()
    assert not stackless.getcurrent().paused
    assert stackless.getruncount() == 1


def test_switch_inside_nested_tasklets_reaches_any_tasklet():
    log = []

    def relay(index):
        log.append(index)
        if index:
            ring[index - 1].switch()

    ring = [tasklet(relay, (i,)) for i in range(5)]
    ring[4].run()
    assert log == [4, 3, 2, 1, 0]
    assert [t.paused for t in ring] == [False, True, True, True, True]
    for t in ring:
        t.kill()
