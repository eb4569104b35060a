"""Tables made of the published result of a study: accuracy, cohorts, settings; all of them, and in the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO

from collabtheory.report.study_claims import comparison_table, verdict_matrix
from collabtheory.report.study_published import published_table
from collabtheory.report.study_schema import Method, Study
from collabtheory.report.study_words import (
    MAIN,
    by_accuracy,
    cohort_key,
    counted_column,
    interval_cell,
    method_title,
    metric_label,
    sizes_text,
    union,
)
from collabtheory.report.table import Column, Table
from collabtheory.report.words import count_words


def models_table(study: Study) -> Table:
    """Return one row a method, the best nDCG@100 first: each metric with its interval, coverage, popularity."""
    methods = by_accuracy(study)
    names = union(method.metrics for method in methods)
    columns = [Column("Model"), *(_metric_column(name, methods) for name in names)]
    columns.append(Column("SE", form="number", align="right"))
    columns.append(Column("Coverage at 100", form="share", align="right", spare=True))
    columns.append(Column("Popularity at 100", form="share", align="right", spare=True))
    rows = []
    for method in methods:
        main = method.metrics.get(MAIN)
        measured = [interval_cell(method.metrics.get(name)) for name in names]
        error = main.standard_error if main else None
        rows.append((method_title(method), *measured, error, method.coverage, method.popularity_percentile))
    caption = (
        f"{sizes_text(study)} {count_words(study.protocol.folds, 'fold')}, each user tested once; "
        "in brackets the interval. "
        "SE: standard error of nDCG@100 over users. Coverage: share of the items among all first 100. Popularity: "
        f"mean popularity rank of the first 100, 100 % is the most popular item.{_notes(methods)}"
    )
    return Table(f"{study.data.name}: accuracy of the models", tuple(columns), tuple(rows), caption)


def cohort_table(study: Study, metric: str = MAIN) -> Table:
    """Return one row a method, one column a cohort of interaction counts."""
    methods = [method for method in by_accuracy(study) if method.cohorts]
    names = sorted(union(method.cohorts for method in methods), key=cohort_key)
    columns = [Column("Model")]
    for name in names:
        shown = [method.cohorts.get(name, {}).get(metric) for method in methods]
        columns.append(counted_column(f"[{name}]", shown))
    rows = tuple(
        (method_title(method), *(interval_cell(method.cohorts.get(name, {}).get(metric)) for name in names))
        for method in methods
    )
    caption = "Users by the number of all their interactions; in brackets the interval."
    return Table(f"{study.data.name}: {metric_label(metric)} by cohort", tuple(columns), rows, caption)


def settings_table(study: Study) -> Table | None:
    """Return clean, masked, masked + PIA in the form of the paper's tables; None if the study has no such part."""
    if study.settings_study is None:
        return None
    rows = study.settings_study.rows
    cohorts = sorted(union(row.cohorts for row in rows), key=cohort_key)
    columns = [Column("Inputs"), counted_column(metric_label(MAIN), [row.ndcg for row in rows])]
    columns += [counted_column(f"[{name}]", [row.cohorts.get(name, {}).get(MAIN) for row in rows]) for name in cohorts]
    columns.append(counted_column("Neighbours kept", [row.neighbour_overlap for row in rows], "share"))
    columns.append(counted_column("Global mass", [row.global_mass for row in rows], "share"))
    columns.append(counted_column("Local mass", [row.local_mass for row in rows], "share"))
    cells = tuple(
        (
            row.setting,
            interval_cell(row.ndcg),
            *(interval_cell(row.cohorts.get(name, {}).get(MAIN)) for name in cohorts),
            *(interval_cell(one) for one in (row.neighbour_overlap, row.global_mass, row.local_mass)),
        )
        for row in rows
    )
    caption = (
        "Columns of cohorts: nDCG@100. Neighbours kept: share of a user's nearest latent neighbours that two draws of "
        "the mask have in common (1 = no drift). Mass: share of the positive part of the gradient cosine that goes to "
        "far but related pairs (global) and to input neighbours (local). The paper, on ML-20M: nDCG@100 of 0.409 "
        "clean, 0.426 masked, 0.437 masked + PIA (arXiv:2511.06781)."
    )
    return Table(f"{study.data.name}: clean, masked, masked + PIA", tuple(columns), cells, caption)


def study_tables(study: Study, *, brief: bool = False) -> tuple[Table, ...]:
    """Return every table of one study that has a row, in reading order; ``brief`` for a terminal."""
    made = (
        models_table(study),
        cohort_table(study),
        settings_table(study),
        comparison_table(study, brief=brief),
        published_table(study),
        verdict_matrix([study]),
    )
    return tuple(table for table in made if table is not None and table.rows)


def print_study(study: Study, file: IO[str] | None = None, *, width: int | None = None) -> None:
    """Print the tables of a study to the terminal; intervals are left to the files.

    Parameters
    ----------
    study
        What to print.
    file
        Where to print; default standard output.
    width
        Columns; default the terminal's own, at most 100.
    """
    from rich.console import Console
    from rich.text import Text

    from collabtheory.report.terminal import WIDEST, to_rich

    console = Console(file=file, width=width, highlight=False)
    if width is None:
        console = Console(file=file, width=min(console.width, WIDEST), highlight=False)
    console.print(Text(sizes_text(study)))
    for table in study_tables(study, brief=True):
        console.print(to_rich(table, console.width))


def _notes(methods: Iterable[Method]) -> str:
    rising = any(not method.converged for method in methods)
    words = " Not converged: accuracy still rose in the last epochs, so comparisons with it decide nothing."
    notes = [f" {method.title}: {method.note.rstrip('.')}." for method in methods if method.note]
    return "".join([words if rising else "", *notes])


def _metric_column(name: str, methods: Iterable[Method]) -> Column:
    return counted_column(metric_label(name), [one.metrics.get(name) for one in methods])
