"""Statements as the report shows them: a card each, with proof steps, searches, controls and checks on data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collabtheory.claims.counterexample import counterexample_name
from collabtheory.report import words
from collabtheory.report.formats import number, signed
from collabtheory.report.mathematics import plain, shortened
from collabtheory.report.table import Count
from collabtheory.report.verdicts import PROOF, SEARCH, Summary, caught, distinct_caught, on_data, statement_verdict
from collabtheory.runs.folder import Record, RunFolder

LONGEST_DETAIL = 320
LONGEST_CASE = 240
LONGEST_SIDE = 60
_SIGNS = {"<=": "≤", ">=": "≥", "==": "="}


@dataclass(frozen=True)
class Row:
    """One line of a card: a statement at one stage."""

    stage: str
    verdict: words.VerdictWords
    text: str
    coverage: str
    margin: str


@dataclass(frozen=True)
class Part:
    """One part of a statement: an inequality on data, a step of its proof, or a search; all seeds and stages together.

    ``how`` says by which means a proof step was discharged.
    """

    name: str
    text: str
    verdict: words.VerdictWords
    coverage: str
    margin: str
    how: str


@dataclass(frozen=True)
class Counterexample:
    """A case that refutes something: its values, both sides, and where it was kept (empty: only in the record)."""

    case: str
    sides: str
    file: str


@dataclass(frozen=True)
class Control:
    """One false twin: what was changed, what came out, and a case that refutes it."""

    name: str
    change: str
    caught: Count
    verdict: words.VerdictWords
    counterexample: Counterexample | None


@dataclass(frozen=True)
class Card:
    """One statement as the report shows it."""

    name: str
    title: str
    verdict: words.VerdictWords
    verdict_text: str
    rows: tuple[Row, ...]
    steps: tuple[Part, ...]
    searches: tuple[Part, ...]
    counterexamples: tuple[Counterexample, ...]
    controls: tuple[Control, ...]
    caught: Count
    parts: tuple[Part, ...]
    worst: str
    notes: tuple[str, ...]


def make_card(rows: tuple[Summary, ...], run: RunFolder) -> Card:
    """Return the card of a statement from its summaries and the records of the run."""
    records = [record for record in run.claims if record["id"] == rows[0].id]
    controls = [record for record in run.controls if record["id"] == rows[0].id]
    measured = [record for record in records if record.get("stage") not in (PROOF, SEARCH)]
    overall = words.verdict_words(statement_verdict(rows))
    judged = on_data(rows)
    agree = sum(words.verdict_words(row.verdict).tone == overall.tone for row in judged)
    return Card(
        name=words.statement_name(rows[0].id),
        title=plain(rows[0].title),
        verdict=overall,
        verdict_text=overall.label
        if agree in (0, len(judged))
        else f"{overall.label} at {agree} of {len(judged)} stages",
        rows=tuple(_row(row) for row in rows),
        steps=_parts(record for record in records if record.get("stage") == PROOF),
        searches=_parts(record for record in records if record.get("stage") == SEARCH),
        counterexamples=tuple(_explicit(part["counterexample"]) for part in _counterexamples(records)),
        controls=_controls(controls),
        caught=distinct_caught(controls),
        parts=_parts(measured),
        worst=_worst(measured),
        notes=tuple(dict.fromkeys(plain(note) for record in records for note in record.get("notes") or [])),
    )


def _row(row: Summary) -> Row:
    margin = "n/a" if row.margin is None else signed(row.margin)
    return Row(
        words.stage_label(row.stage),
        words.verdict_words(row.verdict),
        row.verdict_text,
        row.scope.text("share"),
        margin,
    )


def _parts(records: Iterable[Record]) -> tuple[Part, ...]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        for part in record.get("parts") or []:
            groups.setdefault(part["name"], []).append(part)
    return tuple(_part(name, parts) for name, parts in groups.items())


def _part(name: str, parts: Sequence[Mapping[str, Any]]) -> Part:
    margins = [part["margin"] for part in parts if part.get("margin") is not None]
    met, tried = (sum(part["coverage"][key] for part in parts) for key in ("met", "tried"))
    verdict = words.overall_verdict(part["verdict"] for part in parts)
    means, detail = (parts[0].get(key) or "" for key in ("means", "detail"))
    return Part(
        name.replace("_", " "),
        plain(parts[0].get("text") or ""),
        words.verdict_words(verdict),
        Count(met, tried).text("share"),
        signed(min(margins)) if margins else "n/a",
        shortened(f"{means}: {detail}" if means and detail else means or detail, LONGEST_DETAIL),
    )


def _controls(records: Sequence[Record]) -> tuple[Control, ...]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.get("control_name") or "unnamed", []).append(record)
    return tuple(
        Control(
            name.replace("_", " "),
            plain(own[0].get("control_text") or ""),
            caught(own),
            words.verdict_words(words.worst_verdict(record["verdict"] for record in own)),
            _refutation(own),
        )
        for name, own in groups.items()
    )


def _refutation(records: Sequence[Record]) -> Counterexample | None:
    """Return an explicit counterexample where there is one, else the worst case of the first record that has one."""
    for part in _counterexamples(records):
        return _explicit(part["counterexample"])
    for record in records:
        refuted = [part for part in record.get("parts") or [] if part["verdict"] in ("violated", "contradicted")]
        for case in (part["worst"] for part in refuted if part.get("worst")):
            return _measured(case)
    return None


def _counterexamples(records: Iterable[Record]) -> list[Mapping[str, Any]]:
    parts = [part for record in records for part in record.get("parts") or [] if part.get("counterexample")]
    return sorted(parts, key=lambda part: len(str(part["counterexample"]["case"])))


def _explicit(found: Mapping[str, Any]) -> Counterexample:
    left, right = (_side(found[key]) for key in ("left", "right"))
    return Counterexample(
        _case(found["case"]),
        f"{left} {_SIGNS.get(found['relation'], found['relation'])} {right}",
        f"counterexamples/{counterexample_name(dict(found))}.json",
    )


def _measured(case: Mapping[str, Any]) -> Counterexample:
    sides = f"{_scalar(case['left'])} ≤ {_scalar(case['right'])}" if {"left", "right"} <= case.keys() else ""
    return Counterexample(_case({key: case[key] for key in case if key not in ("left", "right")}), sides, "")


def _case(values: Mapping[str, Any]) -> str:
    text = ", ".join(f"{name} = {_scalar(value)}" for name, value in values.items())
    # Decimals are kept as text, so that they are exact.
    return shortened(text.replace("'", ""), LONGEST_CASE)


def _side(text: str) -> str:
    return shortened(text.strip("[]").replace("+/-", "±"), LONGEST_SIDE)


def _worst(records: Sequence[Record]) -> str:
    """Return the case with the smallest margin over all records, in words; empty where no record has one."""
    known = [record for record in records if record.get("worst") and record.get("margin") is not None]
    if not known:
        return ""
    record = min(known, key=lambda one: one["margin"])
    where = [words.stage_phrase(record["stage"])] if record.get("stage") else []
    where += [f"seed {record['seed']}"] if record.get("seed") is not None else []
    return f"{_case(record['worst'])} ({', '.join(where)})" if where else _case(record["worst"])


def _scalar(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)
