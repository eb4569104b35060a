"""A directive that shows tables made of the published results of studies, ``results/*.json``."""

from __future__ import annotations

import base64
import re
import tempfile
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from collabtheory.errors import CollabTheoryError, DataError
from collabtheory.report.study_claims import claim_tables, comparison_table, verdict_matrix
from collabtheory.report.study_json import read_studies
from collabtheory.report.study_published import known_table, published_table
from collabtheory.report.study_schema import Study
from collabtheory.report.study_tables import cohort_table, models_table, settings_table
from collabtheory.report.study_words import made_by
from collabtheory.report.table import Table

NO_RESULTS = "No results yet: no study has been published in this version of the pages."
NO_SUCH = "No result yet: no published study has this part."
FOLDER = "results"


def _each(make: Callable[[Study], Table | None]) -> Callable[[Sequence[Study]], list[Table | None]]:
    return lambda studies: [make(study) for study in studies]


KINDS: dict[str, Callable[[Sequence[Study]], list[Table | None]]] = {
    "models": _each(models_table),
    "cohorts": _each(cohort_table),
    "settings": _each(settings_table),
    "comparisons": lambda studies: [comparison_table(studies)],
    "published": _each(published_table),
    "verdicts": lambda studies: [verdict_matrix(studies)],
}

LONG = 24
"""Text of more characters than this may be broken between lines."""
OTHERS = ("claim", "forest", "provenance", "known")


class StudyResults(SphinxDirective):
    """Shows one kind of table: ``models``, ``verdicts``, ..., ``claim E4``, ``known``, ``forest`` or ``provenance``."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the tables; a file that is wrong is an error of the page."""
        # A result file that is new names no page, so a page with results is always read again.
        self.env.note_reread()
        kind, detail = self.arguments[0], " ".join(self.arguments[1:])
        try:
            if kind == "known":
                return table_nodes(known_table())
            studies = read_studies(Path(self.env.srcdir) / FOLDER)
            return self._shown(kind, detail, studies)
        except CollabTheoryError as error:
            raise self.error(str(error)) from error

    def _shown(self, kind: str, detail: str, studies: Sequence[Study]) -> list[nodes.Node]:
        if kind not in (*KINDS, *OTHERS):
            raise self.error(f"unknown kind {kind!r}; choose one of {', '.join((*KINDS, *OTHERS))}")
        # The claim's name is checked even while there is nothing to show of it.
        tables = list(claim_tables(studies, detail)) if kind == "claim" else []
        if not studies:
            return [nodes.paragraph("", NO_RESULTS)]
        if kind == "provenance":
            return [_provenance(studies)]
        if kind == "forest":
            return _forest(studies)
        tables = tables if kind == "claim" else [table for table in KINDS[kind](studies) if table is not None]
        shown = [node for table in tables if table.rows for node in table_nodes(table)]
        return shown or [nodes.paragraph("", NO_SUCH)]


def table_nodes(table: Table) -> list[nodes.Node]:
    """Return a table of the report as a table of the page, and its caption as a paragraph after it."""
    made = nodes.table("", nodes.title("", table.title), classes=["study"])
    group = nodes.tgroup("", cols=len(table.columns))
    group += [nodes.colspec("", colwidth=1) for _ in table.columns]
    classes = ["text-right" if column.align == "right" else "text-left" for column in table.columns]
    group += nodes.thead("", _row(table.headings, classes))
    group += nodes.tbody("", *(_row(cells, classes) for cells in table.grid(blank_repeats=True)))
    made += group
    return [made, nodes.paragraph("", table.caption, classes=["how"])] if table.caption else [made]


def _row(texts: Sequence[str], classes: Sequence[str]) -> nodes.row:
    return nodes.row("", *(_entry(text, kind) for text, kind in zip(texts, classes, strict=True)))


def _entry(text: str, kind: str) -> nodes.entry:
    """Return a cell; an interval or an n has a line of its own, and only long text may be broken (studies.css)."""
    divided = re.fullmatch(r"(\S.*) (\[[^\]]+, [^\]]+\]|\([^()]*n = [\d,]+\))", text)
    parts = divided.groups() if divided else (text,)
    return nodes.entry(
        "", *(nodes.paragraph("", part) for part in parts), classes=[kind, *(["long"] * (len(text) > LONG))]
    )


def _provenance(studies: Sequence[Study]) -> nodes.bullet_list:
    items = []
    for study in studies:
        text = nodes.paragraph("", f"{study.data.name}: ")
        text += [nodes.literal("", study.command), nodes.Text(f", {made_by(study)}.")]
        items.append(nodes.list_item("", text))
    return nodes.bullet_list("", *items)


def _forest(studies: Sequence[Study]) -> list[nodes.Node]:
    from collabtheory.report.forest_plot import describe, write_forest

    with tempfile.TemporaryDirectory() as folder:
        png, svg = (Path(folder) / f"forest.{kind}" for kind in ("png", "svg"))
        try:
            data = write_forest(studies, png, svg)
        except DataError:
            return [nodes.paragraph("", NO_SUCH)]
        coded = base64.b64encode(svg.read_bytes()).decode("ascii")
    image = f'<img class="forest" alt="{escape(describe(data))}" src="data:image/svg+xml;base64,{coded}">'
    return [nodes.raw("", image, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("study-results", StudyResults)
    app.add_css_file("studies.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
