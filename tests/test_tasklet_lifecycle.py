"""A tasklet's way from unbound to dead, and what its state flags say on every step."""

from __future__ import annotations

import pytest
import stackless
from stackless import channel, tasklet


def flags(t):
    """The names of the state flags that are set."""
    names = ("alive", "paused", "blocked", "scheduled", "is_current", "is_main")
    return [name for name in names if getattr(t, name)]


def nothing():
    pass


def test_a_new_tasklet_is_nothing_yet():
    t = tasklet()
    assert flags(t) == []
    assert t.tempval is None
    assert t.next is None
    assert t.prev is None
    assert t.frame is None


def test_a_tasklet_with_a_function_only_is_bound_but_not_alive():
    t = tasklet(nothing)
    assert flags(t) == []
    assert t.tempval is nothing
    assert stackless.getruncount() == 1


def test_a_tasklet_with_arguments_is_alive_and_paused_but_not_queued():
    t = tasklet(nothing, ())
    assert flags(t) == ["alive", "paused"]
    assert t.tempval is None
    assert t.frame is None
    assert stackless.getruncount() == 1


def test_calling_a_tasklet_queues_it_and_returns_it():
    t = tasklet(nothing)
    assert t() is t
    assert flags(t) == ["alive", "scheduled"]
    assert t.tempval is None
    assert stackless.getruncount() == 2
    stackless.run()


def test_setup_is_the_same_as_calling():
    seen = []
    t = tasklet(lambda *args, **kwargs: seen.append((args, kwargs)))
    assert t.setup(1, 2, key="value") is t
    assert flags(t) == ["alive", "scheduled"]
    stackless.run()
    assert seen == [((1, 2), {"key": "value"})]


def test_the_constructor_takes_function_arguments_and_keywords():
    seen = []
    t = tasklet(lambda *args, **kwargs: seen.append((args, kwargs)), (1,), {"k": 2})
    t.insert()
    stackless.run()
    assert seen == [((1,), {"k": 2})]


def test_a_running_tasklet_is_current_and_scheduled():
    seen = []
    t = tasklet(lambda: seen.append((flags(stackless.getcurrent()), stackless.getcurrent() is t)))()
    stackless.run()
    assert seen == [(["alive", "scheduled", "is_current"], True)]


def test_the_main_tasklet_is_alive_current_and_main():
    main = stackless.getmain()
    assert stackless.getcurrent() is main
    assert flags(main) == ["alive", "scheduled", "is_current", "is_main"]


def test_a_blocked_tasklet_is_in_a_channel_and_counts_as_scheduled():
    c = channel()
    t = tasklet(c.receive)()
    stackless.run()
    assert flags(t) == ["alive", "blocked", "scheduled"]
    assert t._channel is c
    assert c.queue is t
    c.send(None)
    assert t._channel is None
    stackless.run()


def test_a_removed_tasklet_is_paused_and_insert_brings_it_back():
    log = []
    t = tasklet(log.append)("t")
    assert t.remove() is t
    assert flags(t) == ["alive", "paused"]
    assert (t.next, t.prev) == (None, None)
    stackless.run()
    assert log == []
    assert t.insert() is t
    stackless.run()
    assert log == ["t"]


def test_remove_of_a_tasklet_that_is_nowhere_does_nothing():
    assert flags(tasklet().remove()) == []
    assert flags(tasklet(nothing, ()).remove()) == ["alive", "paused"]


def test_insert_of_a_queued_tasklet_leaves_its_place():
    log = []
    a = tasklet(log.append)("a")
    tasklet(log.append)("b")
    assert a.insert() is a
    stackless.run()
    assert log == ["a", "b"]


def test_insert_of_the_current_tasklet_does_nothing():
    current = stackless.getcurrent()
    assert current.insert() is current
    assert stackless.getruncount() == 1


def test_a_finished_tasklet_is_dead_and_holds_nothing():
    t = tasklet(lambda: "result")()
    stackless.run()
    assert flags(t) == []
    assert t.tempval is None
    assert t.frame is None
    assert (t.next, t.prev) == (None, None)


@pytest.mark.parametrize("make", [tasklet, lambda: tasklet(nothing)], ids=["unbound", "bound"])
@pytest.mark.parametrize("operation", ["insert", "run", "switch"])
def test_a_tasklet_without_arguments_can_not_be_run(make, operation):
    with pytest.raises(RuntimeError, match=r"You cannot run an unbound\(dead\) tasklet"):
        getattr(make(), operation)()


@pytest.mark.parametrize("operation", ["insert", "run", "switch"])
def test_a_dead_tasklet_can_not_be_run(operation):
    t = tasklet(nothing)()
    stackless.run()
    with pytest.raises(RuntimeError, match="dead"):
        getattr(t, operation)()


@pytest.mark.parametrize("operation", ["insert", "run", "switch"])
def test_a_blocked_tasklet_can_not_be_run(operation):
    c = channel()
    t = tasklet(c.receive)()
    stackless.run()
    with pytest.raises(RuntimeError, match="blocked"):
        getattr(t, operation)()
    assert flags(t) == ["alive", "blocked", "scheduled"]
    assert c.balance == -1
    t.kill()


def test_a_blocked_tasklet_can_not_be_removed():
    c = channel()
    t = tasklet(c.receive)()
    stackless.run()
    with pytest.raises(RuntimeError, match=r"You cannot remove a blocked tasklet\."):
        t.remove()
    assert c.queue is t
    t.kill()


def test_the_current_tasklet_can_not_be_removed():
    with pytest.raises(RuntimeError, match=r"The current tasklet cannot be removed\."):
        stackless.getcurrent().remove()
    assert stackless.getruncount() == 1


def test_setup_of_an_unbound_tasklet_is_refused():
    with pytest.raises(RuntimeError, match="the tasklet was not bound to a function"):
        tasklet()()
    with pytest.raises(RuntimeError, match="the tasklet was not bound to a function"):
        tasklet().setup(1)


@pytest.mark.parametrize(
    "make", [lambda: tasklet(nothing, ()), stackless.getcurrent], ids=["paused", "current"]
)
def test_setup_of_a_living_tasklet_is_refused(make):
    with pytest.raises(RuntimeError, match="tasklet is alive"):
        make().setup()


def test_a_dead_tasklet_can_be_bound_and_run_again():
    log = []
    t = tasklet(log.append)("first")
    stackless.run()
    t.bind(log.append)
    t("second")
    stackless.run()
    t.bind(log.append, ("third",)).insert()
    stackless.run()
    assert log == ["first", "second", "third"]


def test_the_ring_keeps_a_queued_tasklet_alive():
    log = []
    tasklet(log.append)("ran")
    stackless.run()
    assert log == ["ran"]


def test_a_channel_keeps_a_blocked_tasklet_alive():
    log = []
    c = channel()
    tasklet(lambda: log.append(c.receive()))()
    stackless.run()
    c.send("received")
    assert log == ["received"]


def test_what_a_tasklet_function_returns_is_dropped():
    t = tasklet(lambda: object())()
    assert t.run() is None
    assert t.tempval is None


def test_a_function_that_is_the_same_object_runs_in_many_tasklets():
    log = []

    def step(name):
        log.append(name)
        stackless.schedule()
        log.append(name)

    for name in range(100):
        tasklet(step)(name)
    stackless.run()
    assert log == [*range(100), *range(100)]


def test_the_arguments_are_released_at_the_end():
    class Argument:
        gone = False

        def __del__(self):
            Argument.gone = True

    t = tasklet(lambda argument: None)(Argument())
    stackless.run()
    assert Argument.gone
    assert not t.alive
