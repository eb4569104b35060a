"""The one three-valued comparison: certainly true, certainly false, or undecided at this precision.

Interval libraries answer False both to ``a < b`` and to ``a >= b`` where the intervals overlap, so nothing else in the
project compares enclosures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from flint import arb, ctx, fmpq, fmpz

from collabtheory.errors import InvalidInput

Relation = Literal["<", "<=", "=="]
Comparison = tuple[Any, Relation, Any]
"""``(left, relation, right)``: numbers, or arrays that are compared entry by entry."""

PRECISIONS = (64, 128, 256, 512)
"""Bits that :func:`decide` tries in turn; a comparison that is undecided at the last stays undecided."""


class Decision(StrEnum):
    """What a rigorous comparison came to."""

    TRUE = "certainly true"
    FALSE = "certainly false"
    UNDECIDED = "undecided"


def compare(left: Any, relation: Relation, right: Any) -> Decision:
    """Compare two exact or enclosed numbers.

    Parameters
    ----------
    left, right
        ``int``, ``Fraction``, flint's ``fmpz`` and ``fmpq`` (exact), or ``arb`` (an enclosure).
    relation
        ``"<"``, ``"<="`` or ``"=="``.

    Returns
    -------
    Decision
        ``TRUE`` only if the relation holds for every number in both enclosures, ``FALSE`` only if for none.

    Raises
    ------
    InvalidInput
        For floats, which are neither exact nor enclosed, and for unknown relations.

    Examples
    --------
    >>> compare(Fraction(1, 3), "<", arb(1) / 3 + 1), compare(arb(1) / 3, "==", Fraction(1, 3))
    (<Decision.TRUE: 'certainly true'>, <Decision.UNDECIDED: 'undecided'>)
    """
    a, b = _comparable(left), _comparable(right)
    if relation == "<":
        return _decision(a < b, a >= b)
    if relation == "<=":
        return _decision(a <= b, a > b)
    if relation == "==":
        return _decision(a == b, a < b or a > b)
    raise InvalidInput(f"unknown relation {relation!r}; choose <, <= or ==")


def compare_all(comparison: Comparison) -> Decision:
    """Compare arrays entry by entry: ``FALSE`` if one entry is, ``TRUE`` if all are, else ``UNDECIDED``.

    Arrays without entries are ``UNDECIDED``: what compares nothing proves nothing.
    """
    left, relation, right = comparison
    pairs = np.broadcast(np.asarray(left, dtype=object), np.asarray(right, dtype=object))
    if pairs.size == 0:
        return Decision.UNDECIDED
    return combine(compare(a, relation, b) for a, b in pairs)


def combine(decisions: Any) -> Decision:
    """Return the decision on "all of these": ``FALSE`` beats ``UNDECIDED`` beats ``TRUE``."""
    seen = set(decisions)
    if Decision.FALSE in seen:
        return Decision.FALSE
    return Decision.UNDECIDED if Decision.UNDECIDED in seen else Decision.TRUE


@dataclass(frozen=True)
class Decided:
    """A decision with the precision (bits) it took and the comparisons as they were enclosed there."""

    decision: Decision
    precision: int
    comparisons: tuple[Comparison, ...]


def decide(evaluate: Callable[[], tuple[Comparison, ...]], precisions: tuple[int, ...] = PRECISIONS) -> Decided:
    """Evaluate comparisons at rising precision until all are true, one is false, or the precisions are used up.

    Examples
    --------
    >>> decide(lambda: ((arb(2).sqrt() ** 2, "<", arb(2) + arb(10) ** -30),)).precision
    128
    """
    for bits in precisions:
        with working_precision(bits):
            comparisons = evaluate()
            decision = combine(map(compare_all, comparisons))
        if decision is not Decision.UNDECIDED:
            break
    return Decided(decision, bits, comparisons)


@contextmanager
def working_precision(bits: int) -> Iterator[None]:
    """Evaluate enclosures with this many bits inside the block."""
    before = ctx.prec
    ctx.prec = bits
    try:
        yield
    finally:
        ctx.prec = before


def _decision(certainly: bool, certainly_not: bool) -> Decision:
    return Decision.TRUE if certainly else Decision.FALSE if certainly_not else Decision.UNDECIDED


def _comparable(number: Any) -> Any:
    if isinstance(number, (bool, np.bool_, float, np.floating)):
        raise InvalidInput(f"{number!r} is neither exact nor an enclosure; only those are compared")
    if isinstance(number, Fraction):
        return fmpq(number.numerator, number.denominator)
    if isinstance(number, (int, np.integer)):
        return fmpz(int(number))
    if isinstance(number, (arb, fmpq, fmpz)):
        return number
    raise InvalidInput(f"{type(number).__name__} is neither an exact number nor an enclosure")
