"""Trace and profile functions belong to a tasklet."""

from __future__ import annotations

import sys

import pytest
import stackless
from stackless import tasklet
from support import start_thread, wait_until


@pytest.fixture(autouse=True)
def no_tracing():
    """Put aside what a coverage tool or a debugger has set."""
    trace, profile = sys.gettrace(), sys.getprofile()
    sys.settrace(None)
    sys.setprofile(None)
    yield
    sys.setprofile(profile)
    sys.settrace(trace)


class Recorder:
    """A trace or profile function that notes events of the functions it knows."""

    def __init__(self, *functions):
        self.codes = {function.__code__ for function in functions}
        self.events = []

    def __call__(self, frame, event, _argument):
        if frame.f_code in self.codes and event in ("call", "return"):
            self.events.append((event, frame.f_code.co_name))
        return self


KINDS = {"trace": (sys.settrace, sys.gettrace), "profile": (sys.setprofile, sys.getprofile)}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def install(kind):
    return KINDS[kind][0]


@pytest.fixture
def installed(kind):
    return KINDS[kind][1]


def work():
    return 1


def yields():
    stackless.schedule()
    work()


def test_a_new_tasklet_does_not_inherit(install, installed):
    seen = []
    recorder = Recorder(yields, work)
    install(recorder)
    tasklet(lambda: (seen.append(installed()), work()))()
    stackless.run()
    install(None)
    assert seen == [None]
    assert recorder.events == []


def test_a_function_set_in_a_tasklet_works_there_only(install, installed):
    recorder = Recorder(work)
    seen = []

    def traced():
        install(recorder)
        stackless.schedule()
        work()
        install(None)

    def plain():
        seen.append(installed())
        work()

    tasklet(traced)()
    tasklet(plain)()
    stackless.run()
    seen.append(installed())
    work()
    assert recorder.events == [("call", "work"), ("return", "work")]
    assert seen == [None, None]


def test_every_tasklet_has_its_own_function(install):
    recorders = {name: Recorder(work) for name in "ab"}

    def traced(name, times):
        install(recorders[name])
        for _ in range(times):
            stackless.schedule()
            work()
        install(None)

    tasklet(traced)("a", 2)
    tasklet(traced)("b", 3)
    stackless.run()
    one_call = [("call", "work"), ("return", "work")]
    assert recorders["a"].events == one_call * 2
    assert recorders["b"].events == one_call * 3


def test_the_function_of_main_survives_the_switches(install, installed):
    recorder = Recorder(work)
    tasklet(yields)()
    tasklet(yields)()
    install(recorder)
    stackless.run()
    work()
    present = installed()
    install(None)
    assert present is recorder
    assert recorder.events == [("call", "work"), ("return", "work")]


def test_a_function_dies_with_its_tasklet(install, installed):
    recorder = Recorder(work)

    def traced():
        install(recorder)

    tasklet(traced)()
    stackless.run()
    assert installed() is None
    tasklet(work)()
    stackless.run()
    assert recorder.events == []


def test_the_attribute_tells_the_function(kind, install):
    recorder = Recorder()
    seen = []

    def traced():
        install(recorder)
        seen.append(getattr(stackless.getcurrent(), f"{kind}_function"))
        stackless.schedule_remove()
        install(None)

    t = tasklet(traced)()
    stackless.run()
    seen.append(getattr(t, f"{kind}_function"))
    t.run()
    seen.append(getattr(t, f"{kind}_function"))
    assert seen == [recorder, recorder, None]


def test_setting_the_attribute_of_a_paused_tasklet_takes_effect_when_it_resumes(kind):
    def pauses():
        stackless.schedule_remove()
        work()

    recorder = Recorder(work, pauses)
    t = tasklet(pauses)()
    stackless.run()
    setattr(t, f"{kind}_function", recorder)
    assert getattr(t, f"{kind}_function") is recorder
    work()
    assert recorder.events == []
    t.run()
    assert recorder.events[:2] == [("call", "work"), ("return", "work")]


def test_removing_it_from_a_paused_tasklet(kind, install):
    recorder = Recorder(work)

    def traced():
        install(recorder)
        stackless.schedule_remove()
        work()

    t = tasklet(traced)()
    stackless.run()
    setattr(t, f"{kind}_function", None)
    t.run()
    assert recorder.events == []


def test_setting_the_attribute_of_the_current_tasklet_is_the_same_as_sys(kind, install, installed):
    recorder = Recorder(work)
    setattr(stackless.getcurrent(), f"{kind}_function", recorder)
    present = installed()
    work()
    install(None)
    assert present is recorder
    assert recorder.events == [("call", "work"), ("return", "work")]


def test_a_tasklet_that_is_not_alive_takes_no_function(kind):
    for t in (tasklet(), tasklet(work)):
        with pytest.raises(RuntimeError, match="tasklet is not alive"):
            setattr(t, f"{kind}_function", Recorder())
        setattr(t, f"{kind}_function", None)
        assert getattr(t, f"{kind}_function") is None


def test_the_current_tasklet_of_another_thread_takes_no_function(kind):
    shared, end = [], []

    def body():
        shared.append(stackless.getmain())
        wait_until(lambda: end)

    thread = start_thread(body)
    wait_until(lambda: shared)
    try:
        with pytest.raises(RuntimeError, match="of the current tasklet of another thread"):
            setattr(shared[0], f"{kind}_function", Recorder())
    finally:
        end.append(True)
        thread.join()


def test_a_trace_function_may_switch(install):
    log = []

    def switching(frame, event, _argument):
        if frame.f_code is work.__code__ and event == "call":
            log.append("traced")
            stackless.schedule()
            log.append("traced again")

    def traced():
        install(switching)
        work()
        install(None)

    tasklet(traced)()
    tasklet(log.append)("other")
    stackless.run()
    assert log == ["traced", "other", "traced again"]


def test_the_others_are_traced_while_one_waits_inside_its_trace_function(install):
    recorder = Recorder(work)

    def switching(frame, event, _argument):
        if frame.f_code is work.__code__ and event == "call":
            stackless.schedule()

    def first():
        install(switching)
        work()
        install(None)

    def second():
        install(recorder)
        work()
        install(None)

    tasklet(first)()
    tasklet(second)()
    stackless.run()
    assert recorder.events == [("call", "work"), ("return", "work")]


def test_a_tasklet_can_be_killed_inside_its_trace_function(install):
    recorder = Recorder(work)

    def switching(frame, event, _argument):
        if frame.f_code is work.__code__ and event == "call":
            stackless.schedule_remove()

    def traced():
        install(switching)
        work()

    t = tasklet(traced)()
    stackless.run()
    t.kill()
    assert not t.alive
    install(recorder)
    work()
    install(None)
    assert recorder.events == [("call", "work"), ("return", "work")]


def test_lines_are_traced_across_a_switch():
    lines = []

    def trace(frame, event, _argument):
        if frame.f_code is body.__code__ and event == "line":
            lines.append(frame.f_lineno - body.__code__.co_firstlineno)
        return trace

    def body():
        stackless.schedule()
        stackless.schedule()
        sys.settrace(None)

    def traced():
        sys.settrace(trace)
        body()

    tasklet(traced)()
    tasklet(yields)()
    stackless.run()
    assert lines == [1, 2, 3]


def test_an_exception_in_a_trace_function_stays_in_its_tasklet():
    log = []

    def fails(_frame, _event, _argument):
        raise KeyError("in the trace function")

    def traced():
        sys.settrace(fails)
        try:
            work()
        except KeyError as error:
            log.append((str(error), sys.gettrace()))

    tasklet(traced)()
    tasklet(work)()
    stackless.run()
    assert log == [("'in the trace function'", None)]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with 3.12")
def test_monitoring_sees_all_tasklets():
    monitoring = sys.monitoring
    calls = []
    monitoring.use_tool_id(4, "test")
    try:
        monitoring.register_callback(
            4, monitoring.events.PY_START, lambda code, _offset: calls.append(code.co_name)
        )
        monitoring.set_local_events(4, work.__code__, monitoring.events.PY_START)
        for _ in range(3):
            tasklet(yields)()
        stackless.run()
    finally:
        monitoring.set_local_events(4, work.__code__, 0)
        monitoring.free_tool_id(4)
    assert calls == ["work"] * 3


def innermost():
    stackless.schedule()
    after = 1
    return after


def middle():
    innermost()
    return innermost.__name__


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with 3.12")
def test_a_monitoring_tool_sees_the_frames_of_those_that_were_suspended_when_it_came():
    monitoring = sys.monitoring
    number = next(i for i in range(6) if monitoring.get_tool(i) is None)
    lines = []

    def note(code, line):
        if code in (middle.__code__, innermost.__code__):
            lines.append((code.co_name, line - code.co_firstlineno))

    suspended = tasklet(middle)()
    suspended.run()
    monitoring.use_tool_id(number, "test")
    try:
        monitoring.register_callback(number, monitoring.events.LINE, note)
        monitoring.set_events(number, monitoring.events.LINE)
        stackless.run()
        monitoring.set_events(number, 0)
        assert lines == [("innermost", 2), ("innermost", 3), ("middle", 2)]
        # And no more when it is gone, though they were suspended then.
        suspended = tasklet(middle)()
        monitoring.set_events(number, monitoring.events.LINE)
        suspended.run()
        lines.clear()
        monitoring.set_events(number, 0)
        stackless.run()
        assert lines == []
    finally:
        monitoring.set_events(number, 0)
        monitoring.register_callback(number, monitoring.events.LINE, None)
        monitoring.free_tool_id(number)


def test_an_exception_thrown_at_a_frozen_tasklet_is_told_once():
    told = []

    def tell(frame, event, _argument):
        if frame.f_code in (waits.__code__, outer.__code__):
            told.append((event, frame.f_code.co_name))
        return tell

    def waits():
        sys.settrace(tell)
        for frame in sys._getframe(), sys._getframe(1):
            frame.f_trace, frame.f_trace_lines = tell, False
        gate.receive()

    def outer():
        try:
            waits()
        except KeyError:
            told.append("caught")

    before = stackless.set_stack_budget(0)
    try:
        gate = stackless.channel()
        tasklet(outer)()
        stackless.run()
        gate.send_exception(KeyError)
        stackless.run()
    finally:
        stackless.set_stack_budget(before)
    assert told == [
        *[("exception", "waits"), ("return", "waits")],
        *[("exception", "outer"), "caught", ("return", "outer")],
    ]
