"""Records: what a run says about one statement (or control) at one stage, as one canonical JSON line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from collabtheory.claims.evidence import Evidence, Part
from collabtheory.claims.statement import Check
from collabtheory.claims.subject import Subject
from collabtheory.claims.verdict import Rigor, Verdict
from collabtheory.errors import PremiseNotMet

DIGITS = 12
"""Significant digits kept in a record; float64 results are not meaningful beyond."""
SIDES = "sides"
Side = tuple[str, str | None, int | None, str, str, float, float]
"""Id, stage, seed, name and text of a part, left and right of one case."""


def run_checks(
    checks: Iterable[Check], subject: Subject, *, data: str | None, model: str | None
) -> Iterator[dict[str, Any]]:
    """Run the checks and then the controls of one statement at one stage, and yield their records.

    A check that raises is a finding of its own. Where a premise of the statement is not met by the model at hand, its
    controls cannot be built either and are left out: the record says ``assumption_fails`` and why.
    """
    where: dict[str, Any] = {"stage": subject.stage, "seed": subject.seed, "data": data, "model": model}
    premise_met = True
    for check in sorted(checks, key=lambda check: check.control is not None):
        if check.control and not premise_met:
            continue
        try:
            yield record(check, check(subject), **where)
        except PremiseNotMet as error:
            premise_met = premise_met and check.control is not None
            yield broken_record(check, error, **where)
        except (Exception, SystemExit) as error:
            yield broken_record(check, error, **where)


def record(
    check: Check,
    evidence: Evidence,
    *,
    stage: str | None,
    seed: int | None,
    data: str | None,
    model: str | None,
) -> dict[str, Any]:
    """Return the record of a check that ran."""
    leading = evidence.leading
    return {
        **_heading(check, stage, seed, data, model),
        "caught": evidence.verdict.is_refutation if check.control else None,
        "verdict": evidence.verdict.value,
        "rigor": evidence.rigor.value,
        "coverage": asdict(leading.coverage),
        "margin": _rounded(leading.margin),
        "worst": _rounded({"part": leading.name, **(leading.worst or {})}),
        "parts": [_part(part) for part in evidence.parts],
        "numbers": {
            name: {**_rounded(asdict(number)), "order": order}
            for order, (name, number) in enumerate(evidence.numbers.items())
        },
        "notes": list(evidence.notes),
    }


def broken_record(
    check: Check, error: BaseException, *, stage: str | None, seed: int | None, data: str | None, model: str | None
) -> dict[str, Any]:
    """Return the record of a check that raised: ``assumption_fails`` for a premise, else ``error``."""
    premise = isinstance(error, PremiseNotMet)
    return {
        **_heading(check, stage, seed, data, model),
        "caught": False if check.control else None,
        "verdict": (Verdict.ASSUMPTION_FAILS if premise else Verdict.ERROR).value,
        "rigor": Rigor.CHECKED.value,
        "coverage": {"met": 0, "tried": 0},
        "margin": None,
        "worst": None,
        "parts": [],
        "numbers": {},
        "notes": [str(error) if premise else f"{type(error).__name__}: {error}"],
    }


def take_sides(record: dict[str, Any]) -> list[Side]:
    """Take the shown sides of every part out of a record; a control has none."""
    where = record["id"], record["stage"], record["seed"]
    found = [(*where, part["name"], part["text"], *side) for part in record["parts"] for side in part.pop(SIDES, ())]
    return [] if record["control"] else found


def to_line(record: dict[str, Any]) -> str:
    """Return the canonical JSON line of a record: sorted keys, no spaces, no NaN; without its shown sides."""
    take_sides(record)
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def _heading(check: Check, stage: str | None, seed: int | None, data: str | None, model: str | None) -> dict[str, Any]:
    return {
        "id": check.statement.identifier,
        "title": check.statement.title,
        "kind": check.statement.kind,
        "control": check.control is not None,
        "control_name": check.control,
        "control_text": check.change,
        "stage": check.label or stage,
        "seed": seed,
        "data": data,
        "model": model,
    }


def _part(part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "text": part.text,
        "verdict": part.verdict.value,
        "rigor": part.rigor.value,
        "coverage": asdict(part.coverage),
        "margin": _rounded(part.margin),
        "worst": _rounded(part.worst),
        "ties": part.ties,
        "means": part.means,
        "detail": part.detail,
        "counterexample": dict(part.counterexample) if part.counterexample is not None else None,
        "comparison": dict(part.comparison) if part.comparison is not None else None,
        SIDES: part.sides,
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return value
