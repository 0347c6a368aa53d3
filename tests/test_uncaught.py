"""Exceptions nobody catches: where they come out, with which traceback and exit status."""

from __future__ import annotations

import traceback

import pytest
import stackless
from stackless import channel, tasklet
from support import frame_names, in_thread, run_child


def inner(error):
    raise error


def outer(error):
    inner(error)


@pytest.mark.parametrize(
    "error_type",
    [ValueError, KeyboardInterrupt, GeneratorExit, StopIteration, StopAsyncIteration, MemoryError],
)
def test_every_exception_comes_out_of_run(error_type):
    tasklet(outer)(error_type("text"))
    with pytest.raises(error_type):
        stackless.run()


def test_the_traceback_has_the_frames_of_the_tasklet():
    tasklet(outer)(ValueError("whole"))
    with pytest.raises(ValueError, match="whole") as caught:
        stackless.run()
    here = "test_the_traceback_has_the_frames_of_the_tasklet"
    assert frame_names(caught.value) == [here, "outer", "inner"]
    text = "".join(traceback.format_exception(caught.value))
    assert "inner(error)" in text
    assert "raise error" in text


def test_the_traceback_grows_through_nested_runs():
    def nested():
        tasklet(outer)(ValueError("whole"))
        stackless.run()

    tasklet(nested)()
    with pytest.raises(ValueError, match="whole") as caught:
        stackless.run()
    here = "test_the_traceback_grows_through_nested_runs"
    assert frame_names(caught.value) == [here, "nested", "outer", "inner"]


def test_the_exception_object_is_the_same_with_its_cause_context_and_notes():
    error = ValueError("original")
    error.add_note("a note")

    def worker():
        try:
            inner(KeyError("context"))
        except KeyError:
            raise error from TypeError("cause")

    tasklet(worker)()
    with pytest.raises(ValueError, match="original") as caught:
        stackless.run()
    assert caught.value is error
    assert repr(error.__cause__) == "TypeError('cause')"
    assert repr(error.__context__) == "KeyError('context')"
    assert error.__notes__ == ["a note"]


def test_the_tasklet_is_dead_and_the_others_stay_queued():
    log = []
    t = tasklet(outer)(ValueError("text"))
    tasklet(log.append)("b")
    with pytest.raises(ValueError, match="text"):
        stackless.run()
    assert (t.alive, log, stackless.getruncount()) == (False, [], 2)
    stackless.run()
    assert log == ["b"]


def test_main_is_taken_off_a_channel_to_get_the_exception():
    c = channel()
    tasklet(outer)(ValueError("text"))
    with pytest.raises(ValueError, match="text"):
        c.receive()
    assert (c.balance, c.queue, stackless.getmain().blocked) == (0, None, False)


def test_main_gets_it_before_everybody_else():
    log = []
    tasklet(outer)(ValueError("text"))
    tasklet(log.append)("b")
    with pytest.raises(ValueError, match="text"):
        stackless.schedule()
    log.append("main")
    stackless.run()
    assert log == ["main", "b"]


def test_two_tasklets_fail_one_after_the_other():
    tasklet(outer)(ValueError("first"))
    tasklet(outer)(KeyError("second"))
    with pytest.raises(ValueError, match="first"):
        stackless.run()
    with pytest.raises(KeyError, match="second"):
        stackless.run()


def test_tasklet_exit_is_silent():
    log = []
    tasklet(outer)(TaskletExit("silent"))
    tasklet(log.append)("b")
    stackless.run()
    assert log == ["b"]


def test_an_uncaught_exception_of_a_thread_comes_out_there():
    def thread():
        tasklet(outer)(ValueError("there"))
        with pytest.raises(ValueError, match="there"):
            stackless.run()
        return "survived"

    assert in_thread(thread) == "survived"


def test_system_exit_on_another_thread_is_swallowed():
    def thread():
        log = []
        tasklet(outer)(SystemExit(7))
        tasklet(log.append)("b")
        stackless.run()
        return log

    assert in_thread(thread) == ["b"]


WAYS_TO_WAIT = {
    "run": "stackless.run()",
    "schedule": "stackless.schedule()",
    "receive": "stackless.channel().receive()",
    "remove": "stackless.schedule_remove()",
    "nested": "stackless.tasklet(stackless.run)(); stackless.run()",
}


@pytest.mark.parametrize("wait", WAYS_TO_WAIT)
def test_sys_exit_in_a_tasklet_ends_the_process_with_its_status(wait):
    done = run_child(f"""
        import atexit, stackless, sys
        atexit.register(print, "atexit")
        stackless.tasklet(sys.exit)(7)
        {WAYS_TO_WAIT[wait]}
        print("main went on")
    """)
    assert (done.returncode, done.stdout, done.stderr) == (7, "atexit\n", "")


@pytest.mark.parametrize(
    ("code", "status", "stderr"),
    [("", 0, ""), ("None", 0, ""), ("0", 0, ""), ("3", 3, ""), ("'text'", 1, "text\n")],
)
def test_every_code_of_sys_exit_means_what_it_means_at_top_level(code, status, stderr):
    done = run_child(f"""
        import stackless, sys
        def leave():
            sys.exit({code})
        stackless.tasklet(leave)()
        stackless.run()
        print("main went on")
    """)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", stderr)


def test_sys_exit_runs_the_cleanup_of_main_and_of_the_other_tasklets():
    done = run_child("""
        import stackless, sys
        def waiter():
            try:
                stackless.channel().receive()
            finally:
                print("tasklet's cleanup")
        stackless.tasklet(waiter)()
        stackless.run()
        stackless.tasklet(sys.exit)(7)
        try:
            stackless.run()
        finally:
            print("main's cleanup")
    """)
    assert (done.returncode, done.stderr) == (7, "")
    assert sorted(done.stdout.splitlines()) == ["main's cleanup", "tasklet's cleanup"]


def test_sys_exit_leaves_seven_though_main_catches_everything():
    done = run_child("""
        import stackless, sys
        stackless.tasklet(sys.exit)(7)
        try:
            stackless.run()
        except BaseException:
            pass
    """)
    assert done.returncode == 7


def test_an_uncaught_exception_ends_the_process_with_a_whole_traceback():
    done = run_child("""
        import stackless
        def inner():
            raise ValueError("uncaught")
        def outer():
            inner()
        stackless.tasklet(outer)()
        stackless.run()
    """)
    assert done.returncode == 1
    names = [line.rpartition(" in ")[2] for line in done.stderr.splitlines() if ", in " in line]
    assert names == ["<module>", "outer", "inner"]
    assert done.stderr.endswith("ValueError: uncaught\n")
