"""What can be frozen and pickled, and what pins: the table of docs/what-pins.md.

`python tests/what_pins.py` writes the running version's column of it anew; tests/test_what_pins.py
fails if that would change anything.
"""

from __future__ import annotations

import contextlib
import importlib
import pickle
import re
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import stackless

PAGE = Path(__file__).parent.parent / "docs" / "what-pins.md"
BEGIN, END = "<!-- table: python tests/what_pins.py -->\n", "<!-- end of the table -->\n"
VERSIONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]
VERSION = "{}.{}".format(*sys.version_info)
PICKLES, FREEZES, UNKNOWN = "yes", "frozen", "?"

VALUE = 7
# Enough for the interpreter to specialise what it runs.
ROUNDS = 20
PLENTY = 100_000


def fresh_constructs():
    """Import constructs.py anew: the interpreter has specialised nothing of it yet."""
    sys.modules.pop("constructs", None)
    return importlib.import_module("constructs")


@contextlib.contextmanager
def budget(stacks):
    before = stackless.set_stack_budget(stacks)
    try:
        yield
    finally:
        stackless.set_stack_budget(before)


# ---- running one ---------------------------------------------------------------------------------


def note(program, results):
    results.append(program())


class Run:
    """A tasklet in the middle of a program."""

    def __init__(self, constructs, program, stacks):
        self.constructs = constructs
        self.channels = constructs.GATE, constructs.SENT
        self.results = []
        self.tasklet = stackless.tasklet(note)(program, self.results)
        self.stacks = stacks
        frozen = stackless.statistics()["frozen"]
        with budget(stacks):
            self.tasklet.run()
        self.is_frozen = stackless.statistics()["frozen"] > frozen
        assert self.tasklet.alive, f"{program.__name__} hasn't waited: {self.results}"

    def finish(self):
        with budget(self.stacks):
            go_on(self.tasklet, *self.channels, self.constructs.PAIR)
        assert not self.tasklet.alive, self.results
        return self.results

    def pickled(self):
        """Return a pickle of it; None if that is refused."""
        try:
            return without_warnings(pickle.dumps, (self.tasklet, *self.channels, self.results))
        except (TypeError, ValueError, pickle.PicklingError, AttributeError):
            return None


def without_warnings(function, argument):
    with warnings.catch_warnings():
        # Of itertools, whose objects can't be pickled from 3.14 on.
        warnings.simplefilter("ignore", DeprecationWarning)
        return function(argument)


def finish_copy(data):
    """Have what has been pickled go on."""
    copy, *channels, results = without_warnings(pickle.loads, data)
    go_on(copy, *channels, ())
    assert not copy.alive, results
    return results


def go_on(tasklet, gate, sent, sockets):
    """Do what a tasklet waits for."""
    if gate.balance < 0:
        gate.send(VALUE)
    elif sent.balance > 0:
        with contextlib.suppress(KeyError):
            sent.receive()
    elif sockets:
        sockets.pop().send(b"x")
    elif tasklet.paused:
        tasklet.insert()
    stackless.run()


@dataclass
class Answer:
    """A cell of the table, what why_pinned() says, and what the program has returned."""

    cell: str
    reason: str | None
    results: list


def reason_of(run):
    t = run.tasklet
    reason = stackless.why_pinned(t)
    assert (t.restorable, t.nesting_level == 0) == (reason is None,) * 2, (t.nesting_level, reason)
    return reason


def answer(constructs, program):
    """Run a program with a budget of 0; return what that shows."""
    run = Run(constructs, program, stacks=0)
    reason = reason_of(run)
    assert run.is_frozen == (reason is None), reason
    data = run.pickled() if run.is_frozen else None
    results = run.finish()
    assert data is None or finish_copy(data) == results
    cell = culprit(reason) if reason else PICKLES if data else FREEZES
    return Answer(cell, reason, results)


def plain_answer(constructs, program):
    """Run a program with its C stack, which can be asked for the same."""
    run = Run(constructs, program, PLENTY)
    return reason_of(run), run.finish()


def culprit(reason):
    """The C function that a reason of why_pinned() names."""
    found = re.fullmatch(r"C code is in the way: (.*), called at .*", reason)
    found = found or re.fullmatch(r"it waits in (.*)\(\), which .*", reason)
    return f"`{found[1]}`"


def answers(constructs, program):
    """What is found out cold, and when the interpreter has specialised it all; plainly run, too."""
    cold = answer(constructs, program)
    plain = [plain_answer(constructs, program) for _ in range(ROUNDS)]
    warm = answer(constructs, program)
    return cold, warm, plain


# ---- the table -----------------------------------------------------------------------------------


def find_out(constructs, programs):
    """Return the cell of a row: what holds for all of its programs."""
    cells = []
    for program in programs:
        cold, warm, plain = answers(constructs, program)
        assert cold == warm, program.__name__
        assert plain == [(cold.reason, cold.results)] * ROUNDS, program.__name__
        cells.append(cold.cell)
    pins = dict.fromkeys(cell for cell in cells if cell not in (PICKLES, FREEZES))
    if pins:
        return ", ".join(pins)
    return FREEZES if FREEZES in cells else PICKLES


def read_table():
    """Return by section and title the cells by version."""
    text = PAGE.read_text()
    table, section = {}, None
    for line in text[text.index(BEGIN) : text.index(END)].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[1:] == VERSIONS:
            section = table[cells[0]] = {}
        elif line.startswith("| ") and cells[1] != "---":
            section[cells[0]] = dict(zip(VERSIONS, cells[1:], strict=True))
    return table


def write_table(table):
    lines = []
    for section, rows in table.items():
        lines += [f"| {' | '.join([section, *VERSIONS])} |", f"|{' --- |' * (1 + len(VERSIONS))}"]
        lines += [f"| {' | '.join([title, *cells.values()])} |" for title, cells in rows.items()]
        lines.append("")
    text = PAGE.read_text()
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    PAGE.write_text(before + "\n" + "\n".join(lines) + "\n" + after)


def main():
    constructs = fresh_constructs()
    old, table = read_table(), {}
    for section, rows in constructs.CONSTRUCTS.items():
        for title, programs in rows.items():
            cells = old.get(section, {}).get(title, dict.fromkeys(VERSIONS, UNKNOWN))
            cell = find_out(constructs, programs)
            if cells[VERSION] != cell:
                print(f"{section}: {title}: {cells[VERSION]} -> {cell}")
            table.setdefault(section, {})[title] = {**cells, VERSION: cell}
    write_table(table)


if __name__ == "__main__":
    main()
