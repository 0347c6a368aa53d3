"""Finds the peers that this machine has, and builds those that need it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from figures import ORIGINAL, OURS

PEERS = Path(__file__).resolve().parent / "peers"


@dataclass(frozen=True)
class Peer:
    name: str
    version: str
    program: list[str]  # to be given FIGURE COUNT; empty: none
    server: list[str] = field(default_factory=list)
    lacks: frozenset[str] = frozenset()  # figures of `program` that make no sense there
    pace: float = 1.0  # the share of the operations that it is given: slow peers do with fewer


@dataclass(frozen=True)
class Absent:
    name: str
    reason: str


LEN_CALLS = frozenset({"len_call", "len_call_bare"})


def find_peers(original: str | None, scratch: Path) -> Iterator[Peer | Absent]:
    """Yield the peers in the order of the table's columns; ours first."""
    yield _ours()
    yield _original(original)
    yield _from_package(
        "greenlet", "greenlets.py", pace=0.3, lacks=frozenset({"message"}) | LEN_CALLS
    )
    yield _from_package(
        "gevent", "gevents.py", server=["http_gevent.py"], pace=0.2, lacks=LEN_CALLS
    )
    yield Peer(
        "asyncio",
        _python_version(),
        _python("asyncio_tasks.py"),
        _python("http_asyncio.py"),
        pace=0.2,
        lacks=LEN_CALLS,
    )
    yield _from_package("uvloop", None, server=["http_asyncio.py", "uvloop"])
    yield _boost_fiber(scratch)
    yield _go(scratch)


def find_client(scratch: Path) -> list[str]:
    """Return the command of the HTTP client: a C program if it can be compiled."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is not None:
        program = scratch / "load"
        done = subprocess.run([compiler, "-O2", str(PEERS / "load.c"), "-o", str(program)])
        if done.returncode == 0:
            return [str(program)]
    return _python("load.py")


def _python(*arguments: str) -> list[str]:
    script, *rest = arguments
    return [sys.executable, str(PEERS / script), *rest]


def _python_version() -> str:
    return "Python {}.{}.{}".format(*sys.version_info[:3])


def _ours() -> Peer:
    if importlib.util.find_spec("stackless") is None:
        raise SystemExit(
            f"{sys.executable} has no stackless: install it first (pip install . in the root of "
            "the repository), or run this with the interpreter that has it"
        )
    return Peer(OURS, _python_version(), _python("tasklets.py"), _python("http_tasklets.py"))


def _original(interpreter: str | None) -> Peer | Absent:
    interpreter = interpreter or os.environ.get("STACKLESS_ORIGINAL")
    if not interpreter:
        return Absent(ORIGINAL, "name a build of it: --original PYTHON or $STACKLESS_ORIGINAL")
    # -E: a PYTHONPATH that leads to our own stackless is not for it.
    command = [interpreter, "-E"]
    ask = "import stackless, sys; print('%d.%d.%d' % sys.version_info[:3])"
    try:
        done = subprocess.run([*command, "-c", ask], capture_output=True, text=True, timeout=60)
    except OSError as error:
        return Absent(ORIGINAL, str(error))
    if done.returncode != 0:
        return Absent(ORIGINAL, _last_line(done.stderr))
    return Peer(
        ORIGINAL, "Stackless " + done.stdout.strip(), [*command, str(PEERS / "tasklets.py")]
    )


def _from_package(
    package: str,
    script: str | None,
    *,
    server: list[str] | None = None,
    pace: float = 1.0,
    lacks: frozenset[str] = frozenset(),
) -> Peer | Absent:
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return Absent(package, f"pip install {package}")
    return Peer(
        package,
        f"{package} {version}",
        _python(script) if script else [],
        _python(*server) if server else [],
        pace=pace,
        lacks=lacks,
    )


def _boost_fiber(scratch: Path) -> Peer | Absent:
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        return Absent("boost", "no C++ compiler")
    program = scratch / "boost_fiber"
    command = [compiler, "-std=c++17", "-O2", str(PEERS / "boost_fiber.cpp"), "-o", str(program)]
    libraries = ["-lboost_fiber", "-lboost_context", "-pthread"]
    if subprocess.run([*command, *libraries], capture_output=True).returncode != 0:
        return Absent("boost", "Boost.Fiber doesn't compile here (Debian: libboost-fiber-dev)")
    return Peer("boost", "Boost.Fiber", [str(program)], lacks=LEN_CALLS)


def _go(scratch: Path) -> Peer | Absent:
    if shutil.which("go") is None:
        return Absent("go", "no go command (Debian: golang-go)")
    program = scratch / "goroutines"
    done = subprocess.run(
        ["go", "build", "-o", str(program), str(PEERS / "goroutines.go")],
        capture_output=True,
        text=True,
        env={**os.environ, "GOCACHE": str(scratch / "go-cache"), "GOFLAGS": ""},
    )
    if done.returncode != 0:
        return Absent("go", _last_line(done.stderr))
    version = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True)
    return Peer("go", version.stdout.strip() or "Go", [str(program)], lacks=LEN_CALLS)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "failed without a word"
