"""HTTP hello: the request handling that all servers share."""

import resource

END = b"\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
BACKLOG = 4096


class Requests:
    """Finds the ends of requests in what arrives, in whatever pieces it arrives."""

    __slots__ = ("rest",)

    def __init__(self):
        self.rest = b""

    def responses(self, data):
        """Return what to send now that `data` has arrived; empty if no request is complete."""
        if self.rest:
            data = self.rest + data
        if data.endswith(END):
            self.rest = b""
            return RESPONSE * data.count(END)
        complete, end, self.rest = data.rpartition(END)
        return RESPONSE * (complete + end).count(END)


def serve(connection):
    """Serve one connection until the client hangs up, on any blocking socket."""
    requests = Requests()
    try:
        while data := connection.recv(65536):
            if answer := requests.responses(data):
                connection.sendall(answer)
    except OSError:
        pass
    finally:
        connection.close()


def prepare():
    """Make the process fit for the job, each server's alike.

    asyncio receives into 256 KiB at a time, which glibc's malloc() maps and unmaps for every
    request until the program has once freed a block that large. Whether it has is chance (its
    imports decide), and costs or saves asyncio a factor of three; here all have.
    """
    bytes(1 << 20)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def announce(port):
    """Tell the harness where we listen."""
    print(port, flush=True)
