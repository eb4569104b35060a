"""Grids: every case is decided, the first bad one is shown, and an empty grid proves nothing."""

from fractions import Fraction

from flint import arb

from collabtheory.rigor import Decision, Means, on_every_case


def grid(n):
    return [{"k": k} for k in range(n)]


def test_a_true_claim_counts_its_cases():
    found = on_every_case(lambda k: (Fraction(k, 10) ** 2, "<=", Fraction(k, 10)), grid(11), "tenths")
    assert (found.decision, found.cases, found.means) == (Decision.TRUE, 11, Means.EXACT)
    assert "11 exact cases: tenths" in found.detail


def test_the_first_false_case_is_shown_with_both_sides():
    found = on_every_case(lambda k: (k * k, "<", 10), grid(10), "squares")
    assert found.decision is Decision.FALSE
    assert found.worst == {"k": "4", "left": "16", "right": "10"}


def test_cases_without_the_premise_do_not_count_and_none_at_all_proves_nothing():
    found = on_every_case(lambda k: (k, "<", 100) if k % 2 else None, grid(10), "odd")
    assert found.cases == 5
    assert "of 10" in found.detail or "that meet the premise" in found.detail
    assert on_every_case(lambda k: None, grid(10), "nothing").decision is Decision.UNDECIDED
    assert on_every_case(lambda k: (0, "<", 1), [], "nothing").decision is Decision.UNDECIDED


def test_one_undecided_case_leaves_the_whole_undecided():
    found = on_every_case(lambda k: (arb(1) / 3, "<=", Fraction(1, 3)), grid(2), "thirds")
    assert found.decision is Decision.UNDECIDED
