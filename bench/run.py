#!/usr/bin/env python3
"""Measure tasklets beside every peer that this machine has, interleaved, and print the ratios.

README.md in this folder says how to read the result.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import history
import report
import web
from figures import FIGURES, Figure, Kind
from find import Absent, Peer, find_client, find_peers

PROGRAM_LIMIT = 300  # seconds
QUICK = 0.1
DESCRIPTORS_TO_SPARE = 200
SMALLEST_COUNT = 20_000  # two for each of the 10,000 tasklets


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, metavar="N", help="default 5, with --quick 2")
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        choices=[figure.name for figure in FIGURES if figure.reported_with is None],
        help="measure this figure (may be repeated): %(choices)s",
    )
    parser.add_argument(
        "--peer",
        action="append",
        metavar="NAME",
        help="measure this peer beside ours (may be repeated); default: all there are",
    )
    parser.add_argument(
        "--original",
        metavar="PYTHON",
        help="a build of the original Stackless Python; default $STACKLESS_ORIGINAL",
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the operations")
    parser.add_argument(
        "--record", action="store_true", help="keep the result in history/, for this commit"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="measure ours alone, and fail where it falls behind the newest entry of history/",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every value there")
    return parser.parse_args()


def operations(figure: Figure, peer: Peer, quick: bool) -> int:
    """Return how many operations the peer does in one go; ours and theirs get the same result."""
    count = figure.operations * (QUICK if quick else 1)
    if figure.kind is Kind.TIME:
        count = max(count * peer.pace, SMALLEST_COUNT)
        return round(count / SMALLEST_COUNT) * SMALLEST_COUNT
    if figure.kind is Kind.HTTP_MEMORY:
        count = min(count, connections_possible())
    return max(round(count), 1)


def connections_possible() -> float:
    """Return how many connections the limit on descriptors leaves to one process."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return float("inf") if hard == resource.RLIM_INFINITY else hard - DESCRIPTORS_TO_SPARE


def measure(figure: Figure, peer: Peer, client: list[str], count: int) -> dict[str, float]:
    """Return the figure, and its by-products."""
    if figure.kind is Kind.HTTP_SPEED:
        return web.hello(peer.server, client, count)
    if figure.kind is Kind.HTTP_MEMORY:
        return web.idle(peer.server, client, count)
    try:
        done = subprocess.run(
            [*peer.program, figure.name, str(count)],
            capture_output=True,
            text=True,
            timeout=PROGRAM_LIMIT,
        )
    except subprocess.TimeoutExpired as error:
        raise web.ProgramError(f"not through after {PROGRAM_LIMIT} s") from error
    if done.returncode != 0:
        raise web.ProgramError(f"status {done.returncode}: {done.stderr.strip()[-300:]}")
    return {figure.name: json.loads(done.stdout)["value"]}


def has(peer: Peer, figure: Figure) -> bool:
    if figure.only and peer.name not in figure.only:
        return False
    if figure.kind in (Kind.HTTP_SPEED, Kind.HTTP_MEMORY):
        return bool(peer.server)
    return bool(peer.program) and figure.name not in peer.lacks


def take_turns(
    figures: list[Figure], peers: list[Peer], client: list[str], rounds: int, quick: bool
) -> report.Results:
    """In every round let every peer do every figure once, each in a process of its own."""
    results = report.Results()
    for turn in range(rounds):
        for figure in figures:
            # There and back, so that nobody always comes right after the same neighbour.
            for peer in peers if turn % 2 == 0 else reversed(peers):
                if not has(peer, figure) or (figure.name, peer.name) in results.failures:
                    continue
                say(f"round {turn + 1} of {rounds}: {figure.name}, {peer.name}")
                try:
                    values = measure(figure, peer, client, operations(figure, peer, quick))
                except (web.ProgramError, OSError) as error:
                    results.failures[figure.name, peer.name] = str(error)
                    continue
                for name, value in values.items():
                    results.add(name, peer.name, value)
    say("")
    return results


def say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def about_this_machine() -> dict[str, Any]:
    processor = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor,
        "architecture": platform.machine(),
        "kernel": platform.release(),
    }


def main() -> None:
    arguments = parse_arguments()
    rounds = arguments.rounds or (2 if arguments.quick else 5)
    figures = [
        figure
        for figure in FIGURES
        if figure.reported_with is None
        and (arguments.only is None or figure.name in arguments.only)
    ]
    before = history.newest(history.this_python(), platform.machine())
    if arguments.check:
        if before is None:
            sys.exit(f"history/ has nothing of {history.this_python()} on {platform.machine()} yet")
        # Without the yardstick no time could be compared.
        yardstick = [figure for figure in FIGURES if figure.name == history.YARDSTICK]
        figures = yardstick + [figure for figure in figures if figure not in yardstick]
    with tempfile.TemporaryDirectory(prefix="stackless-bench-") as scratch:
        found = list(find_peers(arguments.original, Path(scratch)))
        ours, *others = [each for each in found if isinstance(each, Peer)]
        if arguments.check:
            others = []
        elif arguments.peer is not None:
            unknown = set(arguments.peer) - {each.name for each in found}
            if unknown:
                sys.exit(f"no such peer: {', '.join(sorted(unknown))}")
            others = [peer for peer in others if peer.name in arguments.peer]
        peers = [ours, *others]
        print("Beside each other:", "; ".join(f"{each.name} ({each.version})" for each in peers))
        for each in found:
            if isinstance(each, Absent):
                print(f"Not here: {each.name}: {each.reason}")
        for figure in figures:
            if figure.kind is Kind.HTTP_MEMORY and figure.operations > connections_possible():
                print(
                    f"{figure.name}: {connections_possible():,.0f} connections only, "
                    "for the hard limit on descriptors (ulimit -Hn) allows no more"
                )
        client = find_client(Path(scratch))
        results = take_turns(figures, peers, client, rounds, arguments.quick)

    names = [peer.name for peer in peers]
    report.show(results, names)
    if arguments.json is not None:
        document = {
            "about": about_this_machine(),
            "rounds": rounds,
            "quick": arguments.quick,
            "peers": {peer.name: peer.version for peer in peers},
            "absent": {each.name: each.reason for each in found if isinstance(each, Absent)},
            **report.as_json(results, names),
        }
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")
    if arguments.record:
        print("recorded in", history.record(results, names, about_this_machine(), rounds))
    fallen = list(history.falls(results, before)) if arguments.check and before else []
    for fall in fallen:
        print(f"FELL BEHIND: {fall}")
    if results.failures or fallen:
        sys.exit(1)


if __name__ == "__main__":
    main()
