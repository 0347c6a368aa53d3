"""Tasklets and channels, on whichever `stackless` the interpreter has: ours or the original's."""

import pickle
from types import FunctionType

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


def spin_too(depth: int, times: int) -> None:
    schedule = stackless.schedule
    for _ in range(times):
        schedule()


def switch_frozen(other):
    def measure(count: int) -> int:
        stackless.set_stack_budget(0)
        for function in (spin_at_depth, other):
            stackless.tasklet(function)(1, 1 + count // 2)
        stackless.schedule()
        return run_all()

    return measure


def switch_exhausted(count: int) -> int:
    tasklets = 1000
    stackless.set_stack_budget(64)
    functions = [FunctionType(spin.__code__.replace(), globals()) for _ in range(8)]
    for i in range(tasklets):
        stackless.tasklet(functions[i % 8])(1 + count // tasklets)
    stackless.schedule()
    return run_all()


def wait(channel) -> None:
    channel.receive()


def wait_at_depth(channel, depth=10) -> None:
    if depth > 1:
        wait_at_depth(channel, depth - 1)
    else:
        channel.receive()


def block(channel, count: int, function=wait) -> None:
    for _ in range(count // BATCH):
        for _ in range(BATCH):
            stackless.tasklet(function)(channel)
        stackless.run()


def block_all(count: int) -> int:
    channel = stackless.channel()
    begin = clock()
    block(channel, count)
    return clock() - begin


def memory(function=wait):
    def measure(count: int) -> int:
        channel = stackless.channel()
        block(channel, BATCH, function)
        before = resident_bytes()
        block(channel, count, function)
        used = resident_bytes() - before
        assert -channel.balance == BATCH + count
        return used

    return measure


def leave(depth: int) -> None:
    if depth > 1:
        leave(depth - 1)
    else:
        stackless.schedule_remove()


def left(depth: int):
    tasklet = stackless.tasklet(leave)(depth)
    stackless.run()
    return tasklet


def pickled(depth: int):
    return lambda count: len(pickle.dumps(left(depth), -1)) * count


def dumps(depth: int):
    def measure(count: int) -> int:
        tasklet, dump = left(depth), pickle.dumps
        begin = clock()
        for _ in range(count):
            dump(tasklet, -1)
        return clock() - begin

    return measure


def loads(depth: int):
    def measure(count: int) -> int:
        data, load = pickle.dumps(left(depth), -1), pickle.loads
        total = 0
        for _ in range(count // BATCH):
            kept = []
            begin = clock()
            for _ in range(BATCH):
                kept.append(load(data))
            total += clock() - begin
            for tasklet in kept:
                tasklet.bind(None)
        return total

    return measure


if __name__ == "__main__":
    main(
        {
            "switch_2": switch(2),
            "switch_10000": switch(10_000),
            "deep50": switch(2, depth=50),
            "message": message,
            "pingpong": pingpong,
            "create": create,
            "memory_tasklet": memory(),
            "switch_frozen": switch_frozen(spin_at_depth),
            "switch_exhausted": switch_exhausted,
            "switch_unlike": switch_frozen(spin_too),
            "block": block_all,
            "memory_million": memory(),
            "memory_deep": memory(wait_at_depth),
            "dumps": dumps(1),
            "loads": loads(1),
            "pickled": pickled(1),
            "dumps_deep": dumps(10),
            "loads_deep": loads(10),
            "pickled_deep": pickled(10),
        }
    )
