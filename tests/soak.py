"""Everything at once, at random, for ten minutes: nothing is lost, and memory stays flat.

    python tests/soak.py --seconds 600 --seed 1 --json soak.json

Threads, each with a scheduler of its own, come and go. In each a crowd of actors (tasklets) sends
letters within the thread and across threads, sleeps, parks, gives way deep inside Python and C
frames, and telephones the echo servers of all threads over TCP; timeouts end some of that early. A
director meddles: kills, throws (a letter too), removes, inserts, closes sockets. Threads end with
tasklets in them. Every ten seconds all of them do: that is low tide.

Letters, calls and actors are accounts. Once nobody but the ledger holds one, its fate is looked at:
* A letter whose send() returned was received once, or died in the mailbox of a receiver that was
  killed; one whose send() timed out was not received.
* A call that nobody cut carried every byte both ways, any other the beginning of what was said.
* An actor that started ran its `finally`, and was not killed unless somebody meant it.

A thread that waits for a message, and for nothing else, answers: no wake-up is lost. At low tide no
account is open, and as many descriptors, threads and C stacks are in use as at the beginning. The
resident memory then, as the median of the last fifth of the tides, is at most 2 % (`--growth`)
above the first fifth after the warm-up, which is a tenth.

Exits with 0, or with 1 and says what is wrong; what hangs gets a traceback of every thread. The
dice are seeded, but threads race: a seed gives the same mixture, not the same run.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import faulthandler
import gc
import json
import os
import random
import resource
import statistics
import sys
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import stackless
from stackless import bomb, channel, socket, tasklet

THREADS = 4
CROWD = 60  # actors in a thread
TIDE = 10.0  # seconds
HUNG = 90.0  # seconds: what takes that much longer than it should never comes
LIBC = ctypes.CDLL(None)

NOISE = random.Random(0).randbytes(1_000_000)  # what is said in calls: part of it

# ---- the ledger ----------------------------------------------------------------------------------

# Only after a call and at a jump back does CPython let another thread run. So what happens, and the
# note of it, are never parted by one.

OPENED = deque["Letter | Call | Actor"]()  # since the last audit
HELD: list[Letter | Call | Actor] = []
FATES = Counter[str]()
FAULTS: list[str] = []


def references(accounts: list[Any]) -> list[int]:
    return [sys.getrefcount(account) for account in accounts]


ALONE = references([object()])[0]


def audit() -> None:
    """Close the accounts that nobody else holds."""
    HELD.extend(OPENED.popleft() for _ in range(len(OPENED)))
    counts = references(HELD)
    for account, count in zip(HELD, counts, strict=True):
        if count == ALONE:
            fate = account.fate()
            FATES[f"{type(account).__name__}: {fate or 'LOST'}"] += 1
            if fate is None:
                FAULTS.append(f"lost: {type(account).__name__} {vars(account)}"[:500])
    HELD[:] = [account for account, count in zip(HELD, counts, strict=True) if count > ALONE]


class Letter:
    """A message to a channel or an actor, sent as a value or as an exception's argument."""

    def __init__(self, sender: Actor | World, to: channel | Actor) -> None:
        self.sender = sender
        self.to = to
        self.sending = "killed"  # until it is known better: a kill leaves no time for a note
        self.received = self.sunk = 0

    def fate(self) -> str | None:
        read = self.received + self.sunk
        if self.sending == "sent" and read == 0 and isinstance(self.to, Actor):
            in_vain = self.to.state == "never started" or self.to.world.closing
            return "thrown in vain" if in_vain else None
        if read not in {"sent": (1,), "killed": (0, 1), "timed out": (0,)}[self.sending]:
            return None
        end = "received" if self.received else "died with its receiver" if self.sunk else "vanished"
        return f"{end}, {self.sending}"


class Parcel(Exception):
    """An exception whose argument is a letter."""


class Call:
    """A connection to an echo server: what got how far, and whether somebody cut it."""

    def __init__(self, caller: World, called: World) -> None:
        self.worlds = (caller, called)
        self.cut = self.client_done = self.server_done = False
        start = caller.dice.randrange(len(NOISE) // 2)
        self.said = NOISE[start : start + caller.dice.choice((1, 1000, 20_000, 400_000))]
        self.heard, self.returned = bytearray(), bytearray()

    def fate(self) -> str | None:
        if not (self.said.startswith(self.heard) and self.heard.startswith(self.returned)):
            return None
        if self.client_done and self.server_done and self.returned == self.said:
            return "completed"
        return "cut" if self.cut or any(world.closing for world in self.worlds) else None


# ---- those who act -------------------------------------------------------------------------------


class Actor(tasklet):
    """A tasklet that others meddle with, and the account of its life."""

    def __init__(self, world: World, part: Any, line: Any = None, call: Any = None) -> None:
        super().__init__(self.live)
        self.world = world
        self.line: socket.socket | None = line
        self.call: Call | None = call
        self.state = "never started"
        self.blows = 0
        self.receiving = False
        OPENED.append(self)
        world.actors.append(self)
        self(part)

    def live(self, part: Callable[[Actor], None]) -> None:
        self.state = "started"
        end = "broke"
        try:
            part(self)
            end = "ended"
        except TaskletExit as killed:
            open_parcel(killed)
            end = "killed"
            raise
        except Parcel as parcel:
            open_parcel(parcel)
            end = "struck down"
        finally:
            self.state = end

    def fate(self) -> str | None:
        if self.state in ("started", "broke"):
            return None
        meant = self.state == "ended" or self.blows > 0 or self.world.closing
        return self.state if meant else None

    def answer(self) -> None:
        """Be the server of a call."""
        line, call = self.line, self.call
        assert line and call
        with contextlib.suppress(OSError), line:  # the call's account will tell
            while data := line.recv(self.world.dice.choice((100, 4096, 65536))):
                call.heard += data
                line.sendall(data)
            call.server_done = True

    def wander(self) -> None:
        for _ in range(self.world.dice.randrange(1, 30)):
            if self.world.closing:
                return
            try:
                self.world.dice.choice(STEPS)(self)
            except Parcel as parcel:
                open_parcel(parcel)

    # The steps that it wanders by.

    def talk(self) -> None:
        dice = self.world.dice
        post = dice.choice(self.world.posts + SHARED_POSTS)
        step = self.send if (post.balance <= 0) == (dice.random() < 0.9) else self.receive
        seconds = dice.random() * 0.005 if dice.random() < 0.3 else None
        with contextlib.suppress(TimeoutError), stackless.timeout(seconds):
            step(post)

    def send(self, post: channel) -> None:
        letter = Letter(self, post)
        OPENED.append(letter)
        try:
            if self.world.dice.random() < 0.9:
                post.send(letter)
            else:
                post.send_exception(Parcel, letter)
            letter.sending = "sent"
        except (TaskletExit, Parcel):
            raise
        except BaseException:  # how stackless.timeout() ends a wait
            letter.sending = "timed out"
            raise

    def receive(self, post: channel) -> None:
        self.receiving = True
        try:
            for letter in post:  # and not receive(), which is a call
                letter.received += letter.to is post
                break
        finally:
            self.receiving = False

    def sleep(self) -> None:
        stackless.sleep(self.world.dice.random() * 0.003)

    def park(self) -> None:
        stackless.schedule_remove(None)

    def hand_over(self) -> None:
        """Switch to somebody who is parked, and be parked instead."""
        for other in self.world.actors:
            if other.paused:
                other.switch()
                return

    def dive(self, depth: int = 30) -> None:
        """Give way deep inside Python frames and under a C frame."""
        if depth > 0:
            self.dive(depth - 1)
        else:
            assert sorted((2, 1), key=lambda n: stackless.schedule(n)) == [1, 2]

    def telephone(self) -> None:
        dice = self.world.dice
        world = dice.choice(WORLDS)
        if world.port == 0:
            return
        hurry = dice.random() * 0.02 if dice.random() < 0.1 else None
        call = self.call = Call(self.world, world)
        OPENED.append(call)
        address = None
        try:
            with stackless.timeout(hurry), socket.socket() as line:
                self.line = line
                # Loopback has many addresses. So many calls would use up the ports of one.
                line.bind((f"127.{dice.randrange(1, 255)}.{dice.randrange(1, 255)}.1", 0))
                address = line.getsockname()
                CALLS[address] = call
                line.connect(("127.0.0.1", world.port))
                tasklet(talk_into)(
                    line, call.said
                )  # more than fits: somebody has to read meanwhile
                call.cut |= dice.random() < 0.05  # hangs up early
                while not call.cut and (data := line.recv(65536)):
                    call.returned += data
                call.client_done = True
        except OSError:  # TimeoutError included
            call.cut |= hurry is not None
        finally:
            CALLS.pop(address, None)
            self.line = self.call = None


def open_parcel(error: BaseException) -> None:
    for letter in error.args:
        letter.received += 1


def talk_into(line: socket.socket, said: bytes) -> None:
    with contextlib.suppress(OSError):  # the call's account will tell
        line.sendall(said)
        line.shutdown(socket.SHUT_WR)


STEPS = [Actor.talk] * 12 + [Actor.sleep] * 3 + [Actor.dive] * 2
STEPS += [Actor.park, Actor.hand_over, Actor.telephone]


def posts() -> list[channel]:
    made = [channel() for _ in range(3)]
    for preference, post in enumerate(made, -1):
        post.preference = preference
    return made


SHARED_POSTS = posts()
WORLDS: list[World] = []
CALLS: dict[Any, Call] = {}  # by the caller's address


class World(threading.Thread):
    """A thread with a scheduler, a crowd, an echo server, and a director that meddles."""

    throws_at_running = False  # whether also at another thread's actor while that may be running

    def __init__(self, seed: str, end: float) -> None:
        super().__init__(daemon=True)
        self.dice = random.Random(seed)
        self.end = end
        self.actors: list[Actor] = []
        self.posts = posts()
        self.port = 0
        self.closing = False
        WORLDS.append(self)
        self.start()

    def run(self) -> None:
        try:
            if self.dice.random() < 0.5:
                self.direct()
            else:
                tasklet(self.direct)()
                stackless.run()
        except BaseException:
            FAULTS.append("a thread broke: " + traceback.format_exc())

    def direct(self) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
            tasklet(self.accept)(listener)
            self.port = listener.getsockname()[1]
            while time.monotonic() < self.end:
                self.actors = [actor for actor in self.actors if actor.alive]
                while len(self.actors) < CROWD:
                    Actor(self, Actor.wander)
                for _ in range(4):
                    self.meddle(self if self.dice.random() < 0.8 else self.dice.choice(WORLDS))
                stackless.sleep(self.dice.choice((0, 0.001, 0.003)))
            self.port = 0
            self.closing = True
        # Actors end with the thread, but what a receiver has in its mailbox must be known.
        while receivers := [a for a in self.actors if a.alive and a.receiving]:
            self.strike(receivers[0], receivers[0].kill)
        stackless.getmain().insert()  # if it is in run(), that returns

    def accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # when it is closed
            while True:
                line, address = listener.accept()
                if call := CALLS.get(address):
                    Actor(self, Actor.answer, line, call)
                else:
                    line.close()

    def meddle(self, world: World) -> None:
        """Do something to somebody."""
        if not world.actors:
            return
        dice = self.dice
        victim = dice.choice(world.actors)
        pending = dice.random() < 0.5
        match dice.randrange(12):
            case 0:
                self.strike(victim, victim.kill, pending=pending)
            case 1 | 2 | 3 | 4 | 5:
                what = dice.choice((TaskletExit, Parcel))
                self.strike(victim, victim.throw, what, Letter(self, victim), pending=pending)
            case 6:
                with contextlib.suppress(RuntimeError):  # it is running or blocked
                    victim.remove()
            case 7 if world is self and victim.line and victim.call:
                victim.call.cut = True
                victim.line.close()
            case 8 if victim.paused:
                victim.run()
            case 9 | 10 | 11:
                for actor in world.actors:
                    if actor.paused:
                        actor.insert()

    def strike(self, victim: Actor, how: Callable[..., Any], *args: Any, **pending: bool) -> None:
        """Kill or throw, and note what was in the victim's mailbox."""
        waits = victim.world is self or victim.blocked or victim.paused
        if not victim.alive or not (waits or self.throws_at_running):
            return
        victim.blows += 1
        if victim.call:
            victim.call.cut = True
        mail = victim.tempval
        how(*args, **pending)
        for letter in args[1:]:
            letter.sending = "sent"
            OPENED.append(letter)
        for lost in mail.value.args if isinstance(mail, bomb) and mail.value else (mail,):
            if isinstance(lost, Letter) and lost.sender is not victim:
                lost.sunk += 1


# ---- the program ---------------------------------------------------------------------------------


def parrot(post: channel) -> None:
    """Repeat what it hears, in a thread where nothing else ever happens."""
    while word := post.receive():
        post.send(word)


def on_uncaught(_: type[BaseException], error: BaseException, __: object) -> None:
    if not isinstance(error, Parcel):  # thrown at an actor that never started
        FAULTS.append("uncaught: " + "".join(traceback.format_exception(error)))


def bury(world: World) -> None:
    """Wait for the end of a thread, and clear up."""
    world.join()
    for actor in world.actors:
        actor.kill()  # those that never started still hold their function
    world.actors.clear()
    WORLDS.remove(world)


def in_use() -> dict[str, int]:
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "C stacks": stackless.statistics()["mounted"],
        "accounts": len(HELD),
    }


def flow(dice: random.Random, end: float) -> None:
    """Let it all happen, with new threads for those that end."""
    post = channel()
    quiet = threading.Thread(target=parrot, args=(post,), daemon=True)
    quiet.start()
    while time.monotonic() < end:
        for world in [world for world in WORLDS if not world.is_alive()]:
            bury(world)
        while len(WORLDS) < THREADS:
            World(f"{dice.random()}", min(end, time.monotonic() + dice.uniform(0.2, 5)))
        stackless.sleep(0.05)
        audit()
        post.send(end)
        if post.receive() != end:
            FAULTS.append("the parrot said something else")
    for world in WORLDS[:]:
        bury(world)
    post.send(None)
    quiet.join()


def ebb(before: dict[str, int]) -> int:
    """See what is left when everybody has gone; return how many KiB."""
    gc.collect()
    for _ in range(4):  # a letter holds its sender
        audit()
    if before != (now := in_use()):
        FAULTS.append(f"in use at the beginning {before}, now {now}")
        FAULTS.extend(f"never closed: {type(a).__name__} {vars(a)}"[:500] for a in HELD)
        HELD.clear()
    LIBC.malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--growth", type=float, default=2, help="of memory, in per cent, at most")
    parser.add_argument("--json", type=Path, help="where to write what was measured")
    help_ = "kill and throw at another thread's tasklets even while they run"
    parser.add_argument("--throw-at-running", action="store_true", help=help_)
    options = parser.parse_args()
    World.throws_at_running = options.throw_at_running
    stackless.set_error_handler(on_uncaught)
    sys.unraisablehook = lambda what: FAULTS.append(f"unraisable: {what}")
    LIBC.mallopt(-8, 1)  # M_ARENA_MAX: how much glibc keeps for threads to come is its own affair
    stackless.sleep(0.001)  # opens what a scheduler keeps open
    before = in_use()
    dice = random.Random(options.seed)
    tides = max(1, round(options.seconds / TIDE))
    low = []
    for i in range(tides):
        faulthandler.dump_traceback_later(options.seconds / tides + HUNG, exit=True)
        flow(dice, time.monotonic() + options.seconds / tides)
        low.append(ebb(before))
        print(
            f"tide {i + 1} of {tides}: {low[-1]} KiB, {FATES.total()} accounts closed", flush=True
        )
    steady = low[tides // 10 :]
    fifth = len(steady) // 5 or 1
    grown = 100 * (statistics.median(steady[-fifth:]) / statistics.median(steady[:fifth]) - 1)
    if grown > options.growth:
        FAULTS.append(f"memory grew by more than {options.growth} %")
    for fate, number in sorted(FATES.items()):
        print(f"{number:10}  {fate}")
    print(f"memory {grown:+.2f} %, {len(FAULTS)} faults", *FAULTS[:10], sep="\n")
    if options.json:
        result = {"low KiB": low, "growth %": grown, "fates": FATES, "faults": FAULTS}
        options.json.write_text(json.dumps(result, indent=2))
    return 1 if FAULTS else 0


if __name__ == "__main__":
    sys.exit(main())
