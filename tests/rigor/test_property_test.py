"""Property tests: refute with a shrunken case, draw the same examples every time, and never certify."""

from fractions import Fraction

from flint import arb
from hypothesis import strategies as st

from collabtheory.rigor import Decision, Means, on_examples

WHOLE = {"n": st.integers(0, 1000)}


def drawn():
    seen = []

    def claim(n):
        seen.append(n)
        return n, "<=", 1000

    on_examples(claim, WHOLE, "numbers", examples=50)
    return seen


def test_a_false_claim_is_refuted_by_its_smallest_case():
    found = on_examples(lambda n: (n, "<", 17), WHOLE, "numbers")
    assert found.decision is Decision.FALSE
    assert found.worst == {"n": "17"}


def test_a_true_claim_is_not_refuted_and_certifies_nothing():
    found = on_examples(lambda n: (n, "<=", n * n), WHOLE, "numbers")
    assert found.decision is Decision.TRUE
    assert found.means is Means.PROPERTY
    assert not found.means.certifies


def test_the_examples_are_the_same_every_time():
    first, second = drawn(), drawn()
    assert first == second
    assert len(set(first)) > 10


def test_a_premise_that_is_never_met_and_comparisons_never_decided_are_undecided():
    assert on_examples(lambda n: None, WHOLE, "nothing").decision is Decision.UNDECIDED
    blurred = on_examples(lambda n: (arb(n) / 3, "==", Fraction(n, 3)), {"n": st.integers(1, 2)}, "thirds")
    assert blurred.decision is Decision.UNDECIDED
