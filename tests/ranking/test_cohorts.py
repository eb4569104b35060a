"""Cohorts against the intervals that the paper prints."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collabtheory.errors import InvalidInput
from collabtheory.ranking import COHORTS, by_cohort, cohort_of


def test_cohorts_are_the_published_intervals_and_one_below():
    for n in range(301):
        published = [
            name
            for name, low, high in [("5-10", 5, 10), ("11-50", 11, 50), ("51-100", 51, 100), ("100+", 101, 10**9)]
            if low <= n <= high
        ]
        assert cohort_of(np.array([n])).tolist() == (published or ["<5"])


@given(st.lists(st.integers(0, 200), max_size=60))
@settings(deadline=None)
def test_every_user_is_in_exactly_one_cohort(sizes):
    sizes = np.array(sizes, dtype=int)
    values = sizes / 7.0
    summaries = by_cohort({"recall@20": values}, sizes)
    assert [summary.cohort for summary in summaries] == list(COHORTS)
    assert sum(summary.n_users for summary in summaries) == len(sizes)
    total = sum(summary.n_users * summary.means["recall@20"] for summary in summaries if summary.n_users)
    assert total == pytest.approx(values.sum())


def test_a_summary_is_the_mean_and_its_standard_error():
    values = np.array([0.1, 0.4, 0.7, 0.9])
    summary = {s.cohort.name: s for s in by_cohort({"a": values, "b": 1 - values}, np.array([5, 7, 10, 60]))}
    assert summary["5-10"].means["a"] == pytest.approx(0.4)
    assert summary["5-10"].means["b"] == pytest.approx(0.6)
    assert summary["5-10"].standard_errors["a"] == pytest.approx((0.18 / 2 / 3) ** 0.5)
    assert summary["51-100"].means["a"] == pytest.approx(0.9)
    assert np.isnan(summary["51-100"].standard_errors["a"])
    assert np.isnan(summary["11-50"].means["a"])


@pytest.mark.parametrize("bad", [-1.0, 2.5, np.nan, np.inf])
def test_a_number_of_interactions_that_is_none_is_named(bad):
    with pytest.raises(InvalidInput, match=f"user 1 has {bad}"):
        cohort_of(np.array([5.0, bad]))


def test_values_of_other_users_are_refused():
    with pytest.raises(InvalidInput, match="recall@20 must have one value a user"):
        by_cohort({"recall@20": np.zeros(3)}, np.array([5, 6]))
