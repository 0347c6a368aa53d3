"""Finalizers and weakref callbacks that switch, and what they drop."""

from __future__ import annotations

import gc
import weakref

import stackless
from stackless import channel, tasklet


def pauses(log, name="t"):
    try:
        stackless.schedule_remove()
    except BaseException as error:
        log.append((name, type(error).__name__))
        raise
    finally:
        log.append((name, "finally"))


KILLED = [("t", "TaskletExit"), ("t", "finally")]


def test_a_weakref_callback_may_switch():
    log = []

    class Thing:
        pass

    def switches(_reference):
        log.append("callback>")
        stackless.schedule()
        log.append("<callback")

    def work():
        thing = Thing()
        reference = weakref.ref(thing, switches)
        log.append("del>")
        del thing
        log.append("<del")
        return reference

    tasklet(work)()
    tasklet(log.append)("neighbour")
    stackless.run()
    assert log == ["del>", "callback>", "neighbour", "<callback", "<del"]


class Switcher:
    """Its finalizer switches."""

    def __init__(self, log):
        self.log = log

    def __del__(self):
        self.log.append("finalizer>")
        stackless.schedule()
        self.log.append("<finalizer")


def test_a_finalizer_may_switch():
    log = []

    def work():
        thing = Switcher(log)
        log.append("del>")
        del thing
        log.append("<del")

    tasklet(work)()
    tasklet(log.append)("neighbour")
    stackless.run()
    assert log == ["del>", "finalizer>", "neighbour", "<finalizer", "<del"]


def test_a_finalizer_may_switch_while_the_collector_runs():
    log = []

    def work():
        thing = Switcher(log)
        thing.myself = thing
        del thing
        gc.collect()
        log.append("collected")

    tasklet(work)()
    tasklet(log.append)("neighbour")
    stackless.run()
    assert log == ["finalizer>", "neighbour", "<finalizer", "collected"]


def test_a_finalizer_may_switch_at_the_end_of_its_tasklet():
    log = []

    def work():
        local = Switcher(log)
        assert local

    tasklet(work)()
    tasklet(log.append)("neighbour")
    stackless.run()
    assert log == ["finalizer>", "neighbour", "<finalizer"]


def test_a_finalizer_may_receive_from_a_channel():
    log = []
    c = channel()

    class Receiver:
        def __del__(self):
            log.append(c.receive())

    def work():
        local = Receiver()
        del local
        log.append("deleted")

    tasklet(work)()
    stackless.run()
    assert (log, c.balance) == ([], -1)
    c.send("message")
    stackless.run()
    assert log == ["message", "deleted"]


def test_a_finalizer_may_drop_the_last_reference_to_a_blocked_tasklet():
    log = []

    class Owner:
        def __del__(self):
            log.append("finalizer>")
            del self.t
            log.append("<finalizer")

    owner = Owner()
    owner.t = tasklet(pauses)(log)
    owner.t.run()
    del owner
    assert log == ["finalizer>", *KILLED, "<finalizer"]
