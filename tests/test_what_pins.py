"""What docs/what-pins.md says of each construct is true, whatever has been specialised."""

from __future__ import annotations

import pytest
import stackless
import what_pins

CONSTRUCTS = what_pins.fresh_constructs()
ROWS = [
    pytest.param(section, title, id=title.replace("`", ""))
    for section, rows in CONSTRUCTS.CONSTRUCTS.items()
    for title in rows
]


@pytest.fixture(autouse=True)
def budget():
    """Only the programs themselves are frozen as they wait."""
    with what_pins.budget(what_pins.PLENTY):
        yield


@pytest.fixture(scope="module")
def table():
    return what_pins.read_table()


@pytest.mark.parametrize(("section", "title"), ROWS)
def test_the_table_says_what_a_construct_does(table, section, title):
    programs = CONSTRUCTS.CONSTRUCTS[section][title]
    found = what_pins.find_out(CONSTRUCTS, programs)
    assert table[section][title][what_pins.VERSION] == found


def test_the_table_has_no_other_rows(table):
    assert {section: list(rows) for section, rows in table.items()} == {
        section: list(rows) for section, rows in CONSTRUCTS.CONSTRUCTS.items()
    }


def test_no_version_is_left_out(table):
    cells = [cell for rows in table.values() for row in rows.values() for cell in row.values()]
    assert what_pins.UNKNOWN not in cells


def test_why_pinned_names_the_line():
    run = what_pins.Run(CONSTRUCTS, CONSTRUCTS.sorted_by, what_pins.PLENTY)
    code = CONSTRUCTS.sorted_by.__code__
    assert stackless.why_pinned(run.tasklet) == (
        f"C code is in the way: sorted, called at {code.co_filename}:{code.co_firstlineno + 2} "
        f"in {code.co_qualname}"
    )
    run.finish()
