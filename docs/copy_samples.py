"""Copies programs into the pages that show them, for those who read the pages without Sphinx.

    python docs/copy_samples.py            # brings the pages up to date
    python docs/copy_samples.py --check    # only says which ones aren't

In a page a comment names a file, and perhaps a function or class of it; below it stands the copy:

    <!-- samples/channel.py -->
    <!-- ../examples/migrate.py: move -->
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
LANGUAGES = {".py": "python", ".out": "text"}
COPY = re.compile(
    r"(?ms)^(?P<mark><!-- (?P<file>[\w./]+\.(?:py|out))(?:: (?P<name>\w+))? -->)\n"
    r"(?:```\w+\n.*?^```\n)?"
)


def source_of(path: Path, name: str | None) -> str:
    """Return the text of a file, or of the function or class of that name in it."""
    text = path.read_text()
    if name is None:
        return text
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            lines = text.splitlines(keepends=True)
            return "".join(lines[node.lineno - 1 : node.end_lineno])
    raise SystemExit(f"{path} defines no {name}")


def up_to_date(page: Path) -> str:
    """Return the text that the page is to have."""

    def copy(match: re.Match[str]) -> str:
        path = page.parent / match["file"]
        block = source_of(path, match["name"])
        return f"{match['mark']}\n```{LANGUAGES[path.suffix]}\n{block}```\n"

    return COPY.sub(copy, page.read_text())


def main() -> None:
    """Write, or check, all pages."""
    stale = [page for page in sorted(DOCS.glob("*.md")) if page.read_text() != up_to_date(page)]
    if "--check" in sys.argv[1:]:
        sys.exit("\n".join(f"{page} is stale: run docs/copy_samples.py" for page in stale) or None)
    for page in stale:
        page.write_text(up_to_date(page))


if __name__ == "__main__":
    main()
