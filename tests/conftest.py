"""Every test leaves the runtime as it found it, or fails and leaves it clean for the next."""

from __future__ import annotations

import faulthandler
import gc
import os
import signal

import pytest
import stackless
from stackless import socket

# A test that takes longer hangs. The process ends with all stacks printed: better than a silent CI.
HANG_LIMIT = 600


def pytest_configure(config):
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        config.stackless_stderr = os.fdopen(os.dup(2), "w")
    # Who is started in the background (by a shell's &, by many a CI) ignores SIGINT, and so do its
    # children: those that are to be interrupted would never end.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def small_heap():
    # Each test ends with a collection, which need not look at pytest itself and at what it keeps of
    # the tests before: most of the heap.
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config):
    config.stackless_stderr.close()


def restore():
    """Put the calling thread's runtime back to its first state; say what was wrong with it."""
    wrong = []
    if (trap := stackless.switch_trap()) != 0:
        wrong.append(f"switch_trap is {trap}")
        stackless.switch_trap(-trap)
    if (callback := stackless.get_schedule_callback()) is not None:
        wrong.append(f"schedule callback {callback!r} is set")
        stackless.set_schedule_callback(None)
    if (callback := stackless.get_channel_callback()) is not None:
        wrong.append(f"channel callback {callback!r} is set")
        stackless.set_channel_callback(None)
    if (handler := stackless.set_error_handler(None)) is not None:
        wrong.append(f"error handler {handler!r} is set")
    current = stackless.getcurrent()
    if current is not stackless.getmain():
        wrong.append("the current tasklet is not the main tasklet")
    if current.block_trap:
        wrong.append("block_trap is set")
        current.block_trap = False
    if current.tempval is not None:
        wrong.append(f"the tempval is {current.tempval!r}")
        current.tempval = None
    if (runcount := stackless.getruncount()) != 1:
        wrong.append(f"runcount is {runcount}")
        while stackless.getruncount() > 1:
            current.next.remove()
    gc.collect()
    if gc.garbage:
        wrong.append(f"uncollectable: {gc.garbage!r}")
        del gc.garbage[:]
    return wrong


@pytest.fixture(autouse=True)
def clean_runtime(request):
    faulthandler.dump_traceback_later(
        HANG_LIMIT, exit=True, file=request.config.stackless_stderr.fileno()
    )
    yield
    faulthandler.cancel_dump_traceback_later()
    wrong = restore()
    if wrong:
        pytest.fail("the test left the runtime unclean: " + "; ".join(wrong), pytrace=False)


@pytest.fixture
def pair():
    first, second = socket.socketpair()
    with first, second:
        yield first, second


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server
