"""Deadlocks: who gets the error, and what the error says about everybody who waits."""

from __future__ import annotations

import sys
import traceback

import pytest
import stackless
from stackless import channel, tasklet

DEADLOCK = r"^Deadlock: the last runnable tasklet cannot be blocked\."


def report(error):
    """The whole text of an exception, notes included."""
    return "".join(traceback.format_exception_only(error))


def here(below=1):
    """`file:line` of a line below the caller's."""
    frame = sys._getframe(1)
    return f"test_deadlock.py:{frame.f_lineno + below}"


@pytest.mark.parametrize("operation", ["send", "receive"])
def test_main_alone_can_not_block(operation):
    c = channel()
    with pytest.raises(RuntimeError, match=DEADLOCK):
        c.send(1) if operation == "send" else c.receive()
    main = stackless.getmain()
    assert (c.balance, c.queue, main.blocked, main.scheduled) == (0, None, False, True)
    assert main.tempval is None


def test_main_gets_it_again_each_time():
    for _ in range(3):
        with pytest.raises(RuntimeError, match=DEADLOCK):
            channel().receive()


def test_the_last_tasklet_that_blocks_gets_the_error_and_main_stays_blocked():
    log = []
    c = channel()

    def last():
        try:
            channel().receive()
        except RuntimeError as error:
            log.append(str(error).splitlines()[0])
        c.send("main is still there")

    tasklet(last)()
    assert c.receive() == "main is still there"
    stackless.run()
    assert log == ["Deadlock: the last runnable tasklet cannot be blocked."]


def test_an_uncaught_deadlock_error_reaches_a_blocked_main():
    c, other = channel(), channel()
    t = tasklet(other.receive)()
    with pytest.raises(RuntimeError, match=DEADLOCK):
        c.receive()
    assert (t.alive, c.balance, other.balance) == (False, 0, 0)


def test_a_tasklet_that_waits_for_itself_through_run_is_no_deadlock():
    c = channel()
    t = tasklet(c.receive)()
    assert stackless.run() is None
    assert t.blocked
    t.kill()


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ("receive", r"^the main tasklet is receiving without a sender available\."),
        ("send", r"^the main tasklet is sending without a receiver available\."),
    ],
)
def test_main_is_told_when_the_last_tasklet_ends(operation, message):
    c = channel()
    tasklet(int)()
    with pytest.raises(RuntimeError, match=message):
        c.send(1) if operation == "send" else c.receive()
    assert (c.balance, stackless.getmain().blocked) == (0, False)


def test_a_tasklet_killed_while_main_is_blocked_leaves_main_alone():
    c = channel()
    victim = tasklet(stackless.schedule_remove)()
    victim.run()
    tasklet(victim.kill)()
    with pytest.raises(RuntimeError, match="receiving without a sender"):
        c.receive()
    assert not victim.alive


def test_two_tasklets_that_wait_for_each_other():
    a, b = channel(), channel()

    def crossed(first, second):
        first.receive()
        second.send(None)

    tasklets = [tasklet(crossed)(a, b), tasklet(crossed)(b, a)]
    with pytest.raises(RuntimeError, match=DEADLOCK):
        channel().receive()
    assert sum(t.blocked for t in tasklets) == 1
    for t in tasklets:
        t.kill()


def test_the_report_names_everybody_who_waits_and_the_line():
    c, d = channel(), channel()
    lines = {}

    def waits_to_receive():
        lines["receive"] = here()
        c.receive()

    def waits_to_send():
        lines["send"] = here()
        d.send(1)

    tasklets = [tasklet(waits_to_receive)(), tasklet(waits_to_send)()]
    stackless.run()
    lines["main"] = here(2)
    with pytest.raises(RuntimeError, match=DEADLOCK) as caught:
        channel().receive()
    text = report(caught.value)
    for line in lines.values():
        assert line in text
    assert "waits_to_receive" in text
    assert "waits_to_send" in text
    for t in tasklets:
        t.kill()


def test_the_report_tells_receivers_from_senders_and_names_the_channels():
    c, d = channel(), channel()
    tasklets = [tasklet(c.receive)(), tasklet(d.send)(1)]
    stackless.run()
    with pytest.raises(RuntimeError) as caught:
        channel().receive()
    text = report(caught.value)
    assert f"{id(c):x}" in text
    assert f"{id(d):x}" in text
    assert "receiv" in text
    assert "send" in text
    for t in tasklets:
        t.kill()


def test_the_report_says_who_used_the_channel_last():
    c = channel()

    def used_it_last():
        c.send("message")

    def waits():
        c.receive()
        c.receive()

    t = tasklet(waits)()
    tasklet(used_it_last)()
    stackless.run()
    assert t.blocked
    with pytest.raises(RuntimeError, match=DEADLOCK) as caught:
        channel().receive()
    text = report(caught.value)
    assert "waits" in text
    assert "used_it_last" in text
    t.kill()


def test_the_report_comes_with_the_end_of_the_last_tasklet_too():
    lines = {}
    c = channel()

    def waits():
        lines["waits"] = here()
        channel().receive()

    def ends():
        stackless.schedule()

    t = tasklet(waits)()
    tasklet(ends)()
    lines["main"] = here(2)
    with pytest.raises(RuntimeError, match="receiving without a sender") as caught:
        c.receive()
    text = report(caught.value)
    for line in lines.values():
        assert line in text
    t.kill()


def test_the_report_stays_readable_with_very_many_who_wait():
    c = channel()
    tasklets = [tasklet(c.receive)() for _ in range(2000)]
    stackless.run()
    with pytest.raises(RuntimeError, match=DEADLOCK) as caught:
        channel().receive()
    assert len(report(caught.value)) < 1_000_000
    for t in tasklets:
        t.kill()


def test_the_error_holds_no_tasklet_alive():
    import weakref

    t = tasklet(channel().receive)()
    stackless.run()
    with pytest.raises(RuntimeError) as caught:
        channel().receive()
    error = caught.value.with_traceback(None)
    del caught
    reference = weakref.ref(t)
    t.kill()
    del t
    assert reference() is None
    assert error
