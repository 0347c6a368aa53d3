"""Random programs behave in real tasklets as the rules say, operation by operation."""

from __future__ import annotations

import contextlib
import os
import sys

import stackless
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model import Model
from stackless import channel, tasklet

TASKLETS, CHANNELS = 4, 2

targets = st.integers(0, TASKLETS - 1)
queues = st.integers(0, CHANNELS - 1)
values = st.integers(0, 99)
operations = st.one_of(
    st.tuples(st.sampled_from(["send"]), queues, values),
    st.tuples(st.sampled_from(["send"]), queues, values),
    st.tuples(st.sampled_from(["receive"]), queues),
    st.tuples(st.sampled_from(["receive"]), queues),
    st.tuples(st.sampled_from(["schedule", "schedule_remove"]), values),
    st.tuples(st.sampled_from(["insert", "remove", "run", "switch", "start"]), targets),
    st.tuples(st.sampled_from(["throw", "kill"]), targets, st.booleans()),
    st.tuples(st.sampled_from(["run_all"])),
    st.tuples(st.sampled_from(["send_exception"]), queues, values),
    st.tuples(st.sampled_from(["fail"]), values),
    st.tuples(st.sampled_from(["block_trap"]), st.booleans()),
    st.tuples(st.sampled_from(["switch_trap"]), st.sampled_from([1, -1])),
    st.tuples(st.sampled_from(["close"]), queues),
)
programs = st.lists(operations, max_size=8)
channel_settings = st.tuples(st.sampled_from([-1, 0, 1]), st.sampled_from([0, 0, 0, 1]))


def script(name, program, log):
    """Yield the operations of a program and note what became of each; only "fail" is uncaught."""
    for operation in program:
        log.append((name, operation))
        try:
            log.append((name, "returned", (yield operation)))
        except ArithmeticError:
            if operation[0] == "fail" and name != "main":
                raise
            log.append((name, "ArithmeticError"))
        except Exception as error:
            text = str(error).partition("\n")[0]
            log.append((name, type(error).__name__, text))
        except BaseException:
            log.append((name, "ended from outside"))
            raise
    log.append((name, "end"))


class Real:
    """Executes the same scripts in tasklets."""

    def __init__(self, main_script, scripts, channels):
        self.main_script = main_script
        self.scripts = [s for _, s in scripts]
        self.tasks = [tasklet(self.drive) for _ in scripts]
        self.started = [False] * len(scripts)
        self.unraisable = []
        self.channels = []
        for preference, schedule_all in channels:
            c = channel()
            c.preference, c.schedule_all = preference, schedule_all
            self.channels.append(c)

    def execute(self):
        before = sys.unraisablehook
        sys.unraisablehook = lambda unraisable: self.unraisable.append(unraisable.exc_value)
        try:
            self.drive(self.main_script)
        finally:
            sys.unraisablehook = before

    def drive(self, running):
        with contextlib.suppress(StopIteration):
            operation = next(running)
            while True:
                try:
                    value = self.do(*operation)
                except BaseException as error:
                    operation = running.throw(error)
                else:
                    operation = running.send(value)

    def do(self, name, *arguments):
        if name in ("insert", "remove", "run", "switch"):
            result = getattr(self.tasks[arguments[0]], name)()
            return None if name in ("insert", "remove") else result
        if name in ("send", "receive", "close"):
            return getattr(self.channels[arguments[0]], name)(*arguments[1:])
        return getattr(self, name)(*arguments)

    def start(self, index):
        t = self.tasks[index]
        if self.started[index] and not t.alive:
            return "over"
        t(self.scripts[index])
        self.started[index] = True
        return None

    def send_exception(self, index, value):
        self.channels[index].send_exception(LookupError, value)

    def throw(self, index, pending):
        return self.tasks[index].throw(KeyError, index, None, pending)

    def kill(self, index, pending):
        return self.tasks[index].kill(pending)

    def run_all(self):
        return stackless.run()

    def schedule(self, value):
        return stackless.schedule(value)

    def schedule_remove(self, value):
        return stackless.schedule_remove(value)

    def fail(self, value):
        raise ArithmeticError(value)

    def block_trap(self, flag):
        stackless.getcurrent().block_trap = flag

    def switch_trap(self, change):
        return stackless.switch_trap(change)

    def clean(self):
        """End every tasklet, whatever state the program left it in."""
        main = stackless.getcurrent()
        for _ in range(50):
            for t in self.tasks:
                stackless.switch_trap(-stackless.switch_trap())
                with contextlib.suppress(Exception, TaskletExit):
                    t.kill()
        stackless.switch_trap(-stackless.switch_trap())
        main.block_trap, main.tempval = False, None
        assert not any(t.alive for t in self.tasks)
        for s in self.scripts:
            s.close()


def outcome(kind, main_program, tasklet_programs, channels, states):
    """Everything that can be observed of one execution."""
    log = []
    scripts = [(str(i), script(str(i), program, log)) for i, program in enumerate(tasklet_programs)]
    world = kind(script("main", main_program, log), scripts, channels)
    try:
        world.execute()
        return list(log), states(world), [repr(error) for error in world.unraisable]
    finally:
        world.clean()


def model_states(world):
    index = {t: i for i, t in enumerate(world.tasks)}
    return (
        [world.flags(t) for t in world.tasks],
        [(c.balance, index.get(c.queue[0]) if c.queue else None) for c in world.channels],
        len(world.ring),
        [index[t] for t in world.ring[1:]],
    )


def real_states(world):
    index = {t: i for i, t in enumerate(world.tasks)}
    ring, t = [], stackless.getcurrent().next
    while t is not None and t is not stackless.getcurrent():
        ring.append(index[t])
        t = t.next
    return (
        [(t.alive, t.paused, t.blocked, t.scheduled) for t in world.tasks],
        [(c.balance, index.get(c.queue)) for c in world.channels],
        stackless.getruncount(),
        ring,
    )


START_ALL = [("start", i) for i in range(TASKLETS)]


@settings(
    max_examples=int(os.environ.get("STACKLESS_TEST_EXAMPLES", "400")),
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    main_program=programs,
    tasklet_programs=st.lists(programs, min_size=TASKLETS, max_size=TASKLETS),
    channels=st.lists(channel_settings, min_size=CHANNELS, max_size=CHANNELS),
)
def test_random_programs_behave_as_the_model_says(main_program, tasklet_programs, channels):
    main_program = [*START_ALL, *main_program, ("run_all",), ("schedule", 0), ("run_all",)]
    expected = outcome(Model, main_program, tasklet_programs, channels, model_states)
    assert outcome(Real, main_program, tasklet_programs, channels, real_states) == expected


def test_a_program_is_the_same_every_time():
    tasklet_programs = [
        [("send", 0, 1), ("schedule", 2), ("receive", 1), ("kill", 3, False)],
        [("receive", 0), ("send", 1, 5), ("schedule_remove", 6)],
        [("schedule", 1), ("run", 1), ("insert", 1), ("fail", 7)],
        [("receive", 1), ("run_all",), ("send", 0, 9)],
    ]
    runs = []
    for _ in range(5):
        runs.append(
            outcome(
                Real, [*START_ALL, ("run_all",)], tasklet_programs, [(-1, 0), (1, 0)], real_states
            )
        )
    assert runs == [runs[0]] * 5
