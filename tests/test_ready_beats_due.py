"""A wait that was answered in time never ends in a timeout, however late anybody looks."""

from __future__ import annotations

import socket as standard
import threading
import time

import pytest
import stackless
from stackless import channel, socket, tasklet
from support import wait_for


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def pause():
    """Let time pass in which nobody looks at descriptors or timers."""
    end = time.monotonic() + 0.05
    while time.monotonic() < end:
        pass


@pytest.mark.parametrize("look", [stackless.run, stackless.pump], ids=["run", "pump"])
def test_data_that_came_before_the_timeout_is_received_after_it(pair, look):
    ours, theirs = pair
    ours.settimeout(0.01)
    got = []
    receiver = tasklet(lambda: got.append(ours.recv(10)))()
    receiver.run()
    theirs.sendall(b"data")
    pause()
    look()
    stackless.run()
    assert got == [b"data"]


def test_a_timeout_block_lets_data_pass_that_came_before(pair):
    ours, theirs = pair
    got = []

    def receive():
        with stackless.timeout(0.01):
            got.append(ours.recv(10))

    tasklet(receive)().run()
    theirs.sendall(b"data")
    pause()
    stackless.run()
    assert got == [b"data"]


def test_a_timeout_that_runs_out_while_its_tasklet_is_paused_strikes_at_the_next_wait():
    line, log = channel(), []

    def work():
        try:
            with stackless.timeout(0.01):
                stackless.schedule_remove()
                log.append("goes on")
                line.receive()
        except TimeoutError:
            log.append("timed out")

    paused = tasklet(work)()
    paused.run()
    pause()
    stackless.pump()
    assert (paused.paused, stackless.statistics()["timers"]) == (True, 0)
    paused.insert()
    stackless.run()
    assert (log, line.balance) == (["goes on", "timed out"], 0)


def test_the_timeout_of_a_tasklet_that_has_ended_moves_along_with_it():
    timeout = stackless.timeout(100)
    ended = tasklet(timeout.__enter__)()
    stackless.run()
    moved = threading.Event()

    def work():
        ended.bind_thread()
        moved.set()

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(moved)
    thread.join()
    del timeout
    assert stackless.statistics()["timers"] == 0


@pytest.mark.parametrize("fails", [False, True], ids=["answers", "fails"])
def test_run_waits_for_a_tasklet_that_waits_for_a_name(monkeypatch, fails):
    begun, over = threading.Event(), threading.Event()
    got = []

    def lookup(*_):
        begun.set()
        wait_for(over)
        if fails:
            raise standard.gaierror("no such host")
        return "an answer"

    monkeypatch.setattr(standard, "gethostbyname", lookup)

    def client():
        try:
            got.append(socket.gethostbyname("host"))
        except OSError as error:
            got.append(str(error))

    def helper():
        wait_for(begun)
        over.set()

    tasklet(client)()
    thread = threading.Thread(target=helper)
    thread.start()
    stackless.run()
    thread.join()
    assert got == ["no such host" if fails else "an answer"]


def test_who_is_killed_while_it_waits_for_a_name_is_gone_before_the_answer(monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(standard, "gethostbyname", lambda _: wait_for(over))
    client = tasklet(socket.gethostbyname)("host")
    client.run()
    assert client.blocked
    client.kill()
    over.set()
    stackless.run()
    assert not client.alive


def test_what_a_truncated_datagram_lacks_is_zeroes():
    ours, theirs = socket.socketpair(standard.AF_UNIX, standard.SOCK_DGRAM)
    with ours, theirs:
        theirs.send(b"secret" * 100)
        assert ours.recv(1000) == b"secret" * 100
        theirs.send(b"x" * 900)
        assert ours.recv(10, standard.MSG_TRUNC) == b"x" * 10 + bytes(890)


@pytest.mark.parametrize("offset", [0, 5])
def test_sendfile_leaves_the_file_where_it_has_sent_to(pair, tmp_path, offset):
    ours, _ = pair
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 1000)
    ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            ours.send(bytes(65536))
    ours.settimeout(0.01)
    with path.open("rb") as file:
        file.seek(offset)
        with pytest.raises(TimeoutError):
            ours.sendfile(file, offset)
        assert file.tell() == offset
