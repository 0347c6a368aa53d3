"""stackless.socket: the standard socket module, whose waits block one tasklet only."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import resource
import signal
import socket as standard
import struct
import threading

import pytest
import stackless
from stackless import socket, tasklet
from support import child_lines, in_thread, start_thread, wait_for, wait_until


@pytest.fixture
def tcp(listener):
    """Both ends of a TCP connection."""
    with socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            yield server, client


@pytest.fixture
def udp():
    """Two datagram sockets, each connected to the other."""
    with socket.socket(type=socket.SOCK_DGRAM) as a, socket.socket(type=socket.SOCK_DGRAM) as b:
        for s in (a, b):
            s.bind(("127.0.0.1", 0))
        a.connect(b.getsockname())
        b.connect(a.getsockname())
        yield a, b


def run_all(*functions):
    """Run each function in a tasklet until all have ended; return their results."""
    results = [None] * len(functions)

    def call(index, function):
        results[index] = function()

    for index, function in enumerate(functions):
        tasklet(call)(index, function)
    stackless.run()
    return results


def errno_of(function, *args):
    """The errno of the OSError that function(*args) has to raise."""
    with pytest.raises(OSError) as caught:
        function(*args)
    return caught.value.errno


def fill(sock):
    """Send until the other end and the kernel take no more."""
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.send(bytes(65536), socket.MSG_DONTWAIT)


@contextlib.contextmanager
def no_descriptors():
    """Let the process open no descriptor, not one, for a while."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    try:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 2, limits[1])
        )
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for number in taken:
            os.close(number)


def test_every_name_of_the_standard_module_is_there():
    assert [name for name in dir(standard) if not hasattr(socket, name)] == []
    assert socket.__all__ == standard.__all__
    assert issubclass(socket.socket, standard.socket)


def test_what_programs_use_beyond_the_documented_names_is_the_standard_one():
    for name in ("SocketIO", "SocketType", "MsgFlag", "AddressInfo", "EAGAIN", "EBADF", "errno"):
        assert getattr(socket, name) is getattr(standard, name)


def test_functions_of_the_module_use_our_names_even_replaced_ones(monkeypatch):
    def resolver(*_arguments):
        raise socket.gaierror("replaced")

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    with pytest.raises(socket.gaierror, match="replaced"):
        socket.create_connection(("localhost", 1))
    monkeypatch.setattr(socket, "gethostbyaddr", lambda _name: ("name.example", [], []))
    assert socket.getfqdn("somebody") == "name.example"


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


def test_every_function_that_makes_sockets_makes_ours(pair, listener):
    with (
        socket.fromfd(pair[0].fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as copy,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0] as accepted,
    ):
        made = (*pair, listener, copy, client, accepted)
        assert {type(s) for s in made} == {socket.socket}


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
    clients = [standard.create_connection(listener.getsockname()) for _ in range(2)]
    with no_descriptors():
        assert errno_of(listener.accept) == errno.EMFILE
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


# ---- what the standard socket does ---------------------------------------------------------------


def test_every_datagram_of_several_that_came_at_once_is_received(udp):
    ours, theirs = udp

    def send():
        for data in (b"one", b"two", b"three"):
            theirs.send(data)

    def receive():
        return [ours.recv(100) for _ in range(3)]

    assert run_all(receive, send)[0] == [b"one", b"two", b"three"]


def test_data_behind_a_passed_descriptor_is_received(pair):
    ours, theirs = pair

    def send():
        socket.send_fds(theirs, [b"with"], [theirs.fileno()])
        theirs.send(b"without")

    def receive():
        return ours.recv(100), ours.recv(100)

    assert run_all(receive, send)[0] == (b"with", b"without")


def test_nothing_is_received_at_once_if_nothing_is_asked_for(tcp):
    ours, theirs = tcp
    assert run_all(lambda: ours.recv(9), lambda: theirs.send(b"x"))[0] == b"x"
    assert (ours.recv(0), ours.recv_into(bytearray())) == (b"", 0)


@pytest.mark.parametrize("size", [6, 1_000_000])
def test_waitall_waits_for_all_and_another_reader_does_not_disturb_it(pair, size):
    ours, theirs = pair
    others, peers = socket.socketpair()
    data = os.urandom(size)

    def dribble():
        for part in (data[:2], data[2:3], data[3:]):
            theirs.sendall(part)
            peers.send(b"disturbs")
            stackless.schedule()
        peers.close()

    def read_others():
        while others.recv(100):
            pass

    with others, peers:
        whole = run_all(lambda: ours.recv(size, socket.MSG_WAITALL), read_others, dribble)[0]
    assert whole == data


def test_waitall_ends_with_the_stream(pair):
    ours, theirs = pair
    buffer = bytearray(10)

    def end():
        theirs.send(b"ab")
        theirs.close()

    results = run_all(lambda: ours.recv_into(buffer, 0, socket.MSG_WAITALL), end)
    assert (results[0], buffer[:2]) == (2, b"ab")


def test_dontwait_does_not_wait(udp):
    ours, theirs = udp
    buffer = bytearray(9)
    for call in (
        lambda: ours.recv(9, socket.MSG_DONTWAIT),
        lambda: ours.recv_into(buffer, 9, socket.MSG_DONTWAIT),
        lambda: ours.recvfrom(9, socket.MSG_DONTWAIT),
        lambda: ours.recvfrom_into(buffer, flags=socket.MSG_DONTWAIT),
        lambda: ours.recvmsg(9, 0, socket.MSG_DONTWAIT),
        lambda: ours.recvmsg_into([buffer], 0, socket.MSG_DONTWAIT),
    ):
        with pytest.raises(BlockingIOError):
            call()
    assert theirs.sendto(b"x", socket.MSG_DONTWAIT, ours.getsockname()) == 1
    assert ours.recv(9, socket.MSG_DONTWAIT) == b"x"


@pytest.mark.parametrize("send", ["send", "sendall", "sendmsg"])
def test_dontwait_does_not_wait_for_room(pair, send):
    ours, _ = pair
    fill(ours)
    arguments = {"sendmsg": ([b"x"], [], socket.MSG_DONTWAIT)}.get(
        send, (b"x", socket.MSG_DONTWAIT)
    )
    with pytest.raises(BlockingIOError):
        getattr(ours, send)(*arguments)


def test_the_type_may_say_that_the_socket_is_non_blocking():
    with socket.socket(type=socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as s:
        assert (s.type, s.gettimeout(), s.getblocking()) == (socket.SOCK_DGRAM, 0.0, False)
        with pytest.raises(BlockingIOError):
            s.recv(1)


def test_the_default_timeout_is_that_of_new_and_of_accepted_sockets(listener):
    socket.setdefaulttimeout(60)
    try:
        with socket.create_connection(listener.getsockname()) as client:
            accepted, _ = listener.accept()
            with accepted:
                assert (client.gettimeout(), accepted.gettimeout()) == (60.0, 60.0)
        assert listener.gettimeout() is None
    finally:
        socket.setdefaulttimeout(None)


def test_a_socket_that_was_never_opened_is_a_bad_descriptor():
    s = socket.socket.__new__(socket.socket)
    assert s.fileno() == -1
    for call in (lambda: s.recv(1), lambda: s.send(b"x"), lambda: s.setblocking(False)):
        assert errno_of(call) == errno.EBADF


def test_a_time_out_set_on_a_descriptor_closed_behind_our_back_is_an_error():
    with socket.socket() as s:
        os.close(s.fileno())
        assert errno_of(s.settimeout, 1) == errno.EBADF
        s.detach()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("operation", ["connect", "connect_ex", "sendto"])
def test_a_bad_address_is_the_same_error_for_a_name_and_a_number(host, operation):
    def call(*rest):
        with socket.socket(type=socket.SOCK_DGRAM) as s:
            arguments = (b"data",) if operation == "sendto" else ()
            getattr(s, operation)(*arguments, (host, *rest))

    with pytest.raises(OverflowError, match="port must be 0-65535"):
        call(99999)
    with pytest.raises(TypeError):
        call("80")
    with pytest.raises(TypeError):
        call()


def test_sendto_resolves_a_name(udp):
    _, theirs = udp
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        theirs.connect(s.getsockname())
        s.sendto(b"by name", ("localhost", theirs.getsockname()[1]))
        s.sendto(b"again", 0, ("localhost", theirs.getsockname()[1]))
    assert (theirs.recv(9), theirs.recv(9)) == (b"by name", b"again")


def test_flags_that_do_not_fit_are_an_error(pair):
    ours, _ = pair
    for call in (ours.recv, lambda *_: ours.send(b"x", 1 << 40)):
        with pytest.raises(OverflowError):
            call(1, 1 << 40)


def test_connecting_to_a_full_unix_listener_waits_for_room(tmp_path):
    path = str(tmp_path / "s")

    def client(number):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            s.send(b"%d" % number)

    def serve():
        got = []
        for _ in range(5):
            with listener.accept()[0] as connection:
                got.append(connection.recv(9))
        return sorted(got)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        results = run_all(*(lambda n=n: client(n) for n in range(5)), serve)
        assert results[-1] == [b"0", b"1", b"2", b"3", b"4"]
        with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
            first.connect(path)
            second.settimeout(0.01)
            with pytest.raises(TimeoutError, match="timed out"):
                second.connect(path)
            assert second.connect_ex(path) == errno.EAGAIN


# ---- closing, and those who wait -----------------------------------------------------------------


def connect_to_a_full_listener():
    """A socket whose connection stays pending, and what to close afterwards."""
    server = standard.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(0)
    others = [server]
    for _ in range(3):  # the kernel takes one or two more than it was told
        others.append(standard.socket())
        others[-1].setblocking(False)
        others[-1].connect_ex(server.getsockname())
    return socket.socket(), server.getsockname(), others


@pytest.fixture
def pending():
    """An unconnected socket and an address to which it connects without an answer."""
    s, address, others = connect_to_a_full_listener()
    with s:
        yield s, address
    for other in others:
        other.close()


def test_closing_wakes_the_one_who_connects(pending):
    s, address = pending
    assert run_all(lambda: errno_of(s.connect, address), s.close)[0] == errno.EBADF


def test_closing_is_what_connect_ex_returns(pending):
    s, address = pending
    assert run_all(lambda: s.connect_ex(address), s.close)[0] == errno.EBADF


def test_a_connection_that_takes_too_long(pending):
    s, address = pending
    s.settimeout(0.001)
    with pytest.raises(TimeoutError, match="timed out"):
        s.connect(address)
    assert s.connect_ex(address) == errno.EAGAIN
    s.setblocking(False)
    assert s.connect_ex(address) == errno.EALREADY
    with pytest.raises(BlockingIOError):
        s.connect(address)


def test_what_is_thrown_at_the_one_who_connects_is_not_returned_by_connect_ex(pending):
    s, address = pending

    def connect():
        with pytest.raises(TimeoutError, match="mine"):
            s.connect_ex(address)
        return "raised"

    results = []
    t = tasklet(lambda: results.append(connect()))()
    stackless.pump()
    assert t.blocked
    t.throw(TimeoutError("mine"))
    assert results == ["raised"]


@pytest.mark.parametrize("operation", ["send", "sendall", "sendmsg"])
def test_closing_wakes_the_one_who_sends(pair, operation):
    ours, _ = pair
    fill(ours)
    data = [b"x"] if operation == "sendmsg" else b"x"
    assert run_all(lambda: errno_of(getattr(ours, operation), data), ours.close)[0] == errno.EBADF


@pytest.mark.parametrize("operation", ["recv", "recvfrom", "recvmsg", "recv_into", "recvmsg_into"])
def test_closing_wakes_the_one_who_receives(udp, operation):
    ours, _ = udp
    argument = {"recv_into": bytearray(9), "recvmsg_into": [bytearray(9)]}.get(operation, 9)
    results = run_all(lambda: errno_of(getattr(ours, operation), argument), ours.close)
    assert results[0] == errno.EBADF


def test_a_socket_closed_before_its_time_out_is_closed_not_late(pair):
    ours, _ = pair
    ours.settimeout(60)
    assert run_all(lambda: errno_of(ours.recv, 1), ours.close)[0] == errno.EBADF
    assert stackless.statistics()["timers"] == 0


def test_a_socket_closed_by_the_one_whose_time_was_up(pair):
    ours, theirs = pair
    ours.settimeout(0.001)

    def impatient():
        with pytest.raises(TimeoutError), ours:
            ours.recv(1)

    def patient():
        theirs.settimeout(60)
        return theirs.recv(1)

    assert run_all(impatient, patient) == [None, b""]


def test_a_makefile_keeps_the_descriptor_open_for_those_who_wait(pair):
    ours, theirs = pair

    def read():
        with ours.makefile("rb") as file:
            return file.readline()

    def close_then_send():
        ours.close()
        theirs.send(b"late\n")

    assert run_all(read, close_then_send)[0] == b"late\n"
    assert ours.fileno() == -1


def test_detaching_wakes_the_one_who_waits(pair):
    ours, theirs = pair
    results = run_all(lambda: errno_of(ours.recv, 1), ours.detach)
    assert results[0] == errno.EBADF
    with socket.socket(fileno=results[1]) as again:
        theirs.send(b"x")
        assert again.recv(9) == b"x"


def test_a_shutdown_ends_a_wait(pair):
    ours, _ = pair
    assert run_all(lambda: ours.recv(9), lambda: ours.shutdown(socket.SHUT_RD))[0] == b""
    fill(ours)
    with pytest.raises(BrokenPipeError):
        run_all(lambda: ours.send(b"x"), lambda: ours.shutdown(socket.SHUT_WR))


def test_a_shut_down_listener_accepts_no_more(listener):
    results = run_all(
        lambda: errno_of(listener.accept), lambda: listener.shutdown(socket.SHUT_RDWR)
    )
    assert results[0] == errno.EINVAL


def test_a_descriptor_closed_by_the_garbage_collector_does_not_disturb_its_successor():
    def forget_one():
        first, second = socket.socketpair()
        with pytest.raises(TimeoutError), stackless.timeout(0.001):
            first.recv(1)
        return first.fileno(), second.fileno()

    with pytest.warns(ResourceWarning):
        numbers = forget_one()
    third, fourth = socket.socketpair()
    with third, fourth:
        assert third.fileno() in numbers
        assert run_all(lambda: third.recv(9), lambda: fourth.send(b"hello"))[0] == b"hello"


def test_a_wait_refused_by_a_trap_leaves_the_socket_usable(pair):
    ours, theirs = pair
    current = stackless.getcurrent()
    current.block_trap = True
    try:
        with pytest.raises(RuntimeError, match="does not like to be blocked"):
            ours.recv(1)
    finally:
        current.block_trap = False
    theirs.send(b"x")
    assert ours.recv(9) == b"x"
    assert run_all(lambda: ours.recv(9), lambda: theirs.send(b"y"))[0] == b"y"


def test_killing_the_one_who_resolves_leaves_nothing_behind(monkeypatch):
    asked, answer, ended = threading.Event(), threading.Event(), threading.Event()

    def resolve(*_arguments):
        asked.set()
        wait_for(answer)
        worker = threading.current_thread()
        start_thread(lambda: (worker.join(), ended.set()))
        return []

    monkeypatch.setattr(standard, "getaddrinfo", resolve)
    t = tasklet(socket.getaddrinfo)("name.example", 80)
    stackless.pump()
    wait_for(asked)
    assert t.blocked
    t.kill()
    answer.set()
    wait_for(ended)


def test_an_error_of_a_resolver_is_no_garbage(monkeypatch):
    def resolve(*_arguments):
        raise socket.gaierror("unknown")

    monkeypatch.setattr(standard, "getaddrinfo", resolve)
    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(socket.gaierror):
            socket.getaddrinfo("name.example", 80)
        wait_until(lambda: "stackless resolve" not in {t.name for t in threading.enumerate()})
        assert [o for o in gc.get_objects() if isinstance(o, socket.gaierror)] == []
    finally:
        gc.enable()


# ---- peers ---------------------------------------------------------------------------------------


def reset(sock):
    """Close with a reset instead of an end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_a_reset_wakes_a_writer(tcp):
    ours, theirs = tcp
    fill(ours)

    def write():
        with pytest.raises(ConnectionResetError):
            ours.sendall(b"x")
        return "reset"

    assert run_all(write, lambda: reset(theirs))[0] == "reset"


def test_one_byte_at_a_time(tcp):
    ours, theirs = tcp

    def dribble():
        for byte in b"bytes":
            theirs.send(bytes([byte]))
            stackless.schedule()
        theirs.shutdown(socket.SHUT_WR)

    def collect():
        got = []
        while data := ours.recv(100):
            got.append(data)
        return b"".join(got)

    assert run_all(collect, dribble)[0] == b"bytes"


def test_two_readers_of_one_socket_share_what_comes(udp):
    ours, theirs = udp
    got = []

    def read(name):
        got.append((name, ours.recv(9)))

    def send():
        theirs.send(b"1")
        stackless.sleep(0.001)
        theirs.send(b"2")

    run_all(lambda: read("first"), lambda: read("second"), send)
    assert got == [("first", b"1"), ("second", b"2")]


def test_two_writers_of_one_socket_both_get_through(pair):
    ours, theirs = pair
    data = {name: name * 1_000_000 for name in (b"a", b"b")}

    def read():
        left = 2_000_000
        seen = 0
        while left:
            chunk = theirs.recv(65536)
            left -= len(chunk)
            seen += chunk.count(b"a")
        return seen

    results = run_all(lambda: ours.sendall(data[b"a"]), lambda: ours.sendall(data[b"b"]), read)
    assert results[2] == 1_000_000


def test_two_acceptors_take_one_connection_each(listener):
    def accept():
        with listener.accept()[0] as connection:
            return connection.recv(9)

    def connect(data):
        with socket.create_connection(listener.getsockname()) as s:
            s.send(data)

    results = run_all(accept, accept, lambda: connect(b"x"), lambda: connect(b"y"))
    assert sorted(results[:2]) == [b"x", b"y"]


# ---- ways to send and receive --------------------------------------------------------------------


def test_recv_into_a_part_of_a_buffer(pair):
    ours, theirs = pair
    buffer = bytearray(b"--------")
    theirs.send(b"abcdef")
    assert ours.recv_into(memoryview(buffer)[2:], 3) == 3
    assert buffer == b"--abc---"
    with pytest.raises(ValueError, match="too small"):
        ours.recv_into(buffer, 9)
    with pytest.raises(ValueError, match="negative"):
        ours.recv_into(buffer, -1)
    with pytest.raises((BufferError, TypeError)):
        ours.recv_into(b"read-only")


def test_a_buffer_can_not_change_size_while_somebody_receives_into_it(pair):
    ours, theirs = pair
    buffer = bytearray(4)

    def grow():
        with pytest.raises(BufferError):
            buffer.append(0)
        theirs.send(b"x")

    assert run_all(lambda: ours.recv_into(buffer), grow)[0] == 1
    buffer.append(0)


def test_a_killed_receiver_lets_go_of_its_buffer(pair):
    ours, _ = pair
    buffer = bytearray(4)
    t = tasklet(ours.recv_into)(buffer)
    stackless.pump()
    t.kill()
    buffer.append(0)


def test_messages_scattered_over_buffers_wait_too(pair):
    ours, theirs = pair
    buffers = [bytearray(2), bytearray(9)]
    results = run_all(lambda: ours.recvmsg_into(buffers), lambda: theirs.sendmsg([b"abc", b"de"]))
    assert (results[0][0], buffers[0], buffers[1][:3]) == (5, b"ab", b"cde")


def test_an_iterator_of_buffers_outlives_the_wait(pair):
    ours, theirs = pair
    buffers = [bytearray(2), bytearray(9)]
    results = run_all(lambda: ours.recvmsg_into(iter(buffers)), lambda: theirs.send(b"abc"))
    assert (results[0][0], buffers[0], buffers[1][:1]) == (3, b"ab", b"c")
    fill(ours)

    def drain():
        while not theirs.recv(1 << 20).endswith(b"end"):
            pass

    assert run_all(lambda: ours.sendmsg(iter([b"en", b"d"]), iter([])), drain)[0] == 3


def test_a_passed_descriptor_is_waited_for(pair):
    ours, theirs = pair
    with open(os.devnull, "rb") as file:
        received = run_all(
            lambda: socket.recv_fds(ours, 9, 1),
            lambda: socket.send_fds(theirs, [b"x"], [file.fileno()]),
        )[0]
        data, numbers, *_ = received
        try:
            assert (data, os.fstat(numbers[0])) == (b"x", os.fstat(file.fileno()))
        finally:
            os.close(numbers[0])


def test_a_sending_message_waits_for_room(pair):
    ours, theirs = pair
    fill(ours)

    def drain():
        theirs.settimeout(60)
        while not theirs.recv(1 << 20).endswith(b"end"):
            pass
        return "drained"

    assert run_all(lambda: ours.sendmsg([b"en", b"d"]), drain) == [3, "drained"]


def test_sendfile_sends_a_part_and_leaves_the_position_behind_it(pair, tmp_path):
    ours, theirs = pair
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        assert ours.sendfile(file, 2, 5) == 5
        assert file.tell() == 7
    assert theirs.recv(99) == b"23456"
    ours.setblocking(False)
    with path.open("rb") as file, pytest.raises(ValueError, match="non-blocking"):
        ours.sendfile(file)


def test_a_makefile_in_both_directions_unbuffered_and_buffered(pair):
    ours, theirs = pair

    def answer():
        with theirs.makefile("rwb") as file:
            for line in file:
                file.write(line.upper())
                file.flush()
        theirs.shutdown(socket.SHUT_WR)

    def ask():
        with ours.makefile("rwb", buffering=0) as file:
            file.write(b"one\n")
            first = file.readline()
            ours.shutdown(socket.SHUT_WR)
            return first, file.read()

    assert run_all(answer, ask)[1] == (b"ONE\n", b"")


def test_a_makefile_whose_time_was_up_can_not_be_read_any_more(pair):
    ours, theirs = pair
    ours.settimeout(0.001)
    with ours.makefile("rb") as file:
        with pytest.raises(TimeoutError):
            file.read(1)
        theirs.send(b"x")
        with pytest.raises(OSError, match="cannot read from timed out object"):
            file.read(1)


# ---- threads, processes, signals -----------------------------------------------------------------


def test_a_socket_goes_from_thread_to_thread(pair):
    ours, theirs = pair

    def work():
        first = run_all(lambda: ours.recv(9), lambda: theirs.send(b"waited"))[0]
        return first, run_all(lambda: theirs.send(b"there"), lambda: ours.recv(9))[1]

    for _ in range(5):
        assert in_thread(work) == (b"waited", b"there")
    assert work() == (b"waited", b"there")


def test_two_threads_wait_on_one_socket_and_closing_wakes_both(pair):
    ours, _ = pair
    threads = [start_thread(errno_of, ours.recv, 1) for _ in range(2)]
    wait_until(lambda: len(stackless.getthreads()) == 3)
    for thread_id in stackless.getthreads()[1:]:
        main = stackless.get_thread_info(thread_id)[0]
        wait_until(lambda main=main: main.blocked)
    ours.close()
    assert [thread.join() for thread in threads] == [errno.EBADF] * 2


def test_one_thread_reads_and_another_writes(tcp):
    ours, theirs = tcp
    data = os.urandom(1_000_000)

    def echo():
        left = len(data)
        while left:
            chunk = theirs.recv(65536)
            theirs.sendall(chunk)
            left -= len(chunk)

    def read():
        chunks = []
        while sum(map(len, chunks)) < len(data):
            chunks.append(ours.recv(65536))
        return b"".join(chunks)

    threads = [start_thread(f) for f in (echo, read)]
    ours.sendall(data)
    assert [thread.join() for thread in threads] == [None, data]


def test_a_forked_child_waits_with_a_poller_of_its_own():
    lines = child_lines("""
    import os, stackless, sys
    from stackless import socket, tasklet

    pairs = {name: socket.socketpair() for name in ("parent", "child")}
    log = []

    def wait(name, number):
        log.append((name, number, pairs[name][0].recv(1)))

    for name in pairs:
        for number in range(2):
            tasklet(wait)(name, number)
    stackless.pump()
    turn, pass_on = os.pipe()
    pid = os.fork()
    me = "parent" if pid else "child"
    # Each process serves its own half, while the other one does not look; the rest stays waiting.
    if not pid:
        os.read(turn, 1)
    for _ in range(2):
        pairs[me][1].send(b"x")
        stackless.pump(max_wait=None)
    if pid:
        os.write(pass_on, b"!")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    first, second = socket.socketpair()
    tasklet(second.send)(b"new")
    new = first.recv(9)
    again = pairs[me][0]
    tasklet(pairs[me][1].send)(b"again")
    print(me, sorted(log), new, again.recv(9), stackless.statistics()["io_waiters"], flush=True)
    os._exit(0)
    """)
    assert lines == [
        f"{me} [('{me}', 0, b'x'), ('{me}', 1, b'x')] b'new' b'again' 2"
        for me in ("child", "parent")
    ]


@pytest.fixture
def interruptible():
    """The default handling of Ctrl-C."""
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, old)


@pytest.mark.parametrize("by", ["thread", "timer"])
def test_ctrl_c_gets_out_of_a_run_that_waits_for_sockets(pair, interruptible, by):
    ours, theirs = pair
    got = []
    t = tasklet(lambda: got.append(ours.recv(9)))()
    thread = None
    if by == "thread":

        def interrupt():
            wait_until(lambda: t.blocked)
            signal.raise_signal(signal.SIGINT)

        thread = start_thread(interrupt)
        with pytest.raises(KeyboardInterrupt):
            stackless.run()
        thread.join()
    else:
        old = signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            with pytest.raises(KeyboardInterrupt):
                stackless.run()
        finally:
            signal.signal(signal.SIGALRM, old)
    assert (t.blocked, got) == (True, [])
    theirs.send(b"still here")
    stackless.run()
    assert got == [b"still here"[:9]]


def test_a_handler_that_returns_lets_the_wait_for_a_socket_go_on(pair):
    ours, theirs = pair
    old = signal.signal(signal.SIGALRM, lambda *_: theirs.send(b"from the handler"))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        assert ours.recv(99) == b"from the handler"
    finally:
        signal.signal(signal.SIGALRM, old)


# ---- no descriptors left -------------------------------------------------------------------------


def test_a_server_without_descriptors_goes_on_when_there_are_some_again(listener):
    served = []
    errors = []

    def serve():
        while len(served) < 2:
            try:
                connection, _ = listener.accept()
            except OSError as error:
                errors.append(error.errno)
                stackless.sleep(0.001)
                continue
            with connection:
                served.append(connection.recv(9))

    def client(number):
        clients[number].connect(listener.getsockname())
        clients[number].send(b"%d" % number)

    clients = [socket.socket() for _ in range(2)]
    tasklet(serve)()
    stackless.pump()
    with no_descriptors():
        for number in range(2):
            tasklet(client)(number)
        while not errors:
            stackless.pump(max_wait=60)
        assert served == []
    stackless.run()
    assert (sorted(served), set(errors)) == ([b"0", b"1"], {errno.EMFILE})
    for s in clients:
        s.close()


def test_a_thread_that_can_not_open_its_poller_says_so_and_loses_nothing(pair):
    ours, theirs = pair

    def work():
        with no_descriptors():
            first = errno_of(ours.recv, 9)
            t = tasklet(errno_of)(ours.recv, 9)
            stackless.run()
            alive = t.alive
        return first, alive, run_all(lambda: ours.recv(9), lambda: theirs.send(b"kept"))[0]

    assert in_thread(work) == (errno.EMFILE, False, b"kept")


# Ciphers without certificates: what is tested is who waits, not who is trusted.
TLS = """
import socket as standard
import sys, threading
import stackless, stackless.socket
if {replaced}:
    sys.modules["socket"] = stackless.socket
import socket, ssl, stackless

def context(kind):
    made = ssl.SSLContext(kind)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers("aNULL:@SECLEVEL=0")
    return made

def serve():
    connection, _ = listener.accept()
    turn.wait()
    with server.wrap_socket(connection, server_side=True) as secure:
        received = secure.recv(100)
        turn.wait(0.05)
        secure.sendall(received.upper())

def ask():
    raw = stackless.socket.create_connection(listener.getsockname())
    raw.settimeout({timeout})
    threading.Timer(0.05, turn.set).start()  # the client waits in its handshake by then
    with client.wrap_socket(raw) as secure:
        print(secure.gettimeout())
        secure.sendall(b"hello")
        print(secure.recv(100))

server, client = context(ssl.PROTOCOL_TLS_SERVER), context(ssl.PROTOCOL_TLS_CLIENT)
turn = threading.Event()
listener = standard.create_server(("127.0.0.1", 0))
thread = threading.Thread(target=serve)
thread.start()
if {in_tasklet}:
    stackless.tasklet(ask)()
    stackless.run()
else:
    ask()
thread.join()
listener.close()
"""


@pytest.mark.parametrize("replaced", [False, True], ids=["as it is", "replaced in sys.modules"])
@pytest.mark.parametrize("in_tasklet", [False, True], ids=["main", "tasklet"])
@pytest.mark.parametrize("timeout", [None, 60.0])
def test_tls_over_our_sockets_works_though_it_blocks_the_thread(replaced, in_tasklet, timeout):
    pytest.importorskip("ssl")
    source = TLS.format(replaced=replaced, in_tasklet=in_tasklet, timeout=timeout)
    assert child_lines(source) == [str(timeout), "b'HELLO'"]
