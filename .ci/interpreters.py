"""Which interpreters this machine has that the package supports.

Prints one line for each micro version, oldest first: ``3.13.0 release /path/to/python3.13`` (or
``debug``). They are looked for where they conventionally are: in PATH, in pyenv's versions, and in
CPYTHON_HOME. Being there is not enough: each one has to run and be able to make a virtual
environment and an extension module.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
from typing import NamedTuple

SUPPORTED = ("3.11", "3.12", "3.13", "3.14", "3.15")

PROBE = """
import os, sys, sysconfig, ensurepip, venv
assert sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
assert sys.prefix == sys.base_prefix, "a virtual environment"
assert os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
print(*sys.version_info[:3], sysconfig.get_config_var("Py_DEBUG") or 0)
"""


class Interpreter(NamedTuple):
    """One interpreter: its micro version, whether it is a debug build, and where it is."""

    micro: tuple[int, int, int]
    debug: bool
    path: str

    @property
    def minor(self) -> str:
        """The minor version, as in "3.13"."""
        return "{}.{}".format(*self.micro)


def folders() -> list[pathlib.Path]:
    """List the folders where interpreters conventionally are."""
    home = pathlib.Path.home()
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    own = pathlib.Path(os.environ.get("CPYTHON_HOME") or home / ".local/share/cpython")
    return [
        *(pathlib.Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry),
        *sorted(pyenv.glob("versions/*/bin")),
        *sorted(own.glob("*/bin")),
    ]


def probe(path: pathlib.Path) -> Interpreter | None:
    """Describe the interpreter at path, if it is one that can be used."""
    try:
        done = subprocess.run(
            [path, "-I", "-c", PROBE], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    *micro, debug = map(int, done.stdout.split())
    return Interpreter((micro[0], micro[1], micro[2]), bool(debug), str(path))


def find() -> list[Interpreter]:
    """Every usable interpreter, oldest first; of each micro version and kind, the first found."""
    found: dict[tuple[tuple[int, int, int], bool], Interpreter] = {}
    for folder in folders():
        for minor in SUPPORTED:
            path = folder / f"python{minor}"
            if not os.access(path, os.X_OK):
                continue
            interpreter = probe(path)
            if interpreter and interpreter.minor == minor:
                found.setdefault(interpreter[:2], interpreter)
    return sorted(found.values())


if __name__ == "__main__":
    for each in find():
        print(".".join(map(str, each.micro)), "debug" if each.debug else "release", each.path)
