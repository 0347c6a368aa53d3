"""Random programs run alike whether their tasklets keep their C stacks, are frozen, or pickled.

    python tests/fuzz_freezing.py --programs 10000 --seed 1

A seed makes a program: functions and generators that call each other, written by a small grammar,
and three tasklets that run them. They switch at random places, throw at each other, and look into
each other's frames. Each program runs with a stack budget that freezes nobody, with one that
freezes all it can, and with one in between; and once more until somewhere on the way its tasklets
are pickled, to go on in a fresh process. What it logs has to be the same: values, exceptions with
their tracebacks and contexts, frames, trace events, and when objects die.

The programs run in a child process. When that dies, another one goes on with the next program.
One that fails is cut down block by block, and printed with what it logged; the exit code is 1.

    python tests/fuzz_freezing.py --show 17 > program.py    # what seed 17 makes
    python tests/fuzz_freezing.py --run < program.py        # run that, perhaps edited
    python tests/fuzz_freezing.py --keep ...                # put what is found into the corpus
    python tests/fuzz_freezing.py --replay                  # run what is in there

The corpus (corpus/freezing/) is what has been found before, cut down. The tests run all of it.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import ctypes
import difflib
import faulthandler
import gc
import inspect
import itertools
import marshal
import multiprocessing
import operator
import os
import random
import re
import subprocess
import sys
import textwrap
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, GeneratorType, ModuleType, TracebackType
from typing import Any

import stackless
from stackless import snapshot

CORPUS = Path(__file__).with_name("corpus") / "freezing"
BUDGETS = {"mounted": 1 << 20, "frozen": 0, "mixed": 4}  # of that many one more trades places
BATCH = 1000  # programs in a child
DIED = 1 << (len(BUDGETS) + 1)  # what --run exits with is less, a bit for each way that differs
HUNG = 60.0  # seconds, for one program
# Calls and turns of loops in a program; few enough for the limits of C code, lower in debug builds.
FUEL = 60 if hasattr(sys, "gettotalrefcount") else 200
TURNS = 60  # how often the main tasklet helps those that wait
KILLS = 10 * FUEL  # how often it kills them then
# Levels of recursion. 3.11 counts calls of C code, too, of which a thawed tasklet has none. Once
# 3.13 and later have seen an `__init__()` often enough, calling it takes one more.
PLENTY = 100_000
LIMITS = (PLENTY, PLENTY, PLENTY, 250) if sys.version_info[:2] == (3, 12) else (PLENTY,)
MOVED = ("c0", "c1", "shared", "tasks", "thing")  # a program's global variables
# Known faults, see CHANGELOG.md: up to 3.14 tools are told of an exception that passes what stands
# between merged frames, and 3.12's of its return, if they come while it runs. And after a call of
# Python code, and a thawed one, 3.12 tells of some lines twice.
TELLS_TWICE = (3, 12) <= sys.version_info[:2] <= (3, 14)
# CPython 3.13 may crash over the variables of a generator that is gone (gh-125723).
FRAGILE = sys.version_info[:2] == (3, 13)
# Up to 3.13 a loop that has a generator by way of enumerate() or the like pins once somebody has
# looked at its frame: an exception that drops both would look the same.
WRAPPED = "<g>(<args>)" if sys.version_info >= (3, 14) else "Odd(<e>)"
# Once 3.11 has run code often enough, two instructions that load variables become one, which tells
# its first one's column if a variable has no value. In another process that begins anew.
JOINS_LOADS = sys.version_info[:2] == (3, 11)
# Known, too: 3.11 has more frames in the traceback of an exception that C code swallows if a frozen
# tasklet has been in that. Who throws an instance has it, and thereby what is in those frames.
KEEPS_MORE_FRAMES = sys.version_info[:2] == (3, 11)

# ---- the author ----------------------------------------------------------------------------------


def either(text: str) -> tuple[str, ...]:
    """Split at ends of lines and wider spaces."""
    return tuple(re.split(r"\n +| {2,}", text.strip()))


# <name> is any of the name's choices; the first one when the program gets too long or too deep.
GRAMMAR = {
    "k": either("0  1  2  3  4  5  6"),
    "v": either("a  b  d"),
    "channel": either("0  1"),
    "task": either("0  1  2"),
    "class": either("""LookupError  KeyError  IndexError  (KeyError, IndexError)  Exception
        BaseException  (TypeError, KeyError)"""),
    "error": either("LookupError(<e>)  KeyError(<e>)  IndexError(<e>)  KeyError"),
    "switch": either("""schedule(<k>)  (schedule() and <e>)  schedule(<e>)
        c<channel>.receive()  c<channel>.receive()  (c<channel>.send(<e>) or <k>)
        next(c<channel>)  next(enumerate(c<channel>), <e>)
        (schedule_remove() and <k>)  schedule_remove(<e>)  schedule(Probe(<e>)).key
        (tasks[<task>].run() or <k>)  (tasks[<task>].switch() or <k>)"""),
    "help": either("""go  go  go  go  go  go  pending  pending  throw  throw  raise  raise
        run  run  kill  unbind"""),
    "call": ("<f>(<args>)",),
    "args": either("""n - 1  n - 1, <e>  n - 1, <e>, <e>, <e>  n - 1, d=<e>  n - 1, b=<e>, **e
        n - 1, <e>, d=<e>, z=<e>  n - 1, *(<e>, <e>, <e>)  *[n - 1, <e>], d=<e>
        n - 1, <e>, **{'d': <e>, 'y': <e>}"""),
    "plain": either("<v>  schedule(<v>)  c<channel>.receive()  <f>(n - 1, <v>)"),
    "e": either("""<v>  <k>
        <switch>  <switch>  <switch>  <switch>  <switch>  <switch>  <switch>  <switch>  <switch>
        <call>  <call>  <call>  <call>  <call>  <call>  <call>  <call>  <call>
        (<e> + <e>)  (<e> * <e> % 7)  (<e> < <e> < <e>)  (<e> and <e> or <e>)
        (<e> if <e> % 2 else <e>)  [<e>, <e>][<e> % 2]  {<e>: <e>}.get(<e>, <e>)  shared[<e> % 4]
        (lambda q, r=<e>: <e>)(<e>)  (lambda q: (q, <e>))(<e>)[<e> % 2]
        len(f'{<plain>}{<plain>!r:>{<k>}}')  sum(<e> for i in range(<k>))
        sum([<e> for i in range(<k>)])  sum([<e> for i in range(2) if <e> for j in (i, <e>)])
        max({<e> for i in range(3)})  len({i: <e> for i in (1, <e>)})  sum(c, <e>)
        sum(<g>(<args>))  len([*<g>(<args>), <e>])  next(<g>(<args>), <e>)
        deep(9 * <k> * <k>, <v>)  Probe(<e>).twice(<e>)  min(<e>, <e>, key=lambda q: q + <e>)
        (Odd(<e>) + <e>)  (<e> + Odd(<e>))  (Odd(<e>) < <e>)  (<e> == Odd(<e>))  Odd(<e>).own
        (<e> in Odd(<e>))  (<e> if Odd(<e>) else <e>)  Odd(<e>)[<k>]  Odd(<e>)(<e>)  len(Odd(<e>))
        len(str(Odd(<e>)))  len(f'{Odd(<plain>)}')  hash(Odd(<e>))"""),
    "simple": either("""log(<v>)  log(<e>)  log(<e>)  log(<e>)
        <v> = <e>  <v> = <e>  <v> = <e>  <v> += <e>  <v>, <v> = <e>, <e>  <v>, *c = <e>, <e>, <e>
        shared[<e> % 4] = <e>  shared[<e> % 4] += <e>  thing.x = <e>  thing.x += <e>
        probe = Probe(<e>)  probe = thing.probe = [Probe(<e>), <e>]
        log(f'{<plain>} {<plain>=} {(<plain>, <plain>)!s}')
        if <e> % 3 == <k>: raise <error>  assert <v> != <k>, <e>
        log(describe())  log(chain())  log(peek(<task>))  trace(<k>)  keep()  collect()
        poke(<task>, '<help>')  poke(<task>, '<help>')"""),
    "point": either("log(<switch>)  a = <switch>"),
    "yield": either("""yield <e>  a = yield <e>  b = yield (<e>, <e>)[<k> % 2]
        a = yield from <g>(<args>)  yield from [<e>, <e>]  <resume>"""),
    "resume": (
        "try:\n    yield <e>\n    <s>\nexcept <class>:\n    yield <e>\n    <s>\nfinally:<block>",
    ),
    # What follows a colon, indented.
    "block": ("<simple>", "<simple>", "<s>\n<s>", "<s>\n<s>\n<s>", "<s>\n<s>\n<s>\n<s>"),
    "loop": ("tick()\n<simple>", "tick()\n<s>", "tick()\n<s>\n<s>\n<s>"),
    "s": (
        *["<simple>"] * 7,
        *["<point>"] * 3,
        "if (b := <e>) > 2:<block>\nelif <e>:<block>\nelse:<block>",
        "if <e> % 4 == 0:\n    return <e>",
        "if <e> % 4 == 0:<block>\n    return <e>\n<s>",
        "for i in range(<k>):<loop>",
        "for i in range(20):<loop>\n    a = <switch>\n    <v> = <e>",
        "for i, a in enumerate([<e>, <e>, <e>]):<loop>\nelse:<block>",
        "for a, b in {1: <e>, <e>: 2}.items():<loop>\n    if <e> > 2: break",
        "for a in (<e> for i in range(<k>)):<loop>",
        *["for a in <g>(<args>):<loop>"] * 2,
        "for a in Odd(<e>):<loop>",
        "for i, a in enumerate(Odd(<e>)):<loop>",
        f"for i, a in enumerate({WRAPPED}):<loop>",
        f"for a, b in zip({WRAPPED}, [<e>, <e>]):<loop>",
        f"for a in map(lambda q: q + <e>, {WRAPPED}):<loop>",
        "for a in filter(lambda q: <e>, [<e>, <e>]):<loop>",
        "for i, a in enumerate(c<channel>):<loop>\n    if i > <k>: break",
        "for a, b in zip(c<channel>, range(<k>)):<loop>",
        "for i, a in enumerate(filter(None, zip(c<channel>, [<e>, <e>]))):<loop>",
        "for a in map(lambda q: q + <e>, c<channel>):<loop>\n    if <e> % 2: break",
        "for i in range(9):\n    try:<loop>\n        if <e> % 3: continue\n        break\n"
        "    finally:<block>",
        "w = <k>\nwhile (w := w - 1) > 0:<loop>\nelse:<block>",
        "it = <g>(<args>)\nlog(next(it, <k>))\n<s>\nlog(it.send(<e>))\n<simple>",
        "it = <g>(<args>)\nlog(next(it, <k>))\n<s>\nlog(it.throw(<error>))",
        "try:<block>\nexcept <class> as error:<block>\n    log(describe(error))",
        "try:<block>\n    raise <error>\nexcept <class> as error:<block>\n    raise",
        "try:<block>\n    raise <error>\nexcept <class>:<block>\n    log(describe())",
        "try:<block>\nexcept KeyError:<block>\nexcept <class> as error:<block>\n"
        "    raise <error> from error\nelse:<block>",
        "try:<block>\nexcept IndexError:<block>\n    raise <error> from None\nfinally:<block>",
        "try:<block>\nfinally:<block>",
        "try:\n    try:<block>\n        raise <error>\n    finally:<block>\n"
        "        log(describe())\nexcept <class> as error:<block>\n    log(describe(error))",
        "try:<block>\n    raise ExceptionGroup('', [KeyError(<e>), IndexError(<e>)])\n"
        "except* KeyError as error:\n    <simple>\n    log(describe(error))",
        "with Manager(<e>) as a:<block>",
        "with Manager(<e>), managed(<args>) as b, Manager(<e>):<block>",
        "with managed(<args>) as a:<block>",
        "with suppress(<class>):<block>\n    raise <error>",
        "match (<e>, <v>):\n    case (0, _):<block>\n    case [int() as a, *rest] if <e>:<block>",
        "match {'p': <e>, 'q': Probe(<e>)}:\n    case {'p': 1 | 2 | 3, **rest}:<block>\n"
        "    case {'p': a, 'q': Probe(key=b)} if <e>:<block>",
        "def inner(n, a=<e>, *c, d=<e>, **e):\n    nonlocal b\n    tick()\n    <s>\n"
        "    return <e>\n<simple>\nlog(inner(n, b, *c, <e>, **{'y': <e>}))",
        "class Inner(Base, tag=<e>):\n    a = <e>\n    <simple>\n"
        "    def method(self, n, d, c=(), **e):\n        nonlocal b\n        tick()\n        <s>\n"
        "        return self.a, b\nlog(Inner().method(<e>, d=<e>))",
        "del <v>\n<s>\na = b = d = <k>",
    ),
}
PARTS = """\
class Probe:
    x = 0
    def __init__(self, key):
        self.key = key
    def __del__(self):
        log(("gone", self.key))
    def twice(self, key):
        return self.key + key
class Base:
    def __init_subclass__(cls, tag=0):
        if moving(): return
        tick()
        <simple>
class Manager:
    def __init__(self, a):
        self.a = a
    def __enter__(self, n=1, b=2, c=(), d=3, **e):
        a = self.a
        tick()
        <s>
        return <e>
    def __exit__(self, kind, error, traceback, n=1, a=1, b=2, c=(), d=3, **e):
        log(("exit", kind, describe()))
        tick()
        <s>
        return <e> % 3 == 0
@contextmanager
def managed(n, a=1, b=2, *c, d=3, **e):
    tick()
    try:
        <simple>
        yield <e>
    except <class>:<block>
    finally:<block>
def deep(n, a):
    return deep(n - 1, a) + <k> if n > 0 else <switch>
thing, shared = Probe(0), [0, 1, 2, 3]"""
ODD = """\
class Odd:
    def __init__(self, a):
        self.a = a
"""
ODD_METHOD = """\
    {}, n=1, b=2, c=(), d=3, **e):
        a = self.a
        tick()
        <s>
        return {}"""
ODD_METHODS = {
    "def __add__(self, other": "<e>",
    "def __radd__(self, other": "<e>",
    "def __lt__(self, other": "<e>",
    "def __eq__(self, other": "<e>",
    "def __contains__(self, item": "<e>",
    "def __call__(self, item": "<e>",
    "def __getitem__(self, item": "[3, d, <e>][item]",
    "def __len__(self": "<k>",
    "def __str__(self": "f'{d}'",
    "def __hash__(self": "<k>",
    "@property\n    def own(self": "<e>",
}
FUNCTION = """\
def {}(n, a=1, b=2, *c, d=3, **e):
    tick()
    if n <= 0: return a
    {}
    <s>
    <point>
    <s>
    return <e>"""
START = """\
def start{0}(d=3):
    for i in range({1}):
        try:
            log({2}({3}, i, d=d))
        except LookupError as error:
            log(describe(error))
    log({2}({3}, *[0, d]))
for _ in range({5}):
    tasks.append(tasklet(start{0})({4}))"""


class Author:
    """Writes the program of a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.room = 0
        functions = tuple(f"f{i}" for i in range(self.random.randint(2, 4)))
        generators = tuple(f"g{i}" for i in range(self.random.randint(1, 3)))
        self.grammar = GRAMMAR | {"f": functions, "g": generators}

    def choose(self, symbol: str, depth: int) -> str:
        self.room -= 1
        choices = self.grammar[symbol]
        over = (depth <= 0 or self.room <= 0) and symbol not in "fgkv"
        text = self.write(choices[0] if over else self.random.choice(choices), depth - 1)
        return "\n" + textwrap.indent(text, "    ") if symbol in ("block", "loop") else text

    def write(self, template: str, depth: int) -> str:
        lines = []
        for line in template.split("\n"):
            text = line.lstrip()
            filled = re.sub(r"<(\w+)>", lambda match: self.choose(match[1], depth), text)
            lines.append(textwrap.indent(filled, " " * (len(line) - len(text))))
        return "\n".join(lines)

    def program(self) -> str:
        size, between = self.random.choice((15, 40, 100)), self.random.randint
        functions, generators = self.grammar["f"], self.grammar["g"]
        parts = []

        def add(template: str) -> None:
            self.room = size
            parts.append(self.write(template, between(4, 8)))

        add(PARTS)
        parts.append(ODD.rstrip())
        for head, result in ODD_METHODS.items():
            add(ODD_METHOD.format(head, result))
        for name in functions:
            add(FUNCTION.format(name, "<s>"))
        for i, arguments in enumerate(("", "d=4", "5")):
            function = self.random.choice(functions)
            add(START.format(i, between(1, 4), function, between(2, 4), arguments, between(1, 4)))
        self.grammar["point"] = self.grammar["yield"]
        for name in generators:
            add(FUNCTION.format(name, "yield <e>"))
        return "\n".join(parts) + "\n"


# ---- what programs call, and who runs them -------------------------------------------------------


class Stop(BaseException):
    """The program has run long enough."""


# Compiled now: later a tasklet may have too few levels of recursion left for that.
ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
COLUMN_OF_UNBOUND = re.compile(r"(UnboundLocalError\(.*?:)\d+('\])")


def show(value: object) -> str:
    return ADDRESS.sub("0x", repr(value))


def is_program(frame: FrameType) -> bool:
    return frame.f_code.co_filename == "<program>"


def describe(error: BaseException | None = None) -> list[Any]:
    """Return all there is to the exception, or the one being handled, and to its contexts."""
    error = error or sys.exception()
    found: list[Any] = []
    while error is not None and len(found) < 9:
        places, tb = [], error.__traceback__
        while tb is not None:
            if is_program(tb.tb_frame):
                code, line, column = tb.tb_frame.f_code, tb.tb_lineno, "?"
                if tb.tb_lasti >= 0:  # else it was pickled
                    index = tb.tb_lasti // 2
                    line, _, column, _ = next(itertools.islice(code.co_positions(), index, None))
                places.append(f"{code.co_name}:{line}:{column}")
            tb = tb.tb_next
        found.append((show(error), error.__suppress_context__, show(error.__cause__), places))
        error = error.__context__
    return found


def chain(frame: FrameType | None = None) -> list[str]:
    """Return the frames from the caller's, or the given one, with their variables."""
    frame = frame or sys._getframe(1)
    found = []
    while frame is not None:
        if is_program(frame):
            code = frame.f_code
            values = {} if FRAGILE and code.co_flags & inspect.CO_GENERATOR else frame.f_locals
            names = {name: values[name] for name in "abdinw" if name in values}
            found.append(f"{code.co_name}:{frame.f_lineno} {show(names)}")
        frame = frame.f_back
    return found


def without_variables(traceback: TracebackType | None) -> TracebackType | None:
    """Return what comes of the traceback if it is pickled: it has frames of nobody's."""
    return snapshot.loads(snapshot.dumps(traceback))


def write_back(frame: FrameType) -> None:
    """Set those variables that are in f_locals, which is a copy up to Python 3.12."""
    if sys.version_info < (3, 13):
        ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), 0)


class Run:
    """Runs a program with a stack budget, and has its log."""

    here: Run  # the one under way in this process

    def __init__(self, code: bytes, budget: int, source: str = "") -> None:
        Run.here = self
        self.code = code  # marshalled: specialized code of one run is not for another
        self.budget = budget
        self.log: list[str] = []
        self.muted = False
        self.tools = False  # whether there have been any
        self.fuel = FUEL
        self.turn = 0
        self.steps = 0
        self.dice = random.Random(source)
        self.limit = self.dice.choice(LIMITS)
        # Objects that only a call was made with, whose death is logged.
        self.lends = "schedule(Probe(" in source
        self.stop = self.dice.choice((*range(1, 10), *range(10, 60, 5)))
        self.tasks: list[Any] = []
        self.kept: list[FrameType] = []
        self.told: list[dict[FrameType, Any]] = []  # what each tool keeps
        self.module = sys.modules["program"] = ModuleType("program")
        self.module.__file__ = "<program>"  # for code that no function has any more
        stackless.set_stack_budget(budget)
        stackless.set_error_handler(lambda _, error, tb: self.write(("died", describe(error))))
        sys.unraisablehook = lambda found: self.write(("unraisable", show(found.exc_value)))

    def __reduce__(self) -> tuple[Any, ...]:
        return run_here, ()

    def start(self) -> Run:
        self.execute(stackless.tasklet)
        return self

    def go_on(self, move: Callable[[Run], None] | None = None) -> list[str]:
        """Run to the end. Somewhere on the way `move` may have it run on elsewhere."""
        sys.setrecursionlimit(self.limit)
        while self.turn < TURNS or (self.turn < TURNS + KILLS and self.is_any_alive()):
            while stackless.getruncount() > 1:
                stackless.schedule()
                self.steps += 1
                if self.steps >= self.stop and self.may_move():
                    self.stop = sys.maxsize
                    self.forget()
                    # What has been forgotten may have woken somebody.
                    if move is not None and self.may_move():
                        move(self)
            waiting = [i for i, task in enumerate(self.tasks) if task.alive]
            helps = self.turn < TURNS
            if not helps:
                self.fuel = 0
            if waiting:
                how = self.dice.choice(GRAMMAR["help"])
                self.poke(self.dice.choice(waiting), how if helps else "kill")
            self.turn += 1
        sys.setrecursionlimit(PLENTY)
        self.write([task.alive for task in self.tasks])
        self.write(("kept", [chain(frame) for frame in self.kept]))
        self.tasks.clear()
        self.kept.clear()
        # Nobody else would: the collector doesn't look into the frame object of a suspended
        # generator, which has a reference to its trace function.
        for each in self.told:
            each.clear()
        del self.module, sys.modules["program"]
        self.collect()
        self.write("the end")
        self.muted = (
            True  # what that has not found, because it was revived, is found in another run
        )
        return self.log

    def is_any_alive(self) -> bool:
        return any(task.alive for task in self.tasks)

    def execute(self, tasklet: Any) -> None:
        library = (contextlib.contextmanager, contextlib.suppress)
        switches = (stackless.schedule, stackless.schedule_remove)
        own = (describe, chain, self.tick, self.poke, self.peek, self.trace, self.keep)
        own += (self.moving, self.collect)
        names = {each.__name__: each for each in (*library, *switches, *own)}
        names |= {"c0": stackless.channel(), "c1": stackless.channel()}
        names |= {"log": self.write, "tasks": self.tasks, "tasklet": tasklet}
        vars(self.module).update(names)
        exec(marshal.loads(self.code), vars(self.module))

    # ---- from one process to another --------------------------------------------------------

    def may_move(self) -> bool:
        # Nor are tools kept. They pin a tasklet with a C stack, but not one that is frozen already.
        return not self.tools and all(self.can_move(task) for task in self.tasks if task.alive)

    def can_move(self, task: Any) -> bool:
        # Of a call that is about to raise what it was made with isn't kept.
        raises = isinstance(task.tempval, stackless.bomb)
        return stackless.why_pinned(task) is None and not (raises and self.lends)

    def forget(self) -> None:
        """Let go of what isn't kept in a pickle, in all runs alike.

        That is frames, the variables of those in tracebacks, and garbage.
        """
        self.write(("kept", [chain(frame) for frame in self.kept]))
        self.kept.clear()
        for each in gc.get_objects():
            if isinstance(each, BaseException):
                each.__traceback__ = without_variables(each.__traceback__)
        for frame in self.frames():
            if "traceback" in frame.f_code.co_varnames:  # an __exit__()
                variables = frame.f_locals
                variables["traceback"] = without_variables(variables["traceback"])
                write_back(frame)
            if sys.version_info < (3, 13) and frame.f_code.co_flags & inspect.CO_OPTIMIZED:
                frame.f_locals.clear()  # it is a copy, which keeps what has been in there,
                write_back(frame)  # and which tools would fill at the next event, once it was read
        self.collect()

    def frames(self) -> Iterator[FrameType]:
        """Yield those of the tasklets, and of generators."""
        frames = [task.frame for task in self.tasks if task.alive]
        generators = [each for each in gc.get_objects() if isinstance(each, GeneratorType)]
        frames += [each.gi_frame for each in generators if each.gi_frame is not None]
        for each in frames:
            frame = each
            while frame is not None and (frame is not each or is_program(frame)):
                yield frame
                frame = frame.f_back

    def dump(self) -> bytes:
        """Return what goes on in another process."""
        ring, task = [], stackless.getcurrent().next
        while task is not stackless.getcurrent():
            ring.append(task)
            task = task.next
        variables = {name: vars(self.module).get(name) for name in MOVED}
        state = {each: getattr(self, each) for each in ("tasks", "fuel", "turn", "dice", "limit")}
        return snapshot.dumps((variables, state, ring))

    @classmethod
    def load(cls, code: bytes, budget: int, data: bytes) -> Run:
        """Return the run whose dump this is; its log begins here."""
        self = cls(code, budget)
        self.muted = True
        self.execute(lambda _: lambda *args, **kwargs: None)
        variables, state, ring = snapshot.loads(data)
        vars(self.module).update(variables)
        vars(self).update(state)
        for task in ring:
            task.insert()
        self.stop = sys.maxsize
        self.muted = False
        return self

    # ---- what programs call -----------------------------------------------------------------

    def moving(self) -> bool:
        """Tell whether a class by value is being unpickled, which is made without its keywords."""
        return self.muted

    def write(self, value: object) -> None:
        if self.muted:
            return
        current = stackless.getcurrent()
        name = self.tasks.index(current) if current in self.tasks else "main"
        self.log.append(f"{name} {show(value)}")

    def tick(self) -> None:
        self.fuel -= 1
        if self.fuel < 0:
            raise Stop

    def poke(self, number: int, how: str) -> None:
        """Let a tasklet that waits go on, one way or another."""
        task = self.tasks[number]
        if not task.alive or task is stackless.getcurrent():
            return
        if how == "pending":
            task.throw(KeyError, how, pending=True)
        elif how == "throw":
            task.throw(*((IndexError, how) if KEEPS_MORE_FRAMES else (IndexError(how),)))
        elif how == "kill":
            task.kill()
        elif how == "unbind":
            with contextlib.suppress(RuntimeError):  # it is scheduled, or pinned
                if not self.tools:
                    task.bind(None)
        elif task.blocked and task._channel.balance < 0:
            if how == "raise":
                task._channel.send_exception(LookupError, how)
            else:
                task._channel.send(how.count("o"))
        elif task.blocked:
            self.write(task._channel.receive())
        elif how == "raise":
            task.raise_exception(LookupError, how)
        elif task.paused and how == "run":
            task.run()
        elif task.paused:
            task.insert()

    def peek(self, number: int) -> object:
        """Look into another tasklet, and change something there (to some effect from 3.13 on)."""
        task = self.tasks[number]
        if not task.alive or task is stackless.getcurrent() or task.frame is None:
            return None
        if "a" in task.frame.f_locals and self.fuel % 5 == 0:
            task.frame.f_locals["a"] = 5
        return task.blocked, task.paused, task.recursion_depth, chain(task.frame)

    def trace(self, how: int) -> None:
        """Log what the interpreter tells of the caller, and of what it calls, or no more of it."""

        def tell(frame: FrameType, event: str, detail: Any) -> Any:
            if is_program(frame):
                what = detail[0] if event == "exception" else detail
                told = (event, frame.f_code.co_name, frame.f_lineno, what)
                twice = event == "line" and told == last.get(frame)
                known = TELLS_TWICE and (twice or event in ("exception", "return"))
                if not known and began(frame, event):
                    self.write(told)
                if event == "line":
                    last[frame] = told
            return tell

        def began(frame: FrameType, event: str) -> bool:
            """Tell whether this isn't the end of a call that has begun before the tool came.

            If another one was there then, the interpreter tells of the end whoever is there now;
            but if the tasklet was frozen between the two, nobody knows any more.
            """
            if event == "c_call":
                calls[frame] = calls.get(frame, 0) + 1
            elif event in ("c_return", "c_exception"):
                if calls.get(frame, 0) == 0:
                    return not after_others
                calls[frame] -= 1
            return True

        last: dict[FrameType, Any] = {}
        calls: dict[FrameType, int] = {}
        self.told += last, calls
        after_others = self.tools
        self.tools = True
        sys.settrace(tell if how == 1 else None)
        sys.setprofile(tell if how == 2 else None)
        sys._getframe(1).f_trace = tell if how == 1 else None

    def keep(self) -> None:
        self.kept.append(sys._getframe(1))

    def collect(self) -> None:
        self.write("collects")
        gc.collect()
        self.write("has collected")


def run_here() -> Run:
    return Run.here


class Nursery:
    """A process that has run nothing, and forks others which go on with what is sent to them."""

    def __init__(self) -> None:
        self.pipe, inner = multiprocessing.Pipe()
        if os.fork() == 0:
            self.pipe.close()
            with contextlib.suppress(EOFError):
                while True:
                    self.serve(inner)
            os._exit(0)
        inner.close()
        self.moved = 0

    def serve(self, pipe: Any) -> None:
        moved = pipe.recv()
        child = os.fork()
        if child == 0:
            faulthandler.dump_traceback_later(HUNG, exit=True)
            try:
                log = Run.load(*moved).go_on()
            except BaseException:
                log = traceback.format_exc().splitlines()
            pipe.send(log)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status != 0:
            pipe.send([f"the process died of {status}"])

    def move(self, run: Run) -> None:
        """Have the run go on elsewhere. What is left of it here ends in silence."""
        try:
            self.pipe.send((run.code, run.budget, run.dump()))
        except Exception:
            run.log += traceback.format_exc().splitlines()
        else:
            run.log += self.pipe.recv()
            self.moved += 1
        run.muted = True
        run.turn = TURNS


def as_moved(log: list[str]) -> list[str]:
    """Return what a log has in common with that of a program which was pickled on its way.

    The collector takes what is old first, and all that comes out of a pickle is as old: the order
    in which things die in one collection is its own business.
    """
    if JOINS_LOADS:
        log = [COLUMN_OF_UNBOUND.sub(r"\1?\2", line) for line in log]
    lines: list[str] = []
    since, collector = 0, ""  # where the collection under way began, and the tasklet it is in
    for line in log:
        lines.append(line)
        who, _, what = line.partition(" ")
        if what == "'collects'" and not collector:
            since, collector = len(lines), who
        elif what == "'has collected'" and who == collector:
            lines[since:] = sorted(lines[since:])
            collector = ""
    return lines


def examine(source: str, nursery: Nursery) -> dict[str, list[str]]:
    """Run the program in each way; return the logs, and under "found" in how far they differ."""
    faulthandler.dump_traceback_later(HUNG, exit=True)
    code = marshal.dumps(compile(source, "<program>", "exec"))

    def run(budget: int, move: Callable[[Run], None] | None = None) -> list[str]:
        return Run(code, budget, source).start().go_on(move)

    logs = {name: run(budget) for name, budget in BUDGETS.items()}
    logs["moved"] = run(random.Random(source).choice((*BUDGETS.values(),)), nursery.move)
    return logs


def differences(logs: dict[str, list[str]]) -> dict[str, str]:
    """Return in how far the other logs differ from the first one."""
    first = logs["mounted"]
    found = {}
    for name, log in logs.items():
        one, other = first, log
        if name == "moved":
            one, other = as_moved(one), as_moved(other)
        if one != other:
            lines = difflib.unified_diff(one, other, "mounted", name, lineterm="")
            found[name] = "\n".join(lines)
    return found


# ---- the children, and their parent --------------------------------------------------------------


def run_source(source: str) -> int:
    logs = examine(source, Nursery())
    print("mounted:", *logs["mounted"], sep="\n    ")
    found = differences(logs)
    print(*found.values(), sep="\n")
    return sum(1 << list(logs).index(name) for name in found)


def run_seeds(first: int, end: int) -> int:
    """Print of each program how often a tasklet was frozen, whether it was moved, and differs."""
    nursery = Nursery()
    for seed in range(first, end):
        before, moved = stackless.statistics(), nursery.moved
        logs = examine(Author(seed).program(), nursery)
        now = stackless.statistics()
        counts = [now[name] - before[name] for name in ("freezes", "trades")]
        print(*counts, nursery.moved - moved, len(differences(logs)), flush=True)
    return 0


def child(*arguments: str, source: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "faulthandler", __file__, *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.run(
        command, input=source, capture_output=True, text=True, check=False, env=environment
    )


def cuts(lines: list[str]) -> Iterator[list[str]]:
    """Yield the program without a line and its suite, with the latter only, and without it."""
    for i in reversed(range(len(lines))):
        indent = len(lines[i]) - len(lines[i].lstrip())
        end = i + 1
        while end < len(lines) and lines[end].startswith(" " * (indent + 1)):
            end += 1
        yield lines[:i] + lines[end:]
        yield [*lines[:i], *(line[4:] for line in lines[i + 1 : end]), *lines[end:]]
        yield [*lines[: i + 1], " " * indent + "    pass", *lines[end:]]


def shrink(source: str, code: int) -> str:
    """Cut things away while the program goes on to fail that way."""
    for cut in cuts(source.splitlines()):
        smaller = "\n".join(cut) + "\n"
        if len(smaller) < len(source):
            with contextlib.suppress(SyntaxError):
                compile(smaller, "<program>", "exec")
                if child("--run", source=smaller).returncode == code:
                    return shrink(smaller, code)
    return source


def report(seed: int, shrinking: bool, keeping: bool) -> None:
    source = Author(seed).program()
    code = child("--run", source=source).returncode
    if shrinking and code != 0:
        source = shrink(source, code)
    done = child("--run", source=source)
    how = "fails after others only" if code == 0 else "differs" if code < DIED else f"died ({code})"
    print(f"---- seed {seed} {how}\n{source}----\n{done.stdout}{done.stderr}", flush=True)
    if keeping and code != 0:
        (CORPUS / f"seed_{seed}.py").write_text(f"# Seed {seed}: {how}\n{source}")


def replay(files: list[Path]) -> int:
    """Run these programs, each in a process of its own, which nobody else has warmed."""
    failed = 0
    for path in files:
        # A program's dice depend on its text: without the comment that says what it has found.
        source = re.sub(r"\A(#.*\n)+", "", path.read_text())
        done = child("--run", source=source)
        if done.returncode != 0:
            failed += 1
            print(f"---- {path}\n{done.stdout}{done.stderr}", flush=True)
    print(f"{len(files)} programs, {failed} failed")
    return 1 if failed else 0


def add(total: tuple[int, ...], more: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(operator.add, total, more))


def run_batch(seed: int, end: int) -> tuple[list[int], tuple[int, ...]]:
    """Return the seeds that failed, and how many freezes, trades and moves there were."""
    bad, total = [], (0, 0, 0)
    while seed < end:
        done = child("--batch", str(seed), str(end))
        results = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
        bad += [seed + i for i, (*_, differs) in enumerate(results) if differs]
        for counts in results:
            total = add(total, counts)
        seed += len(results)
        if done.returncode != 0:
            print(f"a child died ({done.returncode}) of seed {seed}:\n{done.stderr}", flush=True)
            bad.append(seed)
            seed += 1
    return bad, total


def run_all(seed: int, programs: int, jobs: int, shrinking: bool, keeping: bool) -> int:
    end, total, failed = seed + programs, (0, 0, 0), 0
    starts = range(seed, end, BATCH)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for result in pool.map(run_batch, starts, (min(each + BATCH, end) for each in starts)):
            bad, more = result
            total = add(total, more)
            failed += len(bad)
            for each in bad:
                report(each, shrinking, keeping)
    freezes, trades, moved = total
    print(
        f"{programs} programs, {failed} failed; {freezes} freezes, {trades} trades, {moved} moved"
    )
    return 1 if failed or 0 in total else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="of the first program")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes at a time")
    parser.add_argument("--no-shrink", action="store_true", help="print what fails as it is")
    parser.add_argument("--keep", action="store_true", help="put what fails into the corpus")
    parser.add_argument(
        "--replay", nargs="*", type=Path, metavar="FILE", help="run these, or the whole corpus"
    )
    parser.add_argument("--show", type=int, metavar="SEED", help="print a program")
    parser.add_argument("--run", action="store_true", help="run the program on standard input")
    parser.add_argument("--batch", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    gc.freeze()  # programs collect a lot,
    gc.disable()  # and nobody else does
    sys.setrecursionlimit(PLENTY)
    warnings.simplefilter("ignore", SyntaxWarning)  # for what stands in a `finally`
    if options.show is not None:
        print(Author(options.show).program(), end="")
        return 0
    if options.run:
        return run_source(sys.stdin.read())
    if options.replay is not None:
        return replay(options.replay or sorted(CORPUS.glob("*.py")))
    if options.batch:
        return run_seeds(*options.batch)
    shrinking = not options.no_shrink
    return run_all(options.seed, options.programs, options.jobs, shrinking, options.keep)


if __name__ == "__main__":
    sys.exit(main())
