"""The comparison that every check goes through: it passes the true, refutes the false, and never passes the empty."""

import numpy as np
import pytest

from collabtheory.claims import Coverage, Evidence, Part, Rigor, Verdict, at_most, equal
from collabtheory.claims.verdict import weakest, worst
from collabtheory.errors import InvalidInput

CASES = {"case": np.arange(4)}
LEFT = np.array([1.0, 2.0, 3.0, 4.0])


def test_a_true_inequality_holds_with_its_worst_case():
    part = at_most("p", "l <= r", LEFT, np.array([2.0, 2.5, 30.0, 8.0]), cases=CASES)
    assert part.verdict is Verdict.HOLDS
    assert part.coverage == Coverage(4, 4)
    assert part.margin == pytest.approx(0.2)
    assert part.worst == {"case": 1, "left": 2.0, "right": 2.5}


def test_one_false_case_is_a_violation_and_is_shown():
    part = at_most("p", "l <= r", LEFT, np.array([2.0, 1.9, 30.0, 8.0]), cases=CASES)
    assert part.verdict is Verdict.VIOLATED
    assert part.worst["case"] == 1
    assert part.margin == pytest.approx(-0.05)


def test_a_premise_nobody_meets_is_vacuous_even_if_the_inequality_is_false():
    part = at_most("p", "l <= r", LEFT, LEFT - 1, cases=CASES, premise=np.zeros(4, dtype=bool))
    assert part.verdict is Verdict.VACUOUS
    assert part.coverage == Coverage(0, 4)


def test_only_cases_that_meet_the_premise_count():
    premise = np.array([True, False, True, True])
    part = at_most("p", "l <= r", LEFT, np.array([2.0, 0.0, 30.0, 8.0]), cases=CASES, premise=premise)
    assert part.verdict is Verdict.HOLDS
    assert part.coverage == Coverage(3, 4)


def test_rounding_is_a_tie_and_more_than_rounding_is_not():
    assert at_most("p", "", LEFT, LEFT * (1 - 1e-12), cases=CASES).verdict is Verdict.HOLDS
    assert at_most("p", "", LEFT, LEFT * (1 - 1e-12), cases=CASES).ties == 4
    assert at_most("p", "", LEFT, LEFT * (1 - 1e-12), cases=CASES).margin == 0.0
    assert at_most("p", "", LEFT, LEFT * (1 - 1e-8), cases=CASES).verdict is Verdict.VIOLATED


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_left_side_that_is_no_number_is_a_violation(bad):
    part = at_most("p", "", np.array([1.0, bad, 1.0, 1.0]), LEFT + 9, cases=CASES)
    assert part.verdict is Verdict.VIOLATED
    assert part.worst["case"] == 1


def test_zero_against_zero_holds():
    assert at_most("p", "", np.zeros(4), np.zeros(4), cases=CASES).verdict is Verdict.HOLDS


def test_infinite_against_infinite_holds_but_not_against_finite():
    cases = {"case": np.arange(2)}
    infinite = np.full(2, np.inf)
    assert at_most("x", "x", infinite, infinite, cases=cases, scale=infinite).verdict == Verdict.HOLDS
    assert at_most("x", "x", infinite, np.array([np.inf, 1.0]), cases=cases).verdict == Verdict.VIOLATED


def test_identities_are_refuted_from_either_side():
    assert equal("p", "", LEFT, LEFT * (1 + 1e-13), cases=CASES).verdict is Verdict.HOLDS
    assert equal("p", "", LEFT, LEFT * (1 + 1e-6), cases=CASES).verdict is Verdict.VIOLATED
    assert equal("p", "", LEFT, LEFT * (1 - 1e-6), cases=CASES).verdict is Verdict.VIOLATED
    assert equal("p", "", np.zeros(4), np.zeros(4), cases=CASES).verdict is Verdict.HOLDS
    assert equal("p", "", np.zeros(4), np.full(4, 1e-300), cases=CASES).verdict is Verdict.VIOLATED


def test_a_whole_is_as_good_as_its_worst_part():
    assert worst([Verdict.HOLDS, Verdict.VIOLATED, Verdict.VACUOUS]) is Verdict.VIOLATED
    assert worst([Verdict.CERTIFIED, Verdict.HOLDS]) is Verdict.HOLDS
    assert weakest([Rigor.PROVED, Rigor.STATISTICAL, Rigor.CHECKED]) is Rigor.STATISTICAL
    parts = tuple(
        Part(name, "", verdict, Rigor.CHECKED, Coverage(1, 1))
        for name, verdict in (("a", Verdict.HOLDS), ("b", Verdict.VACUOUS))
    )
    assert Evidence(parts).verdict is Verdict.VACUOUS
    assert Evidence(parts).leading.name == "b"
    assert Evidence(parts, principal="a").verdict is Verdict.HOLDS
    refuted = (*parts, Part("c", "", Verdict.VIOLATED, Rigor.CHECKED, Coverage(1, 1)))
    assert Evidence(refuted, principal="a").verdict is Verdict.VIOLATED
    with pytest.raises(InvalidInput, match="no part"):
        Evidence(parts, principal="z")


def test_a_premise_that_hardly_anybody_meets_is_vacuous_but_a_violation_is_not():
    left, cases = np.zeros(20_001), {"case": np.arange(20_001)}
    premise = np.arange(20_001) == 7
    assert at_most("p", "", left, left + 1, cases=cases, premise=premise).verdict is Verdict.VACUOUS
    assert at_most("p", "", left, left - 1, cases=cases, premise=premise).verdict is Verdict.VIOLATED


def test_evidence_without_a_comparison_is_refused():
    with pytest.raises(InvalidInput, match="proves nothing"):
        Evidence(())


def test_sampling_never_gives_certified():
    assert at_most("p", "", LEFT, LEFT + 1, cases=CASES).verdict is Verdict.HOLDS
    assert at_most("p", "", LEFT, LEFT + 1, cases=CASES).rigor is Rigor.CHECKED
