"""Holm's correction against closed testing by enumeration, and against worked examples."""

from itertools import chain, combinations

import numpy as np
import pytest

from collabtheory.errors import InvalidInput
from collabtheory.stats import holm


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_closed_test_whose_intersections_are_tested_by_bonferroni(seed):
    """Closed testing: the adjusted p of a claim is the largest p of any intersection that contains it."""
    rng = np.random.default_rng(seed)
    p = np.round(rng.random(rng.integers(1, 7)) ** 2, 2)
    sets = chain.from_iterable(combinations(range(len(p)), size) for size in range(1, len(p) + 1))
    closed = np.zeros(len(p))
    for chosen in map(list, sets):
        closed[chosen] = np.maximum(closed[chosen], min(1.0, len(chosen) * p[chosen].min()))
    assert holm(p) == pytest.approx(closed, abs=1e-15)


def test_the_worked_example_of_four_claims():
    """m = 4: .005 * 4, .01 * 3, .03 * 2, and the last may not fall below it."""
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_one_claim_stays_and_no_claim_is_no_error():
    assert holm(np.array([0.2])).tolist() == [0.2]
    assert holm(np.array([])).tolist() == []


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.1])
def test_what_is_no_probability_is_refused_with_its_row(bad):
    with pytest.raises(InvalidInput, match="row 1"):
        holm(np.array([0.5, bad]))
