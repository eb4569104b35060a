"""Verdicts on planted differences and on none: the error rate of the same model trained twice."""

import numpy as np
import pytest
from scipy import stats

from collabtheory.errors import InvalidInput
from collabtheory.stats import compare_paired, decide, measure_error_rate, smallest_detectable, with_holm
from collabtheory.stats.correlation import Estimate

RUNS = 5


def _in_folds(rng, seed_sd, shift=0.0, *, with_runs=True, n=200):
    """Compare two methods by K-fold: every user once; each fold has its own training of both, with its own luck."""
    fold, user = np.arange(n) % RUNS, rng.beta(2, 3, n)
    first, second = (user + rng.normal(0, 0.08, n) + rng.normal(0, seed_sd, RUNS)[fold] for _ in range(2))
    runs = fold if with_runs else None
    return compare_paired(first + shift, second, strata=fold, runs=runs, rng=rng, resamples=499)


def _over_seeds(rng, seed_sd, shift=0.0, *, with_runs=True, n=100):
    """Compare two methods by seeds: the same users in every training."""
    user, run = np.repeat(np.arange(n), RUNS), np.tile(np.arange(RUNS), n)
    level = rng.beta(2, 3, n)[user]
    first, second = (level + rng.normal(0, 0.08, n * RUNS) + rng.normal(0, seed_sd, RUNS)[run] for _ in range(2))
    runs = run if with_runs else None
    return compare_paired(first + shift, second, users=user, runs=runs, rng=rng, resamples=499)


@pytest.mark.parametrize("design", [_in_folds, _over_seeds])
@pytest.mark.parametrize("seed_sd", [0.0, 0.01, 0.05])
def test_the_same_model_trained_twice_comes_out_different_in_no_more_than_five_per_cent(design, seed_sd):
    rate = measure_error_rate(lambda rng: design(rng, seed_sd).verdict != "inconclusive", 400, np.random.default_rng(0))
    assert not rate.exceeds_nominal, rate
    if seed_sd == 0.05:
        assert rate.contains_nominal, rate


@pytest.mark.parametrize("design", [_in_folds, _over_seeds])
def test_the_test_over_runs_alone_has_its_promised_rate_with_little_training_noise_too(design):
    rate = measure_error_rate(lambda rng: design(rng, 0.003).by_runs.p < 0.05, 400, np.random.default_rng(1))
    assert rate.contains_nominal, rate


@pytest.mark.parametrize("design", [_in_folds, _over_seeds])
def test_users_alone_would_call_the_same_model_different_far_too_often(design):
    rate = measure_error_rate(
        lambda rng: design(rng, 0.05, with_runs=False).verdict != "inconclusive", 60, np.random.default_rng(2)
    )
    assert rate.low > 0.3, rate


@pytest.mark.parametrize("design", [_in_folds, _over_seeds])
def test_a_real_difference_is_found_in_its_direction(design):
    verdicts = [design(rng, 0.01, 0.05).verdict for rng in np.random.default_rng(3).spawn(100)]
    assert verdicts.count("supported") >= 95
    assert design(np.random.default_rng(4), 0.01, -0.05).verdict == "contradicted"


def test_a_difference_of_the_detectable_size_is_found_with_about_the_stated_power():
    """On users alone: an effect of the size named at the true standard error, in units that every sample estimates."""
    typical = smallest_detectable(0.08 * np.sqrt(2 / 200), 195)
    named = [_in_folds(rng, 0.0, with_runs=False).smallest_detectable for rng in np.random.default_rng(5).spawn(30)]
    assert np.mean(named) == pytest.approx(typical, rel=0.03)
    found = [
        _in_folds(rng, 0.0, typical, with_runs=False).verdict == "supported"
        for rng in np.random.default_rng(6).spawn(300)
    ]
    assert 0.7 <= np.mean(found) <= 0.88


def test_interval_over_equal_folds_is_scipys_t_interval_of_the_fold_means():
    rng = np.random.default_rng(7)
    fold = np.arange(50) % RUNS
    first, second = rng.random(50) + fold, rng.random(50)
    result = compare_paired(first, second, runs=fold, rng=rng)
    means = [(first - second)[fold == f].mean() for f in range(RUNS)]
    theirs = stats.ttest_1samp(means, 0)
    assert result.by_runs.p == pytest.approx(theirs.pvalue)
    assert (result.by_runs.interval.low, result.by_runs.interval.high) == pytest.approx(
        tuple(theirs.confidence_interval(0.95))
    )
    assert (result.difference.low, result.difference.high) == pytest.approx(
        (result.by_runs.interval.low, result.by_runs.interval.high)
    )


def test_the_verdict_uses_whichever_evidence_is_weaker():
    fold = np.arange(200) % RUNS
    noise = np.random.default_rng(8).normal(0, 0.3, 200)
    # Fold means that agree by accident: t over runs would be far surer than the users are.
    noise -= np.bincount(fold, noise)[fold] / 40
    result = compare_paired(0.03 + noise, np.zeros(200), runs=fold, rng=np.random.default_rng(9))
    assert result.by_runs.p < 1e-6 < result.by_users.p == result.p
    assert result.verdict == "inconclusive"
    assert result.difference == result.by_users.interval
    assert result.standard_error == result.by_users.standard_error


def test_identical_sides_are_inconclusive_with_a_point_interval():
    values = np.random.default_rng(10).random(20)
    result = compare_paired(values, values, runs=np.arange(20) % 4, rng=np.random.default_rng(11))
    assert (result.difference.low, result.difference.high, result.p, result.effect_size) == (0, 0, 1, 0)
    assert (result.verdict, result.equal) == ("inconclusive", 1.0)


def test_one_constant_difference_is_sure_and_its_p_is_not_zero():
    values = np.random.default_rng(12).random(40)
    result = compare_paired(values + 0.25, values, runs=np.arange(40) % 4, rng=np.random.default_rng(13))
    assert result.verdict == "supported"
    assert result.p == 1e-4


def test_users_shares_and_effect_are_taken_after_averaging_seeds():
    users = np.array([0, 0, 1, 1, 2, 2])
    first = np.array([3.0, -1.0, -2.0, 0.0, 1.0, -1.0])
    result = compare_paired(first, np.zeros(6), users=users, rng=np.random.default_rng(14))
    assert (result.better, result.worse, result.equal, result.n) == (1 / 3, 1 / 3, 1 / 3, 3)
    assert result.effect_size == 0


@pytest.mark.parametrize(
    ("low", "high", "p", "expected", "verdict"),
    [
        (0.02, 0.05, 0.01, "greater", "supported"),
        (0.02, 0.05, 0.01, "less", "contradicted"),
        (-0.05, -0.02, 0.01, "greater", "contradicted"),
        (-0.05, -0.02, 0.01, "less", "supported"),
        (0.005, 0.05, 0.01, "greater", "inconclusive"),
        (-0.05, -0.005, 0.01, "greater", "inconclusive"),
        (0.02, 0.05, 0.05, "greater", "inconclusive"),
        (0.01, 0.05, 0.01, "greater", "inconclusive"),
    ],
)
def test_a_verdict_needs_the_interval_beyond_the_practical_difference_and_a_small_p(low, high, p, expected, verdict):
    assert decide(Estimate(0.0, low, high, 9), p, level=0.95, practical=0.01, expected=expected) == verdict


def test_the_practical_difference_counts_in_what_could_have_been_seen():
    d = np.random.default_rng(15).normal(0.05, 1, 400)
    plain, strict = (
        compare_paired(d, np.zeros(400), practical=practical, rng=np.random.default_rng(16)) for practical in (0.0, 0.3)
    )
    assert strict.smallest_detectable == pytest.approx(plain.smallest_detectable + 0.3)
    assert plain.smallest_detectable == pytest.approx(2.81 * stats.sem(d), rel=0.01)


def test_a_family_of_claims_is_decided_again_with_adjusted_p():
    rng = np.random.default_rng(17)
    shifts = (0.8, 0.24, 0.0)
    alone = [compare_paired(rng.normal(shift, 1, 100), np.zeros(100), rng=rng) for shift in shifts]
    alone[1] = next(
        one
        for one in (compare_paired(rng.normal(0.22, 1, 100), np.zeros(100), rng=rng) for _ in range(200))
        if 0.03 < one.p < 0.045 and one.verdict == "supported"
    )
    family = with_holm(alone)
    assert [one.verdict for one in alone] == ["supported", "supported", "inconclusive"]
    assert [one.verdict for one in family] == ["supported", "inconclusive", "inconclusive"]
    assert family[0].p_adjusted == pytest.approx(3 * alone[0].p)
    assert family[1].p_adjusted == pytest.approx(2 * alone[1].p)
    assert all(
        after.smallest_detectable > before.smallest_detectable for before, after in zip(alone, family, strict=True)
    )
    assert with_holm(()) == ()


def test_same_generator_same_result():
    d = np.random.default_rng(18).random(30)
    one, two = (compare_paired(d, np.zeros(30), rng=np.random.default_rng(19)) for _ in range(2))
    assert one == two


@pytest.mark.parametrize(
    ("first", "extra", "message"),
    [
        ([1.0, 2.0, 3.0], {}, "3 and 4 rows"),
        ([1.0, 2.0, np.nan, 0.0], {}, "first must be finite; row 2 is nan"),
        ([1.0, 2.0, 3.0, 4.0], {"strata": np.array([0, 0, 0, 1])}, "row 3 has no other member"),
        ([1.0, 2.0, 3.0, 4.0], {"runs": np.zeros(4)}, "at least 2 runs"),
        ([1.0, 2.0, 3.0, 4.0], {"practical": -1.0}, "practical"),
        ([1.0, 2.0, 3.0, 4.0], {"expected": "better"}, "expected"),
    ],
)
def test_misuse_is_named(first, extra, message):
    with pytest.raises(InvalidInput, match=message):
        compare_paired(np.array(first), np.zeros(4), rng=np.random.default_rng(0), **extra)
