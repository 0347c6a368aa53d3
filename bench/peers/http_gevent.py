"""HTTP hello on gevent's raw StreamServer, one greenlet for each connection."""

import socket

import hello
from gevent.server import StreamServer


def handle(connection, address):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    hello.serve(connection)


hello.prepare()
server = StreamServer(("127.0.0.1", 0), handle, backlog=hello.BACKLOG, spawn="default")
server.start()
hello.announce(server.server_port)
server.serve_forever()
