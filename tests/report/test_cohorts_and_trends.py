import numpy as np
import pytest
from scipy import stats

from collabtheory.errors import InvalidInput
from collabtheory.report.binning import equal_count_bins
from collabtheory.report.size_cohorts import FARTHEST, MOST_USERS, size_cohorts
from collabtheory.report.style import house_style, new_figure
from collabtheory.report.trend import log_axis, make_trend


def test_cohorts_are_the_users_nearest_to_the_papers_sizes_where_the_data_has_them():
    sizes = np.random.default_rng(0).permutation(np.repeat([5, 6, 49, 52, 300, 420, 1000], 30))
    cohorts = size_cohorts(sizes)
    for cohort, target in zip(cohorts, (5, 50, 350), strict=True):
        ratio = np.abs(np.log(sizes / target))
        assert len(cohort.rows) == MOST_USERS
        assert ratio[cohort.rows].max() <= np.sort(ratio)[MOST_USERS - 1]
        assert (cohort.smallest, cohort.largest) == (sizes[cohort.rows].min(), sizes[cohort.rows].max())
    assert [cohort.smallest for cohort in cohorts] == [5, 49, 300]


def test_no_user_is_far_from_the_size_that_the_cohort_stands_for():
    sizes = np.concatenate([np.full(7, 4), np.full(7, 9), np.full(7, 60), np.full(7, 250), np.full(7, 800)])
    cohorts = size_cohorts(sizes)
    assert [(cohort.smallest, cohort.largest, len(cohort.rows)) for cohort in cohorts] == [
        (4, 4, 7),
        (60, 60, 7),
        (250, 250, 7),
    ]
    assert FARTHEST < 9 / 5


def test_data_without_such_users_give_the_shortest_the_middle_and_the_longest_histories():
    sizes = np.random.default_rng(1).integers(16, 43, 101)
    cohorts = size_cohorts(sizes)
    assert [len(cohort.rows) for cohort in cohorts] == [20, 20, 20]
    assert cohorts[0].largest <= np.sort(sizes)[19]
    assert cohorts[2].smallest >= np.sort(sizes)[-20]
    assert cohorts[1].smallest <= np.median(sizes) <= cohorts[1].largest
    assert len(np.unique(np.concatenate([cohort.rows for cohort in cohorts]))) == 60


def test_few_or_equal_users_are_one_cohort_and_none_is_none():
    assert [cohort.label for cohort in size_cohorts(np.array([3, 9]))] == ["3 to 9 interactions (n = 2)"]
    assert [cohort.label for cohort in size_cohorts(np.full(50, 8))] == ["8 interactions (n = 24)"]
    assert size_cohorts(np.zeros(0)) == ()
    with pytest.raises(InvalidInput, match="positive"):
        size_cohorts(np.array([0, 1]))


def test_bins_of_equal_counts_keep_ties_together_and_are_about_equally_full():
    x = np.random.default_rng(2).integers(0, 30, 600).astype(float)
    which, n_bins = equal_count_bins(x, 6, 10)
    assert n_bins == 6
    assert all(len(np.unique(which[x == value])) == 1 for value in np.unique(x))
    assert np.all(np.diff(which[np.argsort(x)]) >= 0)
    counts = np.bincount(which, minlength=6)
    assert counts.min() > 60
    assert counts.max() < 140


def test_a_trend_has_the_quartiles_of_its_bins_and_scipys_rank_correlation():
    rng = np.random.default_rng(3)
    x = rng.permutation(90).astype(float)
    y = x + rng.normal(0.0, 20.0, 90)
    trend = make_trend(np.append(x, 5.0), np.append(y, np.nan))
    assert trend.correlation.value == pytest.approx(stats.spearmanr(x, y).statistic)
    assert len(trend.centres) == 9
    for k, centre in enumerate(trend.centres):
        members = (x >= 10 * k) & (x < 10 * (k + 1))
        assert centre == np.median(x[members])
        np.testing.assert_allclose(trend.quartiles[:, k], np.quantile(y[members], (0.25, 0.5, 0.75)))


def test_an_interval_of_a_rank_correlation_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(4)
    truth = 6 / np.pi * np.arcsin(0.6 / 2)  # of a bivariate normal with correlation 0.6
    held = 0
    for _ in range(80):
        x = rng.standard_normal(80)
        one = make_trend(x, 0.6 * x + 0.8 * rng.standard_normal(80)).correlation
        held += one.low <= truth <= one.high
    assert held >= 70


@pytest.mark.parametrize(("low", "high"), [(5.0, 700.0), (16.0, 42.0), (30.0, 31.0), (7.0, 7.0), (0.2, 90000.0)])
def test_a_logarithmic_axis_has_round_ticks_inside_its_ends(low, high):
    with house_style():
        canvas, (ax,) = new_figure(1, (4.6, 4.0))
        log_axis(ax, low, high)
        canvas.draw_without_rendering()
    ticks = ax.get_xticks()
    assert len(ticks) >= 1
    assert ax.get_xlim()[0] <= ticks.min() <= ticks.max() <= ax.get_xlim()[1]
    assert all(label.get_text() for label in ax.get_xticklabels())
