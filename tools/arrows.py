#!/usr/bin/env python3
"""Checks what keeps this house in order: which room may include which, and how long things are.

usage: arrows.py [ROOT]

It prints each fault as PATH:LINE: WHAT, then how many lines are version-specific, and fails if
there is any fault.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# The rooms of src, from the ground up. What stands in one may include what stands there or further
# down; rooms on one floor don't include each other. A folder without an entry belongs to the
# nearest one above it that has one.
FLOORS: list[tuple[str, ...]] = [
    ("core",),
    ("object",),
    ("interp/versions",),
    ("interp/frames",),
    ("interp/switching",),
    ("interp/rules",),
    ("interp/freezing",),
    ("interp/pickling",),
    ("interp",),
    ("runtime/scheduler",),
    ("runtime/waiting", "runtime/channel", "runtime/preemption"),
    ("runtime/freezing", "runtime/sync"),
    ("runtime/pickling", "runtime/inspection"),
    ("runtime/tasklet", "runtime"),
    ("io",),
    ("patch",),
    ("module",),
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

# What runtime, io and module may include of interp.
FACE = {
    "interp/interp.hpp",
    "interp/frames/async_generators.hpp",
    "interp/switching/canary.hpp",
    "interp/switching/switch.hpp",
    "interp/freezing/find_halt.hpp",
    "interp/freezing/freeze.hpp",
    "interp/freezing/gc_traverse.hpp",
    "interp/freezing/merge_loops.hpp",
    "interp/freezing/swap_places.hpp",
    "interp/freezing/thaw.hpp",
    "interp/pickling/async_placeholders.hpp",
    "interp/pickling/code_hash.hpp",
    "interp/pickling/frames.hpp",
    "interp/pickling/placeholders.hpp",
    "interp/pickling/rebuild.hpp",
    "interp/pickling/wrap.hpp",
}

MOST_LINES = 600  # of a file
MOST_FUNCTION_LINES = 60

# Why something may be longer: by path, or by path:function.
REASONS: dict[str, str] = {
    "python/stackless/_wrap.py": "pickles name it: what they call has one home for good",
    "src/interp/pickling/frames.cpp:put_together": "one pass over what it has checked",
}

SOURCES = {".c", ".h", ".cpp", ".hpp"}
NO_PRODUCT = re.compile(r"_(test|bench|fixture)\.[ch]pp$")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
VERSION_TEST = re.compile(r"\bPY_(?:VERSION_HEX|MINOR_VERSION)\b")
INTERNALS = re.compile(r'\bPy_BUILD_CORE\b|^\s*#\s*include\s*[<"](?:\S*/)?(?:internal/|pycore_)')
NAKED = re.compile(r"\bPy_(?:X?DECREF|CLEAR|X?SETREF)\b")
SCOPE = re.compile(
    r'(?:inline )?namespace\b|extern "C"|(?:template <.*?> )?(?:class|struct|union)\b[^()=]*\{$'
)
COMMENT = re.compile(r'//[^\n]*|/\*.*?\*/|("(?:\\.|[^"\\\n])*")', re.DOTALL)


@dataclass(frozen=True)
class Fault:
    """What is wrong, and where; `key` is what an exception to it would be listed under."""

    path: str
    line: int
    what: str
    key: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


@dataclass(frozen=True)
class Exceptions:
    """Which faults are accepted, by how their keys begin; those that don't occur are faults."""

    listed: Mapping[str, str] = field(default_factory=dict)

    def apply(self, faults: list[Fault]) -> list[Fault]:
        """Return the faults that aren't listed, and one for each listed that isn't there."""
        stale = [
            Fault("tools/arrows.py", 1, f'"{key}" needs no exception any more', key)
            for key in self.listed
            if not any(fault.key.startswith(key) for fault in faults)
        ]
        return [f for f in faults if not f.key.startswith(tuple(self.listed))] + stale


def room_of(path: str) -> str | None:
    """Return the room in which a path relative to src lies, or None."""
    folder = path
    while "/" in folder:
        folder = folder.rpartition("/")[0]
        if folder in FLOOR:
            return folder
    return None


def without_comments(text: str) -> str:
    """Return C++ source with the comments gone, in the same lines."""
    return COMMENT.sub(lambda m: m[1] or "\n" * m[0].count("\n"), text)


def arrows(path: str, lines: list[str]) -> Iterator[Fault]:
    """Yield the includes of a source that run up, sideways or past the face of interp."""
    inside = path.removeprefix("src/")
    room = room_of(inside)
    if room is None:
        yield Fault(path, 1, "lies in no room that tools/arrows.py knows", path)
        return
    for number, line in enumerate(lines, 1):
        include = INCLUDE.match(line)
        target = room_of(include[2]) if include is not None and include[1] == '"' else None
        if include is None or target is None or target == room:
            continue
        key = f"{room} -> {target}"
        if FLOOR[target] >= FLOOR[room]:
            way = "up" if FLOOR[target] > FLOOR[room] else "to a room on the same floor"
            yield Fault(path, number, f"this include runs {way}: {key}", key)
        elif (
            FLOOR[room] > FLOOR["interp"]
            and (target == "interp" or target.startswith("interp/"))
            and include[2] not in FACE
        ):
            what = f"{include[2]} is not part of interp's face"
            yield Fault(path, number, what, f"{room} -> {target}")


def forbidden(path: str, lines: list[str]) -> Iterator[Fault]:
    """Yield what may be written in some rooms only."""
    inside = path.removeprefix("src/")
    for number, line in enumerate(lines, 1):
        if (
            VERSION_TEST.search(line)
            and not inside.startswith("interp/versions/")
            and inside != "object/compat.hpp"
        ):
            what = "asks for the version: a named fact in interp/versions or object/compat.hpp does"
            yield Fault(path, number, what, f"{path}: version")
        if INTERNALS.search(line) and not inside.startswith("interp/"):
            yield Fault(path, number, "CPython's internals are interp's", f"{path}: internals")
        if NAKED.search(line) and not inside.startswith("object/"):
            what = "counts a naked reference: object/reference.hpp owns them"
            yield Fault(path, number, what, f"{path}: reference")


def functions(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield (name, first line, last line) of each function in clang-formatted C++ source.

    A block begins with a line that ends in "{" and ends with the next one as far indented that
    begins with "}". Namespaces don't indent; classes are looked into.
    """
    lines = without_comments(text).split("\n")
    head = 0  # where the current declaration begins
    number = 0
    while number < len(lines):
        line = lines[number].rstrip()
        if not line or line.startswith("#") or line.endswith((";", "}", ":", "\\")):
            head = number + 1
        elif line.endswith("{"):
            indent = len(lines[head]) - len(lines[head].lstrip())
            header = " ".join(part.strip() for part in lines[head : number + 1])
            if SCOPE.match(header):
                head = number = number + 1
                continue
            table = " = {" in header
            last = next(
                i
                for i in range(number + 1, len(lines))
                if lines[i].startswith((" " * indent + "}", "}"))
                or (table and lines[i].endswith("};"))
            )
            name = re.search(r"((?:\w+::)*(?:operator[^\s(]+|~?\w+))\s*\(", header)
            if name is not None and not table:
                first = next(
                    i for i in range(head, number + 1) if name[1].rpartition(":")[2] in lines[i]
                )
                yield name[1], first + 1, last + 1
            number = last
            head = number + 1
        number += 1


def python_functions(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield (name, first line, last line) of each function in Python source."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno, node.end_lineno or node.lineno


def lengths(path: str, text: str) -> Iterator[Fault]:
    """Yield what is too long in a file."""
    count = text.count("\n")
    if count > MOST_LINES:
        yield Fault(path, 1, f"has {count} lines: more than {MOST_LINES}", path)
    for name, first, last in (python_functions if path.endswith(".py") else functions)(text):
        if (long := last - first + 1) > MOST_FUNCTION_LINES:
            what = f"{name}() has {long} lines: more than {MOST_FUNCTION_LINES}"
            yield Fault(path, first, what, f"{path}:{name}")


def files(root: Path) -> Iterator[tuple[str, str]]:
    """Yield (path, text) of each file of the product."""
    for folder, suffixes in (("src", SOURCES), ("python", {".py"})):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in suffixes and not NO_PRODUCT.search(path.name):
                yield path.relative_to(root).as_posix(), path.read_text()


def check(root: Path, exceptions: Mapping[str, str] | None = None) -> list[Fault]:
    """Return the faults of the tree at `root`, but for those that are listed as exceptions."""
    faults: list[Fault] = []
    for path, text in files(root):
        faults += lengths(path, text)
        if path.startswith("src/"):
            lines = without_comments(text).split("\n")
            faults += arrows(path, lines)
            faults += forbidden(path, lines)
    return Exceptions(exceptions or {}).apply(faults)


def version_specific(root: Path) -> dict[str, int]:
    """Return how many lines each file has that may ask which CPython this is."""
    specific = sorted((root / "src/interp/versions").glob("*.[ch]*"))
    specific += (root / "src/object").glob("compat.hpp")
    return {
        path.relative_to(root).as_posix(): path.read_text().count("\n")
        for path in specific
        if path.is_file()
    }


def main(arguments: list[str]) -> int:
    """Check the tree that the arguments name, by default this one; return 1 if it has faults."""
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    faults = check(root, REASONS)
    for fault in faults:
        print(fault)
    specific = version_specific(root)
    for path, count in specific.items():
        print(f"{count:6} {path}")
    print(f"{sum(specific.values()):6} lines of version-specific code")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
