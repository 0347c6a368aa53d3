"""Context variables: a tasklet runs in a copy of its creator's context."""

from __future__ import annotations

import contextvars
import decimal

import pytest
import stackless
from stackless import channel, tasklet
from support import child_lines, in_thread

variable = contextvars.ContextVar("variable", default="default")


@pytest.fixture(autouse=True)
def fresh_variable():
    token = variable.set("main")
    yield
    variable.reset(token)


def test_a_tasklet_sees_the_values_of_its_creator():
    log = []
    tasklet(lambda: log.append(variable.get()))()
    stackless.run()
    assert log == ["main"]


def test_what_a_tasklet_sets_stays_in_it():
    log = []

    def work(name):
        variable.set(name)
        stackless.schedule()
        log.append((name, variable.get()))

    tasklet(work)("a")
    tasklet(work)("b")
    stackless.run()
    assert log == [("a", "a"), ("b", "b")]
    assert variable.get() == "main"


def test_it_is_a_copy_so_later_changes_of_the_creator_are_not_seen():
    log = []
    t = tasklet(lambda: log.append(variable.get()))()
    token = variable.set("later")
    t.run()
    variable.reset(token)
    assert log == ["main"]


def test_the_creator_counts_and_not_whoever_runs_it_first():
    log = []

    def runner():
        variable.set("runner")
        t.run()

    t = tasklet(lambda: log.append(variable.get()), ())
    tasklet(runner)()
    stackless.run()
    assert log == ["main"]


def test_a_tasklet_made_by_a_tasklet_copies_that_ones_context():
    log = []

    def parent():
        variable.set("parent")
        tasklet(child)()

    def child():
        log.append(variable.get())
        variable.set("child")

    tasklet(parent)()
    stackless.run()
    assert log == ["parent"]
    assert variable.get() == "main"


def test_a_tasklet_bound_inside_context_run_uses_a_copy_of_that_context():
    log = []
    context = contextvars.copy_context()

    def create():
        variable.set("inside")
        tasklet(lambda: (log.append(variable.get()), variable.set("lost")))()

    context.run(create)
    stackless.run()
    assert log == ["inside"]
    assert context[variable] == "inside"


def test_a_switch_inside_context_run():
    log = []

    def inside(name):
        variable.set(name)
        stackless.schedule()
        log.append((name, variable.get()))

    def work(name):
        context = contextvars.copy_context()
        context.run(inside, name)
        stackless.schedule()
        log.append((name, variable.get(), context[variable]))

    tasklet(work)("a")
    tasklet(work)("b")
    stackless.run()
    assert log == [("a", "a"), ("b", "b"), ("a", "main", "a"), ("b", "main", "b")]


def test_one_context_can_not_be_entered_by_two_tasklets_at_once():
    log = []
    context = contextvars.copy_context()

    def enter(name):
        try:
            context.run(stackless.schedule)
            log.append((name, "entered"))
        except RuntimeError:
            log.append((name, "refused"))

    tasklet(enter)("a")
    tasklet(enter)("b")
    stackless.run()
    assert log == [("b", "refused"), ("a", "entered")]


def test_tokens_are_reset_in_the_tasklet_that_made_them():
    log = []

    def work(name):
        token = variable.set(name)
        stackless.schedule()
        variable.reset(token)
        log.append(variable.get())

    tasklet(work)("a")
    tasklet(work)("b")
    stackless.run()
    assert log == ["main", "main"]


def test_a_message_brings_no_context_along():
    log = []
    c = channel()

    def sender():
        variable.set("sender")
        c.send("message")

    tasklet(sender)()
    log.append((c.receive(), variable.get()))
    stackless.run()
    assert log == [("message", "main")]


def test_decimal_precision_is_the_tasklets_own():
    log = []

    def work(precision):
        decimal.setcontext(decimal.Context(prec=precision))
        stackless.schedule()
        log.append(str(decimal.Decimal(1) / 3))

    with decimal.localcontext() as context:
        context.prec = 10
        tasklet(work)(3)
        tasklet(work)(5)
        stackless.run()
        assert decimal.getcontext().prec == 10
    assert log == ["0.333", "0.33333"]


def test_a_localcontext_may_stay_open_over_switches():
    log = []

    def work(precision):
        with decimal.localcontext() as context:
            context.prec = precision
            stackless.schedule()
            log.append(str(decimal.Decimal(2) / 3))
            stackless.schedule()
        log.append(decimal.getcontext().prec)

    outside = decimal.getcontext().prec
    tasklet(work)(2)
    tasklet(work)(4)
    stackless.run()
    assert log == ["0.67", "0.6667", outside, outside]


def test_set_context_gives_a_tasklet_a_context_to_run_in():
    log = []
    context = contextvars.copy_context()
    context.run(variable.set, "given")

    def work():
        log.append(variable.get())
        variable.set("changed")

    t = tasklet(work, ())
    assert t.set_context(context) is t
    assert t.context_id == id(context)
    t.run()
    assert log == ["given"]
    assert context[variable] == "changed"


def test_set_context_used_wrongly():
    t = tasklet(len, ((),))
    with pytest.raises(TypeError):
        t.set_context("no context")
    errors = []

    def inside():
        try:
            stackless.getcurrent().set_context(contextvars.copy_context())
        except RuntimeError as error:
            errors.append(error)

    contextvars.copy_context().run(inside)
    assert len(errors) == 1
    t.kill()


def test_context_run_calls_in_the_context_of_a_tasklet():
    def work():
        variable.set("tasklet's")
        stackless.schedule_remove()
        log.append(variable.get())

    log = []
    t = tasklet(work)()
    t.run()
    assert t.context_run(variable.get) == "tasklet's"
    t.context_run(variable.set, "from outside")
    assert t.context_run(lambda *args, **kwargs: (args, kwargs), 1, k=2) == ((1,), {"k": 2})
    with pytest.raises(ZeroDivisionError):
        t.context_run(lambda: 1 / 0)
    t.run()
    assert log == ["from outside"]
    assert variable.get() == "main"


def test_context_run_leaves_the_current_tasklet_in_place():
    t = tasklet(stackless.schedule_remove)()
    t.run()
    assert t.context_run(stackless.getcurrent) is stackless.getcurrent()
    t.kill()


def test_a_thread_starts_with_a_context_of_its_own():
    def body():
        log = []
        variable.set("thread")
        tasklet(lambda: log.append(variable.get()))()
        stackless.run()
        return log

    assert in_thread(body) == ["thread"]
    assert variable.get() == "main"


def test_tasklets_of_a_creator_without_a_context_start_empty_and_stay_apart():
    lines = child_lines("""
        import contextvars, stackless
        variable = contextvars.ContextVar("variable", default="default")
        def work(name):
            print(name, variable.get())
            variable.set(name)
            stackless.schedule()
            print(name, variable.get())
        stackless.tasklet(work)("a")
        stackless.tasklet(work)("b")
        stackless.run()
        print("main", variable.get(), len(contextvars.copy_context()))
    """)
    assert lines == ["a default", "b default", "a a", "b b", "main default 0"]


def test_the_context_of_a_dead_tasklet_is_released():
    class Value:
        gone = False

        def __del__(self):
            Value.gone = True

    def work():
        variable.set(Value())

    t = tasklet(work)()
    stackless.run()
    assert not t.alive
    del t
    assert Value.gone
