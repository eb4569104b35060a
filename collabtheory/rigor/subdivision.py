"""Inequalities between enclosures on a whole box, which is divided until every piece is decided."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from flint import arb, fmpq

from collabtheory.rigor.compare import Comparison, Decision, compare_all, working_precision
from collabtheory.rigor.finding import Finding, Means

BITS = 128
Box = Mapping[str, tuple[Fraction | int, Fraction | int]]


def everywhere(
    claim: Callable[..., Comparison], box: Box, domain: str, *, most_boxes: int = 20_000, bits: int = BITS
) -> Finding:
    """Decide a comparison for every point of a box.

    The largest undecided piece is halved along its widest side (relative to the whole box) until all are decided, one
    is refuted, or ``most_boxes`` pieces have been looked at.

    Parameters
    ----------
    claim
        Takes one enclosure per variable and returns ``(left, relation, right)``.
    box
        Lower and upper end of each variable, rational.
    domain
        What the box is, in words.

    Examples
    --------
    >>> everywhere(lambda x: (x * (1 - x), "<=", arb("0.26")), {"x": (0, 1)}, "0 <= x <= 1").decision.value
    'certainly true'
    """
    whole = {name: (Fraction(low), Fraction(high)) for name, (low, high) in box.items()}
    pieces: list[tuple[int, int, dict[str, tuple[Fraction, Fraction]]]] = [(0, 0, whole)]
    seen, number = 0, itertools.count(1)
    with working_precision(bits):
        while pieces and seen < most_boxes:
            depth, _, piece = heapq.heappop(pieces)
            seen += 1
            comparison = claim(**{name: _ball(*ends) for name, ends in piece.items()})
            decision = compare_all(comparison)
            if decision is Decision.FALSE:
                return Finding(Means.ENCLOSURE, decision, seen, f"refuted on a piece of {domain}", _described(piece))
            if decision is Decision.UNDECIDED:
                for half in _halves(piece, whole):
                    heapq.heappush(pieces, (depth + 1, next(number), half))
    if pieces:
        left = _described(pieces[0][2])
        return Finding(Means.ENCLOSURE, Decision.UNDECIDED, seen, f"{len(pieces):,} pieces undecided: {domain}", left)
    return Finding(Means.ENCLOSURE, Decision.TRUE, seen, f"{seen:,} boxes at {bits} bits cover {domain}")


def _ball(low: Fraction, high: Fraction) -> arb:
    a, b = (arb(fmpq(end.numerator, end.denominator)) for end in (low, high))
    return a.union(b)


def _halves(
    piece: dict[str, tuple[Fraction, Fraction]], whole: Mapping[str, tuple[Fraction, Fraction]]
) -> tuple[dict[str, tuple[Fraction, Fraction]], dict[str, tuple[Fraction, Fraction]]]:
    def width(name: str) -> Fraction:
        (low, high), (first, last) = piece[name], whole[name]
        return (high - low) / (last - first) if last > first else Fraction(0)

    name = max(piece, key=width)
    low, high = piece[name]
    middle = (low + high) / 2
    return {**piece, name: (low, middle)}, {**piece, name: (middle, high)}


def _described(piece: Mapping[str, tuple[Any, Any]]) -> dict[str, float | int | str]:
    return {name: f"[{float(low):.6g}, {float(high):.6g}]" for name, (low, high) in piece.items()}
