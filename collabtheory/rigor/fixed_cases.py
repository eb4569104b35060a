"""Inequalities between enclosures on a fixed list of cases, at rising precision."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from collabtheory.rigor.compare import PRECISIONS, Comparison, Decision, compare, decide
from collabtheory.rigor.finding import Finding, Means

SIDE_DIGITS = 12


def on_fixed_cases(
    evaluate: Callable[[], Comparison], cases: str, *, precisions: tuple[int, ...] = PRECISIONS
) -> Finding:
    """Decide a comparison of arrays of enclosures, one entry a case.

    Parameters
    ----------
    evaluate
        Returns ``(left, relation, right)`` at the working precision.
    cases
        What the cases are, in words.
    precisions
        Bits to try in turn.

    Returns
    -------
    Finding
        ``TRUE`` if every case is certainly true; else the first that is not, by its number, with both sides.

    Examples
    --------
    >>> from flint import arb
    >>> on_fixed_cases(lambda: (np.array([arb(2).sqrt(), arb(1)]), "<", arb("1.5")), "1 and 2").decision.value
    'certainly true'
    """
    decided = decide(lambda: (evaluate(),), precisions)
    left, relation, right = decided.comparisons[0]
    pairs = list(np.broadcast(np.asarray(left, dtype=object), np.asarray(right, dtype=object)))
    detail = f"{len(pairs):,} cases at {decided.precision} bits: {cases}"
    if decided.decision is Decision.TRUE:
        return Finding(Means.ENCLOSURE, Decision.TRUE, len(pairs), detail)
    case = next(k for k, (a, b) in enumerate(pairs) if compare(a, relation, b) is decided.decision)
    worst: dict[str, float | int | str] = {"case": case, "left": _side(pairs[case][0]), "right": _side(pairs[case][1])}
    return Finding(Means.ENCLOSURE, decided.decision, len(pairs), detail, worst)


def _side(value: object) -> str:
    return str(value.str(SIDE_DIGITS, radius=True)) if hasattr(value, "str") else str(value)
