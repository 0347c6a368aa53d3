"""An echo server: one tasklet for each connection, straight-line code in each.

usage: python echo_server.py [PORT]
"""

import sys

import stackless
from stackless import socket


def serve(port):
    with socket.create_server(("127.0.0.1", port)) as listener:
        print("listening on port", listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            stackless.tasklet(echo)(connection)


def echo(connection):
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)


stackless.tasklet(serve)(int(sys.argv[1]) if len(sys.argv) > 1 else 7007)
stackless.run()
