"""Group comparisons against regression with clustered errors, scipy, and their error rate."""

import numpy as np
import pytest
from scipy import stats

from collabtheory.errors import InvalidInput
from collabtheory.stats import compare_groups, measure_error_rate, with_holm


def _cohorts(rng, cohort_by_fold_sd, shift=0.0, *, with_runs=True):
    """A gain in two cohorts of users, in five folds whose training favours one cohort or the other by luck."""
    fold = np.arange(300) % 5
    first = rng.random(300) < np.where(fold < 2, 0.3, 0.5)
    values = rng.normal(0, 0.1, 300) + 0.2 * fold + first * (shift + rng.normal(0, cohort_by_fold_sd, 5)[fold])
    folds = fold[first], fold[~first]
    runs = folds if with_runs else None
    return compare_groups(values[first], values[~first], strata=folds, runs=runs, rng=rng, resamples=299)


@pytest.mark.parametrize("sd", [0.0, 0.1])
def test_groups_without_a_difference_come_out_different_in_no_more_than_five_per_cent(sd):
    rate = measure_error_rate(lambda rng: _cohorts(rng, sd).verdict != "inconclusive", 300, np.random.default_rng(0))
    assert not rate.exceeds_nominal, rate


def test_users_alone_err_where_training_favours_a_cohort_by_luck():
    rate = measure_error_rate(
        lambda rng: _cohorts(rng, 0.1, with_runs=False).verdict != "inconclusive", 60, np.random.default_rng(1)
    )
    assert rate.exceeds_nominal


def test_a_planted_difference_is_found_in_its_direction():
    found = [_cohorts(rng, 0.01, 0.1).verdict for rng in np.random.default_rng(2).spawn(40)]
    assert found.count("supported") >= 38
    assert _cohorts(np.random.default_rng(3), 0.01, -0.1).verdict == "contradicted"


@pytest.mark.parametrize("strata_are_runs", [True, False])
def test_difference_and_clustered_error_are_those_of_a_regression_with_constants_by_stratum(strata_are_runs):
    rng = np.random.default_rng(4)
    fold, first = np.arange(60) % 4, rng.random(60) < 0.4
    stratum = fold if strata_are_runs else rng.integers(0, 3, 60)
    x = rng.standard_normal(60) + fold + 3 * stratum
    sides, strata, runs = ((values[first], values[~first]) for values in (x, stratum, fold))
    result = compare_groups(*sides, strata=strata, runs=runs, rng=rng, resamples=199)
    design = np.column_stack([first, *(stratum == s for s in np.unique(stratum))]).astype(float)
    beta = np.linalg.lstsq(design, x, rcond=None)[0]
    bread = np.linalg.inv(design.T @ design)
    scores = np.array([design[fold == f].T @ (x - design @ beta)[fold == f] for f in range(4)])
    variance = (bread @ (scores.T @ scores) @ bread)[0, 0] * 4 / 3
    assert result.difference.value == pytest.approx(beta[0])
    assert result.by_runs.standard_error == pytest.approx(np.sqrt(variance))


def test_without_strata_it_is_the_difference_of_means_with_welchs_error():
    rng = np.random.default_rng(5)
    x, y = rng.normal(1, 1, 40), rng.normal(0, 2, 60)
    result = compare_groups(x, y, rng=rng, resamples=999)
    assert result.difference.value == pytest.approx(x.mean() - y.mean())
    assert result.standard_error == pytest.approx(np.hypot(stats.sem(x), stats.sem(y)))
    theirs = stats.bootstrap((x, y), lambda a, b, axis: a.mean(axis) - b.mean(axis), random_state=6).confidence_interval
    assert (result.difference.low, result.difference.high) == pytest.approx((theirs.low, theirs.high), abs=0.1)
    assert (result.n_first, result.n_second, result.n) == (40, 60, 100)


def test_strata_with_one_group_only_are_left_out_and_not_counted():
    rng = np.random.default_rng(7)
    x, y = np.append(rng.random(10), 1000.0), rng.random(10)
    strata = np.append(np.zeros(10), 1), np.zeros(10)
    result = compare_groups(x, y, strata=strata, rng=rng)
    assert (result.n_first, result.n_second) == (10, 10)
    assert abs(result.difference.value) < 1


def test_groups_of_one_constant_are_equal_whatever_the_rounding():
    result = compare_groups(np.full(7, 1e6 + 0.1), np.full(12, 1e6 + 0.1), rng=np.random.default_rng(9))
    assert (result.verdict, result.p, result.effect_size, result.superiority) == ("inconclusive", 1.0, 0.0, 0.5)


def test_it_takes_part_in_a_family():
    rng = np.random.default_rng(8)
    one = compare_groups(rng.random(20), rng.random(20), rng=rng)
    assert with_holm([one, one])[0].p_adjusted == pytest.approx(min(1, 2 * one.p))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"strata": (np.zeros(3), np.zeros(4))}, "as long as first and second"),
        ({"strata": (np.zeros(3), np.ones(3))}, "common stratum"),
        ({"strata": (np.array([0, 0, 1]), np.array([0, 0, 1]))}, "no other member"),
        ({"runs": (np.zeros(3), np.zeros(3))}, "at least 2 runs"),
        ({"runs": (np.zeros(3), np.array([0, 0, 1]))}, "both groups"),
    ],
)
def test_misuse_is_named(extra, message):
    with pytest.raises(InvalidInput, match=message):
        compare_groups(np.arange(3.0), np.arange(3.0), rng=np.random.default_rng(0), **extra)
