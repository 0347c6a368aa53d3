"""What channels do: the whole table of preferences, queues, iteration, closing."""

from __future__ import annotations

import itertools

import pytest
import stackless
from stackless import channel, tasklet

# (schedule_all, who waits, preference): who goes on at once. Everything else follows.
PARTNER_FIRST = {(0, "receiver", -1), (0, "sender", 1)}


def expected_order(schedule_all, waits, preference):
    """The interleaving with a bystander x before and y after the second partner."""
    waiting, acting = ("r", "s") if waits == "receiver" else ("s", "r")
    if schedule_all:
        return [f"{waiting}>", "x", f"{acting}>", "y", "x'", f"<{waiting}", f"<{acting}", "y'"]
    if (schedule_all, waits, preference) in PARTNER_FIRST:
        return [f"{waiting}>", "x", f"{acting}>", f"<{waiting}", "y", "x'", f"<{acting}", "y'"]
    return [f"{waiting}>", "x", f"{acting}>", f"<{acting}", "y", "x'", f"<{waiting}", "y'"]


@pytest.mark.parametrize(
    ("schedule_all", "waits", "preference"),
    list(itertools.product((0, 1), ("receiver", "sender"), (-1, 0, 1))),
)
def test_who_runs_next_follows_the_table(schedule_all, waits, preference):
    log = []
    c = channel()
    c.preference = preference
    c.schedule_all = schedule_all

    def receiver():
        log.append("r>")
        assert c.receive() == "value"
        log.append("<r")

    def sender():
        log.append("s>")
        assert c.send("value") is None
        log.append("<s")

    def bystander(name):
        log.append(name)
        stackless.schedule()
        log.append(name + "'")

    early, late = (receiver, sender) if waits == "receiver" else (sender, receiver)
    tasklet(early)()
    tasklet(bystander)("x")
    tasklet(late)()
    tasklet(bystander)("y")
    stackless.run()
    assert log == expected_order(schedule_all, waits, preference)


@pytest.mark.parametrize(
    ("schedule_all", "waits", "preference"),
    list(itertools.product((0, 1), ("receiver", "sender"), (-1, 0, 1))),
)
def test_main_as_the_second_partner_follows_the_table(schedule_all, waits, preference):
    log = []
    c = channel()
    c.preference = preference
    c.schedule_all = schedule_all

    def partner():
        if waits == "receiver":
            c.receive()
        else:
            c.send(None)
        log.append("partner")

    tasklet(partner)()
    stackless.run()
    tasklet(log.append)("bystander")
    if waits == "receiver":
        c.send(None)
    else:
        c.receive()
    log.append("main")
    stackless.run()
    if schedule_all:
        assert log == ["bystander", "partner", "main"]
    elif (schedule_all, waits, preference) in PARTNER_FIRST:
        assert log == ["partner", "bystander", "main"]
    else:
        assert log == ["main", "bystander", "partner"]


@pytest.mark.parametrize("preference", [-1, 0, 1])
def test_messages_keep_their_order_and_so_do_the_waiting(preference):
    got = []
    c = channel()
    c.preference = preference
    for i in range(5):
        tasklet(lambda i=i: got.append((i, c.receive())))()
    stackless.run()
    for value in "abcde":
        c.send(value)
    stackless.run()
    assert sorted(got) == list(enumerate("abcde"))
    for value in "abcde":
        tasklet(c.send)(value)
    stackless.run()
    assert [c.receive() for _ in range(5)] == list("abcde")
    stackless.run()


def test_balance_and_queue_tell_who_waits():
    c = channel()
    assert (c.balance, c.queue) == (0, None)
    receivers = [tasklet(c.receive)() for _ in range(3)]
    stackless.run()
    assert (c.balance, c.queue) == (-3, receivers[0])
    for t in receivers:
        t.kill()
    assert (c.balance, c.queue) == (0, None)
    senders = [tasklet(c.send)(i) for i in range(2)]
    stackless.run()
    assert (c.balance, c.queue) == (2, senders[0])
    assert c.receive() == 0
    assert (c.balance, c.queue) == (1, senders[1])
    assert c.receive() == 1
    assert (c.balance, c.queue) == (0, None)
    stackless.run()


def test_the_queue_can_be_walked():
    c = channel()
    tasklets = [tasklet(c.receive)() for _ in range(4)]
    stackless.run()
    walked, t = [], c.queue
    while t is not None:
        walked.append(t)
        t = t.next
    assert walked == tasklets
    for t in tasklets:
        t.kill()


def test_a_sender_blocks_until_somebody_receives():
    log = []
    c = channel()

    def sender():
        for i in range(3):
            c.send(i)
            log.append(f"sent {i}")

    tasklet(sender)()
    stackless.run()
    assert (log, c.balance) == ([], 1)
    assert c.receive() == 0
    stackless.run()
    assert (log, c.balance) == (["sent 0"], 1)
    assert [c.receive(), log.append("got 1")][0] == 1
    stackless.run()
    assert c.receive() == 2
    stackless.run()
    assert log == ["sent 0", "got 1", "sent 1", "sent 2"]


@pytest.mark.parametrize(("value", "kept"), [(-1, -1), (0, 0), (1, 1), (5, 1), (-7, -1), (True, 1)])
def test_preference_is_clamped(value, kept):
    c = channel()
    assert c.preference == -1
    c.preference = value
    assert c.preference == kept


def test_schedule_all_is_zero_or_one():
    c = channel()
    assert c.schedule_all == 0
    for value, kept in ((1, 1), (0, 0), (True, 1), (False, 0), (7, 1)):
        c.schedule_all = value
        assert c.schedule_all == kept


def test_send_sequence_sends_everything_and_counts():
    got = []
    c = channel()

    def collect():
        for _ in range(4):
            got.append(c.receive())

    tasklet(collect)()
    counts = []
    tasklet(lambda: counts.append(c.send_sequence(iter("abcd"))))()
    stackless.run()
    assert (got, counts) == (list("abcd"), [4])
    assert c.send_sequence([]) == 0


def test_send_sequence_can_be_restarted_in_the_middle():
    got = []
    c = channel()
    items = iter(range(6))

    def sender():
        try:
            c.send_sequence(items)
        except ValueError:
            got.append("interrupted")
        got.append(("count", c.send_sequence(items)))

    t = tasklet(sender)()
    stackless.run()
    got += [c.receive(), c.receive()]
    stackless.run()
    t.throw(ValueError)
    got += [c.receive(), c.receive(), c.receive()]
    stackless.run()
    assert got == [0, 1, "interrupted", 3, 4, 5, ("count", 3)]


def test_an_error_of_the_iterator_comes_out_of_send_sequence():
    def items():
        yield 1
        raise KeyError("iterator")

    got = []
    c = channel()
    tasklet(lambda: got.append(c.receive()))()
    with pytest.raises(KeyError, match="iterator"):
        c.send_sequence(items())
    stackless.run()
    assert got == [1]


def test_a_channel_is_its_own_iterator():
    got = []
    c = channel()
    assert iter(c) is c

    def collect():
        for value in c:
            got.append(value)
        got.append("end")

    tasklet(collect)()
    stackless.run()
    c.send(1)
    c.send(2)
    c.send_exception(StopIteration)
    stackless.run()
    assert got == [1, 2, "end"]
    tasklet(c.send)("next")
    stackless.run()
    assert next(c) == "next"
    stackless.run()


def test_a_closed_and_empty_channel_ends_the_iteration():
    c = channel()
    tasklet(c.send_sequence)("ab")
    stackless.run()
    got = [next(c)]
    stackless.run()
    c.close()
    got += list(c)
    assert got == ["a", "b"]
    with pytest.raises(StopIteration):
        next(c)
    stackless.run()


def test_close_and_open_set_and_clear_closing():
    c = channel()
    assert (c.closing, c.closed) == (False, False)
    c.close()
    assert (c.closing, c.closed) == (True, True)
    c.open()
    assert (c.closing, c.closed) == (False, False)


def test_a_closing_channel_still_serves_those_who_wait():
    log = []
    c = channel()
    tasklet(lambda: log.append(("sent", c.send("kept"))))()
    stackless.run()
    c.close()
    assert (c.closing, c.closed, c.balance) == (True, False, 1)
    assert c.receive() == "kept"
    assert c.closed
    stackless.run()
    assert log == [("sent", None)]


def test_close_does_not_wake_receivers():
    c = channel()
    t = tasklet(c.receive)()
    stackless.run()
    c.close()
    stackless.run()
    assert (t.blocked, c.balance, c.closed) == (True, -1, False)
    c.send("still served")
    stackless.run()
    assert not t.alive


def test_the_constructor_ignores_what_it_is_given():
    assert channel(1, 2, key="value").balance == 0


def test_a_temporary_channel_survives_the_switch():
    got = []
    tasklets = [tasklet(lambda: got.append(channel().receive()))() for _ in range(3)]
    stackless.run()
    for t in tasklets:
        t.kill()
    assert got == []


def test_objects_pass_through_by_reference():
    c = channel()
    sent = object()
    tasklet(c.send)(sent)
    stackless.run()
    assert c.receive() is sent
    stackless.run()


def test_a_message_reaches_its_receiver_though_the_sender_is_killed():
    got = []
    c = channel()
    c.preference = 1
    tasklet(lambda: got.append(c.receive()))()
    stackless.run()
    sender = tasklet(lambda: (c.send("last words"), stackless.schedule_remove()))()
    sender.run()
    sender.kill()
    stackless.run()
    assert got == ["last words"]
