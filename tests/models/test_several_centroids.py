"""Alignment to the nearest of several centroids: against definitions item by item, autograd, and the paper's loss."""

import numpy as np
import pytest
import torch
from scipy import sparse

from collabtheory.errors import InvalidInput
from collabtheory.models import alignment_loss
from collabtheory.models.several_centroids import (
    group_centroids,
    item_groups,
    nearest_anchor_distance,
    nearest_centroid_loss,
)

RNG = np.random.default_rng(0)
CONTENTS = ((RNG.random((9, 15)) < 0.4) | np.eye(9, 15, dtype=bool)).astype(float)
ANCHORS = RNG.standard_normal((15, 3))
GROUPS = np.arange(15) % 4
MU, SIGMA = RNG.standard_normal((9, 3)), RNG.uniform(0.1, 2.0, (9, 3))


def tensors(*arrays):
    return tuple(torch.from_numpy(np.asarray(array)) for array in arrays)


def by_definition(user, reduce):
    own = np.flatnonzero(CONTENTS[user])
    shares, distances, within = [], [], 0.0
    for group in range(4):
        items = [i for i in own if GROUPS[i] == group]
        if items:
            centre = np.mean([ANCHORS[i] for i in items], axis=0)
            shares.append(len(items) / len(own))
            distances.append(np.sum((MU[user] - centre) ** 2))
            within += sum(np.sum((ANCHORS[i] - centre) ** 2) for i in items) / len(own)
    return reduce(np.array(shares), np.array(distances)) + np.sum(SIGMA[user] ** 2) + within


@pytest.mark.parametrize("layout", ["dense", "sparse"])
@pytest.mark.parametrize(
    ("temperature", "reduce"),
    [
        (0.0, lambda p, d: d.min()),
        (0.7, lambda p, d: -0.7 * np.log(np.sum(p * np.exp(-d / 0.7)))),
        (np.inf, lambda p, d: np.sum(p * d)),
    ],
)
def test_the_loss_equals_its_definition(layout, temperature, reduce):
    mu, sigma, contents, anchors = tensors(MU, SIGMA, CONTENTS, ANCHORS)
    contents = contents.to_sparse_coo() if layout == "sparse" else contents
    found = nearest_centroid_loss(mu, sigma, group_centroids(contents, anchors, GROUPS), temperature=temperature)
    np.testing.assert_allclose(found.numpy(), [by_definition(user, reduce) for user in range(9)], rtol=1e-10)


def test_one_group_and_infinite_temperature_are_the_loss_of_the_paper():
    mu, sigma, contents, anchors = tensors(MU, SIGMA, CONTENTS, ANCHORS)
    paper = alignment_loss(mu, sigma, contents, anchors)
    one = nearest_centroid_loss(mu, sigma, group_centroids(contents, anchors, np.zeros(15, dtype=int)))
    warm = nearest_centroid_loss(mu, sigma, group_centroids(contents, anchors, GROUPS), temperature=float("inf"))
    torch.testing.assert_close(one, paper)
    torch.testing.assert_close(warm, paper)


def test_the_loss_rises_with_temperature_from_the_hard_minimum_to_the_mean():
    mu, sigma, contents, anchors = tensors(MU, SIGMA, CONTENTS, ANCHORS)
    centroids = group_centroids(contents, anchors, GROUPS)
    losses = torch.stack(
        [nearest_centroid_loss(mu, sigma, centroids, temperature=t) for t in (0.0, 1e-3, 0.1, 1.0, 10.0, float("inf"))]
    )
    assert torch.all(losses.diff(dim=0) >= -1e-9)


def test_gradients_are_finite_also_for_users_without_items_or_without_a_group():
    contents = torch.zeros(2, 15, dtype=torch.float64)
    contents[1, 0] = 1.0
    anchors = torch.from_numpy(ANCHORS).requires_grad_(True)
    mu = torch.from_numpy(MU[:2]).requires_grad_(True)
    for temperature in (0.0, 0.5):
        found = nearest_centroid_loss(
            mu,
            torch.ones(2, 3, dtype=torch.float64),
            group_centroids(contents, anchors, GROUPS),
            temperature=temperature,
        )
        assert found[0] == 0
        gradients = torch.autograd.grad(found.sum(), (mu, anchors))
        assert all(torch.isfinite(gradient).all() for gradient in gradients)
        torch.testing.assert_close(gradients[0][1], 2 * (mu[1] - anchors[0]).detach())


def test_groups_find_separated_clouds_and_do_not_depend_on_chance_there():
    clouds = np.concatenate([RNG.standard_normal((20, 3)) + 50 * centre for centre in np.eye(3)])
    for seed in range(5):
        groups = item_groups(clouds, 3, rng=np.random.default_rng(seed))
        assert [len(set(groups[k : k + 20])) for k in (0, 20, 40)] == [1, 1, 1]
        assert len(set(groups)) == 3


def test_anchors_that_coincide_leave_groups_empty_without_a_warning(recwarn):
    groups = item_groups(np.ones((6, 2)), 3, rng=np.random.default_rng(0))
    assert groups.shape == (6,)
    assert not recwarn.list


def test_nearest_anchor_is_the_closest_of_the_users_own():
    found = nearest_anchor_distance(sparse.csr_array(CONTENTS), ANCHORS)
    for user in range(9):
        own = ANCHORS[CONTENTS[user] > 0]
        centre = sum(own) / len(own)
        assert found[user] == pytest.approx(min(np.sqrt(np.sum((e - centre) ** 2)) for e in own))
    assert np.isnan(nearest_anchor_distance(sparse.csr_array((1, 15)), ANCHORS)[0])


def test_misuse_is_refused():
    with pytest.raises(InvalidInput, match="n_groups"):
        item_groups(ANCHORS, 16, rng=RNG)
    with pytest.raises(InvalidInput, match="finite"):
        item_groups(np.full((3, 1), np.nan), 2, rng=RNG)
    mu, sigma, contents, anchors = tensors(MU, SIGMA, CONTENTS, ANCHORS)
    with pytest.raises(InvalidInput, match="groups"):
        group_centroids(contents, anchors, GROUPS[:3])
    with pytest.raises(InvalidInput, match="temperature"):
        nearest_centroid_loss(mu, sigma, group_centroids(contents, anchors, GROUPS), temperature=-1.0)
