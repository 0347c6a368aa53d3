"""stackless.socket: the standard socket module, whose waits block one tasklet only."""

from __future__ import annotations

import errno
import os
import socket as standard
import threading

import pytest
import stackless
from stackless import socket, tasklet


@pytest.fixture
def pair():
    first, second = socket.socketpair()
    with first, second:
        yield first, second


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def run_all(*functions):
    """Run each function in a tasklet until all have ended; return their results."""
    results = [None] * len(functions)

    def call(index, function):
        results[index] = function()

    for index, function in enumerate(functions):
        tasklet(call)(index, function)
    stackless.run()
    return results


def test_every_public_name_of_the_standard_module_is_there():
    assert [name for name in standard.__all__ if not hasattr(socket, name)] == []
    assert issubclass(socket.socket, standard.socket)


def test_a_receiver_waits_while_others_run(pair):
    ours, theirs = pair
    log = []

    def receiver():
        log.append("waits")
        log.append(ours.recv(10))

    def sender():
        log.append("sends")
        theirs.send(b"data")

    run_all(receiver, sender)
    assert log == ["waits", "sends", b"data"]


def test_accept_connect_and_an_echo_for_many_at_once(listener):
    def serve():
        for _ in range(20):
            connection, address = listener.accept()
            assert isinstance(connection, socket.socket)
            assert address[0] == "127.0.0.1"
            tasklet(echo)(connection)

    def echo(connection):
        with connection:
            while data := connection.recv(4096):
                connection.sendall(data.upper())

    def client(number):
        with socket.create_connection(listener.getsockname()) as connection:
            answers = []
            for turn in range(5):
                connection.sendall(b"%d-%d x" % (number, turn))
                answers.append(connection.recv(4096))
            return answers

    results = run_all(serve, *(lambda n=n: client(n) for n in range(20)))
    assert results[1:] == [[b"%d-%d X" % (n, turn) for turn in range(5)] for n in range(20)]


def test_a_large_message_meets_a_slow_reader_and_arrives_whole(pair):
    ours, theirs = pair
    data = os.urandom(3_000_000)

    def reader():
        chunks = []
        while sum(map(len, chunks)) < len(data):
            chunks.append(theirs.recv(10_000))
            stackless.schedule()
        return b"".join(chunks)

    assert run_all(lambda: ours.sendall(data), reader)[1] == data


def test_reading_and_writing_waits_on_one_descriptor_at_once(pair):
    ours, theirs = pair
    data = bytes(2_000_000)

    def drain():
        theirs.send(b"first")
        left = len(data)
        while left:
            left -= len(theirs.recv(65536))

    assert run_all(lambda: ours.recv(10), lambda: ours.sendall(data), drain)[0] == b"first"


def test_a_timeout_of_a_socket_is_the_standard_one(pair):
    ours, _ = pair
    ours.settimeout(0.001)
    assert ours.gettimeout() == 0.001
    for operation in (lambda: ours.recv(1), lambda: ours.recv_into(bytearray(1))):
        with pytest.raises(TimeoutError, match="timed out"):
            operation()
    assert socket.timeout is TimeoutError


def test_a_non_blocking_socket_raises_blocking_io_error(pair):
    ours, _ = pair
    ours.setblocking(False)
    assert (ours.getblocking(), ours.gettimeout()) == (False, 0.0)
    with pytest.raises(BlockingIOError):
        ours.recv(1)
    ours.setblocking(True)
    assert ours.gettimeout() is None


def test_a_timeout_block_ends_a_wait_on_a_socket(pair):
    ours, theirs = pair
    with pytest.raises(TimeoutError), stackless.timeout(0.001):
        ours.recv(1)
    theirs.send(b"x")
    assert ours.recv(1) == b"x"


def test_closing_wakes_everybody_who_waits_with_bad_descriptor(pair):
    ours, _ = pair

    def wait():
        with pytest.raises(OSError) as caught:
            ours.recv(1)
        return caught.value.errno

    assert run_all(wait, wait, ours.close)[:2] == [errno.EBADF] * 2


def test_a_closed_acceptor_gets_an_error_and_the_number_can_be_reused(listener):
    number = listener.fileno()

    def accept():
        with pytest.raises(OSError) as caught:
            listener.accept()
        return caught.value.errno

    def close_and_reuse():
        listener.close()
        first, second = socket.socketpair()
        with first, second:
            assert number in (first.fileno(), second.fileno())
            tasklet(second.send)(b"new")
            return first.recv(10)

    assert run_all(accept, close_and_reuse) == [errno.EBADF, b"new"]


def test_a_descriptor_closed_behind_our_back_does_not_disturb_its_successor():
    first, second = socket.socketpair()
    number = first.fileno()
    with pytest.raises(TimeoutError), stackless.timeout(0.001):
        first.recv(1)
    os.close(number)
    third, fourth = socket.socketpair()
    with third, fourth:
        assert number in (third.fileno(), fourth.fileno())
        assert run_all(lambda: third.recv(9), lambda: fourth.send(b"hello"))[0] == b"hello"
    first.detach()
    second.close()


def test_half_close_in_both_orders(pair):
    ours, theirs = pair

    def left():
        ours.sendall(b"question")
        ours.shutdown(socket.SHUT_WR)
        return ours.recv(100), ours.recv(100)

    def right():
        data = theirs.recv(100)
        rest = theirs.recv(100)
        theirs.sendall(b"answer")
        theirs.shutdown(socket.SHUT_WR)
        return data, rest

    assert run_all(left, right) == [(b"answer", b""), (b"question", b"")]


def test_data_and_end_that_come_together_are_both_seen(pair):
    ours, theirs = pair

    def reader():
        return [ours.recv(100), ours.recv(100), ours.recv(100)]

    def writer():
        theirs.sendall(b"all")
        theirs.close()

    assert run_all(reader, writer)[0] == [b"all", b"", b""]


def test_a_refused_connection_raises_and_connect_ex_returns_it(listener):
    address = listener.getsockname()
    listener.close()
    with socket.socket() as s, pytest.raises(ConnectionRefusedError):
        s.connect(address)
    with socket.socket() as s:
        assert s.connect_ex(address) == errno.ECONNREFUSED


def test_a_reset_peer_raises_connection_reset(listener):
    def serve():
        connection, _ = listener.accept()
        with connection:
            connection.recv(1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def client():
        with socket.create_connection(listener.getsockname()) as connection:
            connection.send(b"x")
            with pytest.raises(ConnectionResetError):
                connection.recv(1)

    run_all(serve, client)


def test_names_are_resolved_while_others_run(listener):
    def client():
        with socket.create_connection(("localhost", listener.getsockname()[1])):
            return "connected"

    assert run_all(lambda: listener.accept()[0].close(), client)[1] == "connected"


def test_makefile_reads_lines_and_writes(pair):
    ours, theirs = pair

    def reader():
        with ours.makefile("r", encoding="utf-8") as file:
            return list(file)

    def writer():
        with theirs, theirs.makefile("w", encoding="utf-8") as file:
            file.write("eins\nzwei\n")

    assert run_all(reader, writer)[0] == ["eins\n", "zwei\n"]


def test_datagrams_both_ways():
    with socket.socket(type=socket.SOCK_DGRAM) as a, socket.socket(type=socket.SOCK_DGRAM) as b:
        a.bind(("127.0.0.1", 0))
        b.bind(("127.0.0.1", 0))
        buffer = bytearray(10)

        def answer():
            data, address = b.recvfrom(100)
            b.sendto(data[::-1], address)

        def ask():
            a.sendto(b"abc", b.getsockname())
            size, _ = a.recvfrom_into(buffer)
            return bytes(buffer[:size])

        assert run_all(answer, ask)[1] == b"cba"


def test_messages_with_ancillary_data(pair):
    ours, theirs = pair

    def receive():
        data, *_ = ours.recvmsg(100)
        return data

    assert run_all(receive, lambda: theirs.sendmsg([b"a", b"b"]))[0] == b"ab"


def test_dup_fromfd_and_detach_give_sockets_of_ours(pair):
    ours, theirs = pair
    with ours.dup() as copy:
        assert type(copy) is socket.socket
        assert run_all(lambda: copy.recv(5), lambda: theirs.send(b"dup"))[0] == b"dup"
    number = ours.detach()
    assert ours.fileno() == -1
    with socket.socket(fileno=number) as again:
        assert run_all(lambda: again.recv(5), lambda: theirs.send(b"det"))[0] == b"det"


def test_sendfile_blocks_one_tasklet_only(pair, tmp_path):
    ours, theirs = pair
    path = tmp_path / "file"
    path.write_bytes(os.urandom(1_000_000))

    def send():
        with path.open("rb") as file:
            sent = ours.sendfile(file)
        ours.close()
        return sent

    def receive():
        chunks = []
        while data := theirs.recv(65536):
            chunks.append(data)
        return b"".join(chunks)

    assert run_all(send, receive) == [1_000_000, path.read_bytes()]


def test_killing_a_tasklet_that_waits_for_a_socket_leaves_the_socket_usable(pair):
    ours, theirs = pair
    t = tasklet(ours.recv)(1)
    stackless.pump()
    assert t.blocked
    t.kill()
    assert stackless.statistics()["io_waiters"] == 0
    theirs.send(b"y")
    assert ours.recv(1) == b"y"


def test_a_socket_serves_two_threads(pair):
    ours, theirs = pair
    got = []
    thread = threading.Thread(target=lambda: got.append(ours.recv(10)))
    thread.start()
    theirs.send(b"one")
    thread.join()
    assert got == [b"one"]
    assert run_all(lambda: ours.recv(10), lambda: theirs.send(b"two"))[0] == b"two"


def test_an_acceptor_survives_running_out_of_descriptors(listener):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    clients = [standard.create_connection(listener.getsockname()) for _ in range(2)]
    taken = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 2, hard))
        with pytest.raises(OSError) as caught:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        assert caught.value.errno == errno.EMFILE
        with pytest.raises(OSError) as caught:
            listener.accept()
        assert caught.value.errno == errno.EMFILE
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for number in taken:
            os.close(number)
    for client in clients:
        listener.accept()[0].close()
        client.close()


def test_a_busy_tasklet_does_not_starve_those_who_wait_for_data(pair):
    ours, theirs = pair
    done = []

    def busy():
        while not done:
            stackless.schedule()

    def reader():
        done.append(ours.recv(10))

    run_all(busy, reader, lambda: theirs.send(b"through"))
    assert done == [b"through"]
