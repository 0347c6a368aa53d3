"""set_error_handler(): the last stop of an uncaught exception inside its tasklet."""

from __future__ import annotations

import pytest
import stackless
from stackless import channel, tasklet
from support import frame_names


@pytest.fixture
def handled():
    """What an installed handler was given."""
    seen = []
    stackless.set_error_handler(lambda *arguments: seen.append(arguments))
    yield seen
    stackless.set_error_handler(None)


def fail(error=ValueError):
    raise error


def test_the_setter_returns_the_previous_handler():
    def first(*_arguments):
        pass

    def second(*_arguments):
        pass

    assert stackless.set_error_handler(first) is None
    assert stackless.set_error_handler(second) is first
    assert stackless.set_error_handler() is second
    assert stackless.set_error_handler(None) is None


@pytest.mark.parametrize("wrong", [1, "handler", object()])
def test_a_handler_must_be_callable(wrong):
    with pytest.raises(TypeError):
        stackless.set_error_handler(wrong)
    assert stackless.set_error_handler() is None


def test_a_handled_exception_lets_the_others_go_on(handled):
    log = []
    tasklet(log.append)("a")
    t = tasklet(fail)()
    tasklet(log.append)("b")
    stackless.run()
    assert (log, t.alive) == (["a", "b"], False)
    assert len(handled) == 1


def test_the_handler_gets_type_value_and_traceback(handled):
    tasklet(fail)(ValueError("text"))
    stackless.run()
    [(error_type, value, tb)] = handled
    assert (error_type, value.args) == (ValueError, ("text",))
    assert value.__traceback__ is tb
    assert frame_names(value) == ["fail"]


def test_the_handler_runs_in_the_dying_tasklet():
    seen = []

    def handler(*_arguments):
        current = stackless.getcurrent()
        seen.append((current, current.alive, current.is_current))

    stackless.set_error_handler(handler)
    t = tasklet(fail)()
    stackless.run()
    stackless.set_error_handler(None)
    assert seen == [(t, True, True)]


def test_a_handler_that_raises_replaces_the_exception():
    def handler(_type, value, _traceback):
        raise KeyError("from the handler") from value

    stackless.set_error_handler(handler)
    tasklet(fail)()
    with pytest.raises(KeyError, match="from the handler") as caught:
        stackless.run()
    stackless.set_error_handler(None)
    assert type(caught.value.__cause__) is ValueError


def test_a_handler_may_raise_the_same_exception_again():
    def handler(_type, value, _traceback):
        raise value

    stackless.set_error_handler(handler)
    tasklet(fail)()
    with pytest.raises(ValueError):
        stackless.run()
    stackless.set_error_handler(None)


def test_the_handler_may_switch():
    log = []

    def handler(*_arguments):
        log.append("handler>")
        stackless.schedule()
        log.append("<handler")

    stackless.set_error_handler(handler)
    tasklet(fail)()
    tasklet(log.append)("b")
    stackless.run()
    stackless.set_error_handler(None)
    assert log == ["handler>", "b", "<handler"]


def test_the_handler_may_send_the_exception_to_a_supervisor():
    c = channel()
    stackless.set_error_handler(lambda _type, value, _traceback: c.send(value))
    tasklet(fail)(KeyError("for the supervisor"))
    error = c.receive()
    stackless.set_error_handler(None)
    stackless.run()
    assert repr(error) == "KeyError('for the supervisor')"


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, StopIteration, Exception])
def test_the_handler_gets_every_kind_of_exception(handled, error):
    tasklet(fail)(error)
    stackless.run()
    assert [call[0] for call in handled] == [error]


def test_the_handler_does_not_get_tasklet_exit(handled):
    tasklet(fail)(TaskletExit)
    t = tasklet(stackless.schedule_remove)()
    stackless.run()
    t.kill()
    assert handled == []


def test_the_handler_does_not_get_the_exceptions_of_main(handled):
    with pytest.raises(ValueError):
        fail()
    assert handled == []


def test_the_handler_gets_an_exception_thrown_into_a_tasklet_that_never_ran(handled):
    t = tasklet(int)()
    t.throw(ValueError, "thrown")
    assert [(call[0], call[1].args) for call in handled] == [(ValueError, ("thrown",))]
    assert not t.alive


def test_the_handler_at_the_time_of_the_death_counts(handled):
    late = []
    tasklet(fail)()
    stackless.set_error_handler(lambda *arguments: late.append(arguments))
    stackless.run()
    assert (len(handled), len(late)) == (0, 1)
