"""The fuzzer of damaged states (fuzz_pickling.py), for some mutations, always the same ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# A damaged pickle asks for memory without end, which only a limit refuses.
needs_a_limit = pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""), reason="ASan's shadow memory"
)


@needs_a_limit
def test_damage_that_was_found_before_crashes_nothing():
    folder = Path(__file__).with_name("corpus") / "pickling"
    program = Path(__file__).with_name("fuzz_pickling.py")
    done = subprocess.run(
        [sys.executable, str(program), "--replay"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    count = len(list(folder.glob("*.py")))
    assert (done.returncode, done.stdout.strip()) == (0, f"{count} programs, 0 failed"), done.stderr


@needs_a_limit
def test_some_damaged_states_and_snapshots_crash_nothing():
    program = Path(__file__).with_name("fuzz_pickling.py")
    done = subprocess.run(
        [sys.executable, str(program), "--mutations", "5000"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5000 mutations, 0 failed" in done.stdout
