"""How Sphinx builds the documentation: ./dev docs."""

import importlib.metadata

project = "Stackless for stock CPython"
author = "The stackless-native authors"
copyright = "the stackless-native authors"
release = importlib.metadata.version("stackless-native")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "samples"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"{project} {release}"

# Docstrings write `name` for code, and help() shows it as it is.
default_role = "code"
autodoc_member_order = "groupwise"
nitpicky = True
# What the standard library's docstrings and C signatures mention in passing.
nitpick_ignore = [("py:func", "getdefaulttimeout"), ("py:class", "socket object")]


def as_code(app, what, name, obj, options, lines):
    """Keep a trailing underscore from being a link."""
    lines[:] = [line.replace("PICKLEFLAGS_...", "``PICKLEFLAGS_...``") for line in lines]


def setup(app):
    app.connect("autodoc-process-docstring", as_code)
