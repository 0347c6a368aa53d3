"""A model of the scheduling rules in plain Python: one list is the ring, scripts are generators.

A script yields operations such as ("send", 0, 7) and is given their results. `Model` executes
operations on its own lists; `test_determinism.py` executes the same scripts in real tasklets.
"""

from __future__ import annotations

DEADLOCK = "Deadlock: the last runnable tasklet cannot be blocked."


class Exit(BaseException):
    """What TaskletExit is to the runtime."""


class Bomb:
    def __init__(self, error):
        self.error = error


class Task:
    def __init__(self, name, script):
        self.name = name
        self.script = script
        self.started = self.ended = self.bound = False
        self.channel = None
        self.tempval = None
        self.block_trap = False
        self.on_resume = None


class Channel:
    def __init__(self, preference, schedule_all):
        self.preference = preference
        self.schedule_all = schedule_all
        self.queue = []
        self.direction = 0
        self.closing = False

    @property
    def balance(self):
        return len(self.queue) * self.direction


class Model:
    """The runtime of one thread. ring[0] is the current tasklet whenever a script runs."""

    SWITCHED = object()

    def __init__(self, main_script, scripts, channels):
        self.main = Task("main", main_script)
        self.main.started = self.main.bound = True
        self.tasks = [Task(name, script) for name, script in scripts]
        self.channels = [Channel(*settings) for settings in channels]
        self.ring = [self.main]
        self.unraisable = []
        self.runners = []
        self.trap = 0

    # The state of a tasklet

    def scheduled(self, t):
        return t in self.ring or t.channel is not None

    @staticmethod
    def alive(t):
        return t.bound and not t.ended

    def flags(self, t):
        alive, scheduled = self.alive(t), self.scheduled(t)
        return (alive, alive and not scheduled, t.channel is not None, scheduled)

    # The ring

    def rotate_to(self, t):
        i = self.ring.index(t)
        self.ring[:] = self.ring[i:] + self.ring[:i]

    def wakeup_target(self):
        return self.runners[-1] if self.runners else self.main

    def leave_channel(self, t):
        t.channel.queue.remove(t)
        t.channel = None

    def go_to(self, me, target):
        """Make `target` the current tasklet, whatever it waits for now."""
        if target is me:
            self.rotate_to(me)
            return self.claim(me)
        if self.trap:
            raise RuntimeError("switch_trap")
        if target.channel is not None:
            self.leave_channel(target)
        if target not in self.ring:
            self.ring.append(target)
        self.rotate_to(target)
        return self.SWITCHED

    def give_up(self, me):
        """`me` has left the ring: the successor runs, or the rules for an empty ring apply."""
        target = self.ring[0] if self.ring else self.wakeup_target()
        if not self.ring and target is not me and self.scheduled(target):
            me.tempval = Bomb(RuntimeError(DEADLOCK))
            target = me
        if target is me:
            if me.channel is not None:
                me.tempval = Bomb(RuntimeError(DEADLOCK))
                self.leave_channel(me)
            self.ring.append(me)
            return self.claim(me)
        if self.trap:
            if me.channel is not None:
                self.leave_channel(me)
            self.ring.insert(0, me)
            me.tempval = None
            raise RuntimeError("switch_trap")
        if not self.ring and isinstance(me.tempval, Bomb):
            target.tempval = me.tempval
        return self.go_to(me, target)

    @staticmethod
    def claim(t):
        value, t.tempval = t.tempval, None
        if isinstance(value, Bomb):
            raise value.error
        return value

    def clean(self):
        for t in self.tasks:
            t.script.close()

    # Running everything

    def execute(self):
        """Run until the main script ends."""
        while not self.main.ended:
            t = self.ring[0]
            if t.on_resume is not None:
                t.on_resume()
                t.on_resume = None
            try:
                value, error = self.claim(t), None
            except BaseException as bomb:
                value, error = None, bomb
            self.advance(t, value, error)

    def advance(self, t, value, error):
        """Let the script of `t` do operations until it loses the head of the ring or ends."""
        if not t.started:
            t.started, value = True, None
        while True:
            try:
                operation = t.script.throw(error) if error else t.script.send(value)
            except StopIteration:
                return self.end(t, None)
            except BaseException as uncaught:
                return self.end(t, uncaught)
            error = None
            try:
                value = getattr(self, "do_" + operation[0])(t, *operation[1:])
            except BaseException as refused:
                value, error = None, refused
            if value is self.SWITCHED:
                return None

    def end(self, t, error):
        t.ended = True
        t.tempval = None
        if t is self.main:
            return
        self.ring.remove(t)
        if isinstance(error, Exit):
            error = None
        told = self.wakeup_target()
        if error is not None and told in self.ring and isinstance(told.tempval, Bomb):
            # Of two exceptions for the same tasklet the first comes, and the later is reported.
            self.unraisable.append(error)
            error = None
        target = self.ring[0] if self.ring else told
        if not self.ring and target.channel is not None and error is None:
            doing = "sending without a receiver"
            if target.channel.direction < 0:
                doing = "receiving without a sender"
            error = RuntimeError(f"the main tasklet is {doing} available.")
        if error is not None:
            target = self.wakeup_target()
            target.tempval = Bomb(error)
        if target.channel is not None:
            self.leave_channel(target)
        if target not in self.ring:
            self.ring.append(target)
        self.rotate_to(target)

    # Operations

    def do_start(self, _me, index):
        t = self.tasks[index]
        if self.alive(t):
            raise RuntimeError("tasklet is alive")
        if t.ended:
            return "over"
        t.bound = True
        self.ring.append(t)
        return None

    def do_schedule(self, me, value):
        if len(self.ring) == 1:
            return value
        if self.trap:
            raise RuntimeError("switch_trap")
        me.tempval = value
        return self.go_to(me, self.ring[1])

    def do_schedule_remove(self, me, value):
        me.tempval = value
        self.ring.remove(me)
        return self.give_up(me)

    def check_insert(self, t):
        if t.channel is not None:
            raise RuntimeError("You cannot run a blocked tasklet")
        if t not in self.ring and not self.alive(t):
            raise RuntimeError("You cannot run an unbound(dead) tasklet")

    def do_insert(self, _me, index):
        t = self.tasks[index]
        self.check_insert(t)
        if t not in self.ring:
            self.ring.append(t)

    def do_remove(self, me, index):
        t = self.tasks[index]
        if t.channel is not None:
            raise RuntimeError("You cannot remove a blocked tasklet.")
        if t is me:
            raise RuntimeError("The current tasklet cannot be removed.")
        if t in self.ring:
            self.ring.remove(t)

    def do_run(self, me, index):
        t = self.tasks[index]
        self.check_insert(t)
        return self.go_to(me, t)

    def do_switch(self, me, index):
        t = self.tasks[index]
        if t is me:
            return self.claim(me)
        self.check_insert(t)
        if self.trap:
            raise RuntimeError("switch_trap")
        self.ring.remove(me)
        return self.go_to(me, t)

    def do_throw(self, me, index, pending):
        return self.throw(me, self.tasks[index], KeyError(index), pending)

    def do_kill(self, me, index, pending):
        return self.throw(me, self.tasks[index], Exit(), pending)

    def throw(self, me, t, error, pending):
        if t is me:
            raise error
        if not self.alive(t):
            if isinstance(error, Exit):
                return None
            raise RuntimeError("You cannot throw to a dead tasklet")
        if not pending and self.trap:
            raise RuntimeError("switch_trap")
        t.tempval = Bomb(error)
        if not pending:
            return self.go_to(me, t)
        if t.channel is not None:
            self.leave_channel(t)
        if t not in self.ring:
            self.ring.append(t)
        return None

    def do_run_all(self, me):
        if self.trap and len(self.ring) > 1:
            raise RuntimeError("switch_trap")
        self.runners.append(me)
        self.ring.remove(me)
        if not self.ring:
            self.ring.append(me)
            self.runners.pop()
            return self.claim(me)

        def leave():
            while me in self.runners:
                runner = self.runners.pop()
                if not self.scheduled(runner):
                    self.ring.append(runner)

        me.on_resume = leave
        return self.go_to(me, self.ring[0])

    def do_switch_trap(self, _me, change):
        old = self.trap
        self.trap += change
        return old

    def do_block_trap(self, me, flag):
        me.block_trap = flag

    def do_close(self, _me, index):
        self.channels[index].closing = True

    def do_fail(self, _me, index):
        raise ArithmeticError(index)

    def do_send(self, me, index, value):
        return self.transfer(me, self.channels[index], 1, value)

    def do_send_exception(self, me, index, value):
        return self.transfer(me, self.channels[index], 1, Bomb(LookupError(value)))

    def do_receive(self, me, index):
        return self.transfer(me, self.channels[index], -1, None)

    def transfer(self, me, channel, direction, value):
        if channel.queue and channel.direction == -direction:
            other = channel.queue[0]
            to_other = not channel.schedule_all and channel.preference == -direction
            if self.trap and (to_other or channel.schedule_all):
                raise RuntimeError("switch_trap")
            self.leave_channel(other)
            me.tempval, other.tempval = (None, value) if direction > 0 else (other.tempval, None)
            if to_other:
                self.ring.insert(1, other)
                return self.go_to(me, other)
            self.ring.append(other)
            if channel.schedule_all:
                return self.go_to(me, self.ring[1])
            return self.claim(me)
        if me.block_trap:
            raise RuntimeError("this tasklet does not like to be blocked.")
        if channel.closing:
            raise ValueError("Send/receive operation on a closed channel")
        me.tempval = value
        self.ring.remove(me)
        channel.queue.append(me)
        channel.direction = direction
        me.channel = channel
        return self.give_up(me)
