"""Neighbourhood drift: overlaps against Python sets, the measured side by hand, the prediction by simulation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn

from collabtheory.errors import InvalidInput, PremiseNotMet
from collabtheory.latent.drift import (
    masked_posterior,
    mean_over_users,
    neighbour_overlap,
    neighbourhood_drift,
)
from collabtheory.latent.drift_prediction import input_neighbours, predicted_overlap, simulated_overlap
from collabtheory.models import ModelSpec, MultVAE, from_mult_vae
from collabtheory.models.masking import encoder_input
from collabtheory.models.recommender import Recommender


def contents(n_users: int, n_items: int, seed: int = 0) -> sparse.csr_array:
    """Groups of users with tastes of their own, and sizes that vary."""
    rng = np.random.default_rng(seed)
    taste = rng.random((4, n_items)) ** 3
    likes = taste[rng.integers(0, 4, n_users)] * rng.uniform(0.5, 1.5, (n_users, 1))
    found = (rng.random((n_users, n_items)) < likes).astype(float)
    found[found.sum(1) == 0, 0] = 1.0
    return sparse.csr_array(found)


def model(n_items: int, masking: str = "normalise_then_mask", keep: float = 0.5) -> Recommender:
    spec = ModelSpec(hidden=(16,), latent=4, masking=masking, keep_probability=keep)
    return from_mult_vae(MultVAE(spec, n_items, np.random.default_rng(1)))


def test_overlap_is_the_jaccard_index_of_the_two_sets() -> None:
    rng = np.random.default_rng(0)
    first, second = (np.array([rng.permutation(12)[:5] for _ in range(30)]) for _ in range(2))
    expected = [
        len(set(a) & set(b)) / len(set(a) | set(b)) for a, b in zip(first.tolist(), second.tolist(), strict=True)
    ]
    np.testing.assert_allclose(neighbour_overlap(first, second), expected)


@pytest.mark.parametrize("masking", ["normalise_then_mask", "mask_then_normalise", "mask_only"])
def test_drift_is_what_brute_force_finds_for_the_same_masks(masking: str) -> None:
    x, recommender, k = contents(25, 30), model(30, masking), 4
    found = neighbourhood_drift(recommender, x, k, n_draws=3, rng=np.random.default_rng(7))
    rng, layers = np.random.default_rng(7), recommender.layers
    assert layers is not None
    sets = []
    for draw in range(4):
        # The fourth is the clean input.
        inputs = encoder_input(
            x, masking, keep_probability=0.5, rng=rng if draw < 3 else None, dtype=torch.float64  # type: ignore[arg-type]
        )  # fmt: skip
        hidden = layers.trunk(inputs.to_dense())
        code = torch.cat([layers.mean_head(hidden), torch.exp(layers.log_variance_head(hidden) / 2)], 1).numpy()
        distance = np.sqrt(((code[:, None] - code[None]) ** 2).sum(-1))
        np.fill_diagonal(distance, np.inf)
        sets.append([set(row[:k].tolist()) for row in np.argsort(distance, axis=1, kind="stable")])

    def jaccard(a: int, b: int) -> np.ndarray:
        return np.array([len(p & q) / len(p | q) for p, q in zip(sets[a], sets[b], strict=True)])

    np.testing.assert_allclose(found.between_draws, (jaccard(0, 1) + jaccard(0, 2) + jaccard(1, 2)) / 3)
    np.testing.assert_allclose(found.with_clean, (jaccard(0, 3) + jaccard(1, 3) + jaccard(2, 3)) / 3)


def test_without_masking_nothing_drifts() -> None:
    found = neighbourhood_drift(model(30, keep=1.0), contents(20, 30), 5, n_draws=2, rng=np.random.default_rng(0))
    assert found.between_draws.tolist() == found.with_clean.tolist() == [1.0] * 20
    assert found.mean_between_draws.low == found.mean_between_draws.high == 1.0


def test_chance_overlap_is_that_of_random_neighbourhoods() -> None:
    x, k = contents(40, 20), 8
    found = neighbourhood_drift(model(20), x, k, n_draws=2, rng=np.random.default_rng(0))
    rng = np.random.default_rng(3)
    common = np.mean([len(set(rng.permutation(39)[:k]) & set(rng.permutation(39)[:k])) for _ in range(4000)])
    assert found.by_chance == pytest.approx(common / (2 * k - common), abs=0.005)


def test_prediction_meets_the_overlap_of_simulated_input_neighbours() -> None:
    x, k, keep = contents(120, 40), 10, 0.5
    rng, dense = np.random.default_rng(5), contents(120, 40).toarray()

    def neighbours() -> list[set[int]]:
        masked = dense * (rng.random(dense.shape) < keep)
        distance = np.abs(masked[:, None] - masked[None]).sum(-1) + 1e-3 * rng.random((120, 120))
        np.fill_diagonal(distance, np.inf)
        return [set(row[:k].tolist()) for row in np.argsort(distance, axis=1)]

    simulated = np.zeros(120)
    for _ in range(60):
        simulated += [len(a & b) / len(a | b) / 60 for a, b in zip(neighbours(), neighbours(), strict=True)]
    predicted = predicted_overlap(x, k, keep, n_masks=40, rng=np.random.default_rng(6))
    # One threshold in place of the random k-th distance costs a few per cent; users keep their order.
    assert predicted.mean() == pytest.approx(simulated.mean(), rel=0.06)
    assert np.corrcoef(predicted, simulated)[0, 1] > 0.9


def test_without_masking_and_ties_the_prediction_is_one() -> None:
    x = sparse.csr_array(np.tril(np.ones((6, 6))))
    predicted = predicted_overlap(x, 1, 1.0, users=np.array([0, 5]), rng=np.random.default_rng(0))
    np.testing.assert_allclose(predicted, 1.0)


def test_tied_candidates_share_the_last_place() -> None:
    # Three users with equal contents: each of two candidates is the nearest with probability 1/2, so I = 1/2.
    x = sparse.csr_array(np.ones((3, 4)))
    predicted = predicted_overlap(x, 1, 1.0, rng=np.random.default_rng(0))
    np.testing.assert_allclose(predicted, 0.5 / 1.5)


@pytest.mark.parametrize("order", ["l1", "cosine"])
def test_input_neighbours_are_those_of_dense_distances(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collabtheory.latent.drift_prediction.BLOCK_ENTRIES", 100)
    x = contents(30, 40)
    dense = x.toarray()
    if order == "l1":
        distance = np.abs(dense[:, None] - dense[None]).sum(-1)
    else:
        unit = dense / np.linalg.norm(dense, axis=1, keepdims=True)
        distance = 1 - unit @ unit.T
    np.fill_diagonal(distance, np.inf)
    found = input_neighbours(x, 6, order=order, rng=np.random.default_rng(0))  # type: ignore[arg-type]
    nearest = np.take_along_axis(distance, found, 1)
    np.testing.assert_allclose(nearest, np.sort(distance, axis=1)[:, :6], atol=1e-10)
    assert all(len(set(row)) == 6 for row in found.tolist())


def test_ties_among_input_neighbours_are_broken_evenly() -> None:
    x, rng = sparse.csr_array(np.ones((3, 4))), np.random.default_rng(0)
    chosen = [input_neighbours(x, 1, rng=rng)[0, 0] for _ in range(400)]
    assert set(chosen) == {1, 2}
    assert np.mean(np.array(chosen) == 1) == pytest.approx(0.5, abs=0.1)


def test_simulated_overlap_of_one_shared_neighbour_is_known() -> None:
    # Nothing is masked and two candidates tie: both draws take the same one with probability 1/2.
    x = sparse.csr_array(np.ones((3, 4)))
    found = simulated_overlap(x, 1, 1.0, n_draws=60, rng=np.random.default_rng(0))
    assert found.mean() == pytest.approx(0.5, abs=0.05)


def test_interval_of_the_mean_is_that_of_independent_users() -> None:
    values = np.random.default_rng(0).random(4000)
    found = mean_over_users(values)
    assert found.value == pytest.approx(values.mean())
    # 20 groups: Student's t with 19 degrees of freedom, and a standard error known to about a sixth.
    assert (found.high - found.low) / 2 == pytest.approx(2.09 * values.std() / np.sqrt(4000), rel=0.5)


def test_misuse_names_the_argument() -> None:
    x, rng = contents(5, 6), np.random.default_rng(0)
    with pytest.raises(InvalidInput, match="n_draws"):
        neighbourhood_drift(model(6), x, 2, n_draws=1, rng=rng)
    with pytest.raises(InvalidInput, match="k must be between 1 and 4"):
        neighbourhood_drift(model(6), x, 5, rng=rng)
    with pytest.raises(InvalidInput, match="k must be between 1 and 4"):
        predicted_overlap(x, 0, 0.5, rng=rng)
    with pytest.raises(InvalidInput, match="keep_probability"):
        predicted_overlap(x, 1, 0.0, rng=rng)
    with pytest.raises(InvalidInput, match="order"):
        input_neighbours(x, 1, order="l2", rng=rng)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="n_draws"):
        simulated_overlap(x, 1, 0.5, n_draws=1, rng=rng)
    with pytest.raises(InvalidInput, match="shapes"):
        neighbour_overlap(np.zeros((2, 3)), np.zeros((2, 2)))
    unknown = Recommender(lambda c: (np.zeros((5, 2)), np.ones((5, 2))), nn.Linear(2, 6), "bernoulli")
    with pytest.raises(PremiseNotMet, match="layers are not known"):
        masked_posterior(unknown, x, rng)
