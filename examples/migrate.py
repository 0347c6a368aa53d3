"""A computation moves to another process, in the middle of its functions, and ends there.

The claim: a tasklet continues on a different server than the one it began on. Try it:

    python examples/migrate.py          and press Ctrl-C when you have seen enough

It starts the other process itself. Or take two machines with the same Python and this file, and a
MIGRATE_KEY (64 hexadecimal digits) that is the same in both environments:

    python examples/migrate.py --serve 7007            there
    python examples/migrate.py --to address:7007       here
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import stackless
from stackless import snapshot, socket

KEY = bytes.fromhex(os.environ.setdefault("MIGRATE_KEY", secrets.token_hex(32)))

# ---- the computation, which knows nothing of moving ----------------------------------------------


def primes() -> Iterator[int]:
    """Yield the prime numbers."""
    known: list[int] = []
    number = 2
    while True:
        if all(number % each for each in known):
            known.append(number)
            yield number
        number += 1


def search(count: int, results: stackless.channel[int]) -> None:
    """Send the first so many prime numbers."""
    numbers = primes()
    for _ in range(count):
        results.send(next(numbers))


def collect(count: int, results: stackless.channel[int], found: list[int]) -> None:
    """Keep what is found."""
    for _ in range(count):
        found.append(results.receive())


# The two that run, and what they have found. Only they know the channel between them.
Job: TypeAlias = tuple[stackless.tasklet, stackless.tasklet, list[int]]


def begin(count: int = 2000) -> Job:
    """Return a computation that is ready to run."""
    results: stackless.channel[int] = stackless.channel()
    found: list[int] = []
    collector = stackless.tasklet(collect)(count, results, found)
    return stackless.tasklet(search)(count, results), collector, found


# ---- here ----------------------------------------------------------------------------------------


def say(text: str) -> None:
    """Print what happens, and where."""
    print(f"pid {os.getpid()} in {Path.cwd()}: {text}", flush=True)


def move(job: Job, host: str, port: int) -> None:
    """Compute until Ctrl-C, have the job go on there, and print what comes of it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    while not signal.sigtimedwait({signal.SIGINT}, 0.2):  # slowly enough to watch
        stackless.schedule()  # until all have given way: one prime number
        say(f"{len(job[2])} found, the last is {job[2][-1]}")
    data = snapshot.dumps(job, KEY)
    for each in job[:2]:
        each.kill()  # it is not to go on in two places
    say(f"sends {len(data)} bytes")
    with socket.create_connection((host, port)) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("r", encoding="utf-8") as answer:
            say(f"is told: {answer.read()}")


# ---- there ---------------------------------------------------------------------------------------


def serve(listener: socket.socket) -> None:
    """Let computations end here, one after the other."""
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as data:
            connection.sendall(finish(data.read()).encode())


def finish(data: bytes) -> str:
    """Go on with what was begun elsewhere."""
    try:
        searcher, collector, found = snapshot.loads(data, KEY)
    except ValueError as error:  # not signed with our key, or another Python, or other code
        say(f"refuses: {error}")
        return "refused"
    say(f"goes on with {len(found)} found")
    for each in (searcher, collector):
        if each.paused:  # and not blocked: waiting for the other
            each.insert()
    stackless.run()
    return f"{len(found)} found, the last is {found[-1]}, their sum is {sum(found)}"


@contextmanager
def another_process() -> Iterator[int]:
    """Start this file a second time, elsewhere and out of reach of Ctrl-C; give its port."""
    command = [sys.executable, str(Path(__file__).resolve()), "--serve", "-"]
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, tempfile.TemporaryDirectory() as cwd:
        server = subprocess.Popen(command, cwd=cwd, stdin=listener.fileno(), start_new_session=True)
        try:
            yield listener.getsockname()[1]
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            with another_process() as port:
                move(begin(), "127.0.0.1", port)
        case ["--to", address]:
            host, _, number = address.rpartition(":")
            move(begin(), host, int(number))
        case ["--serve", "-"]:  # its standard input is the listener
            serve(socket.socket(fileno=0))
        case ["--serve", number]:
            serve(socket.create_server(("", int(number))))
        case _:
            sys.exit(__doc__)
