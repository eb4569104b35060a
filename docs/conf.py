"""Sphinx: one page a statement, generated from the code that is run."""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent)]

from collabtheory._version import __version__  # noqa: E402

project = "collabtheory"
author = "The collabtheory authors"
copyright = "the collabtheory authors, Apache-2.0"
release = version = __version__

extensions = ["myst_parser", "mathml", "command", "study_results", "measured_tables", "speed_tables", "gallery"]
myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_extensions", "statements/_*.md"]
nitpicky = True

html_theme = "furo"
html_title = f"collabtheory {__version__}"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sourcelink = False


def write_statements(app: Sphinx) -> None:
    """Generate the statements' pages from the code; a page that did not change is left alone."""
    from collabtheory.claims.discovery import discover
    from collabtheory.report.statement_pages import write_pages

    write_pages(discover(), HERE / "statements")


def setup(app: Sphinx) -> None:
    """Generate pages before Sphinx looks for them."""
    app.connect("builder-inited", write_statements)
