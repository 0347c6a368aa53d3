"""The attributes of a tasklet: types, who may write them, and their values on the way."""

from __future__ import annotations

import re
import sys
import threading

import pytest
import stackless
from stackless import channel, tasklet


def paused(function=stackless.schedule_remove, *args, **kwargs):
    t = tasklet(function)(*args, **kwargs)
    t.run()
    assert t.paused
    return t


READ_ONLY = [
    "alive",
    "paused",
    "blocked",
    "scheduled",
    "restorable",
    "atomic",
    "ignore_nesting",
    "is_main",
    "is_current",
    "nesting_level",
    "recursion_depth",
    "next",
    "prev",
    "frame",
    "thread_id",
    "_channel",
]


@pytest.mark.parametrize("name", READ_ONLY)
def test_state_can_be_read_but_not_written(name):
    t = tasklet()
    getattr(t, name)
    with pytest.raises(AttributeError):
        setattr(t, name, True)


@pytest.mark.parametrize("name", READ_ONLY[:9])
def test_flags_are_bools(name):
    assert type(getattr(tasklet(), name)) is bool
    assert type(getattr(stackless.getcurrent(), name)) is bool


def test_a_tasklet_itself_has_no_dict():
    with pytest.raises(AttributeError):
        tasklet().anything = 1
    assert not hasattr(tasklet(), "__dict__")


def test_the_first_values():
    t = tasklet()
    assert (t.atomic, t.ignore_nesting, t.block_trap) == (False, False, False)
    assert (t.nesting_level, t.recursion_depth, t.restorable) == (0, 0, True)
    assert (t.trace_function, t.profile_function) == (None, None)
    assert t.thread_id == threading.get_ident()
    assert t._channel is None


def test_block_trap_takes_bools_and_integers_only():
    t = tasklet()
    for value, expected in ((True, True), (0, False), (1, True), (False, False)):
        t.block_trap = value
        assert t.block_trap is expected
    for wrong in ("1", None, 1.0):
        with pytest.raises(TypeError, match="block_trap must be set to a bool or integer"):
            t.block_trap = wrong
    assert t.block_trap is False


@pytest.mark.parametrize(
    ("setter", "attribute"),
    [("set_atomic", "atomic"), ("set_ignore_nesting", "ignore_nesting")],
)
def test_the_setters_return_the_old_flag(setter, attribute):
    t = tasklet()
    set_flag = getattr(t, setter)
    assert set_flag(True) is False
    assert getattr(t, attribute) is True
    assert set_flag(1) is True
    assert set_flag(0) is True
    assert set_flag(False) is False
    assert getattr(t, attribute) is False
    for wrong in ("x", None, 1.5):
        with pytest.raises(TypeError):
            set_flag(wrong)
    with pytest.raises(TypeError, match="takes exactly one argument"):
        set_flag()


def test_a_new_tasklet_does_not_inherit_atomic():
    current = stackless.getcurrent()
    old = current.set_atomic(True)
    try:
        assert tasklet(int)().atomic is False
        stackless.run()
        assert current.atomic is True
    finally:
        current.set_atomic(old)


def test_atomic_is_a_class_whose_instances_can_be_used_again():
    again = stackless.atomic()
    assert type(again) is stackless.atomic
    for _ in range(2):
        with again:
            assert stackless.getcurrent().atomic
        assert not stackless.getcurrent().atomic


def test_a_tasklet_dropped_in_an_atomic_block_ends_at_once():
    ends = []

    def wait():
        with stackless.atomic():
            try:
                stackless.schedule_remove()
            finally:
                ends.append(stackless.getcurrent().atomic)

    t = tasklet(wait)()
    stackless.run()
    del t
    assert ends == [True]


def test_atomic_is_a_context_manager_that_nests():
    current = stackless.getcurrent()
    with stackless.atomic():
        assert current.atomic
        with stackless.atomic():
            assert current.atomic
        assert current.atomic
    assert not current.atomic
    with pytest.raises(KeyError), stackless.atomic():
        raise KeyError
    assert not current.atomic


def test_next_and_prev_are_the_neighbours_in_the_ring():
    main = stackless.getcurrent()
    a, b = tasklet(int)(), tasklet(int)()
    assert (main.next, a.next, b.next) == (a, b, main)
    assert (main.prev, a.prev, b.prev) == (b, main, a)
    stackless.run()


def test_next_and_prev_are_the_neighbours_in_a_channels_queue():
    c = channel()
    a, b, d = (tasklet(c.receive)() for _ in range(3))
    stackless.run()
    assert (c.queue, a.next, b.next, d.next) == (a, b, d, None)
    assert (a.prev, b.prev, d.prev) == (None, a, b)
    b.kill()
    assert (a.next, d.prev) == (d, a)
    a.kill()
    d.kill()


def test_frame_is_none_before_the_start_and_after_the_end():
    t = tasklet(int)()
    assert t.frame is None
    stackless.run()
    assert t.frame is None


def test_frame_of_a_paused_tasklet_is_where_it_paused():
    def inner():
        stackless.schedule_remove()

    def outer():
        inner()

    t = paused(outer)
    assert t.frame.f_code is inner.__code__
    assert t.frame.f_back.f_code is outer.__code__
    assert t.frame.f_back.f_back is None
    t.run()


def test_frame_of_the_current_tasklet_is_live():
    assert stackless.getcurrent().frame is sys._getframe()


def test_the_callers_frames_are_not_below_a_tasklet():
    names = []

    def walk():
        frame = sys._getframe()
        while frame is not None:
            names.append(frame.f_code.co_name)
            frame = frame.f_back

    tasklet(walk)()
    stackless.run()
    assert names == ["walk"]


def test_recursion_depth_counts_the_python_frames_of_the_tasklet():
    def recurse(n):
        if n == 1:
            stackless.schedule_remove()
        else:
            recurse(n - 1)

    t = tasklet(recurse)(1)
    assert t.recursion_depth == 0
    t.run()
    assert t.recursion_depth == 1
    deep = paused(recurse, 10)
    assert deep.recursion_depth == 10
    t.run()
    deep.run()
    assert (t.recursion_depth, deep.recursion_depth) == (0, 0)


def test_recursion_depth_of_the_current_tasklet_starts_at_one():
    depths = []

    def recurse(n):
        depths.append(stackless.getcurrent().recursion_depth)
        if n:
            recurse(n - 1)

    tasklet(recurse)(3)
    stackless.run()
    assert depths == [1, 2, 3, 4]


def test_a_tasklet_suspended_in_python_code_is_restorable():
    t = paused()
    assert (t.restorable, t.nesting_level) == (True, 0)
    t.run()
    c = channel()
    t = tasklet(lambda: c.receive())()
    stackless.run()
    assert (t.restorable, t.nesting_level) == (True, 0)
    t.kill()


def test_the_current_tasklet_is_restorable():
    seen = []
    tasklet(lambda: seen.append(stackless.getcurrent().restorable))()
    stackless.run()
    assert seen == [True]


def test_a_tasklet_suspended_beneath_a_c_frame_is_not_restorable():
    t = paused(sorted, [1], key=stackless.schedule_remove)
    u = paused(lambda: sorted([1], key=lambda _: stackless.schedule_remove()))
    assert u.restorable is False
    assert u.nesting_level >= 1
    t.kill()
    u.kill()
    assert (u.restorable, u.nesting_level) == (True, 0)


def test_a_tasklet_suspended_inside_run_is_not_restorable():
    seen = []

    def outer():
        tasklet(look)()
        stackless.run()

    def look():
        seen.append((t.paused, t.restorable))

    t = tasklet(outer)()
    stackless.run()
    assert seen == [(True, False)]


def test_is_main_and_is_current_follow_the_switches():
    seen = []
    main = stackless.getmain()

    def look():
        seen.append((t.is_current, t.is_main, main.is_current, main.is_main))

    t = tasklet(look)()
    stackless.run()
    assert seen == [(True, False, False, True)]
    assert (main.is_current, main.is_main) == (True, True)


def test_tasklets_hash_and_compare_by_identity():
    a, b = tasklet(int), tasklet(int)
    assert a == a
    assert a != b
    assert len({a, b, a}) == 2
    with pytest.raises(TypeError):
        a < b  # noqa: B015


def test_repr_says_that_it_is_a_tasklet():
    assert re.fullmatch(r"<[\w.]*\btasklet object at 0x[0-9a-f]+>", repr(tasklet()))
