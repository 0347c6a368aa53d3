"""Tasklets and channels, on whichever `stackless` the interpreter has: ours or the original's."""

import stackless
from measure import BATCH, clock, main, resident_bytes


def run_all() -> int:
    begin = clock()
    stackless.run()
    return clock() - begin


def spin(times: int) -> None:
    schedule = stackless.schedule
    for _ in range(times):
        schedule()


def spin_at_depth(depth: int, times: int) -> None:
    if depth > 1:
        return spin_at_depth(depth - 1, times)
    return spin(times)


def switch(tasklets: int, depth: int = 1):
    def measure(count: int) -> int:
        for _ in range(tasklets):
            stackless.tasklet(spin_at_depth)(depth, 1 + count // tasklets)
        stackless.schedule()  # each has begun, and given way once, before the clock runs
        return run_all()

    return measure


def message(count: int) -> int:
    channel = stackless.channel()

    def receiver():
        receive = channel.receive
        for _ in range(count):
            receive()

    def sender():
        send = channel.send
        for i in range(count):
            send(i)

    stackless.tasklet(receiver)()
    stackless.schedule()  # it waits
    stackless.tasklet(sender)()
    return run_all()


def pingpong(count: int) -> int:
    there, back = stackless.channel(), stackless.channel()

    def ping():
        send, receive = there.send, back.receive
        for i in range(count // 2):
            send(i)
            receive()

    def pong():
        send, receive = back.send, there.receive
        for i in range(count // 2):
            receive()
            send(i)

    stackless.tasklet(ping)()
    stackless.tasklet(pong)()
    return run_all()


def create(count: int) -> int:
    def nothing(argument):
        pass

    tasklet, run = stackless.tasklet, stackless.run
    begin = clock()
    for _ in range(count // BATCH):
        for i in range(BATCH):
            tasklet(nothing)(i)
        run()
    return clock() - begin


def memory(count: int) -> int:
    channel = stackless.channel()

    def wait():
        channel.receive()

    def start(tasklets):
        for _ in range(tasklets):
            stackless.tasklet(wait)()
        stackless.run()

    start(100)
    before = resident_bytes()
    start(count)
    used = resident_bytes() - before
    assert -channel.balance == 100 + count
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
