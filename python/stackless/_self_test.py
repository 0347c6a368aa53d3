"""What is tried when stackless is imported: whether switching works in this interpreter at all.

The extension relies on CPython's internals, which it was compiled for. Offsets are compared where
CPython publishes them (3.13+); this tries the rest: frames, the data stack, the exception being
handled, generators and recursion must belong to the tasklet after a switch.
"""

from __future__ import annotations

import sys

from stackless._stackless import channel, schedule, tasklet


def _numbers(count):
    for number in range(count):
        schedule()
        yield number


def _descend(depth):
    if depth:
        return 1 + _descend(depth - 1)
    schedule()
    return 0


def _worker(name, results):
    try:
        raise KeyError(name)
    except KeyError as error:
        schedule()
        own = sys.exc_info()[1] is error
    results.send((name, own, sum(_numbers(5)), _descend(30)))


def check() -> None:
    """Switch between two tasklets and raise ImportError if anything got mixed up."""
    before = sys.exc_info()[1]
    results = channel()
    expected = [("a", True, 10, 30), ("b", True, 10, 30)]
    for name, *_ in expected:
        tasklet(_worker)(name, results)
    got = sorted(results.receive() for _ in expected)
    schedule()
    if got != expected or sys.exc_info()[1] is not before:
        raise ImportError(
            f"stackless does not work in this build of CPython {sys.version}: switching between "
            f"two tasklets gave {got}. Please report it, with where this interpreter comes from."
        )
