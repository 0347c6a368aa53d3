"""Ping-pong: two tasklets hand a ball back and forth.

The claim: a coroutine is a routine that another one like it calls in turn; recursion in threads'
clothing needs no stack that grows. Each hit is one message through a channel.
"""

from __future__ import annotations

import sys
import time

import stackless


def player(name: str, receive: stackless.channel, send: stackless.channel, log: list[str]) -> None:
    """Hit every ball that comes, until one is dead; note the last few hits."""
    while (hits := receive.receive()) > 0:
        if hits < 4:
            log.append(f"{name} {hits}")
        send.send(hits - 1)
    if send.balance < 0:
        send.send(0)  # the other one may go home too


def play(hits: int) -> list[str]:
    """Play a ball `hits` times; return the last few hits."""
    left, right = stackless.channel(), stackless.channel()
    log: list[str] = []
    stackless.tasklet(player)("ping", left, right, log)
    stackless.tasklet(player)("pong", right, left, log)
    left.send(hits)
    stackless.run()
    return log


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    begun = time.process_time()
    print(*play(count), sep="\n")
    seconds = time.process_time() - begun
    print(f"{count:,} hits in {seconds:.2f} s of CPU time, {seconds / count * 1e9:.0f} ns each")
