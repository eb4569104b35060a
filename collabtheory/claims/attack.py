"""Attacks: gradient ascent and property-based search against a statement and its twins, within a time budget."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collabtheory.claims.counterexample import counterexample_name, describe
from collabtheory.claims.inequality import Case, Inequality
from collabtheory.claims.property_search import search_by_properties
from collabtheory.claims.search import search_for
from collabtheory.claims.shrink import shrink
from collabtheory.errors import InvalidInput
from collabtheory.runs.files import write_text
from collabtheory.runs.seeds import derive

if TYPE_CHECKING:
    from collabtheory.claims.discovery import StatementFile

PROPERTY_SHARE = 0.4
"""Share of the budget for the property-based search; it comes first, as its cases are the simplest."""


@dataclass(frozen=True)
class Attack:
    """What an attack on one inequality came to."""

    inequality: Inequality
    tried: int
    met: int
    margin: float | None
    """Smallest relative slack seen in float64."""
    counterexample: dict[str, Any] | None

    @property
    def outcome(self) -> str:
        """What came out, in a word."""
        return "broken" if self.counterexample else "not broken" if self.met else "premise never met"

    @property
    def as_expected(self) -> bool:
        """Whether a twin was broken, or a true inequality was met and not broken."""
        return bool(self.counterexample) if self.inequality.control else self.outcome == "not broken"

    @property
    def size(self) -> str:
        """The lengths of the smallest case's axes, in words."""
        if self.counterexample is None:
            return ""
        return ", ".join(f"{n} {axis}" for axis, n in self.counterexample["lengths"].items()) or "scalars"

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "statement": self.inequality.statement.identifier,
            "inequality": self.inequality.name,
            "control": self.inequality.control,
            "outcome": self.outcome,
            "tried": self.tried,
            "met": self.met,
            "margin": self.margin,
            "counterexample": self.counterexample,
        }


def attack(inequality: Inequality, *, seconds: float, seed: int = 0) -> Attack:
    """Look for a violation of one inequality; one that is found is certain, and made as small as it goes."""
    words = ("attack", inequality.statement.identifier, inequality.name, str(inequality.control))
    results = []
    case: Case | None = None
    for method, share in ((search_by_properties, PROPERTY_SHARE), (search_for, 1 - PROPERTY_SHARE)):
        results.append(method(inequality, derive(seed, *words), share * seconds))
        if results[-1].violation is not None:
            case = shrink(inequality, results[-1].violation)
            break
    slacks = [result.slack for result in results if not math.isnan(result.slack)]
    return Attack(
        inequality,
        tried=sum(result.tried for result in results),
        met=sum(result.met for result in results),
        margin=inequality.slack(case) if case is not None else min(slacks, default=None),
        counterexample=describe(inequality, case, inequality.decide(case)) if case is not None else None,
    )


def attack_file(
    file: StatementFile,
    *,
    seconds: float,
    seed: int = 0,
    out: Path | None = None,
    on_start: Callable[[str], None] = lambda message: None,
) -> tuple[Attack, ...]:
    """Attack every inequality of a statement and every false twin, and write the counterexamples to ``out``.

    Raises
    ------
    InvalidInput
        If the statement has no inequality on explicit cases.
    """
    if not file.inequalities:
        raise InvalidInput(f"{file.identifier} has no inequality on explicit cases; nothing to attack")
    attacks = []
    for inequality in file.inequalities:
        on_start(f"attacking {inequality.name} {f'({inequality.control})' if inequality.control else ''}")
        attacks.append(attack(inequality, seconds=seconds, seed=seed))
        found = attacks[-1].counterexample
        if out is not None and found is not None:
            write_text(out / f"{counterexample_name(found)}.json", json.dumps(found, indent=1) + "\n")
    return tuple(attacks)
