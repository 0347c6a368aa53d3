"""Generators, coroutines and context managers that are half-way when their tasklet switches."""

from __future__ import annotations

import contextlib

import pytest
import stackless
from stackless import channel, tasklet


def together(*functions):
    """Run the functions in tasklets of their own until all have ended."""
    tasklets = [tasklet(function)() for function in functions]
    stackless.run()
    assert not any(t.alive for t in tasklets)


def test_a_generator_that_runs_in_one_tasklet_can_not_be_run_by_another():
    log = []

    def generator():
        yield 1
        stackless.schedule()
        yield 2

    items = generator()

    def runs():
        log.extend(items)

    def intrudes():
        for operation in (items.__next__, items.close, lambda: items.throw(KeyError)):
            with pytest.raises(ValueError, match="generator already executing"):
                operation()
        log.append("intruder")

    together(runs, intrudes)
    assert log == [1, "intruder", 2]


def test_a_generator_is_closed_by_another_tasklet_between_its_steps():
    log = []

    def generator():
        try:
            yield 1
            yield 2
        finally:
            log.append(stackless.getcurrent() is closer)

    items = generator()

    def runs():
        for item in items:
            log.append(item)
            stackless.schedule()

    first = tasklet(runs)()
    closer = tasklet(items.close)()
    stackless.run()
    assert log == [1, True]
    assert not first.alive


def test_a_generator_suspended_in_a_tasklet_outlives_its_last_outside_reference():
    log = []

    def generator():
        try:
            stackless.schedule_remove()
            yield 1
        finally:
            log.append("finally")

    def runs():
        log.extend(generator())

    t = tasklet(runs)()
    stackless.run()
    assert log == []
    t.run()
    assert log == [1, "finally"]


def test_killing_a_tasklet_inside_nested_generators_unwinds_them_from_the_inside():
    log = []

    def inner():
        try:
            yield stackless.schedule_remove()
        finally:
            log.append("inner")

    def outer():
        try:
            yield from inner()
        finally:
            log.append("outer")

    t = tasklet(lambda: list(outer()))()
    stackless.run()
    t.kill()
    assert log == ["inner", "outer"]


def test_coroutines_may_switch_tasklets():
    log = []

    async def coroutine(name):
        log.append(name)
        stackless.schedule()
        log.append(name + "'")
        return name

    async def awaits(name):
        return await coroutine(name)

    def drives(name):
        with pytest.raises(StopIteration) as stopped:
            awaits(name).send(None)
        log.append(stopped.value.value)

    together(lambda: drives("a"), lambda: drives("b"))
    assert log == ["a", "b", "a'", "a", "b'", "b"]


def test_async_generators_may_switch_tasklets():
    log = []

    async def generator(name):
        for i in range(2):
            stackless.schedule()
            yield f"{name}{i}"

    async def consume(name):
        async for item in generator(name):
            log.append(item)

    def drives(name):
        with contextlib.suppress(StopIteration):
            consume(name).send(None)

    together(lambda: drives("a"), lambda: drives("b"))
    assert log == ["a0", "b0", "a1", "b1"]


def test_a_context_manager_entered_in_one_tasklet_and_left_in_another():
    log = []
    c = channel()

    @contextlib.contextmanager
    def manager():
        log.append(("enter", stackless.getcurrent()))
        yield "value"
        log.append(("exit", stackless.getcurrent()))

    def enters():
        m = manager()
        assert m.__enter__() == "value"
        c.send(m)

    def leaves():
        c.receive().__exit__(None, None, None)

    first, second = tasklet(enters)(), tasklet(leaves)()
    stackless.run()
    assert log == [("enter", first), ("exit", second)]


def test_an_exit_stack_that_switches_on_every_step_out():
    log = []

    def works(name):
        with contextlib.ExitStack() as stack:
            for i in range(3):
                stack.callback(log.append, (name, i))
                stack.callback(stackless.schedule)
            raise_it = name == "b"
            if raise_it:
                stack.enter_context(contextlib.suppress(KeyError))
                raise KeyError

    together(lambda: works("a"), lambda: works("b"))
    assert sorted(log) == [(name, i) for name in "ab" for i in range(3)]
    assert [i for name, i in log if name == "a"] == [2, 1, 0]
