"""tasklet and channel as base classes."""

from __future__ import annotations

import pytest
import stackless
from stackless import channel, tasklet


class Named(tasklet):
    def __init__(self, function, name):
        super().__init__(function)
        self.name = name


class Slotted(tasklet):
    __slots__ = ("label",)


class Logged(channel):
    def __init__(self, log):
        super().__init__()
        self.log = log

    def send(self, value):
        self.log.append(("send", value))
        super().send(value)

    def receive(self):
        value = super().receive()
        self.log.append(("receive", value))
        return value


def test_a_subclass_has_attributes_of_its_own():
    log = []
    t = Named(log.append, "name")
    t("ran")
    stackless.run()
    assert (t.name, log) == ("name", ["ran"])


def test_a_subclass_may_use_slots():
    t = Slotted(int)
    t.label = "label"
    assert t.label == "label"
    with pytest.raises(AttributeError):
        t.other = 1


def test_the_current_tasklet_is_the_subclass_instance():
    log = []
    t = Named(lambda: log.append(stackless.getcurrent().name), "mine")
    t()
    stackless.run()
    assert log == ["mine"]


def test_new_does_not_need_init():
    class Late(tasklet):
        def __new__(cls, *arguments, **keywords):
            self = super().__new__(cls)
            self.arguments = (arguments, keywords)
            return self

        def __init__(self, *_arguments, **_keywords):
            pass

    t = Late(1, key=2)
    assert t.arguments == ((1,), {"key": 2})
    assert not t.alive
    log = []
    t.bind(log.append, ("ran",)).run()
    assert log == ["ran"]


def test_setup_and_call_may_be_overridden():
    log = []

    class Doubling(tasklet):
        def __call__(self, value):
            return super().__call__(value * 2)

    Doubling(log.append)(21)
    stackless.run()
    assert log == [42]


def test_a_subclass_with_a_finalizer():
    log = []

    class Final(tasklet):
        def __del__(self):
            log.append("finalized")

    Final(int)()
    stackless.run()
    assert log == ["finalized"]


def test_an_overridden_channel_method_is_what_callers_get():
    log = []
    c = Logged(log)
    tasklet(c.send)("value")
    stackless.run()
    assert c.receive() == "value"
    stackless.run()
    assert log == [("send", "value"), ("receive", "value")]


def test_iterating_and_sending_sequences_on_a_channel_subclass():
    class Plain(channel):
        pass

    c = Plain()
    c.label = "label"
    got = []

    def collect():
        for value in c:
            got.append(value)

    tasklet(collect)()
    stackless.run()
    assert c.send_sequence("ab") == 2
    c.send_exception(StopIteration)
    stackless.run()
    assert (got, c.label) == (["a", "b"], "label")


def test_a_channel_subclass_needs_no_new():
    class Arguments(channel):
        def __init__(self, first, *, second):
            self.both = (first, second)

    c = Arguments(1, second=2)
    assert c.both == (1, 2)
    assert (c.balance, c.preference) == (0, -1)


def test_the_types_can_be_named_and_described():
    for kind in (tasklet, channel):
        assert kind.__doc__
        assert kind.__name__ in ("tasklet", "channel")
        assert isinstance(kind, type)


def test_a_function_can_be_decorated_into_a_tasklet():
    log = []

    @tasklet
    def decorated(value):
        log.append(value)

    decorated("ran")
    stackless.run()
    assert log == ["ran"]


def test_base_methods_refuse_foreign_objects():
    with pytest.raises(TypeError):
        tasklet.run(channel())
    with pytest.raises(TypeError):
        channel.send(tasklet(), 1)
