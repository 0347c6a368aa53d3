"""The fuzzer of damaged states (fuzz_pickling.py), for some mutations, always the same ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


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
