"""Measured error rates: exact intervals, independent repetitions."""

import numpy as np
import pytest
from scipy import stats

from collabtheory.errors import InvalidInput
from collabtheory.stats import measure_error_rate


def test_interval_is_clopper_pearson_by_its_beta_quantiles():
    rate = measure_error_rate(lambda rng: bool(rng.random() < 0.1), 200, np.random.default_rng(0))
    k, n = rate.count, 200
    assert 0 < k < n
    assert (rate.low, rate.high) == pytest.approx(
        (stats.beta.ppf(0.025, k, n - k + 1), stats.beta.ppf(0.975, k + 1, n - k))
    )
    assert rate.rate == k / n


@pytest.mark.parametrize(("wrong", "contains", "exceeds"), [(0, False, False), (10, True, False), (30, False, True)])
def test_low_right_and_high_rates_are_told_apart(wrong, contains, exceeds):
    outcomes = iter([True] * wrong + [False] * (200 - wrong))
    rate = measure_error_rate(lambda rng: next(outcomes), 200, np.random.default_rng(0))
    assert (rate.contains_nominal, rate.exceeds_nominal) == (contains, exceeds)


def test_a_repetition_depends_neither_on_how_many_follow_nor_on_how_much_others_drew():
    def first_draws(repetitions, size):
        seen = []
        measure_error_rate(lambda rng: seen.append(rng.random(size)[0]), repetitions, np.random.default_rng(1))
        return seen

    assert first_draws(5, 1) == first_draws(9, 1)[:5] == first_draws(5, 100)
    assert len(set(first_draws(9, 1))) == 9


def test_misuse_is_named():
    with pytest.raises(InvalidInput, match="repetitions"):
        measure_error_rate(lambda rng: True, 0, np.random.default_rng(0))
    with pytest.raises(InvalidInput, match="level"):
        measure_error_rate(lambda rng: True, 5, np.random.default_rng(0), level=5)
