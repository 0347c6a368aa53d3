"""What takes too long for each run, in ten slices: ten runs in a row see all of it.

    python tests/rest.py                 # everything
    python tests/rest.py --slice 1234    # the slice of the 1234th commit: the fourth one
    python tests/rest.py --list [--slice N]

That is the suite in torture (every switch freezes and thaws what can be frozen, or pickles it,
too), the fuzzers on programs that the suite doesn't try, and the soak. `./dev test --all` runs
everything, `.ci/run` a slice.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
SLICES = 10
TORTURES = ("1", "pickle")
PROGRAMS = 300  # of the fuzzer of freezing, in a slice
MUTATIONS = 20_000  # of the fuzzer of damaged states
SOAK = 30  # seconds
LONG_SOAK = 600  # the same when everything is run


class Job(NamedTuple):
    """A program to run, which fails if its exit status isn't 0."""

    command: tuple[str, ...]
    torture: str = ""

    def __str__(self) -> str:
        torture = f"STACKLESS_TORTURE={self.torture} " if self.torture else ""
        return torture + shlex.join(("python", *self.command))

    def run(self) -> bool:
        """Run it, and tell whether it succeeded."""
        print(f"---- {self}", flush=True)
        started = time.monotonic()
        environment = {**os.environ, "STACKLESS_TORTURE": self.torture}
        done = subprocess.run([sys.executable, *self.command], env=environment, check=False)
        print(f"---- {time.monotonic() - started:.0f} s", flush=True)
        return done.returncode == 0


def dealt(number: int) -> list[tuple[str, str]]:
    """Return the test files of a slice, each with a way to torture it."""
    # The largest ones take longest; a slice gets one of each ten of a size.
    files = sorted(HERE.rglob("test_*.py"), key=lambda path: (-path.stat().st_size, path.name))
    pairs = [(path, torture) for path in files for torture in TORTURES]
    return [
        (str(path.relative_to(HERE.parent)), torture) for path, torture in pairs[number::SLICES]
    ]


def program(name: str, *arguments: object) -> Job:
    """Return the job of a program among the tests."""
    return Job((f"tests/{name}", *map(str, arguments)))


def jobs_of(number: int) -> list[Job]:
    """Return what a slice consists of."""
    jobs = []
    for torture in TORTURES:
        files = sorted(file for file, how in dealt(number) if how == torture)
        if files:
            jobs.append(Job(("-m", "pytest", "-q", *files), torture))
    first = 1001 + number * PROGRAMS  # the lower seeds are the suite's own
    return [
        *jobs,
        program("fuzz_freezing.py", "--seed", first, "--programs", PROGRAMS),
        program("fuzz_pickling.py", "--seed", 2 + number, "--mutations", MUTATIONS),
        # In so short a time memory says little.
        program("soak.py", "--seed", number, "--seconds", SOAK, "--growth", 100),
    ]


def main() -> int:
    """Run what the command line says; the exit status is 1 if something failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slice", type=int, metavar="N", help=f"only this one, modulo {SLICES}")
    parser.add_argument("--list", action="store_true", help="say what would be run")
    options = parser.parse_args()
    os.chdir(HERE.parent)
    numbers = range(SLICES) if options.slice is None else [options.slice % SLICES]
    jobs: list[Job] = []
    for number in numbers:
        jobs += jobs_of(number)
    if options.slice is None:
        jobs.append(program("soak.py", "--seconds", LONG_SOAK))
    print(f"slice {', '.join(map(str, numbers))} of 0 to {SLICES - 1}", flush=True)
    if options.list:
        print(*jobs, sep="\n")
        return 0
    failed = [job for job in jobs if not job.run()]
    for job in failed:
        print(f"FAILED: {job}")
    print(f"{len(jobs) - len(failed)} jobs passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
