"""Evaluation in blocks against full sorts and against loops over users."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from collabtheory.data import FoldIn
from collabtheory.errors import InvalidInput
from collabtheory.ranking import evaluate, rank_unseen
from collabtheory.ranking.top_k import top_k

KINDS = ("ties", "normal", "constant", "float32", "integers")


def _scores(kind, rng, shape):
    return {
        "ties": lambda: rng.integers(-2, 3, shape).astype(float),
        "normal": lambda: rng.normal(size=shape),
        "constant": lambda: np.zeros(shape),
        "float32": lambda: rng.normal(size=shape).astype(np.float32).round(1),
        "integers": lambda: rng.integers(0, 4, shape),
    }[kind]()


def _world(seed, kind="ties", n_users=7, n_items=14, seen_share=0.4):
    rng = np.random.default_rng(seed)
    seen = rng.random((n_users, n_items)) < seen_share
    held_out = (rng.random((n_users, n_items)) < 0.3) & ~seen
    one = rng.integers(n_items, size=n_users)
    seen[np.arange(n_users), one], held_out[np.arange(n_users), one] = False, True
    rows = rng.permutation(100)[:n_users]
    users = FoldIn(rows, sparse.csr_array(seen.astype(float)), sparse.csr_array(held_out.astype(float)), rows[:0])
    return _scores(kind, rng, seen.shape), users


def _table_scorer(scores, users):
    """Return a scorer that looks its users up by what they have seen, so that it works on any block of them."""
    key = {tuple(row): number for number, row in enumerate(users.fold_in.toarray().tolist())}
    return lambda contents: scores[[key[tuple(row)] for row in contents.toarray().tolist()]]


def _distinct(users):
    rows = users.fold_in.toarray().tolist()
    return len({tuple(row) for row in rows}) == len(rows)


def _ranking(scores, seen):
    return sorted((item for item in range(len(scores)) if not seen[item]), key=lambda item: (-scores[item], item))


def _loop(name, scores, seen, held_out):
    family, _, rest = name.partition("@")
    k, _, convention = rest.partition("/")
    k, n = int(k), int(sum(held_out))
    places = [rank for rank, item in enumerate(_ranking(scores, seen)[:k], start=1) if held_out[item]]
    if family == "recall":
        return len(places) / {"": min(k, n), "n": n}[convention]
    ideal = {"": min(k, n), "n": n, "k": k}[convention]
    gain = [math.log(2) / math.log(place + 1) for place in places]
    return sum(gain) / sum(math.log(2) / math.log(place + 1) for place in range(1, ideal + 1))


@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS), k=st.integers(1, 20), share=st.floats(0, 1))
@settings(max_examples=150, deadline=None)
def test_the_ranking_is_that_of_a_full_stable_sort(seed, kind, k, share):
    scores, users = _world(seed, kind, seen_share=share)
    masked = np.where(users.fold_in.toarray() > 0, -np.inf, scores)
    expected = np.argsort(-masked, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(rank_unseen(scores, users.fold_in, k), expected)


def test_the_ranking_is_that_of_a_full_sort_over_several_blocks(monkeypatch):
    monkeypatch.setattr("collabtheory.ranking.top_k.BLOCK_ENTRIES", 30)
    scores, users = _world(0)
    masked = np.where(users.fold_in.toarray() > 0, -np.inf, scores)
    np.testing.assert_array_equal(
        rank_unseen(scores, users.fold_in, 5), np.argsort(-masked, axis=1, kind="stable")[:, :5]
    )


def test_top_k_takes_rows_of_minus_infinity_by_column():
    values = np.full((2, 4), -np.inf)
    values[0, 3] = 1.0
    assert top_k(values, 2).tolist() == [[3, 0], [0, 1]]


@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS), k=st.integers(1, 20), block=st.integers(1, 8))
@settings(max_examples=100, deadline=None)
def test_every_definition_equals_its_loop(seed, kind, k, block):
    scores, users = _world(seed, kind)
    if not _distinct(users):
        return
    names = [f"recall@{k}", f"recall@{k}/n", f"ndcg@{k}", f"ndcg@{k}/n", f"ndcg@{k}/k"]
    reached = evaluate(_table_scorer(scores, users), users, metrics=names, count_at=[k, 3], block=block)
    seen, held_out = users.fold_in.toarray(), users.held_out.toarray()
    for name in names:
        expected = [_loop(name, *user) for user in zip(scores, seen, held_out, strict=True)]
        np.testing.assert_allclose(reached[name], expected, rtol=1e-12, err_msg=name)
    for length in (k, 3):
        lists = [_ranking(*user)[:length] for user in zip(scores, seen, strict=True)]
        counts = np.bincount(np.concatenate(lists).astype(int), minlength=seen.shape[1])
        np.testing.assert_array_equal(reached.recommended[length], counts)
    np.testing.assert_array_equal(reached.rows, users.rows)
    np.testing.assert_array_equal(reached.n_fold_in, seen.sum(1))
    np.testing.assert_array_equal(reached.n_held_out, held_out.sum(1))


def test_values_do_not_depend_on_the_block():
    scores, users = _world(3, "normal", n_users=40, n_items=60)
    scorer = _table_scorer(scores, users)
    whole = evaluate(scorer, users, metrics=["ndcg@10", "recall@5"])
    for block in (1, 7, 39):
        parts = evaluate(scorer, users, metrics=["ndcg@10", "recall@5"], block=block)
        for name in whole.values:
            np.testing.assert_array_equal(parts[name], whole[name])
        np.testing.assert_array_equal(parts.recommended[20], whole.recommended[20])


def test_padding_is_neither_a_hit_nor_a_recommendation():
    seen, held_out = np.array([[1.0, 1, 1, 0]]), np.array([[0.0, 0, 0, 1]])
    users = FoldIn(np.array([0]), sparse.csr_array(seen), sparse.csr_array(held_out), np.array([]))
    reached = evaluate(lambda x: np.array([[9.0, 8, 7, 0]]), users, metrics=["recall@3/n"], count_at=[3])
    assert reached["recall@3/n"].tolist() == [1.0]
    assert reached.recommended[3].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_names_the_users_row_in_the_data(bad):
    scores, users = _world(1)
    scores[5, 2] = bad
    with pytest.raises(InvalidInput, match=rf"item 2 for the user in row {users.rows[5]} is {bad}"):
        evaluate(_table_scorer(scores, users), users, block=2)


def test_a_user_without_held_out_items_is_refused_by_its_row():
    scores, users = _world(2)
    empty = users.held_out.toarray()
    empty[4] = 0
    without = FoldIn(users.rows, users.fold_in, sparse.csr_array(empty), users.rows[:0])
    with pytest.raises(InvalidInput, match=rf"row {users.rows[4]} has no held-out item"):
        evaluate(lambda x: scores, without)


def test_an_item_both_seen_and_held_out_is_refused():
    scores, users = _world(2)
    both = FoldIn(users.rows, users.fold_in + users.held_out, users.held_out, users.rows[:0])
    with pytest.raises(InvalidInput, match=rf"row {users.rows[0]} has an item both"):
        evaluate(lambda x: scores, both)


def test_scores_of_the_wrong_shape_are_refused():
    scores, users = _world(2)
    with pytest.raises(InvalidInput, match="same shape"):
        evaluate(lambda x: scores[:, :-1], users)


def test_no_user_at_all_is_refused():
    nobody = FoldIn(np.array([], dtype=int), sparse.csr_array((0, 3)), sparse.csr_array((0, 3)), np.array([]))
    with pytest.raises(InvalidInput, match="no user"):
        evaluate(lambda x: x.toarray(), nobody)


@pytest.mark.parametrize("name", ["recall", "recall@0", "recall@20/k", "precision@5", "ndcg@5/m", "ndcg@-1"])
def test_an_unknown_metric_lists_those_that_exist(name):
    scores, users = _world(2)
    with pytest.raises(InvalidInput, match=r"there are recall@k, recall@k/n, ndcg@k, ndcg@k/n, ndcg@k/k"):
        evaluate(lambda x: scores, users, metrics=[name])


def test_a_metric_that_was_not_evaluated_is_named():
    scores, users = _world(2)
    with pytest.raises(InvalidInput, match="'recall@7' was not evaluated; there are recall@5"):
        evaluate(lambda x: scores, users, metrics=["recall@5"])["recall@7"]


def test_the_scorers_own_array_is_left_alone():
    scores, users = _world(4)
    before = scores.copy()
    evaluate(lambda x: scores, users)
    np.testing.assert_array_equal(scores, before)
    scores.setflags(write=False)
    evaluate(lambda x: scores, users)


def test_memory_is_that_of_a_block_not_of_all_users():
    n_users, n_items = 6000, 500
    shown, hidden = (
        sparse.csr_array((np.ones(n_users), np.full(n_users, item), np.arange(n_users + 1)), (n_users, n_items))
        for item in (0, 1)
    )
    users = FoldIn(np.arange(n_users), shown, hidden, np.array([]))
    tracemalloc.start()
    evaluate(lambda x: np.tile(np.arange(float(n_items)), (x.shape[0], 1)), users, block=100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n_users * n_items * 8 / 4
