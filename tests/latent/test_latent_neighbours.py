import math
from fractions import Fraction

import numpy as np
import pytest
import torch

import collabtheory as ct
from collabtheory.errors import InvalidInput
from collabtheory.latent import neighbours
from collabtheory.latent.neighbour_candidates import CandidateSearch


def brute_force(p, q, k, exclude_self):
    """Exact neighbours by Python's sort on (distance, index)."""
    points, others = np.hstack([p.mu, p.sigma]), np.hstack([q.mu, q.sigma])
    indices = np.empty((len(points), k), dtype=np.int64)
    distances = np.empty((len(points), k))
    for row, point in enumerate(points):
        lengths = np.sqrt(((others - point) ** 2).sum(1))
        order = sorted(range(len(others)), key=lambda j: (lengths[j], j))
        order = [j for j in order if not (exclude_self and j == row)][:k]
        indices[row], distances[row] = order, lengths[order]
    return indices, distances


@pytest.mark.parametrize("exclude_self", [True, False])
def test_nearest_is_brute_force(exclude_self):
    rng = np.random.default_rng(0)
    p = ct.DiagonalGaussian(rng.normal(size=(300, 5)), rng.uniform(0.1, 1, (300, 5)))
    found = ct.latent.nearest(p, 7, exclude_self=exclude_self)
    indices, distances = brute_force(p, p, 7, exclude_self)
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-14)
    assert found.indices.dtype == np.int64


def test_nearest_in_another_set_counts_equal_rows():
    rng = np.random.default_rng(1)
    p = ct.DiagonalGaussian(rng.normal(size=(40, 3)), rng.uniform(0.1, 1, (40, 3)))
    q = ct.DiagonalGaussian(
        np.vstack([p.mu[:10], rng.normal(size=(90, 3))]), np.vstack([p.sigma[:10], np.ones((90, 3))])
    )
    found = ct.latent.nearest(p, 5, q=q)
    np.testing.assert_array_equal(found.indices, brute_force(p, q, 5, False)[0])
    np.testing.assert_array_equal(found.indices[:10, 0], np.arange(10))
    assert (found.distances[:10, 0] == 0).all()


def test_near_twins_far_from_the_origin_are_told_apart():
    # 60 users within 1e-7 of each other at an offset of 100: inner products alone cannot order them.
    rng = np.random.default_rng(2)
    mu = 100.0 + np.vstack([rng.normal(size=(60, 4)) * 1e-7, rng.normal(size=(200, 4))])
    p = ct.DiagonalGaussian(mu, np.ones((260, 4)))
    found = ct.latent.nearest(p, 6)
    indices, distances = brute_force(p, p, 6, True)
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-12)


def test_ties_go_to_the_smaller_index():
    # A grid of whole numbers, with more copies of each point than spare candidates: distances are exact and tied.
    rng = np.random.default_rng(3)
    mu = rng.integers(0, 3, size=(400, 2)).astype(float)
    p = ct.DiagonalGaussian(mu, np.ones((400, 2)))
    np.testing.assert_array_equal(ct.latent.nearest(p, 5).indices, brute_force(p, p, 5, True)[0])


def test_collapsed_posteriors_are_all_neighbours_at_distance_zero():
    found = ct.latent.nearest(ct.DiagonalGaussian(np.zeros((50, 2)), np.ones((50, 2))), 3)
    assert (found.distances == 0).all()
    np.testing.assert_array_equal(found.indices[0], [1, 2, 3])
    np.testing.assert_array_equal(found.indices[40], [0, 1, 2])


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(4)
    p = ct.DiagonalGaussian(torch.tensor(rng.normal(size=(97, 3))), torch.tensor(rng.uniform(0.1, 1, (97, 3))))
    whole = ct.latent.nearest(p, 4)
    monkeypatch.setattr(neighbours, "ROWS", 7)
    assert torch.equal(ct.latent.nearest(p, 4).indices, whole.indices)
    assert isinstance(whole.distances, torch.Tensor)


def test_impossible_k_is_refused():
    p = ct.DiagonalGaussian(np.zeros((4, 1)), np.ones((4, 1)))
    assert ct.latent.nearest(p, 3).indices.shape == (4, 3)
    assert ct.latent.nearest(p, 4, exclude_self=False).indices.shape == (4, 4)
    for k in (0, -1, 4):
        with pytest.raises(InvalidInput, match=f"k must be between 1 and 3, .* it is {k}"):
            ct.latent.nearest(p, k)
    empty = ct.DiagonalGaussian(np.zeros((0, 1)), np.ones((0, 1)))
    assert ct.latent.nearest(empty, 2, q=p).indices.shape == (0, 2)


@pytest.mark.parametrize("spare", [0, 16])
def test_without_spare_candidates_nothing_is_certified_and_all_is_found(monkeypatch, spare):
    rng = np.random.default_rng(5)
    p = ct.DiagonalGaussian(rng.normal(size=(200, 6)), rng.uniform(0.1, 1, (200, 6)))
    monkeypatch.setattr(neighbours, "SPARE_CANDIDATES", spare)
    found = ct.latent.nearest(p, 8)
    np.testing.assert_array_equal(found.indices, brute_force(p, p, 8, True)[0])
    assert (found.n_doubtful, found.n_exhaustive) == ((0, 0) if spare else (200, 200))


def test_clusters_too_tight_for_float32_are_decided_in_float64():
    # Eight clusters of 60 users within 1e-4 of each other, at distances of about 10.
    rng = np.random.default_rng(6)
    mu = np.repeat(rng.normal(size=(8, 8)) * 3, 60, axis=0) + 1e-4 * rng.normal(size=(480, 8))
    p = ct.DiagonalGaussian(mu, np.ones((480, 8)))
    found = ct.latent.nearest(p, 9)
    np.testing.assert_array_equal(found.indices, brute_force(p, p, 9, True)[0])
    assert found.n_doubtful > 400
    assert found.n_exhaustive == 0


def test_one_user_far_away_does_not_spoil_the_certificates_of_the_others():
    rng = np.random.default_rng(7)
    mu = rng.normal(size=(500, 6))
    mu[17] += 1e3
    p = ct.DiagonalGaussian(mu, np.full((500, 6), 0.5))
    found = ct.latent.nearest(p, 5)
    np.testing.assert_array_equal(found.indices, brute_force(p, p, 5, True)[0])
    assert found.n_doubtful <= 5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_certificates_hold_just_below_the_last_candidate_and_never_beyond_the_first_point_left_out(dtype):
    # Exact rational distances decide, for points of very different lengths: rounding matters for many of them.
    rng = np.random.default_rng(8)
    points = torch.tensor(rng.normal(size=(60, 5)) * 10.0 ** rng.uniform(-3, 0, (60, 1)))
    search = CandidateSearch(60, 5, [points], 20, dtype, 60)
    found, norms = search.of(points, torch.arange(60)), (points * points).sum(1)
    exact = [[Fraction(value) for value in point] for point in points.tolist()]
    last, left_out = np.empty(60), np.empty(60)
    for row, chosen in enumerate(found.columns.tolist()):
        squares = [sum((a - b) ** 2 for a, b in zip(exact[row], other, strict=True)) for other in exact]
        last[row] = math.sqrt(max(squares[j] for j in chosen))
        left_out[row] = math.sqrt(min(squares[j] for j in set(range(60)) - {row, *chosen}))
    assert not search.covers(found, norms, torch.tensor(left_out * (1 + 1e-12)), 0.0).any()
    assert search.covers(found, norms, torch.tensor(last * 0.999), 0.0).double().mean() > 0.9


def test_memory_bound_makes_blocks_smaller_and_is_refused_where_nothing_fits(monkeypatch):
    rng = np.random.default_rng(9)
    p = ct.DiagonalGaussian(rng.normal(size=(3000, 8)), np.ones((3000, 8)))
    whole = ct.latent.nearest(p, 4)
    monkeypatch.setenv("COLLABTHEORY_MEMORY", "3M")
    bounded = ct.latent.nearest(p, 4)
    np.testing.assert_array_equal(bounded.indices, whole.indices)
    with pytest.raises(InvalidInput, match=r"search for neighbours among 90,000 points needs .* raise --memory"):
        ct.latent.nearest(ct.DiagonalGaussian(np.zeros((90_000, 1)), np.ones((90_000, 1))), 4)
