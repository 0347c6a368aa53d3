"""What the benchmarks keep of a run, and how they compare another one with that."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parent.parent / "bench"


@pytest.fixture
def bench(monkeypatch):
    """Import a module of the benchmarks."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module


THEN = {"len_call": 40.0, "switch_2": 30.0, "http_hello": 100_000.0, "pickled": 100.0}


@pytest.fixture
def entry(bench):
    values = {name: {"stackless": value, "greenlet": 1.0} for name, value in THEN.items()}
    return bench("history").Entry("abcdef", 7, "3.12", "x86_64", values)


@pytest.mark.parametrize(
    ("now", "fallen"),
    [
        ({}, []),
        # A machine that is half as fast.
        ({"len_call": 80.0, "switch_2": 60.0, "http_hello": 50_000.0}, []),
        ({"switch_2": 35.9, "http_hello": 83_400.0, "pickled": 103.0}, []),
        ({"switch_2": 36.3}, ["switch_2: 21% worse than at abcdef (tolerance 20%)"]),
        ({"http_hello": 80_000.0}, ["http_hello: 25% worse than at abcdef (tolerance 20%)"]),
        ({"pickled": 104.0}, ["pickled: 4% worse than at abcdef (tolerance 3%)"]),
        ({"switch_2": 1.0, "http_hello": 1e6, "pickled": 1.0}, []),
        # Times alone can't be compared.
        ({"len_call": None, "switch_2": 300.0}, []),
    ],
)
def test_a_run_falls_behind_where_a_figure_is_worse_than_its_tolerance(bench, entry, now, fallen):
    results = bench("report").Results()
    for name, value in (THEN | now).items():
        if value is not None:
            results.add(name, "stackless", value)
    assert [str(fall) for fall in bench("history").falls(results, entry)] == fallen


def test_the_best_of_several_rounds_counts(bench, entry):
    results = bench("report").Results()
    for name, values in {"len_call": [40.0, 50.0], "switch_2": [90.0, 30.0, 60.0]}.items():
        for value in values:
            results.add(name, "stackless", value)
    assert list(bench("history").falls(results, entry)) == []


def test_a_run_is_compared_with_the_newest_entry_of_its_own_python(bench, tmp_path):
    for number, python, architecture in [
        (9, "3.12", "x86_64"),
        (10, "3.12", "x86_64"),
        (11, "3.13", "x86_64"),
        (12, "3.12", "aarch64"),
    ]:
        document = {"commit": str(number), "number": number, "python": python}
        document |= {"architecture": architecture, "values": {}}
        (tmp_path / f"{number}-{python}.json").write_text(json.dumps(document))
    newest = bench("history").newest
    assert newest("3.12", "x86_64", tmp_path).number == 10
    assert newest("3.13", "x86_64", tmp_path).number == 11
    assert newest("3.14", "x86_64", tmp_path) is None


def test_the_entries_can_be_read_and_name_figures_that_there_are(bench):
    known = {figure.name for figure in bench("figures").FIGURES}
    found = bench("history").entries()
    assert found
    for each in found:
        assert set(each.values) <= known
        assert each.values["len_call"]["stackless"] > 0


def test_the_chart_shows_the_newest_numbers():
    command = [sys.executable, BENCH / "chart.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
