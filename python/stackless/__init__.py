"""Stackless for stock CPython: tasklets, channels and a scheduler.

A tasklet is a function that runs on a stack of its own; a channel passes objects between tasklets;
the scheduler runs whoever is runnable, in a fixed order. The interface is that of Stackless Python;
this is an independent implementation of it.

    >>> import stackless
    >>> channel = stackless.channel()
    >>> def sender():
    ...     channel.send("hello")
    >>> def receiver():
    ...     print(channel.receive())
    >>> stackless.tasklet(sender)(); stackless.tasklet(receiver)()  # doctest: +SKIP
    >>> stackless.run()  # doctest: +SKIP
    hello
"""

from __future__ import annotations

import importlib as _importlib
import os as _os
import sys as _sys
import types as _types

from stackless import _stackless
from stackless._greenlets import watch as _watch_greenlets
from stackless._self_test import check as _check
from stackless._signals import install as _install_signals
from stackless._stackless import (
    _test_nostacklesscall,
    bomb,
    channel,
    enable_softswitch,
    get_channel_callback,
    get_schedule_callback,
    get_thread_info,
    getcurrent,
    getcurrentid,
    getdebug,
    getmain,
    getruncount,
    getthreads,
    getuncollectables,
    pickle_flags,
    pickle_flags_default,
    pump,
    run,
    schedule,
    schedule_remove,
    set_channel_callback,
    set_error_handler,
    set_schedule_callback,
    set_stack_budget,
    sleep,
    statistics,
    switch_trap,
    tasklet,
    timeout,
    why_pinned,
)
from stackless._wrap import install as _install_reducers

__version__ = "0.1.0"

_IMPORTED_WHEN_ASKED_FOR = ("snapshot", "socket")

PICKLEFLAGS_PRESERVE_TRACING_STATE = 1
PICKLEFLAGS_PRESERVE_AG_FINALIZER = 2
PICKLEFLAGS_RESET_AG_FINALIZER = 4
PICKLEFLAGS_PICKLE_CONTEXT = 8

# What the original's star import gives, and what is ours.
__all__ = [  # noqa: RUF022 -- the original's names first
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
    "pump",
    "sleep",
    "timeout",
    "TaskletExit",
]


class atomic:
    """Keep the current tasklet from being interrupted for the length of a `with` block.

    Sets the tasklet's atomic flag and restores it at the end; blocks nest.
    """

    __slots__ = ("_before",)

    def __enter__(self):
        self._before = getcurrent().set_atomic(True)

    def __exit__(self, *_):
        getcurrent().set_atomic(self._before)


class cframe:
    """A C function that takes part in soft switching; none exist here (the original's type)."""


class cstack:
    """A slice of a C stack; none exist here (the original's type)."""


def _test_cframe_nr(switches):
    """Call schedule(None) that often; return what the last call returned (the original's)."""
    result = None
    for _ in range(switches):
        result = schedule(None)
    return result


def _test_outside():
    """Call run() (the original's test of switching without a main tasklet, which is not needed)."""
    run()


# Not a method of the class below, which would make every look-up in the module slow.
def __getattr__(name):
    if name not in _IMPORTED_WHEN_ASKED_FOR:
        text = f"module 'stackless' has no attribute {name!r}"
        raise AttributeError(text, name=name, obj=_sys.modules[__name__])
    return _importlib.import_module(f"stackless.{name}")


class _Module(_types.ModuleType):
    """The module itself, with attributes that are computed, or imported, when asked for."""

    TaskletExit = property(lambda self: _stackless.TaskletExit, doc="The built-in of that name.")
    current = property(lambda self: getcurrent(), doc="The current tasklet.")
    main = property(lambda self: getmain(), doc="The calling thread's main tasklet.")
    runcount = property(lambda self: getruncount(), doc="The number of runnable tasklets.")
    threads = property(lambda self: getthreads(), doc="The idents of all threads.")
    debug = property(lambda self: getdebug(), doc="Whether this is a build with assertions.")
    uncollectables = property(lambda self: getuncollectables(), doc="Tasklets with a C stack.")

    @property
    def pickle_with_tracing_state(self):
        """Whether pickled tasklets keep their trace and profile functions."""
        return bool(pickle_flags() & PICKLEFLAGS_PRESERVE_TRACING_STATE)

    @pickle_with_tracing_state.setter
    def pickle_with_tracing_state(self, value):
        pickle_flags(
            PICKLEFLAGS_PRESERVE_TRACING_STATE if value else 0, PICKLEFLAGS_PRESERVE_TRACING_STATE
        )

    def __dir__(self):
        computed = (name for name, value in vars(_Module).items() if isinstance(value, property))
        return sorted({*super().__dir__(), *computed, *_IMPORTED_WHEN_ASKED_FOR})

    def __reduce__(self):
        return "stackless"

    def __reduce_ex__(self, protocol):
        return "stackless"


_check()
_install_signals()
_install_reducers()
_watch_greenlets()
if _os.environ.get("STACKLESS_TORTURE") == "pickle":
    from stackless import _torture

    _torture.install()
test_cframe_nr = _test_cframe_nr
test_outside = _test_outside
stackless = _sys.modules[__name__]
stackless.__class__ = _Module
