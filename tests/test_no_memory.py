"""Memory runs out: somebody gets a MemoryError, nothing is lost, and all works afterwards."""

from __future__ import annotations

import os

import pytest
from support import child_lines

# The program stays clear of two faults of stock CPython: a function that can't be made costs a
# reference to its code object (3.12), and a specialised list.append() that fails one to its
# argument (3.15).
EVERY_ALLOCATION = """
import _testcapi, gc, stackless
from stackless import channel, tasklet

log = []


def worker(requests, answers, number):
    try:
        for _ in range(2):
            answers.send((number, requests.receive()))
            stackless.schedule()
    finally:
        log.extend([number])


def collect(answers, got):
    for _ in range(6):
        got.extend([answers.receive()])


def nap():
    stackless.sleep(0)


def fail(requests):
    requests.send_exception(KeyError, 1)


def program():
    log.clear()
    requests, answers, got = channel(), channel(), []
    for number in range(3):
        tasklet(worker)(requests, answers, number)
    stackless.run()
    tasklet(collect)(answers, got)
    for number in range(6):
        requests.send(number)
    with stackless.timeout(60):
        stackless.run()
    killed = tasklet(requests.receive)()
    killed.run()
    killed.kill()
    tasklet(nap)()
    stackless.run()
    try:
        with stackless.timeout(0):
            requests.receive()
    except TimeoutError:
        got.extend(["timed out"])
    tasklet(fail)(requests)
    try:
        requests.receive()
    except KeyError:
        got.extend(["failed"])
    try:
        requests.receive()
    except RuntimeError:
        got.extend(["deadlock"])
    return got, list(log)


wanted = program()
successes = failures = 0
allocation = 0
while successes < 30:
    allocation += 1
    try:
        _testcapi.set_nomemory(allocation, allocation + 1)
        result = program()
        _testcapi.remove_mem_hooks()
        assert result == wanted, (allocation, result)
        successes += 1
    except MemoryError:
        _testcapi.remove_mem_hooks()
        successes = 0
        failures += 1
    while stackless.runcount > 1:
        try:
            stackless.run()
        except (Exception, SystemExit):
            pass
    gc.collect()  # of those that nobody can reach any more each runs its `finally`
    assert program() == wanted, allocation
assert failures > 30, failures
print("failures survived")
"""


def test_any_one_allocation_may_fail():
    pytest.importorskip("_testcapi")
    # The standard pickler doesn't survive each of them, so it isn't for STACKLESS_TORTURE=pickle.
    torture = "1" if os.environ.get("STACKLESS_TORTURE") else ""
    lines = child_lines(EVERY_ALLOCATION, env={"STACKLESS_TORTURE": torture})
    assert lines == ["failures survived"]


NO_STACK = """
import resource, stackless
from stackless import tasklet

done = []
gate = stackless.channel()


def wait(number):
    # Called by C code, it can't be frozen.
    try:
        sorted([number], key=lambda number: gate.receive())
    finally:
        done.append(number)


with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), resource.RLIM_INFINITY))
made = []
failures = 0
for number in range(2000):
    made.append(tasklet(wait)(number))
while stackless.runcount > 1:
    try:
        stackless.run()
    except MemoryError:
        failures += 1
        blocked = -gate.balance
        assert 10 < blocked < 2000, blocked
        # The stacks that come back are enough for those who found none.
        for _ in range(blocked):
            gate.send(None)
while gate.balance < 0:
    gate.send(None)
stackless.run()
assert failures > 0
assert sorted(done) == list(range(2000))
assert not any(t.alive for t in made)
print("nothing lost")
"""


def test_no_memory_for_another_stack():
    assert child_lines(NO_STACK) == ["nothing lost"]
