"""examples/checkpoint.py: a long computation that is killed again and again, and goes on."""

from __future__ import annotations

import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest
from support import CHILD_LIMIT

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "checkpoint.py"
COMMAND = [sys.executable, EXAMPLE]
ANSWER = "92 found, SHA-256 0fbe6f4372fad2fe\n"


def test_undisturbed_it_finds_all_solutions(tmp_path):
    done = subprocess.run(
        [*COMMAND, tmp_path / "db"],
        capture_output=True,
        text=True,
        timeout=CHILD_LIMIT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\nstep 2160: 92 found\n" + ANSWER)


def live(database, lines, delay):
    """Start it, and kill it somewhere after so many lines; return what it printed, and its end."""
    with subprocess.Popen(
        [*COMMAND, database], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        seen = "".join(islice(process.stdout, lines))
        time.sleep(delay)
        process.kill()
        return seen + process.stdout.read(), process.wait()


def survive(database, moments):
    """Kill it and start it until it ends; return how often it was killed."""
    stored = killed = 0
    while True:
        output, end = live(database, moments.randrange(40), moments.random() / 100)
        if began := re.match(r"pid \d+ goes on after step (\d+)\n", output):
            assert int(began[1]) >= stored  # it may have stored more than it could still print
        if end == 0:
            assert output.endswith(ANSWER)
            return killed
        assert end == -signal.SIGKILL, output
        killed += 1
        stored = max([stored, *map(int, re.findall(r"step (\d+): \d+ found\n", output))])


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_moments_it_ends_with_the_same_answer(tmp_path, seed):
    moments = random.Random(seed)
    killed = computations = 0
    while killed < 5:  # on a busy machine it may end before this process gets to kill it
        computations += 1
        killed += survive(tmp_path / f"{computations}.db", moments)


def test_there_is_one_snapshot_at_most(tmp_path):
    live(tmp_path / "db", 10, 0)
    with closing(sqlite3.connect(tmp_path / "db")) as database:
        assert database.execute("SELECT count(*) FROM snapshot").fetchall() == [(1,)]
