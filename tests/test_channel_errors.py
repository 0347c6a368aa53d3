"""Exceptions through channels, and channels used wrongly."""

from __future__ import annotations

import weakref

import pytest
import stackless
from stackless import channel, tasklet
from support import frame_names


def start_receiver(c, caught):
    def receiver():
        try:
            caught.append(c.receive())
        except BaseException as error:
            caught.append(error)

    t = tasklet(receiver)()
    stackless.run()
    return t


def test_send_exception_raises_in_the_receiver():
    caught = []
    c = channel()
    start_receiver(c, caught)
    assert c.send_exception(ValueError, 1, 2) is None
    assert type(caught[0]) is ValueError
    assert caught[0].args == (1, 2)


def test_an_exception_waits_for_its_receiver():
    c = channel()
    t = tasklet(c.send_exception)(ValueError, "waited")
    stackless.schedule()
    assert (c.balance, t.blocked) == (1, True)
    with pytest.raises(ValueError, match="waited"):
        c.receive()
    stackless.run()
    assert not t.alive


def test_an_exception_that_the_last_runnable_tasklet_sends_comes_out_of_run_as_well():
    c = channel()
    t = tasklet(c.send_exception)(ValueError, "seen twice")
    with pytest.raises(ValueError, match="seen twice"):
        stackless.run()
    assert (c.balance, t.blocked) == (1, True)
    with pytest.raises(ValueError, match="seen twice"):
        c.receive()
    stackless.run()


def test_send_exception_may_be_any_exception_even_one_that_ends_the_receiver():
    c = channel()
    t = tasklet(c.receive)()
    stackless.run()
    c.send_exception(TaskletExit)
    assert not t.alive


@pytest.mark.parametrize("wrong", [ValueError("instance"), "ValueError", 1, int, None])
def test_send_exception_wants_a_class(wrong):
    c = channel()
    with pytest.raises(TypeError):
        c.send_exception(wrong)
    with pytest.raises(TypeError):
        c.send_exception()
    assert c.balance == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((ValueError,), ("ValueError", ())),
        ((ValueError, "text"), ("ValueError", ("text",))),
        ((ValueError, (1, 2)), ("ValueError", (1, 2))),
        ((ValueError("instance"),), ("ValueError", ("instance",))),
    ],
)
def test_send_throw_takes_what_raise_takes(arguments, expected):
    caught = []
    c = channel()
    start_receiver(c, caught)
    c.send_throw(*arguments)
    assert (type(caught[0]).__name__, caught[0].args) == expected


def test_send_throw_keeps_the_traceback():
    def raiser():
        raise ValueError("origin")

    caught = []
    c = channel()
    start_receiver(c, caught)
    try:
        raiser()
    except ValueError as error:
        c.send_throw(ValueError, error, error.__traceback__)
    here = "test_send_throw_keeps_the_traceback"
    assert frame_names(caught[0]) == ["receiver", here, "raiser"]


def test_send_throw_used_wrongly():
    c = channel()
    with pytest.raises(TypeError):
        c.send_throw()
    with pytest.raises(TypeError):
        c.send_throw("no exception")
    with pytest.raises(TypeError, match="instance exception may not have a separate value"):
        c.send_throw(ValueError(1), 2)
    with pytest.raises(TypeError):
        c.send_throw(ValueError, 1, "no traceback")
    assert c.balance == 0


@pytest.mark.parametrize("operation", ["send", "receive", "send_exception", "send_throw"])
def test_a_closed_channel_refuses_new_waiters(operation):
    c = channel()
    c.close()
    arguments = {"receive": (), "send": (1,)}.get(operation, (KeyError,))
    with pytest.raises(ValueError, match="Send/receive operation on a closed channel"):
        getattr(c, operation)(*arguments)
    assert (c.balance, stackless.getcurrent().blocked) == (0, False)
    assert stackless.getcurrent().tempval is None


def test_a_closed_channel_refuses_a_tasklet_and_the_error_comes_out_of_run():
    c = channel()
    c.close()
    t = tasklet(c.receive)()
    with pytest.raises(ValueError, match="closed channel"):
        stackless.run()
    assert not t.alive


def test_next_on_a_closed_channel_ends_instead():
    c = channel()
    c.close()
    assert list(c) == []


def test_a_closing_channel_that_has_receivers_refuses_no_sender():
    caught = []
    c = channel()
    start_receiver(c, caught)
    c.close()
    with pytest.raises(StopIteration):
        next(c)
    c.send("ok")
    assert caught == ["ok"]


@pytest.mark.parametrize("wrong", ["1", None, 1.0, []])
def test_preference_must_be_an_integer(wrong):
    c = channel()
    with pytest.raises(TypeError, match="preference must be set to an integer"):
        c.preference = wrong
    assert c.preference == -1


@pytest.mark.parametrize("wrong", ["1", None, 1.0, []])
def test_schedule_all_must_be_a_bool_or_an_integer(wrong):
    c = channel()
    with pytest.raises(TypeError, match="must be set to a bool or integer"):
        c.schedule_all = wrong
    assert c.schedule_all == 0


@pytest.mark.parametrize("name", ["balance", "queue", "closing", "closed"])
def test_the_state_of_a_channel_can_not_be_written(name):
    c = channel()
    with pytest.raises(AttributeError):
        setattr(c, name, 1)


def test_the_attributes_can_not_be_deleted():
    c = channel()
    for name in ("preference", "schedule_all"):
        with pytest.raises((TypeError, AttributeError)):
            delattr(c, name)
    assert (c.preference, c.schedule_all) == (-1, 0)


@pytest.mark.parametrize(
    ("operation", "arguments", "message"),
    [
        ("send", (), "takes exactly one argument"),
        ("send", (1, 2), "takes exactly one argument"),
        ("receive", (1,), "takes no arguments"),
        ("close", (1,), "takes no arguments"),
        ("open", (1,), "takes no arguments"),
        ("send_sequence", (), "takes exactly one argument"),
    ],
)
def test_a_wrong_number_of_arguments(operation, arguments, message):
    c = channel()
    with pytest.raises(TypeError, match=message):
        getattr(c, operation)(*arguments)
    assert c.balance == 0


@pytest.mark.parametrize("operation", ["send", "receive"])
def test_keywords_are_refused(operation):
    with pytest.raises(TypeError, match="takes no keyword arguments"):
        getattr(channel(), operation)(value=1)


def test_send_sequence_of_something_that_can_not_be_iterated():
    with pytest.raises(TypeError):
        channel().send_sequence(1)


def test_an_exception_that_a_receiver_does_not_catch_reaches_run():
    c = channel()
    t = tasklet(c.receive)()
    stackless.run()
    with pytest.raises(KeyError):
        c.send_exception(KeyError, "uncaught")
    assert not t.alive
    assert stackless.getruncount() == 1


@pytest.mark.parametrize("budget", [1000, 0], ids=["mounted", "frozen"])
@pytest.mark.parametrize("method", ["send_exception", "send_throw"])
def test_who_sends_an_exception_does_not_keep_it(method, budget):
    class Failure(Exception):
        pass

    log = []
    line = channel()

    def receive():
        try:
            line.receive()
        except Failure as failure:
            reference = weakref.ref(failure)
        log.append(reference())

    def send():
        getattr(line, method)(Failure)
        log.append("sent")

    before = stackless.set_stack_budget(budget)
    try:
        tasklet(receive)()
        tasklet(send)()
        stackless.run()
    finally:
        stackless.set_stack_budget(before)
    assert log == [None, "sent"]
