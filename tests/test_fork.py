"""os.fork() in a program with tasklets and threads."""

from __future__ import annotations

import os

import pytest
from support import child_lines

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

# Reports "parent" or "child" with every line, in this order.
FORK = """
    import os, stackless, sys, threading, warnings
    warnings.simplefilter("ignore", DeprecationWarning)

    def fork():
        sys.stdout.flush()
        pid = os.fork()
        if pid:
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        return pid

    def say(*what):
        print("parent" if pid else "child", *what, flush=True)

"""


def lines_of(source):
    lines = child_lines(FORK + source)
    child = [line.partition(" ")[2] for line in lines if line.startswith("child ")]
    parent = [line.partition(" ")[2] for line in lines if line.startswith("parent ")]
    assert len(child) + len(parent) == len(lines)
    return child, parent


def test_queued_and_blocked_tasklets_live_on_in_both_processes():
    child, parent = lines_of("""
    c = stackless.channel()
    def waits():
        say("received", c.receive())
    stackless.tasklet(waits)()
    stackless.run()
    stackless.tasklet(lambda: say("queued"))()
    pid = fork()
    stackless.run()
    c.send(pid != 0)
    stackless.run()
    """)
    assert child == ["queued", "received False"]
    assert parent == ["queued", "received True"]


def test_a_tasklet_may_fork_and_both_sides_go_on():
    child, parent = lines_of("""
    def forks():
        global pid
        pid = fork()
        say("forked")
        stackless.schedule()
        say("forked again", stackless.getcurrent() is t)
    t = stackless.tasklet(forks)()
    stackless.tasklet(lambda: say("neighbour"))()
    stackless.run()
    say("main")
    """)
    assert child == parent == ["forked", "neighbour", "forked again True", "main"]


def test_the_tasklets_of_other_threads_are_dead_in_the_child():
    child, parent = lines_of("""
    c, ready = stackless.channel(), threading.Event()
    shared = []
    def thread():
        shared.append(stackless.tasklet(stackless.schedule_remove)())
        shared[0].run()
        shared.append(stackless.getmain())
        ready.set()
        c.receive()
    other = threading.Thread(target=thread)
    other.start()
    ready.wait()
    while c.balance != -1:
        pass
    pid = fork()
    say([(t.alive, t.thread_id == -1) for t in shared])
    say(len(stackless.getthreads()), c.balance)
    if pid:
        c.send(None)
        other.join()
    else:
        try:
            stackless.channel().receive()
        except RuntimeError as error:
            say(str(error)[:8])
    """)
    assert child == ["[(False, True), (False, True)]", "1 0", "Deadlock"]
    assert parent == ["[(True, False), (True, False)]", "2 -1"]


def test_new_threads_and_tasklets_work_in_the_child():
    child, parent = lines_of("""
    pid = fork()
    c = stackless.channel()
    thread = threading.Thread(target=c.send, args=("from a thread",))
    thread.start()
    say(c.receive())
    thread.join()
    stackless.tasklet(say)("from a tasklet")
    stackless.run()
    """)
    assert child == parent == ["from a thread", "from a tasklet"]


def test_a_fork_on_another_thread_makes_that_thread_the_main_one():
    child, parent = lines_of("""
    def thread():
        global pid
        stackless.tasklet(lambda: say("tasklet"))()
        pid = fork()
        stackless.run()
        say(stackless.getmain() is stackless.getcurrent(), stackless.getruncount())
    other = threading.Thread(target=thread)
    other.start()
    other.join()
    """)
    assert child == parent == ["tasklet", "True 1"]


def test_the_cleanup_of_tasklets_runs_in_both_processes():
    child, parent = lines_of("""
    def waits():
        try:
            stackless.schedule_remove()
        finally:
            say("finally")
    t = stackless.tasklet(waits)()
    stackless.run()
    pid = fork()
    del t
    say("end")
    """)
    assert child == parent == ["finally", "end"]


def test_a_fork_with_a_thousand_blocked_tasklets():
    child, parent = lines_of("""
    c = stackless.channel()
    got = []
    for i in range(1000):
        stackless.tasklet(lambda: got.append(c.receive()))()
    stackless.run()
    pid = fork()
    for i in range(1000):
        c.send(i)
    stackless.run()
    say(got == list(range(1000)))
    """)
    assert child == parent == ["True"]
