"""Posterior means under masking: against the masks' definition, all masks of a tiny input, and scale."""

import itertools

import numpy as np
import pytest
import torch
from scipy import sparse

from collabtheory.errors import InvalidInput, PremiseNotMet
from collabtheory.latent.mask_stability import mask_stability, masked_means
from collabtheory.models import ModelSpec, MultVAE, Recommender, from_mult_vae

CONTENTS = sparse.csr_array(np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]]))


def model(masking="mask_only", keep_probability=0.5):
    spec = ModelSpec(hidden=(4,), latent=2, masking=masking, keep_probability=keep_probability)
    return MultVAE(spec, 3, np.random.default_rng(0))


def test_means_come_from_masked_inputs_and_from_nothing_else():
    network = model()
    means = masked_means(from_mult_vae(network), CONTENTS, 200, rng=np.random.default_rng(1))
    with torch.no_grad():
        possible = [
            network.double().encode(torch.tensor([[a, b, 0.0]], dtype=torch.float64))[0][0].numpy()
            for a, b in itertools.product((0.0, 1.0), repeat=2)
        ]
    nearest = np.array([[np.abs(mean - one).max() for one in possible] for mean in means[:, 0]])
    assert nearest.min(1).max() < 1e-12
    # Each of the four masks of two items has probability 1/4; 200 draws lie within 4 standard errors of it.
    counts = np.bincount(nearest.argmin(1), minlength=4)
    assert np.abs(counts / 200 - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / 200)


def test_the_variance_over_masks_tends_to_that_over_all_masks():
    network = model()
    recommender = from_mult_vae(network)
    means = masked_means(recommender, CONTENTS[[0]], 4000, rng=np.random.default_rng(2))
    with torch.no_grad():
        possible = np.stack(
            [
                network.double().encode(torch.tensor([[a, b, 0.0]], dtype=torch.float64))[0][0].numpy()
                for a, b in itertools.product((0.0, 1.0), repeat=2)
            ]
        )
    found = mask_stability(means, np.zeros((1, 2)))
    assert found.variance[0] == pytest.approx(possible.var(0).sum(), rel=0.1)
    assert found.distance[0] == pytest.approx(np.linalg.norm(possible, axis=1).mean(), rel=0.05)


def test_models_with_one_keep_probability_see_the_same_masks():
    first, second = (from_mult_vae(model(masking)) for masking in ("mask_only", "mask_only"))
    a, b = (masked_means(r, CONTENTS, 3, rng=np.random.default_rng(7)) for r in (first, second))
    assert np.array_equal(a, b)
    assert not np.array_equal(a[0], a[1])


def test_nothing_varies_where_everything_is_kept():
    found = masked_means(from_mult_vae(model(keep_probability=1.0)), CONTENTS, 3, rng=np.random.default_rng(0))
    assert mask_stability(found, np.zeros((2, 2))).variance.max() < 1e-30


def test_relative_variance_does_not_see_the_scale_of_the_latent_space():
    means = np.random.default_rng(3).standard_normal((6, 5, 2))
    plain, scaled = (mask_stability(factor * means, np.zeros((5, 2))) for factor in (1.0, 0.1))
    assert scaled.variance == pytest.approx(0.01 * plain.variance)
    assert scaled.relative_variance == pytest.approx(plain.relative_variance)


def test_misuse_and_unknown_encoders_are_refused():
    with pytest.raises(InvalidInput, match="n_masks"):
        masked_means(from_mult_vae(model()), CONTENTS, 0, rng=np.random.default_rng(0))
    with pytest.raises(InvalidInput, match="two masks"):
        mask_stability(np.zeros((1, 2, 3)), np.zeros((2, 3)))
    with pytest.raises(InvalidInput, match="centroids"):
        mask_stability(np.zeros((2, 2, 3)), np.zeros((3, 3)))
    unknown = Recommender(lambda x: (np.zeros((2, 2)), np.ones((2, 2))), torch.nn.Linear(2, 3), "bernoulli")
    with pytest.raises(PremiseNotMet, match="layers are not known"):
        masked_means(unknown, CONTENTS, 2, rng=np.random.default_rng(0))
