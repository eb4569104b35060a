"""EASE weights as gradient conditions define them pass; each error of public code is named."""

import numpy as np
import pytest
from scipy import sparse

from collabtheory.conformance import check_ease
from collabtheory.errors import InvalidInput

L2 = 3.0


@pytest.fixture(scope="module")
def ratings():
    rng = np.random.default_rng(0)
    return sparse.csr_array((rng.random((80, 15)) < 0.3) * rng.integers(1, 6, (80, 15)).astype(float))


def ease(contents, l2=L2):
    """Fit column by column: ridge regression of an item on all others, which is the constrained problem itself."""
    x = contents.toarray()
    weights = np.zeros((x.shape[1], x.shape[1]))
    for j in range(x.shape[1]):
        others = np.arange(x.shape[1]) != j
        a = x[:, others]
        weights[others, j] = np.linalg.solve(a.T @ a + l2 * np.eye(a.shape[1]), a.T @ x[:, j])
    return weights


def binary(ratings):
    return sparse.csr_array((ratings.toarray() > 0).astype(float))


def statuses(found):
    return {f.name.removeprefix("ease_"): f.status.value for f in found}


def test_weights_of_the_constrained_regression_pass(ratings):
    found = check_ease(ease(binary(ratings)), ratings, L2)
    assert set(statuses(found).values()) == {"fine"}


def test_a_binary_matrix_cannot_show_a_gram_of_ratings(ratings):
    found = check_ease(ease(binary(ratings)), binary(ratings), L2)
    assert statuses(found)["gram"] == "not checked"


def test_each_error_is_named(ratings):
    right = ease(binary(ratings))
    diagonal = right + 0.5 * np.eye(len(right))
    cases = {
        "diagonal": (diagonal, {"diagonal"}, "recommends itself"),
        "clipped": (np.maximum(right, 0), {"negative_weights"}, "set to zero"),
        "ratings": (ease(ratings), {"gram"}, "raw ratings"),
        "transposed": (right.T, {"solution"}, "transposed"),
        "other l2": (ease(binary(ratings), 30.0), {"solution"}, "at this l2"),
    }
    for name, (weights, wrong, words) in cases.items():
        found = check_ease(weights, ratings, L2)
        flagged = [f for f in found if f.status == "wrong"]
        assert {f.name.removeprefix("ease_") for f in flagged} == wrong, name
        assert words in flagged[0].words, name


def test_misuse_is_refused(ratings):
    right = ease(binary(ratings))
    for weights, l2 in ((right[:3], L2), (right, 0.0), (right * np.nan, L2)):
        with pytest.raises(InvalidInput):
            check_ease(weights, ratings, l2)
