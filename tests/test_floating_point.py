"""The floating-point environment belongs to a tasklet."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform

import pytest
import stackless
from stackless import channel, tasklet

MODES = {
    "x86_64": {"nearest": 0, "down": 0x400, "up": 0x800, "zero": 0xC00},
    "aarch64": {"nearest": 0, "up": 0x400000, "down": 0x800000, "zero": 0xC00000},
}.get(platform.machine())

pytestmark = pytest.mark.skipif(MODES is None, reason="no table of rounding modes")

libm = ctypes.CDLL(ctypes.util.find_library("m"))


def set_mode(name):
    assert libm.fesetround(MODES[name]) == 0


def mode():
    return next(name for name, value in MODES.items() if value == libm.fegetround())


def third(one=1.0, three=3.0):
    """1/3 as the current rounding mode has it."""
    return one / three


@pytest.fixture(autouse=True)
def nearest_mode():
    yield
    set_mode("nearest")


def test_every_tasklet_has_a_rounding_mode_of_its_own():
    log = []

    def work(name):
        set_mode(name)
        for _ in range(3):
            stackless.schedule()
            log.append((name, mode()))

    for name in MODES:
        tasklet(work)(name)
    stackless.run()
    assert log == [(name, name) for name in MODES] * 3
    assert mode() == "nearest"


def test_the_mode_governs_the_tasklets_own_arithmetic():
    results = {}

    def work(name):
        set_mode(name)
        stackless.schedule()
        results[name] = third()
        set_mode("nearest")

    for name in MODES:
        tasklet(work)(name)
    stackless.run()
    assert results["down"] < results["up"]
    assert results["zero"] == results["down"]
    assert third() in (results["down"], results["up"])
    assert results["nearest"] == third()


def test_the_end_of_a_tasklet_leaves_the_mode_of_the_others():
    tasklet(set_mode)("up")
    stackless.run()
    assert mode() == "nearest"


def test_main_keeps_its_mode_while_others_run():
    seen = []
    t = tasklet(lambda: (set_mode("down"), stackless.schedule_remove(), seen.append(mode())))()
    stackless.run()
    set_mode("zero")
    t.run()
    assert seen == ["down"]
    assert mode() == "zero"


def test_a_kill_and_a_message_switch_the_mode_too():
    seen = []
    c = channel()

    def receives():
        set_mode("up")
        c.receive()
        seen.append(mode())
        try:
            stackless.schedule_remove()
        finally:
            seen.append(mode())

    t = tasklet(receives)()
    stackless.run()
    c.send(None)
    stackless.run()
    t.kill()
    assert seen == ["up", "up"]
    assert mode() == "nearest"
