"""Ranking metrics against loops written from their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from collabtheory.errors import InvalidInput
from collabtheory.ranking import ndcg_at_k, rank_unseen, recall_at_k


def _world(seed, n_users=6, n_items=12):
    rng = np.random.default_rng(seed)
    seen = rng.random((n_users, n_items)) < 0.3
    held_out = (rng.random((n_users, n_items)) < 0.3) & ~seen
    held_out[np.arange(n_users), np.argmin(seen, axis=1)] = True
    scores = rng.integers(0, 5, (n_users, n_items)).astype(float)  # many ties
    return scores, sparse.csr_array(seen.astype(float)), sparse.csr_array(held_out.astype(float))


def _loop(scores, seen, held_out, k):
    ndcg, recall = [], []
    for user in range(scores.shape[0]):
        candidates = [i for i in range(scores.shape[1]) if seen[user, i] == 0]
        ranking = sorted(candidates, key=lambda i: (-scores[user, i], i))[:k]
        relevant = {i for i in range(scores.shape[1]) if held_out[user, i] > 0}
        gain = sum(1 / math.log2(rank + 2) for rank, i in enumerate(ranking) if i in relevant)
        ideal = sum(1 / math.log2(rank + 2) for rank in range(min(k, len(relevant))))
        ndcg.append(gain / ideal)
        recall.append(sum(i in relevant for i in ranking) / min(k, len(relevant)))
    return ndcg, recall


@given(seed=st.integers(0, 10_000), k=st.integers(1, 15))
@settings(max_examples=40, deadline=None)
def test_metrics_equal_their_definitions_with_ties(seed, k):
    scores, seen, held_out = _world(seed)
    ndcg, recall = _loop(scores, seen.toarray(), held_out.toarray(), k)
    np.testing.assert_allclose(ndcg_at_k(scores, seen, held_out, k), ndcg, rtol=1e-12)
    np.testing.assert_allclose(recall_at_k(scores, seen, held_out, k), recall, rtol=1e-12)


def test_seen_items_are_never_recommended_before_unseen_ones():
    scores, seen, _ = _world(1)
    for user, ranking in enumerate(rank_unseen(scores, seen, 4)):
        assert not set(ranking) & set(seen[[user]].indices)


def test_a_user_without_held_out_items_is_an_error_not_nan():
    scores, seen, held_out = _world(2)
    empty = held_out.toarray()
    empty[3] = 0
    with pytest.raises(InvalidInput, match="row 3"):
        ndcg_at_k(scores, seen, sparse.csr_array(empty))


def test_scores_that_are_not_finite_are_refused():
    scores, seen, held_out = _world(3)
    scores[0, 0] = np.nan
    with pytest.raises(InvalidInput, match="finite"):
        ndcg_at_k(scores, seen, held_out)


def test_a_seen_item_that_pads_a_short_ranking_is_no_hit_even_if_held_out():
    seen, held_out = sparse.csr_array([[1.0, 1, 0]]), sparse.csr_array([[1.0, 0, 1]])
    assert recall_at_k(np.array([[3.0, 2, 1]]), seen, held_out, 3).tolist() == [0.5]


def test_nobody_to_rank_gives_no_values():
    nobody = sparse.csr_array((0, 5))
    assert ndcg_at_k(np.empty((0, 5)), nobody, nobody).shape == (0,)


def test_a_ranking_of_no_place_is_refused():
    scores, seen, _ = _world(4)
    with pytest.raises(InvalidInput, match="k must be at least 1; it is 0"):
        rank_unseen(scores, seen, 0)
