"""asyncio: tasks, and a queue for one item, the nearest it has to a channel."""

import asyncio

from measure import BATCH, clock, main, resident_bytes


async def join_all(*awaitables):
    begin = clock()
    await asyncio.gather(*awaitables)
    return clock() - begin


async def spin(times: int) -> None:
    sleep = asyncio.sleep
    for _ in range(times):
        await sleep(0)


async def spin_at_depth(depth: int, times: int) -> None:
    if depth > 1:
        return await spin_at_depth(depth - 1, times)
    return await spin(times)


def switch(tasks: int, depth: int = 1):
    async def measure(count: int) -> int:
        times = 1 + count // tasks
        ring = [asyncio.create_task(spin_at_depth(depth, times)) for _ in range(tasks)]
        await asyncio.sleep(0)  # each has begun before the clock runs
        return await join_all(*ring)

    return measure


async def message(count: int) -> int:
    queue = asyncio.Queue(1)

    async def receiver():
        for _ in range(count):
            await queue.get()

    async def sender():
        for i in range(count):
            await queue.put(i)

    return await join_all(receiver(), sender())


async def pingpong(count: int) -> int:
    there, back = asyncio.Queue(1), asyncio.Queue(1)

    async def ping():
        for i in range(count // 2):
            await there.put(i)
            await back.get()

    async def pong():
        for i in range(count // 2):
            await there.get()
            await back.put(i)

    return await join_all(ping(), pong())


async def create(count: int) -> int:
    async def nothing(argument):
        pass

    begin = clock()
    for _ in range(count // BATCH):
        tasks = [asyncio.create_task(nothing(i)) for i in range(BATCH)]
        await tasks[-1]
    return clock() - begin


async def memory(count: int) -> int:
    queue = asyncio.Queue()
    tasks = []

    async def start(number):
        tasks.extend([asyncio.create_task(queue.get()) for _ in range(number)])
        await asyncio.sleep(0.001)

    await start(100)
    before = resident_bytes()
    await start(count)
    used = resident_bytes() - before
    assert not any(task.done() for task in tasks)
    return used


def to_completion(figure):
    return lambda count: asyncio.run(figure(count))


if __name__ == "__main__":
    main(
        {
            "switch_2": to_completion(switch(2)),
            "switch_10000": to_completion(switch(10_000)),
            "deep50": to_completion(switch(2, depth=50)),
            "message": to_completion(message),
            "pingpong": to_completion(pingpong),
            "create": to_completion(create),
            "memory_tasklet": to_completion(memory),
        }
    )
