# ruff: noqa: I001, N801

from typing import Any, Final

import stackless as stackless
from stackless import snapshot as snapshot, socket as socket
from stackless._stackless import (
    TaskletExit as TaskletExit,
    bomb as bomb,
    channel as channel,
    enable_softswitch as enable_softswitch,
    get_channel_callback as get_channel_callback,
    get_schedule_callback as get_schedule_callback,
    get_thread_info as get_thread_info,
    getcurrent as getcurrent,
    getcurrentid as getcurrentid,
    getdebug as getdebug,
    getmain as getmain,
    getruncount as getruncount,
    getthreads as getthreads,
    getuncollectables as getuncollectables,
    pickle_flags as pickle_flags,
    pickle_flags_default as pickle_flags_default,
    pump as pump,
    run as run,
    schedule as schedule,
    schedule_remove as schedule_remove,
    set_channel_callback as set_channel_callback,
    set_error_handler as set_error_handler,
    set_schedule_callback as set_schedule_callback,
    set_stack_budget as set_stack_budget,
    sleep as sleep,
    statistics as statistics,
    switch_trap as switch_trap,
    tasklet as tasklet,
    timeout as timeout,
    why_pinned as why_pinned,
)

__version__: str

__all__ = [  # noqa: RUF022 -- as in __init__.py
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

PICKLEFLAGS_PRESERVE_TRACING_STATE: Final = 1
PICKLEFLAGS_PRESERVE_AG_FINALIZER: Final = 2
PICKLEFLAGS_RESET_AG_FINALIZER: Final = 4
PICKLEFLAGS_PICKLE_CONTEXT: Final = 8

# Properties of the module's own class, computed when asked for. Only the last can be set, which a
# stub has no way to say.
current: tasklet
main: tasklet
runcount: int
threads: list[int]
debug: bool
uncollectables: list[tasklet]
pickle_with_tracing_state: bool

class atomic:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...

class cframe: ...
class cstack: ...

def test_cframe_nr(switches: int) -> Any: ...
def test_outside() -> None: ...
