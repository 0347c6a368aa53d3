"""tools/arrows.py finds what it is there to find, in small trees, and accepts this one."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "tools" / "arrows.py"

pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="the tests run without the sources")


@pytest.fixture(scope="module")
def arrows():
    spec = importlib.util.spec_from_file_location("arrows", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["arrows"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["arrows"]


@pytest.fixture
def faults_of(arrows, tmp_path):
    """Return what the script says of a tree of these files."""

    def check(files, **exceptions):
        for path, text in files.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return [str(fault) for fault in arrows.check(tmp_path, **exceptions)]

    return check


def function(name, lines, head="int {}() {{"):
    """Return the source of a function of so many lines."""
    return "\n".join([head.format(name), *["  step();"] * (lines - 2), "}", ""])


def test_a_tree_in_order_has_no_faults(faults_of):
    assert not faults_of(
        {
            "src/core/arch/cpu.hpp": "#pragma once\n",
            "src/interp/frames/frame.hpp": '#include "core/arch/cpu.hpp"\n#include <vector>\n',
            "src/interp/rules/rules.cpp": '#include "interp/frames/frame.hpp"\n',
            "src/runtime/scheduler/scheduler.cpp": '#include "interp/interp.hpp"\n',
            "src/interp/versions/facts.hpp": "#if PY_VERSION_HEX >= 0x030D0000\n#endif\n",
            "src/object/compat.hpp": "#if PY_VERSION_HEX >= 0x030D0000\n#endif\n",
            "src/object/reference.hpp": "void drop(PyObject* o) { Py_XDECREF(o); }\n",
            "src/interp/frames/more.hpp": "#define Py_BUILD_CORE 1\n#include <internal/x.h>\n",
            "python/stackless/short.py": "def f():\n    pass\n",
        }
    )


@pytest.mark.parametrize(
    "path, include, what",
    [
        ("core/ring.hpp", "object/reference.hpp", "runs up: core -> object"),
        (
            "interp/frames/frame.hpp",
            "interp/freezing/freeze.hpp",
            "runs up: interp/frames -> interp/freezing",
        ),
        ("interp/rules/rules.cpp", "interp/interp.hpp", "runs up: interp/rules -> interp"),
        ("interp/interp.hpp", "runtime/ending.hpp", "runs up: interp -> runtime"),
        (
            "runtime/channel/channel.cpp",
            "runtime/waiting/wait.hpp",
            "runs to a room on the same floor: runtime/channel -> runtime/waiting",
        ),
        ("runtime/tasklet/type.cpp", "module/functions.hpp", "runs up: runtime/tasklet -> module"),
    ],
)
def test_an_include_may_not_run_up_or_sideways(faults_of, path, include, what):
    source = f'#include <vector>\n#include "{include}"\n'
    assert faults_of({f"src/{path}": source}) == [f"src/{path}:2: this include {what}"]


def test_above_interp_only_its_face_is_included(faults_of):
    source = '#include "interp/interp.hpp"\n#include "interp/frames/frame.hpp"\n'
    assert faults_of({"src/io/socket.cpp": source}) == [
        "src/io/socket.cpp:2: interp/frames/frame.hpp is not part of interp's face"
    ]


def test_every_source_lies_in_a_known_room(faults_of):
    assert faults_of({"src/attic/old.cpp": "\n"}) == [
        "src/attic/old.cpp:1: lies in no room that tools/arrows.py knows"
    ]


@pytest.mark.parametrize(
    "line, what",
    [
        (
            "#if PY_VERSION_HEX >= 0x030D0000",
            "asks for the version: a named fact in interp/versions or object/compat.hpp does",
        ),
        (
            "constexpr bool old = PY_MINOR_VERSION < 12;",
            "asks for the version: a named fact in interp/versions or object/compat.hpp does",
        ),
        ("#define Py_BUILD_CORE 1", "CPython's internals are interp's"),
        ("#include <internal/pycore_frame.h>", "CPython's internals are interp's"),
        ('#include "pycore_frame.h"', "CPython's internals are interp's"),
        *(
            (f"  {macro}(object);", "counts a naked reference: object/reference.hpp owns them")
            for macro in (
                "Py_DECREF",
                "Py_XDECREF",
                "Py_CLEAR",
                "Py_SETREF",
                "Py_XSETREF",
            )
        ),
    ],
)
def test_some_things_are_written_in_some_rooms_only(faults_of, line, what):
    path = "src/runtime/scheduler/x.cpp"
    assert faults_of({path: f"// one\n{line}\n"}) == [f"{path}:2: {what}"]


def test_comments_and_strings_about_them_are_no_faults(faults_of):
    source = '// Py_DECREF\n/* PY_VERSION_HEX\n   Py_BUILD_CORE */\nchar a[] = "// /*";\n'
    assert not faults_of({"src/runtime/scheduler/x.cpp": source})


def test_behind_a_string_with_slashes_is_code(faults_of):
    path = "src/runtime/scheduler/x.cpp"
    assert faults_of({path: 'f("http://"), Py_DECREF(a);\n'}) == [
        f"{path}:1: counts a naked reference: object/reference.hpp owns them"
    ]


@pytest.mark.parametrize("path", ["src/core/long.cpp", "python/stackless/long.py"])
def test_a_file_has_600_lines_at_most(faults_of, path):
    assert not faults_of({path: "\n" * 600})
    assert faults_of({path: "\n" * 601}) == [f"{path}:1: has 601 lines: more than 600"]


@pytest.mark.parametrize(
    "head, name, before",
    [
        ("int f() {", "f", 0),
        ("Ring::Ring(int a,\n           int b) noexcept\n    : a_(a) {", "Ring::Ring", 2),
        ("template <class T = int>\nT f(T a) {", "f", 0),
        ("[[gnu::noinline]] Ref& Ref::operator=(Ref other) {", "Ref::operator=", 0),
    ],
)
@pytest.mark.parametrize("around", ["", "namespace a {\n\n", "struct S final : T {\n"])
def test_a_function_has_60_lines_at_most(faults_of, head, name, before, around):
    indent = "  " if around.startswith("struct") else ""

    def tree(lines):
        body = [*head.split("\n"), *["  step();"] * (lines - 2 - before), "}"]
        other = [
            "constexpr int table[] = {",
            "    1,",
            "    2};",
            "",
            "// Why.",
            "int g() { return 1; }",
            "",
        ]
        source = "\n".join(indent + line if line else line for line in other + body)
        return {"src/core/f.cpp": around + source + ("\n};\n" if indent else "\n")}

    line = around.count("\n") + 8 + head.startswith("template")
    assert not faults_of(tree(60))
    assert faults_of(tree(61)) == [f"src/core/f.cpp:{line}: {name}() has 61 lines: more than 60"]


def test_a_python_function_has_60_lines_at_most(faults_of):
    source = "class A:\n    async def f(self):\n" + "        pass\n" * 60
    assert faults_of({"python/stackless/a.py": source}) == [
        "python/stackless/a.py:2: f() has 61 lines: more than 60"
    ]


def test_tests_may_be_long(faults_of):
    assert not faults_of({"src/core/ring_test.cpp": "\n" * 700})


def test_an_exception_is_accepted_while_it_is_needed(faults_of):
    tree = {
        "src/core/f.cpp": function("f", 61),
        "src/core/ring.hpp": '#include "object/reference.hpp"\n',
    }
    listed = {"src/core/f.cpp:f": "why", "core -> object": "why"}
    assert not faults_of(tree, exceptions=listed)
    assert faults_of(tree, exceptions={**listed, "src/core/g.cpp": "why"}) == [
        'tools/arrows.py:1: "src/core/g.cpp" needs no exception any more'
    ]


def test_the_script_prints_the_faults_and_fails(tmp_path):
    (tmp_path / "src/core").mkdir(parents=True)
    (tmp_path / "src/interp/versions").mkdir(parents=True)
    (tmp_path / "src/interp/versions/v3_12.hpp").write_text("\n" * 12)
    (tmp_path / "src/core/a.cpp").write_text("Py_DECREF(a);\n")
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "src/core/a.cpp:1: counts a naked reference: object/reference.hpp owns them"
    assert lines[-2:] == [
        "    12 src/interp/versions/v3_12.hpp",
        "    12 lines of version-specific code",
    ]


def test_this_tree_is_in_order():
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
