"""What several test files need: child interpreters and threads with a time limit."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time

# Long enough for a loaded machine with sanitizers; a test that needs it has already failed.
CHILD_LIMIT = 180
THREAD_LIMIT = int(os.environ.get("STACKLESS_TEST_THREAD_LIMIT", "120"))


def run_child(source, *args, options=(), env=None, stdin=None):
    """Run `source` in a new interpreter and return its CompletedProcess (text)."""
    command = [sys.executable, "-X", "faulthandler", *options, "-c", textwrap.dedent(source), *args]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=CHILD_LIMIT,
        env={**os.environ, **(env or {})},
        input=stdin,
        check=False,
    )


def child_lines(source, *args, options=(), env=None):
    """Run `source` in a new interpreter that must succeed in silence; return what it printed."""
    done = run_child(source, *args, options=options, env=env)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.splitlines()


class Thread(threading.Thread):
    """A thread whose join() fails when it takes too long and raises what the thread raised."""

    def __init__(self, target, *args):
        super().__init__(daemon=True)
        self._call = (target, args)
        self.error = None
        self.result = None

    def run(self):
        target, args = self._call
        try:
            self.result = target(*args)
        except BaseException as error:
            self.error = error
        finally:
            del self._call, target, args

    def join(self, timeout=THREAD_LIMIT):
        super().join(timeout)
        assert not self.is_alive(), "the thread neither ended nor failed: a lost wake-up?"
        if self.error is not None:
            raise self.error
        return self.result


def start_thread(target, *args):
    """Start `target(*args)` in a thread."""
    thread = Thread(target, *args)
    thread.start()
    return thread


def in_thread(target, *args):
    """Run `target(*args)` in a thread of its own and return its result."""
    return start_thread(target, *args).join()


def wait_for(event):
    """Wait for a threading.Event or fail."""
    assert event.wait(THREAD_LIMIT), "the event was never set"


def wait_until(condition):
    """Let other threads run until condition() holds; fail after very long."""
    deadline = time.monotonic() + THREAD_LIMIT
    tries = 0
    while not condition():
        tries += 1
        time.sleep(0 if tries < 1000 else 0.002)
        assert time.monotonic() < deadline, "the condition never came true"


def frame_names(error):
    """The names of the functions in an exception's traceback, outermost first."""
    names = []
    tb = error.__traceback__
    while tb is not None:
        names.append(tb.tb_frame.f_code.co_name)
        tb = tb.tb_next
    return names
