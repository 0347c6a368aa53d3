"""bind(): function, arguments and keywords in every combination, and every refusal."""

from __future__ import annotations

import pytest
import stackless
from stackless import channel, tasklet


def nothing():
    pass


def recorder(seen):
    return lambda *args, **kwargs: seen.append((args, kwargs))


def test_bind_returns_the_tasklet():
    t = tasklet()
    assert t.bind(nothing) is t
    assert t.bind(nothing, ()) is t
    assert t.bind() is t


def test_bind_with_a_function_only_stores_it_in_tempval():
    t = tasklet().bind(nothing)
    assert t.tempval is nothing
    assert not t.alive


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        ((1, 2), None, ((1, 2), {})),
        (None, {"k": 3}, ((), {"k": 3})),
        ((1,), {"k": 3}, ((1,), {"k": 3})),
        ((), None, ((), {})),
        (None, {}, ((), {})),
    ],
)
def test_bind_with_arguments_makes_it_alive_and_paused(args, kwargs, expected):
    seen = []
    t = tasklet().bind(recorder(seen), args, kwargs)
    assert (t.alive, t.paused, t.scheduled, t.tempval) == (True, True, False, None)
    t.run()
    assert seen == [expected]


def test_bind_takes_keywords():
    seen = []
    tasklet().bind(func=recorder(seen), args=(1,), kwargs={"k": 2}).run()
    assert seen == [((1,), {"k": 2})]


def test_bind_with_arguments_only_keeps_the_earlier_function():
    seen = []
    t = tasklet(recorder(seen))
    t.bind(None, (1,))
    assert (t.alive, t.paused) == (True, True)
    t.run()
    assert seen == [((1,), {})]


def test_a_later_function_replaces_the_earlier_one():
    seen = []
    t = tasklet(nothing)
    t.bind(recorder(seen))
    t("x")
    stackless.run()
    assert seen == [(("x",), {})]


def test_a_paused_tasklet_that_never_ran_can_be_bound_anew():
    first, second = [], []
    t = tasklet(recorder(first), (1,))
    t.bind(recorder(second), (2,))
    t.run()
    assert (first, second) == ([], [((2,), {})])


def test_bind_to_nothing_unbinds():
    t = tasklet(nothing)
    t.bind()
    assert t.tempval is None
    with pytest.raises(RuntimeError, match="the tasklet was not bound to a function"):
        t()


def test_bind_none_drops_the_arguments_of_a_tasklet_that_never_ran():
    ran = []
    t = tasklet(ran.append, (1,))
    t.bind(None)
    assert (t.alive, t.paused, t.scheduled) == (False, False, False)
    stackless.run()
    assert ran == []


@pytest.mark.parametrize("function", [1, "f", object()])
def test_the_function_must_be_callable(function):
    with pytest.raises(TypeError, match="tasklet function must be a callable or None"):
        tasklet(function)
    with pytest.raises(TypeError, match="tasklet function must be a callable or None"):
        tasklet().bind(function)


@pytest.mark.parametrize("args", [[1], 1, "ab", {"a": 1}])
def test_the_arguments_must_be_a_tuple(args):
    t = tasklet(nothing)
    with pytest.raises(TypeError):
        t.bind(nothing, args)
    assert not t.alive
    assert t.tempval is nothing


@pytest.mark.parametrize("kwargs", [[("k", 1)], 1, ()])
def test_the_keywords_must_be_a_dict(kwargs):
    t = tasklet(nothing)
    with pytest.raises(TypeError):
        t.bind(nothing, (), kwargs)
    assert not t.alive


def test_the_current_tasklet_can_not_be_bound():
    errors = []

    def bind_myself():
        for arguments in ((), (nothing,), (nothing, ())):
            try:
                stackless.getcurrent().bind(*arguments)
            except RuntimeError as error:
                errors.append(str(error))

    tasklet(bind_myself)()
    stackless.run()
    assert len(errors) == 3
    assert all("can't (re)bind the current tasklet" in error for error in errors)


def test_the_main_tasklet_can_not_be_bound_while_it_is_current():
    with pytest.raises(RuntimeError, match="current tasklet"):
        stackless.getmain().bind(nothing)


@pytest.mark.parametrize("arguments", [(), (nothing,), (nothing, ())])
def test_a_queued_tasklet_can_not_be_bound(arguments):
    t = tasklet(nothing)()
    with pytest.raises(RuntimeError, match="tasklet is scheduled"):
        t.bind(*arguments)
    stackless.run()
    assert not t.alive


def test_a_blocked_tasklet_can_not_be_bound():
    c = channel()
    t = tasklet(c.receive)()
    stackless.run()
    with pytest.raises(RuntimeError, match="tasklet is scheduled"):
        t.bind(nothing)
    assert t.blocked
    t.kill()


def test_arguments_without_any_function_are_refused():
    t = tasklet()
    with pytest.raises(RuntimeError, match="the tasklet was not bound to a function"):
        t.bind(None, ())
    with pytest.raises(RuntimeError, match="the tasklet was not bound to a function"):
        t.bind(kwargs={})
    assert not t.alive


def test_a_tasklet_that_stands_on_c_frames_can_not_be_bound():
    def pause(_item):
        stackless.schedule_remove()
        return 0

    t = tasklet(sorted)([1], key=pause)
    stackless.run()
    assert (t.paused, t.restorable) == (True, False)
    with pytest.raises(RuntimeError, match="tasklet has C state on its stack"):
        t.bind(nothing)
    assert t.paused
    t.run()
    assert not t.alive


def test_binding_a_started_tasklet_anew_drops_its_frames_in_silence():
    log = []

    def waits():
        try:
            stackless.schedule_remove()
        finally:
            log.append("never")

    t = tasklet(waits)()
    stackless.run()
    assert t.bind(None) is t
    assert (t.alive, t.frame, log) == (False, None, [])
    t.bind(log.append)("again")
    stackless.run()
    assert log == ["again"]


def test_frames_that_somebody_holds_survive_the_drop():
    def waits(value):
        stackless.schedule_remove()
        return value

    t = tasklet(waits)("kept")
    stackless.run()
    frame = t.frame
    t.bind(None)
    assert frame.f_locals == {"value": "kept"}
    assert frame.f_back is None


def test_a_wrong_bind_of_the_constructor_raises_as_well():
    with pytest.raises(RuntimeError, match="the tasklet was not bound to a function"):
        tasklet(None, ())
    with pytest.raises(TypeError):
        tasklet(nothing, [])
