"""A long computation that survives being killed: its tasklets are stored in SQLite as they run.

The claim: the state of a routine is saved, and later restored. Nothing here is written with that in
mind: the search is a plain recursive function, and its whole stack goes into the database. Try it:

    python examples/checkpoint.py queens.db        kill -9 it, and start it once more
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import sys
from contextlib import closing
from typing import TypeAlias

import stackless
from stackless import snapshot

# ---- the computation: all ways to place queens on a chessboard -----------------------------------


def place(queens: list[int], size: int, solutions: stackless.channel[str]) -> None:
    """Place queens in the rows that are left, so that none threatens another; send solutions."""
    stackless.schedule()
    row = len(queens)
    if row == size:
        solutions.send("".join(map(str, queens)))
        return
    for column in range(size):
        if all(column != c and abs(column - c) != row - r for r, c in enumerate(queens)):
            place([*queens, column], size, solutions)


def collect(solutions: stackless.channel[str], found: list[str]) -> None:
    """Keep every solution that comes."""
    while True:  # "for solution in solutions" would wait inside C code, which can't be stored
        found.append(solutions.receive())


# The two that run, and what they have found. Only they know the channel between them.
Job: TypeAlias = tuple[stackless.tasklet, stackless.tasklet, list[str]]


def begin(size: int) -> Job:
    """Return a computation that is ready to run."""
    solutions: stackless.channel[str] = stackless.channel()
    found: list[str] = []
    searcher = stackless.tasklet(place)([], size, solutions)
    return searcher, stackless.tasklet(collect)(solutions, found), found


# ---- the database --------------------------------------------------------------------------------


def open_database(path: str) -> sqlite3.Connection:
    """Open a database of at most one snapshot."""
    database = sqlite3.connect(path)
    with database:
        database.execute("CREATE TABLE IF NOT EXISTS snapshot (one PRIMARY KEY, step, data)")
    return database


def store(database: sqlite3.Connection, step: int, job: Job) -> None:
    """Replace the snapshot in one transaction: a kill leaves the old one or the new one."""
    with database:
        database.execute("REPLACE INTO snapshot VALUES (1, ?, ?)", (step, snapshot.dumps(job)))


def load(database: sqlite3.Connection) -> tuple[int, Job] | None:
    """Return what was stored last, ready to go on."""
    row = database.execute("SELECT step, data FROM snapshot").fetchone()
    if row is None:
        return None
    step, job = row[0], snapshot.loads(row[1])  # without a key: it's our own database
    for each in job[:2]:
        if each.paused:  # and not blocked: waiting for the other
            each.insert()
    return step, job


def compute(path: str, size: int = 8, every: int = 20) -> None:
    """Begin, or go on where the last process was killed; store a snapshot every few steps."""
    with closing(open_database(path)) as database:
        step, job = load(database) or (0, begin(size))
        print(f"pid {os.getpid()} goes on after step {step}", flush=True)
        searcher, _, found = job
        while searcher.alive:
            for _ in range(every):
                stackless.schedule()
            step += every
            store(database, step, job)
            print(f"step {step}: {len(found)} found", flush=True)
    digest = hashlib.sha256("".join(found).encode()).hexdigest()
    print(f"{len(found)} found, SHA-256 {digest[:16]}")


if __name__ == "__main__":
    compute(sys.argv[1] if len(sys.argv) > 1 else "checkpoint.db")
