"""The evaluator on popularity: by hand on three users, and published reference points on real data."""

import numpy as np
import pytest

from collabtheory.data import load, strong_generalisation
from collabtheory.data.split import user_folds
from collabtheory.errors import NumericalFailure
from collabtheory.ranking import METRICS, evaluate, self_test
from collabtheory.ranking.hand_computed import EXPECTED, POPULARITY


def test_the_self_test_covers_every_definition():
    assert {name.replace("@3", "@k") for name in EXPECTED} == set(METRICS)
    assert self_test().n_values == 27


def test_the_self_test_notices_a_reversed_order_and_ties_by_the_larger_number():
    nudged = np.array(POPULARITY) + np.arange(6) * 1e-9
    for scores in (-np.array(POPULARITY), nudged):
        with pytest.raises(NumericalFailure, match="by hand"):
            self_test(lambda x, s=scores: np.tile(s, (x.shape[0], 1)))


@pytest.mark.parametrize("name", METRICS)
def test_the_self_test_notices_a_wrong_definition(monkeypatch, name):
    wrong = {**METRICS, name: lambda found, n, k: METRICS[name](found, n + 1, k + 1)}
    monkeypatch.setattr("collabtheory.ranking.definitions.METRICS", wrong)
    with pytest.raises(NumericalFailure, match=name.replace("@k", "@3")):
        self_test()


def _popularity(train):
    counts = np.bincount(train.matrix.indices, minlength=train.n_items).astype(float)
    return lambda contents: np.broadcast_to(counts, contents.shape)


def test_popularity_on_ml_1m_is_the_reference_point(real_data):
    data = load("ml-1m", folder=real_data)
    folds = user_folds(data, 5, rng=np.random.default_rng(0))
    reached = [evaluate(_popularity(split.train), split.test) for split in folds]
    for name, reference in {"recall@20": 0.169, "recall@50": 0.242, "ndcg@100": 0.214}.items():
        # The reference was measured on 603 users with a standard error of .007, which is all it can differ by here.
        assert np.concatenate([scores[name] for scores in reached]).mean() == pytest.approx(reference, abs=2.5 * 0.007)


def test_conventions_of_other_libraries_on_ml_1m_differ_as_much_as_effects_studied(real_data):
    split = strong_generalisation(load("ml-1m", folder=real_data), rng=np.random.default_rng(0))
    means = evaluate(
        _popularity(split.train), split.test, metrics=["recall@20", "recall@20/n", "ndcg@100", "ndcg@100/k"]
    ).means
    assert means["recall@20/n"] < means["recall@20"] - 0.03
    assert means["ndcg@100/k"] < means["ndcg@100"] / 2
