"""Bees and flowers: every bee collects nectar until it has enough.

The claims: the scheduler is a round-robin queue in which everyone gets a turn; any object can be
sent, without a copy, so a bee sends itself and the flower uses the bee's methods; many senders on
one channel queue up, no message is lost, and no single one holds up the rest.
"""

from __future__ import annotations

import stackless

ENOUGH = 5


class Flower:
    """Gives nectar to whatever bee sends itself."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log
        self.channel = stackless.channel()
        self.tasklet = stackless.tasklet(self.bloom)()

    def bloom(self) -> None:
        """Serve bees for ever: registered on receive, one after another."""
        while True:
            bee = self.channel.receive()
            bee.add_nectar()
            self.log.append(f"{self.name} -> {bee.name}")


class Bee:
    """Visits the flowers in turn."""

    def __init__(self, name: str, flowers: list[Flower]) -> None:
        self.name = name
        self.nectar = 0
        self.flowers = flowers
        self.tasklet = stackless.tasklet(self.fly)()

    def fly(self) -> None:
        """Go from flower to flower until there is enough."""
        at = 0
        while self.nectar < ENOUGH:
            self.flowers[at % len(self.flowers)].channel.send(self)
            at += 1

    def add_nectar(self) -> None:
        """Take one portion."""
        self.nectar += 1


def start(log: list[str]) -> tuple[list[Flower], list[Bee]]:
    """Create five flowers and five bees, in the order in which they will run."""
    flowers = [Flower(f"flower {n}", log) for n in range(5)]
    return flowers, [Bee(f"bee {n}", flowers) for n in range(5)]


def runnable(first: stackless.tasklet) -> list[stackless.tasklet]:
    """Return the run queue as it stands behind `first`."""
    queue = []
    tasklet = first.next
    while tasklet is not first:
        queue.append(tasklet)
        tasklet = tasklet.next
    return queue


if __name__ == "__main__":
    visits: list[str] = []
    meadow, swarm = start(visits)
    names = {x.tasklet: getattr(x, "name", "") for x in (*meadow, *swarm)}
    print("queue:", ", ".join(names[t] for t in runnable(stackless.getcurrent())))
    stackless.run()
    print(*visits, sep="\n")
    for bee in swarm:
        print(
            f"{bee.name} has {bee.nectar} nectar and is {'busy' if bee.tasklet.alive else 'home'}"
        )
