"""What a run says, for people and for tools: tables, JUnit, figures, one offline HTML report."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collabtheory.report.figure_files import DrawnFigure, find_figures, load_figure, write_figures
    from collabtheory.report.headline import Headline, headline
    from collabtheory.report.html import render_report, write_report, write_tables
    from collabtheory.report.junit import to_junit, write_junit
    from collabtheory.report.render import to_csv, to_html, to_latex, to_markdown
    from collabtheory.report.table import Column, Count, Estimate, Table
    from collabtheory.report.terminal import print_verdicts, verdict_text
    from collabtheory.report.verdicts import (
        all_tables,
        controls_table,
        coverage_tables,
        numbers_table,
        summaries,
        tightness_table,
        verdict_table,
    )

# Imported on first use: a table must not cost matplotlib, nor a figure jinja2.
_NAMES = {
    "figure_files": ("DrawnFigure", "find_figures", "load_figure", "write_figures"),
    "headline": ("Headline", "headline"),
    "html": ("render_report", "write_report", "write_tables"),
    "junit": ("to_junit", "write_junit"),
    "render": ("to_csv", "to_html", "to_latex", "to_markdown"),
    "table": ("Column", "Count", "Estimate", "Table"),
    "terminal": ("print_verdicts", "verdict_text"),
    "verdicts": (
        "all_tables",
        "controls_table",
        "coverage_tables",
        "numbers_table",
        "summaries",
        "tightness_table",
        "verdict_table",
    ),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "Column",
    "Count",
    "DrawnFigure",
    "Estimate",
    "Headline",
    "Table",
    "all_tables",
    "controls_table",
    "coverage_tables",
    "find_figures",
    "headline",
    "load_figure",
    "numbers_table",
    "print_verdicts",
    "render_report",
    "summaries",
    "tightness_table",
    "to_csv",
    "to_html",
    "to_junit",
    "to_latex",
    "to_markdown",
    "verdict_table",
    "verdict_text",
    "write_figures",
    "write_junit",
    "write_report",
    "write_tables",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"collabtheory.report.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'collabtheory.report' has no attribute {name!r}")
