"""The one comparison: true or false only where no number in either enclosure says otherwise."""

from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx, fmpq
from hypothesis import given
from hypothesis import strategies as st

from collabtheory.errors import InvalidInput
from collabtheory.rigor import Decision, combine, compare, compare_all, decide, working_precision

RELATIONS = {"<": lambda a, b: a < b, "<=": lambda a, b: a <= b, "==": lambda a, b: a == b}
ENDS = st.fractions(min_value=-3, max_value=3, max_denominator=12)


def ball(low, high):
    a, b = (arb(fmpq(x.numerator, x.denominator)) for x in sorted((low, high)))
    return a.union(b)


@pytest.mark.parametrize("relation", RELATIONS)
@given(a=ENDS, b=ENDS)
def test_exact_numbers_are_always_decided(relation, a, b):
    wanted = Decision.TRUE if RELATIONS[relation](a, b) else Decision.FALSE
    assert compare(a, relation, b) is wanted


@pytest.mark.parametrize("relation", RELATIONS)
@given(a=ENDS, b=ENDS, c=ENDS, d=ENDS, s=st.fractions(0, 1, max_denominator=8), t=st.fractions(0, 1, max_denominator=8))
def test_a_decision_holds_for_every_number_in_both_enclosures(relation, a, b, c, d, s, t):
    decision = compare(ball(a, b), relation, ball(c, d))
    inside = RELATIONS[relation](a + s * (b - a), c + t * (d - c))
    assert decision is not (Decision.FALSE if inside else Decision.TRUE)


def test_overlap_is_undecided_and_what_lies_apart_is_decided():
    assert compare(ball(Fraction(0), Fraction(2)), "<", ball(Fraction(1), Fraction(3))) is Decision.UNDECIDED
    assert compare(ball(Fraction(0), Fraction(1)), "<=", Fraction(2)) is Decision.TRUE
    assert compare(Fraction(2), "<", ball(Fraction(0), Fraction(1))) is Decision.FALSE
    assert compare(arb(1) / 3, "==", Fraction(1, 3)) is Decision.UNDECIDED
    assert compare(arb(1) / 3, "==", Fraction(1, 2)) is Decision.FALSE


def test_what_is_not_a_number_is_undecided():
    assert compare(arb("nan"), "<", 1) is Decision.UNDECIDED
    assert compare(arb("inf"), "<", 1) is not Decision.TRUE


@pytest.mark.parametrize("number", [0.5, np.float64(0.5), True, "1", None, 1j])
def test_what_is_neither_exact_nor_enclosed_is_refused(number):
    with pytest.raises(InvalidInput, match="neither"):
        compare(number, "<", 1)


def test_unknown_relations_are_refused():
    with pytest.raises(InvalidInput, match="unknown relation '>'"):
        compare(1, ">", 0)


def test_false_beats_undecided_beats_true():
    t, f, u = Decision.TRUE, Decision.FALSE, Decision.UNDECIDED
    assert [combine([t, t]), combine([t, u]), combine([u, f, t])] == [t, u, f]
    assert compare_all((np.array([1, 2]), "<", np.array([2, 3]))) is t
    assert compare_all((np.array([1, 3]), "<", np.array([2, 3]))) is f
    assert (
        compare_all((np.array([arb(1) / 3, 1], dtype=object), "<=", np.array([Fraction(1, 3), 3], dtype=object))) is u
    )


def test_comparing_nothing_proves_nothing():
    assert compare_all((np.zeros(0, dtype=object), "<", 1)) is Decision.UNDECIDED


def test_precision_rises_until_the_comparison_is_decided_and_is_put_back():
    before = ctx.prec
    # sqrt(2)^2 - 2 is enclosed within 2^-prec.
    found = decide(lambda: ((arb(2).sqrt() ** 2 - 2, "<", arb(10) ** -60),))
    assert (found.decision, found.precision) == (Decision.TRUE, 256)
    never = decide(lambda: ((arb(2).sqrt() ** 2, "==", 2),))
    assert (never.decision, never.precision) == (Decision.UNDECIDED, 512)
    assert ctx.prec == before
    with pytest.raises(ZeroDivisionError), working_precision(999):
        1 / 0  # noqa: B018
    assert ctx.prec == before
