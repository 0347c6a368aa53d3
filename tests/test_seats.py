"""Where the budget is exhausted, a tasklet may run in the place of one that stays mounted."""

from __future__ import annotations

import contextvars
import gc
import random
import sys
import threading
import weakref
from traceback import walk_tb

import pytest
import stackless
from stackless import channel, tasklet
from support import in_thread

BUDGET = 4  # and one C stack more


@pytest.fixture(autouse=True)
def exhausted():
    """A budget that is soon used up."""
    before = stackless.set_stack_budget(BUDGET)
    yield
    stackless.set_stack_budget(before)


def statistics():
    return stackless.statistics()


def other(rounds):
    """Whom tasklets of another function take turns with."""
    for _ in range(rounds):
        stackless.schedule()


def run_in_turn(work, *arguments, rounds=10):
    """Run a tasklet for each of the arguments, with one of another function between any two."""
    before = statistics()["trades"]
    for each in arguments:
        tasklet(work)(each)
        tasklet(other)(rounds)
    stackless.run()
    return statistics()["trades"] - before


def run_in_pairs(work, serve, names):
    """Run a tasklet of each of the two for each of the names, by turns."""
    for name in names:
        tasklet(work)(name)
        tasklet(serve)(name)
    stackless.run()


def test_tasklets_of_two_functions_take_turns_by_trading():
    log = []

    def work(name):
        for i in range(10):
            log.append((name, i))
            assert stackless.schedule((name, i)) == (name, i)

    before = statistics()
    trades = run_in_turn(work, *"abcdef")
    assert log == [(name, i) for i in range(10) for name in "abcdef"]
    now = statistics()
    assert now["freezes"] - before["freezes"] == now["thaws"] - before["thaws"]
    assert trades >= 120 / 4  # half of what it can be, for the two calls may have to share a seat


def test_no_more_stacks_are_used_than_the_budget_and_a_quarter():
    used = []

    def work(_):
        for _ in range(10):
            used.append(statistics()["mounted"])
            stackless.schedule()

    assert run_in_turn(work, *range(20)) > 0
    assert max(used) == BUDGET + 1
    del used[:]
    stackless.set_stack_budget(0)
    assert run_in_turn(work, *range(20)) == 0
    assert max(used) == 1


def test_those_whom_main_talks_to_take_turns_by_trading():
    log = []
    lines = [channel() for _ in range(20)]

    def listen(name):
        while True:
            log.append((name, lines[name].receive()))

    for name in range(20):
        tasklet(listen)(name)
    stackless.run()
    before = statistics()
    for i in range(5):
        for line in lines:
            line.send(i)
    now = statistics()
    assert log == [(name, i) for i in range(5) for name in range(20)]
    assert now["mounted"] == BUDGET + 1
    # There is always somebody to trade with: nobody is thawed otherwise.
    assert now["trades"] - before["trades"] == now["thaws"] - before["thaws"] > 70


def test_a_smaller_budget_takes_the_seats_away():
    counts = []

    def work(_):
        for i in range(20):
            if i == 10:
                stackless.set_stack_budget(1)
            stackless.schedule()
        counts.append(statistics()["mounted"])

    assert run_in_turn(work, *range(10), rounds=20) > 0
    assert max(counts) <= 2


# ---- what happens is what happens without a budget ----------------------------------------------


def in_both(scenario):
    """Run it with everybody mounted, and with tasklets that trade; both have to log the same."""
    stackless.set_stack_budget(1000)
    expected = scenario()
    stackless.set_stack_budget(BUDGET)
    before = statistics()["trades"]
    assert scenario() == expected
    assert statistics()["trades"] > before
    return expected


def test_each_gets_its_own_mail():
    def scenario():
        log = []
        lines = {name: channel() for name in "abcdef"}

        def work(name):
            for _ in range(5):
                log.append((name, lines[name].receive()))

        def serve(name):
            for i in range(5):
                lines[name].send((name, i))
                stackless.schedule()

        run_in_pairs(work, serve, lines)
        return log

    log = in_both(scenario)
    assert sorted(log) == [(name, (name, i)) for name in "abcdef" for i in range(5)]


def test_each_numbers_its_own_items():
    def scenario():
        log = []
        lines = {name: channel() for name in "abcdef"}

        def work(name):
            for i, x in enumerate(lines[name]):
                log.append((name, i, x, lines[name].receive()))
                if i == 2:
                    break

        def serve(name):
            for i in range(6):
                lines[name].send(i)
                stackless.schedule()

        run_in_pairs(work, serve, lines)
        return log

    log = in_both(scenario)
    assert sorted(log) == [(name, i, 2 * i, 2 * i + 1) for name in "abcdef" for i in range(3)]


def test_each_gets_the_exceptions_thrown_at_it():
    def scenario():
        log = []

        def work(name):
            for i in range(10):
                try:
                    stackless.schedule()
                except KeyError as error:
                    lines = [frame.f_code.co_name for frame, _ in walk_tb(error.__traceback__)]
                    log.append((name, i, error.args, lines))
                    stackless.schedule()
                    assert sys.exc_info()[1] is error
            log.append((name, sys.exc_info()[1]))

        def throw(tasklets):
            for i in range(10):
                name = "abcdef"[i * 5 % 6]
                tasklets[name].throw(KeyError, (name, i), pending=True)
                stackless.schedule()

        tasklets = {}
        for name in "abcdef":
            tasklets[name] = tasklet(work)(name)
            tasklet(other)(10)
        tasklet(throw)(tasklets)
        stackless.run()
        return log

    log = in_both(scenario)
    assert [entry[2][0][0] for entry in log if len(entry) == 4] == [
        e[0] for e in log if len(e) == 4
    ]
    assert len(log) == 16


def test_each_keeps_its_context_its_closure_and_the_exception_that_it_handles():
    variable = contextvars.ContextVar("variable")

    def scenario():
        log = []

        def work(name):
            def deep(depth):
                nonlocal name
                if depth:
                    return [*deep(depth - 1), name]
                for i in range(5):
                    name += str(i)
                    stackless.schedule()
                    log.append((name, variable.get(), sys.exc_info()[1].args))
                return []

            variable.set(name)
            try:
                raise KeyError(name)
            except KeyError:
                log.append(deep(3))
            log.append(sys.exc_info()[1])

        for name in "abcdef":
            tasklet(work)(name)
            tasklet(other)(8)
        stackless.run()
        return log

    for entry in in_both(scenario):
        if isinstance(entry, tuple):
            assert entry[0][0] == entry[1] == entry[2][0]


def test_frame_objects_show_their_own_tasklet():
    def scenario():
        log, frames, tasklets = [], {}, {}

        def work(name):
            frames[name] = sys._getframe()
            for step in range(8):
                assert stackless.schedule(step) == step

        def look():
            for _ in range(8):
                for name, frame in frames.items():
                    assert tasklets[name].frame is frame
                    log.append((name, frame.f_locals["name"], frame.f_locals["step"]))
                stackless.schedule()

        for name in "abcdef":
            tasklets[name] = tasklet(work)(name)
            tasklet(other)(8)
        tasklet(look)()
        stackless.run()
        return log

    assert all(name == local for name, local, _ in in_both(scenario))


def test_what_a_call_was_made_with_goes_when_the_call_does():
    def scenario():
        log = []
        post = channel()

        class Parcel:
            def __init__(self, name):
                self.name = name

            def __del__(self):
                log.append(("gone", self.name))
                stackless.schedule()
                log.append(("really gone", self.name))

        def work(name):
            for i in range(4):
                log.append((name, post.send(Parcel((name, i)))))

        def serve():
            for _ in range(24):
                log.append(("got", post.receive().name))
                stackless.schedule()

        post.preference = 1
        for name in "abcdef":
            tasklet(work)(name)
            tasklet(other)(10)
        tasklet(serve)()
        stackless.run()
        return log

    log = in_both(scenario)
    assert sum(entry[0] == "really gone" for entry in log) == 24


def test_the_one_who_sat_there_goes_on_later_is_killed_or_is_dropped():
    def scenario():
        log = []

        def work(name):
            try:
                for _ in range(10):
                    stackless.schedule()
            except TaskletExit:
                log.append((name, "killed"))
            finally:
                log.append((name, stackless.getcurrent().alive))

        def kill(tasklets):
            for name in "fadbec":
                stackless.schedule()
                victim = tasklets.pop(name)
                if name in "dbe":
                    victim.kill()
                elif name in "ac":
                    # What nobody holds any more is told so, too.
                    victim.remove()
                    del victim
                    gc.collect()

        tasklets = {}
        for name in "abcdef":
            tasklets[name] = tasklet(work)(name)
            tasklet(other)(10)
        tasklet(kill)(tasklets)
        references = [weakref.ref(each) for each in tasklets.values()]
        stackless.run()
        gc.collect()
        assert [reference() for reference in references] == [None] * 6
        return log

    log = in_both(scenario)
    assert sorted(name for name, what in log if what == "killed") == [*"abcde"]


def test_one_who_sat_there_goes_on_in_another_thread():
    log = []

    def work(name):
        for i in range(6):
            log.append((name, i, threading.get_ident()))
            stackless.schedule()

    tasklets = {}
    for name in "abcdef":
        tasklets[name] = tasklet(work)(name)
        tasklet(other)(6)
    before = statistics()["trades"]
    for _ in range(3):
        stackless.schedule()
    for name in "bde":
        tasklets[name].remove()

    def carry_on():
        for name in "bde":
            tasklets[name].bind_thread()
            tasklets[name].insert()
        stackless.run()
        return threading.get_ident()

    there = in_thread(carry_on)
    stackless.run()
    assert statistics()["trades"] > before
    for name in "abcdef":
        threads = [ident for who, _, ident in log if who == name]
        elsewhere = [there] * 3 if name in "bde" else [threading.get_ident()] * 3
        assert threads == [threading.get_ident()] * 3 + elsewhere


def test_a_profiler_hears_of_its_own_tasklet_only():
    def scenario():
        log = []

        def work(name):
            for i in range(12):
                if (name, i) == ("c", 4):
                    sys.setprofile(lambda frame, event, _: log.append((name, event)))
                stackless.schedule()
                log.append((name, i))
                if (name, i) == ("c", 8):
                    sys.setprofile(None)

        for name in "abcdef":
            tasklet(work)(name)
            tasklet(other)(12)
        stackless.run()
        return log

    log = in_both(scenario)
    assert ("c", "c_call") in log
    assert {name for name, what in log if isinstance(what, str)} == {"c"}


def test_nothing_is_leaked():
    def round_of_them():
        def work(values):
            for _ in range(20):
                values = [*values, stackless.schedule(object())]

        run_in_turn(work, *([] for _ in range(8)), rounds=20)
        gc.collect()
        return len(gc.get_objects()), sys.getrefcount(other.__code__)

    round_of_them()
    expected = round_of_them()
    before = statistics()["trades"]
    for _ in range(3):
        found = round_of_them()
    assert found == expected
    assert statistics()["trades"] > before


def test_nobody_loses_the_stack_that_it_is_about_to_run_on():
    source = """
def work(name):
    for i in range(30):
        log.append((name, i))
        if dice.random() < 0.5:
            schedule()
        else:
            sorted([i], key=schedule)  # pinned there
"""

    def scenario():
        log = []
        for seed in range(60):
            dice = random.Random(seed)
            for name in range(6):
                space = {"log": log, "dice": dice, "schedule": stackless.schedule}
                exec(source, space)  # code of its own
                tasklet(space["work"])(name)
            stackless.run()
        return log

    stackless.set_stack_budget(1000)
    expected = scenario()
    stackless.set_stack_budget(BUDGET)
    assert scenario() == expected
