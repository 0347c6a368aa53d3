"""Lifetimes: losing the last reference, weak references, and what the collector finds."""

from __future__ import annotations

import gc
import weakref

import stackless
from stackless import channel, tasklet
from support import child_lines, run_child


def pauses(log, name="t"):
    try:
        stackless.schedule_remove()
    except BaseException as error:
        log.append((name, type(error).__name__))
        raise
    finally:
        log.append((name, "finally"))


KILLED = [("t", "TaskletExit"), ("t", "finally")]


def test_losing_the_last_reference_kills_at_once():
    log = []
    t = tasklet(pauses)(log)
    t.run()
    reference = weakref.ref(t)
    del t
    assert log == KILLED
    assert reference() is None
    assert stackless.getruncount() == 1


def test_losing_the_last_reference_of_one_on_c_frames_kills_at_once():
    log = []
    t = tasklet(sorted)([1], key=lambda _: pauses(log))
    t.run()
    del t
    assert log == KILLED


def test_losing_the_last_reference_of_one_that_never_started_runs_nothing():
    log = []
    t = tasklet(pauses, (log,))
    reference = weakref.ref(t)
    del t
    assert reference() is None
    assert log == []


def test_the_kill_happens_inside_the_tasklet_that_dropped_it():
    log = []

    def drops():
        t = tasklet(pauses)(log)
        t.run()
        log.append("del>")
        del t
        log.append("<del")

    tasklet(drops)()
    tasklet(log.append)("neighbour")
    stackless.run()
    assert log[0] == "del>"
    assert log.index(("t", "finally")) < log.index("<del")
    assert sorted(map(str, log)) == sorted(map(str, ["del>", *KILLED, "<del", "neighbour"]))


def test_a_handled_exception_survives_the_kill_of_a_dropped_tasklet():
    log = []
    t = tasklet(pauses)(log)
    t.run()
    try:
        raise ValueError("being handled")
    except ValueError as error:
        del t
        assert log == KILLED
        assert error.__context__ is None


def test_an_exception_on_its_way_survives_the_kill_of_a_dropped_tasklet():
    log = []

    def fails():
        t = tasklet(pauses)(log)
        t.run()
        raise KeyError("on its way")

    try:
        fails()
    except KeyError as error:
        caught = error.with_traceback(None)
    assert caught.args == ("on its way",)
    assert log == KILLED


def test_a_dropped_tasklet_that_resurrects_itself_lives_on():
    log, saved = [], []

    def stubborn():
        try:
            stackless.schedule_remove()
        except TaskletExit:
            saved.append(stackless.getcurrent())
        stackless.schedule_remove()
        log.append("finished in peace")

    t = tasklet(stubborn)()
    t.run()
    del t
    assert saved[0].paused
    saved.pop().run()
    assert log == ["finished in peace"]


def test_a_dropped_tasklet_that_never_gives_up_ends_in_gc_garbage():
    lines = child_lines("""
        import gc, os, stackless, sys
        kills = []
        def stubborn():
            while True:
                try:
                    stackless.schedule_remove()
                except TaskletExit:
                    kills.append(None)
        t = stackless.tasklet(stubborn)()
        t.run()
        del t
        print(len(kills), len(gc.garbage), gc.garbage[0].alive)
        sys.stdout.flush()
        os._exit(0)
    """)
    assert lines == ["10 1 True"]


def test_an_error_in_the_cleanup_of_a_dropped_tasklet_is_not_lost_and_crashes_nothing():
    done = run_child("""
        import stackless
        def work():
            try:
                stackless.schedule_remove()
            finally:
                raise ValueError("in the cleanup")
        t = stackless.tasklet(work)()
        t.run()
        try:
            del t
        except ValueError:
            print("raised")
        stackless.run()
        print("end")
    """)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "end"
    assert "raised" in done.stdout or "ValueError: in the cleanup" in done.stderr


def test_weakref_callbacks_are_called_once():
    calls = []
    t = tasklet(pauses)([])
    reference = weakref.ref(t, calls.append)
    t.run()
    del t
    assert calls == [reference]
    c = channel()
    reference = weakref.ref(c, calls.append)
    del c
    assert len(calls) == 2


def test_weak_references_to_a_tasklet_end_with_its_run():
    t = tasklet(int)()
    reference = weakref.ref(t)
    del t
    assert reference() is not None
    stackless.run()
    assert reference() is None


def test_collecting_inside_a_tasklet_leaves_the_suspended_ones_alone():
    log = []

    def holds(name):
        local = [name]
        local.append(local)
        stackless.schedule()
        log.append(local[0])

    def collects():
        for _ in range(3):
            gc.collect()
        log.append("collected")

    for name in "ab":
        tasklet(holds)(name)
    tasklet(collects)()
    stackless.run()
    assert log == ["collected", "a", "b"]


def test_the_collector_leaves_a_tasklet_that_can_still_be_reached():
    log = []
    c = channel()

    def work():
        myself = stackless.getcurrent()
        log.append((c.receive(), myself.alive))

    tasklet(work)()
    stackless.run()
    for _ in range(3):
        gc.collect()
    c.send("message")
    assert log == [("message", True)]


def test_references_are_released_without_the_collector():
    class Thing:
        pass

    references = []

    def work(thing):
        local = Thing()
        references.append(weakref.ref(thing))
        references.append(weakref.ref(local))
        stackless.schedule()

    gc.disable()
    try:
        for _ in range(10):
            tasklet(work)(Thing())
        stackless.run()
        assert [reference() for reference in references] == [None] * 20
    finally:
        gc.enable()


def test_freezing_the_collector_with_suspended_tasklets():
    lines = child_lines("""
        import gc, stackless
        tasklets = [stackless.tasklet(stackless.schedule_remove)() for _ in range(10)]
        stackless.run()
        gc.freeze()
        gc.collect()
        for t in tasklets:
            t.insert()
        stackless.run()
        print([t.alive for t in tasklets] == [False] * 10)
        gc.unfreeze()
    """)
    assert lines == ["True"]


def test_tasklets_and_channels_are_tracked_by_the_collector():
    assert gc.is_tracked(tasklet(int))
    assert gc.is_tracked(channel())


def test_a_channel_that_dies_lets_its_waiters_go():
    log = []

    class Holder:
        pass

    holder = Holder()
    holder.c = channel()

    def work():
        try:
            holder.c.receive()
        except TaskletExit:
            log.append("TaskletExit")
            raise

    t = tasklet(work)()
    stackless.run()
    holder.c = None
    assert t.blocked
    t.kill()
    assert log == ["TaskletExit"]
