"""HTTP hello, one tasklet for each connection, in straight-line code."""

import hello
import stackless
from stackless import socket


def accept_all(listener):
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stackless.tasklet(hello.serve)(connection)


hello.prepare()
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(hello.BACKLOG)
stackless.tasklet(accept_all)(listener)
hello.announce(listener.getsockname()[1])
stackless.run()
