"""A chat server: what one says, everybody else reads. Try it with nc or telnet.

usage: python chat_server.py [PORT]
"""

import sys
from collections import deque

import stackless
from stackless import socket

IDLE_LIMIT = 600  # seconds
OUTBOX_LIMIT = 1000  # lines; who reads too slowly misses the oldest


class Room:
    """Everybody who is in the chat."""

    def __init__(self):
        self.guests = {}

    def enter(self, guest):
        self.guests[guest.name] = guest
        self.tell_others(guest, f"* {guest.name} came in")

    def leave(self, guest):
        del self.guests[guest.name]
        self.tell_others(guest, f"* {guest.name} left")

    def tell_others(self, speaker, text):
        for guest in list(self.guests.values()):
            if guest is not speaker:
                guest.tell(text)


class Guest:
    """One connection, served by two tasklets: one reads, one writes."""

    def __init__(self, room, connection):
        self.room = room
        self.connection = connection
        self.lines = connection.makefile("r", encoding="utf-8", errors="replace", newline="\n")
        self.name = ""
        self.outbox = deque(maxlen=OUTBOX_LIMIT)
        self.mail = stackless.channel()

    def visit(self):
        """Serve the guest from the first line to the last."""
        writer = stackless.tasklet(self.write)()
        try:
            self.name = self.introduce()
            if self.name:
                self.room.enter(self)
                try:
                    self.talk()
                finally:
                    self.room.leave(self)
        except OSError:  # the connection broke, or said nothing for too long (TimeoutError)
            pass
        finally:
            writer.kill()
            self.lines.close()
            self.connection.close()

    def introduce(self):
        self.tell("What is your name?")
        while (name := self.read_line()) in self.room.guests:
            self.tell(f"{name} is taken. Another name?")
        return name

    def talk(self):
        while text := self.read_line():
            self.room.tell_others(self, f"{self.name}: {text}")

    def read_line(self):
        """Return the next line, "" at the end."""
        with stackless.timeout(IDLE_LIMIT):
            return self.lines.readline().strip()

    def tell(self, text):
        """Put a line into the guest's outbox; never waits, so a slow guest delays nobody."""
        self.outbox.append(text)
        if self.mail.balance < 0:  # the writer waits for mail
            self.mail.send(None)

    def write(self):
        """Send what is in the outbox, for as long as the connection takes it."""
        try:
            while True:
                while self.outbox:
                    self.connection.sendall(f"{self.outbox.popleft()}\n".encode())
                self.mail.receive()
        except OSError:
            pass  # visit() sees it too, and cleans up


def serve(port):
    room = Room()
    with socket.create_server(("127.0.0.1", port)) as listener:
        print("listening on port", listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            stackless.tasklet(Guest(room, connection).visit)()


stackless.tasklet(serve)(int(sys.argv[1]) if len(sys.argv) > 1 else 7008)
stackless.run()
