r"""The numbers of a run as LaTeX macros, so that a paper's text cannot drift from its run.

A paper writes ``\input{numbers}`` and then ``\ctTheoremTwoThreeTrainedShareHelping`` instead of a number. After another
run the same names have its numbers; a name that the run no longer has stops LaTeX with an error. LaTeX eats
the space after a macro, so ``\ctDataUsers{}`` is written where one follows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from collabtheory.report.macro_names import Macro, latex_number, macro_name, unique
from collabtheory.report.study_json import read_study
from collabtheory.report.study_schema import Comparison, Interval, Method, Study
from collabtheory.report.table import Estimate
from collabtheory.report.verdicts import Summary, mean_and_range, statement_verdict, summaries
from collabtheory.report.words import number_words, verdict_words
from collabtheory.runs.files import write_text
from collabtheory.runs.folder import Record, RunFolder

HEADING = """\
% Numbers of {runs}. Written by collabtheory; do not edit.
% Each macro has the value; with Low, High and N added to its name, the interval and the number of cases.
"""


def write_numbers(runs: Sequence[RunFolder], path: Path) -> Path:
    """Write :func:`numbers_text` to a file and return its path."""
    write_text(path, numbers_text(runs))
    return path


def numbers_text(runs: Sequence[RunFolder]) -> str:
    r"""Return the macros of runs as LaTeX, sorted by name.

    With several runs each name begins with its run's: ``\ctMlOneMTheorem...``.

    Raises
    ------
    DataError
        If a run's records or its study are corrupted.
    """
    macros = unique(
        macro for run in runs for macro in run_macros(run, run.path.resolve().name if len(runs) > 1 else "")
    )
    heading = HEADING.format(runs=", ".join(run.path.resolve().name for run in runs))
    lines = [rf"\newcommand{{\{macro.name}}}{{{macro.text}}}% {macro.about}" for macro in macros]
    return heading + "".join(f"{line}\n" for line in lines)


def run_macros(run: RunFolder, prefix: str = "") -> tuple[Macro, ...]:
    """Return the macros of one run: data, verdicts, named numbers of records, and those of its study if it has one.

    Parameters
    ----------
    run
        The run.
    prefix
        What all names begin with, after ``ct``.
    """
    made = [*_data(run, prefix), *_verdicts(run, prefix), *_numbers(run, prefix)]
    study = run.path / "study.json"
    if study.is_file():
        made += _study(read_study(study), prefix)
    return unique(made)


def _macro(text: str, *parts: object) -> Macro:
    about = " ".join(str(part) for part in parts if str(part))
    return Macro(macro_name(*parts), latex_number(text), " ".join(about.split()))


def _estimate(estimate: Estimate, form: str, n: int | None, *parts: object) -> Iterator[Macro]:
    """Yield a value and, where they are known, the ends of its interval and its n."""
    yield _macro(Estimate(estimate.value).text(form), *parts)
    for name, end in (("low", estimate.low), ("high", estimate.high)):
        if end is not None:
            yield _macro(Estimate(end).text(form), *parts, name)
    if n is not None:
        yield _macro(f"{n:,}", *parts, "n")
    if estimate.note:
        yield _macro(estimate.note, *parts, "note")


def _data(run: RunFolder, prefix: str) -> Iterator[Macro]:
    about = run.meta.get("data")
    for key, value in about.items() if isinstance(about, dict) else ():
        if isinstance(value, int) and key.startswith("n_"):
            yield _macro(f"{value:,}", prefix, "data", key.removeprefix("n_"))
        elif key == "name":
            yield _macro(str(value), prefix, "data", "name")
    yield _macro(f"{len(run.seeds)}", prefix, "number of seeds")


def _verdicts(run: RunFolder, prefix: str) -> Iterator[Macro]:
    for statement, group in itertools.groupby(summaries(run), key=lambda one: one.id):
        rows = list(group)
        yield _macro(verdict_words(statement_verdict(rows)).label, prefix, statement, "verdict")
        for row in rows:
            yield from _verdict(row, prefix, statement, row.stage or "")


def _verdict(row: Summary, *parts: object) -> Iterator[Macro]:
    yield _macro(row.verdict_text, *parts, "stage verdict")
    if row.coverage.tried:
        yield _macro(f"{row.coverage.tried:,}", *parts, "cases")
        yield _macro(Estimate(row.coverage.share).text("share"), *parts, "premise met")
    if row.margin is not None:
        yield _macro(Estimate(row.margin).text("signed"), *parts, "margin")


def _numbers(run: RunFolder, prefix: str) -> Iterator[Macro]:
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in run.claims:
        groups.setdefault((record["id"], record.get("stage") or ""), []).append(record)
    for (statement, stage), records in groups.items():
        for name in dict.fromkeys(name for record in records for name in record.get("numbers") or {}):
            entries = [record["numbers"][name] for record in records if name in (record.get("numbers") or {})]
            form = number_words(name, entries[0]).form
            counts = {entry.get("n") for entry in entries}
            n = counts.pop() if len(counts) == 1 else None
            yield from _estimate(mean_and_range(records, name), form, n, prefix, statement, stage, name)
            yield from _of_seeds(records, name, form, prefix, statement, stage, name)


def _of_seeds(records: Sequence[Record], name: str, form: str, *parts: object) -> Iterator[Macro]:
    if len(records) < 2:
        return
    for record in records:
        entry = (record.get("numbers") or {}).get(name)
        if entry is not None and record.get("seed") is not None:
            yield from _estimate(mean_and_range([record], name), form, entry.get("n"), *parts, "seed", record["seed"])


def _study(study: Study, prefix: str) -> Iterator[Macro]:
    for method in study.methods:
        yield from _method(method, prefix, "study")
    for comparison in study.comparisons:
        yield from _comparison(comparison, prefix, "study")
    for claim in study.claims:
        yield _macro(verdict_words(claim.verdict).label, prefix, "study", claim.id, "verdict")


def _method(method: Method, *parts: object) -> Iterator[Macro]:
    for metric, interval in method.metrics.items():
        yield from _interval(interval, "number", *parts, method.name, metric)
    for cohort, metrics in method.cohorts.items():
        for metric, interval in metrics.items():
            yield from _interval(interval, "number", *parts, method.name, cohort, metric)


def _comparison(one: Comparison, *parts: object) -> Iterator[Macro]:
    names = (*parts, one.claim, one.first, "minus", one.second, one.metric, one.cohort or "")
    yield from _interval(one.difference, "signed", *names)
    yield _macro(verdict_words(one.verdict).label, *names, "verdict")


def _interval(interval: Interval, form: str, *parts: object) -> Iterator[Macro]:
    yield from _estimate(Estimate(interval.value, interval.low, interval.high), form, interval.n, *parts)
