"""The schedule callback and the channel callback: what they are told, and what they may do."""

from __future__ import annotations

import sys

import pytest
import stackless
from stackless import channel, tasklet
from support import run_child


@pytest.fixture
def switches():
    """All switches of the test as (name of previous, name of next)."""
    seen = []
    stackless.set_schedule_callback(lambda previous, following: seen.append((previous, following)))
    yield seen
    stackless.set_schedule_callback(None)


@pytest.fixture
def channel_calls():
    seen = []
    stackless.set_channel_callback(lambda *arguments: seen.append(arguments))
    yield seen
    stackless.set_channel_callback(None)


@pytest.fixture
def unraisable(monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda info: seen.append(info.exc_type))
    return seen


def test_setters_return_the_previous_callback_and_getters_the_present_one():
    for setter, getter in (
        (stackless.set_schedule_callback, stackless.get_schedule_callback),
        (stackless.set_channel_callback, stackless.get_channel_callback),
    ):

        def first(*_arguments):
            pass

        def second(*_arguments):
            pass

        assert getter() is None
        assert setter(first) is None
        assert getter() is first
        assert setter(second) is first
        assert setter(None) is second
        assert getter() is None


@pytest.mark.parametrize("wrong", [1, "callback", object()])
def test_callbacks_must_be_callable(wrong):
    for setter in (stackless.set_schedule_callback, stackless.set_channel_callback):
        with pytest.raises(TypeError, match="must be callable"):
            setter(wrong)
    assert stackless.get_schedule_callback() is None
    assert stackless.get_channel_callback() is None


def test_the_schedule_callback_sees_every_switch(switches):
    main = stackless.getmain()
    a, b = tasklet(stackless.schedule)(), tasklet(int)()
    stackless.run()
    assert switches == [(main, a), (a, b), (b, a), (a, main)]


def test_the_schedule_callback_sees_no_switch_to_oneself(switches):
    stackless.schedule()
    stackless.getcurrent().run()
    stackless.getcurrent().switch()
    stackless.run()
    assert switches == []


def test_the_schedule_callback_sees_switches_of_channels_and_kills(switches):
    main = stackless.getmain()
    c = channel()
    t = tasklet(c.receive)()
    stackless.run()
    c.send(None)
    u = tasklet(stackless.schedule_remove)()
    u.run()
    u.kill()
    assert switches == [(main, t), (t, main)] * 2 + [(main, u), (u, main)] * 2


def test_the_schedule_callback_is_no_longer_called_after_its_removal(switches):
    stackless.set_schedule_callback(None)
    tasklet(int)()
    stackless.run()
    assert switches == []


def test_an_exception_in_the_schedule_callback_is_reported_and_ignored(unraisable):
    log = []

    def fail(_previous, _following):
        raise ZeroDivisionError

    stackless.set_schedule_callback(fail)
    tasklet(log.append)("a")
    tasklet(log.append)("b")
    stackless.run()
    stackless.set_schedule_callback(None)
    assert log == ["a", "b"]
    assert unraisable == [ZeroDivisionError] * 3


def test_the_report_of_a_failed_schedule_callback_says_where_it_comes_from():
    done = run_child("""
        import stackless
        def fail(previous, following):
            raise ValueError("in the callback")
        stackless.set_schedule_callback(fail)
        stackless.tasklet(print)("ran")
        stackless.run()
    """)
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert "Error in scheduling callback" in done.stderr
    assert "ValueError: in the callback" in done.stderr


def test_switching_inside_a_schedule_callback_is_refused(unraisable):
    errors = []
    paused = tasklet(stackless.schedule_remove)()
    paused.run()
    c = channel()
    operations = [
        stackless.schedule,
        stackless.schedule_remove,
        stackless.run,
        paused.run,
        paused.switch,
        paused.kill,
        c.receive,
    ]

    def switch(_previous, _following):
        while operations:
            try:
                operations.pop()()
            except RuntimeError as error:
                errors.append(type(error))

    tasklet(int)()
    stackless.set_schedule_callback(switch)
    stackless.run()
    stackless.set_schedule_callback(None)
    assert errors == [RuntimeError] * 7
    assert (unraisable, c.balance, paused.paused) == ([], 0, True)
    paused.kill()


def test_creating_and_inserting_inside_a_schedule_callback_works():
    log = []

    def create(_previous, _following):
        stackless.set_schedule_callback(None)
        tasklet(log.append)("created")
        tasklet(log.append, ("inserted",)).insert()

    tasklet(log.append)("first")
    stackless.set_schedule_callback(create)
    stackless.run()
    assert sorted(log) == ["created", "first", "inserted"]


def test_the_schedule_callback_does_not_disturb_a_handled_exception():
    log = []

    def disturb(_previous, _following):
        try:
            raise KeyError
        except KeyError:
            pass

    def worker():
        try:
            raise ValueError
        except ValueError:
            stackless.schedule()
            log.append(sys.exc_info()[0])

    stackless.set_schedule_callback(disturb)
    tasklet(worker)()
    tasklet(worker)()
    stackless.run()
    stackless.set_schedule_callback(None)
    assert log == [ValueError, ValueError]


def test_the_channel_callback_is_told_who_does_what(channel_calls):
    c = channel()
    t = tasklet(c.receive)()
    stackless.run()
    main = stackless.getmain()
    c.send(1)
    u = tasklet(c.send)(2)
    stackless.run()
    c.receive()
    stackless.run()
    assert channel_calls == [(c, t, 0, 1), (c, main, 1, 0), (c, u, 1, 1), (c, main, 0, 0)]
    assert all(type(flag) is int for call in channel_calls for flag in call[2:])


def test_the_channel_callback_comes_before_the_transfer():
    values = []
    c = channel()
    c.preference = 0

    def look(_channel, t, _sending, _will_block):
        values.append((t.tempval, c.balance))

    stackless.set_channel_callback(look)
    tasklet(c.receive)()
    stackless.run()
    c.send("value")
    stackless.set_channel_callback(None)
    stackless.run()
    assert values == [(None, 0), ("value", -1)]


def test_the_channel_callback_is_called_though_the_operation_will_be_refused(channel_calls):
    main = stackless.getmain()
    c = channel()
    c.close()
    with pytest.raises(ValueError, match="closed"):
        c.receive()
    main.block_trap = True
    with pytest.raises(RuntimeError, match="blocked"):
        c.send(1)
    main.block_trap = False
    assert channel_calls == [(c, main, 0, 1), (c, main, 1, 1)]


@pytest.mark.parametrize("operation", ["send", "receive"])
def test_an_exception_in_the_channel_callback_comes_out_and_nothing_else_happens(operation):
    main = stackless.getmain()
    c = channel()

    def fail(*_arguments):
        raise KeyError("callback")

    stackless.set_channel_callback(fail)
    with pytest.raises(KeyError, match="callback"):
        c.send(1) if operation == "send" else c.receive()
    stackless.set_channel_callback(None)
    assert (c.balance, main.blocked, main.tempval) == (0, False, None)


def test_an_exception_in_the_channel_callback_leaves_a_waiting_partner_waiting():
    got = []
    c = channel()
    t = tasklet(lambda: got.append(c.receive()))()
    stackless.run()

    def fail(*_arguments):
        raise KeyError("callback")

    stackless.set_channel_callback(fail)
    with pytest.raises(KeyError):
        c.send("lost")
    stackless.set_channel_callback(None)
    assert (t.blocked, c.balance, got) == (True, -1, [])
    c.send("delivered")
    assert got == ["delivered"]


@pytest.mark.parametrize("kind", ["schedule", "channel"])
def test_a_channel_operation_inside_a_callback_is_refused(kind, unraisable):
    errors = []
    c, other = channel(), channel()

    def recurse(*_arguments):
        try:
            other.send(None)
        except RuntimeError as error:
            errors.append(str(error))

    getattr(stackless, f"set_{kind}_callback")(recurse)
    t = tasklet(c.receive)()
    stackless.run()
    getattr(stackless, f"set_{kind}_callback")(None)
    t.kill()
    assert errors[0] == "Recursive channel call due to callbacks!"
    assert (set(errors), other.balance, unraisable) == ({errors[0]}, 0, [])


def test_a_callback_that_removes_itself():
    calls = []

    def once(*arguments):
        calls.append(arguments)
        stackless.set_schedule_callback(None)

    stackless.set_schedule_callback(once)
    tasklet(int)()
    tasklet(int)()
    stackless.run()
    assert len(calls) == 1
