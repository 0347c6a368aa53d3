"""Results, their ratios, and how they are shown."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from figures import BARS, FIGURES, OURS, Bar, Figure, Kind

STYLES = {"missed": "bold red", "met": "green", "met, and the goal": "bold green"}


class Results:
    """All values of a run, by figure and peer."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.failures: dict[tuple[str, str], str] = {}

    def add(self, figure: str, peer: str, value: float) -> None:
        self._values[figure, peer].append(value)

    def values(self, figure: str, peer: str) -> list[float]:
        return self._values.get((figure, peer), [])

    def best(self, figure: Figure, peer: str) -> float | None:
        values = self.values(figure.name, peer)
        return figure.best(values) if values else None


@dataclass(frozen=True)
class Ratio:
    bar: Bar
    ratio: float

    @property
    def verdict(self) -> str:
        return self.bar.verdict(self.ratio)


def ratios(results: Results) -> list[Ratio]:
    """Return ours divided by theirs for every bar that has both."""
    by_name = {figure.name: figure for figure in FIGURES}
    found = []
    for bar in BARS:
        ours = results.best(by_name[bar.figure], OURS)
        if bar.against in by_name:
            theirs = results.best(by_name[bar.against], OURS)
        else:
            theirs = results.best(by_name[bar.figure], bar.against)
        if ours is not None and theirs:
            found.append(Ratio(bar, ours / theirs))
    return found


def as_json(results: Results, peers: Sequence[str]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for figure in FIGURES:
        by_peer = {
            peer: {
                "best": figure.best(values),
                "median": statistics.median(values),
                "values": values,
            }
            for peer in peers
            if (values := results.values(figure.name, peer))
        }
        if by_peer:
            figures[figure.name] = {"unit": _unit(figure), "peers": by_peer}
    return {
        "figures": figures,
        "ratios": [
            {
                "figure": each.bar.figure,
                "against": each.bar.against,
                "ratio": each.ratio,
                "bar": each.bar.bar,
                "goal": each.bar.goal,
                "at_least": each.bar.at_least,
                "verdict": each.verdict,
            }
            for each in ratios(results)
        ],
        "failures": [
            {"figure": figure, "peer": peer, "reason": reason}
            for (figure, peer), reason in results.failures.items()
        ],
    }


def show(results: Results, peers: Sequence[str]) -> None:
    _table(
        "Figures: best (median)",
        ["what", "unit", *peers],
        [
            [figure.title, _unit(figure), *(_cell(results, figure, peer) for peer in peers)]
            for figure in FIGURES
            if any(results.values(figure.name, peer) for peer in peers)
        ],
    )
    titles = {figure.name: figure.title for figure in FIGURES}
    found = ratios(results)
    if found:
        _table(
            "Ratios of the best: ours divided by theirs",
            ["what", "against", "ratio", "bar", "verdict"],
            [
                [
                    titles[each.bar.figure],
                    titles.get(each.bar.against, each.bar.against),
                    f"{each.ratio:.3f}",
                    str(each.bar),
                    each.verdict,
                ]
                for each in found
            ],
        )
    for (figure_name, peer), reason in results.failures.items():
        print(f"FAILED: {figure_name} on {peer}: {reason}")


def _unit(figure: Figure) -> str:
    return figure.kind.value.partition(",")[0]


def _cell(results: Results, figure: Figure, peer: str) -> str:
    if (figure.name, peer) in results.failures:
        return "FAILED"
    values = results.values(figure.name, peer)
    if not values:
        return "-"
    digits = 1 if figure.kind is Kind.TIME and min(values) < 1000 else 0
    best, median = figure.best(values), statistics.median(values)
    return f"{best:,.{digits}f} ({median:,.{digits}f})"


def _table(title: str, header: list[str], rows: list[list[str]]) -> None:
    """Print a table: with rich where there is rich, and somebody to look at it."""
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        console = None
    else:
        console = Console()
    if console is None or not console.is_terminal:
        _plain_table(title, header, rows)
        return
    table = Table(title=title, title_justify="left")
    for i, name in enumerate(header):
        table.add_column(name, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    console.print(table)


def _plain_table(title: str, header: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    print(f"\n{title}")
    for row in [header, ["-" * width for width in widths], *rows]:
        first, *rest = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *rest]).rstrip())
