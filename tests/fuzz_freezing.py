"""Random programs run alike whether their tasklets are frozen or keep their C stacks.

    python tests/fuzz_freezing.py --programs 10000 --seed 1

A seed makes a program: functions and generators that call each other, written by a small grammar,
and three tasklets that run them. They switch at random places, throw at each other, and look into
each other's frames. Each program runs with a stack budget that freezes nobody, with one that
freezes all it can, and with one in between. What it logs has to be the same: values, exceptions
with their tracebacks and contexts, frames, trace events, and when objects die.

The programs run in a child process. When that dies, another one goes on with the next program.
One that fails is cut down block by block, and printed with what it logged; the exit code is 1.

    python tests/fuzz_freezing.py --show 17 > program.py    # what seed 17 makes
    python tests/fuzz_freezing.py --run < program.py        # run that, perhaps edited
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import faulthandler
import gc
import inspect
import itertools
import random
import re
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator
from types import FrameType
from typing import Any

import stackless

BUDGETS = {"mounted": 1 << 20, "frozen": 0, "mixed": 2}
BATCH = 1000  # programs in a child
HUNG = 60.0  # seconds, for one program
FUEL = 400  # calls and turns of loops in a program
TURNS = 60  # how often the main tasklet helps those that wait
DIFFERS = 3  # exit code of --run
# CPython 3.13 may crash over the variables of a generator that is gone (gh-125723).
FRAGILE = sys.version_info[:2] == (3, 13)

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
        deep(9 * <k> * <k>, <v>)  Probe(<e>).twice(<e>)  min(<e>, <e>, key=lambda q: q + <e>)"""),
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
        "    def method(self, n, d, c=(), **e):\n        nonlocal b\n        <s>\n"
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
    def __init_subclass__(cls, tag):
        <simple>
class Manager:
    def __init__(self, a):
        self.a = a
    def __enter__(self, n=1, b=2, c=(), d=3, **e):
        a = self.a
        <s>
        return <e>
    def __exit__(self, *error, n=1, a=1, b=2, c=(), d=3, **e):
        log(("exit", error[0], describe()))
        <s>
        return <e> % 3 == 0
@contextmanager
def managed(n, a=1, b=2, *c, d=3, **e):
    try:
        <simple>
        yield <e>
    except <class>:<block>
    finally:<block>
def deep(n, a):
    return deep(n - 1, a) + <k> if n > 0 else <switch>
thing, shared = Probe(0), [0, 1, 2, 3]"""
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
        for name in functions:
            add(FUNCTION.format(name, "<s>"))
        for i, arguments in enumerate(("", "d=4", "5")):
            function = self.random.choice(functions)
            add(START.format(i, between(1, 4), function, between(2, 4), arguments))
        self.grammar["point"] = self.grammar["yield"]
        for name in generators:
            add(FUNCTION.format(name, "yield <e>"))
        return "\n".join(parts) + "\n"


# ---- what programs call, and who runs them -------------------------------------------------------


class Stop(BaseException):
    """The program has run long enough."""


def show(value: object) -> str:
    return re.sub(r"0x[0-9a-fA-F]+", "0x", repr(value))


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
                code, index = tb.tb_frame.f_code, tb.tb_lasti // 2
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
            names = {name: value for name, value in values.items() if name in "abdinw"}
            found.append(f"{code.co_name}:{frame.f_lineno} {show(names)}")
        frame = frame.f_back
    return found


class Run:
    """Runs a program with a stack budget, and has its log."""

    def __init__(self, source: str, budget: int) -> None:
        self.log: list[str] = []
        self.fuel = FUEL
        self.tasks: list[Any] = []
        self.kept: list[FrameType] = []
        stackless.set_stack_budget(budget)
        stackless.set_error_handler(lambda _, error, tb: self.write(("died", describe(error))))
        sys.unraisablehook = lambda found: self.write(("unraisable", show(found.exc_value)))
        exec(compile(source, "<program>", "exec"), self.names())
        dice = random.Random(0)
        for turn in range(2 * TURNS):
            stackless.run()
            waiting = [i for i, task in enumerate(self.tasks) if task.alive]
            if turn >= TURNS:
                self.fuel = 0
            if waiting:
                self.poke(
                    dice.choice(waiting), dice.choice(GRAMMAR["help"]) if turn < TURNS else "kill"
                )
        self.write([task.alive for task in self.tasks])
        self.write([chain(frame) for frame in self.kept])
        self.tasks.clear()
        self.kept.clear()
        gc.collect()
        self.write("the end")

    def names(self) -> dict[str, Any]:
        library = (contextlib.contextmanager, contextlib.suppress, gc.collect)
        switches = (stackless.schedule, stackless.schedule_remove, stackless.tasklet)
        own = (describe, chain, self.tick, self.poke, self.peek, self.trace, self.keep)
        names = {each.__name__: each for each in (*library, *switches, *own)}
        channels = {"c0": stackless.channel(), "c1": stackless.channel()}
        return {**names, **channels, "__name__": "program", "log": self.write, "tasks": self.tasks}

    def write(self, value: object) -> None:
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
            task.throw(IndexError(how))
        elif how == "kill":
            task.kill()
        elif how == "unbind":
            with contextlib.suppress(RuntimeError):  # it is scheduled, or pinned
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
                # After a call of Python code, and a thawed one, 3.12 tells of some lines twice.
                if event != "line" or told != last[0] or sys.version_info[:2] != (3, 12):
                    self.write(told)
                last[0] = told
            return tell

        last: list[Any] = [None]

        sys.settrace(tell if how == 1 else None)
        sys.setprofile(tell if how == 2 else None)
        sys._getframe(1).f_trace = tell if how == 1 else None

    def keep(self) -> None:
        self.kept.append(sys._getframe(1))


def examine(source: str) -> dict[str, list[str]]:
    """Run the program with each budget; return the logs."""
    faulthandler.dump_traceback_later(HUNG, exit=True)
    return {name: Run(source, budget).log for name, budget in BUDGETS.items()}


# ---- the children, and their parent --------------------------------------------------------------


def run_source(source: str) -> int:
    logs = examine(source)
    first = logs["mounted"]
    print("mounted:", *first, sep="\n    ")
    for name, log in logs.items():
        print(*difflib.unified_diff(first, log, "mounted", name, lineterm=""), sep="\n")
    return 0 if all(log == first for log in logs.values()) else DIFFERS


def run_seeds(first: int, end: int) -> int:
    """Print for each program how often a tasklet was frozen, and how many different logs it has."""
    for seed in range(first, end):
        before = stackless.statistics()["freezes"]
        logs = examine(Author(seed).program())
        freezes = stackless.statistics()["freezes"] - before
        print(freezes, len(set(map(tuple, logs.values()))), flush=True)
    return 0


def child(*arguments: str, source: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "faulthandler", __file__, *arguments]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=False)


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


def report(seed: int, shrinking: bool) -> None:
    source = Author(seed).program()
    code = child("--run", source=source).returncode
    if shrinking and code != 0:
        source = shrink(source, code)
    done = child("--run", source=source)
    how = {0: "fails after others only", DIFFERS: "differs"}.get(code, f"died ({code})")
    print(f"---- seed {seed} {how}\n{source}----\n{done.stdout}{done.stderr}", flush=True)


def run_all(seed: int, programs: int, shrinking: bool) -> int:
    end, freezes, failed = seed + programs, 0, 0
    while seed < end:
        done = child("--batch", str(seed), str(min(seed + BATCH, end)))
        results = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
        bad = [seed + i for i, (_, different) in enumerate(results) if different > 1]
        freezes += sum(each for each, _ in results)
        seed += len(results)
        if done.returncode != 0:
            print(f"a child died ({done.returncode}) of seed {seed}:\n{done.stderr}", flush=True)
            bad.append(seed)
            seed += 1
        failed += len(bad)
        for each in bad:
            report(each, shrinking)
    print(f"{programs} programs, {failed} failed, {freezes} freezes")
    return 1 if failed or not freezes else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="of the first program")
    parser.add_argument("--no-shrink", action="store_true", help="print what fails as it is")
    parser.add_argument("--show", type=int, metavar="SEED", help="print a program")
    parser.add_argument("--run", action="store_true", help="run the program on standard input")
    parser.add_argument("--batch", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    gc.freeze()  # programs collect a lot,
    gc.disable()  # and nobody else does
    warnings.simplefilter("ignore", SyntaxWarning)  # for what stands in a `finally`
    if options.show is not None:
        print(Author(options.show).program(), end="")
        return 0
    if options.run:
        return run_source(sys.stdin.read())
    if options.batch:
        return run_seeds(*options.batch)
    return run_all(options.seed, options.programs, not options.no_shrink)


if __name__ == "__main__":
    sys.exit(main())
