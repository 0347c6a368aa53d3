"""What type checkers accept: ./dev lint checks this with mypy --strict, and the tests run it."""

from __future__ import annotations

from typing import assert_type

import stackless
from stackless import TaskletExit, channel, tasklet


class Named(tasklet[[channel[int]]]):
    """A tasklet whose class takes other arguments than its base."""

    def __new__(cls, name: str) -> Named:
        self = super().__new__(cls, name)
        self.name = name
        return self

    def __init__(self, name: str) -> None:
        super().__init__(self.work)

    name: str

    def work(self, numbers: channel[int]) -> None:
        try:
            for number in numbers:
                print(self.name, assert_type(number, int))
        except TaskletExit:
            print(self.name, "is killed")
            raise


class Numbers(channel[int]):
    """A channel whose class takes an argument."""

    def __new__(cls, first: int) -> Numbers:
        return super().__new__(cls)

    def __init__(self, first: int) -> None:
        super().__init__()
        self.next = first

    def give(self) -> None:
        self.send(self.next)
        self.next += 1


def main() -> None:
    numbers = Numbers(7)
    named = assert_type(Named("ann")(numbers), Named)
    stackless.run()
    numbers.give()
    with stackless.atomic():
        numbers.give()
    named.kill()
    assert issubclass(TaskletExit, SystemExit)
    current: tasklet = stackless.current
    assert current is stackless.main and stackless.runcount == 1
    data: bytes = stackless.snapshot.dumps([1], key=b"secret")
    print(stackless.snapshot.describe(data, key=b"secret").splitlines()[0].split(",")[0])
    first, second = stackless.socket.socketpair()
    with first, second:
        first.sendall(b"hello")
        print(assert_type(second.recv(10), bytes))


if __name__ == "__main__":
    main()
