"""Rank correlations against scipy and against residuals; jackknife intervals against their coverage."""

import warnings

import numpy as np
import pytest
from scipy import stats

from collabtheory.stats import grouped_jackknife, partial_spearman, spearman


def test_spearman_equals_scipy_with_ties():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, 100), rng.integers(0, 5, 100)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_partial_spearman_is_the_correlation_of_rank_residuals():
    rng = np.random.default_rng(1)
    z = rng.standard_normal(200)
    x, y = z + rng.standard_normal(200), -z + rng.standard_normal(200)
    ranks = [stats.rankdata(values) for values in (x, y, z)]
    design = np.column_stack([np.ones(200), ranks[2]])
    residuals = [r - design @ np.linalg.lstsq(design, r, rcond=None)[0] for r in ranks[:2]]
    assert partial_spearman(x, y, z) == pytest.approx(np.corrcoef(*residuals)[0, 1], abs=1e-10)


def test_constant_sides_are_undefined_and_a_constant_condition_changes_nothing():
    x, y = np.arange(10.0), np.arange(10.0) ** 2
    assert np.isnan(spearman(x, np.ones(10)))
    assert np.isnan(partial_spearman(x, y, x))
    assert partial_spearman(x, y, np.ones(10)) == pytest.approx(1.0)


def test_what_is_undefined_without_some_users_has_no_interval():
    """User 0 is in the only pair that is not zero, then in all pairs: without that user 0/0, then nothing at all."""
    values = np.array([1.0, 0.0, 0.0])
    for users, partners in (([0, 1, 2], [1, 2, 3]), ([0, 0, 0], [1, 2, 3])):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            estimate = grouped_jackknife(
                lambda chosen: float(values[chosen].mean() / values[chosen].max()),
                np.array(users),
                np.array(partners),
            )
        assert estimate.value == pytest.approx(1 / 3)
        assert np.isnan([estimate.low, estimate.high]).all()


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """Pairs of users whose value is a sum of user effects: plain standard errors would be far too small."""
    rng = np.random.default_rng(2)
    n, covered = 60, 0
    u, v = np.nonzero(~np.eye(n, dtype=bool))
    for _ in range(100):
        effect = rng.standard_normal(n)
        values = effect[u] + effect[v]
        estimate = grouped_jackknife(lambda chosen, values=values: float(values[chosen].mean()), u, v)
        covered += estimate.low <= 0 <= estimate.high
    assert 85 <= covered <= 100
