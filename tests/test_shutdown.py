"""The end of the process, with tasklets in every state."""

from __future__ import annotations

import re

import pytest
from support import child_lines, run_child

WORK = """
    import atexit, stackless, sys, threading, time

    def work(name, wait):
        try:
            wait()
        finally:
            print(name, "finally")

"""


def lines_of(source):
    return child_lines(WORK + source)


def test_blocked_and_paused_tasklets_run_their_cleanup():
    lines = lines_of("""
    stackless.tasklet(work)("blocked", stackless.channel().receive)
    stackless.tasklet(work)("sending", lambda: stackless.channel().send(1))
    paused = stackless.tasklet(work)("paused", stackless.schedule_remove)
    deep = stackless.tasklet(work)("deep", lambda: sorted([1], key=stackless.schedule_remove))
    stackless.run()
    print("end of main")
    """)
    assert lines[0] == "end of main"
    assert sorted(lines[1:]) == [f"{n} finally" for n in ("blocked", "deep", "paused", "sending")]


def test_tasklets_that_are_only_queued_are_not_run():
    lines = lines_of("""
    stackless.tasklet(work)("started", stackless.schedule)
    stackless.schedule()
    stackless.tasklet(print)("never")
    print("end of main", stackless.getruncount())
    """)
    assert lines == ["end of main 3", "started finally"]


def test_the_cleanup_comes_after_atexit_and_before_the_modules_go():
    lines = lines_of("""
    def wait():
        try:
            stackless.schedule_remove()
        finally:
            print("module alive:", sys is not None and time.time() > 0)
    atexit.register(print, "atexit")
    t = stackless.tasklet(wait)()
    stackless.run()
    print("end of main")
    """)
    assert lines == ["end of main", "atexit", "module alive: True"]


def test_atexit_handlers_may_switch():
    lines = lines_of("""
    c = stackless.channel()
    def handler():
        stackless.tasklet(print)("new tasklet")
        stackless.run()
        c.send("from the handler")
        stackless.run()
    stackless.tasklet(lambda: print(c.receive()))()
    stackless.run()
    atexit.register(handler)
    print("end of main")
    """)
    assert lines == ["end of main", "new tasklet", "from the handler"]


@pytest.mark.parametrize(
    "cleanup",
    [
        "stackless.schedule()",
        "stackless.schedule_remove()",
        "stackless.channel().receive()",
        "stackless.run()",
        "stackless.tasklet(print)('late'); stackless.run()",
        "raise ValueError('in the cleanup')",
        "sys.exit(3)",
    ],
)
def test_a_cleanup_may_do_anything_without_hanging(cleanup):
    done = run_child(f"""
        import stackless, sys
        def work():
            try:
                stackless.schedule_remove()
            finally:
                print("cleanup", flush=True)
                {cleanup}
        tasklets = [stackless.tasklet(work)() for _ in range(3)]
        stackless.run()
        print("end of main", flush=True)
    """)
    lines = [line for line in done.stdout.splitlines() if line != "late"]
    assert lines == ["end of main"] + ["cleanup"] * 3
    assert "Fatal" not in done.stderr
    assert done.returncode in (0, 3)


def test_a_tasklet_that_refuses_to_die_does_not_keep_the_process():
    done = run_child("""
        import stackless
        def stubborn():
            while True:
                try:
                    stackless.schedule_remove()
                except TaskletExit:
                    pass
        t = stackless.tasklet(stubborn)()
        stackless.run()
        print("end of main")
    """)
    assert (done.returncode, done.stdout) == (0, "end of main\n")
    assert "Fatal" not in done.stderr


def test_an_exception_of_main_is_printed_and_the_cleanup_still_runs():
    done = run_child(
        WORK
        + """
    t = stackless.tasklet(work)("paused", stackless.schedule_remove)
    stackless.run()
    raise ValueError("of main")
    """
    )
    assert done.returncode == 1
    assert done.stdout == "paused finally\n"
    assert done.stderr.endswith("ValueError: of main\n")


def test_sys_exit_of_main():
    done = run_child(
        WORK
        + """
    t = stackless.tasklet(work)("paused", stackless.schedule_remove)
    stackless.run()
    sys.exit(5)
    """
    )
    assert (done.returncode, done.stdout, done.stderr) == (5, "paused finally\n", "")


def test_sys_exit_deep_in_c_frames_of_a_tasklet():
    done = run_child("""
        import stackless, sys
        def deep(n):
            if n == 0:
                sys.exit(6)
            sorted([n], key=lambda _: deep(n - 1))
        stackless.tasklet(deep)(30)
        stackless.run()
    """)
    assert (done.returncode, done.stdout, done.stderr) == (6, "", "")


def test_os_exit_inside_a_tasklet():
    done = run_child("""
        import os, stackless
        stackless.tasklet(os._exit)(4)
        stackless.run()
    """)
    assert (done.returncode, done.stderr) == (4, "")


def test_twenty_thousand_blocked_tasklets():
    lines = lines_of("""
    c = stackless.channel()
    for _ in range(20_000):
        stackless.tasklet(c.receive)()
    stackless.run()
    print(c.balance)
    """)
    assert lines == ["-20000"]


def test_twenty_thousand_blocked_tasklets_with_cleanup():
    lines = lines_of("""
    c = stackless.channel()
    cleaned = []
    def wait():
        try:
            c.receive()
        finally:
            cleaned.append(None)
            if len(cleaned) == 20_000:
                print("all cleaned")
    for _ in range(20_000):
        stackless.tasklet(wait)()
    stackless.run()
    """)
    assert lines == ["all cleaned"]


@pytest.mark.parametrize(
    "body",
    [
        "c.receive()",
        "[stackless.schedule() for _ in iter(int, 1)]",
        "[(stackless.tasklet(int)(), stackless.run()) for _ in iter(int, 1)]",
        "[c.send(1) for _ in iter(int, 1)]",
        "stackless.tasklet(c.receive)(); stackless.channel().receive()",
        "stackless.tasklet(time.sleep)(1000); stackless.run()",
    ],
    ids=["blocked", "scheduling", "running", "sending", "tasklet blocked", "asleep in C"],
)
def test_daemon_threads_do_not_disturb_the_end(body):
    done = run_child(
        WORK
        + f"""
    c = stackless.channel()
    started = threading.Event()
    def thread():
        started.set()
        {body}
    for _ in range(4):
        threading.Thread(target=thread, daemon=True).start()
    started.wait()
    time.sleep(0.05)
    print("end of main")
    """
    )
    assert (done.returncode, done.stdout) == (0, "end of main\n")
    # threading reports a TaskletExit that ends a thread; nothing else may be said.
    assert re.findall(r"\w*Error|Fatal", done.stderr) == []


def test_the_interpreter_waits_for_threads_that_are_no_daemons():
    lines = lines_of("""
    c = stackless.channel()
    def thread():
        assert c.receive() == "message"
        ended.wait()
        print("end of thread")
    ended = threading.Event()
    threading.Thread(target=thread).start()
    c.send("message")
    print("end of main", flush=True)
    ended.set()
    """)
    assert lines == ["end of main", "end of thread"]


def test_the_end_of_a_thread_that_never_touched_stackless():
    lines = lines_of("""
    threads = [threading.Thread(target=time.sleep, args=(0.001,)) for _ in range(20)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print(stackless.getruncount())
    """)
    assert lines == ["1"]


def test_thread_locals_are_destroyed_while_tasklets_still_can_run():
    lines = lines_of("""
    local = threading.local()
    class Noisy:
        def __del__(self):
            stackless.tasklet(print)("ran in a destructor")
            stackless.run()
    def thread():
        local.noisy = Noisy()
    t = threading.Thread(target=thread)
    t.start(); t.join()
    print("end of main")
    """)
    assert lines == ["ran in a destructor", "end of main"]


def test_tasklets_that_hold_each_other_at_the_end():
    lines = lines_of("""
    c, d = stackless.channel(), stackless.channel()
    def hold(name, mine):
        myself = stackless.getcurrent()
        work(name, mine.receive)
    stackless.tasklet(hold)("a", c)
    stackless.tasklet(hold)("b", d)
    stackless.run()
    """)
    assert sorted(lines) == ["a finally", "b finally"]


def test_a_module_global_that_switches_in_its_finalizer_at_the_end():
    done = run_child("""
        import stackless
        class Switcher:
            def __del__(self, stackless=stackless):
                stackless.tasklet(int)()
                stackless.schedule()
        switcher = Switcher()
        switcher.myself = switcher
        print("end of main")
    """)
    assert (done.returncode, done.stdout) == (0, "end of main\n")
    assert "Fatal" not in done.stderr


def test_the_main_tasklet_ends_from_inside_a_tasklet_started_by_it():
    done = run_child("""
        import stackless
        def work():
            stackless.getmain().throw(SystemExit, 9)
        stackless.tasklet(work)()
        stackless.run()
    """)
    assert (done.returncode, done.stderr) == (9, "")
