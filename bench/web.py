"""The HTTP figures: a server in a process of its own, and a client that keeps it busy or idle."""

from __future__ import annotations

import os
import select
import subprocess
from pathlib import Path
from types import TracebackType
from typing import IO, Self

CONNECTIONS = 100  # of the speed figure; also the ones that come before memory is measured
START_LIMIT = 30  # seconds
REPLY_LIMIT = 320  # longer than the client gives itself


class ProgramError(Exception):
    """A program did not do its part; says what it wrote last."""


class _Process:
    """A child process that answers with lines."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _pipe(self, pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe

    def read_line(self, seconds: float) -> str:
        output = self._pipe(self._process.stdout)
        if not select.select([output], [], [], seconds)[0]:
            raise ProgramError(f"{self._process.args!r} has said nothing for {seconds} s")
        line = output.readline().strip()
        if not line:
            raise ProgramError(f"{self._process.args!r} has ended")
        return line

    def write_line(self, line: str) -> None:
        self._pipe(self._process.stdin).write(line + "\n")


class Server(_Process):
    def __init__(self, command: list[str]) -> None:
        super().__init__(command)
        self.port = int(self.read_line(START_LIMIT))

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its threads, by the scheduler's own, fine account."""
        tasks = Path(f"/proc/{self.pid}/task")
        try:
            accounts = [(task / "schedstat").read_text() for task in tasks.iterdir()]
        except FileNotFoundError:  # a kernel without it
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return sum(int(account.split()[0]) for account in accounts) / 1e9

    def resident_bytes(self) -> int:
        return self._kib("smaps_rollup", "Rss:") * 1024

    def page_table_bytes(self) -> int:
        return self._kib("status", "VmPTE:") * 1024

    def _kib(self, file: str, key: str) -> int:
        for line in Path(f"/proc/{self.pid}/{file}").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1])
        raise ProgramError(f"no {key} in /proc/PID/{file}")


class Client(_Process):
    def __init__(self, command: list[str], server: Server, connections: int) -> None:
        super().__init__([*command, str(server.port), str(connections)])
        self._expect("ready")

    def request(self, count: int) -> None:
        """Send `count` requests over all connections and wait for the answers."""
        self.write_line(f"go {count}")
        self._expect("done")

    def _expect(self, word: str) -> None:
        line = self.read_line(REPLY_LIMIT)
        if line != word:
            raise ProgramError(f"the client says: {line}")


def hello(server_command: list[str], client_command: list[str], count: int) -> dict[str, float]:
    with Server(server_command) as server, Client(client_command, server, CONNECTIONS) as client:
        client.request(count // 10)
        before = server.cpu_seconds()
        client.request(count)
        return {"http_hello": count / (server.cpu_seconds() - before)}


def idle(
    server_command: list[str], client_command: list[str], connections: int
) -> dict[str, float]:
    with (
        Server(server_command) as server,
        Client(client_command, server, CONNECTIONS) as early,
    ):
        early.request(10 * CONNECTIONS)
        resident, tables = server.resident_bytes(), server.page_table_bytes()
        with Client(client_command, server, connections):
            resident = server.resident_bytes() - resident
            tables = server.page_table_bytes() - tables
    return {
        "memory_connection": resident / connections,
        "page_tables_connection": tables / connections,
    }
