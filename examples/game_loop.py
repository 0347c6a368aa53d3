"""A game's main loop at 60 frames a second, with a script for each entity.

The claim: game engines run the behaviour of thousands of entities as tasklets beneath a frame loop
of their own. `stackless.pump()` runs what is ready and returns; scripts wait for the next frame,
for each other, or for real time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import stackless


class Game:
    """Entities on a line, and the frames they live in."""

    def __init__(self) -> None:
        self.frame = 0
        self.next_frame = stackless.channel()
        self.next_frame.preference = 1  # whoever is woken runs at the next pump
        self.positions: dict[str, float] = {}
        self.log: list[str] = []

    def wait_frame(self) -> None:
        """Block the calling script until the next frame."""
        self.next_frame.receive()

    def walk(self, name: str, speed: float, goal: float) -> None:
        """A script: walk to the goal, `speed` units a frame, and say so."""
        self.positions[name] = 0.0
        while self.positions[name] < goal:
            self.positions[name] += speed
            self.wait_frame()
        self.log.append(f"{name} arrives in frame {self.frame}")

    def loop(self, frames: int, wait: Callable[[int], None]) -> None:
        """The engine's own loop: frames, whatever the scripts do."""
        for self.frame in range(frames):
            while self.next_frame.balance < 0:
                self.next_frame.send(None)
            stackless.pump()
            wait(self.frame)


def at_60_hz() -> Callable[[int], None]:
    """Return a function that sleeps until a frame's time is over."""
    begun = time.perf_counter()

    def wait(frame: int) -> None:
        left = begun + (frame + 1) / 60 - time.perf_counter()
        stackless.pump(max_wait=max(0.0, left))
        time.sleep(max(0.0, begun + (frame + 1) / 60 - time.perf_counter()))

    return wait


def play(frames: int, wait: Callable[[int], None]) -> list[str]:
    """Run a race for so many frames; return what happened."""
    game = Game()
    for name, speed in (("hare", 3.0), ("tortoise", 1.0), ("snail", 0.5)):
        stackless.tasklet(game.walk)(name, speed, 30.0)
    game.loop(frames, wait)
    return game.log


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 90
    started = time.perf_counter()
    print(*play(count, at_60_hz()), sep="\n")
    print(f"{count / (time.perf_counter() - started):.1f} frames a second")
