"""Where the extension refuses to be imported, and that a refusal breaks nothing."""

from __future__ import annotations

import os
import sys

import pytest
from support import child_lines, run_child

# run(script, isolated) runs a script in a new interpreter of this process.
SUBINTERPRETERS = """
import sys
IMPORT = '''
import os
try:
    import stackless
except ImportError as error:
    os.write(1, b"ImportError: " + str(error).replace("\\\\n", " ").encode() + b"\\\\n")
else:
    os.write(1, b"imported\\\\n")
'''
try:
    import _interpreters
    def run(script, isolated):
        interpreter = _interpreters.create("isolated" if isolated else "legacy")
        failed = _interpreters.run_string(interpreter, script)
        assert failed is None, failed
        _interpreters.destroy(interpreter)
except ImportError:
    import _xxsubinterpreters
    def run(script, isolated):
        interpreter = _xxsubinterpreters.create(isolated=isolated)
        _xxsubinterpreters.run_string(interpreter, script)
        _xxsubinterpreters.destroy(interpreter)
"""

WORK = """
import stackless
def work():
    for _ in range(3):
        stackless.schedule()
    print("worked", flush=True)
stackless.tasklet(work)()
stackless.run()
"""


@pytest.mark.parametrize("isolated", [True, False], ids=["isolated", "legacy"])
def test_a_second_interpreter_in_the_process_is_refused_and_the_first_goes_on(isolated):
    lines = child_lines(f"{SUBINTERPRETERS}\n{WORK}\nrun(IMPORT, {isolated})\n{WORK}")
    assert len(lines) == 3
    assert lines[0] == lines[2] == "worked"
    assert lines[1].startswith("ImportError: ")
    assert "interpreter" in lines[1]


@pytest.mark.parametrize("isolated", [True, False], ids=["isolated", "legacy"])
def test_a_second_interpreter_that_comes_first_leaves_the_main_one_usable(isolated):
    lines = child_lines(f"{SUBINTERPRETERS}\nrun(IMPORT, {isolated})\n{WORK}")
    assert lines[0].startswith("ImportError: ")
    assert lines[1:] == ["worked"]


def test_many_interpreters_come_and_go_while_tasklets_wait():
    lines = child_lines(f"""{SUBINTERPRETERS}
import stackless
c = stackless.channel()
stackless.tasklet(lambda: print(c.receive(), flush=True))()
stackless.run()
for _ in range(5):
    run("x = [i for i in range(1000)]", True)
c.send("still here")
""")
    assert lines == ["still here"]


def test_a_tasklet_may_run_another_interpreter():
    lines = child_lines(f"""{SUBINTERPRETERS}
import stackless
stackless.tasklet(run)("import os; os.write(1, b'inside\\\\n')", False)
stackless.tasklet(print)("neighbour", flush=True)
stackless.run()
""")
    assert lines == ["inside", "neighbour"]


def test_importing_again_after_a_removal_from_sys_modules_is_refused_and_says_why():
    lines = child_lines(f"""{WORK}
import sys
before = stackless
for name in [n for n in sys.modules if n.partition(".")[0] == "stackless"]:
    del sys.modules[name]
try:
    import stackless
except ImportError as error:
    print(error)
stackless = before
{WORK.replace("import stackless", "")}
""")
    assert [lines[0], lines[2]] == ["worked", "worked"]
    assert "has been imported before" in lines[1] and "sys.modules" in lines[1]


def test_importing_the_package_again_without_its_extension_works():
    lines = child_lines(f"""{WORK}
import sys
before = stackless
del sys.modules["stackless"]
{WORK}
print(stackless is not before, stackless.tasklet is before.tasklet)
""")
    assert lines == ["worked", "worked", "True True"]


def test_a_first_import_on_another_thread():
    lines = child_lines("""
        import threading
        def thread():
            import stackless
            stackless.tasklet(print)("thread")
            stackless.run()
        t = threading.Thread(target=thread)
        t.start()
        t.join()
        import stackless
        stackless.tasklet(print)("main")
        stackless.run()
        print(stackless.getmain() is stackless.getcurrent())
    """)
    assert lines == ["thread", "main", "True"]


def test_a_first_import_deep_in_a_recursion_under_tracing_and_in_an_except_block():
    lines = child_lines("""
        import sys
        def recurse(n):
            if n:
                return recurse(n - 1)
            try:
                raise ValueError
            except ValueError:
                import stackless
                stackless.tasklet(print)(sys.exc_info()[0].__name__)
                stackless.run()
                print(sys.exc_info()[0].__name__)
        events = []
        sys.settrace(lambda *arguments: events.append(None))
        recurse(500)
        sys.settrace(None)
        print(len(events) > 500)
    """)
    assert lines == ["ValueError", "ValueError", "True"]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="ASan's shadow memory")
def test_a_failed_import_on_too_little_memory_leaves_an_error_and_no_crash():
    done = run_child("""
        import resource, sys
        resource.setrlimit(resource.RLIMIT_AS, (60 << 20, resource.RLIM_INFINITY))
        try:
            import stackless
            stackless.tasklet(int)()
            stackless.run()
        except (MemoryError, ImportError, OSError) as error:
            print(type(error).__name__)
        else:
            print("imported")
    """)
    assert done.returncode == 0, done.stderr
    assert done.stdout


GREENLETS = """
import sys, warnings
warnings.simplefilter("always")
warnings.showwarning = lambda text, kind, *_: print(kind.__name__, "several tasklets" in str(text))
def work(name, then=None):
    print("starts", name)
    exec(then or "")
    stackless.schedule()
    print("ends", name)
"""
WARNS = "RuntimeWarning True"


@pytest.mark.parametrize(
    ("program", "lines"),
    [
        # The first import, the second one, what runs; then what is printed.
        ("import greenlet, stackless; a(); stackless.run()", ["starts a", "ends a"]),
        (
            "import greenlet, stackless; a(); b(); stackless.run(); c(); stackless.run()",
            ["starts a", WARNS, "starts b", "ends a", "ends b", "starts c", "ends c"],
        ),
        (
            "import stackless, greenlet; a(); stackless.run(); b(); stackless.run()",
            ["starts a", "ends a", WARNS, "starts b", "ends b"],
        ),
        (
            "import stackless; a('import greenlet'); b(); stackless.run()",
            ["starts a", WARNS, "starts b", "ends a", "ends b"],
        ),
        (
            "import stackless; a(); b('import greenlet'); c(); stackless.run()",
            ["starts a", "starts b", WARNS, "starts c", "ends a", "ends b", "ends c"],
        ),
        (
            "import stackless; a(); b(); stackless.run()",
            ["starts a", "starts b", "ends a", "ends b"],
        ),
    ],
)
def test_who_has_greenlet_beside_several_tasklets_is_warned_once(tmp_path, program, lines):
    # Our warning goes by the name; what is in there doesn't matter.
    (tmp_path / "greenlet.py").touch()
    starts = "\n".join(
        f"{name} = lambda *then: stackless.tasklet(work)({name!r}, *then)" for name in "abc"
    )
    source = f"{GREENLETS}\nsys.path.insert(0, {str(tmp_path)!r})\n{starts}\n{program}"
    assert child_lines(source) == lines


def test_a_greenlet_that_is_not_installed_is_no_matter():
    lines = child_lines("""
        import sys
        import stackless
        sys.path[:] = [entry for entry in sys.path if "site-packages" not in entry]
        try:
            import greenlet
        except ImportError:
            print("no greenlet")
        for _ in range(3):
            stackless.tasklet(print)("runs")
        stackless.run()
    """)
    assert lines == ["no greenlet", "runs", "runs", "runs"]
