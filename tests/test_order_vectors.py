"""The worked order vectors of the contract: who runs when, to the letter."""

from __future__ import annotations

import pytest
import stackless
from stackless import channel, tasklet


def note_and_yield(log, name, times):
    for i in range(times):
        log.append(f"{name}{i}")
        stackless.schedule()


def victim(log):
    try:
        stackless.schedule_remove()
    except TaskletExit:
        log.append("vx")
        raise


def paused_victim(log):
    t = tasklet(victim)(log)
    t.run()
    assert t.paused
    return t


def divide(log):
    log.append("bad")
    return 1 / 0


def run_and_read(log):
    stackless.run()
    return " ".join(log)


def test_v1_schedule_is_round_robin():
    log = []
    for name in "abc":
        tasklet(note_and_yield)(log, name, 3)
    assert run_and_read(log) == "a0 b0 c0 a1 b1 c1 a2 b2 c2"


@pytest.mark.parametrize(
    ("first", "preference", "schedule_all", "expected"),
    [
        ("receiver", -1, 0, "r> x s> <r y x' <s y'"),
        ("receiver", 0, 0, "r> x s> <s y x' <r y'"),
        ("receiver", 1, 0, "r> x s> <s y x' <r y'"),
        ("receiver", -1, 1, "r> x s> y x' <r <s y'"),
        ("sender", -1, 0, "s> x r> <r y x' <s y'"),
        ("sender", 0, 0, "s> x r> <r y x' <s y'"),
        ("sender", 1, 0, "s> x r> <s y x' <r y'"),
        ("sender", -1, 1, "s> x r> y x' <s <r y'"),
    ],
)
def test_v2_a_message_to_somebody_who_waits_among_bystanders(
    first, preference, schedule_all, expected
):
    log = []
    c = channel()
    c.preference = preference
    c.schedule_all = schedule_all

    def receiver():
        log.append("r>")
        c.receive()
        log.append("<r")

    def sender():
        log.append("s>")
        c.send(1)
        log.append("<s")

    def bystander(name):
        log.append(name)
        stackless.schedule()
        log.append(name + "'")

    early, late = (receiver, sender) if first == "receiver" else (sender, receiver)
    tasklet(early)()
    tasklet(bystander)("x")
    tasklet(late)()
    tasklet(bystander)("y")
    assert run_and_read(log) == expected


def test_v6_run_of_a_queued_tasklet_leaves_those_before_it_for_later():
    log = []
    tasklets = [tasklet(note_and_yield)(log, name, 1) for name in "abcd"]
    tasklets[2].run()
    log.append("|main|")
    assert run_and_read(log) == "c0 d0 |main| a0 b0"


def test_v7_run_of_a_paused_tasklet_puts_it_at_the_tail():
    log = []
    for name in "ab":
        tasklet(note_and_yield)(log, name, 2)
    tasklet().bind(note_and_yield, (log, "p", 2)).run()
    log.append("|main|")
    assert run_and_read(log) == "p0 |main| a0 b0 p1 a1 b1"


def test_v8_run_inside_a_tasklet_is_plain_ring_rotation():
    log = []

    def outer():
        dog = tasklet(log.append)("Dog")
        tasklet(log.append)("Cat")
        tasklet(log.append)("Monkey")
        dog.run()
        log.append("End")

    tasklet(log.append)("Rabbit")
    tasklet(outer)()
    tasklet(log.append)("Donkey")
    assert run_and_read(log) == "Rabbit Dog Cat Monkey End Donkey"


def test_v9_a_killed_paused_tasklet_runs_now_and_the_killer_next():
    log = []
    v = paused_victim(log)
    tasklet(log.append)("a")
    tasklet(log.append)("b")
    v.kill()
    log.append("|main|")
    assert run_and_read(log) == "vx |main| a b"


def test_v9b_a_killed_queued_tasklet_runs_now_then_its_successors_then_the_killer():
    log = []
    v = paused_victim(log)
    tasklet(log.append)("a")
    v.insert()
    tasklet(log.append)("b")
    v.kill()
    log.append("|main|")
    assert run_and_read(log) == "vx b |main| a"


def test_v10_an_uncaught_exception_goes_straight_to_the_caller_of_run():
    log = []
    tasklet(log.append)("a")
    tasklet(divide)(log)
    tasklet(log.append)("b")
    with pytest.raises(ZeroDivisionError):
        stackless.run()
    log += ["ZDE", f"rc={stackless.getruncount()}"]
    assert run_and_read(log) == "a bad ZDE rc=2 b"


def test_v11_switch_pauses_the_caller_until_somebody_inserts_it():
    log = []
    main = stackless.getcurrent()

    def wake_main():
        log.append("sw")
        main.insert()

    t = tasklet(wake_main)()
    tasklet(log.append)("a")
    t.switch()
    log.append("|main|")
    assert run_and_read(log) == "sw a |main|"


def test_v12_a_main_tasklet_inside_schedule_gets_the_exception_there():
    log = []
    tasklet(divide)(log)
    tasklet(log.append)("b")
    with pytest.raises(ZeroDivisionError):
        stackless.schedule()
    log.append("ZDE-in-schedule")
    assert run_and_read(log) == "bad ZDE-in-schedule b"


def test_v13_a_pending_kill_goes_to_the_tail():
    log = []
    v = paused_victim(log)
    tasklet(log.append)("a")
    v.kill(pending=True)
    tasklet(log.append)("b")
    log.append("|main|")
    assert run_and_read(log) == "|main| a vx b"


@pytest.mark.parametrize(
    ("preference", "expected"),
    [(1, ". . . |main| a b c"), (-1, "a . b . c . |main|")],
)
def test_v14_pumping_three_waiting_receivers(preference, expected):
    log = []
    c = channel()
    c.preference = preference

    def receiver(name):
        c.receive()
        log.append(name)

    for name in "abc":
        tasklet(receiver)(name)
    stackless.run()
    while c.balance < 0:
        c.send(None)
        log.append(".")
    log.append("|main|")
    assert run_and_read(log) == expected


@pytest.mark.parametrize("first", ["sender", "receiver"])
def test_v15_a_chain_of_messages_is_the_same_whoever_starts(first):
    log = []
    c = channel()

    def sender():
        for i in range(3):
            log.append(f"s{i}")
            c.send(i)
        log.append("sE")

    def receiver():
        for _ in range(3):
            log.append(f"r{c.receive()}")
        log.append("rE")

    for function in (sender, receiver) if first == "sender" else (receiver, sender):
        tasklet(function)()
    assert run_and_read(log) == "s0 r0 s1 r1 s2 r2 rE sE"
