"""Coverage, concentration and popularity bias against loops from their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.stats import rankdata

from collabtheory.data import FoldIn
from collabtheory.errors import InvalidInput
from collabtheory.ranking import catalogue_coverage, evaluate, exposure, gini, popularity_percentiles

COUNTS = st.lists(st.integers(0, 30), min_size=1, max_size=25).filter(any).map(np.array)


@given(COUNTS)
@settings(deadline=None)
def test_gini_is_the_mean_absolute_difference_over_twice_the_mean(counts):
    differences = [abs(a - b) for a in counts for b in counts]
    assert gini(counts) == pytest.approx(np.mean(differences) / (2 * counts.mean()), abs=1e-12)


@given(COUNTS)
@settings(deadline=None)
def test_coverage_counts_items_recommended_at_all(counts):
    assert catalogue_coverage(counts) == sum(count > 0 for count in counts) / len(counts)


@given(COUNTS)
@settings(deadline=None)
def test_percentiles_are_mean_ranks_in_the_middle_of_their_steps(popularity):
    expected = (rankdata(popularity) - 0.5) / len(popularity)
    np.testing.assert_allclose(popularity_percentiles(popularity), expected)
    assert popularity_percentiles(popularity).mean() == pytest.approx(0.5)


@pytest.mark.parametrize("bad", [[0, 0], [-1, 2], [np.nan, 1.0], [], [[1, 2]]])
def test_counts_that_are_none_are_refused(bad):
    for measure in (gini, catalogue_coverage):
        with pytest.raises(InvalidInput, match="counts must be"):
            measure(np.array(bad))


def _world(seed=0, n_users=9, n_items=15):
    rng = np.random.default_rng(seed)
    seen = rng.random((n_users, n_items)) < 0.3
    held_out = (rng.random((n_users, n_items)) < 0.2) & ~seen
    seen[:, 0], held_out[:, 0], seen[:, 1], held_out[:, 1] = True, False, False, True
    users = FoldIn(np.arange(n_users), sparse.csr_array(seen * 1.0), sparse.csr_array(held_out * 1.0), np.array([]))
    return rng.normal(size=seen.shape), users, rng.integers(0, 9, n_items).astype(float)


def test_exposure_equals_loops_over_users_and_their_lists():
    scores, users, popularity = _world()
    found = exposure(evaluate(lambda x: scores, users, count_at=[4]), users, popularity, k=4)
    percentile = popularity_percentiles(popularity)
    seen, held_out = users.fold_in.toarray(), users.held_out.toarray()
    lists = [
        sorted((item for item in range(15) if not seen[user, item]), key=lambda item: -scores[user, item])[:4]
        for user in range(9)
    ]
    recommended = np.mean([percentile[best].mean() for best in lists])
    own = np.mean([percentile[np.flatnonzero(seen[user] + held_out[user])].mean() for user in range(9)])
    assert found.popularity_percentile == pytest.approx(recommended)
    assert found.history_percentile == pytest.approx(own)
    assert found.popularity_lift == pytest.approx((recommended - own) / own)
    assert found.coverage == len(set(np.concatenate(lists))) / 15


def test_popularity_recommends_more_popular_items_than_its_reverse():
    _, users, popularity = _world(1)
    up, down = (
        exposure(
            evaluate(lambda x, s=sign * popularity: np.tile(s, (x.shape[0], 1)), users, count_at=[3]),
            users,
            popularity,
            k=3,
        )
        for sign in (1, -1)
    )
    assert up.popularity_lift > 0 > down.popularity_lift


def test_exposure_refuses_what_was_not_counted_and_other_users():
    scores, users, popularity = _world()
    reached = evaluate(lambda x: scores, users)
    with pytest.raises(InvalidInput, match=r"not counted at k = 7; they were at \[20, 100\]"):
        exposure(reached, users, popularity, k=7)
    others = FoldIn(users.rows + 1, users.fold_in, users.held_out, users.rows_left_out)
    with pytest.raises(InvalidInput, match="same evaluation"):
        exposure(reached, others, popularity)
    with pytest.raises(InvalidInput, match=r"one entry an item \(15\); it has 14"):
        exposure(reached, users, popularity[1:])
