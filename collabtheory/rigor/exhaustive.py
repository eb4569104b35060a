"""Inequalities in exact arithmetic over every case of a finite grid."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from collabtheory.rigor.compare import Comparison, Decision, compare_all
from collabtheory.rigor.finding import Finding, Means


def on_every_case(claim: Callable[..., Comparison | None], cases: Iterable[Mapping[str, Any]], grid: str) -> Finding:
    """Decide a comparison of exact numbers on every case.

    Parameters
    ----------
    claim
        Takes a case as keywords and returns ``(left, relation, right)`` in ``int``, ``Fraction`` or flint numbers, or
        None where the premise does not hold for the case.
    cases
        The whole grid.
    grid
        What the grid is, in words.

    Returns
    -------
    Finding
        ``TRUE`` on every case that met the premise, else the first case that is not, with both sides. No case at all
        is ``UNDECIDED``: a grid that tests nothing proves nothing.
    """
    met = tried = 0
    for case in cases:
        tried += 1
        comparison = claim(**case)
        if comparison is None:
            continue
        met += 1
        decision = compare_all(comparison)
        if decision is not Decision.TRUE:
            left, _, right = comparison
            worst = {**{name: str(value) for name, value in case.items()}, "left": str(left), "right": str(right)}
            return Finding(Means.EXACT, decision, met, f"fails on {grid}", worst)
    decision = Decision.TRUE if met else Decision.UNDECIDED
    premise = "" if met == tried else f" of {tried:,} that meet the premise"
    return Finding(Means.EXACT, decision, met, f"{met:,} exact cases{premise}: {grid}", margin=0.0 if met else None)
