"""A warning for programs that have both tasklets and the greenlet package.

greenlet moves pieces of *the thread's* C stack to the heap and back. A tasklet has a stack of its
own, of which greenlet knows nothing: greenlets used in several tasklets put their pieces over each
other, and the process crashes. Within one tasklet all is well.
"""

from __future__ import annotations

import sys
import warnings
from importlib.machinery import PathFinder

from stackless._stackless import _call_at_starts, statistics

TEXT = (
    "the greenlet package is imported, and several tasklets run: greenlets may be used in one of "
    "them only, or the process crashes (see Limits in stackless's README)"
)


class _Watch:
    """Warns once: as the second tasklet starts beside greenlet, or greenlet comes to two."""

    def __init__(self) -> None:
        self.tasklets = 0

    def find_spec(self, name, path=None, target=None):
        """Take notice of the import of greenlet, which other finders carry out."""
        if name == "greenlet" and PathFinder.find_spec(name) is not None:
            sys.meta_path.remove(self)
            self.begin()
        return None

    def begin(self) -> None:
        counts = statistics()
        self.tasklets = counts["mounted"] + counts["frozen"]
        if self.tasklets > 1:
            warnings.warn(TEXT, RuntimeWarning, stacklevel=2)
        else:
            _call_at_starts(self.tasklet_starts)

    def tasklet_starts(self) -> None:
        self.tasklets += 1
        if self.tasklets > 1:
            _call_at_starts(None)
            warnings.warn(TEXT, RuntimeWarning, stacklevel=2)


def watch() -> None:
    """Warn, once, when both greenlet and a second tasklet are there."""
    found = _Watch()
    if "greenlet" in sys.modules:
        found.begin()
    else:
        sys.meta_path.insert(0, found)
