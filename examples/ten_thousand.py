"""An HTTP server with 10,000 open connections, one tasklet each, and a client that uses them all.

The claim: code that reads like one thread for each request ("10,000 concurrent requests, each with
its own thread") serves them all from a single process.

    python examples/ten_thousand.py [DIRECTORY] [--connections N] [--seconds S] [--json FILE]
    python examples/ten_thousand.py DIRECTORY --serve-only

The server is `serve()` and `handle()`: straight-line code on stackless.socket, parsed by httptools.
The client is a process of its own, a tasklet for each connection too.
"""

from __future__ import annotations

import argparse
import html
import json
import mimetypes
import os
import resource
import socket as standard_socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import httptools
import stackless
from stackless import socket

ROOT = Path(__file__).resolve().parent.parent


# ---- the server ----------------------------------------------------------------------------------


class Request:
    """What the parser has found so far of one connection's requests."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.url = b""
        self.complete: list[tuple[bytes, str, bool]] = []

    def on_message_begin(self) -> None:
        self.url = b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_message_complete(self) -> None:
        path = unquote(httptools.parse_url(self.url).path.decode("latin-1"))
        self.complete.append((self.parser.get_method(), path, self.parser.should_keep_alive()))


class Files:
    """The files of a directory, as HTTP responses; each is read once and kept."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.cache: dict[str, bytes] = {}

    def response(self, method: bytes, path: str) -> bytes:
        if method not in (b"GET", b"HEAD"):
            return respond(405, "text/plain", b"only GET and HEAD\n")
        if path not in self.cache:
            answer = self.load(path)
            if len(self.cache) > 10_000:
                self.cache.clear()
            self.cache[path] = answer
        answer = self.cache[path]
        return answer if method == b"GET" else answer[: answer.index(b"\r\n\r\n") + 4]

    def load(self, path: str) -> bytes:
        target = (self.directory / path.lstrip("/")).resolve()
        if not target.is_relative_to(self.directory):
            return respond(403, "text/plain", b"outside the directory\n")
        if target.is_dir():
            index = next(
                (target / n for n in ("index.html", "index.md") if (target / n).exists()), None
            )
            if index is None:
                return respond(200, "text/html; charset=utf-8", listing(target, path))
            target = index
        try:
            body = target.read_bytes()
        except OSError:
            return respond(404, "text/plain", b"no such file\n")
        kind = mimetypes.guess_type(target.name)[0] or "text/plain; charset=utf-8"
        return respond(200, kind, body)


def listing(directory: Path, path: str) -> bytes:
    names = sorted(p.name + "/" * p.is_dir() for p in directory.iterdir())
    base = path.rstrip("/")
    rows = "".join(f'<li><a href="{base}/{quote(n)}">{html.escape(n)}</a>' for n in names)
    return f"<!doctype html><title>{html.escape(path)}</title><ul>{rows}</ul>\n".encode()


REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Not Allowed"}


def respond(status: int, kind: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status} {REASONS[status]}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def handle(connection: socket.socket, files: Files) -> None:
    """One connection, from its first request to its end."""
    request = Request()
    with connection:
        try:
            while data := connection.recv(65536):
                request.parser.feed_data(data)
                for method, path, keep_alive in request.complete:
                    connection.sendall(files.response(method, path))
                    if not keep_alive:
                        return
                request.complete.clear()
        except httptools.HttpParserError:
            connection.sendall(respond(400, "text/plain", b"that is no HTTP\n"))
        except OSError:
            pass  # the peer is gone


def serve(listener: socket.socket, files: Files) -> None:
    """Accept connections for ever, and give each a tasklet."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError as error:  # out of descriptors, say: those we have go on
            print(f"accept: {error}", file=sys.stderr)
            stackless.sleep(0.1)
            continue
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stackless.tasklet(handle)(connection, files)


def rss() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def server_main(directory: Path, port: int, host: str = "127.0.0.1") -> None:
    """Serve, and answer each line on standard input with the server's figures."""
    raise_descriptor_limit(1 << 20)
    listener = socket.create_server((host, port), backlog=8192)
    stackless.tasklet(serve)(listener, Files(directory))
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)

    def figures() -> None:
        control = socket.socket(fileno=0)  # standard input is one end of a socket pair
        while control.recv(100):
            counts = stackless.statistics()
            tasklets = counts["mounted"] + counts["frozen"]
            report = {"rss": rss(), "cpu": time.process_time(), "tasklets": tasklets}
            print(json.dumps(report), flush=True)
        os._exit(0)

    stackless.tasklet(figures)()
    stackless.run()


def raise_descriptor_limit(wanted: int) -> int:
    """Raise this process's own limit on open descriptors as far as it may be; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
    return max(soft, target)


# ---- the client ----------------------------------------------------------------------------------


class Load:
    """What all the client's tasklets do, and what came of it."""

    def __init__(self, port: int, paths: list[str], connections: int, seconds: float) -> None:
        self.address = ("127.0.0.1", port)
        self.requests = [
            f"GET {quote(p)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for p in paths
        ]
        self.connections = connections
        self.seconds = seconds
        self.open = 0
        self.most_open = 0
        self.errors: list[str] = []
        self.latencies: list[float] = []
        self.started = 0.0
        self.ended = 0.0
        self.go = False
        self.gate = stackless.channel()
        self.gate.preference = 1
        self.slots = stackless.channel()

    def connect_and_ask(self, number: int) -> None:
        try:
            with socket.create_connection(self.address, timeout=60) as connection:
                self.open += 1
                self.most_open = max(self.most_open, self.open)
                self.ask(connection, self.requests[number % len(self.requests)])
                if not self.go:
                    self.gate.receive()
                asked = number
                while time.perf_counter() < self.ended:
                    asked += 1
                    self.latencies.append(
                        self.ask(connection, self.requests[asked % len(self.requests)])
                    )
        except (OSError, ValueError) as error:
            self.errors.append(repr(error))
        finally:
            self.open -= 1

    def ask(self, connection: socket.socket, request: bytes) -> float:
        """Send a request, read the whole response, and return the seconds between."""
        begun = time.perf_counter()
        connection.sendall(request)
        data = connection.recv(65536)
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self.more(connection)
        if not data.startswith(b"HTTP/1.1 200"):
            raise ValueError(f"unexpected answer {data[:40]!r}")
        at = data.index(b"Content-Length: ") + 16
        left = end + 4 + int(data[at : data.index(b"\r", at)]) - len(data)
        while left > 0:
            left -= len(self.more(connection))
        return time.perf_counter() - begun

    @staticmethod
    def more(connection: socket.socket) -> bytes:
        data = connection.recv(65536)
        if not data:
            raise ConnectionError("the server has closed the connection")
        return data

    def report(self, state: str) -> None:
        print(
            json.dumps({"state": state, "open": self.open, "requests": len(self.latencies),
                        "errors": len(self.errors)}),
            flush=True,
        )  # fmt: skip

    def main(self) -> None:
        raise_descriptor_limit(self.connections + 100)
        for number in range(self.connections):
            stackless.tasklet(self.connect_and_ask)(number)
            if number % 200 == 199:
                stackless.sleep(0)
                if number % 1000 == 999:
                    self.report("connecting")
        while -self.gate.balance + len(self.errors) < self.connections:
            stackless.sleep(0.05)
            self.report("connecting")
        self.report("all open")
        socket.socket(fileno=0).recv(1)
        self.started = time.perf_counter()
        self.ended = self.started + self.seconds
        self.go = True
        while self.gate.balance < 0:
            self.gate.send(None)
        while time.perf_counter() < self.ended:
            stackless.sleep(min(0.25, max(0.0, self.ended - time.perf_counter())))
            self.report("asking")
        while self.open:
            stackless.sleep(0.05)
        elapsed = time.perf_counter() - self.started
        result = {"state": "done", "elapsed": elapsed, "open": self.most_open,
                  "requests": len(self.latencies), "errors": self.errors[:20],
                  "error_count": len(self.errors), "latencies": sorted(self.latencies)}  # fmt: skip
        print(json.dumps(result), flush=True)


# ---- both, and the table -------------------------------------------------------------------------


class Child:
    """One of the two processes: it reads commands from a socket and prints JSON lines."""

    def __init__(self, role: str, **arguments: object) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), "--role", role]
        command += ["--arguments", json.dumps(arguments)]
        self.commands, theirs = standard_socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                command, stdin=theirs, stdout=subprocess.PIPE, text=True
            )
        assert self.process.stdout
        self.lines = self.process.stdout

    def tell(self) -> None:
        self.commands.sendall(b"\n")

    def read(self) -> dict[str, Any]:
        line = self.lines.readline()
        if not line:
            raise SystemExit("a child process has died; its error is above")
        return dict(json.loads(line))

    def ask(self) -> dict[str, Any]:
        self.tell()
        return self.read()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.commands.close()


def paths_of(directory: Path) -> list[str]:
    """The files that the client asks for: at most 20, none larger than 64 KiB."""
    found = [
        "/" + str(p.relative_to(directory))
        for p in sorted(directory.rglob("*"))
        if p.is_file() and p.stat().st_size <= 65536 and "_build" not in p.parts
    ]
    return found[:20] or ["/"]


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def histogram(ordered: list[float], rows: int = 12) -> list[tuple[str, int]]:
    """Latencies by powers of two of a millisecond."""
    edges = [0.001 * 2**k for k in range(-2, rows - 2)]
    counts = [0] * (rows + 1)
    for latency in ordered:
        counts[next((i for i, edge in enumerate(edges) if latency < edge), rows)] += 1
    names = [f"< {edge * 1000:g} ms" for edge in edges] + [f">= {edges[-1] * 1000:g} ms"]
    pairs = list(zip(names, counts, strict=True))
    while pairs and pairs[0][1] == 0:
        pairs.pop(0)
    while pairs and pairs[-1][1] == 0:
        pairs.pop()
    return pairs


def measure(directory: Path, connections: int, seconds: float, port: int) -> dict[str, Any]:
    from rich.console import Console
    from rich.live import Live

    console = Console()
    need = connections + 100
    if raise_descriptor_limit(need) < need:
        raise SystemExit(
            f"{connections} connections need {need} descriptors in each process. "
            f"Raise the hard limit (ulimit -Hn {need}), or ask for fewer with --connections."
        )
    children = [server := Child("server", directory=str(directory), port=port)]
    try:
        where = server.read()["port"]
        before = server.ask()
        arguments = {"port": where, "paths": paths_of(directory)}
        children.append(
            client := Child("client", connections=connections, seconds=seconds, **arguments)
        )
        with Live("starting", console=console, refresh_per_second=8, transient=True) as live:
            while (news := client.read())["state"] != "done":
                live.update(
                    f"[bold]{news['state']}[/]: {news['open']:,} connections open, "
                    f"{news['requests']:,} requests, {news['errors']} errors"
                )
                if news["state"] == "all open":
                    idle = server.ask()
                    client.tell()
        busy = server.ask()
    finally:
        for process in children:
            process.end()
    latencies = news["latencies"]
    cpu = busy["cpu"] - idle["cpu"]
    return {
        "connections": news["open"],
        "requests": news["requests"],
        "seconds": round(news["elapsed"], 3),
        "requests_per_second": round(news["requests"] / news["elapsed"]),
        "requests_per_cpu_second": round(news["requests"] / cpu) if cpu else 0,
        "latency_p50_ms": round(percentile(latencies, 0.5) * 1000, 3),
        "latency_p99_ms": round(percentile(latencies, 0.99) * 1000, 3),
        "latency_max_ms": round(latencies[-1] * 1000, 3) if latencies else 0.0,
        "bytes_per_connection": round((idle["rss"] - before["rss"]) / max(1, connections)),
        "tasklets": int(idle["tasklets"]),
        "errors": news["error_count"],
        "first_errors": news["errors"],
        "histogram": dict(histogram(latencies)),
    }


LABELS = {
    "connections": "connections open at once",
    "requests": "requests",
    "requests_per_second": "requests per second",
    "requests_per_cpu_second": "requests per CPU second of the server",
    "latency_p50_ms": "latency, p50 (ms)",
    "latency_p99_ms": "latency, p99 (ms)",
    "latency_max_ms": "latency, max (ms)",
    "bytes_per_connection": "server memory per connection (bytes)",
    "tasklets": "tasklets in the server",
    "errors": "errors",
}


def show(figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title="One tasklet for each connection", show_header=False)
    for key, label in LABELS.items():
        table.add_row(label, f"{figures[key]:,}")
    console.print(table)
    bars = Table(title="Latency", show_header=False)
    counts = figures["histogram"]
    most = max(counts.values(), default=1)
    for name, count in counts.items():
        bars.add_row(name, f"{count:,}", "█" * max(1 if count else 0, round(40 * count / most)))
    console.print(bars)
    for error in figures["first_errors"]:
        console.print(f"[red]{error}[/]")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", nargs="?", type=Path, default=ROOT / "docs")
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--port", type=int, default=0, help="0: whichever is free")
    parser.add_argument("--json", type=Path, help="write every figure of the table to this file")
    parser.add_argument("--serve-only", action="store_true", help="only serve, until Ctrl-C")
    parser.add_argument("--role", choices=("server", "client"), help=argparse.SUPPRESS)
    parser.add_argument("--arguments", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "server":
        server_main(Path(options.arguments["directory"]), options.arguments["port"])
    elif options.role == "client":
        Load(**options.arguments).main()
    elif options.serve_only:
        raise_descriptor_limit(1 << 20)
        listener = socket.create_server(("127.0.0.1", options.port), backlog=8192)
        print(
            f"http://127.0.0.1:{listener.getsockname()[1]}/  serves {options.directory}", flush=True
        )
        stackless.tasklet(serve)(listener, Files(options.directory))
        try:
            stackless.run()
        except KeyboardInterrupt:
            print("bye")
    else:
        figures = measure(options.directory, options.connections, options.seconds, options.port)
        show(figures)
        if options.json:
            options.json.write_text(json.dumps(figures, indent=1) + "\n")
        sys.exit(1 if figures["errors"] else 0)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
