"""What a check returns: inequalities compared on counted cases, with coverage and worst margin."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from collabtheory.claims.verdict import Rigor, Verdict, weakest, worst
from collabtheory.errors import InvalidInput

TOLERANCE = 1e-9
"""Relative rounding allowance of float64 comparisons; a case within it of equality is counted as a tie."""
SHOWN = 100
"""Cases of an inequality that are kept for pictures."""
LEAST_SHARE = 1e-4
"""A premise that fewer than 1 in 10,000 cases meet makes a statement vacuous: true, and next to empty."""


@dataclass(frozen=True)
class Coverage:
    """How many of the cases tried met the premise."""

    met: int
    tried: int

    @property
    def share(self) -> float:
        """``met / tried``, 0 if nothing was tried."""
        return self.met / self.tried if self.tried else 0.0


@dataclass(frozen=True)
class Part:
    """One inequality or identity of a statement, checked on a set of cases."""

    name: str
    text: str
    verdict: Verdict
    rigor: Rigor
    coverage: Coverage
    margin: float | None = None
    """Smallest relative slack ``(right - left) / max(|left|, |right|)`` over the cases that met the premise."""
    worst: Mapping[str, float | int | str] | None = None
    """The case that has it."""
    ties: int = 0
    means: str | None = None
    """Proof steps: how it was discharged."""
    detail: str | None = None
    """How it was decided, in words."""
    counterexample: Mapping[str, Any] | None = None
    """A violation as a small explicit case that can be replayed, see `collabtheory.claims.counterexample`."""
    comparison: Mapping[str, Any] | None = None
    """Claims about data: the two sides, their difference with its interval, effect size and p-value."""
    sides: tuple[tuple[float, float], ...] = ()
    """Left and right of at most ``SHOWN`` cases, from the tightest to the slackest, for pictures."""

    def __post_init__(self) -> None:
        if self.verdict is Verdict.CERTIFIED and self.rigor not in (Rigor.PROVED, Rigor.CERTIFIED):
            raise InvalidInput(f"part {self.name!r}: what was only {self.rigor.value} cannot be certified")


@dataclass(frozen=True)
class Number:
    """A named result to show, with its interval where it has one."""

    value: float
    label: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class Evidence:
    """All that one check found.

    ``principal`` names the part that is the statement itself: unless another part is refuted, the verdict, coverage and
    margin of the whole are its own. Without it the worst part decides.
    """

    parts: tuple[Part, ...]
    numbers: Mapping[str, Number] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    principal: str | None = None

    def __post_init__(self) -> None:
        if not self.parts:
            raise InvalidInput("evidence needs at least one part: a check that compares nothing proves nothing")
        if self.principal is not None and self.principal not in {part.name for part in self.parts}:
            raise InvalidInput(f"evidence has no part {self.principal!r}")

    @property
    def verdict(self) -> Verdict:
        """The verdict of the part that decides."""
        return self.leading.verdict

    @property
    def rigor(self) -> Rigor:
        """The weakest means among the parts."""
        return weakest(part.rigor for part in self.parts)

    @property
    def leading(self) -> Part:
        """The part that decides: a refuted one, else the principal one, else the last of the worst."""
        decisive = worst(part.verdict for part in self.parts)
        if self.principal is not None and decisive in (Verdict.VACUOUS, Verdict.HOLDS, Verdict.CERTIFIED):
            return next(part for part in self.parts if part.name == self.principal)
        return [part for part in self.parts if part.verdict == decisive][-1]


def at_most(
    name: str,
    text: str,
    left: np.ndarray,
    right: np.ndarray,
    *,
    cases: Mapping[str, np.ndarray],
    premise: np.ndarray | None = None,
    tolerance: float = TOLERANCE,
    scale: np.ndarray | None = None,
) -> Part:
    """Check ``left <= right`` in floating point on every case whose premise holds.

    Parameters
    ----------
    left, right
        Both sides, one entry a case.
    cases
        Columns that identify a case (``u``, ``v``, ...), for the report of the worst one.
    premise
        Boolean, one entry a case; all if left out.
    tolerance
        Relative allowance for rounding: violated means ``left > right + tolerance * scale``.
    scale
        What rounding is relative to; ``max(|left|, |right|)`` if left out. Give it where both sides are small
        differences of large terms.

    Returns
    -------
    Part
        ``violated`` if a case contradicts it; else ``vacuous`` if none, or less than ``LEAST_SHARE``, of the cases meet
        the premise; else ``holds``. A side that is not a number counts as a violation, never as a pass.
    """
    left, right = np.broadcast_arrays(np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64))
    selected = np.ones(left.shape, dtype=bool) if premise is None else np.asarray(premise, dtype=bool)
    coverage = Coverage(int(selected.sum()), int(selected.size))
    if coverage.met == 0:
        return Part(name, text, Verdict.VACUOUS, Rigor.CHECKED, coverage)
    left, right = left[selected], right[selected]
    size = (
        np.maximum(np.abs(left), np.abs(right)) if scale is None else np.broadcast_to(scale, selected.shape)[selected]
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        slack = (right - left) / size
    slack = np.where(((size == 0) | np.isinf(left)) & (left == right), 0.0, slack)
    # An infinite side makes the comparison true whatever the other is, and says nothing about how tight it is.
    slack = np.where(np.isposinf(right) & (left < np.inf) | np.isneginf(left) & (right > -np.inf), 1.0, slack)
    slack = np.where(np.isnan(slack), -np.inf, slack)
    index = int(np.argmin(slack))
    violated = slack[index] < -tolerance
    described = {key: _plain(np.asarray(column)[selected][index]) for key, column in cases.items()}
    return Part(
        name,
        text,
        Verdict.VIOLATED if violated else Verdict.HOLDS if coverage.share >= LEAST_SHARE else Verdict.VACUOUS,
        Rigor.CHECKED,
        coverage,
        # A deficit within the allowance is equality up to rounding: counted in `ties`, no negative margin.
        margin=_finite(slack[index] if violated else max(slack[index], 0.0)),
        worst={**described, "left": _plain(left[index]), "right": _plain(right[index])},
        ties=int((np.abs(slack) <= tolerance).sum()),
        sides=_shown(left, right, slack),
    )


def equal(
    name: str,
    text: str,
    left: np.ndarray,
    right: np.ndarray,
    *,
    cases: Mapping[str, np.ndarray],
    tolerance: float = TOLERANCE,
) -> Part:
    """Check ``left == right`` to the relative ``tolerance`` on every case; the margin is ``tolerance - error``."""
    left, right = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
    size = np.maximum(np.abs(left), np.abs(right))
    return at_most(
        name,
        text,
        np.abs(left - right),
        tolerance * size,
        cases={**cases, "one_side": left, "other_side": right},
        tolerance=0.0,
        scale=np.where(size > 0, size, 1.0),
    )


def _shown(left: np.ndarray, right: np.ndarray, slack: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Return both sides of cases evenly spaced by rank of slack, the tightest and the slackest included."""
    order = np.argsort(slack, axis=None, kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(SHOWN, len(order))).astype(np.int64))]
    return tuple(zip(left.ravel()[chosen].tolist(), right.ravel()[chosen].tolist(), strict=True))


def _plain(value: object) -> float | int | str:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (int, float, str)) else str(value)


def _finite(value: float) -> float:
    # JSON has no infinity; a slack beyond it is as bad as any.
    return float(np.clip(value, -1e300, 1e300))
