"""Inequalities on small explicit cases: one formula that is searched in float64 and decided in interval arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from collabtheory.claims.statement import Statement
from collabtheory.errors import InvalidInput
from collabtheory.rigor.compare import Comparison, Decided, Decision, decide
from collabtheory.rigor.enclosures import enclosed, rationals

Case = dict[str, np.ndarray]
"""Values of the variables, float64 arrays (also for whole numbers); a float stands for its shortest decimal."""

Kind = Literal["real", "positive", "integer", "binary"]
TINY = 1e-300
CLOSE = 1e-9
"""Relative slack below which float64 decides nothing."""


@dataclass(frozen=True)
class Variable:
    """One variable of a case: the names of its axes, and the values that it may take.

    ``real`` and ``positive`` lie in ``[low, high]`` (positive ones are searched on a logarithmic scale), ``integer``
    takes whole numbers in it, ``binary`` 0 and 1.
    """

    axes: tuple[str, ...] = ()
    low: float = -3.0
    high: float = 3.0
    kind: Kind = "real"

    def __post_init__(self) -> None:
        if self.kind == "binary":
            object.__setattr__(self, "low", 0.0)
            object.__setattr__(self, "high", 1.0)


@dataclass(frozen=True)
class Inequality:
    """A claim about every case: where its premise holds, so does its comparison.

    Parameters
    ----------
    statement, name, text
        Whose inequality it is, a short name, and the inequality in words and symbols.
    variables
        What a case consists of.
    axes
        Smallest and largest length of each named axis.
    claim
        Takes the variables as keywords and returns ``(left, relation, right)``. Written with numpy operators, ufuncs
        and :mod:`collabtheory.rigor.enclosures`, so that it runs on float64 and on enclosures alike.
    premise
        Takes the same and returns comparisons that must all hold for the claim to apply.
    exact
        Decide in rational arithmetic instead of intervals (formulas with + - * / only).
    control, change
        Set on false twins: the name of the negative control, and the one small change.
    """

    statement: Statement
    name: str
    text: str
    variables: Mapping[str, Variable]
    claim: Callable[..., Comparison]
    axes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    premise: Callable[..., tuple[Comparison, ...]] | None = None
    exact: bool = False
    control: str | None = None
    change: str | None = None

    def __post_init__(self) -> None:
        for name, variable in self.variables.items():
            missing = [axis for axis in variable.axes if axis not in self.axes]
            if missing:
                raise InvalidInput(f"inequality {self.name!r}: variable {name!r} has unknown axis {missing[0]!r}")

    def false_twin(self, control: str, change: str, claim: Callable[..., Comparison], **changes: Any) -> Inequality:
        """Return the negative control made by one small change, to be refuted in every run."""
        return replace(self, control=control, change=change, claim=claim, **changes)

    def lengths(self, case: Case) -> dict[str, int]:
        """Return the length of every axis in this case."""
        return {
            axis: np.shape(case[name])[position]
            for name, variable in self.variables.items()
            for position, axis in enumerate(variable.axes)
        }

    def slack(self, case: Case) -> float:
        """Return the smallest relative slack in float64; NaN where the premise fails or a side is not a number."""
        met, slack = self.met_and_slack(case)
        return slack if met else float("nan")

    def met_and_slack(self, case: Case) -> tuple[bool, float]:
        """Return whether the premise holds in float64, and the slack of the claim, or else that of the premise.

        The latter is the smallest of its comparisons, -1 where one is not a number.
        """
        with np.errstate(all="ignore"):
            if self.premise is not None:
                premise = self.premise(**case)
                if not all(_met(comparison) for comparison in premise):
                    slack = min(map(relative_slack, premise))
                    return False, slack if np.isfinite(slack) else -1.0
            return True, relative_slack(self.claim(**case))

    def decide(self, case: Case) -> Decided:
        """Decide the claim on one case rigorously; ``UNDECIDED`` also where the premise is not certainly true."""
        convert = rationals if self.exact else enclosed

        def values() -> dict[str, Any]:
            return {name: convert(_whole(self.variables[name], value)) for name, value in case.items()}

        if self.premise is not None:
            premise = self.premise
            met = decide(lambda: premise(**values()))
            if met.decision is not Decision.TRUE:
                return Decided(Decision.UNDECIDED, met.precision, met.comparisons)
        return decide(lambda: (self.claim(**values()),))


def relative_slack(comparison: Comparison) -> float:
    """Return ``min (right - left) / max(|left|, |right|)``, or minus the relative difference of an equality."""
    left, relation, right = comparison
    left, right = np.broadcast_arrays(np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64))
    size = np.maximum(np.maximum(np.abs(left), np.abs(right)), TINY)
    gap = (right - left) / size
    return float(np.min(-np.abs(gap) if relation == "==" else gap))


def _met(comparison: Comparison) -> bool:
    """Return whether a premise holds in float64; of whole numbers also with equality."""
    slack = relative_slack(comparison)
    return slack > 0 or (slack == 0 and comparison[1] != "<")


def _whole(variable: Variable, value: np.ndarray) -> np.ndarray:
    return np.asarray(value).astype(int) if variable.kind in ("integer", "binary") else value
