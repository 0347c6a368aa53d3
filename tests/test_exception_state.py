"""The exception being handled belongs to a tasklet: sys.exc_info(), bare raise, __context__."""

from __future__ import annotations

import contextlib
import gc
import sys

import pytest
import stackless
from stackless import channel, tasklet


def handled():
    """The type of the exception being handled, by name."""
    error_type = sys.exc_info()[0]
    return error_type and error_type.__name__


def test_a_handled_exception_is_not_seen_by_other_tasklets():
    log = []

    def handles(error_type):
        try:
            raise error_type
        except error_type:
            for _ in range(3):
                stackless.schedule()
                log.append((error_type.__name__, handled()))
        log.append((error_type.__name__, handled()))

    def plain():
        for _ in range(4):
            log.append(("plain", handled()))
            stackless.schedule()

    tasklet(handles)(ValueError)
    tasklet(plain)()
    tasklet(handles)(KeyError)
    stackless.run()
    assert [seen for name, seen in log if name == "plain"] == [None] * 4
    assert [seen for name, seen in log if name == "ValueError"] == ["ValueError"] * 3 + [None]
    assert [seen for name, seen in log if name == "KeyError"] == ["KeyError"] * 3 + [None]


def test_a_tasklet_created_and_run_inside_an_except_block_starts_with_none():
    log = []

    def child():
        log.append(handled())
        with pytest.raises(RuntimeError, match="No active exception"):
            raise

    try:
        raise ValueError
    except ValueError:
        tasklet(child)()
        stackless.run()
        log.append(handled())
    assert log == [None, "ValueError"]


def test_a_bare_raise_after_a_switch_raises_the_tasklets_own_exception():
    log = []

    def handles(error_type):
        try:
            try:
                raise error_type(error_type.__name__)
            except error_type:
                stackless.schedule()
                raise
        except Exception as error:
            log.append(str(error))

    for error_type in (ValueError, KeyError, OSError):
        tasklet(handles)(error_type)
    stackless.run()
    assert log == ["ValueError", "'KeyError'", "OSError"]


def test_a_new_exception_gets_no_context_from_another_tasklet():
    errors = {}

    def handles():
        try:
            raise ValueError("being handled here")
        except ValueError:
            stackless.schedule()
            try:
                raise LookupError
            except LookupError as error:
                errors["with"] = error

    def raises():
        try:
            raise KeyError
        except KeyError as error:
            errors["without"] = error

    tasklet(handles)()
    tasklet(raises)()
    stackless.run()
    assert errors["without"].__context__ is None
    assert repr(errors["with"].__context__) == "ValueError('being handled here')"


def test_the_uncaught_exception_of_a_tasklet_keeps_its_own_context_only():
    def fails():
        raise KeyError("uncaught")

    tasklet(fails)()
    try:
        raise ValueError("handled by main")
    except ValueError:
        with pytest.raises(KeyError) as caught:
            stackless.run()
        assert handled() == "ValueError"
    assert caught.value.__context__ is None or "handled by main" in str(caught.value.__context__)


def test_nested_handlers_survive_switches_on_every_level():
    log = []

    def handles(name):
        try:
            raise ValueError(name)
        except ValueError:
            stackless.schedule()
            try:
                raise KeyError(name)
            except KeyError:
                stackless.schedule()
                log.append((name, str(sys.exc_info()[1])))
            stackless.schedule()
            log.append((name, str(sys.exc_info()[1])))
        stackless.schedule()
        log.append((name, sys.exc_info()[1]))

    for name in "ab":
        tasklet(handles)(name)
    stackless.run()
    assert log == [
        ("a", "'a'"),
        ("b", "'b'"),
        ("a", "a"),
        ("b", "b"),
        ("a", None),
        ("b", None),
    ]


def test_an_exception_in_a_generator_belongs_to_whoever_runs_the_generator():
    log = []

    def generator():
        try:
            raise ValueError
        except ValueError:
            while True:
                log.append(handled())
                stackless.schedule()
                log.append(handled())
                yield

    def consume(items):
        next(items)
        log.append(handled())
        next(items)
        log.append(handled())

    tasklet(consume)(generator())
    tasklet(consume)(generator())
    stackless.run()
    assert log[:4] == ["ValueError"] * 3 + [None]
    assert log.count(None) == 4
    assert log.count("ValueError") == 8


def test_a_switch_inside_a_generator_inside_an_except_block():
    log = []

    def generator():
        log.append(("generator", handled()))
        try:
            raise KeyError
        except KeyError:
            stackless.schedule()
            log.append(("generator", handled()))
            yield 1
        log.append(("generator", handled()))

    def consume():
        try:
            raise ValueError
        except ValueError:
            for _ in generator():
                stackless.schedule()
                log.append(("consumer", handled()))

    tasklet(consume)()
    tasklet(lambda: log.append(("other", handled())))()
    stackless.run()
    assert log == [
        ("generator", "ValueError"),
        ("other", None),
        ("generator", "KeyError"),
        ("consumer", "ValueError"),
        ("generator", "ValueError"),
    ]


def test_a_generator_that_died_with_its_exception_leaves_nothing_behind():
    log = []

    def generator():
        try:
            raise KeyError
        except KeyError:
            stackless.schedule()
            yield

    def consume():
        items = generator()
        next(items)
        del items
        gc.collect()
        stackless.schedule()
        log.append(handled())

    tasklet(consume)()
    tasklet(consume)()
    stackless.run()
    assert log == [None, None]


def test_an_exception_thrown_by_a_handler_does_not_carry_the_throwers_context():
    caught = []

    def waits():
        try:
            stackless.schedule_remove()
        except LookupError as error:
            caught.append((repr(error.__context__), handled()))

    t = tasklet(waits)()
    t.run()
    try:
        raise ValueError("of the thrower")
    except ValueError:
        t.throw(LookupError)
        assert handled() == "ValueError"
    assert caught == [("None", "LookupError")]


def test_a_kill_inside_an_except_block_leaves_both_sides_alone():
    log = []

    def waits():
        try:
            raise KeyError
        except KeyError:
            try:
                stackless.schedule_remove()
            finally:
                log.append(handled())

    t = tasklet(waits)()
    t.run()
    try:
        raise ValueError
    except ValueError:
        t.kill()
        log.append(handled())
    assert log == ["TaskletExit", "ValueError"]


def test_channels_inside_except_blocks():
    log = []
    c = channel()

    def receiver():
        try:
            raise KeyError
        except KeyError:
            c.receive()
            log.append(handled())

    tasklet(receiver)()
    stackless.run()
    try:
        raise ValueError
    except ValueError:
        c.send(None)
        log.append(handled())
    assert log == ["KeyError", "ValueError"]


def test_context_managers_see_the_exception_of_their_own_tasklet():
    log = []

    @contextlib.contextmanager
    def manager(name):
        try:
            yield
        except Exception as error:
            stackless.schedule()
            log.append((name, type(error).__name__, handled()))

    def work(name, error_type):
        with manager(name):
            stackless.schedule()
            raise error_type
        log.append((name, handled()))

    tasklet(work)("a", ValueError)
    tasklet(work)("b", KeyError)
    stackless.run()
    assert log == [
        ("a", "ValueError", "ValueError"),
        ("a", None),
        ("b", "KeyError", "KeyError"),
        ("b", None),
    ]


def test_the_end_of_a_tasklet_leaves_the_handled_exception_of_its_caller():
    def ends():
        with contextlib.suppress(KeyError):
            raise KeyError

    try:
        raise ValueError
    except ValueError:
        for _ in range(10):
            tasklet(ends)()
            stackless.run()
        assert handled() == "ValueError"
    assert handled() is None


def test_exception_groups_are_handled_per_tasklet():
    log = []

    def work(name):
        try:
            raise ExceptionGroup(name, [ValueError(name), KeyError(name)])
        except* ValueError as group:
            stackless.schedule()
            log.append((name, "V", group.message, handled()))
        except* KeyError as group:
            stackless.schedule()
            log.append((name, "K", group.message, handled()))

    tasklet(work)("a")
    tasklet(work)("b")
    stackless.run()
    assert log == [
        ("a", "V", "a", "ExceptionGroup"),
        ("b", "V", "b", "ExceptionGroup"),
        ("a", "K", "a", "ExceptionGroup"),
        ("b", "K", "b", "ExceptionGroup"),
    ]
