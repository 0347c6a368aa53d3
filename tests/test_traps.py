"""block_trap and switch_trap: what is refused, and that nothing has changed then."""

from __future__ import annotations

import pytest
import stackless
from stackless import channel, tasklet


@pytest.fixture
def trapped():
    assert stackless.switch_trap(1) == 0
    yield
    assert stackless.switch_trap(-1) == 1


def snapshot(*tasklets, channels=()):
    """All that a refused operation must leave alone."""
    return (
        stackless.getruncount(),
        [(t.alive, t.paused, t.scheduled, t.blocked, t.tempval) for t in tasklets],
        [(t.next, t.prev) for t in tasklets],
        [(c.balance, c.queue) for c in channels],
    )


def test_switch_trap_counts_and_returns_the_old_level():
    assert stackless.switch_trap() == 0
    assert stackless.switch_trap(1) == 0
    assert stackless.switch_trap(2) == 1
    assert stackless.switch_trap(0) == 3
    assert stackless.switch_trap(-3) == 3
    assert stackless.switch_trap() == 0


@pytest.mark.parametrize("operation", ["schedule", "schedule_remove", "run"])
def test_switch_trap_stops_module_functions(trapped, operation):
    main = stackless.getcurrent()
    a, b = tasklet(int)(), tasklet(int)()
    main.tempval = "mine"
    before = snapshot(main, a, b)
    with pytest.raises(RuntimeError, match="switch_trap"):
        getattr(stackless, operation)()
    assert snapshot(main, a, b) == before
    main.tempval = None
    a.remove()
    b.remove()


@pytest.mark.parametrize("state", ["queued", "paused"])
@pytest.mark.parametrize("operation", ["run", "switch"])
def test_switch_trap_stops_run_and_switch(trapped, operation, state):
    main = stackless.getcurrent()
    other = tasklet(int)()
    t = tasklet(int, ()) if state == "paused" else tasklet(int)()
    before = snapshot(main, other, t)
    with pytest.raises(RuntimeError, match="switch_trap"):
        getattr(t, operation)()
    assert snapshot(main, other, t) == before
    other.remove()
    t.remove()


@pytest.mark.parametrize("operation", ["throw", "kill", "raise_exception"])
def test_switch_trap_stops_throwing_at_once(trapped, operation):
    main = stackless.getcurrent()
    t = tasklet(int)()
    t.tempval = "kept"
    before = snapshot(main, t)
    arguments = () if operation == "kill" else (ValueError,)
    with pytest.raises(RuntimeError, match="switch_trap"):
        getattr(t, operation)(*arguments)
    assert snapshot(main, t) == before
    t.remove()


def test_switch_trap_lets_pending_throws_pass(trapped):
    t = tasklet(int)()
    t.throw(TaskletExit, pending=True)
    assert t.alive
    t.remove()


def test_switch_trap_stops_a_kill_of_a_blocked_tasklet_and_leaves_it_in_its_queue():
    c = channel()
    tasklets = [tasklet(c.receive)() for _ in range(3)]
    stackless.run()
    before = snapshot(*tasklets, channels=[c])
    stackless.switch_trap(1)
    with pytest.raises(RuntimeError, match="switch_trap"):
        tasklets[1].kill()
    after = snapshot(*tasklets, channels=[c])
    stackless.switch_trap(-1)
    assert after == before
    for t in tasklets:
        t.kill()


@pytest.mark.parametrize("operation", ["send", "receive"])
def test_switch_trap_stops_an_operation_that_would_block(trapped, operation):
    main = stackless.getcurrent()
    other = tasklet(int)()
    c = channel()
    main.tempval = "mine"
    before = snapshot(main, other, channels=[c])
    with pytest.raises(RuntimeError, match="switch_trap"):
        c.send(1) if operation == "send" else c.receive()
    assert snapshot(main, other, channels=[c]) == before
    main.tempval = None
    other.remove()


def test_a_lone_tasklet_that_would_block_under_switch_trap_has_a_deadlock_instead(trapped):
    c = channel()
    with pytest.raises(RuntimeError, match="Deadlock"):
        c.receive()
    assert (c.balance, c.queue, stackless.getruncount()) == (0, None, 1)


def test_switch_trap_stops_handing_over_to_the_preferred_partner():
    main = stackless.getcurrent()
    c = channel()
    receivers = [tasklet(c.receive)() for _ in range(2)]
    stackless.run()
    bystander = tasklet(int)()
    before = snapshot(main, bystander, *receivers, channels=[c])
    stackless.switch_trap(1)
    with pytest.raises(RuntimeError, match="switch_trap"):
        c.send("value")
    after = snapshot(main, bystander, *receivers, channels=[c])
    stackless.switch_trap(-1)
    assert after == before
    bystander.remove()
    for t in receivers:
        t.kill()


def test_switch_trap_lets_an_operation_pass_that_does_not_switch():
    got = []
    c = channel()
    c.preference = 1
    tasklet(lambda: got.append(c.receive()))()
    stackless.run()
    stackless.switch_trap(1)
    c.send("passes")
    stackless.switch_trap(-1)
    stackless.run()
    assert got == ["passes"]


def test_switch_trap_lets_everything_pass_that_stays_in_the_tasklet(trapped):
    main = stackless.getcurrent()
    assert stackless.schedule("alone") == "alone"
    assert main.switch() is None
    assert main.run() is None
    assert stackless.run() is None
    t = tasklet(int)()
    assert main.switch() is None
    assert t.remove().insert() is t
    t.remove()


def test_the_trap_belongs_to_the_thread_not_to_the_tasklet():
    log = []

    def worker():
        stackless.switch_trap(1)
        try:
            stackless.schedule()
        except RuntimeError as error:
            log.append(str(error))
        finally:
            stackless.switch_trap(-1)

    tasklet(worker)()
    tasklet(log.append)("next")
    stackless.run()
    assert log == ["switch_trap", "next"]


@pytest.mark.parametrize("operation", ["send", "receive"])
def test_block_trap_stops_blocking_before_anything_changes(operation):
    errors = []
    c = channel()
    main = stackless.getcurrent()

    def worker():
        current = stackless.getcurrent()
        current.block_trap = True
        current.tempval = "mine"
        before = snapshot(main, current, channels=[c])
        try:
            c.send(1) if operation == "send" else c.receive()
        except RuntimeError as error:
            errors.append(str(error))
        assert snapshot(main, current, channels=[c]) == before
        current.block_trap = False

    tasklet(worker)()
    stackless.run()
    assert errors == ["this tasklet does not like to be blocked."]


def test_block_trap_of_main():
    main = stackless.getcurrent()
    main.block_trap = True
    with pytest.raises(RuntimeError, match=r"this tasklet does not like to be blocked\."):
        channel().receive()
    main.block_trap = False


def test_block_trap_is_checked_before_a_closed_channel():
    main = stackless.getcurrent()
    c = channel()
    c.close()
    main.block_trap = True
    with pytest.raises(RuntimeError, match="does not like to be blocked"):
        c.send(1)
    main.block_trap = False
    with pytest.raises(ValueError, match="closed channel"):
        c.send(1)


def test_block_trap_allows_what_does_not_block():
    main = stackless.getcurrent()
    c = channel()
    tasklet(c.send)("waiting")
    stackless.run()
    main.block_trap = True
    assert c.receive() == "waiting"
    stackless.schedule()
    main.block_trap = False


def test_block_trap_allows_schedule_remove():
    t = tasklet(stackless.schedule_remove)()
    t.block_trap = True
    stackless.run()
    assert t.paused
    t.kill()
