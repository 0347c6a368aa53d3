"""What releases are made of: the workflow of the wheels and pyproject.toml say the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import stackless
from support import child_lines

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MINORS = range(11, 16)


@pytest.fixture
def workflow():
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((ROOT / ".github" / "workflows" / "wheels.yml").read_text())


def test_pyproject_says_in_each_place_which_pythons_there_are():
    assert PROJECT["project"]["requires-python"] == f">=3.{MINORS[0]},<3.{MINORS[-1] + 1}"
    named = [line for line in PROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert named == [f"Programming Language :: Python :: 3.{minor}" for minor in MINORS]


def test_the_versions_agree():
    assert stackless.__version__ == PROJECT["project"]["version"]


def test_the_workflow_builds_a_wheel_for_each_python_on_each_processor(workflow):
    wheels = workflow["jobs"]["wheels"]
    matrix = wheels["strategy"]["matrix"]
    assert matrix["python"] == [f"cp3{minor}" for minor in MINORS]
    assert [name.endswith("-arm") for name in matrix["runner"]] == [False, True]
    (build,) = [step for step in wheels["steps"] if "cibuildwheel" in step.get("uses", "")]
    assert build["env"] == {"CIBW_BUILD": "${{ matrix.python }}-manylinux_*"}


def test_what_is_published_comes_from_a_tag_and_from_all_that_was_built(workflow):
    publish = workflow["jobs"]["publish"]
    assert set(publish["needs"]) == set(workflow["jobs"]) - {"publish"}
    assert publish["if"] == "startsWith(github.ref, 'refs/tags/v')"
    assert publish["permissions"] == {"id-token": "write"}
    assert workflow["permissions"] == {"contents": "read"}
    # YAML takes the key `on` for true.
    assert workflow[True]["push"] == {"tags": ["v*"]}
    assert not [job for job in workflow["jobs"].values() if "secrets." in str(job)]


def test_each_action_is_named_with_its_version(workflow):
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    used = [step["uses"] for step in steps if "uses" in step]
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@(v[\d.]+|release/v\d+)", each) for each in used), used


def test_wheels_are_for_systems_of_2018_and_test_themselves():
    options = PROJECT["tool"]["cibuildwheel"]
    images = {name: image for name, image in options.items() if name.endswith("-image")}
    assert set(images) == {"manylinux-x86_64-image", "manylinux-aarch64-image"}
    assert all(int(image.removeprefix("manylinux_2_")) <= 28 for image in images.values())
    smoke = options["test-command"].removeprefix("python -I {project}/")
    (line,) = child_lines((ROOT / smoke).read_text())
    assert line.startswith(f"stackless {stackless.__version__} works on Python 3.")


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob(".github/ISSUE_TEMPLATE/*.yml")), ids=lambda p: p.stem
)
def test_an_issue_template_can_be_read(path):
    yaml = pytest.importorskip("yaml")
    form = yaml.safe_load(path.read_text())
    if path.stem == "config":
        assert set(form) == {"blank_issues_enabled", "contact_links"}
        return
    assert {"name", "description", "body"} <= set(form)
    for field in form["body"]:
        assert field["type"] in {"markdown", "textarea", "input", "dropdown"}
        assert field["type"] == "markdown" or (field["id"] and field["attributes"]["label"])
    ids = [field["id"] for field in form["body"] if "id" in field]
    assert len(ids) == len(set(ids))
