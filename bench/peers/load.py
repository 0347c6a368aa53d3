"""The same as load.c, for machines without a C compiler."""

import re
import resource
import select
import signal
import socket
import struct
import sys

TIME_LIMIT = 300
PATIENCE = 30
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
ANSWER_END = b"hello"


def connect_to(port):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Reset at the end: ten thousand ports in TIME_WAIT would be missing in the next round.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return connection


def converse(poller, by_descriptor, awaited, more):
    """Receive answers, and send another request for each while some of `more` are left."""
    while awaited > 0:
        events = poller.poll(PATIENCE)
        if not events:
            sys.exit("no answer")
        for descriptor, _ in events:
            connection = by_descriptor[descriptor]
            data = connection.recv(4096)
            if not data:
                sys.exit("the server hung up")
            if not data.endswith(ANSWER_END):
                continue  # the rest is yet to come
            awaited -= 1
            if more > 0:
                more -= 1
                connection.sendall(REQUEST)


def main():
    port, connections = int(sys.argv[1]), int(sys.argv[2])
    signal.alarm(TIME_LIMIT)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    poller = select.epoll()
    by_descriptor = {}
    for i in range(connections):
        connection = connect_to(port)
        by_descriptor[connection.fileno()] = connection
        poller.register(connection, select.EPOLLIN)
        connection.sendall(REQUEST)
        if i % 100 == 99 or i + 1 == connections:
            converse(poller, by_descriptor, i % 100 + 1, 0)
    print("ready", flush=True)

    for line in sys.stdin:
        requests = int(re.fullmatch(r"go (\d+)\n", line)[1])
        first = min(requests, connections)
        for connection in list(by_descriptor.values())[:first]:
            connection.sendall(REQUEST)
        converse(poller, by_descriptor, requests, requests - first)
        print("done", flush=True)


main()
