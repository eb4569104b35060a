"""BCa intervals against scipy from the same draws, against their coverage, and on degenerate input."""

import numpy as np
import pytest
from scipy import stats

from collabtheory.errors import InvalidInput, NumericalFailure
from collabtheory.stats import bootstrap_mean, bootstrap_statistic, bootstrap_sum
from collabtheory.stats.bootstrap import _bca_shares


def _scipy_interval(samples, statistic, seed, resamples=999, level=0.95):
    result = stats.bootstrap(
        samples, statistic, n_resamples=resamples, vectorized=True, confidence_level=level, random_state=seed
    )
    return result.confidence_interval


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_interval_of_a_skewed_mean_equals_scipy_bca_from_the_same_draws(level):
    values = np.random.default_rng(0).exponential(size=60)
    ours = bootstrap_mean(values, level=level, resamples=999, rng=np.random.default_rng(1))
    theirs = _scipy_interval((values,), np.mean, np.random.default_rng(1), level=level)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_stratified_interval_equals_scipy_with_the_strata_as_samples():
    rng = np.random.default_rng(2)
    strata = rng.permutation(np.repeat(["a", "b", "c"], [20, 50, 30]))
    values = rng.exponential(size=100) + np.select([strata == "a", strata == "b"], [10.0, 20.0])

    def overall_mean(a, b, c, axis):
        return 0.2 * a.mean(axis) + 0.5 * b.mean(axis) + 0.3 * c.mean(axis)

    ours = bootstrap_mean(values, strata=strata, resamples=999, rng=np.random.default_rng(3))
    theirs = _scipy_interval([values[strata == s] for s in "abc"], overall_mean, np.random.default_rng(3))
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    unstratified = bootstrap_mean(values, resamples=999, rng=np.random.default_rng(3))
    assert ours.high - ours.low < 0.5 * (unstratified.high - unstratified.low)


def test_draws_in_many_blocks_are_those_of_one_block():
    values = np.random.default_rng(4).exponential(size=3000)
    blocked = bootstrap_mean(values, resamples=999, rng=np.random.default_rng(5))
    drawn = np.random.default_rng(5).integers(0, 3000, (999, 3000))
    shares = values[drawn].mean(1)
    assert np.quantile(shares, 0.0) < blocked.low < blocked.high < np.quantile(shares, 1.0)
    theirs = _scipy_interval((values,), np.mean, np.random.default_rng(5))
    assert (blocked.low, blocked.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_a_general_statistic_is_scipys_and_respects_strata():
    rng = np.random.default_rng(6)
    values, strata = rng.exponential(size=80), np.repeat([0, 1], 40)
    ours = bootstrap_statistic(np.var, values, resamples=499, rng=np.random.default_rng(7))
    theirs = _scipy_interval((values,), np.var, np.random.default_rng(7), resamples=499)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    shifted = values + 100.0 * strata
    of_mean = bootstrap_statistic(np.mean, shifted, strata=strata, resamples=499, rng=np.random.default_rng(8))
    closed = bootstrap_mean(shifted, strata=strata, resamples=499, rng=np.random.default_rng(8))
    assert (of_mean.low, of_mean.high) == pytest.approx((closed.low, closed.high), rel=1e-4)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """200 users of a skewed value in four strata; 600 repetitions tell 95 % from 92 %."""
    strata, covered = np.repeat(np.arange(4), 50), 0
    for child in np.random.default_rng(9).spawn(600):
        values = child.exponential(size=200) + strata
        estimate = bootstrap_mean(values, strata=strata, resamples=599, rng=child)
        covered += estimate.low <= 2.5 <= estimate.high
    interval = stats.binomtest(covered, 600).proportion_ci(0.99)
    assert interval.low <= 0.95 <= interval.high


def test_rows_of_one_user_are_averaged_before_users_are_resampled():
    rng = np.random.default_rng(10)
    of_user = rng.standard_normal(40)
    users = np.repeat(np.arange(40), 25)
    rows = of_user[users] + 1e-9 * rng.standard_normal(1000)
    whole = bootstrap_mean(rows, users=users, resamples=999, rng=np.random.default_rng(11))
    plain = bootstrap_mean(of_user, resamples=999, rng=np.random.default_rng(11))
    assert (whole.value, whole.low, whole.high) == pytest.approx((plain.value, plain.low, plain.high), abs=1e-8)
    assert whole.n == 40
    as_if_independent = bootstrap_mean(rows, resamples=999, rng=np.random.default_rng(11))
    assert as_if_independent.high - as_if_independent.low < 0.4 * (whole.high - whole.low)


def test_the_same_generator_gives_the_same_interval():
    values = np.random.default_rng(12).random(50)
    one, two = (bootstrap_mean(values, rng=np.random.default_rng(13)) for _ in range(2))
    assert one == two


def test_constant_values_have_the_point_as_interval():
    rng = np.random.default_rng(14)
    estimate = bootstrap_mean(np.full(7, 0.1), rng=rng)
    assert estimate.low == estimate.high == estimate.value == pytest.approx(0.1)
    strata = np.repeat([0, 1], 5)
    within = bootstrap_mean(0.1 + strata, strata=strata, rng=rng)
    assert within.low == within.high == within.value == pytest.approx(0.6)
    median = bootstrap_statistic(np.median, np.full(7, 0.1), rng=rng)
    assert median.low == median.high == median.value


def test_extreme_skew_at_an_extreme_level_stays_finite_and_ordered():
    values = np.zeros(30)
    values[0] = 1.0
    for level in (0.95, 0.999, 0.999999):
        estimate = bootstrap_mean(values, level=level, resamples=999, rng=np.random.default_rng(15))
        assert 0 <= estimate.low <= estimate.high <= 1


def test_the_correction_stays_ordered_beyond_its_pole_and_without_a_draw_on_one_side():
    draws = np.arange(99.0)
    low, high = _bca_shares(draws, 49.0, 0.16, 1 - 1e-13)
    assert 0 <= low < high == 1
    for outside in (-1.0, 100.0):
        low, high = _bca_shares(draws, outside, 0.01, 0.95)
        assert 0 <= low < high <= 1


@pytest.mark.filterwarnings("ignore:The BCa confidence interval")
def test_an_undefined_interval_is_an_error_not_a_nan():
    with pytest.raises(NumericalFailure, match="outside all resampled"), np.errstate(all="ignore"):
        bootstrap_statistic(
            lambda x, axis: np.where(np.diff(x, axis=axis).min(axis) > 0, 5.0, x.mean(axis)),
            np.arange(30.0) / 30,
            resamples=99,
            rng=np.random.default_rng(16),
        )


@pytest.mark.parametrize(
    ("values", "extra", "message"),
    [
        ([1.0], {}, "at least 2"),
        ([], {}, "at least 2"),
        ([[1.0, 2.0]], {}, "vector"),
        ([1.0, 2.0, np.nan], {}, "row 2 is nan"),
        ([1.0, np.inf], {}, "row 1 is inf"),
        ([1.0, 2.0, 3.0], {"strata": np.array([0, 0, 1])}, "row 2 has no other member"),
        ([1.0, 2.0], {"strata": np.array([0])}, "one entry for each of the 2 rows"),
        ([1.0, 2.0], {"strata": np.array([0, np.nan])}, "row 1"),
        ([1.0, 2.0, 3.0], {"users": np.array([0, 0, 1]), "strata": np.array([0, 1, 0])}, "row 1 is in two"),
        ([1.0, 2.0], {"users": np.array([0, 0])}, "averaged by user"),
        ([1.0, 2.0], {"level": 95}, "level"),
        ([1.0, 2.0], {"resamples": 10}, "resamples"),
    ],
)
def test_misuse_is_named(values, extra, message):
    with pytest.raises(InvalidInput, match=message):
        bootstrap_mean(np.array(values), rng=np.random.default_rng(0), **extra)


def test_cells_of_a_sum_are_resampled_on_their_own():
    """Two constant cells that differ: no resample within cells changes the sum."""
    estimate = bootstrap_sum(np.array([1.0, 1.0, -2.0, -2.0]), np.array([0, 0, 1, 1]), rng=np.random.default_rng(17))
    assert (estimate.value, estimate.low, estimate.high) == (-2.0, -2.0, -2.0)
