"""A tested checkpoint in the terminal: accuracy with intervals, by cohort, and what is recommended."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from collabtheory.report.formats import share
from collabtheory.report.study_words import metric_label
from collabtheory.report.table import Column, Estimate, Table
from collabtheory.report.words import count_words

if TYPE_CHECKING:
    from rich.console import Console

    from collabtheory import stats
    from collabtheory.models.training_run import Evaluation

ROOM_FOR_ONE_LINE = 30
"""Columns that a number with its interval takes; below that the interval goes to a second line."""


def accuracy_table(result: Evaluation) -> Table:
    """Return one row for all users and one a cohort; each metric with its interval over users."""
    columns = [Column("Users"), Column("n", form="integer", align="right")]
    columns += [Column(metric_label(name), form="number") for name in result.means]
    rows: list[tuple[str | int | Estimate, ...]] = [("all", result.n_users, *_cells(result.means))]
    rows += [(f"{cohort.name} items", cohort.n_users, *_cells(cohort.means)) for cohort in result.cohorts]
    caption = (
        "In brackets the 95 % interval over users (BCa bootstrap; the trained model counts as fixed). Cohorts by the "
        "number of all interactions of a user."
    )
    return Table(f"{result.data}: accuracy of {result.path.name}", tuple(columns), tuple(rows), caption)


def exposure_lines(result: Evaluation) -> tuple[str, ...]:
    """Return in sentences which items are recommended."""
    found = result.exposure
    lift = "more" if found.popularity_lift > 0 else "less"
    return (
        f"The {found.k} best items of all users cover {share(found.coverage)} of the catalogue (Gini coefficient "
        f"{found.gini:.2f}; 0 = all items equally often).",
        f"Mean popularity percentile (50 % = items at random): {share(found.popularity_percentile)} of the "
        f"recommendations, {share(found.history_percentile)} of the users' own items; "
        f"{share(abs(found.popularity_lift))} {lift} popular.",
    )


def print_evaluation(console: Console, result: Evaluation) -> None:
    """Print the result of :func:`~collabtheory.models.training_run.evaluate_file`: intervals, cohorts, exposure."""
    left_out = f"; {count_words(result.n_left_out, 'user')} with fewer than 2 items left out" * bool(result.n_left_out)
    console.print(
        f"{result.path}: epoch {result.epoch}, tested on {count_words(result.n_users, 'user')} that training never saw "
        f"(seed {result.seed}{left_out})",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    _print_table(console, accuracy_table(result))
    for line in exposure_lines(result):
        console.print(line, highlight=False, markup=False)


def _print_table(console: Console, table: Table) -> None:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    # The tables of a run leave intervals to files; this one has no file.
    made = RichTable(title=table.title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, title_justify="left")
    made.title_style = "bold"
    for column in table.columns:
        made.add_column(column.label, justify="right" if column.align == "right" else "left", no_wrap=True)
    one_line = console.width >= 20 + ROOM_FOR_ONE_LINE * (len(table.columns) - 2)
    for row in table.grid():
        made.add_row(*(Text(cell if one_line else cell.replace(" [", "\n[")) for cell in row))
    console.print(made)
    console.print(Text(table.caption))


def _cells(means: Mapping[str, stats.Estimate]) -> tuple[Estimate, ...]:
    return tuple(
        Estimate(one.value) if math.isnan(one.low) else Estimate(one.value, one.low, one.high) for one in means.values()
    )
