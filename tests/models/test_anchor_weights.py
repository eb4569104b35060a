"""Weighted alignment: against its definition item by item, and against autograd; weights against their formulas."""

import numpy as np
import pytest
import torch
from scipy import sparse

from collabtheory.errors import InvalidInput
from collabtheory.models import alignment_loss
from collabtheory.models.anchor_weights import centroid_shift, popularity_weights, recency_weights
from collabtheory.models.item_anchors import anchor_centroids

RNG = np.random.default_rng(0)
CONTENTS = sparse.csr_array(((RNG.random((7, 12)) < 0.4) | np.eye(7, 12, dtype=bool)).astype(float))
ANCHORS = RNG.standard_normal((12, 3))


def as_tensor(matrix, layout):
    dense = torch.from_numpy(matrix.toarray())
    return dense.to_sparse_coo() if layout == "sparse" else dense


@pytest.mark.parametrize("layout", ["dense", "sparse"])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_weighted_loss_equals_its_definition_whatever_the_scale_of_the_weights(layout, scale):
    weights = popularity_weights(CONTENTS, 0.7) * scale
    mu, sigma = RNG.standard_normal((7, 3)), RNG.uniform(0.1, 2.0, (7, 3))
    expected = []
    for user in range(7):
        terms = [
            (weights[user, i], np.sum((mu[user] - ANCHORS[i]) ** 2) + np.sum(sigma[user] ** 2))
            for i in range(12)
            if weights[user, i] > 0
        ]
        expected.append(sum(w * t for w, t in terms) / sum(w for w, _ in terms))
    found = alignment_loss(
        torch.from_numpy(mu), torch.from_numpy(sigma), as_tensor(weights, layout), torch.from_numpy(ANCHORS)
    )
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)


def test_the_gradient_in_the_mean_points_from_the_weighted_centroid():
    weights = as_tensor(popularity_weights(CONTENTS), "dense")
    mu = torch.from_numpy(RNG.standard_normal((7, 3))).requires_grad_(True)
    loss = alignment_loss(mu, torch.ones(7, 3, dtype=torch.float64), weights, torch.from_numpy(ANCHORS))
    (gradient,) = torch.autograd.grad(loss.sum(), mu)
    centroid = (weights @ torch.from_numpy(ANCHORS)) / weights.sum(1, keepdim=True)
    torch.testing.assert_close(gradient, 2 * (mu - centroid).detach())


def test_users_without_items_have_neither_centroid_nor_loss():
    nothing, anchors = torch.zeros(2, 12, dtype=torch.float64), torch.from_numpy(ANCHORS)
    total, centroid = anchor_centroids(nothing, anchors)
    assert total.tolist() == [0.0, 0.0]
    assert centroid.abs().max() == 0
    ones = torch.ones(2, 3, dtype=torch.float64)
    assert alignment_loss(ones, ones, nothing, anchors).tolist() == [0.0, 0.0]


def test_inverse_popularity_lets_every_item_weigh_the_same_over_all_users():
    weights = popularity_weights(CONTENTS)
    present = CONTENTS.sum(axis=0) > 0
    assert np.asarray(weights.sum(axis=0))[present] == pytest.approx(np.ones(present.sum()))
    assert np.array_equal(popularity_weights(CONTENTS, 0.0).toarray(), CONTENTS.toarray())


def test_recency_halves_every_half_life_and_never_loses_an_item():
    contents = sparse.csr_array(np.array([[1, 1, 1, 1], [0, 1, 0, 0]]))
    times = np.array([0, 60, 90, 10**9, -5])
    weights = recency_weights(contents, times, half_life=30.0)
    assert weights[0, 3] == 1.0
    assert weights[1, 1] == 1.0
    assert np.all(weights.data > 0)
    two = recency_weights(contents[[0]], times[:4] % 1000, half_life=30.0)
    assert two[0, 1] / two[0, 0] == pytest.approx(4.0)


def test_the_shift_is_the_distance_of_the_two_centroids_and_within_its_bound():
    weights = popularity_weights(CONTENTS, 1.5)
    found = centroid_shift(weights, ANCHORS)
    for user in range(7):
        own = CONTENTS[[user]].toarray()[0] > 0
        w, e = weights[[user]].toarray()[0][own], ANCHORS[own]
        expected = np.linalg.norm((w @ e) / w.sum() - e.mean(0))
        assert found.shift[user] == pytest.approx(expected, rel=1e-9, abs=1e-12)
        assert found.spread[user] == pytest.approx(np.sqrt(e.var(0).sum()))
        assert found.bound[user] == pytest.approx(w.std() / w.mean() * np.sqrt(e.var(0).sum()))
    assert np.all(found.shift <= found.bound * (1 + 1e-12))


def test_equal_weights_and_empty_users_do_not_move():
    contents = sparse.csr_array(np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))
    found = centroid_shift(contents * 5.0, ANCHORS[:3])
    assert found.shift.tolist() == [0.0, 0.0]
    assert found.bound.tolist() == [0.0, 0.0]


def test_misuse_is_refused():
    with pytest.raises(InvalidInput, match="exponent"):
        popularity_weights(CONTENTS, float("nan"))
    with pytest.raises(InvalidInput, match="timestamps"):
        recency_weights(CONTENTS, np.zeros(3), 1.0)
    with pytest.raises(InvalidInput, match="half_life"):
        recency_weights(CONTENTS, np.zeros(CONTENTS.nnz), 0.0)
    with pytest.raises(InvalidInput, match="weights"):
        centroid_shift(-CONTENTS, ANCHORS)
