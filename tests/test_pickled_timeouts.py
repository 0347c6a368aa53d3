"""`with stackless.timeout(...)` in a tasklet that is pickled: the rest of the time goes along."""

from __future__ import annotations

import copy
import pickle
import time

import pytest
import stackless
from stackless import channel, schedule_remove, tasklet


class Noted(tasklet):
    """A tasklet that keeps a log, which is pickled with it."""


def log(*values):
    stackless.getcurrent().log.extend(values)


def start(function, *args):
    """Return a tasklet that has run to where it waits."""
    started = Noted(function)(*args)
    started.log = []
    started.run()
    return started


def pickled(value):
    return pickle.loads(pickle.dumps(value))


COPIES = pytest.mark.parametrize("copied", [pickled, copy.deepcopy])


def waits(gate, *limits):
    """Wait in a block for each limit, the outermost first."""
    if not limits:
        log(gate.receive())
        return
    try:
        with stackless.timeout(limits[0]):
            waits(gate, *limits[1:])
    except TimeoutError as error:
        log(str(error))
    log(f"after {limits[0]}")


def timers():
    return stackless.statistics()["timers"]


@COPIES
def test_a_copy_that_is_in_time_leaves_its_block(copied):
    gate = channel()
    original = start(waits, gate, 3600)
    restored, other = copied((original, gate))
    assert timers() == 2
    other.send("in time")
    assert (restored.log, original.log, timers()) == (["in time", "after 3600"], [], 1)
    gate.send("the original, too")
    assert (original.log, timers()) == (["the original, too", "after 3600"], 0)


@COPIES
def test_a_copy_is_ended_when_the_rest_of_its_time_has_passed(copied):
    gate = channel()
    original = start(waits, gate, 0.01)
    restored, other = copied((original, gate))
    stackless.run()
    wanted = ["timed out after 0.01 seconds", "after 0.01"]
    assert (restored.log, original.log) == (wanted, wanted)
    assert (gate.balance, other.balance, timers()) == (0, 0, 0)


@COPIES
@pytest.mark.parametrize("limits", [(3600, 0.01), (3600, None, 0.01), (None, 0.01)])
def test_the_inner_of_two_ends_only_its_own_block(copied, limits):
    original = start(waits, channel(), *limits)
    restored = copied([original])[0]
    stackless.run()
    ended = [f"after {each}" for each in reversed(limits)]
    assert restored.log == original.log == ["timed out after 0.01 seconds", *ended]


@COPIES
def test_the_outer_of_two_passes_through_the_inner_block(copied):
    original = start(waits, channel(), 0.01, 3600)
    restored = copied([original])[0]
    stackless.run()
    assert restored.log == original.log == ["timed out after 0.01 seconds", "after 0.01"]


def waits_after_stop():
    try:
        with stackless.timeout(0):
            schedule_remove()
            log("runs")
            channel().receive()
    except TimeoutError as error:
        log(str(error))


@COPIES
def test_one_that_has_run_out_ends_the_next_wait(copied):
    original = start(waits_after_stop)
    restored = copied(original)
    for each in (restored, original):
        each.run()
        assert each.log == ["runs"]
        stackless.run()
        assert each.log == ["runs", "timed out after 0 seconds"]


def hold_when_woken(original):
    """Pause the tasklet when its wait has ended, before it runs."""
    while original.blocked:
        stackless.schedule()
    if original.scheduled:
        original.remove()


@COPIES
def test_what_it_has_thrown_is_known_to_the_copy(copied):
    original = start(waits, channel(), 3600, 0)
    # Whichever of the two finds it woken is followed by the other one.
    tasklet(hold_when_woken)(original)
    hold_when_woken(original)
    stackless.run()
    assert (original.paused, original.tempval.type.__name__) == (True, "_Interruption")
    restored = copied(original)
    for each in (restored, original):
        each.run()
        assert each.log == ["timed out after 0 seconds", "after 0", "after 3600"]


def cleans_up(limit):
    try:
        with stackless.timeout(limit):
            try:
                channel().receive()
            finally:
                schedule_remove()
                log("cleaned up")
    except TimeoutError as error:
        log(str(error), error.__context__)


@COPIES
def test_what_it_has_thrown_is_known_in_the_middle_of_a_finally(copied):
    original = start(cleans_up, 0.001)
    stackless.run()
    assert original.paused
    restored = copied(original)
    for each in (restored, original):
        each.run()
        assert each.log[:2] == ["cleaned up", "timed out after 0.001 seconds"]


def state_of(timeout):
    return timeout.__reduce__()[2]


def test_the_time_goes_on_until_it_is_pickled_and_from_when_it_is_unpickled():
    with stackless.timeout(3600) as limit:
        first = state_of(limit)[0]
        time.sleep(0.002)
        second = state_of(limit)[0]
    assert 0 < second < first <= 3600
    restored = stackless.timeout(3600)
    restored.__setstate__((20.0, stackless.getcurrent(), None))
    assert 0 < state_of(restored)[0] <= 20
    restored.__exit__(None, None, None)
    assert timers() == 0


@pytest.mark.parametrize("copied", [pickled, copy.copy, copy.deepcopy])
def test_outside_of_its_block_it_has_no_state(copied):
    limit = stackless.timeout(0)
    with pytest.raises(TimeoutError), limit:
        stackless.sleep(60)
    for each in (limit, copied(limit)):
        assert each.__reduce__() == (stackless.timeout, (0,))
        with pytest.raises(TimeoutError, match="after 0 seconds"), each:
            stackless.sleep(60)


def test_a_copy_that_nobody_runs_goes_with_its_timer():
    original = start(waits, channel(), 3600)
    restored = pickled(original)
    assert timers() == 2
    restored.kill()
    assert timers() == 1
    original.kill()
    assert (timers(), original.log, restored.log) == (0, [], [])


def test_one_around_the_main_tasklet_cannot_be_pickled():
    with stackless.timeout(3600) as limit, pytest.raises(RuntimeError, match="current"):
        pickle.dumps(limit)


def test_an_impossible_state_is_refused():
    mine = stackless.getcurrent()
    limit = stackless.timeout(1)
    for state in (5, (1, mine), (1, "mine", None), (1, mine, KeyError()), ("1", mine, None)):
        with pytest.raises(TypeError):
            limit.__setstate__(state)
    for left in (-1, float("nan")):
        with pytest.raises(ValueError, match="what is left of a timeout must be a non-negative"):
            limit.__setstate__((left, mine, None))
    with limit, pytest.raises(RuntimeError, match="in use already"):
        limit.__setstate__((1, mine, None))
    assert timers() == 0
