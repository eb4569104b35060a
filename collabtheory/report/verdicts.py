"""Tables made of records: verdicts by statement and stage, named results by stage, controls."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from collabtheory.errors import DataError
from collabtheory.report.table import Cell, Column, Count, Estimate, Table
from collabtheory.report.words import (
    RIGORS,
    VERDICTS,
    enumerate_words,
    number_words,
    overall_verdict,
    stage_label,
    statement_name,
    verdict_words,
    worst_verdict,
)
from collabtheory.runs.folder import Record, RunFolder

RADII = ("theorem_2_3", "aligned_radius")
PROOF, SEARCH = "proof", "search"
WITHOUT_MODEL = (PROOF, SEARCH, None)
"""What the stage of a record says where no model was involved."""


@dataclass(frozen=True)
class Summary:
    """One statement at one stage, all seeds together.

    The verdict is the worst over the seeds, ``tally`` counts each that occurs, worst first; cases are added up, the
    margin is the smallest, the rigor the weakest; ``controls`` counts the negative controls caught there.
    """

    id: str
    title: str
    stage: str | None
    verdict: str
    tally: tuple[tuple[str, int], ...]
    rigor: str
    coverage: Count
    margin: float | None
    controls: Count
    parts: Count
    """Parts that came out well, of all: steps of a proof, inequalities of a search, inequalities on data."""

    @property
    def scope(self) -> Count:
        """How far it speaks: steps of a proof, inequalities that were searched, else cases that met the premise."""
        if self.stage == PROOF:
            return Count(self.parts.met, self.parts.tried, "step")
        if self.stage == SEARCH:
            return Count(self.parts.met, self.parts.tried, "search", "searches")
        return self.coverage

    @property
    def verdict_text(self) -> str:
        """The verdict's label; where the seeds disagree, each label with its count."""
        if len(self.tally) == 1:
            return verdict_words(self.verdict).label
        return ", ".join(f"{verdict_words(name).label} {n}" for name, n in self.tally)


def summaries(run: RunFolder) -> tuple[Summary, ...]:
    """Return one summary per statement and stage: statements as first met in the records, stages in their order."""
    return tuple(_summary(run, records) for records in _groups(run, run.claims).values())


def statement_verdict(rows: Sequence[Summary]) -> str:
    """Return the verdict of a statement from its summaries.

    What was checked on data decides: a proof says that the statement is true, not that it says anything here, and
    vacuous is not passed. Without such a check, or where a proof or search went wrong, all of them count.
    """
    judged, others = on_data(rows), [row for row in rows if row.stage in WITHOUT_MODEL]
    wrong = [row.verdict for row in others if verdict_words(row.verdict).tone == "bad"]
    return overall_verdict([*(row.verdict for row in judged), *wrong])


def on_data(rows: Sequence[Summary]) -> tuple[Summary, ...]:
    """Return the summaries of checks with a model and data; all where there are none."""
    return tuple(row for row in rows if row.stage not in WITHOUT_MODEL) or tuple(rows)


def verdict_table(run: RunFolder, *, brief: bool = False) -> Table:
    """Return the main table: each statement at each stage with verdict, rigor, coverage, worst margin, controls.

    ``brief`` puts stages of training with the same verdict in one row: the smallest share and margin of them.
    """
    columns = (
        Column("Statement", group=True),
        Column("Stage"),
        Column("Verdict"),
        Column("Rigor", spare=True),
        Column("Premise met", form="share", align="right"),
        Column("Worst margin", form="signed", align="right"),
        Column("Controls", unit="caught", form="integer", align="right", once=True),
    )
    rows: list[tuple[Cell, ...]] = []
    by_statement = itertools.groupby(summaries(run), key=lambda one: one.id)
    for statement, group in by_statement:
        counted = distinct_caught(one for one in run.controls if one["id"] == statement)
        for block in _blocks(run, list(group), brief):
            rows.append((statement_name(statement), *_cells(run, block), counted if counted.tried else None))
    caption = (
        f"{_over_seeds(run)}: worst verdict, cases added up, smallest margin. "
        "Margins are relative; one below 0 is a violation."
    )
    return Table("Verdicts", columns, tuple(rows), caption)


def _blocks(run: RunFolder, rows: Sequence[Summary], brief: bool) -> Iterator[list[Summary]]:
    """Yield the summaries of a statement, each alone or (brief) stages of training that say the same together."""
    for key, block in itertools.groupby(
        rows, key=lambda one: (one.stage in run.stages, one.verdict_text, one.rigor) if brief else one
    ):
        together = list(block)
        if brief and isinstance(key, tuple) and not key[0]:
            yield from ([one] for one in together)
        else:
            yield together


def _cells(run: RunFolder, block: Sequence[Summary]) -> tuple[Cell, ...]:
    first, last = block[0], block[-1]
    stage = stage_label(first.stage)
    if len(block) > 1:
        stage = f"all {len(block)}" if len(block) == len(run.stages) else f"{stage} to {stage_label(last.stage)}"
    margins = [one.margin for one in block if one.margin is not None]
    # A step that is discharged has no margin.
    margin: Cell = "" if first.stage == PROOF and first.parts.met == first.parts.tried else min(margins, default=None)
    least = min((one.scope for one in block), key=lambda count: count.share or 0.0)
    differ = len({one.scope.share for one in block}) > 1
    scope: Cell = f"≥ {least.text('share')}" if differ else least
    return stage, first.verdict_text, first.rigor, scope, margin


def numbers_table(run: RunFolder, statement: str) -> Table:
    """Return the named results of one statement, a row each, the stages as columns; mean over seeds with range.

    With one seed, the interval is the one that the record gives. Raises DataError if the statement was not checked.
    """
    groups = {key[1]: records for key, records in _groups(run, run.claims).items() if key[0] == statement}
    # Proof and search have no named results; a column of blanks would say that something is missing.
    groups = {stage: records for stage, records in groups.items() if _number_names(records)} or groups
    if not groups:
        raise DataError(f"{run.path} has no record of {statement}; it has {', '.join(statement_ids(run)) or 'none'}")
    everything = [record for records in groups.values() for record in records]
    columns = (
        Column("Result"),
        *(Column(stage_label(stage), form="number", align="right") for stage in groups),
    )
    rows: list[tuple[Cell, ...]] = []
    for name in _number_names(everything):
        entry = next(record["numbers"][name] for record in everything if name in (record.get("numbers") or {}))
        words = number_words(name, entry)
        rows.append((words.label, *(mean_and_range(records, name, words.form) for records in groups.values())))
    interval = "the record's own interval" if len(run.seeds) <= 1 else "mean, in brackets the range over the seeds"
    caption = f"{_over_seeds(run)}: {interval}.{_n_words(everything)}"
    return Table(f"{statement_name(statement)}: results by stage", columns, tuple(rows), caption)


def coverage_tables(run: RunFolder) -> tuple[Table, ...]:
    """Return the tables of both sharing radii, those of them that the run checked."""
    return tuple(numbers_table(run, statement) for statement in RADII if statement in statement_ids(run))


def controls_table(run: RunFolder) -> Table:
    """Return the negative controls: what was made false, what came out, in how many records it was caught."""
    columns = (
        Column("Statement", group=True),
        Column("Control"),
        Column("What was made false"),
        Column("Came out"),
        Column("Caught", form="integer", align="right"),
    )
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in run.controls:
        groups.setdefault((record["id"], record.get("control_name") or "unnamed"), []).append(record)
    rows = tuple(
        (
            statement_name(statement),
            name.replace("_", " "),
            records[0].get("control_text"),
            enumerate_words(dict.fromkeys(verdict_words(record["verdict"]).label for record in records)),
            caught(records),
        )
        for (statement, name), records in groups.items()
    )
    caption = "Each is a false twin of a statement. All must be caught, or the checks prove nothing."
    return Table("Negative controls", columns, rows, caption)


def tightness_table(run: RunFolder) -> Table:
    """Return how tight every bound is: the ratio of its two sides over the cases, by stage.

    Rows are the named results that start with ``tightness``; a ratio of 1 is equality. Raises DataError if the run has
    none.
    """
    records = [record for record in run.claims if _tightness_names(record)]
    if not records:
        raise DataError(f"{run.path} has no result named tightness")
    stages = [key[1] for key in _groups(run, records)]
    order = sorted(dict.fromkeys(stages), key=(*run.stages, *stages).index)
    columns = (
        Column("Statement", group=True),
        Column("Bound"),
        *(Column(stage_label(stage), form="number", align="right") for stage in order),
    )
    rows: list[tuple[Cell, ...]] = []
    for statement in dict.fromkeys(record["id"] for record in records):
        own = [record for record in records if record["id"] == statement]
        for name in dict.fromkeys(name for record in own for name in _tightness_names(record)):
            label = next(record["numbers"][name]["label"] for record in own if name in record["numbers"])
            by_stage = ([record for record in own if record["stage"] == stage] for stage in order)
            cells = (_tightness(found, name) for found in by_stage)
            rows.append((statement_name(statement), label, *cells))
    one = "median over the cases with the interval that holds 90 % of them"
    several = (
        "mean over the seeds of the median over the cases; in brackets, what holds 90 % of the cases in every seed"
    )
    caption = f"{_over_seeds(run)}: {one if len(run.seeds) <= 1 else several}."
    return Table("Tightness of the bounds", columns, tuple(rows), caption)


def _tightness(records: Sequence[Record], name: str) -> Estimate | None:
    """Return the mean over seeds of a median, with the widest of the seeds' own intervals; None without a record."""
    mean = mean_and_range(records, name, "number")
    entries = [record["numbers"][name] for record in records if name in record["numbers"]]
    ends = [(entry["low"], entry["high"]) for entry in entries if entry.get("low") is not None]
    if not entries or mean.value is None:
        return None
    return replace(mean, low=min(low for low, _ in ends), high=max(high for _, high in ends)) if ends else mean


def _tightness_names(record: Record) -> list[str]:
    return [name for name in _number_names([record]) if name.startswith("tightness")]


def all_tables(run: RunFolder) -> dict[str, Table]:
    """Return every table of a run by file name: verdicts, controls, tightness, and the results of each statement."""
    tables = {"verdicts": verdict_table(run), "controls": controls_table(run)}
    if any(_tightness_names(record) for record in run.claims):
        tables["tightness"] = tightness_table(run)
    for statement in statement_ids(run):
        if any(record.get("numbers") for record in run.claims if record["id"] == statement):
            tables[f"numbers_{statement}"] = numbers_table(run, statement)
    return tables


def statement_ids(run: RunFolder) -> tuple[str, ...]:
    """Return the ids of the statements that were checked, as first met in the records."""
    return tuple(dict.fromkeys(record["id"] for record in run.claims))


def caught(controls: Iterable[Record]) -> Count:
    """Return how many of these controls were caught; one whose ``caught`` is missing counts as not caught."""
    flags = [record.get("caught") is True for record in controls]
    return Count(sum(flags), len(flags))


def distinct_caught(controls: Iterable[Record]) -> Count:
    """Return how many negative controls were caught wherever they ran, each counted once."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in controls:
        groups.setdefault((record["id"], record.get("control_name") or "unnamed"), []).append(record)
    everywhere = [all(record.get("caught") is True for record in own) for own in groups.values()]
    return Count(sum(everywhere), len(everywhere))


def mean_and_range(records: Sequence[Record], name: str, form: str | None = None) -> Estimate:
    """Return a named result over the seeds: the mean with the range; one record gives its own interval.

    No record with that result gives an empty estimate ("n/a"). A seed in which it is undefined (``null``: the precision
    of a radius with nobody inside) is left out and the estimate says so; undefined in all of them is NaN ("undefined").
    """
    entries = [record["numbers"][name] for record in records if name in (record.get("numbers") or {})]
    defined = [entry for entry in entries if entry["value"] is not None and math.isfinite(entry["value"])]
    if not defined:
        return Estimate(float("nan") if entries else None, form=form)
    if len(entries) == 1:
        return Estimate(defined[0]["value"], defined[0].get("low"), defined[0].get("high"), form)
    values = [float(entry["value"]) for entry in defined]
    note = "" if len(values) == len(entries) else f"{len(values)} of {len(entries)} seeds"
    return Estimate(math.fsum(values) / len(values), min(values), max(values), form, note)


def _groups(run: RunFolder, records: Iterable[Record]) -> dict[tuple[str, str | None], list[Record]]:
    """Group records by statement and stage, in reading order."""
    groups: dict[tuple[str, str | None], list[Record]] = {}
    for record in records:
        groups.setdefault((record["id"], record.get("stage")), []).append(record)
    first = {statement: i for i, statement in enumerate(dict.fromkeys(key[0] for key in groups))}
    place = {stage: i for i, stage in enumerate((*WITHOUT_MODEL, *run.stages, "ladder"))}
    keys = sorted(groups, key=lambda key: (first[key[0]], place.get(key[1], len(place))))
    return {key: groups[key] for key in keys}


def _summary(run: RunFolder, records: list[Record]) -> Summary:
    statement, stage = records[0]["id"], records[0].get("stage")
    verdicts = Counter(verdict_words(record["verdict"]).name for record in records)
    margins = [record["margin"] for record in records if record.get("margin") is not None]
    # A control without a stage tests the check itself, so it counts wherever the check ran.
    controls = [one for one in run.controls if one["id"] == statement and one.get("stage") in (stage, None)]
    return Summary(
        id=statement,
        title=records[0]["title"],
        stage=stage,
        verdict=worst_verdict(verdicts),
        tally=tuple((name, verdicts[name]) for name in VERDICTS if verdicts[name]),
        rigor=min((record["rigor"] for record in records), key=_rigor_rank),
        coverage=Count(
            sum(record["coverage"]["met"] for record in records), sum(record["coverage"]["tried"] for record in records)
        ),
        margin=min(margins) if margins else None,
        controls=caught(controls),
        parts=_parts_well(records),
    )


def _parts_well(records: Sequence[Record]) -> Count:
    """Count the parts by name; one comes out well where it does in every record."""
    verdicts: dict[str, list[str]] = {}
    for part in (part for record in records for part in record.get("parts") or []):
        verdicts.setdefault(part["name"], []).append(part["verdict"])
    well = [all(verdict_words(name).tone == "good" for name in found) for found in verdicts.values()]
    return Count(sum(well), len(well))


def _rigor_rank(rigor: str) -> int:
    if rigor not in RIGORS:
        raise DataError(f"unknown rigor {rigor!r}; a record must have one of {', '.join(RIGORS)}")
    return RIGORS.index(rigor)


def _number_names(records: Sequence[Record]) -> list[str]:
    orders: dict[str, float] = {}
    for record in records:
        for name, entry in (record.get("numbers") or {}).items():
            orders.setdefault(name, float(entry.get("order", math.inf)))
    return sorted(orders, key=lambda name: (orders[name], name))


def _n_words(records: Sequence[Record]) -> str:
    """Say the n of the first result; those of later rows may differ (precision counts only pairs inside)."""
    names = _number_names(records)
    counts = {record["numbers"][names[0]].get("n") for record in records if names and names[0] in record["numbers"]}
    known = sorted(n for n in counts if n is not None)
    if not known:
        return ""
    span = f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"
    return f" First row: n = {span} a seed and stage."


def _over_seeds(run: RunFolder) -> str:
    n = len(run.seeds)
    return "Not seeded" if n == 0 else "One seed" if n == 1 else f"Over {n} seeds"


__all__ = [
    "PROOF",
    "RADII",
    "SEARCH",
    "Cell",
    "Summary",
    "all_tables",
    "caught",
    "controls_table",
    "coverage_tables",
    "distinct_caught",
    "mean_and_range",
    "numbers_table",
    "on_data",
    "statement_ids",
    "statement_verdict",
    "summaries",
    "tightness_table",
    "verdict_table",
]
