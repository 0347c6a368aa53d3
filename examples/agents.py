"""Agents that live their own lives, as in a game of little people.

The claim: each is an autonomous process, which sleeps until another variable of the simulation
needs it. Time is simulated: the clock jumps to the next moment when everybody sleeps, so a day
takes milliseconds, and always goes the same way.
"""

from __future__ import annotations

import heapq

import stackless


class World:
    """A clock, those who sleep, and things that others wait for."""

    def __init__(self) -> None:
        self.minute = 0
        self.sleepers: list[tuple[int, int, stackless.channel]] = []
        self.naps = 0
        self.dinner = stackless.channel()
        self.diary: list[str] = []

    def sleep(self, minutes: int) -> None:
        """Block the calling agent for some simulated minutes."""
        bell = stackless.channel()
        self.naps += 1  # who fell asleep first wakes first
        heapq.heappush(self.sleepers, (self.minute + minutes, self.naps, bell))
        bell.receive()

    def note(self, text: str) -> None:
        """Write down what happens, and when."""
        self.diary.append(f"{self.minute // 60:02}:{self.minute % 60:02} {text}")

    def run(self, until: int) -> None:
        """Let everybody act, and turn the clock on whenever all sleep or wait."""
        stackless.run()
        while self.sleepers and self.sleepers[0][0] <= until:
            self.minute, _, bell = heapq.heappop(self.sleepers)
            bell.send(None)
            stackless.run()


def cook(world: World) -> None:
    """Cook when the time comes, and serve everybody who waits."""
    world.sleep(18 * 60)
    world.note("the cook starts cooking")
    world.sleep(45)
    world.note("dinner is ready")
    while world.dinner.balance < 0:
        world.dinner.send("soup")


def worker(world: World, name: str, hours: int) -> None:
    """Get up, work, wait for dinner, sleep."""
    world.sleep(7 * 60)
    world.note(f"{name} gets up")
    world.sleep(hours * 60)
    world.note(f"{name} comes home hungry")
    world.note(f"{name} eats {world.dinner.receive()}")
    world.sleep(60)
    world.note(f"{name} goes to bed")


def day() -> list[str]:
    """Simulate one day and return its diary."""
    world = World()
    stackless.tasklet(cook)(world)
    for name, hours in (("Ann", 8), ("Bob", 9), ("Cid", 10)):
        stackless.tasklet(worker)(world, name, hours)
    world.run(until=24 * 60)
    return world.diary


if __name__ == "__main__":
    print(*day(), sep="\n")
