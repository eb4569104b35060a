"""Violations that were measured on a model and data: kept as files, although they are no small explicit cases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from collabtheory.claims.counterexample import FORMAT
from collabtheory.claims.verdict import Verdict
from collabtheory.errors import DataError, InvalidInput
from collabtheory.rigor.compare import Decision, compare
from collabtheory.rigor.enclosures import exact

FIELDS = ("statement", "inequality", "text", "stage", "seed", "data", "model", "case")


def measured_violations(records: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield file name and content for each violated part of a statement that has no explicit counterexample."""
    for record in records:
        for part in record["parts"]:
            if record["control"] or part["verdict"] != Verdict.VIOLATED or part["counterexample"] is not None:
                continue
            where = "-".join(str(word) for word in (record["stage"], record["seed"]) if word is not None)
            content = {
                "format": FORMAT,
                "measured": True,
                "statement": record["id"],
                "inequality": part["name"],
                "control": None,
                "text": part["text"],
                **{name: record[name] for name in ("stage", "seed", "data", "model")},
                "case": part["worst"],
            }
            yield f"{record['id']}-{part['name']}-{where}", content


def replay_measured(path: Path, content: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a measured violation says; its recorded sides are compared again as exact decimals.

    Raises
    ------
    DataError
        If the content lacks a field, or a side is no number.
    """
    missing = [name for name in FIELDS if name not in content]
    if missing:
        raise DataError(f"{path}: a measured violation without {missing[0]!r}")
    case = content["case"] or {}
    if not isinstance(case, dict):
        raise DataError(f"{path}: the case must name its values; it is a {type(case).__name__}")
    yield f"statement {content['statement']}: {content['text']}"
    yield f"  measured at stage {content['stage']}, seed {content['seed']}, model {content['model']}"
    for name, value in case.items():
        yield f"  {name} = {value}"
    if {"left", "right"} <= case.keys():
        try:
            decision = compare(exact(case["left"]), "<=", exact(case["right"]))
        except InvalidInput as error:
            raise DataError(f"{path}: a side of the comparison is no number ({error})") from error
        violated = decision is Decision.FALSE
        yield f"{'violated' if violated else 'within rounding'}: the recorded sides as exact decimals, left <= right"
    yield f"To measure it again: collabtheory verify {content['statement']} on the same data and model."
