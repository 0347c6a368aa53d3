"""The module object: live attributes, names, copying, and the wording of wrong calls."""

from __future__ import annotations

import copy
import importlib
import pickle
import sys
import threading
import types

import pytest
import stackless
from stackless import tasklet
from support import child_lines, run_child

ALL = [
    "atomic",
    "channel",
    "enable_softswitch",
    "get_channel_callback",
    "get_schedule_callback",
    "get_thread_info",
    "getcurrent",
    "getcurrentid",
    "getdebug",
    "getmain",
    "getruncount",
    "getthreads",
    "getuncollectables",
    "pickle_with_tracing_state",
    "run",
    "schedule",
    "schedule_remove",
    "set_channel_callback",
    "set_error_handler",
    "set_schedule_callback",
    "switch_trap",
    "tasklet",
    "stackless",
]


def test_the_module_is_a_module_and_its_own_attribute():
    assert isinstance(stackless, types.ModuleType)
    assert type(stackless) is not types.ModuleType
    assert sys.modules["stackless"] is stackless
    assert stackless.stackless is stackless


def test_all_lists_the_public_names():
    assert set(ALL) <= set(stackless.__all__)
    assert all(hasattr(stackless, name) for name in stackless.__all__)


def test_a_star_import_brings_everything():
    namespace = {}
    exec("from stackless import *", namespace)
    assert set(ALL) <= set(namespace)
    assert namespace["tasklet"] is tasklet


@pytest.mark.parametrize(
    "name",
    [
        "bomb",
        "cframe",
        "cstack",
        "pickle_flags",
        "pickle_flags_default",
        "test_cframe_nr",
        "test_outside",
        "_test_nostacklesscall",
    ],
)
def test_names_outside_all_that_programs_use(name):
    assert getattr(stackless, name)


def test_the_attributes_are_live():
    main = stackless.getmain()
    assert (stackless.current, stackless.main, stackless.runcount) == (main, main, 1)
    seen = []

    def look():
        seen.append((stackless.current is t, stackless.main is main, stackless.runcount))

    t = tasklet(look)()
    assert stackless.runcount == 2
    stackless.run()
    assert seen == [(True, True, 1)]
    assert stackless.threads == stackless.getthreads()
    assert stackless.threads[0] == threading.get_ident()
    assert stackless.debug == stackless.getdebug()
    assert stackless.uncollectables == stackless.getuncollectables()


def test_getattr_works_for_live_attributes():
    for name in ("current", "main", "runcount", "threads", "debug", "uncollectables"):
        assert getattr(stackless, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        stackless.no_such_name


@pytest.mark.parametrize("name", ["current", "main", "runcount", "threads"])
def test_live_attributes_can_not_be_written(name):
    with pytest.raises(AttributeError):
        setattr(stackless, name, None)


def test_other_attributes_can_be_added_to_the_module():
    stackless.added = 1
    assert stackless.added == 1
    del stackless.added


def test_pickle_with_tracing_state_can_be_written():
    old = stackless.pickle_with_tracing_state
    assert old in (False, 0)
    stackless.pickle_with_tracing_state = True
    assert stackless.pickle_with_tracing_state
    stackless.pickle_with_tracing_state = old


def test_copying_and_pickling_go_by_name():
    assert copy.copy(stackless) is stackless
    assert copy.deepcopy(stackless) is stackless
    assert stackless.__reduce__() == "stackless"
    assert pickle.loads(pickle.dumps(stackless)) is stackless


def test_the_builtin_module_can_be_reached():
    assert importlib.import_module("stackless._stackless") is stackless._stackless
    assert stackless._stackless.tasklet is stackless.tasklet


def test_getcurrentid():
    assert stackless.getcurrentid() == threading.get_ident()
    seen = []
    t = tasklet(lambda: seen.append(stackless.getcurrentid()))()
    stackless.run()
    assert seen == [id(t)]


def test_debug_tells_a_debug_build_of_the_interpreter():
    assert stackless.getdebug() in (True, False)


def test_uncollectables_is_a_list_of_tasklets():
    t = tasklet(sorted)([1], key=stackless.schedule_remove)
    u = tasklet(lambda: sorted([1], key=lambda _: stackless.schedule_remove()))()
    stackless.run()
    assert u in stackless.getuncollectables()
    u.kill()
    assert u not in stackless.getuncollectables()
    t.kill()


def test_softswitch_can_be_asked_and_takes_bools_and_numbers_only():
    old = stackless.enable_softswitch(None)
    assert type(old) is bool
    assert stackless.enable_softswitch(old) is old
    assert stackless.enable_softswitch(0) is old
    assert stackless.enable_softswitch(1) is False
    for wrong in (1.5, "x", []):
        with pytest.raises(TypeError):
            stackless.enable_softswitch(wrong)
    stackless.enable_softswitch(old)


@pytest.mark.parametrize("function", [stackless.pickle_flags, stackless.pickle_flags_default])
def test_pickle_flags(function):
    old = function()
    assert function(new=1, mask=1) == old
    assert function() == old | 1
    assert function(0, 1) == old | 1
    assert function(-1, -1) == old & ~1
    for arguments in ((-2,), (1 << 20,), (0, 1 << 20), (0, -2)):
        with pytest.raises(ValueError):
            function(*arguments)
    function(old, 1)
    assert function() == old


def test_the_names_of_the_pickle_flags():
    assert stackless.PICKLEFLAGS_PRESERVE_TRACING_STATE == 1
    assert stackless.PICKLEFLAGS_PRESERVE_AG_FINALIZER == 2
    assert stackless.PICKLEFLAGS_RESET_AG_FINALIZER == 4


@pytest.mark.parametrize("name", ["getcurrent", "getmain", "getruncount", "getthreads", "getdebug"])
def test_functions_without_arguments(name):
    function = getattr(stackless, name)
    with pytest.raises(TypeError, match="takes no arguments"):
        function(1)
    with pytest.raises(TypeError, match="takes no keyword arguments"):
        function(argument=1)


@pytest.mark.parametrize("name", ["run", "switch", "insert", "remove"])
def test_methods_without_arguments(name):
    method = getattr(tasklet(int, ()), name)
    with pytest.raises(TypeError, match="takes no arguments"):
        method(1)
    with pytest.raises(TypeError, match="takes no keyword arguments"):
        method(argument=1)


@pytest.mark.parametrize(
    "name", ["set_schedule_callback", "set_channel_callback", "enable_softswitch"]
)
def test_functions_with_exactly_one_argument(name):
    function = getattr(stackless, name)
    with pytest.raises(TypeError, match="takes exactly one argument"):
        function()
    with pytest.raises(TypeError, match="takes exactly one argument"):
        function(None, None)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stackless.run(0, False, False, False, False, 1), "at most 5"),
        (lambda: stackless.switch_trap(0, 0), "at most 1 argument"),
        (lambda: tasklet(int, ()).kill(False, 1), "at most 1 argument"),
        (lambda: tasklet(int, ()).bind(int, (), {}, 1), "at most 3 arguments"),
        (lambda: tasklet(int, (), {}, 1), "at most 3 arguments"),
        (lambda: tasklet(int, ()).throw(KeyError, 1, None, False, 1), "at most 4"),
    ],
    ids=["run", "switch_trap", "kill", "bind", "tasklet", "throw"],
)
def test_too_many_arguments(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_unknown_keywords():
    for call in (stackless.run, tasklet, tasklet(int, ()).kill):
        with pytest.raises(TypeError, match="wrong"):
            call(wrong=1)


def _message_of(call, *arguments, **keywords):
    with pytest.raises(TypeError) as caught:
        call(*arguments, **keywords)
    return str(caught.value)


@pytest.mark.parametrize("name", ["schedule", "schedule_remove", "send_throw", "recv_into"])
def test_bad_arguments_are_refused_in_the_words_of_cpython(name):
    """pow() has required parameters and three in all, str.splitlines() one that isn't required."""
    with stackless.socket.socket() as opened:
        call, theirs, words, given = {
            "schedule": (stackless.schedule, "".splitlines, ("keepends", "retval"), (1,)),
            "schedule_remove": (
                stackless.schedule_remove,
                "".splitlines,
                ("keepends", "retval"),
                (1,),
            ),
            "send_throw": (stackless.channel().send_throw, pow, ("base", "exc"), (1, 2)),
            "recv_into": (opened.recv_into, pow, ("base", "buffer"), (1, 2)),
        }[name]
        their_word, word = words
        for arguments, keyword in [((1, 2, 3, 4), None), (given, word), ((), "wrong")]:
            keywords = {keyword: 1} if keyword else {}
            their_keywords = {their_word if keyword == word else "wrong": 1} if keyword else {}
            message = _message_of(theirs, *arguments, **their_keywords)
            message = message.replace(theirs.__name__, name).replace(their_word, word)
            assert _message_of(call, *arguments, **keywords) == message


@pytest.mark.parametrize("wrong", ["1", 1.5, None])
def test_numbers_must_be_numbers(wrong):
    with pytest.raises(TypeError):
        stackless.switch_trap(wrong)
    with pytest.raises(TypeError):
        stackless.run(wrong)
    with pytest.raises(TypeError):
        stackless.get_thread_info(wrong)
    assert stackless.switch_trap() == 0


def test_tasklet_exit_comes_with_the_import():
    lines = child_lines("""
        import builtins
        print(hasattr(builtins, "TaskletExit"))
        import stackless
        print(TaskletExit.__mro__[1].__name__, TaskletExit.__module__)
    """)
    assert lines == ["False", "SystemExit builtins"]


def test_everything_public_has_a_docstring():
    without = []
    for name in ALL:
        thing = getattr(stackless, name)
        if callable(thing) and not thing.__doc__:
            without.append(name)
    for kind in (stackless.tasklet, stackless.channel):
        for name, attribute in vars(kind).items():
            if not name.startswith("_") and not attribute.__doc__:
                without.append(f"{kind.__name__}.{name}")
    assert without == []


@pytest.mark.parametrize(("size", "works"), [("256", True), ("63", False), ("8M", False)])
def test_the_size_of_c_stacks_can_be_set(size, works):
    done = run_child(
        "import stackless; stackless.tasklet(print)('ran'); stackless.run()",
        env={"STACKLESS_STACK_SIZE": size},
    )
    if works:
        assert done.stdout == "ran\n"
    else:
        assert "STACKLESS_STACK_SIZE" in done.stderr


def test_tasklets_and_channels_are_generic_at_run_time_too():
    numbers = stackless.channel[int]
    assert (numbers.__origin__, numbers.__args__) == (stackless.channel, (int,))
    assert isinstance(numbers(), stackless.channel)
    assert stackless.tasklet[int, str].__args__ == (int, str)


def test_a_bomb_without_an_exception():
    for empty in (stackless.bomb(), stackless.bomb(None)):
        assert (empty.type, empty.value, empty.traceback) == (None, None, None)
