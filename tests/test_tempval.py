"""tempval, the mailbox: what every suspension point gives back."""

from __future__ import annotations

import pytest
import stackless
from stackless import channel, tasklet


def test_schedule_returns_the_current_tasklet_unless_told_otherwise():
    assert stackless.schedule() is stackless.getcurrent()
    assert stackless.schedule("x") == "x"
    assert stackless.schedule(None) is None
    assert stackless.schedule(retval="x") == "x"
    assert stackless.getcurrent().tempval is None


def test_schedule_returns_it_also_when_it_did_switch():
    log = []

    def worker(name):
        log.append(stackless.schedule() is stackless.getcurrent())
        log.append(stackless.schedule(name))

    tasklet(worker)("a")
    tasklet(worker)("b")
    stackless.run()
    assert log == [True, True, "a", "b"]


def test_schedule_remove_returns_its_argument_when_it_is_resumed():
    log = []
    main = stackless.getcurrent()
    t = tasklet(lambda: log.append(stackless.schedule_remove("mine")))()
    u = tasklet(lambda: log.append(stackless.schedule_remove()))()
    stackless.run()
    t.insert()
    u.insert()
    stackless.run()
    assert log == ["mine", u]
    assert main.tempval is None


def test_a_new_tempval_replaces_what_the_suspended_call_returns():
    log = []
    t = tasklet(lambda: log.append(stackless.schedule_remove("old")))()
    stackless.run()
    assert t.tempval == "old"
    t.tempval = "new"
    t.run()
    assert log == ["new"]


def test_what_a_channel_delivers_waits_in_tempval():
    log = []
    c = channel()
    c.preference = 0
    t = tasklet(lambda: log.append(c.receive()))()
    stackless.run()
    c.send("sent")
    assert t.tempval == "sent"
    t.tempval = "exchanged"
    stackless.run()
    assert log == ["exchanged"]


def test_the_value_of_a_blocked_sender_can_be_exchanged():
    c = channel()
    t = tasklet(c.send)("old")
    stackless.run()
    assert t.tempval == "old"
    t.tempval = "new"
    assert c.receive() == "new"
    stackless.run()


def test_send_returns_none_and_receive_leaves_nothing_behind():
    log = []
    c = channel()
    tasklet(lambda: log.append(("sent", c.send("value"))))()
    stackless.run()
    assert c.receive() == "value"
    stackless.run()
    assert log == [("sent", None)]
    assert stackless.getcurrent().tempval is None


@pytest.mark.parametrize("operation", ["run", "switch", "kill"])
def test_run_switch_and_kill_return_the_callers_tempval(operation):
    main = stackless.getcurrent()
    offered = object()
    t = tasklet(main.insert)()
    main.tempval = offered
    assert getattr(t, operation)() is offered
    assert main.tempval is None


def test_run_and_switch_return_none_normally():
    main = stackless.getcurrent()
    assert tasklet(int)().run() is None
    assert tasklet(main.insert)().switch() is None


def test_switch_to_oneself_returns_tempval():
    main = stackless.getcurrent()
    main.tempval = "mine"
    assert main.switch() == "mine"
    assert main.tempval is None
    assert main.switch() is None


def test_a_tempval_set_by_another_tasklet_while_the_caller_waits_in_run():
    main = stackless.getcurrent()
    t = tasklet(setattr)(main, "tempval", "from t")
    assert t.run() == "from t"


def test_a_bomb_taken_from_one_tasklet_explodes_in_another():
    log = []

    def waiter(name):
        try:
            log.append((name, stackless.schedule_remove(name)))
        except ValueError as error:
            log.append((name, repr(error)))

    first, second = tasklet(waiter)("first"), tasklet(waiter)("second")
    stackless.run()
    first.throw(ValueError, "bomb", pending=True)
    first.tempval, second.tempval = second.tempval, first.tempval
    first.insert()
    second.insert()
    stackless.run()
    assert log == [("first", "second"), ("second", "ValueError('bomb')")]


def test_an_exception_object_in_tempval_is_a_value_and_is_not_raised():
    log = []
    t = tasklet(lambda: log.append(stackless.schedule_remove()))()
    stackless.run()
    error = ValueError("just data")
    t.tempval = error
    t.run()
    assert log == [error]


def test_tempval_of_a_bound_tasklet_is_its_function_and_can_be_set():
    log = []
    t = tasklet(log.append)
    t.tempval = lambda text: log.append(text * 2)
    t("ab")
    stackless.run()
    assert log == ["abab"]


def test_a_finished_tasklet_has_no_tempval():
    def ends_with_a_tempval():
        stackless.getcurrent().tempval = "left behind"

    t = tasklet(ends_with_a_tempval)()
    stackless.run()
    assert t.tempval is None
