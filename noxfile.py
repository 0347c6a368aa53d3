"""The suite on every interpreter: ``nox``, or ``nox -s tests-3.14 -- -k channel``.

Interpreters are looked for where ``.ci/interpreters.py`` says. ``.ci/run`` runs these sessions, and
tells an interpreter that is absent from one that passes.
"""

import pathlib
import runpy

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


for (_minor, _debug), _path in INTERPRETERS.items():
    add(_minor, _debug, _path)
nox.options.sessions = [f"tests-{minor}" for minor, debug in INTERPRETERS if not debug]
