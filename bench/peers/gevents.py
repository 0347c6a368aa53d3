"""gevent: greenlets with a hub, and its unbuffered Channel."""

import gevent
from gevent.queue import Channel
from measure import BATCH, clock, main, resident_bytes


def join_all(greenlets):
    begin = clock()
    gevent.joinall(greenlets)
    return clock() - begin


def spin(times: int) -> None:
    sleep = gevent.sleep
    for _ in range(times):
        sleep(0)


def spin_at_depth(depth: int, times: int) -> None:
    if depth > 1:
        return spin_at_depth(depth - 1, times)
    return spin(times)


def switch(greenlets: int, depth: int = 1):
    def measure(count: int) -> int:
        times = 1 + count // greenlets
        ring = [gevent.spawn(spin_at_depth, depth, times) for _ in range(greenlets)]
        gevent.sleep(0)  # each has begun before the clock runs
        return join_all(ring)

    return measure


def message(count: int) -> int:
    channel = Channel()

    def receiver():
        get = channel.get
        for _ in range(count):
            get()

    def sender():
        put = channel.put
        for i in range(count):
            put(i)

    waiting = gevent.spawn(receiver)
    gevent.sleep(0)
    return join_all([waiting, gevent.spawn(sender)])


def pingpong(count: int) -> int:
    there, back = Channel(), Channel()

    def ping():
        for i in range(count // 2):
            there.put(i)
            back.get()

    def pong():
        for i in range(count // 2):
            there.get()
            back.put(i)

    return join_all([gevent.spawn(ping), gevent.spawn(pong)])


def create(count: int) -> int:
    def nothing(argument):
        pass

    begin = clock()
    for _ in range(count // BATCH):
        gevent.joinall([gevent.spawn(nothing, i) for i in range(BATCH)])
    return clock() - begin


def memory(count: int) -> int:
    channel = Channel()

    def wait():
        channel.get()

    def start(number):
        blocked = len(channel.getters)
        for _ in range(number):
            gevent.spawn(wait)
        while len(channel.getters) < blocked + number:
            gevent.sleep(0)

    start(100)
    before = resident_bytes()
    start(count)
    used = resident_bytes() - before
    return used


if __name__ == "__main__":
    main(
        {
            "switch_2": switch(2),
            "switch_10000": switch(10_000),
            "deep50": switch(2, depth=50),
            "message": message,
            "pingpong": pingpong,
            "create": create,
            "memory_tasklet": memory,
        }
    )
