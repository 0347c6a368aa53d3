"""The programs of the documentation do what the pages say they do."""

from __future__ import annotations

import ast
import inspect
import re
import signal
import socket
import subprocess
import sys
import textwrap
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import stackless
from support import CHILD_LIMIT, child_lines

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "docs" / "samples"
SERVERS = {"chat_server.py", "echo_server.py"}
PROGRAMS = sorted(path.name for path in SAMPLES.glob("*.py") if path.name not in SERVERS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_sample_prints_what_its_page_shows(name):
    done = subprocess.run(
        [sys.executable, name],
        cwd=SAMPLES,
        capture_output=True,
        text=True,
        timeout=CHILD_LIMIT,
        check=False,
    )
    shown = (SAMPLES / name).with_suffix(".out").read_text()
    assert (done.returncode, done.stderr, without_numbers(done.stdout)) == (
        0,
        "",
        without_numbers(shown),
    )


def without_numbers(output):
    """Leave out of reports what differs from run to run, or from Python to Python."""
    output = output.replace(f"{SAMPLES}/", "")
    output = re.sub("[0-9]+ bytes, Python [0-9.]+", "N bytes, Python N", output)
    output = re.sub("instruction [0-9]+, code [0-9a-f]+", "instruction N, code N", output)
    output = re.sub("channel 0x[0-9a-f.]+", "channel 0x...", output)
    return re.sub("tasklet [0-9]+", "tasklet N", output)


def test_the_pages_show_the_samples_as_they_are():
    command = [sys.executable, ROOT / "docs" / "copy_samples.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def blocks():
    """The programs written on a page itself, fenced as python (fragments are fenced as py).

    What stands below a comment is the copy of a sample, or of a part of an example.
    """
    for page in [*ROOT.glob("docs/*.md"), ROOT / "README.md", ROOT / "SECURITY.md"]:
        found = re.findall(r"(?ms)(-->\n)?^( *)```python\n(.*?)^\2```$", page.read_text())
        for number, (copied, _, block) in enumerate(found, 1):
            if not copied:
                yield pytest.param(textwrap.dedent(block), id=f"{page.name}:{number}")


@pytest.mark.parametrize("source", list(blocks()))
def test_a_program_on_a_page_runs(source):
    child_lines(source)


def recipe(page, function):
    """The part of a page's program that defines a function, and what that needs."""
    for block in re.findall(r"(?ms)^```python\n(.*?)^```$", (ROOT / "docs" / page).read_text()):
        if f"\ndef {function}(" in block:
            return block.partition("\n\n\ndef main")[0]
    raise AssertionError(f"{page} has no {function}()")


# Until main() is done and all threads have ended. Who is left over is counted.
RUN_MAIN = """
import threading
let_go = threading.Event()
main = stackless.tasklet(main)()
while main.alive:
    stackless.run()
for thread in threading.enumerate()[1:]:
    thread.join()
print(stackless.runcount, stackless.statistics()["timers"])
"""


def test_gather_raises_what_one_raises_and_ends_the_others():
    lines = child_lines(
        recipe("coming-from-asyncio.md", "gather")
        + """
def work(seconds):
    try:
        stackless.sleep(seconds)
        print(seconds, 1 / seconds)
    except BaseException as error:
        print(seconds, repr(error))
        raise

def main():
    try:
        gather(work, [0.01, 0, 60])
    except ZeroDivisionError as error:
        print("main", repr(error))

stackless.tasklet(main)()
stackless.run()
"""
    )
    zero = "ZeroDivisionError('division by zero')"
    assert lines == [f"0 {zero}", "0.01 TaskletExit()", "60 TaskletExit()", f"main {zero}"]


def test_what_a_call_raises_as_gather_ends_it_comes_out_of_run():
    lines = child_lines(
        recipe("coming-from-asyncio.md", "gather")
        + """
def work(seconds):
    try:
        stackless.sleep(seconds)
        raise KeyError(seconds)
    except TaskletExit:
        raise ValueError(seconds)

def main():
    try:
        gather(work, [0, 60])
    except KeyError as error:
        print("main", repr(error))

stackless.tasklet(main)()
for _ in range(2):
    try:
        stackless.run()
    except ValueError as error:
        print("run()", repr(error))
"""
    )
    assert lines == ["run() ValueError(60)", "main KeyError(0)"]


@pytest.mark.parametrize(
    ("page", "call"),
    [
        ("coming-from-asyncio.md", "gather(stackless.sleep, [60, 60])"),
        ("coming-from-threads.md", "in_thread(let_go.wait)"),
    ],
)
@pytest.mark.parametrize(
    ("way", "raised"),
    [
        ("with stackless.timeout(0.01): {}", "TimeoutError"),
        ("stackless.tasklet(stackless.getcurrent().kill)(); {}", "TaskletExit"),
    ],
    ids=["by a timeout", "killed"],
)
def test_who_gives_up_a_call_of_a_recipe_leaves_nothing_behind(page, call, way, raised):
    lines = child_lines(
        recipe(page, call.partition("(")[0])
        + f"""
def main():
    try:
        {way.format(call)}
    except BaseException as error:
        print(type(error).__name__)
        let_go.set()
"""
        + RUN_MAIN
    )
    # The process has ended, so the thread of in_thread() has.
    assert lines == [raised, "1 0"]


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("lambda: 1 / 0", "ZeroDivisionError('division by zero')"),
        ("lambda: exit(3)", "SystemExit(3)"),
    ],
)
def test_in_thread_raises_what_the_function_raises(function, told):
    lines = child_lines(
        recipe("coming-from-threads.md", "in_thread")
        + f"""
def main():
    try:
        in_thread({function})
    except BaseException as error:
        print(repr(error))
"""
        + RUN_MAIN
    )
    assert lines == [told, "1 0"]


def test_in_thread_lets_a_thread_go_that_was_about_to_answer_as_its_caller_gave_up():
    lines = child_lines(
        recipe("coming-from-threads.md", "in_thread")
        + """
def main():
    stackless.tasklet(give_up)(stackless.getcurrent())
    try:
        in_thread(let_go.wait)
    except KeyError:
        print("gave up")

def give_up(caller):
    done = caller._channel
    caller.throw(KeyError, pending=True)  # it doesn't run yet
    let_go.set()
    while done.balance < 1:  # until the thread waits for somebody to receive
        pass
"""
        + RUN_MAIN
    )
    assert lines == ["gave up", "1 0"]


@contextmanager
def serving(name):
    """Run a server of the documentation; give its port."""
    server = subprocess.Popen(
        [sys.executable, SAMPLES / name, "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield int(server.stdout.readline().split()[-1])
        assert server.poll() is None, "the server ended"
    finally:
        server.send_signal(signal.SIGINT)
        _, complaints = server.communicate(timeout=CHILD_LIMIT)
    # It may come while the server sees off the last client, whose socket then stays open.
    assert "KeyboardInterrupt" in complaints.splitlines(), complaints


class Client:
    """A line-based client of a server, with a time limit on every step."""

    def __init__(self, port):
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.lines = self.connection.makefile("rw", encoding="utf-8", newline="\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.close()
        self.connection.close()

    def say(self, text):
        self.lines.write(text + "\n")
        self.lines.flush()

    def hear(self):
        return self.lines.readline().rstrip("\n")


def test_the_echo_server_serves_several_at_once():
    with serving("echo_server.py") as port, ExitStack() as stack:
        clients = [stack.enter_context(Client(port)) for _ in range(20)]
        for number, client in enumerate(clients):
            client.say(f"I am {number}")
        assert [c.hear() for c in clients] == [f"I am {number}" for number in range(20)]


def test_a_suite_that_ignores_sigint_interrupts_its_servers_all_the_same():
    # As one started in the background does: by a shell's &, by nohup, by many a CI.
    test = f"{__file__}::test_the_echo_server_serves_several_at_once"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        cwd=ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        capture_output=True,
        text=True,
        timeout=CHILD_LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def enter(port, name):
    client = Client(port)
    assert client.hear() == "What is your name?"
    client.say(name)
    return client


def test_the_chat_server_passes_on_what_everybody_says():
    with serving("chat_server.py") as port, enter(port, "ada") as ada:
        with enter(port, "bob") as bob:
            assert ada.hear() == "* bob came in"
            ada.say("hello, Bob")
            assert bob.hear() == "ada: hello, Bob"
            bob.say("hello, Ada")
            assert ada.hear() == "bob: hello, Ada"
        assert ada.hear() == "* bob left"


def test_the_chat_server_gives_each_name_once():
    with (
        serving("chat_server.py") as port,
        enter(port, "ada") as ada,
        enter(port, "ada") as second,
    ):
        assert second.hear() == "ada is taken. Another name?"
        second.say("eve")
        assert ada.hear() == "* eve came in"


def test_the_chat_server_survives_guests_that_break_off():
    with serving("chat_server.py") as port, enter(port, "ada") as ada:
        with Client(port):
            pass  # goes without a word
        bob = enter(port, "bob")
        assert ada.hear() == "* bob came in"
        # Closing with unread data and no lingering resets the connection.
        bob.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        bob.lines.close()
        bob.connection.close()
        assert ada.hear() == "* bob left"
        with enter(port, "eve") as eve:
            assert ada.hear() == "* eve came in"
            ada.say("are you there?")
            assert eve.hear() == "ada: are you there?"


def test_what_type_checkers_accept_runs():
    program = Path(__file__).with_name("typed_program.py")
    lines = child_lines(program.read_text())
    assert lines == ["ann 7", "ann 8", "ann is killed", lines[3], "b'hello'"]


# ---- the reference ------------------------------------------------------------------------------

CLASSES = [stackless.tasklet, stackless.channel, stackless.bomb, stackless.timeout]
MODULE = type(stackless)  # whose properties are the module's live attributes
# The original has them for its own tests.
FOR_TESTS = {"test_cframe_nr", "test_outside"}


def public(owner):
    return {name for name in vars(owner) if not name.startswith("_")}


FUNCTIONS = {
    name for name in public(stackless) - FOR_TESTS if inspect.isroutine(getattr(stackless, name))
}
METHODS = {
    f"{kind.__name__}.{name}"
    for kind in CLASSES
    for name in public(kind)
    if inspect.isroutine(getattr(kind, name))
}
ATTRIBUTES = {
    f"{kind.__name__}.{name}"
    for kind in [*CLASSES, MODULE]
    for name in public(kind)
    if inspect.isdatadescriptor(getattr(kind, name))
}

# What a caller has to reckon with.
RAISES = {
    "schedule": ["RuntimeError"],
    "schedule_remove": ["RuntimeError"],
    "run": ["NotImplementedError"],
    "sleep": ["ValueError"],
    "timeout": ["TimeoutError", "TypeError", "ValueError", "RuntimeError"],
    "switch_trap": ["RuntimeError"],
    "get_thread_info": ["RuntimeError"],
    "set_schedule_callback": ["TypeError"],
    "set_channel_callback": ["TypeError"],
    "set_error_handler": ["TypeError"],
    "enable_softswitch": ["TypeError"],
    "pickle_flags": ["ValueError"],
    "tasklet": ["TypeError"],
    "tasklet.bind": ["TypeError", "RuntimeError"],
    "tasklet.setup": ["RuntimeError"],
    "tasklet.insert": ["RuntimeError"],
    "tasklet.remove": ["RuntimeError"],
    "tasklet.run": ["RuntimeError"],
    "tasklet.switch": ["RuntimeError"],
    "tasklet.throw": ["TypeError", "RuntimeError"],
    "tasklet.kill": ["TaskletExit"],
    "tasklet.set_atomic": ["TypeError"],
    "tasklet.set_ignore_nesting": ["TypeError"],
    "tasklet.bind_thread": ["RuntimeError", "ValueError"],
    "tasklet.set_context": ["RuntimeError"],
    "tasklet.block_trap": ["RuntimeError"],
    "channel.send": ["RuntimeError", "ValueError"],
    "channel.receive": ["RuntimeError", "ValueError"],
    "channel.send_exception": ["TypeError"],
    "channel.send_throw": ["TypeError"],
}


def docstring(name):
    owner, _, attribute = name.rpartition(".")
    if owner == MODULE.__name__:
        return inspect.getdoc(vars(MODULE)[attribute])
    thing = stackless
    for part in name.split("."):
        thing = getattr(thing, part)
    return inspect.getdoc(thing)


@pytest.mark.parametrize(
    "name", sorted({kind.__name__ for kind in CLASSES} | FUNCTIONS | METHODS | ATTRIBUTES)
)
def test_every_public_name_has_a_docstring_of_whole_sentences(name):
    text = docstring(name)
    assert text, f"{name} has no docstring"
    assert text[0].isupper() and text.rstrip()[-1] in ".)", text


@pytest.mark.parametrize("name", sorted((FUNCTIONS | METHODS) - {"atomic"}))
def test_a_docstring_says_what_is_returned_or_where_that_is_said(name):
    assert re.search(r"\b[Rr]eturns?\b|see \w+\(\)|^The same", docstring(name)), docstring(name)


@pytest.mark.parametrize("name", sorted(RAISES))
def test_a_docstring_names_the_exceptions(name):
    missing = [each for each in RAISES[name] if each not in docstring(name)]
    assert not missing, docstring(name)


def test_the_reference_has_every_public_name():
    page = (ROOT / "docs" / "api.md").read_text()
    # Methods and attributes come with their class, which autodoc walks.
    listed = set(re.findall(r"(?m)^\.\. (?:auto\w+|py:\w+):: (\w+)", page))
    public_names = public(stackless) | public(MODULE)
    assert public_names - FOR_TESTS - {"annotations", "snapshot", "socket", "stackless"} <= listed


def test_the_stubs_are_installed_and_have_every_public_name():
    package = Path(stackless.__file__).parent
    assert (package / "py.typed").exists()
    known = set()
    for stub in ["__init__.pyi", "_stackless.pyi"]:
        for node in ast.walk(ast.parse((package / stub).read_text())):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                known.add(node.name)
            elif isinstance(node, ast.AnnAssign):
                known.add(node.target.id)
            elif isinstance(node, ast.ImportFrom | ast.Import):
                known.update(each.asname or each.name for each in node.names)
    owners = [stackless, MODULE, *CLASSES]
    missing = {name for owner in owners for name in public(owner)} - known
    assert missing <= {"annotations", "snapshot", "socket"}
