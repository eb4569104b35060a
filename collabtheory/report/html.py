"""The report of a run: one HTML file that opens offline, with everything inside it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from collabtheory.report import words
from collabtheory.report.explorer import make_explorer
from collabtheory.report.figure_files import DrawnFigure, write_figures
from collabtheory.report.formats import number
from collabtheory.report.headline import Headline, headline, statements
from collabtheory.report.junit import write_junit
from collabtheory.report.matrix import claim_rows, verdict_key, verdict_matrix
from collabtheory.report.numbers_tex import write_numbers
from collabtheory.report.render import RENDERERS, to_html
from collabtheory.report.sections import make_sections, place_figures
from collabtheory.report.table import Column, Table
from collabtheory.report.verdicts import (
    RADII,
    all_tables,
    controls_table,
    coverage_tables,
    numbers_table,
    statement_ids,
    verdict_table,
)
from collabtheory.runs.files import write_text
from collabtheory.runs.folder import RunFolder, open_run
from collabtheory.runs.published import note_published

if TYPE_CHECKING:
    from collabtheory.runs.engine import Engine

LARGE_IMAGE = 200_000
"""Bytes from which on a figure is shown in its smaller format."""
LIMITS = (
    "Vacuous is not passed. A statement whose premise no pair meets is true there, and tells nothing.",
    "A radius is a sufficient condition. Most pairs that help each other lie outside it; being outside proves no harm.",
    "Holds means no counterexample among the cases tried, in floating point. Only certified and proved are proofs.",
    "The results are about these data, this model and these seeds. Other data can give other shares.",
    "Help is measured for one plain gradient step on the decoder, not for a whole training with an adaptive optimiser.",
)


def write_report(
    run: RunFolder | Path | str,
    figures: Sequence[DrawnFigure] | None = None,
    progress: Callable[[str], None] | None = None,
    engine: Engine | None = None,
) -> Path:
    """Write all that a run shows: figures, tables, ``junit.xml`` and, last, ``report.html``, whose path is returned.

    Parameters
    ----------
    run
        The run folder.
    figures
        Figures that are drawn already (:func:`write_figures`); ``None`` draws those of this installation first.
    progress
        Called with the title of each figure before it is drawn.
    engine
        Workers that draw, see :func:`~collabtheory.report.figure_files.draw_figures`.

    Raises
    ------
    DataError
        If the folder is not a run or a record is corrupted.
    OutputError
        If a file cannot be written; an older report stays as it was, since each file is replaced in one step.
    """
    opened = open_run(run)
    drawn = write_figures(opened, progress=progress, engine=engine) if figures is None else list(figures)
    page = render_report(opened, drawn)
    tables = write_tables(opened)
    junit = write_junit(opened)
    path = opened.path / "report.html"
    write_text(path, page)
    pictures = [file for figure in drawn for file in (figure.png, figure.svg) if file is not None]
    for written in (*pictures, *tables, junit, path):
        note_published(written)
    return path


def write_tables(run: RunFolder | Path | str) -> list[Path]:
    """Write every table of a run as ``tables/<name>.md``, ``.tex`` ``.csv``, and ``numbers.tex``; return the paths."""
    opened = open_run(run)
    written = []
    for name, table in all_tables(opened).items():
        for suffix, render in RENDERERS.items():
            path = opened.path / "tables" / f"{name}.{suffix}"
            write_text(path, render(table))
            written.append(path)
    return [*written, write_numbers([opened], opened.path / "tables" / "numbers.tex")]


def render_report(run: RunFolder, figures: Sequence[DrawnFigure]) -> str:
    """Return the report as HTML text: no reference to anything outside, no script but the explorer's, all escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("collabtheory.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        words=words.VERDICTS, image=figure_image, plain=lambda text: text.replace(str(run.path), "this run")
    )
    answer: Headline = headline(run)
    placed = place_figures(figures, statement_ids(run))
    matrix, claims = verdict_matrix(run), claim_rows(run)
    return environment.get_template("report.html.jinja").render(
        headline=answer,
        tiles=_tiles(run, answer),
        matrix=matrix,
        claims=claims,
        key=verdict_key(matrix, claims),
        explorer=make_explorer(run),
        sections=make_sections(run, placed),
        placed=placed,
        verdicts=to_html(verdict_table(run)),
        coverage=[to_html(table) for table in coverage_tables(run)],
        other_numbers=[to_html(table) for table in _other_numbers(run)],
        limits=LIMITS,
        legend=tuple(words.VERDICTS.values())[::-1],
        controls=to_html(controls_table(run)) if run.controls else None,
        provenance=to_html(provenance_table(run)),
    )


def provenance_table(run: RunFolder) -> Table:
    """Return where a run comes from: what ``run.json`` says, fingerprints of data and models, seconds of each step."""
    rows = [(name, value) for name, value in _flatten(run.meta)]
    for field in ("data", "model"):
        prints = dict.fromkeys(str(record[field]) for record in run.records if record.get(field))
        rows += [(f"SHA-256 of the {field}", value) for value in prints]
    rows += [(f"seconds: {name}", value) for name, value in _flatten(run.times)]
    return Table("Provenance", (Column("What"), Column("Value")), tuple(rows), "What it takes to repeat this run.")


def figure_image(figure: DrawnFigure) -> str:
    """Return a drawn figure as a data URI: of its images the vector one, or the smaller where that is large."""
    images = [path for path in (figure.svg, figure.png) if path is not None]
    if images[0].stat().st_size > LARGE_IMAGE:
        images.sort(key=lambda path: path.stat().st_size)
    kind = {".png": "image/png", ".svg": "image/svg+xml"}[images[0].suffix]
    return f"data:{kind};base64,{base64.b64encode(images[0].read_bytes()).decode('ascii')}"


def _tiles(run: RunFolder, answer: Headline) -> list[tuple[str, str]]:
    n = sum(answer.verdicts.values())
    tiles = [(f"{n}", "statement" if n == 1 else "statements")]
    tiles += [(f"{len(run.stages)}", "stages of training")] if run.stages else []
    tiles += [(f"{len(run.seeds)}", "seed" if len(run.seeds) == 1 else "seeds")] if run.seeds else []
    return [*tiles, (answer.controls.text("integer"), "controls caught")]


def _other_numbers(run: RunFolder) -> Iterator[Table]:
    for statement in statements(run):
        numbered = any(record.get("numbers") for record in run.claims if record["id"] == statement)
        if numbered and statement not in RADII:
            yield numbers_table(run, statement)


def _flatten(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name = f"{above}.{key}" if above else str(key)
        if isinstance(value, Mapping):
            yield from _flatten(value, name)
        elif isinstance(value, list):
            yield name, ", ".join(_scalar(one) for one in value)
        else:
            yield name, _scalar(value)


def _scalar(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)


__all__ = ["figure_image", "provenance_table", "render_report", "write_report", "write_tables"]
