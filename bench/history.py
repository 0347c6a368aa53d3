"""What was measured at which commit, in history/, and whether a run falls behind that.

Nanoseconds of two runs can't be compared: the machine may be another one, or busy. So a time is
compared as what it is in calls of ``len([])`` measured in the same run, and bytes as they are.
"""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from figures import FIGURES, OURS, Figure, Kind
from report import Results

FOLDER = Path(__file__).resolve().parent / "history"
YARDSTICK = "len_call"
# How much worse than the newest entry a figure may be; times vary from run to run, bytes hardly.
TOLERANCE = {
    Kind.TIME: 0.20,
    Kind.HTTP_SPEED: 0.20,
    Kind.MEMORY: 0.03,
    Kind.HTTP_MEMORY: 0.10,
}


@dataclass(frozen=True)
class Entry:
    """One measured commit."""

    commit: str
    number: int  # of commits up to that one
    python: str
    architecture: str
    values: dict[str, dict[str, float]]  # by figure and peer

    @classmethod
    def read(cls, path: Path) -> Entry:
        document = json.loads(path.read_text())
        names = ("commit", "number", "python", "architecture", "values")
        return cls(**{name: document[name] for name in names})


@dataclass(frozen=True)
class Fall:
    """A figure that has become worse than its tolerance allows."""

    figure: Figure
    worse: float  # 0.5: half as much again
    since: Entry

    def __str__(self) -> str:
        allowed = TOLERANCE[self.figure.kind]
        return (
            f"{self.figure.name}: {self.worse:.0%} worse than at {self.since.commit} "
            f"(tolerance {allowed:.0%})"
        )


def entries(folder: Path = FOLDER) -> list[Entry]:
    """Return all entries, oldest first."""
    found = [Entry.read(path) for path in folder.glob("*.json")]
    return sorted(found, key=lambda entry: (entry.number, entry.python))


def newest(python: str, architecture: str, folder: Path = FOLDER) -> Entry | None:
    """Return the newest entry of a Python, "3.12" for example, on such a processor."""
    like = [e for e in entries(folder) if (e.python, e.architecture) == (python, architecture)]
    return like[-1] if like else None


def this_python() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def git(*arguments: str) -> str:
    command = ["git", "-C", str(FOLDER), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def record(results: Results, peers: list[str], about: dict[str, Any], rounds: int) -> Path:
    """Write an entry for the commit that is checked out; return where."""
    if git("status", "--porcelain", "--", "../../src", "../../python", "../../CMakeLists.txt"):
        raise SystemExit("there are uncommitted changes: an entry is about a commit")
    commit, number = git("rev-parse", "--short=10", "HEAD"), int(git("rev-list", "--count", "HEAD"))
    values = {
        figure.name: {
            peer: round(best, 2)
            for peer in peers
            if (best := results.best(figure, peer)) is not None
        }
        for figure in FIGURES
    }
    document = {
        "commit": commit,
        "number": number,
        "date": datetime.now(UTC).date().isoformat(),
        "python": this_python(),
        **{name: about[name] for name in ("architecture", "processor")},
        "rounds": rounds,
        "values": {name: by_peer for name, by_peer in values.items() if by_peer},
    }
    path = FOLDER / f"{number:05}-{commit}-{this_python()}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def comparable(figure: Figure, values: dict[str, float]) -> float | None:
    """Return the figure as something that is better if it is smaller, on any machine."""
    value = values.get(figure.name)
    if value is None or figure.kind in (Kind.MEMORY, Kind.HTTP_MEMORY):
        return value
    if not (yardstick := values.get(YARDSTICK)):
        return None
    return value / yardstick if figure.kind is Kind.TIME else 1 / (value * yardstick)


def falls(results: Results, since: Entry) -> Iterator[Fall]:
    """Yield the figures of ours that have become worse than they may."""
    ours = {f.name: best for f in FIGURES if (best := results.best(f, OURS)) is not None}
    before = {name: by_peer[OURS] for name, by_peer in since.values.items() if OURS in by_peer}
    for figure in FIGURES:
        now, then = comparable(figure, ours), comparable(figure, before)
        if now is None or then is None or figure.name == YARDSTICK:
            continue
        if now > then * (1 + TOLERANCE[figure.kind]):
            yield Fall(figure, now / then - 1, since)
