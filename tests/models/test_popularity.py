"""Popularity is the train counts, for everyone."""

import numpy as np
import pytest
from scipy import sparse

from collabtheory.errors import InvalidInput
from collabtheory.models.popularity import PopularityModel, fit_popularity


def test_everyone_gets_the_train_counts_as_scores():
    x = np.random.default_rng(0).random((30, 7)) < 0.4
    x[:, 3] = False
    model = fit_popularity(sparse.csr_array(x.astype(np.float32)))
    assert model.n_items == 7
    scores = model.scores(sparse.csr_array((4, 7)))
    assert scores.dtype == np.float64
    np.testing.assert_array_equal(scores, [x.sum(0)] * 4)
    assert scores[0, 3] == 0


def test_ratings_and_contents_of_other_items_are_refused():
    with pytest.raises(InvalidInput, match="binary"):
        fit_popularity(sparse.csr_array([[4.0, 0.0]]))
    with pytest.raises(InvalidInput, match="2 columns"):
        fit_popularity(sparse.csr_array([[1.0, 0.0]])).scores(sparse.csr_array((1, 3)))
    for counts in (np.zeros((2, 2)), np.array([-1.0]), np.array([np.nan])):
        with pytest.raises(InvalidInput, match="one finite number"):
            PopularityModel(counts)
