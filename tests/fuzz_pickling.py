"""Damaged pickles and snapshots raise exceptions, or make something that runs; nothing crashes.

    python tests/fuzz_pickling.py --mutations 1000000 --seed 1

Each mutation damages what a tasklet, generator, channel or function tells of itself, a pickle of
it, or a snapshot. What is accepted all the same is run, thrown at, looked at, pickled, collected.

When a child process dies or hangs, the exit code is 1; this repeats the mutation, in this process:

    python tests/fuzz_pickling.py --seed 1 --only 4711

What has been found before is in corpus/pickling/: programs that call tried() with damaged states.

    python tests/fuzz_pickling.py --replay      # runs them; so do the tests
"""

from __future__ import annotations

import argparse
import contextlib
import copyreg
import faulthandler
import gc
import io
import mmap
import os
import pickle
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import types
import warnings
from pathlib import Path

import stackless
from stackless import _wrap, channel, schedule_remove, snapshot, tasklet

CORPUS = Path(__file__).with_name("corpus") / "pickling"
HUNG = 60.0  # seconds without a new mutation
MEMORY = 2 << 30  # of a child, as damaged pickles ask for a lot
KEY = b"key"
GENERATORS = (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType)
INTS = [0, 1, -1, 2, 3, 7, 255, 1 << 15, 1 << 16, 1 << 31, -(1 << 31), 1 << 62, -(1 << 63), 1 << 99]
quiet = contextlib.suppress(BaseException)

# ---- what is pickled -----------------------------------------------------------------------------


class Noted(tasklet):
    def __init__(self, *args):
        super().__init__(*args)
        self.note = [args]


def yields(count):
    for number in range(min(count, 9)):
        try:
            number = (yield schedule_remove(number)) or number
        except KeyError as error:
            yield error
            raise
        finally:
            yield schedule_remove("finally")


def loops(suspended):
    for a in (1, 2):
        for b in [a, 3]:
            for c in {b: 4}.items():
                print([schedule_remove(d) for d in range(2)], c, {schedule_remove(b)}, suspended)
    for value in (each for each in yields(2)):
        print(value, next(suspended))


def handles():
    try:
        try:
            raise KeyError(1)
        finally:
            schedule_remove(1)
    except KeyError as error:
        schedule_remove(error)
        try:
            raise ValueError(2) from error
        except ValueError:
            schedule_remove(2)
    try:
        raise ExceptionGroup("", [KeyError(1), ValueError(2)])
    except* KeyError:
        schedule_remove(1)
    except* ValueError:
        schedule_remove(2)


def closes_over(a, /, b=2, *c, d=3, **e):
    def inner():
        nonlocal a
        a = schedule_remove((a, b))
        return f"{a!r:>4}{schedule_remove(c)}{e}"

    match schedule_remove([1, d]):
        case [_, *rest]:
            print(inner(), rest)
    return inner


class Awkward(OSError):
    __slots__ = ("code",)

    def __init__(self, *, code):
        super().__init__(2, "no such thing", "/path")
        self.code = code


class Items(list):
    def append(self, item):
        schedule_remove(item)

    def __private(self, item):
        super().append(schedule_remove(item))

    def methods(self):
        return [super().append, self.__private, types.MethodType(closes_over, 1)]


def awkward():
    methods = Items().methods()
    try:
        raise Awkward(code=1)
    except Awkward as error:
        for method in methods:
            print(error, method(schedule_remove(error)))


class Manager:
    async def __aenter__(self):
        return await pause(1)

    async def __aexit__(self, *_):
        return await pause(2)


@types.coroutine
def pause(value):
    return (yield value)


async def awaits():
    async with Manager():
        raise KeyError
    return await pause(3)


async def gives():
    yield 1
    await pause(2)
    yield 3


async def stops(value):
    try:
        yield schedule_remove(value)
        await pause(value)
        yield schedule_remove(value)
    except KeyError as error:
        yield schedule_remove(error)
        await pause(error)
    finally:
        schedule_remove("finally")


async def drains():
    async for value in stops(2):
        print(schedule_remove(value), [each async for each in stops(3)])
    values = stops(4)
    await anext(values)
    await values.athrow(KeyError(5))


def drives():
    for make in drains, stops(1).__anext__:
        with contextlib.suppress(StopIteration, KeyError):
            made = make()
            while True:
                schedule_remove(made.send(None))


class Exchanges:
    """What drives a generator, which holds it and awaits something."""

    async def gives(self):
        try:
            self.got = yield 1
        finally:
            await pause(2)

    def __init__(self, steps, drive):
        self.values = self.gives()
        stepped(min(steps, 1), self.values)
        self.drives = stepped(max(steps - 1, 0), drive(self.values))


def exchanges(gate, value):
    gate.send(value) if value else gate.receive()


def waiting(value):
    gate = channel()
    return gate, *(stepped(1, Noted(exchanges, (gate, value))) for _ in range(2))


def sends(gate, items):
    return gate.send_sequence(items)


def sending(received):
    gate = channel()
    gate.preference = 1  # the sender goes on at once
    made = stepped(1, Noted(sends, (gate, iter(range(4)))))
    for _ in range(received):
        gate.receive()
    return made


def stepped(steps, made):
    for _ in range(steps):
        with contextlib.suppress(StopIteration, StopAsyncIteration, KeyError):
            step(made)
    return made


SUBJECTS = [
    *(
        lambda n=n: stepped(n, Noted(loops, (stepped(n % 3, yields(2)),)))
        for n in (0, 1, 3, 14, 15)
    ),
    *(lambda n=n: stepped(n, Noted(handles, ())) for n in (1, 2, 3, 4, 5)),
    *(lambda n=n: stepped(n, Noted(closes_over, (1, 2, 3), {"z": 4})) for n in (0, 1, 2, 3)),
    *(lambda n=n: stepped(n, Noted(awkward, ())) for n in (1, 2, 3)),
    *(lambda n=n: stepped(n, Noted(drives, ())) for n in range(1, 14)),
    *(lambda n=n, kind=kind: stepped(n, kind()) for n in (0, 1, 2) for kind in (awaits, gives)),
    *(lambda n=n: stepped(n, yields(3)) for n in (0, 1, 2)),
    *(lambda n=n: sending(n) for n in (0, 1, 3)),
    *(lambda value=value, part=part: waiting(value)[part] for value in (0, 1) for part in (0, 1)),
    *(
        lambda n=n, drive=drive: Exchanges(n, drive).drives
        for n in (0, 1, 2, 3)
        for drive in (
            lambda values: values.asend(None),
            lambda values: values.athrow(KeyError(1)),
            lambda values: values.aclose(),
        )
    ),
    lambda: (lambda a, b=[1]: lambda c: (a, b, c))(1),
    lambda: [types.CellType(yields(1)), [].append, {1: 2}.items(), pause],
]
# What random bytes may call, and in which module that is.
ALLOWED = {
    **dict.fromkeys(["tasklet", "channel"], "stackless"),
    **dict.fromkeys(["getattr", "range", "iter", "KeyError", "ValueError"], "builtins"),
    **dict.fromkeys(["loops", "handles", "closes_over", "exchanges", "Noted"], "fuzz_pickling"),
    **dict.fromkeys(
        ["Manager", "pause", "yields", "awaits", "gives", "Exchanges", "stops", "drains", "drives"],
        "fuzz_pickling",
    ),
    **dict.fromkeys(["generator", "coroutine", "async_generator", "cell"], "stackless._wrap"),
    **dict.fromkeys(["async_generator_asend", "async_generator_athrow"], "stackless._wrap"),
    **dict.fromkeys(["function", "code", "namespace", "dict_items"], "stackless._wrap"),
    **dict.fromkeys(["traceback", "frame", "code_by_value"], "stackless._wrap"),
    **dict.fromkeys(["exception", "function_in", "method"], "stackless._wrap"),
    **dict.fromkeys(["bound_slot", "itself"], "stackless._wrap"),
    **dict.fromkeys(["Awkward", "Items", "awkward"], "fuzz_pickling"),
}


class Restricted(pickle.Unpickler):
    def find_class(self, module, name):
        if ALLOWED.get(name) != module:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return super().find_class(module, name)


# ---- damage --------------------------------------------------------------------------------------


class Fuzzer:
    """Does one mutation after the other; `subjects` is the module of this name."""

    def __init__(self, subjects):
        warnings.simplefilter("ignore")
        sys.unraisablehook = lambda _: None
        sys.stdout = io.StringIO()
        self.subjects, self.variables, self.good = subjects, dict(vars(subjects)), []
        for make in subjects.SUBJECTS:
            made = make()
            self.good.append(dumped(made))
            end(made)
        self.unsigned = [snapshot.dumps(pickle.loads(each)) for each in self.good]
        self.signed = [snapshot.dumps(pickle.loads(each), KEY) for each in self.good]

    def one(self, seed, number):
        self.rng = random.Random(f"{seed}.{number}")
        try:
            self.rng.choice([self.state] * 6 + [self.payload] * 3 + [self.container])()
        except (AssertionError, SystemError):
            raise
        except BaseException:  # a clear exception: that is how it should be
            pass
        vars(self.subjects).update(self.variables)
        main = stackless.getcurrent()
        while stackless.getruncount() > 1:
            end(main.next)
        main.tempval = None
        if number % 100 == 0:
            gc.collect()

    def state(self):
        make, args, state = self.renewed([*reduced(pickle.loads(self.rng.choice(self.good)))], {})
        made = make(*self.damaged(args, 0.1))
        try:
            set_state(made, self.damaged(state))
        finally:
            self.use(made)

    def replay(self, path):
        """Run a program of the corpus."""
        self.rng = random.Random(path.name)
        source = compile(path.read_text(), path, "exec")
        exec(source, {**vars(self.subjects), "tried": self.tried})

    def tried(self, make, args, state):
        """Make something of a damaged state several times, each to be used in another way."""
        for _ in range(20):
            try:
                made = make(*args)
                try:
                    set_state(made, self.renewed(state, {}))
                finally:
                    self.use(made)
            except (AssertionError, SystemError):
                raise
            except BaseException:  # a clear exception: that is how it should be
                pass

    def renewed(self, value, seen):
        """Copy a state; generators, each of which may run in only one tasklet, are made anew."""
        if type(value) in (tuple, list):
            return type(value)(self.renewed(each, seen) for each in value)
        if not isinstance(value, GENERATORS):
            return value
        if id(value) not in seen:
            make, args, state = reduced(value)
            seen[id(value)] = made = make(*args)
            state = self.damaged(self.renewed(state, seen), 0.1)
            if self.rng.random() < 0.9:
                set_state(made, state)
        return seen[id(value)]

    def damaged(self, value, probability=1.0):
        if self.rng.random() < probability:
            for _ in range(self.rng.choice([1, 1, 1, 2, 4])):
                value = self.mutated(value)
        return value

    def mutated(self, value):
        rng = self.rng
        if rng.random() < 0.1:
            return self.anything()
        if isinstance(value, dict) and value:
            return {**value, rng.choice(list(value)): self.anything()}
        if isinstance(value, bytes):
            return self.bytes(value)
        if isinstance(value, int):
            change = rng.choice([1, -1, 1 << rng.randrange(34)])
            return rng.choice([value + change, value ^ change, rng.choice(INTS)])
        if not isinstance(value, list | tuple) or not value:
            return self.anything()
        items = list(value)
        a, b = rng.randrange(len(items)), rng.randrange(len(items))
        if rng.random() < 0.6:
            items[a] = self.mutated(items[a])
        elif rng.random() < 0.5:
            items[a], items[b] = items[b], items[a]
        else:
            items[a : a + 1] = rng.choice([[], [items[a]] * 2, [items[b]], [self.anything()]])
        return type(value)(items)

    def anything(self):
        """Return some value, most often a part of another state."""
        some = [None, "", b"", (), [], {}, 1.5, *INTS, types.CellType(), channel(), tasklet(), iter]
        value = self.rng.choice([*some, tasklet(yields), yields, stackless.getmain(), KeyError(1)])
        if self.rng.random() < 0.7:
            value = pickle.loads(self.rng.choice(self.good))
            while self.rng.random() < 0.8:
                with contextlib.suppress(TypeError):
                    value = reduced(value)
                if not isinstance(value, list | tuple) or not value:
                    break
                value = self.rng.choice(value)
        return value

    def bytes(self, data):
        a, b = (self.rng.randrange(len(data) + 1) for _ in range(2))
        piece = data[a : a + self.rng.choice([1, 1, 2, 20])]
        flipped = bytes(each ^ 1 << self.rng.randrange(8) for each in piece)
        other = self.rng.choice([b"", flipped, piece * 2, data[b : b + 8], b"\xff" * len(piece)])
        return data[:a] + other + data[a + len(piece) :]

    def payload(self):
        data = self.rng.choice(self.good)
        for _ in range(self.rng.choice([1, 1, 2, 5])):
            data = self.bytes(data)
        if self.rng.random() < 0.1:
            header = self.unsigned[0][: snapshot._HEADER]
            snapshot.describe(header + snapshot._digest(b"unsigned", header, data) + data)
        self.use(Restricted(io.BytesIO(data)).load())

    def container(self):
        key = self.rng.choice([None, KEY])
        good = self.rng.choice(self.signed if key else self.unsigned)
        data = self.bytes(good)
        for read in snapshot.loads, snapshot.describe:
            try:
                read(data, key)
            except snapshot.SnapshotError:
                continue
            assert data == good, "a damaged snapshot was accepted"

    def use(self, made):
        """Do with it all that might find that something is wrong."""
        for each in [made, *(made if isinstance(made, list | tuple) else ())]:
            for _ in range(self.rng.randrange(9)):
                with quiet:
                    self.rng.choice([step, step, step, look, throw, end])(each)
            if self.rng.random() < 0.1:
                with quiet:
                    gc.collect(0)
                    self.use(pickle.loads(dumped(each)))
            end(each)


def dumped(made):
    file = io.BytesIO()
    snapshot.Pickler(file).dump(made)
    return file.getvalue()


def reduced(value):
    """Return (callable, arguments, state)."""
    if isinstance(value, types.FunctionType):
        return _wrap.reduce_function(value)
    found = copyreg.dispatch_table.get(type(value), lambda value: value.__reduce_ex__(4))(value)
    return (*found, None)[:3]


def set_state(made, state):
    if hasattr(made, "__setstate__"):
        made.__setstate__(state)


def step(made):
    if isinstance(made, tasklet):
        made.run()
    elif isinstance(made, channel):
        made.send(1) if made.balance < 0 else made.receive() if made.balance else None
    elif isinstance(made, types.AsyncGeneratorType):
        made.asend(None).send(None)
    elif hasattr(made, "send"):  # generators, coroutines, asend() and athrow()
        made.send(None)
    else:
        made(1) if callable(made) else list(made)


def throw(made):
    made.send_exception(KeyError, 1) if isinstance(made, channel) else made.throw(KeyError)


def look(made):
    repr(made), gc.get_referents(made), [getattr(made, name, None) for name in dir(made)]
    frame = getattr(made, "frame", None) or getattr(made, "gi_frame", None)
    while frame is not None:
        repr((frame.f_locals, frame.f_lineno, list(frame.f_code.co_lines())))
        frame = frame.f_back


def end(made):
    with quiet:
        for _ in range(9):
            if isinstance(made, tasklet) and not made.is_main:
                made.kill()
                made.remove()
            elif isinstance(made, channel) and made.queue is not None:
                made.queue.kill()


# ---- processes -----------------------------------------------------------------------------------


def child(subjects, seed, numbers, at, errors):
    """Do these mutations in a process of its own; return its id."""
    if process := os.fork():
        return process
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(errors.fileno(), 2)
    faulthandler.enable()
    code = 1
    try:
        fuzzer = Fuzzer(subjects)
        for number in numbers:
            at[:] = struct.pack("q", number)
            fuzzer.one(seed, number)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def replay(subjects, path):
    """Run a program of the corpus in its own process; return its exit code, or what killed it."""
    process = os.fork()
    if process == 0:
        signal.alarm(int(HUNG))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        faulthandler.enable()
        code = 1
        try:
            Fuzzer(subjects).replay(path)
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def watch(process, at):
    """Wait for a child; return its exit code, or what killed it."""
    seen, since = None, time.monotonic()
    while True:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if at[:] != seen:
            seen, since = at[:], time.monotonic()
        elif time.monotonic() - since > HUNG:
            os.kill(process, signal.SIGABRT)
        time.sleep(0.02)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="the number of one mutation")
    parser.add_argument("--replay", action="store_true", help="run the corpus")
    options = parser.parse_args()
    import fuzz_pickling as subjects  # damage may reach its variables, but not those of __main__

    if options.only is not None:
        Fuzzer(subjects).one(options.seed, options.only)
        return 0
    if options.replay:
        codes = {path: replay(subjects, path) for path in sorted(CORPUS.glob("*.py"))}
        bad = {path: code for path, code in codes.items() if code != 0}
        print(*(f"exit code {code}: {path}" for path, code in bad.items()), sep="\n")
        print(f"{len(codes)} programs, {len(bad)} failed")
        return 1 if bad else 0
    at = mmap.mmap(-1, 8)
    at[:] = struct.pack("q", -1)
    begun, number, failed = time.monotonic(), 0, 0
    while number < options.mutations and failed < 20:
        numbers = range(number, min(number + 20_000, options.mutations))
        with tempfile.TemporaryFile() as errors:
            code = watch(child(subjects, options.seed, numbers, at, errors), at)
            errors.seek(0)
            lines = errors.read().decode(errors="replace").splitlines()[-40:]
        number = numbers.stop
        if code != 0:
            (last,) = struct.unpack("q", at[:])
            print(*lines, f"exit code {code}: --seed {options.seed} --only {last}", sep="\n")
            failed, number = failed + 1, last + 1
            if last < 0:  # it didn't even begin
                return 1
    speed = number / (time.monotonic() - begun)
    print(f"{number} mutations, {failed} failed, {speed:.0f} a second")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
