"""The soak (soak.py), but for a few seconds, which say nothing about memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support import CHILD_LIMIT


def test_a_few_seconds_of_everything_at_once_lose_nothing():
    program = Path(__file__).with_name("soak.py")
    done = subprocess.run(
        [sys.executable, str(program), "--seconds", "4", "--growth", "1000"],
        capture_output=True,
        text=True,
        timeout=CHILD_LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Letter: received" in done.stdout
    assert "Call: completed" in done.stdout
