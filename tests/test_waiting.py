"""Waiting for time: sleep, timeout, pump, and run() that waits for them."""

from __future__ import annotations

import gc

import pytest
import stackless
from stackless import channel, tasklet


def test_sleepers_wake_in_the_order_of_their_deadlines():
    log = []

    def sleeper(seconds):
        stackless.sleep(seconds)
        log.append(seconds)

    for seconds in (0.03, 0.01, 0.02):
        tasklet(sleeper)(seconds)
    stackless.run()
    assert log == [0.01, 0.02, 0.03]


def test_equal_deadlines_and_zero_let_the_others_run_first():
    log = []

    def sleeper(name):
        log.append(name)
        stackless.sleep(0)
        log.append(name + "'")

    for name in "abc":
        tasklet(sleeper)(name)
    stackless.run()
    assert log == ["a", "b", "c", "a'", "b'", "c'"]


def test_main_may_sleep_without_run_and_the_others_run_meanwhile():
    log = []
    tasklet(log.append)("ran")
    stackless.sleep(0.001)
    assert log == ["ran"]


def test_a_sleeper_is_blocked_on_no_channel():
    t = tasklet(stackless.sleep)(60)
    stackless.pump()
    assert (t.blocked, t.scheduled, t.paused, t._channel) == (True, True, False, None)
    for operation in (t.insert, t.run, t.switch, t.remove):
        with pytest.raises(RuntimeError, match="blocked"):
            operation()
    t.kill()
    assert not t.alive


@pytest.mark.parametrize("bad", [-1, float("nan")])
def test_a_negative_sleep_is_a_value_error(bad):
    with pytest.raises(ValueError, match="non-negative"):
        stackless.sleep(bad)


@pytest.mark.parametrize("bad", [None, "1"])
def test_a_sleep_takes_a_number(bad):
    with pytest.raises(TypeError):
        stackless.sleep(bad)


def test_block_trap_applies_to_sleeping():
    current = stackless.getcurrent()
    current.block_trap = True
    try:
        with pytest.raises(RuntimeError, match="does not like to be blocked"):
            stackless.sleep(0)
    finally:
        current.block_trap = False


def test_switch_trap_applies_to_sleeping_and_changes_nothing():
    t = tasklet(int)()
    stackless.switch_trap(1)
    try:
        with pytest.raises(RuntimeError, match="switch_trap"):
            stackless.sleep(0)
    finally:
        stackless.switch_trap(-1)
    assert stackless.runcount == 2
    t.remove()


# ---- timeout -------------------------------------------------------------------------------------


def test_a_timeout_ends_a_wait_on_a_channel_and_the_channel_is_free_again():
    c = channel()
    with pytest.raises(TimeoutError, match=r"0\.001"), stackless.timeout(0.001):
        c.receive()
    assert c.balance == 0


def test_a_timeout_that_is_not_reached_does_nothing():
    c = channel()
    tasklet(c.send)("in time")
    with stackless.timeout(60):
        assert c.receive() == "in time"
    stackless.run()
    assert stackless.statistics()["timers"] == 0


def test_except_exception_inside_the_block_can_not_eat_a_timeout():
    reached = []
    with pytest.raises(TimeoutError), stackless.timeout(0.001):
        try:
            channel().receive()
        except Exception:
            reached.append("eaten")
        finally:
            reached.append("finally")
    assert reached == ["finally"]


def test_the_inner_of_two_timeouts_ends_only_the_inner_block():
    log = []
    with stackless.timeout(60):
        try:
            with stackless.timeout(0.001):
                channel().receive()
        except TimeoutError:
            log.append("inner")
        log.append("outer goes on")
    assert log == ["inner", "outer goes on"]


def test_the_outer_timeout_passes_through_the_inner_block():
    log = []
    try:
        with stackless.timeout(0.001):
            try:
                with stackless.timeout(60):
                    channel().receive()
            except TimeoutError:
                log.append("inner")
    except TimeoutError:
        log.append("outer")
    assert log == ["outer"]


def test_a_timeout_runs_out_at_the_next_wait_of_a_busy_tasklet():
    with pytest.raises(TimeoutError), stackless.timeout(0):
        total = sum(range(1000))
        assert total == 499500
        stackless.sleep(60)


def test_run_in_a_timeout_returns_when_the_others_are_done():
    done = []
    stackless.tasklet(done.append)(1)
    with stackless.timeout(3600):
        stackless.run()
    assert done == [1]


def test_run_in_a_timeout_waits_for_those_who_wait_and_no_longer():
    ended = []

    def sleeper():
        try:
            stackless.sleep(3600)
        finally:
            ended.append("sleeper")

    t = stackless.tasklet(sleeper)()
    with pytest.raises(TimeoutError), stackless.timeout(0.001):
        stackless.run()
    assert t.blocked
    assert stackless.getmain() is stackless.getcurrent()
    t.kill()
    assert ended == ["sleeper"]


def test_the_timeout_of_an_outer_run_ends_it_when_the_inner_one_returns():
    log = []

    def inner():
        stackless.tasklet(stackless.sleep)(0.02)
        stackless.run()
        log.append("inner run returned")

    stackless.tasklet(inner)()
    with pytest.raises(TimeoutError), stackless.timeout(0.001):
        stackless.run()
    log.append("outer run timed out")
    stackless.run()
    assert log == ["outer run timed out", "inner run returned"]


def test_the_timeout_of_a_paused_tasklet_keeps_nobody_waiting():
    def paused():
        with stackless.timeout(0.001):
            stackless.schedule_remove()
        return

    t = stackless.tasklet(paused)()
    stackless.run()
    assert t.paused
    t.insert()
    stackless.run()
    assert not t.alive


def test_a_timeout_can_not_be_entered_twice_at_once():
    limit = stackless.timeout(60)
    with limit, pytest.raises(RuntimeError, match="in use"), limit:
        pass
    with limit:
        pass


def test_timeout_none_is_no_limit_and_a_bad_one_is_an_error():
    with stackless.timeout(None):
        stackless.sleep(0)
    with pytest.raises(ValueError, match="non-negative"):
        stackless.timeout(-1)
    with pytest.raises(TypeError):
        stackless.timeout("soon")


def test_a_timeout_in_a_tasklet_leaves_no_garbage():
    def work():
        with pytest.raises(TimeoutError), stackless.timeout(0.001):
            channel().receive()

    tasklet(work)()
    stackless.run()
    gc.collect()
    assert gc.garbage == []


# ---- pump ----------------------------------------------------------------------------------------


def test_pump_runs_what_is_ready_and_does_not_wait():
    log = []
    tasklet(log.append)("ready")
    sleeper = tasklet(stackless.sleep)(60)
    stackless.pump()
    assert log == ["ready"]
    assert sleeper.blocked
    sleeper.kill()


def test_pump_waits_for_a_timer_as_long_as_it_may():
    log = []

    def work():
        stackless.sleep(0.001)
        log.append("woke")

    tasklet(work)()
    stackless.pump(max_wait=60)
    assert log == ["woke"]


def test_pump_without_anything_to_do_returns_at_once():
    stackless.pump(max_wait=None)
    with pytest.raises(ValueError, match="max_wait"):
        stackless.pump(max_wait=-1)


def test_run_waits_for_those_who_sleep_and_pump_does_not():
    log = []

    def work():
        stackless.sleep(0.005)
        log.append("done")

    tasklet(work)()
    stackless.pump()
    assert log == []
    stackless.run()
    assert log == ["done"]


def test_a_busy_tasklet_does_not_starve_a_sleeper():
    log = []

    def busy():
        while not log:
            stackless.schedule()

    def sleeper():
        stackless.sleep(0.001)
        log.append("woke")

    tasklet(busy)()
    tasklet(sleeper)()
    stackless.run()
    assert log == ["woke"]
