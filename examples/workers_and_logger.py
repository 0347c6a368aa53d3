"""Two workers compute, a third tasklet writes what they report to a log file.

The claim: message passing as in Erlang makes locking needless: the log has one owner, and whoever
has something to say sends it there.
"""

from __future__ import annotations

import sys
from pathlib import Path

import stackless


def logger(path: Path, lines: stackless.channel) -> None:
    """Write every line that arrives, until the channel is closed and empty."""
    with path.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(line + "\n")


def worker(name: str, steps: int, lines: stackless.channel) -> None:
    """Compute something in steps and report each."""
    total = 0
    for step in range(1, steps + 1):
        total += step * step
        lines.send(f"{name}: step {step}, total {total}")
        stackless.schedule()


def work(path: Path, steps: int = 5) -> None:
    """Run two workers and a logger until the workers are through."""
    lines = stackless.channel()
    stackless.tasklet(logger)(path, lines)
    workers = [stackless.tasklet(worker)(name, steps, lines) for name in ("first", "second")]
    while any(each.alive for each in workers):
        stackless.schedule()
    lines.close()
    lines.send_exception(StopIteration)  # the logger waits already: close() does not wake it
    stackless.run()


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "workers.log")
    work(target)
    print(target.read_text(encoding="utf-8"), end="")
