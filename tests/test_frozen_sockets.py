"""Tasklets that are frozen while they wait for a socket, and that nothing shows it."""

from __future__ import annotations

import contextlib
import errno
import gc
import pickle
import struct
import threading

import pytest
import stackless
from stackless import channel, snapshot, socket, tasklet
from support import child_lines, frame_names, in_thread

LARGE = 300_000  # more than recv() receives without a buffer of its own


@pytest.fixture(autouse=True)
def freeze():
    """Every switch freezes what can be frozen."""
    before = stackless.set_stack_budget(0)
    yield
    stackless.set_stack_budget(before)


def counts():
    statistics = stackless.statistics()
    return statistics["mounted"], statistics["frozen"]


def park(function, *args):
    """Start a tasklet that waits in function(*args), frozen; return it and its results."""
    results = []

    def call():
        results.append(function(*args))

    t = tasklet(call)()
    stackless.pump()
    assert (counts(), t.blocked, results) == ((0, 1), True, [])
    assert (stackless.why_pinned(t), t.restorable) == (None, True)
    return t, results


def error_of(function, *args):
    """The exception that function(*args) has to raise."""
    with pytest.raises(BaseException) as caught:
        function(*args)
    return caught.value


def fill(sock):
    """Send until the other end and the kernel take no more."""
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.send(bytes(65536), socket.MSG_DONTWAIT)


def drain(sock):
    """Receive all there is, without waiting."""
    data = b""
    with contextlib.suppress(BlockingIOError):
        while part := sock.recv(1 << 20, socket.MSG_DONTWAIT):
            data += part
    return data


# ---- every method --------------------------------------------------------------------------------


def into(receive):
    """Have receive(buffer) fill a buffer; return what it says and the buffer."""
    buffer = bytearray(8)
    return receive(buffer), bytes(buffer)


RECEIVERS = {
    "recv": (lambda s: s.recv(8), b"data"),
    "recv, with flags": (lambda s: s.recv(8, 0), b"data"),
    "recv of much": (lambda s: s.recv(LARGE), b"data"),
    "recv of all": (lambda s: s.recv(4, socket.MSG_WAITALL), b"data"),
    "recv_into": (lambda s: into(lambda b: s.recv_into(b)), (4, b"data\0\0\0\0")),
    "recv_into, by names": (
        lambda s: into(lambda b: s.recv_into(nbytes=2, flags=0, buffer=b)),
        (2, b"da\0\0\0\0\0\0"),
    ),
    "recvfrom": (lambda s: s.recvfrom(8)[0], b"data"),
    "recvfrom_into": (lambda s: into(lambda b: s.recvfrom_into(b)[0]), (4, b"data\0\0\0\0")),
    "recvmsg": (lambda s: s.recvmsg(8)[0], b"data"),
    "recvmsg_into": (lambda s: into(lambda b: s.recvmsg_into(iter([b]))[0]), (4, b"data\0\0\0\0")),
}


@pytest.mark.parametrize(("receive", "expected"), RECEIVERS.values(), ids=RECEIVERS)
def test_what_comes_thaws_the_receiver(pair, receive, expected):
    ours, theirs = pair
    _, results = park(receive, ours)
    theirs.send(b"data")
    stackless.run()
    assert results == [expected]


@pytest.mark.parametrize(("receive", "_"), RECEIVERS.values(), ids=RECEIVERS)
def test_the_end_of_the_stream_thaws_the_receiver(pair, receive, _):
    ours, theirs = pair
    _, results = park(receive, ours)
    theirs.close()
    stackless.run()
    assert results in ([b""], [(0, bytes(8))])


@pytest.mark.parametrize(("receive", "_"), RECEIVERS.values(), ids=RECEIVERS)
def test_closing_thaws_the_receiver(pair, receive, _):
    ours, _ = pair
    _, results = park(error_of, receive, ours)
    ours.close()
    stackless.run()
    assert [error.errno for error in results] == [errno.EBADF]


@pytest.mark.parametrize(("receive", "_"), RECEIVERS.values(), ids=RECEIVERS)
def test_a_timeout_thaws_the_receiver(pair, receive, _):
    ours, _ = pair
    ours.settimeout(0.01)
    _, results = park(error_of, receive, ours)
    stackless.run()
    assert [(type(error), str(error)) for error in results] == [(TimeoutError, "timed out")]


@pytest.mark.parametrize(("receive", "expected"), RECEIVERS.values(), ids=RECEIVERS)
def test_a_receiver_that_wakes_for_nothing_waits_on(pair, receive, expected):
    ours, theirs = pair
    taken = []

    def take(number):
        while len(taken) < number:
            taken.append(ours.recv(1))

    park(take, 3)
    thaws = stackless.statistics()["thaws"]
    results = []
    tasklet(lambda: results.append(receive(ours)))()
    for byte in (b"a", b"b", b"c"):
        stackless.pump()
        theirs.send(byte)
    stackless.pump()
    assert (counts(), taken, results) == ((0, 1), [b"a", b"b", b"c"], [])
    assert stackless.statistics()["thaws"] - thaws == 6
    theirs.send(b"data")
    stackless.run()
    assert results == [expected]


SENDERS = {
    "send": (lambda s: s.send(b"end"), 3),
    "send, with flags": (lambda s: s.send(b"end", 0), 3),
    "sendall": (lambda s: s.sendall(b"end"), None),
    "sendmsg": (lambda s: s.sendmsg(iter([b"en", b"d"])), 3),
}


@pytest.mark.parametrize(("send", "expected"), SENDERS.values(), ids=SENDERS)
def test_room_thaws_the_sender(pair, send, expected):
    ours, theirs = pair
    fill(ours)
    _, results = park(send, ours)
    received = drain(theirs)
    stackless.run()
    assert results == [expected]
    assert (received + drain(theirs)).endswith(b"\0end")


@pytest.mark.parametrize(("send", "_"), SENDERS.values(), ids=SENDERS)
def test_closing_thaws_the_sender(pair, send, _):
    ours, _ = pair
    fill(ours)
    _, results = park(error_of, send, ours)
    ours.close()
    stackless.run()
    assert [error.errno for error in results] == [errno.EBADF]


def test_a_datagram_waits_for_room(tmp_path):
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
    ):
        address = str(tmp_path / "receiver")
        receiver.bind(address)
        sender.connect(address)  # else nothing tells when there is room
        sender.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                sender.sendto(b"x", address)
        sender.setblocking(True)
        for send in (
            lambda: sender.sendto(b"last", address),
            lambda: sender.sendto(b"last", 0, address),
        ):
            _, results = park(send)
            receiver.recv(8)
            stackless.run()
            assert results == [4]


def test_a_connection_thaws_the_acceptor(listener):
    _, results = park(listener.accept)
    with socket.socket() as client:
        client.connect(listener.getsockname())
        stackless.run()
        ((accepted, address),) = results
        with accepted:
            assert address == client.getsockname()
            client.send(b"data")
            assert accepted.recv(8) == b"data"


def test_a_method_without_operands(listener):
    accept = listener._accept
    _, results = park(lambda: accept())
    with socket.create_connection(listener.getsockname()):
        stackless.run()
    socket.socket(fileno=results[0][0]).close()


@pytest.fixture
def backlog(tmp_path):
    """A listener whose backlog is full, the sockets in there, and one that wants to connect."""
    path = str(tmp_path / "listener")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(path)
        server.listen(0)
        first = stack.enter_context(socket.socket(socket.AF_UNIX))
        first.connect(path)
        yield server, path, stack.enter_context(socket.socket(socket.AF_UNIX))


@pytest.mark.parametrize(("method", "expected"), [("connect", None), ("connect_ex", 0)])
def test_room_in_the_backlog_thaws_the_one_who_connects(backlog, method, expected):
    server, path, client = backlog
    _, results = park(lambda: getattr(client, method)(path))
    with server.accept()[0]:
        stackless.run()
        assert results == [expected]
        with server.accept()[0] as accepted:
            accepted.send(b"data")
            assert client.recv(8) == b"data"


def test_a_full_backlog_and_a_timeout(backlog):
    _, path, client = backlog
    client.settimeout(0.02)
    _, results = park(lambda: error_of(lambda: client.connect(path)))
    stackless.run()
    assert [type(error) for error in results] == [TimeoutError]


@pytest.fixture
def unanswered():
    """The address of a listener that takes no more connections, and how to have it take one."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # the kernel takes one or two more than it was told
            other = stack.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(server.getsockname())
        yield server.getsockname(), stack.enter_context(socket.socket())


def test_a_connection_that_takes_too_long(unanswered):
    address, client = unanswered
    client.settimeout(0.01)
    _, results = park(lambda: error_of(lambda: client.connect(address)))
    stackless.run()
    _, codes = park(lambda: client.connect_ex(address))
    stackless.run()
    assert [(type(error), str(error)) for error in results] == [(TimeoutError, "timed out")]
    assert codes == [errno.EAGAIN]


def test_closing_thaws_the_one_who_connects(unanswered):
    address, client = unanswered
    _, results = park(lambda: client.connect_ex(address))
    client.close()
    stackless.run()
    assert results == [errno.EBADF]


def test_a_refused_connection_thaws_the_one_who_connects(unanswered):
    address, client = unanswered
    _, results = park(lambda: error_of(lambda: client.connect(address)))
    client.shutdown(socket.SHUT_RDWR)
    stackless.run()
    assert [isinstance(error, ConnectionError) for error in results] == [True]


def test_a_reset_thaws_the_receiver(listener):
    client = socket.create_connection(listener.getsockname())
    with listener.accept()[0] as server:
        _, results = park(error_of, lambda: server.recv(8))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        stackless.run()
    assert [type(error) for error in results] == [ConnectionResetError]


# ---- what a call keeps ---------------------------------------------------------------------------


def test_a_large_message_goes_on_where_it_stood(pair):
    ours, theirs = pair
    message = b"".join(struct.pack("I", number) for number in range(1_000_000))
    freezes = stackless.statistics()["freezes"]
    _, sent = park(lambda: ours.sendall(message))
    received = bytearray()
    while len(received) < len(message):
        received += drain(theirs)
        stackless.pump()
    assert bytes(received) == message
    assert sent == [None]
    assert stackless.statistics()["freezes"] - freezes > 3


@pytest.mark.parametrize("size", [10, LARGE])
def test_waitall_goes_on_where_it_stood(pair, size):
    ours, theirs = pair
    message = bytes(range(10)) * (size // 10)
    t, results = park(lambda: ours.recv(size, socket.MSG_WAITALL))
    for start in range(0, size, size // 5):
        assert (counts(), results) == ((0, 1), [])
        theirs.sendall(message[start : start + size // 5])
        stackless.pump()
    assert results == [message]
    assert not t.alive


def test_a_timeout_runs_on_while_the_tasklet_wakes_for_nothing(pair):
    ours, theirs = pair

    def take():
        while True:
            ours.recv(1)

    taker, _ = park(take)
    ours.settimeout(0.02)
    results = []
    t = tasklet(lambda: results.append(error_of(lambda: ours.recv(8))))()
    stackless.pump()
    while t.alive:
        theirs.send(b"x")
        stackless.sleep(0.001)
    assert [type(error) for error in results] == [TimeoutError]
    taker.kill()


def test_a_time_out_set_meanwhile_is_for_the_next_call(pair):
    ours, theirs = pair
    t, results = park(lambda: (ours.recv(8), error_of(lambda: ours.recv(8))))
    ours.settimeout(0.001)
    stackless.sleep(0.01)
    assert (counts(), t.blocked) == ((0, 1), True)
    theirs.send(b"data")
    stackless.run()
    assert [(data, type(error)) for data, error in results] == [(b"data", TimeoutError)]


def test_a_buffer_can_not_change_size_while_its_receiver_is_frozen(pair):
    ours, theirs = pair
    buffer = bytearray(4)
    _, results = park(lambda: ours.recv_into(buffer))
    with pytest.raises(BufferError):
        buffer.append(0)
    gc.collect()
    theirs.send(b"data")
    stackless.run()
    assert results == [4]
    buffer.append(0)


def test_an_argument_is_looked_at_once(pair):
    ours, theirs = pair
    asked = []

    class Number:
        def __index__(self):
            asked.append(self)
            return LARGE // len(asked)

    number = Number()
    _, results = park(lambda: ours.recv(number))
    theirs.send(b"data")
    stackless.run()
    assert (results, len(asked)) == ([b"data"], 1)


def test_names_of_arguments_after_hundreds_of_constants(pair):
    ours, theirs = pair
    names = {}
    constants = ", ".join(f"str({number})" for number in range(300))
    exec(f"def receive(s, b):\n [{constants}]\n return s.recv_into(b, nbytes=2)", names)
    buffer = bytearray(4)
    _, results = park(lambda: names["receive"](ours, buffer))
    theirs.send(b"data")
    stackless.run()
    assert (results, buffer) == ([2], b"da\0\0")


def test_values_in_the_middle_of_an_expression(pair):
    ours, theirs = pair
    _, results = park(lambda: [1, [ours.recv(1), 2, ours.recv(1)], *map(str, range(3))])
    theirs.send(b"ab")
    stackless.run()
    assert results == [[1, [b"a", 2, b"b"], "0", "1", "2"]]


def test_c_code_beneath_the_wait(pair):
    ours, theirs = pair

    class Message:
        def __init__(self, sock):
            self.data = sock.recv(8)

        @property
        def more(self):
            return ours.recv(8)

    _, results = park(lambda: (lambda m: (m.data, m.more))(Message(ours)))
    theirs.send(b"data")
    stackless.pump()
    assert (counts(), results) == ((0, 1), [])
    theirs.send(b"more")
    stackless.run()
    assert results == [(b"data", b"more")]


def test_a_generator_that_receives(pair):
    ours, theirs = pair

    def parts():
        while part := ours.recv(1):
            yield part

    results = []

    def collect():
        for part in parts():
            results.append(part)

    tasklet(collect)()
    for byte in (b"a", b"b"):
        stackless.pump()
        theirs.send(byte)
    theirs.close()
    stackless.run()
    assert results == [b"a", b"b"]


# ---- what interrupts it --------------------------------------------------------------------------


def test_what_is_thrown_at_a_frozen_receiver_is_raised_there(pair):
    ours, theirs = pair
    buffer = bytearray(4)

    def receive():
        return ours.recv_into(buffer)

    t, results = park(error_of, receive)
    t.throw(KeyError("thrown"))
    assert [str(error) for error in results] == ["'thrown'"]
    assert frame_names(results[0])[-1] == "receive"
    buffer.append(0)
    theirs.send(b"data")
    assert ours.recv(8) == b"data"


def test_a_killed_sender_lets_go_of_its_buffer(pair):
    ours, _ = pair
    fill(ours)
    data = bytearray(b"data")
    t, results = park(lambda: ours.sendall(data))
    t.kill()
    assert not t.alive
    assert results == []
    data.append(0)


def test_a_timeout_block_ends_the_wait_of_a_frozen_receiver(pair):
    ours, theirs = pair

    def receive():
        try:
            with stackless.timeout(0.01):
                return ours.recv(8)
        except TimeoutError:
            return ours.recv(8)

    t, results = park(receive)
    stackless.sleep(0.02)
    assert (counts(), t.blocked, results) == ((0, 1), True, [])
    theirs.send(b"data")
    stackless.run()
    assert results == [b"data"]


def test_a_paused_receiver_that_nobody_holds_is_ended(pair):
    ours, _ = pair
    buffer = bytearray(4)
    log = []

    def receive():
        try:
            ours.recv_into(buffer)
        finally:
            log.append("ended")

    t, _ = park(receive)
    ours.close()
    t.remove()
    with pytest.raises(BufferError):
        buffer.append(0)
    del t
    gc.collect()
    assert log == ["ended"]
    buffer.append(0)


def test_a_paused_receiver_that_is_bound_anew_lets_go_of_its_buffer(pair):
    ours, _ = pair
    buffer = bytearray(4)
    t, results = park(lambda: ours.recv_into(buffer))
    ours.close()
    t.remove()
    t.bind(results.append, ("bound",))
    buffer.append(0)
    t.run()
    assert results == ["bound"]


def test_a_paused_receiver_goes_on(pair):
    ours, _ = pair
    t, results = park(error_of, lambda: ours.recv(8))
    ours.close()
    t.remove()
    stackless.run()
    assert results == []
    t.run()
    assert [error.errno for error in results] == [errno.EBADF]


def test_a_profiler_set_while_the_tasklet_is_frozen_sees_one_call(pair):
    ours, theirs = pair
    events = []

    def receive():
        return ours.recv(8)

    def profile(frame, event, argument):
        if frame.f_code is receive.__code__:
            events.append((event, getattr(argument, "__name__", argument)))

    t, results = park(receive)
    t.profile_function = profile
    theirs.send(b"data")
    stackless.run()
    assert results == [b"data"]
    assert events == [("c_call", "recv"), ("c_return", "recv"), ("return", b"data")]


# ---- threads and processes -----------------------------------------------------------------------


def test_a_frozen_receiver_moves_to_another_thread(pair):
    ours, theirs = pair
    t, results = park(lambda: (ours.recv(8), threading.get_ident()))

    def body():
        t.bind_thread()
        stackless.pump()
        assert t.blocked
        theirs.send(b"data")
        stackless.run()
        return threading.get_ident()

    assert results == [(b"data", in_thread(body))]


def test_a_frozen_sender_that_somebody_holds_outlives_its_thread(pair):
    ours, theirs = pair
    message = bytes(range(256)) * 10_000
    t = in_thread(lambda: park(lambda: ours.sendall(message))[0])
    received = drain(theirs)
    assert t.alive is False
    t.bind_thread()
    t.insert()
    while t.alive:
        stackless.pump()
        received += drain(theirs)
    assert received == message


def test_a_receiver_that_nobody_holds_ends_with_its_thread(pair):
    ours, _ = pair
    log = []

    def receive():
        try:
            ours.recv(8)
        finally:
            log.append(threading.get_ident())

    def body():
        park(receive)
        return threading.get_ident()

    assert log == [in_thread(body)]


def test_frozen_receivers_go_on_in_both_processes():
    assert child_lines("""
        import os
        import stackless
        from stackless import socket, tasklet

        stackless.set_stack_budget(0)
        pairs = [socket.socketpair() for _ in range(2)]

        def wait(ours):
            return ours.recv(8)

        results = [[], []]
        for (ours, _), result in zip(pairs, results):
            tasklet(lambda ours=ours, result=result: result.append(wait(ours)))()
        stackless.pump()
        assert stackless.statistics()["frozen"] == 2
        child = os.fork()
        mine = 0 if child else 1
        pairs[mine][1].send(b"parent" if child else b"child")
        while not results[mine]:
            stackless.schedule() or stackless.pump(0.01)
        if child:
            os.waitpid(child, 0)
        print(results, stackless.statistics()["frozen"], flush=True)
        os._exit(0)
    """) == ["[[], [b'child']] 1", "[[b'parent'], []] 1"]


# ---- what stays pinned, what can't be pickled ----------------------------------------------------


def pinned(function):
    """Why a tasklet is pinned that waits in function()."""
    t = tasklet(function)()
    stackless.pump()
    assert (counts(), t.blocked) == ((1, 0), True)
    reason = stackless.why_pinned(t)
    t.kill()
    return reason


def test_a_buffered_file_keeps_its_reader_on_the_stack(pair):
    ours, _ = pair
    with ours.makefile("rb") as file:

        def read():
            return file.readline()

        line = read.__code__.co_firstlineno + 1
        assert pinned(read) == (
            "C code is in the way: BufferedReader.readline, "
            f"called at {__file__}:{line} in {read.__qualname__}"
        )


def test_an_unbuffered_file_does_not(pair):
    ours, theirs = pair
    with ours.makefile("rb", buffering=0) as file:
        buffer = bytearray(8)
        _, results = park(lambda: file.readinto(buffer))
        theirs.send(b"data")
        stackless.run()
        assert (results, buffer) == ([4], b"data\0\0\0\0")


def test_arguments_in_a_tuple_keep_the_call_on_the_stack(pair):
    ours, _ = pair
    arguments = (8,)
    assert pinned(lambda: ours.recv(*arguments)) == (
        "it waits in recv(), which keeps something on the C stack"
    )


def test_an_argument_that_waits_itself_keeps_the_call_on_the_stack(pair):
    ours, theirs = pair
    gate = channel()

    class Number:
        __index__ = gate.receive

    number, results = Number(), []
    t = tasklet(lambda: results.append(ours.recv(number)))()
    stackless.run()
    assert counts() == (1, 0)
    reason = stackless.why_pinned(t)
    assert reason.startswith("C code is in the way: Socket.recv, called at")
    theirs.send(b"data")
    gate.send(2)
    stackless.run()
    assert results == [b"da"]


def test_the_wait_for_a_socket_can_not_be_pickled(pair):
    ours, theirs = pair

    def receive():
        return ours.recv(8)

    t, results = park(receive)
    line = receive.__code__.co_firstlineno + 1
    message = f"cannot pickle a tasklet that waits for a socket at {__file__}:{line} in .*receive"
    with pytest.raises(TypeError, match=message):
        pickle.dumps(t)
    with pytest.raises(pickle.PicklingError, match=r"list → \[0\] → tasklet .*: " + message):
        snapshot.dumps([t])
    theirs.send(b"data")
    stackless.run()
    assert results == [b"data"]


def test_what_the_call_keeps_is_part_of_what_a_frozen_one_weighs(pair):
    ours, theirs = pair
    gate = channel()

    def weight(function):
        before = stackless.statistics()["frozen_bytes"]
        t = tasklet(function)()
        stackless.pump()
        assert stackless.why_pinned(t) is None
        return stackless.statistics()["frozen_bytes"] - before

    assert weight(lambda: ours.recv(8)) > weight(lambda: gate.send(8)) > 0
    theirs.send(b"data")
    gate.receive()
    stackless.run()
