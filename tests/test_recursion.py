"""Runaway recursion ends in RecursionError, in its own tasklet; raised limits are honoured."""

from __future__ import annotations

import bisect
import inspect
import itertools
import pickle
import sys
from collections import defaultdict

import pytest
import stackless
from constructs import CONSTRUCTS
from stackless import tasklet
from support import child_lines
from what_pins import budget, fresh_constructs


def python():
    return python() + 1


def through_sorted(_item=None):
    return sorted([1], key=through_sorted)


class GetAttr:
    def __getattr__(self, name):
        return getattr(self, name + "x")


def through_getattr():
    return GetAttr().name


def nested_list():
    items = []
    for _ in range(100_000):
        items = [items]
    return items


def through_repr():
    return repr(nested_list())


def through_json():
    import json

    return json.dumps(nested_list())


class Meta(type):
    def __call__(cls):
        return cls()


class CallsItself(metaclass=Meta):
    pass


class Compares:
    def __eq__(self, other):
        return [self] == [Compares()]

    __hash__ = None


def through_comparison():
    return Compares() == 1


def through_map():
    return next(map(lambda _: through_map(), [1]))  # noqa: C417


RUNAWAYS = [
    python,
    through_sorted,
    through_getattr,
    through_repr,
    through_json,
    CallsItself,
    through_comparison,
    through_map,
]


@pytest.mark.parametrize("runaway", RUNAWAYS)
def test_runaway_recursion_is_an_error_and_the_neighbours_go_on(runaway):
    log = []

    def work():
        try:
            runaway()
        except RecursionError:
            log.append("RecursionError")
        stackless.schedule()
        log.append("goes on")

    def neighbour(name):
        log.append(name)
        stackless.schedule()
        log.append(name + "'")

    tasklet(neighbour)("a")
    tasklet(work)()
    tasklet(neighbour)("b")
    stackless.run()
    assert log == ["a", "RecursionError", "b", "a'", "goes on", "b'"]


def test_an_uncaught_recursion_error_comes_out_of_run():
    tasklet(python)()
    with pytest.raises(RecursionError):
        stackless.run()
    with pytest.raises(RecursionError):
        python()


def test_every_tasklet_has_the_whole_depth_to_itself():
    limit = sys.getrecursionlimit()
    reached = []

    def recurse(n):
        if n:
            return recurse(n - 1)
        stackless.schedule()
        reached.append(True)
        return None

    for _ in range(5):
        tasklet(recurse)(limit - 100)
    stackless.run()
    assert reached == [True] * 5


def test_a_deep_creator_leaves_the_whole_depth_to_its_tasklets():
    limit = sys.getrecursionlimit()
    reached = []

    def recurse(n, then):
        return recurse(n - 1, then) if n else then()

    def create():
        tasklet(recurse)(limit - 100, lambda: reached.append(True))
        stackless.run()

    tasklet(recurse)(limit - 100, create)
    stackless.run()
    assert reached == [True]


def test_the_depth_is_the_same_before_and_after_many_switches():
    def depth():
        try:
            return 1 + depth()
        except RecursionError:
            return 1

    depths = []

    def work():
        first = depth()
        for _ in range(20):
            stackless.schedule()
        depths.append(depth() - first)

    for _ in range(3):
        tasklet(work)()
    stackless.run()
    assert depths == [0, 0, 0]


def test_a_switch_at_the_bottom_of_a_deep_recursion_and_unwinding_by_an_exception():
    log = []

    def recurse(n):
        if n:
            recurse(n - 1)
        stackless.schedule()
        raise ValueError(n)

    def work(name):
        try:
            recurse(500)
        except ValueError as error:
            log.append((name, error.args))

    tasklet(work)("a")
    tasklet(work)("b")
    stackless.run()
    assert log == [("a", (0,)), ("b", (0,))]


def test_a_hundred_thousand_python_frames_with_a_raised_limit():
    lines = child_lines("""
        import stackless, sys
        sys.setrecursionlimit(120_000)
        def recurse(n):
            if n:
                return recurse(n - 1) + 1
            stackless.schedule()
            return 0
        def work(name):
            print(name, recurse(100_000))
        stackless.tasklet(work)("a")
        stackless.tasklet(work)("b")
        stackless.run()
        print("main", recurse(100_000))
    """)
    assert lines == ["a 100000", "b 100000", "main 100000"]


def test_a_tasklet_that_is_a_hundred_thousand_frames_deep_can_be_killed():
    lines = child_lines("""
        import stackless, sys
        sys.setrecursionlimit(120_000)
        def recurse(n):
            if n:
                return recurse(n - 1) + 1
            stackless.schedule_remove()
        t = stackless.tasklet(recurse)(100_000)
        t.run()
        print(t.recursion_depth)
        t.kill()
        print(t.alive)
    """)
    assert lines == ["100001", "False"]


def test_the_limit_may_be_raised_and_lowered_inside_a_tasklet():
    lines = child_lines("""
        import stackless, sys
        def depth():
            try:
                return 1 + depth()
            except RecursionError:
                return 1
        def work(limit):
            sys.setrecursionlimit(limit)
            stackless.schedule()
            print(abs(depth() - sys.getrecursionlimit()) < 50)
        stackless.tasklet(work)(5000)
        stackless.tasklet(work)(2000)
        stackless.run()
        print(sys.getrecursionlimit())
    """)
    assert lines == ["True", "True", "2000"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 has one limit for Python and C")
@pytest.mark.parametrize(
    "runaway",
    [
        "def run(_=None): return sorted([1], key=run)",
        "def run(_=None): return list(map(run, [1]))",
        "def run(_=None): return repr(nested_list())",
        "class A:\n    def __getattr__(self, n): return getattr(self, n + 'x')\ndef run(): A().a",
        "import re\ndef run(_=None): return re.sub('a', run, 'a')",
    ],
    ids=["sorted", "map", "repr", "getattr", "re"],
)
def test_recursion_through_c_with_a_raised_limit_is_an_error_and_no_crash(runaway):
    source = "\n".join(
        [
            "import stackless, sys",
            "sys.setrecursionlimit(10**6)",
            "def nested_list():",
            "    items = []",
            "    for _ in range(200_000): items = [items]",
            "    return items",
            runaway,
            "def work():",
            "    try: run()",
            "    except RecursionError: print('RecursionError')",
            "for _ in range(3): stackless.tasklet(work)()",
            "stackless.run()",
            "print('end')",
        ]
    )
    assert child_lines(source) == ["RecursionError"] * 3 + ["end"]


def test_recursion_in_a_thread():
    lines = child_lines("""
        import stackless, threading
        def recurse(_=None):
            return sorted([1], key=recurse)
        def work():
            try:
                recurse()
            except RecursionError:
                print("RecursionError")
        def body():
            for _ in range(3):
                stackless.tasklet(work)()
            stackless.run()
        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
    """)
    assert lines == ["RecursionError"] * 3


# ---- tasklets that are frozen beneath C code -----------------------------------------------------


class Adds:
    def __init__(self, then):
        self.then = then

    def __add__(self, levels):
        if levels:
            return self + (levels - 1)
        self.then()
        return 1


class Iterates:
    def __init__(self, levels, then):
        self.levels, self.then = levels, then

    def __iter__(self):
        return self

    def __next__(self):
        if self.levels:
            for _ in Iterates(self.levels - 1, self.then):
                pass
        else:
            self.then()
        raise StopIteration


class Manages:
    def __init__(self, levels, then):
        self.levels, self.then = levels, then

    def __enter__(self):
        if self.levels:
            with Manages(self.levels - 1, self.then):
                pass
        else:
            self.then()

    def __exit__(self, *error):
        pass


def through_operators(levels, then):
    assert Adds(then) + levels == 1


def through_loops(levels, then):
    for _ in Iterates(levels, then):
        pass


def through_managers(levels, then):
    with Manages(levels, then):
        pass


def depth():
    try:
        return 1 + depth()
    except RecursionError:
        return 1


def nesting():
    """Return how deeply nested lists must be that C code can't compare them any more."""

    def too_deep(levels):
        one, other = [], []
        for _ in range(levels):
            one, other = [one], [other]
        try:
            return one != other
        except RecursionError:
            return True

    return bisect.bisect_left(range(100_000), True, key=too_deep)


def run_frozen_at_each_switch(work):
    """Run it beside another tasklet; return how often it was frozen."""
    before = stackless.set_stack_budget(0)
    freezes = stackless.statistics()["freezes"]
    try:
        worker = tasklet(work)()

        def neighbour():
            while worker.alive:
                stackless.schedule()

        tasklet(neighbour)()
        stackless.run()
    finally:
        stackless.set_stack_budget(before)
    return stackless.statistics()["freezes"] - freezes


@pytest.mark.parametrize("through_c", [through_operators, through_loops, through_managers])
@pytest.mark.parametrize("error", [None, LookupError])
def test_the_limit_is_where_it_was_after_freezing_beneath_c_code(through_c, error):
    switches = 5
    depths = []

    def then():
        depths.append(depth())
        for _ in range(switches):
            stackless.schedule()
            depths.append(depth())
        if error is not None:
            raise error

    def work():
        depths.append(depth())
        try:
            through_c(200, then)
        except LookupError:
            assert error is LookupError
        depths.append(depth())

    assert run_frozen_at_each_switch(work) >= switches
    outside, *inside, afterwards = depths
    assert inside == [inside[0]] * (switches + 1)
    assert outside - 210 < inside[0] < outside - 200
    assert afterwards == outside


def test_frozen_beneath_c_code_a_tasklet_has_all_of_its_c_stack_again():
    nestings = []

    def then():
        nestings.append(nesting())
        for _ in range(2):
            stackless.schedule()
            nestings.append(nesting())

    assert run_frozen_at_each_switch(lambda: through_loops(100, then)) >= 2
    mounted, first, second = nestings
    assert mounted <= first == second


def test_the_limit_is_where_it_was_for_tasklets_that_trade_places_beneath_c_code():
    depths = set()

    def then():
        for _ in range(5):
            stackless.schedule()
            depths.add(depth())

    def work():
        outside = depth()
        through_loops(4, then)
        depths.add(depth() - outside)

    before = stackless.set_stack_budget(0)
    trades = stackless.statistics()["trades"]
    try:
        for _ in range(3):
            tasklet(work)()
        stackless.run()
    finally:
        stackless.set_stack_budget(before)
    assert stackless.statistics()["trades"] > trades
    assert len(depths) == 2
    assert 0 in depths


class Waits:
    """Waits in methods whose callers in C then call other methods, those of Told."""

    def __init__(self, wait, then):
        self.wait, self.told = wait, Told(then)

    def __getitem__(self, index):
        self.wait()
        return index

    def __add__(self, other):
        self.wait()
        return NotImplemented

    def __len__(self):
        self.wait()
        return self.told

    def __contains__(self, item):
        self.wait()
        return self.told


class Told:
    def __init__(self, then):
        self.then = then

    def __index__(self):
        return self.then()

    def __bool__(self):
        return self.then() == 1

    def __radd__(self, other):
        return self.then()

    __hash__ = __index__


class WaitsWhenMade:
    def __new__(cls, wait, _):
        wait()
        return object.__new__(cls)

    def __init__(self, _, then):
        then()


def make_class(wait, then):
    class Meta(type):
        def __new__(cls, *args):
            wait()
            return super().__new__(cls, *args)

        def __init__(cls, *args):
            then()

    class _Made(metaclass=Meta):
        pass


def take_while(wait, then):
    for _ in itertools.takewhile(lambda _: then() == 0, Waits(wait, then)):
        pass


def mapped(wait, then):
    return map(lambda _: then(), Waits(wait, then))  # noqa: C417


AFTER_FREEZING = {
    "the function of map()": lambda wait, then: next(mapped(wait, then)),
    "of filter()": lambda wait, then: next(filter(lambda _: then(), Waits(wait, then)), None),
    "of map() in filter()": lambda wait, then: next(filter(None, mapped(wait, then))),
    "of takewhile()": take_while,
    "a reflected operator": lambda wait, then: Waits(wait, then) + Told(then),
    "__index__()": lambda wait, then: len(Waits(wait, then)),
    "__bool__()": lambda wait, then: 1 in Waits(wait, then),
    "__hash__()": lambda wait, then: defaultdict(wait)[Told(then)],
    "__init__()": WaitsWhenMade,
    "__init__() of a metaclass": make_class,
}


@pytest.mark.parametrize("program", AFTER_FREEZING.values(), ids=AFTER_FREEZING)
def test_what_c_code_calls_after_freezing_gets_as_deep(program):
    log = []

    def wait():
        log.append("waits")
        stackless.schedule()

    def then():
        log.append(depth())
        return 1

    def work():
        program(wait, then)
        log.append(depth())

    for _ in range(3):  # until the interpreter has specialised what it runs
        log.clear()
        tasklet(work)()
        stackless.run()
        mounted = log.copy()
        log.clear()
        assert run_frozen_at_each_switch(work) >= log.count("waits") > 0
    if sys.version_info >= (3, 12):
        assert log == mounted
    else:  # counts calls of C code, too, which a frozen tasklet has none of
        assert all(a == b or a > b for a, b in zip(log, mounted, strict=True))


DEPTHS = []


class Nested:
    """Waits in `__init__()`, called by C code, or else by a frame of CPython's."""

    def __init__(self, levels):
        if levels:
            Nested(levels - 1)
            return
        DEPTHS.append(depth())
        for _ in range(2):
            stackless.schedule_remove()
            DEPTHS.append(depth())


def make_nested():
    DEPTHS.append(depth())
    Nested(20)
    DEPTHS.append(depth())


def test_unpickled_while_instances_are_made_a_tasklet_gets_as_deep():
    for _ in range(3):  # until the interpreter has specialised what it runs
        DEPTHS.clear()
        worker = tasklet(make_nested)()
        worker.run()
        data = pickle.dumps(worker)
        worker.kill()
        worker = pickle.loads(data)
        with budget(0):
            worker.run()
            worker.run()
        outside, mounted, unpickled, frozen_again, afterwards = DEPTHS
        assert afterwards == outside
        assert frozen_again == unpickled
        if sys.version_info >= (3, 12):
            assert unpickled == mounted
        else:  # counts calls of C code, too, which an unpickled tasklet has none of
            assert unpickled > mounted


class Waiting:
    def __init__(self, depths, times):
        for _ in range(times):
            stackless.schedule()
            depths.append(depth())


def make_waiting(depths, times):
    Waiting(depths, times)


def test_tasklets_making_instances_in_either_way_keep_their_levels_side_by_side():
    by_c, by_frame = [], []
    with budget(0):
        first = tasklet(make_waiting)(by_c, 5)
        first.run()
        first.remove()
        for _ in range(30):  # until the interpreter has specialised it
            make_waiting([], 0)
        second = tasklet(make_waiting)(by_frame, 5)
        second.run()
        data = pickle.dumps((second, by_frame))
        second.kill()
        second, by_frame = pickle.loads(data)
        first.insert()
        second.insert()
        stackless.run()
    assert by_c == [by_c[0]] * 5
    assert by_frame == [by_frame[0]] * 5
    assert by_c[0] - by_frame[0] == (1 if sys.version_info >= (3, 13) else 0)


def dive(program, stacks):
    """Let a construct's program wait in a call of itself, and so on, each time after a switch.

    Return how often it did, with what that has ended, and by how much the limit is off afterwards.
    """
    constructs = sys.modules[program.__module__]
    constructs.GATE, constructs.SENT = stackless.channel(), stackless.channel()
    log = []

    def wait():
        log.append("waits")
        stackless.schedule()
        program()
        return 7

    def work():
        outside = depth()
        try:
            program()
        except BaseException as error:
            log.append(type(error))
        log.append(depth() - outside)

    constructs.wait = wait
    with budget(stacks):
        worker = tasklet(work)()
        for _ in range(LOW_LIMIT):
            stackless.schedule()
        worker.kill()
    return log


LOW_LIMIT = 150


@pytest.mark.parametrize("section", CONSTRUCTS)
def test_endless_recursion_through_c_code_gets_as_deep_frozen_at_each_level(section, monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # some recurse by destructors
    monkeypatch.setitem(sys.modules, "constructs", sys.modules["constructs"])  # put back at the end
    plain, frozen = fresh_constructs(), fresh_constructs()
    depths = {}
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + LOW_LIMIT)
    try:
        for title in CONSTRUCTS[section]:
            programs = plain.CONSTRUCTS[section][title], frozen.CONSTRUCTS[section][title]
            for pair in zip(*programs, strict=True):
                name = pair[0].__name__
                if name == "collected":
                    continue  # the collector doesn't run while it runs
                for _ in range(3):  # until the interpreter has specialised what it runs
                    sys.modules["constructs"] = plain
                    mounted = dive(pair[0], stacks=1 << 20)
                    sys.modules["constructs"] = frozen
                    depths[name] = mounted, dive(pair[1], stacks=0)
    finally:
        sys.setrecursionlimit(limit)
    assert depths
    if sys.version_info >= (3, 12):
        assert {name: each for name, each in depths.items() if each[0] != each[1]} == {}
    else:  # counts calls of C code, too, which a frozen tasklet has none of
        shallower = {name: each for name, each in depths.items() if len(each[0]) > len(each[1])}
        assert shallower == {}
