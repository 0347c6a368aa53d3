"""The standard library's socket module with sockets whose waits block one tasklet only.

A drop-in: everything in ``socket`` is here too, and ``socket`` itself is a subclass of the standard
one. Blocking operations (connect, accept, send*, recv*) let the other tasklets of the thread run
while they wait; time-outs, ``makefile``, context managers and errors are the standard ones. Closing
a socket wakes whoever waits on it with OSError (EBADF). Names are resolved in a helper thread.
"""

from __future__ import annotations

import contextlib as _contextlib
import socket as _standard
import threading as _threading
import types as _types

from stackless._stackless import Socket as _Socket
from stackless._stackless import _Reply

# ssl derives its socket from the one that it finds as it is imported, and its C part reads the
# timeout that the standard class keeps, which ours leaves at 0: each wait would end in
# SSLWantReadError. So it finds the standard class, even if this module is in socket's place in
# sys.modules later: TLS blocks the whole thread, but works.
with _contextlib.suppress(ImportError):
    import ssl as _  # noqa: F401

__all__ = list(_standard.__all__)


def _with_our_names(value):
    """Return `value`, or if it is a function a copy of it that finds our names."""
    if not isinstance(value, _types.FunctionType):
        return value
    copy = _types.FunctionType(
        value.__code__, globals(), value.__name__, value.__defaults__, value.__closure__
    )
    copy.__kwdefaults__ = value.__kwdefaults__
    copy.__doc__ = value.__doc__
    return copy


# Everything, not what a star gives: programs use SocketIO, EAGAIN, and so do the copies. Ours below
# come over it.
globals().update(
    (name, _with_our_names(value))
    for name, value in vars(_standard).items()
    if not name.startswith("__")
)


class socket(_Socket):
    """A stream or datagram socket; see the standard ``socket.socket``.

    Its blocking operations block the calling tasklet, and no other.
    """

    __slots__ = ()

    def accept(self):
        """Wait for a connection and return (socket, address)."""
        fd, address = self._accept()
        connection = socket(self.family, self.type, self.proto, fileno=fd)
        return connection, address

    def connect(self, address):
        """Connect to `address`, as the standard socket does."""
        super().connect(_resolved(self, address))

    def connect_ex(self, address):
        """Connect to `address` and return an errno value instead of raising OSError."""
        return super().connect_ex(_resolved(self, address))

    def sendto(self, *arguments):
        """Send data, with flags before the address if need be, as the standard socket does."""
        # Not by f(*arguments), in which a tasklet can't be frozen.
        if len(arguments) == 2:
            data, address = arguments
            return super().sendto(data, _resolved(self, address))
        if len(arguments) == 3:
            data, flags, address = arguments
            return super().sendto(data, flags, _resolved(self, address))
        return super().sendto(*arguments)

    def sendfile(self, file, offset=0, count=None):
        """Send a file opened in binary mode; return the number of bytes sent."""
        # Neither standard way will do: os.sendfile() would have the whole thread wait for the
        # descriptor, and the one that reads and sends leaves the file where it has read to if
        # nothing could be sent.
        self._check_sendfile_params(file, offset, count)
        if self.gettimeout() == 0:
            raise ValueError("non-blocking sockets are not supported")
        if offset:
            file.seek(offset)
        seekable = hasattr(file, "seek") and hasattr(file, "tell")
        start = file.tell() if seekable else 0
        sent = 0
        try:
            while count is None or sent < count:
                data = file.read(_BLOCK if count is None else min(_BLOCK, count - sent))
                if not data:
                    break
                rest = memoryview(data)
                while rest:
                    done = self.send(rest)
                    sent += done
                    rest = rest[done:]
        finally:
            if seekable:
                file.seek(start + sent)
        return sent


# Of a file, read and sent at once.
_BLOCK = 8192


def _is_numeric(family, host):
    if not isinstance(host, str) or host in ("", "<broadcast>"):
        return True
    try:
        _standard.inet_pton(family, host.partition("%")[0])
    except OSError:
        return False
    return True


def _resolved(sock, address):
    """Return `address` with its host name resolved, without blocking the thread."""
    family = sock.family
    if family not in (_standard.AF_INET, _standard.AF_INET6) or not isinstance(address, tuple):
        return address
    if not address or _is_numeric(family, address[0]):
        return address
    # The host alone: the rest is for the standard method to check. A socket type has to be given.
    found = getaddrinfo(address[0], None, family, _standard.SOCK_DGRAM)
    return (found[0][4][0], *address[1:])


def _in_thread(function, *args, **kwargs):
    """Call a blocking function in a thread of its own and block the calling tasklet meanwhile."""
    reply = _Reply()

    def work():
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            reply.fail(error)
        else:
            reply.give(result)

    _threading.Thread(target=work, name=f"stackless {function.__name__}", daemon=True).start()
    return reply.wait()


def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
    """Resolve `host` and `port`; as the standard one, but only the calling tasklet waits."""
    if host is None or (
        isinstance(host, str)
        and (_is_numeric(_standard.AF_INET, host) or _is_numeric(_standard.AF_INET6, host))
    ):
        return _standard.getaddrinfo(host, port, family, type, proto, flags)
    return _in_thread(_standard.getaddrinfo, host, port, family, type, proto, flags)


def gethostbyname(hostname):
    """Resolve a host name to an IPv4 address; only the calling tasklet waits."""
    return _in_thread(_standard.gethostbyname, hostname)


def gethostbyname_ex(hostname):
    """Resolve a host name to (name, aliases, addresses); only the calling tasklet waits."""
    return _in_thread(_standard.gethostbyname_ex, hostname)


def gethostbyaddr(address):
    """Look an address up; only the calling tasklet waits."""
    return _in_thread(_standard.gethostbyaddr, address)


def getnameinfo(sockaddr, flags):
    """Look a socket address up; only the calling tasklet waits."""
    return _in_thread(_standard.getnameinfo, sockaddr, flags)
