"""Linear models on published data, against the accuracy that is known for them."""

import os
from pathlib import Path

import numpy as np
import pytest

from collabtheory.data import load, strong_generalisation, user_folds
from collabtheory.models.ease import EaseSpec, fit_ease
from collabtheory.models.linear import LinearItemModel
from collabtheory.models.popularity import fit_popularity
from collabtheory.ranking.evaluation import evaluate

SHARED = Path(os.environ.get("COLLABTHEORY_DATA") or Path(__file__).parents[2] / ".." / "shared" / "data")


def data(name):
    if not (SHARED / f"{name}.csv.gz").is_file():
        pytest.skip(f"no data folder at {SHARED}; set COLLABTHEORY_DATA")
    return load(name, folder=SHARED, offline=True)


def over_folds(interactions, k, fit, **options):
    """nDCG@100 of every user, each tested in one fold."""
    folds = user_folds(interactions, k, rng=np.random.default_rng(0), **options)
    return np.concatenate([evaluate(fit(fold.train.matrix), fold.test)["ndcg@100"] for fold in folds])


@pytest.mark.parametrize(
    ("name", "l2", "published", "standard_error"), [("ml-100k", 500.0, 0.465, 0.021), ("msweb", 20.0, 0.576, 0.013)]
)
def test_ease_reaches_the_known_accuracy(name, l2, published, standard_error):
    """Mean over all users; the standard error is that of the known value, from a tenth of the users."""
    ndcg = over_folds(data(name), 10, lambda x: fit_ease(x, EaseSpec(l2=l2)).scores, n_validation=0)
    assert ndcg.mean() == pytest.approx(published, abs=standard_error)


@pytest.mark.slow
def test_ease_and_clipped_ease_on_ml_1m_over_five_folds():
    """Known: .4204 and .4034, standard error .0023 each; the difference .0170 is one of held-out items too."""
    ease, clipped = [], []
    for fold in user_folds(data("ml-1m"), 5, rng=np.random.default_rng(0)):
        model = fit_ease(fold.train.matrix, EaseSpec(l2=400.0))
        ease.append(evaluate(model.scores, fold.test)["ndcg@100"])
        clipped.append(evaluate(LinearItemModel(np.maximum(model.weights, 0)).scores, fold.test)["ndcg@100"])
    ease, clipped = np.concatenate(ease), np.concatenate(clipped)
    assert ease.mean() == pytest.approx(0.4204, abs=0.0023)
    assert clipped.mean() == pytest.approx(0.4034, abs=0.0023)
    difference = ease - clipped
    assert difference.std() / np.sqrt(len(difference)) == pytest.approx(0.0006, abs=0.0001)
    assert difference.mean() == pytest.approx(0.0170, abs=3 * 0.0006)


@pytest.mark.slow
def test_popularity_on_ml_1m_reaches_the_known_accuracy():
    """Known from 603 test users: .214; the standard error of such a mean is .006."""
    ndcg = over_folds(data("ml-1m"), 10, lambda x: fit_popularity(x).scores, n_validation=0)
    assert ndcg.mean() == pytest.approx(0.214, abs=0.006)


def test_popularity_of_a_split_is_worse_than_ease():
    split = strong_generalisation(data("msweb"), rng=np.random.default_rng(0))
    floor = evaluate(fit_popularity(split.train.matrix).scores, split.test)["ndcg@100"]
    ease = evaluate(fit_ease(split.train.matrix, EaseSpec(l2=20.0)).scores, split.test)["ndcg@100"]
    gain = ease - floor
    assert gain.mean() > 10 * gain.std() / np.sqrt(len(gain))
