"""What a wheel does where it has just been installed: a little of everything, without the suite.

python -I tests/smoke.py
"""

from __future__ import annotations

import pickle
import platform
from pathlib import Path

import stackless  # which tries its switches first, see stackless/_self_test.py
from stackless import channel, snapshot, socket, tasklet


def relay(inbox: channel[int], outbox: channel[int]) -> None:
    for number in inbox:
        outbox.send(number + 1)


def freezes() -> bool:
    """Pass a number through tasklets of which nearly all are frozen."""
    first = last = channel()
    for _ in range(100):
        inbox, last = last, channel()
        tasklet(relay)(inbox, last)
    tasklet(first.send)(0)
    before = stackless.set_stack_budget(2)
    try:
        return last.receive() == 100 and stackless.statistics()["frozen"] > 90
    finally:
        stackless.set_stack_budget(before)


def stop(log: list[str], name: str) -> None:
    stackless.schedule_remove()
    log.append(name)


def is_data() -> bool:
    """Pickle a tasklet in the middle of its function, and have it go on twice."""
    waiting = tasklet(stop)([], "went on")
    waiting.run()
    stored = pickle.dumps(waiting), snapshot.dumps(waiting, key=b"secret")
    for each in (pickle.loads(stored[0]), snapshot.loads(stored[1], key=b"secret")):
        log = each.frame.f_locals["log"]
        each.run()
        if each.alive or log != ["went on"]:
            return False
    waiting.kill()
    return True


def waits_for_sockets() -> bool:
    """Echo a line over TCP within one thread."""

    def echo() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(connection.recv(100))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        tasklet(echo)()
        with socket.create_connection(listener.getsockname()) as connection:
            connection.sendall(b"hello")
            return connection.recv(100) == b"hello"


def main() -> None:
    for check in (freezes, is_data, waits_for_sockets):
        if not check():
            raise SystemExit(f"{stackless.__file__}: {check.__name__}() failed")
    where = Path(stackless.__file__).parent
    print(f"stackless {stackless.__version__} works on Python {platform.python_version()}: {where}")


if __name__ == "__main__":
    main()
