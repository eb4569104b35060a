"""Smaller tables of anchors: errors against scipy and brute force, costs against counting loops and real tensors."""

import itertools

import numpy as np
import pytest
import torch
from scipy import linalg, sparse

from collabtheory.errors import InvalidInput
from collabtheory.models import ModelSpec, MultVAE, alignment_loss
from collabtheory.models.compact_anchors import (
    anchor_cost,
    centroid_error_bound,
    low_rank_anchors,
    shared_anchors,
)

RNG = np.random.default_rng(0)
ANCHORS = RNG.standard_normal((7, 4))
SETS = np.array([x for x in itertools.product((0, 1), repeat=7) if any(x)], dtype=float)


def centroids(anchors):
    return SETS @ anchors / SETS.sum(1, keepdims=True)


@pytest.mark.parametrize("rank", [1, 2, 3, 4])
def test_truncation_has_the_stated_rank_and_error_and_no_table_of_that_rank_is_better(rank):
    found = low_rank_anchors(ANCHORS, rank)
    assert np.linalg.matrix_rank(found.anchors) == rank
    assert linalg.norm(ANCHORS - found.anchors, 2) == pytest.approx(found.error, abs=1e-12)
    for _ in range(50):
        other = RNG.standard_normal((7, rank)) @ RNG.standard_normal((rank, 4))
        assert linalg.norm(ANCHORS - other, 2) >= found.error - 1e-12


@pytest.mark.parametrize("compact", [lambda: low_rank_anchors(ANCHORS, 2), lambda: shared_anchors(ANCHORS, 3, rng=RNG)])
def test_no_set_of_items_has_its_centroid_moved_beyond_the_bound(compact):
    found = compact()
    moved = np.linalg.norm(centroids(ANCHORS) - centroids(found.anchors), axis=1)
    assert np.all(moved <= centroid_error_bound(found.error, SETS.sum(1)) + 1e-12)


def test_the_bound_is_attained_by_items_whose_errors_agree():
    anchors = np.ones((4, 1))
    bound = centroid_error_bound(linalg.norm(anchors, 2), np.array([4]))
    assert bound[0] == pytest.approx(1.0)


def test_shared_anchors_are_the_means_of_their_groups():
    found = shared_anchors(ANCHORS, 3, rng=np.random.default_rng(1))
    for group in set(found.groups):
        np.testing.assert_allclose(found.table[group], ANCHORS[found.groups == group].mean(0))
    assert len({tuple(row) for row in found.anchors}) <= 3
    assert found.error == pytest.approx(np.sqrt(np.linalg.eigvalsh((E := ANCHORS - found.anchors).T @ E)[-1]))


def test_predicted_bytes_are_those_of_the_models_own_table_and_of_its_training():
    n_items, d = 11, 5
    model = MultVAE(ModelSpec(hidden=(4,), latent=d, alignment_weight=1.0), n_items, np.random.default_rng(0))
    contents = sparse.csr_array(np.ones((3, n_items)))
    predicted = anchor_cost(contents, d)
    table = model.item_anchors
    assert table.nbytes == predicted.table_bytes
    optimiser = torch.optim.Adam([table])
    alignment_loss(torch.ones(3, d), torch.ones(3, d), torch.ones(3, n_items), table).sum().backward()
    optimiser.step()
    moments = [value for value in optimiser.state[table].values() if value.shape == table.shape]
    assert sum(t.nbytes for t in (table, table.grad, *moments)) == predicted.training_bytes


@pytest.mark.parametrize("rank", [None, 2])
def test_predicted_operations_are_those_of_a_counting_loop(rank):
    contents = (RNG.random((6, 7)) < 0.5).astype(int)
    additions = products = 0
    width = 4 if rank is None else rank
    for row in contents:
        for _ in range(width):
            additions += int(row.sum())
            products += 1  # the division by n_x
        if rank is not None:
            for _, _ in itertools.product(range(4), range(rank)):
                products += 1
                additions += 1
    found = anchor_cost(sparse.csr_array(contents), 4, rank=rank)
    assert (found.centroid_additions, found.centroid_products) == (additions, products)


def test_low_rank_has_fewer_numbers_exactly_below_the_stated_rank():
    nobody = sparse.csr_array((0, 30))
    full = anchor_cost(nobody, 20).numbers
    for rank in range(1, 21):
        factors = np.zeros((30, rank)).size + np.zeros((rank, 20)).size
        assert anchor_cost(nobody, 20, rank=rank).numbers == factors
        assert (factors < full) == (rank < 30 * 20 / (30 + 20))


def test_misuse_is_refused():
    with pytest.raises(InvalidInput, match="rank"):
        low_rank_anchors(ANCHORS, 5)
    with pytest.raises(InvalidInput, match="finite"):
        low_rank_anchors(np.full((2, 2), np.inf), 1)
    with pytest.raises(InvalidInput, match="n_dimensions"):
        anchor_cost(sparse.csr_array((1, 2)), 0)
    with pytest.raises(InvalidInput, match="n_groups"):
        shared_anchors(ANCHORS, 0, rng=RNG)
