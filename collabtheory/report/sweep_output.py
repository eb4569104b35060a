"""A sweep as table, figure and files: accuracy, and measures of the posteriors, against one setting."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collabtheory.report.render import to_csv, to_latex
from collabtheory.report.study_json import round_significant
from collabtheory.report.study_words import MAIN, metric_label
from collabtheory.report.table import Cell, Column, Estimate, Table
from collabtheory.report.words import count_words
from collabtheory.runs.files import write_text
from collabtheory.runs.provenance import provenance
from collabtheory.runs.published import note_published

if TYPE_CHECKING:
    from rich.console import Console

    from collabtheory import stats
    from collabtheory.stats import PairedComparison
    from collabtheory.studies.sweep import Curve, Point

SWEEP_FILE = "sweep.json"
N_ACCURACY = 7
"""Columns of the table before those of the measures."""
DIRECTIONS = {"supported": "higher", "contradicted": "lower", "inconclusive": "inconclusive"}
MEASURE_LABELS = {
    "active_units": ("Active units", "number"),
    "neighbours_kept": ("Neighbours kept", "share"),
    "global_mass": ("Global mass", "share"),
}
MEASURE_WORDS = (
    "Active units: latent dimensions that tell users apart. Neighbours kept: overlap of a user's nearest latent "
    "neighbours between two draws of the model's own mask (1 = no drift; none where nothing is masked). Global mass: "
    "share of the positive part of the gradient cosine that goes to far but related pairs. Their intervals are "
    "Student's t over the folds."
)

SIZE_WORDS = (
    "d_z: mean of the users' differences over their standard deviation. Detectable: the smallest difference that would "
    "have come out with probability 0.8."
)
RISING_WORDS = "Still rising: accuracy at this value or the first rose to the last epochs, so nothing is decided."


def sweep_table(curve: Curve) -> Table:
    """Return one row a value: accuracy, paired difference from the first value, and what was measured."""
    first = curve.points[0]
    measured = list(first.measures)
    columns = [
        Column(curve.setting),
        Column(metric_label(MAIN), form="number", align="right", n=first.ndcg.n),
        Column(f"Minus {first.label}", form="signed", align="right"),
        Column("d_z", form="signed", align="right", spare=True),
        Column("p (Holm)", form="number", align="right"),
        Column("Detectable", form="number", align="right", spare=True),
        Column(f"Against {first.label}"),
    ]
    columns += [Column(MEASURE_LABELS[name][0], form=MEASURE_LABELS[name][1], align="right") for name in measured]
    rows = tuple(
        (*_accuracy_cells(curve, point), *(_cell(point.measures[name]) for name in measured)) for point in curve.points
    )
    title = f"{curve.data.name}: {curve.method.title}, {metric_label(MAIN)} against {curve.setting}"
    return Table(title, tuple(columns), rows, caption(curve))


def caption(curve: Curve, *, brief: bool = False) -> str:
    """Return in words how the table and figure are to be read; ``brief``: of the columns shown in a terminal."""
    rising = any(point.still_rising for point in curve.points)
    parts = (
        f"{count_words(curve.profile.folds, 'fold')} of users, each user tested once; the same users and seeds at "
        "every value; nothing is tuned. In brackets 95 % intervals: of accuracy over users (BCa); of differences the "
        "wider ends of those over users and over folds.",
        "" if brief else SIZE_WORDS,
        MEASURE_WORDS if any(point.measures for point in curve.points) else "",
        RISING_WORDS if rising else "",
        f"Every user came out the same at every value: {curve.method.name} makes no use of this setting."
        if curve.changes_nothing
        else "",
    )
    return " ".join(part for part in parts if part)


def direction(curve: Curve, point: Point) -> str:
    """Return how a point compares with the first: higher, lower or inconclusive; or that one of the two still rises."""
    if point.difference is None:
        return "still rising" if point.still_rising else ""
    if point.still_rising or curve.points[0].still_rising:
        return "still rising"
    return DIRECTIONS[point.difference.verdict]


def print_sweep(console: Console, curve: Curve) -> None:
    """Print a sweep: accuracy and differences with their intervals, then the measures, then how to read them."""
    from rich.text import Text

    table = sweep_table(curve)
    accuracy = [j for j, column in enumerate(table.columns) if j < N_ACCURACY and not column.spare]
    _print_columns(console, table, accuracy, table.title)
    if len(table.columns) > N_ACCURACY:
        measured = [0, *range(N_ACCURACY, len(table.columns))]
        _print_columns(console, table, measured, f"{curve.data.name}: measures of the posteriors")
    console.print(Text(f"n = {curve.points[0].ndcg.n:,} users. {caption(curve, brief=True)}"))


def _print_columns(console: Console, table: Table, shown: Sequence[int], title: str) -> None:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    made = RichTable(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, title_justify="left")
    made.title_style = "bold"
    for j in shown:
        column = table.columns[j]
        # The title names the setting; a long name would only take the room of the numbers.
        label = column.label if j else "value"
        made.add_column(label, justify="right" if column.align == "right" else "left", overflow="fold")
    for row in table.grid():
        # An interval goes below its number, so that three of them fit side by side into 80 columns.
        made.add_row(*(Text(row[j].replace(" [", "\n[")) for j in shown))
    console.print(made)


def write_sweep(folder: Path, curve: Curve, *, command: str = "") -> tuple[Path, ...]:
    """Write a sweep into its run folder and return the paths: JSON, CSV, LaTeX, PNG, SVG.

    All but times, date and machine in the JSON depends on the results alone.
    """
    from collabtheory.report.sweep_figure import write_figure

    table = sweep_table(curve)
    texts = {
        folder / SWEEP_FILE: json.dumps(_short(content(curve, command)), indent=1, sort_keys=True, allow_nan=False)
        + "\n",
        folder / "tables" / "sweep.csv": to_csv(table),
        folder / "tables" / "sweep.tex": to_latex(table),
    }
    for path, text in texts.items():
        write_text(path, text)
    png, svg = (folder / "figures" / f"sweep.{ending}" for ending in ("png", "svg"))
    write_figure(curve, png, svg)
    written = (*texts, png, svg)
    for path in written:
        note_published(path)
    return written


def content(curve: Curve, command: str = "") -> dict[str, Any]:
    """Return all of a sweep as plain values, with where its numbers come from."""
    return {
        "schema": 1,
        "command": command,
        "seed": curve.seed,
        "seconds": round(curve.seconds, 1),
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "machine": provenance(),
        "data": {
            "name": curve.data.name,
            "n_users": curve.data.n_users,
            "n_items": curve.data.n_items,
            "n_interactions": curve.data.n_interactions,
            "fingerprint": curve.data.fingerprint,
            "filters": [str(step) for step in curve.data.filters],
        },
        "protocol": {"folds": curve.profile.folds, "metric": MAIN, "unit": "user", "tuning_trials": 0},
        "method": curve.method.name,
        "title": curve.method.title,
        "changes": dict(curve.method.changes),
        "base_model": curve.profile.model.model_dump(mode="json"),
        "base_training": curve.profile.training.model_dump(mode="json"),
        "setting": curve.setting,
        "points": [_point(curve, point) for point in curve.points],
    }


def _point(curve: Curve, point: Point) -> dict[str, Any]:
    return {
        "value": point.value,
        MAIN: _interval(point.ndcg),
        "per_fold": list(point.per_fold),
        "measures": {name: _interval(found) for name, found in point.measures.items()},
        "still_rising": point.still_rising,
        "difference_from_first": _difference(curve, point, point.difference),
    }


def _difference(curve: Curve, point: Point, found: PairedComparison | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        **(_interval(found.difference) or {}),
        "effect_size": found.effect_size,
        "p": found.p,
        "p_adjusted": found.p_adjusted,
        "smallest_detectable": found.smallest_detectable,
        "direction": direction(curve, point),
    }


def _interval(found: stats.Estimate | None) -> dict[str, Any] | None:
    return None if found is None else {"value": found.value, "low": found.low, "high": found.high, "n": found.n}


def _accuracy_cells(curve: Curve, point: Point) -> tuple[Cell, ...]:
    found = point.difference
    if found is None:
        return (point.label, _cell(point.ndcg), "", "", "", "", direction(curve, point))
    sizes = (found.effect_size, found.p_adjusted, found.smallest_detectable)
    return (point.label, _cell(point.ndcg), _cell(found.difference), *sizes, direction(curve, point))


def _cell(found: stats.Estimate | None) -> Estimate | None:
    return None if found is None else Estimate(found.value, found.low, found.high)


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _short(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_short(one) for one in value]
    if not isinstance(value, float):
        return value
    # JSON has no infinity: an effect whose differences have no spread.
    return round_significant(value) if math.isfinite(value) else None
