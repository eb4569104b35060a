"""The report of a run: one HTML file that opens offline, with everything inside it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from collabtheory.report import words
from collabtheory.report.figure_files import DrawnFigure, write_figures
from collabtheory.report.formats import number, signed
from collabtheory.report.headline import Headline, headline, statements
from collabtheory.report.junit import write_junit
from collabtheory.report.render import RENDERERS, to_html
from collabtheory.report.table import Column, Count, Table
from collabtheory.report.verdicts import (
    RADII,
    Summary,
    all_tables,
    controls_table,
    coverage_tables,
    numbers_table,
    verdict_table,
)
from collabtheory.runs.files import write_text
from collabtheory.runs.folder import Record, RunFolder, open_run
from collabtheory.runs.published import note_published

TRAINING = "training_curve"
LIMITS = (
    "Vacuous is not passed. A statement whose premise no pair meets is true there, and tells nothing.",
    "A radius is a sufficient condition. Most pairs that help each other lie outside it; being outside proves no harm.",
    "Holds means no counterexample among the cases tried, in floating point. Only certified and proved are proofs.",
    "The results are about these data, this model and these seeds. Other data can give other shares.",
    "Help is measured for one plain gradient step on the decoder, not for a whole training with an adaptive optimiser.",
)


@dataclass(frozen=True)
class Part:
    """One step of a statement, all seeds and stages together."""

    name: str
    text: str
    verdict: words.VerdictWords
    coverage: str
    margin: str


@dataclass(frozen=True)
class Card:
    """One statement as the report shows it."""

    name: str
    title: str
    verdict: words.VerdictWords
    verdict_text: str
    rows: tuple[tuple[str, words.VerdictWords, str, str, str], ...]  # stage, verdict, verdict text, coverage, margin
    parts: tuple[Part, ...]
    worst: str
    notes: tuple[str, ...]


def write_report(
    run: RunFolder | Path | str,
    figures: Sequence[DrawnFigure] | None = None,
    progress: Callable[[str], None] | None = None,
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

    Raises
    ------
    DataError
        If the folder is not a run or a record is corrupted.
    OutputError
        If a file cannot be written; an older report stays as it was, since each file is replaced in one step.
    """
    opened = open_run(run)
    drawn = write_figures(opened, progress=progress) if figures is None else list(figures)
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
    """Write every table of a run as ``tables/<name>.md``, ``.tex`` and ``.csv`` and return the paths."""
    opened = open_run(run)
    written = []
    for name, table in all_tables(opened).items():
        for suffix, render in RENDERERS.items():
            path = opened.path / "tables" / f"{name}.{suffix}"
            write_text(path, render(table))
            written.append(path)
    return written


def render_report(run: RunFolder, figures: Sequence[DrawnFigure]) -> str:
    """Return the report as HTML text: no script, no reference to anything outside it, every value escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("collabtheory.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        words=words.VERDICTS, image=image_data, plain=lambda text: text.replace(str(run.path), "this run")
    )
    answer: Headline = headline(run)
    shown = [figure for figure in figures if figure.name != TRAINING]
    return environment.get_template("report.html.jinja").render(
        headline=answer,
        tiles=_tiles(run, answer),
        cards=[_card(rows, run.claims) for rows in statements(run).values()],
        first_figure=shown[0] if shown else None,
        more_figures=shown[1:],
        training_figures=[figure for figure in figures if figure.name == TRAINING],
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


def image_data(path: Path) -> str:
    """Return an image file as a data URI."""
    kind = {".png": "image/png", ".svg": "image/svg+xml"}[path.suffix]
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _tiles(run: RunFolder, answer: Headline) -> list[tuple[str, str]]:
    n = sum(answer.verdicts.values())
    tiles = [(f"{n}", "statement" if n == 1 else "statements")]
    tiles += [(f"{len(run.stages)}", "stages of training")] if run.stages else []
    tiles += [(f"{len(run.seeds)}", "seed" if len(run.seeds) == 1 else "seeds")] if run.seeds else []
    return [*tiles, (answer.controls.text("integer"), "controls caught")]


def _card(rows: tuple[Summary, ...], claims: Sequence[Record]) -> Card:
    records = [record for record in claims if record["id"] == rows[0].id]
    overall = words.verdict_words(words.overall_verdict(row.verdict for row in rows))
    agree = sum(words.verdict_words(row.verdict).tone == overall.tone for row in rows)
    return Card(
        name=words.statement_name(rows[0].id),
        title=rows[0].title,
        verdict=overall,
        verdict_text=overall.label if agree == len(rows) else f"{overall.label} at {agree} of {len(rows)} stages",
        rows=tuple(
            (
                words.stage_label(row.stage),
                words.verdict_words(row.verdict),
                row.verdict_text,
                row.coverage.text("share"),
                "n/a" if row.margin is None else signed(row.margin),
            )
            for row in rows
        ),
        parts=_parts(records),
        worst=_worst(records),
        notes=tuple(dict.fromkeys(note for record in records for note in record.get("notes") or [])),
    )


def _parts(records: Sequence[Record]) -> tuple[Part, ...]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        for part in record.get("parts") or []:
            groups.setdefault(part["name"], []).append(part)
    return tuple(_part(name, parts) for name, parts in groups.items())


def _part(name: str, parts: Sequence[Mapping[str, Any]]) -> Part:
    margins = [part["margin"] for part in parts if part.get("margin") is not None]
    met, tried = (sum(part["coverage"][key] for part in parts) for key in ("met", "tried"))
    verdict = words.overall_verdict(part["verdict"] for part in parts)
    coverage = Count(met, tried).text("share")
    margin = signed(min(margins)) if margins else "n/a"
    return Part(name.replace("_", " "), parts[0].get("text") or "", words.verdict_words(verdict), coverage, margin)


def _worst(records: Sequence[Record]) -> str:
    """Return the case with the smallest margin over all records, in words; empty where no record has one."""
    known = [record for record in records if record.get("worst") and record.get("margin") is not None]
    if not known:
        return ""
    record = min(known, key=lambda one: one["margin"])
    where = [words.stage_phrase(record["stage"])] if record.get("stage") else []
    where += [f"seed {record['seed']}"] if record.get("seed") is not None else []
    case = ", ".join(f"{name} = {_scalar(value)}" for name, value in record["worst"].items())
    return f"{case} ({', '.join(where)})" if where else case


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


__all__ = ["image_data", "provenance_table", "render_report", "write_report", "write_tables"]
