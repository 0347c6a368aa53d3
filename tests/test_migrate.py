"""examples/migrate.py: a computation that is begun in one process and ends in another."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from stackless import snapshot
from support import CHILD_LIMIT

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "migrate.py"
RESULT = "2000 found, the last is 17389, their sum is 16274627"
KEY = secrets.token_hex(32)


@contextmanager
def running(*options, file=EXAMPLE, stdin=None, **environment):
    """Run the example; give the process, whose lines can be read as they come."""
    process = subprocess.Popen(
        [sys.executable, file, *options],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()


def until(process, pattern):
    """Read lines until one says that; return the process's number, its directory and the rest."""
    seen = []
    for line in process.stdout:
        seen.append(line)
        if found := re.fullmatch(rf"pid (\d+) in (\S+): {pattern}\n", line):
            return found.groups()
    raise AssertionError("".join(seen))


def press_ctrl_c(process):
    """Have the computation leave, which may do some more steps before it notices."""
    process.send_signal(signal.SIGINT)
    until(process, r"sends \d+ bytes")


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_ctrl_c_moves_a_computation_to_another_process_in_another_directory(steps):
    with running() as here:
        home, directory = until(here, rf"{steps} found, the last is \d+")
        press_ctrl_c(here)
        other, elsewhere, found = until(here, r"goes on with (\d+) found")
        assert home != other
        assert directory != elsewhere
        assert steps <= int(found) < 2000
        assert until(here, "is told: (.*)") == (home, directory, RESULT)
        assert here.stdout.read() == ""
        assert here.wait(CHILD_LIMIT) == 0


@pytest.fixture
def server():
    """The process in which computations end, started on its own; and its port."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        running("--serve", "-", stdin=listener, MIGRATE_KEY=KEY) as process,
    ):
        yield process, listener.getsockname()[1]


def test_several_computations_end_in_one_process(server):
    there, port = server
    for _ in range(2):
        with running("--to", f"127.0.0.1:{port}", MIGRATE_KEY=KEY) as here:
            until(here, r"1 found, the last is 2")
            press_ctrl_c(here)
            assert until(here, "is told: (.*)")[2] == RESULT
        until(there, r"goes on with \d+ found")


def answer_to(port, data):
    with socket.create_connection(("127.0.0.1", port), timeout=CHILD_LIMIT) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return connection.makefile("r").read()


def test_what_is_not_signed_with_the_key_is_refused_and_the_next_served(server):
    there, port = server
    for data, complaint in [
        (b"", "this is no snapshot"),
        (os.urandom(1000), "this is no snapshot"),
        (snapshot.dumps(([], [], [2])), "the snapshot is not signed"),
        (snapshot.dumps(([], [], [2]), b"guessed"), "the snapshot was not signed with this key.*"),
    ]:
        assert answer_to(port, data) == "refused"
        until(there, f"refuses: {complaint}")


def test_a_computation_is_refused_where_its_functions_are_others(server, tmp_path):
    there, port = server
    changed = tmp_path / "changed.py"
    changed.write_text(EXAMPLE.read_text().replace("number = 2\n", "number = 3\n"))
    with running("--to", f"127.0.0.1:{port}", file=changed, MIGRATE_KEY=KEY) as here:
        until(here, r"1 found, the last is 3")
        press_ctrl_c(here)
        assert until(here, "is told: (.*)")[2] == "refused"
    until(there, r"refuses: the code of __main__\.primes is another one here: .*")
