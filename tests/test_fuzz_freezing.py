"""The fuzzer of freezing (fuzz_freezing.py), for some programs, always the same ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CORPUS = sorted(Path(__file__).with_name("corpus").glob("freezing/*.py"))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_what_was_found_before_runs_alike_whether_frozen_or_not(path):
    program = Path(__file__).with_name("fuzz_freezing.py")
    done = subprocess.run(
        [sys.executable, str(program), "--replay", str(path)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "1 programs, 0 failed\n"), done.stderr


def test_some_random_programs_run_alike_whether_frozen_or_not():
    program = Path(__file__).with_name("fuzz_freezing.py")
    done = subprocess.run(
        [sys.executable, str(program), "--programs", "250", "--no-shrink"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "250 programs, 0 failed" in done.stdout
