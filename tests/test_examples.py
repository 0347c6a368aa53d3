"""The examples do what they say."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import stackless
from stackless import socket, tasklet

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_bees_start_behind_the_flowers_and_each_gets_its_nectar():
    example = load("bees_and_flowers")
    log = []
    flowers, bees = example.start(log)
    queue = example.runnable(stackless.getcurrent())
    assert queue == [x.tasklet for x in (*flowers, *bees)]
    stackless.run()
    assert [bee.nectar for bee in bees] == [5] * 5
    assert not any(bee.tasklet.alive for bee in bees)
    assert [flower.channel.balance for flower in flowers] == [-1] * 5
    assert len(log) == 25
    for flower in flowers:
        flower.tasklet.kill()


def test_the_log_has_the_lines_of_both_workers_interleaved(tmp_path):
    path = tmp_path / "log"
    load("workers_and_logger").work(path, steps=3)
    lines = path.read_text().splitlines()
    assert [line for line in lines if line.startswith("first")] == [
        "first: step 1, total 1",
        "first: step 2, total 5",
        "first: step 3, total 14",
    ]
    assert [line.split(":")[0] for line in lines] == ["first", "second"] * 3


def test_ping_pong_ends_with_the_last_hits():
    assert load("ping_pong").play(1001) == ["ping 3", "pong 2", "ping 1"]


def test_the_agents_day_goes_the_same_way_every_time():
    agents = load("agents")
    diary = agents.day()
    assert diary == agents.day()
    assert diary[0] == "07:00 Ann gets up"
    assert "18:45 dinner is ready" in diary
    assert [line for line in diary if "eats" in line] == [
        f"18:45 {name} eats soup" for name in ("Ann", "Bob", "Cid")
    ]
    assert diary[-1] == "19:45 Cid goes to bed"


def test_the_race_ends_frame_by_frame():
    assert load("game_loop").play(90, lambda frame: None) == [
        "hare arrives in frame 10",
        "tortoise arrives in frame 30",
        "snail arrives in frame 60",
    ]


def test_the_game_loop_runs_in_real_time_too():
    game_loop = load("game_loop")
    assert game_loop.play(12, game_loop.at_60_hz()) == ["hare arrives in frame 10"]


def test_chat_between_three_guests_one_of_whom_leaves_rudely():
    example = load("chat_server")
    door = socket.create_server(("127.0.0.1", 0))
    tasklet(example.serve)(door, example.Room())

    def guest(name):
        connection = socket.create_connection(door.getsockname())
        lines = connection.makefile("r")
        assert lines.readline() == "name?\n"
        connection.sendall(name.encode() + b"\n")
        assert lines.readline() == f"* {name} joins\n"
        return connection, lines

    def scene():
        (ann, to_ann), (bob, to_bob) = guest("ann"), guest("bob")
        assert to_ann.readline() == "* bob joins\n"
        ann.sendall(b"hello\n")
        assert to_bob.readline() == "ann: hello\n"
        cid, to_cid = guest("cid")
        to_cid.close()
        cid.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        cid.close()
        assert [to_ann.readline(), to_ann.readline()] == ["* cid joins\n", "* cid leaves\n"]
        bob.sendall(b"bye\n")
        assert to_ann.readline() == "bob: bye\n"
        for file in (to_ann, to_bob, ann, bob, door):
            file.close()
        done.append(True)

    done = []
    tasklet(scene)()
    stackless.run()
    assert done == [True]


# ---- the main job --------------------------------------------------------------------------------


@pytest.fixture
def server():
    pytest.importorskip("httptools")
    example = load("ten_thousand")
    listener = socket.create_server(("127.0.0.1", 0))
    t = tasklet(example.serve)(listener, example.Files(EXAMPLES))
    stackless.pump()
    yield listener.getsockname()
    t.kill()
    listener.close()
    stackless.run()


def talk(address, *parts):
    """Send the parts one by one, then half-close; return all that comes back."""
    with socket.create_connection(address, timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
            stackless.schedule()
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while data := connection.recv(65536):
            answer += data
        return answer


def test_the_server_answers_over_one_connection_again_and_again(server):
    request = b"GET /README.md HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = talk(server, request, request)
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.count((EXAMPLES / "README.md").read_bytes()) == 2


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /nothing HTTP/1.1", b"404"),
        (b"GET /../pyproject.toml HTTP/1.1", b"403"),
        (b"GET /%2e%2e/pyproject.toml HTTP/1.1", b"403"),
        (b"POST / HTTP/1.1", b"405"),
        (b"GET / HTTP/1.1", b"200"),
    ],
)
def test_the_server_says_what_it_thinks_of_a_request(server, request_line, status):
    assert talk(server, request_line + b"\r\nHost: x\r\n\r\n").split(b" ")[1] == status


def test_the_server_survives_garbage_resets_and_single_bytes(server):
    assert b" 400 " in talk(server, b"\x00\xff garbage\r\n\r\n")
    with socket.create_connection(server) as rude:
        rude.sendall(b"GET / HT")
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    request = b"GET /README.md HTTP/1.1\r\nHost: x\r\n\r\n"
    slowly = [request[i : i + 1] for i in range(len(request))]
    assert talk(server, *slowly).startswith(b"HTTP/1.1 200 OK")


def test_the_main_job_reports_every_figure_and_no_errors(tmp_path):
    pytest.importorskip("httptools")
    pytest.importorskip("rich")
    report = tmp_path / "figures.json"
    options = ["--connections", "200", "--seconds", "1", "--json", str(report)]
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "ten_thousand.py"), str(EXAMPLES), *options],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(report.read_text())
    assert (figures["connections"], figures["errors"]) == (200, 0)
    assert figures["tasklets"] >= 200  # frozen or not
    assert figures["requests"] > 200
    assert figures["requests_per_cpu_second"] > 0
    assert figures["latency_p50_ms"] <= figures["latency_p99_ms"] <= figures["latency_max_ms"]
    assert sum(figures["histogram"].values()) == figures["requests"]
    assert "connections open at once" in done.stdout
