"""A chat server over TCP: a tasklet for each guest, who writes lines and reads those of the others.

The claim: code that looks threaded uses asynchronous I/O under the covers. Try it:

    python examples/chat_server.py 8888        and, in other terminals,  nc localhost 8888
"""

from __future__ import annotations

import contextlib
import sys

import stackless
from stackless import socket


class Room:
    """Everybody who is in."""

    def __init__(self) -> None:
        self.guests: dict[str, socket.socket] = {}

    def say(self, line: str, but: str = "") -> None:
        """Send a line to everybody but one."""
        for name, connection in list(self.guests.items()):
            if name != but:
                with contextlib.suppress(OSError):  # that guest's own tasklet finds out
                    connection.sendall(line.encode() + b"\n")

    def visit(self, connection: socket.socket) -> None:
        """One guest's stay, from the first line, a name, to the end of the connection."""
        with connection, connection.makefile("r", encoding="utf-8", errors="replace") as lines:
            name = ""
            try:
                connection.sendall(b"name?\n")
                name = lines.readline().strip()
                if not name or name in self.guests:
                    connection.sendall(b"that name won't do\n")
                    name = ""
                    return
                self.guests[name] = connection
                self.say(f"* {name} joins")
                for line in lines:
                    self.say(f"{name}: {line.rstrip()}", but=name)
            except OSError:
                pass  # left without a word
            finally:
                if name:
                    del self.guests[name]
                    self.say(f"* {name} leaves")


def serve(listener: socket.socket, room: Room) -> None:
    """Let guests in until the listener is closed."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        stackless.tasklet(room.visit)(connection)


if __name__ == "__main__":
    door = socket.create_server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8888))
    print("listening on port", door.getsockname()[1], flush=True)
    stackless.tasklet(serve)(door, Room())
    try:
        stackless.run()
    except KeyboardInterrupt:
        print("bye")
