"""Bare greenlets. There is no scheduler: the program itself says whom to switch to."""

from greenlet import getcurrent, greenlet
from measure import BATCH, clock, main, resident_bytes


def spin(other, times):
    for _ in range(times):
        other.switch()


def spin_at_depth(depth, other, times):
    if depth > 1:
        return spin_at_depth(depth - 1, other, times)
    return spin(other, times)


def switch(greenlets: int, depth: int = 1):
    def measure(count: int) -> int:
        me = getcurrent()
        ring = []

        def run(index):
            me.switch()
            spin_at_depth(depth, ring[(index + 1) % greenlets], count // greenlets)

        ring[:] = [greenlet(run) for _ in range(greenlets)]
        for index, each in enumerate(ring):
            each.switch(index)  # each begins from here: begun in a chain they would nest
        begin = clock()
        ring[0].switch()
        return clock() - begin

    return measure


def pingpong(count: int) -> int:
    """Two switches with a value; there is no channel."""
    me = getcurrent()

    def pong():
        switch_back = me.switch
        for i in range(count // 2):
            switch_back(i)

    other = greenlet(pong)
    begin = clock()
    switch_there = other.switch
    for _ in range(count // 2):
        switch_there()
    return clock() - begin


def create(count: int) -> int:
    def nothing(argument):
        pass

    begin = clock()
    for _ in range(count // BATCH):
        batch = [greenlet(nothing) for _ in range(BATCH)]
        for i, each in enumerate(batch):
            each.switch(i)
    return clock() - begin


def memory(count: int) -> int:
    me = getcurrent()

    def wait():
        me.switch()

    def start(number):
        batch = [greenlet(wait) for _ in range(number)]
        for each in batch:
            each.switch()
        return batch

    few = start(100)
    before = resident_bytes()
    many = start(count)
    used = resident_bytes() - before
    assert not any(each.dead for each in few + many)
    return used


if __name__ == "__main__":
    main(
        {
            "switch_2": switch(2),
            "switch_10000": switch(10_000),
            "deep50": switch(2, depth=50),
            "pingpong": pingpong,
            "create": create,
            "memory_tasklet": memory,
        }
    )
