"""Channels between threads: nothing is lost, nobody sleeps for ever."""

from __future__ import annotations

import collections
import itertools
import threading

import pytest
import stackless
from stackless import channel, tasklet
from support import in_thread, start_thread, wait_until

PREFERENCES = [-1, 0, 1]


@pytest.mark.parametrize("preference", PREFERENCES)
def test_main_receives_from_a_thread(preference):
    c = channel()
    c.preference = preference
    thread = start_thread(lambda: [c.send(i) for i in range(5000)])
    assert [c.receive() for _ in range(5000)] == list(range(5000))
    thread.join()
    assert c.balance == 0


@pytest.mark.parametrize("preference", PREFERENCES)
def test_main_sends_to_a_thread(preference):
    c = channel()
    c.preference = preference
    thread = start_thread(lambda: [c.receive() for _ in range(5000)])
    for i in range(5000):
        c.send(i)
    assert thread.join() == list(range(5000))


def test_ping_pong_between_two_threads():
    there, back = channel(), channel()

    def echo():
        for value in there:
            back.send(value + 1)
        return there.balance

    thread = start_thread(echo)
    value = 0
    for _ in range(10_000):
        there.send(value)
        value = back.receive()
    there.send_exception(StopIteration)
    assert (value, thread.join()) == (10_000, 0)


def test_two_threads_talk_while_the_main_thread_only_joins():
    there, back = channel(), channel()

    def echo():
        for _ in range(5000):
            back.send(there.receive())

    def ask():
        for i in range(5000):
            there.send(i)
            assert back.receive() == i

    threads = [start_thread(echo), start_thread(ask)]
    for thread in threads:
        thread.join()


def test_the_caller_never_switches_whatever_the_preference():
    for preference in PREFERENCES:
        c = channel()
        c.preference = preference
        thread = start_thread(c.receive)
        wait_until(lambda c=c: c.balance == -1)
        log = []
        tasklet(log.append)("bystander")
        c.send(None)
        assert log == []
        thread.join()
        stackless.run()


def test_switch_trap_does_not_stop_a_message_to_another_thread():
    c = channel()
    thread = start_thread(c.receive)
    wait_until(lambda: c.balance == -1)
    stackless.switch_trap(1)
    c.send("passes")
    stackless.switch_trap(-1)
    assert thread.join() == "passes"


def test_an_exception_travels_to_another_thread_with_its_traceback():
    c = channel()

    def body():
        try:
            raise ValueError("over there")
        except ValueError as error:
            c.send_throw(type(error), error, error.__traceback__)

    thread = start_thread(body)
    with pytest.raises(ValueError, match="over there") as caught:
        c.receive()
    assert any(entry.name == "body" for entry in caught.traceback)
    thread.join()


def test_the_channel_callback_comes_after_the_transfer_to_another_thread():
    seen = []
    c = channel()
    thread = start_thread(c.receive)
    wait_until(lambda: c.balance == -1)
    stackless.set_channel_callback(
        lambda _c, t, sending, will_block: seen.append((t, sending, will_block, c.balance))
    )
    c.send("value")
    stackless.set_channel_callback(None)
    assert thread.join() == "value"
    assert seen == [(stackless.getmain(), 1, 0, 0)]


def test_a_tasklet_of_another_thread_that_waits_in_a_channel_is_served_there():
    c, done = channel(), channel()
    got = []

    def wait():
        got.append((c.receive(), threading.get_ident()))
        done.send(None)

    def body():
        tasklet(wait)()
        done.receive()
        return threading.get_ident()

    thread = start_thread(body)
    wait_until(lambda: c.balance == -1)
    c.send("served")
    assert got == [] or got[0][0] == "served"
    ident = thread.join()
    assert got == [("served", ident)]


def test_many_threads_and_one_channel_conserve_every_message():
    c = channel()
    threads, messages = 8, 1000
    received = collections.Counter()

    def produce(name):
        for i in range(messages):
            c.send((name, i))

    def consume():
        mine = collections.Counter()
        for name, i in c:
            mine[name, i] += 1
        return mine

    consumers = [start_thread(consume) for _ in range(threads)]
    producers = [start_thread(produce, name) for name in range(threads)]
    for thread in producers:
        thread.join()
    for _ in consumers:
        c.send_exception(StopIteration)
    for thread in consumers:
        received += thread.join()
    assert set(received.values()) == {1}
    assert len(received) == threads * messages
    assert c.balance == 0


def test_threads_with_many_tasklets_conserve_every_message():
    threads, tasklets, messages = 4, 20, 50
    c = channel()

    def run_all(work):
        """Run `work` in many tasklets; they pause at their end, since main is blocked."""
        done = channel()

        def body():
            work()
            done.send(None)
            stackless.schedule_remove()

        kept = [tasklet(body)() for _ in range(tasklets)]
        for _ in kept:
            done.receive()

    sent, got = [], []

    def produce():
        for i in range(messages):
            c.send(i)
            sent.append(i)

    def consume():
        for _ in range(messages):
            got.append(c.receive())

    running = [start_thread(run_all, work) for _ in range(threads) for work in (produce, consume)]
    for thread in running:
        thread.join()
    assert len(sent) == len(got) == threads * tasklets * messages
    assert collections.Counter(sent) == collections.Counter(got)
    assert c.balance == 0


def test_no_wake_up_is_lost_when_a_token_goes_round_through_sleeping_threads():
    stations, rounds = [channel() for _ in range(6)], 2000

    def forward(incoming, outgoing):
        for _ in range(rounds):
            outgoing.send(incoming.receive() + 1)

    threads = [start_thread(forward, *pair) for pair in itertools.pairwise(stations)]
    token = 0
    for _ in range(rounds):
        stations[0].send(token)
        token = stations[-1].receive()
    for thread in threads:
        thread.join()
    assert token == rounds * len(threads)


def test_many_short_threads_each_deliver_one_message():
    c = channel()
    total = 0
    for start in range(0, 300, 10):
        threads = [start_thread(c.send, start + i) for i in range(10)]
        total += sum(c.receive() for _ in threads)
        for thread in threads:
            thread.join()
    assert total == sum(range(300))


def test_a_thread_may_end_while_others_wait_for_its_channel():
    c = channel()

    def body():
        tasklet(c.receive)()
        stackless.run()

    in_thread(body)
    assert c.balance == 0
    with pytest.raises(RuntimeError, match="Deadlock"):
        c.send("nobody is left")


def test_insert_from_another_thread_is_never_lost():
    rounds = 3000
    turn = channel()
    counter = []

    def body():
        def step():
            while True:
                counter.append(None)
                stackless.schedule_remove()

        t = tasklet(step, ())
        turn.send(t)
        turn.receive()
        return len(counter)

    thread = start_thread(body)
    t = turn.receive()
    for i in range(rounds):
        t.insert()
        wait_until(lambda i=i: len(counter) == i + 1 and t.paused)
    turn.send(None)
    assert thread.join() == rounds
