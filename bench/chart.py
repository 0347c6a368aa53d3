#!/usr/bin/env python3
"""Draws docs/numbers.svg from the newest entry of history/ that has peers.

python bench/chart.py            # writes it
python bench/chart.py --check    # fails if it is stale
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import history
from figures import ORIGINAL, OURS

CHART = Path(__file__).resolve().parent.parent / "docs" / "numbers.svg"
SHOWN = {
    "switch_2": ("give way to another tasklet", "ns"),
    "create": ("create, run and finish a tasklet", "ns"),
    "memory_tasklet": ("memory of a waiting tasklet", "bytes"),
}
NAMES = {OURS: "this", ORIGINAL: "Stackless 3.7"}
WIDTH, LEFT, BAR, GAP, TITLE = 720, 110, 16, 4, 24
SCALE = WIDTH - LEFT - 110  # the longest bar
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #333 }
.title { font-weight: 600 } .small { font-size: 11px; fill: #777 }
.peer { fill: #b8bcc4 } .ours { fill: #d9822b }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd } .small { fill: #999 } .peer { fill: #5b606a }
}
"""


def bars(values: dict[str, float], unit: str, largest: float, y: float) -> Iterator[str]:
    """Yield the bars of a figure, on a scale of powers of ten."""
    for peer, value in values.items():
        length = SCALE * math.log10(value) / math.log10(largest)
        kind = "ours" if peer == OURS else "peer"
        name, middle = escape(NAMES.get(peer, peer)), y + BAR - 3
        yield f'<text x="{LEFT - 8}" y="{middle:.0f}" text-anchor="end">{name}</text>'
        size = f'width="{length:.1f}" height="{BAR}"'
        yield f'<rect class="{kind}" x="{LEFT}" y="{y}" {size} rx="2"/>'
        yield f'<text x="{LEFT + length + 6:.1f}" y="{middle:.0f}">{value:,.0f} {unit}</text>'
        y += BAR + GAP


def draw(entry: history.Entry) -> str:
    """Return the SVG of an entry."""
    shown = {name: entry.values[name] for name in SHOWN if name in entry.values}
    largest = max(value for values in shown.values() for value in values.values())
    parts, y = [], 8
    for name, values in shown.items():
        title, unit = SHOWN[name]
        parts.append(f'<text class="title" x="{LEFT}" y="{y + 14}">{title}</text>')
        y += TITLE
        parts += bars(values, unit, largest, y)
        y += len(values) * (BAR + GAP) + 10
    note = (
        f"Less is better; the scale is logarithmic. Python {entry.python}, {entry.architecture}, "
        f"commit {entry.commit}; ./dev bench"
    )
    parts.append(f'<text class="small" x="{LEFT}" y="{y + 8}">{note}</text>')
    body = "\n".join(parts)
    label = "What tasklets cost, beside their peers"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 20}" role="img" '
        f'aria-label="{label}">\n<style>{STYLE}</style>\n{body}\n</svg>\n'
    )


def main() -> None:
    """Write the chart, or check it."""
    beside_peers = [e for e in history.entries() if any(len(v) > 1 for v in e.values.values())]
    chart = draw(beside_peers[-1])
    if "--check" in sys.argv[1:]:
        sys.exit(None if CHART.read_text() == chart else f"{CHART} is stale: run bench/chart.py")
    CHART.write_text(chart)


if __name__ == "__main__":
    main()
