"""What is measured, and the bars: what we promise beside our peers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

OURS = "stackless"
ORIGINAL = "original"
PICKLERS = (OURS, ORIGINAL)  # their tasklets are data


class Kind(Enum):
    """How a figure is taken, which is also its unit."""

    TIME = "ns"
    MEMORY = "bytes"
    HTTP_SPEED = "requests/CPU s"
    HTTP_MEMORY = "bytes, HTTP"


@dataclass(frozen=True)
class Figure:
    name: str
    title: str
    kind: Kind
    operations: int  # operations, requests or connections, unless the run is a quick one
    reported_with: str | None = None  # comes as a by-product of that figure
    only: tuple[str, ...] = ()  # the peers that have it; empty: all

    def best(self, values: list[float]) -> float:
        """Return the least disturbed of several values of one run."""
        return max(values) if self.kind is Kind.HTTP_SPEED else min(values)


@dataclass(frozen=True)
class Bar:
    """`figure` of ours divided by a peer's (or by another figure of ours) is to be `bar`."""

    figure: str
    against: str  # a peer, or a figure of ours
    bar: float
    goal: float | None = None
    at_least: bool = False

    def verdict(self, ratio: float) -> str:
        def reached(bar: float) -> bool:
            return ratio >= bar if self.at_least else ratio <= bar

        if not reached(self.bar):
            return "missed"
        return "met, and the goal" if self.goal is not None and reached(self.goal) else "met"

    def __str__(self) -> str:
        text = f"{'≥' if self.at_least else '≤'} {self.bar:.2f}"
        return text if self.goal is None else f"{text} (goal {self.goal:.2f})"


FIGURES = [
    Figure("len_call", "call len([])", Kind.TIME, 1_000_000),
    Figure("len_call_bare", "call len(), its list made once", Kind.TIME, 1_000_000),
    Figure("switch_2", "schedule(), 2 tasklets", Kind.TIME, 1_000_000),
    Figure("switch_10000", "schedule(), 10,000 tasklets", Kind.TIME, 2_000_000),
    Figure("deep50", "schedule(), 50 frames deep", Kind.TIME, 1_000_000),
    Figure("message", "message to a waiting receiver", Kind.TIME, 500_000),
    Figure("pingpong", "message, there and back in turn", Kind.TIME, 500_000),
    Figure("create", "create, run and finish, by 1,000", Kind.TIME, 300_000),
    Figure("memory_tasklet", "memory per blocked tasklet", Kind.MEMORY, 10_000),
    Figure("switch_frozen", "schedule(), all but one frozen", Kind.TIME, 1_000_000, only=(OURS,)),
    Figure("switch_exhausted", "the same, of 8 functions", Kind.TIME, 1_000_000, only=(OURS,)),
    Figure("switch_unlike", "the same, budget 0, 2 functions", Kind.TIME, 1_000_000, only=(OURS,)),
    Figure("block", "create and block, a million", Kind.TIME, 1_000_000, only=PICKLERS),
    Figure("memory_million", "memory of each", Kind.MEMORY, 1_000_000, only=PICKLERS),
    Figure("memory_deep", "memory, ten frames deep", Kind.MEMORY, 300_000, only=PICKLERS),
    Figure("dumps", "pickle.dumps(tasklet)", Kind.TIME, 20_000, only=PICKLERS),
    Figure("loads", "pickle.loads()", Kind.TIME, 20_000, only=PICKLERS),
    Figure("pickled", "the pickle", Kind.MEMORY, 1, only=PICKLERS),
    Figure("dumps_deep", "pickle.dumps(), ten frames deep", Kind.TIME, 20_000, only=PICKLERS),
    Figure("loads_deep", "pickle.loads(), ten frames deep", Kind.TIME, 20_000, only=PICKLERS),
    Figure("pickled_deep", "the pickle, ten frames deep", Kind.MEMORY, 1, only=PICKLERS),
    Figure("http_hello", "HTTP hello, 100 connections", Kind.HTTP_SPEED, 60_000),
    Figure("memory_connection", "memory per idle connection", Kind.HTTP_MEMORY, 10_000),
    Figure(
        "page_tables_connection",
        "page tables per idle connection",
        Kind.HTTP_MEMORY,
        10_000,
        reported_with="memory_connection",
    ),
]

BARS = [
    Bar("switch_2", "len_call", 1.60),
    Bar("switch_2", ORIGINAL, 0.65),
    Bar("switch_2", "greenlet", 0.20),
    Bar("switch_10000", ORIGINAL, 0.75),
    Bar("switch_10000", "greenlet", 0.15),
    Bar("deep50", "switch_2", 1.10),
    Bar("message", ORIGINAL, 0.80, goal=0.70),
    Bar("message", "gevent", 0.05),
    Bar("create", ORIGINAL, 0.60, goal=0.45),
    Bar("create", "greenlet", 0.03),
    Bar("switch_frozen", "switch_2", 2.50),
    Bar("switch_exhausted", "switch_2", 2.50),
    Bar("switch_unlike", "switch_2", 2.50),
    Bar("block", ORIGINAL, 0.35),
    Bar("memory_million", ORIGINAL, 480 / 676),
    Bar("memory_deep", ORIGINAL, 2400 / 5286),
    Bar("dumps", ORIGINAL, 0.60),
    Bar("loads", ORIGINAL, 0.60),
    Bar("pickled", ORIGINAL, 1.00),
    Bar("dumps_deep", ORIGINAL, 0.60),
    Bar("loads_deep", ORIGINAL, 0.60),
    Bar("pickled_deep", ORIGINAL, 1.00),
    Bar("http_hello", "gevent", 1.50, at_least=True),
    Bar("http_hello", "asyncio", 1.00, at_least=True),
    Bar("memory_connection", "gevent", 1.00),
]
