"""Effect sizes against definitions, and power against scipy's distribution and simulation."""

import numpy as np
import pytest
from scipy import stats

from collabtheory.errors import InvalidInput
from collabtheory.stats import (
    cohens_d,
    cohens_dz,
    equivalence_margin,
    group_superiority,
    smallest_detectable,
    standard_error_of_sum,
)


def test_dz_is_students_t_over_root_n():
    d = np.random.default_rng(0).normal(0.3, 2, 50)
    assert cohens_dz(d) == pytest.approx(stats.ttest_1samp(d, 0).statistic / np.sqrt(50))


def test_d_is_the_pooled_t_rescaled():
    rng = np.random.default_rng(1)
    x, y = rng.normal(0.3, 2, 50), rng.normal(0, 2, 70)
    assert cohens_d(x, y) == pytest.approx(stats.ttest_ind(x, y).statistic * np.sqrt(1 / 50 + 1 / 70))


def test_effects_without_spread_are_zero_or_infinite():
    assert cohens_dz(np.zeros(3)) == 0
    assert cohens_dz(np.full(3, -0.1)) == -np.inf
    assert cohens_d(np.full(3, 0.1), np.full(4, 0.1)) == 0
    assert cohens_d(np.full(3, 0.3), np.full(4, 0.1)) == np.inf


def test_superiority_is_the_share_of_pairs_won():
    rng = np.random.default_rng(2)
    x, y = rng.integers(0, 6, 30), rng.integers(0, 5, 40)
    pairs = (x[:, None] > y).mean() + 0.5 * (x[:, None] == y).mean()
    assert group_superiority(x, y) == pytest.approx(pairs)


def test_standard_error_is_scipys_for_one_cell_and_welchs_for_two():
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal(20), rng.normal(0, 3, 30)
    assert standard_error_of_sum(x / 20, np.zeros(20, dtype=int)) == pytest.approx((stats.sem(x), 19))
    both = np.concatenate([x / 20, -y / 30])
    error, degrees = standard_error_of_sum(both, np.repeat([0, 1], [20, 30]))
    assert error == pytest.approx(np.hypot(stats.sem(x), stats.sem(y)))
    assert degrees == 48


@pytest.mark.parametrize("degrees", [1, 2, 4, 7.3, 60, 2000, 1e6])
@pytest.mark.parametrize(("level", "power"), [(0.95, 0.8), (0.999, 0.9)])
def test_detectable_effect_has_its_power_under_the_noncentral_t(degrees, level, power):
    delta = smallest_detectable(1.0, degrees, level=level, power=power)
    critical = stats.t.ppf((1 + level) / 2, degrees)
    assert stats.nct.sf(critical, degrees, delta) == pytest.approx(power, abs=1e-3)


def test_detectable_effect_is_found_that_often_in_simulated_paired_tests():
    n, sd = 12, 0.5
    effect = smallest_detectable(sd / np.sqrt(n), n - 1)
    d = np.random.default_rng(4).normal(effect, sd, (4000, n))
    found = (stats.ttest_1samp(d, 0, axis=1).pvalue < 0.05).mean()
    assert found == pytest.approx(0.8, abs=0.025)


def test_detectable_effect_scales_with_the_error_and_is_zero_without_one():
    assert smallest_detectable(0.2, 9) == pytest.approx(2 * smallest_detectable(0.1, 9))
    assert smallest_detectable(0.0, 9) == 0


def test_equivalence_margin_is_where_the_worse_of_two_one_sided_tests_is_at_the_level():
    d = np.random.default_rng(5).normal(-0.1, 1, 40)
    margin = equivalence_margin(float(d.mean()), float(stats.sem(d)), 39)
    below = stats.ttest_1samp(d, margin, alternative="less").pvalue
    above = stats.ttest_1samp(d, -margin, alternative="greater").pvalue
    assert max(below, above) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1.0, 5, 0.95, 0.8), "standard_error"),
        ((np.nan, 5, 0.95, 0.8), "standard_error"),
        ((1.0, 0.5, 0.95, 0.8), "degrees"),
        ((1.0, 5, 1.5, 0.8), "level"),
        ((1.0, 5, 0.95, 0.01), "power"),
        ((1.0, 5, 0.95, 1.0), "power"),
    ],
)
def test_impossible_tests_are_refused(arguments, message):
    error, degrees, level, power = arguments
    with pytest.raises(InvalidInput, match=message):
        smallest_detectable(error, degrees, level=level, power=power)
