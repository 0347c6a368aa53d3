"""Signal handlers: in which tasklet they run, and what becomes of what they raise."""

from __future__ import annotations

import os
import signal
import threading

import pytest
import stackless
from stackless import channel, tasklet
from support import child_lines, start_thread, wait_until

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs POSIX signals")


@pytest.fixture
def handle():
    """Install a handler for SIGUSR1 for one test."""
    old = signal.getsignal(signal.SIGUSR1)
    yield lambda handler: signal.signal(signal.SIGUSR1, handler)
    signal.signal(signal.SIGUSR1, old)


@pytest.fixture
def interruptible():
    """The default handling of Ctrl-C."""
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, old)


def signal_when(condition, number, then=None):
    """In a thread: wait for `condition`, signal the process, perhaps do something more."""

    def body():
        wait_until(condition)
        os.kill(os.getpid(), number)
        if then is not None:
            then()

    return start_thread(body)


def test_a_handler_runs_in_the_running_tasklet(handle):
    seen = []
    handle(lambda *_: seen.append(stackless.getcurrent()))

    def work():
        signal.raise_signal(signal.SIGUSR1)

    t = tasklet(work)()
    stackless.run()
    signal.raise_signal(signal.SIGUSR1)
    assert seen == [t, stackless.getmain()]


def test_what_a_handler_raises_comes_out_of_the_running_tasklet(handle):
    log = []

    def handler(*_arguments):
        raise ValueError("from the handler")

    handle(handler)

    def work():
        try:
            signal.raise_signal(signal.SIGUSR1)
        except ValueError as error:
            log.append(str(error))

    tasklet(work)()
    stackless.run()
    assert log == ["from the handler"]
    tasklet(signal.raise_signal)(signal.SIGUSR1)
    with pytest.raises(ValueError, match="from the handler"):
        stackless.run()


def test_ctrl_c_in_a_running_tasklet_is_raised_in_it(interruptible):
    log = []

    def work():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            log.append("caught")
        signal.raise_signal(signal.SIGINT)

    tasklet(work)()
    tasklet(log.append)("neighbour")
    with pytest.raises(KeyboardInterrupt):
        stackless.run()
    assert log == ["caught"]
    stackless.run()
    assert log == ["caught", "neighbour"]


@pytest.mark.parametrize("operation", ["receive", "send"])
def test_ctrl_c_gets_a_blocked_main_out_of_its_channel(interruptible, operation):
    c = channel()
    ended = threading.Event()
    thread = signal_when(lambda: c.balance != 0, signal.SIGINT, ended.wait)
    with pytest.raises(KeyboardInterrupt):
        c.send(1) if operation == "send" else c.receive()
    ended.set()
    thread.join()
    main = stackless.getmain()
    assert (c.balance, c.queue, main.blocked, main.scheduled) == (0, None, False, True)


def test_ctrl_c_gets_a_main_out_that_waits_while_a_tasklet_is_blocked(interruptible):
    c, d = channel(), channel()
    ended = threading.Event()
    t = tasklet(d.receive)()
    thread = signal_when(lambda: c.balance and d.balance, signal.SIGINT, ended.wait)
    with pytest.raises(KeyboardInterrupt):
        c.receive()
    ended.set()
    thread.join()
    assert (c.balance, t.blocked) == (0, True)
    t.kill()


def test_ctrl_c_gets_out_of_a_run_that_waits_for_other_threads(interruptible):
    c = channel()
    ended = threading.Event()
    t = tasklet(c.receive)()
    thread = signal_when(lambda: c.balance == -1, signal.SIGINT, ended.wait)
    with pytest.raises(KeyboardInterrupt):
        stackless.run(threadblock=True)
    ended.set()
    thread.join()
    assert (t.blocked, stackless.getmain().scheduled, stackless.getruncount()) == (True, True, 1)
    t.kill()


@pytest.mark.skipif(not hasattr(stackless, "sleep"), reason="waiting for time comes later")
def test_ctrl_c_gets_out_of_a_run_that_waits_for_time(interruptible):
    t = tasklet(stackless.sleep)(1000)
    thread = signal_when(lambda: t.blocked, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        stackless.run()
    thread.join()
    assert t.blocked
    t.kill()


def test_a_handler_that_returns_lets_the_wait_go_on(handle):
    seen = []
    c = channel()
    handle(lambda *_: seen.append(stackless.getcurrent() is stackless.getmain()))

    def deliver():
        wait_until(lambda: seen)
        c.send("after the signal")

    thread = signal_when(lambda: c.balance == -1, signal.SIGUSR1, deliver)
    assert c.receive() == "after the signal"
    thread.join()
    assert seen == [True]


def test_many_signals_during_one_wait(handle):
    seen = []
    c = channel()
    handle(lambda *_: seen.append(None))

    def body():
        for i in range(50):
            os.kill(os.getpid(), signal.SIGUSR1)
            wait_until(lambda i=i: len(seen) > i)
        c.send("end")

    thread = start_thread(body)
    assert c.receive() == "end"
    thread.join()
    assert len(seen) == 50


def test_switching_in_a_handler_is_refused_while_main_waits(handle):
    errors = []
    c = channel()
    paused = tasklet(stackless.schedule_remove)()
    stackless.run()

    def handler(*_arguments):
        try:
            paused.run()
        except RuntimeError as error:
            errors.append(error)

    def deliver():
        wait_until(lambda: errors)
        c.send("end")

    handle(handler)
    thread = signal_when(lambda: c.balance == -1, signal.SIGUSR1, deliver)
    assert c.receive() == "end"
    thread.join()
    assert len(errors) == 1
    assert paused.paused
    paused.kill()


@pytest.mark.parametrize("switch", [stackless.schedule, stackless.schedule_remove])
def test_switching_in_a_handler_is_refused_while_a_tasklet_runs(handle, switch):
    errors = []

    def handler(*_arguments):
        with pytest.raises(RuntimeError, match="signal handler") as caught:
            switch()
        errors.append(caught.value)

    def work():
        signal.raise_signal(signal.SIGUSR1)
        stackless.schedule()  # which is possible again

    handle(handler)
    other = tasklet(stackless.schedule)()
    t = tasklet(work)()
    stackless.run()
    assert len(errors) == 1
    assert not (t.alive or other.alive)


def test_the_program_sees_the_handlers_it_has_set(handle):
    def handler(*_arguments):
        pass

    handle(handler)
    assert signal.getsignal(signal.SIGUSR1) is handler
    assert signal.signal(signal.SIGUSR1, signal.SIG_IGN) is handler
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(TypeError):
        signal.signal(signal.SIGUSR1, "handler")


def test_a_handler_set_before_the_import_is_wrapped_too():
    lines = child_lines("""
        import signal
        def handler(*_arguments):
            try:
                stackless.schedule()
            except RuntimeError as error:
                print(error)
        signal.signal(signal.SIGUSR1, handler)
        import stackless
        stackless.tasklet(print)("after")
        signal.raise_signal(signal.SIGUSR1)
        print(signal.getsignal(signal.SIGUSR1) is handler)
        stackless.run()
    """)
    assert lines == [
        "no switch is possible inside a callback or a signal handler",
        "True",
        "after",
    ]


def test_a_handler_may_create_tasklets_that_run_afterwards(handle):
    log = []

    def handler(*_arguments):
        tasklet(log.append)("created in the handler")
        log.append("handler")

    def work():
        signal.raise_signal(signal.SIGUSR1)
        log.append("work")

    handle(handler)
    tasklet(work)()
    stackless.run()
    assert log == ["handler", "work", "created in the handler"]


def test_a_handler_that_makes_a_tasklet_runnable_ends_the_wait(handle):
    log = []
    c = channel()

    def work():
        log.append("work")
        c.send("woken")

    ended = threading.Event()
    handle(lambda *_: tasklet(work)())
    thread = signal_when(lambda: c.balance == -1, signal.SIGUSR1, ended.wait)
    assert c.receive() == "woken"
    ended.set()
    thread.join()
    stackless.run()
    assert log == ["work"]


def test_a_handler_does_not_disturb_a_handled_exception(handle):
    log = []

    def handler(*_arguments):
        try:
            raise KeyError
        except KeyError:
            log.append("handler")

    def work():
        try:
            raise ValueError
        except ValueError as error:
            signal.raise_signal(signal.SIGUSR1)
            stackless.schedule()
            log.append(repr(error.__context__))
            raise

    handle(handler)
    tasklet(work)()
    with pytest.raises(ValueError):
        stackless.run()
    assert log == ["handler", "None"]
