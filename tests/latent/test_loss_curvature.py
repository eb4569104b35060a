"""Extreme curvatures of the loss in the mean: against dense Hessians of autograd and closed forms."""

import numpy as np
import pytest
import torch
from torch import nn

from collabtheory.errors import InvalidInput
from collabtheory.latent.loss_curvature import loss_curvature
from collabtheory.models.likelihoods import get_likelihood
from collabtheory.models.posterior import DiagonalGaussian


def example(seed, n_users=4, d=3, n_items=6):
    torch.manual_seed(seed)
    decoder = nn.Sequential(nn.Linear(d, 7), nn.Tanh(), nn.Linear(7, n_items)).double()
    rng = np.random.default_rng(seed)
    posterior = DiagonalGaussian(rng.standard_normal((n_users, d)), rng.uniform(0.1, 1.0, (n_users, d)))
    return decoder, posterior, (rng.random((n_users, n_items)) < 0.5).astype(float)


@pytest.mark.parametrize("likelihood", ["multinomial", "bernoulli", "gaussian", "poisson"])
def test_both_ends_are_those_of_the_dense_hessian(likelihood):
    decoder, posterior, contents = example(0)
    found = loss_curvature(
        decoder,
        likelihood,
        posterior,
        contents,
        kl_weight=0.3,
        n_samples=3,
        iterations=3,
        rng=np.random.default_rng(5),
    )
    noise = torch.from_numpy(np.random.default_rng(5).standard_normal((3, 1, 3)))[:, 0]
    mu, sigma = (torch.from_numpy(part) for part in posterior.numpy())
    for user in range(4):
        x = torch.from_numpy(contents[user])

        def loss(mean, user=user, x=x):
            losses = [get_likelihood(likelihood).loss(decoder(mean + sigma[user] * e), x) for e in noise]
            return sum(losses) / len(losses) + 0.15 * (mean * mean).sum()

        values = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, mu[user]))
        assert found.largest[user] == pytest.approx(float(values[-1]), rel=1e-6)
        assert found.smallest[user] == pytest.approx(float(values[0]), rel=1e-6)


def test_few_iterations_estimate_from_inside():
    decoder, posterior, contents = example(1, n_users=30, d=8)
    options = {"kl_weight": 0.0, "n_samples": 2}
    short, long = (
        loss_curvature(
            decoder, "multinomial", posterior, contents, iterations=k, rng=np.random.default_rng(2), **options
        )
        for k in (3, 8)
    )
    assert np.all(short.largest <= long.largest + 1e-9)
    assert np.all(short.smallest >= long.smallest - 1e-9)
    assert np.all(short.smallest <= short.largest + 1e-9)


def test_a_decoder_that_ignores_its_code_bends_only_by_the_kl_term():
    class Constant(nn.Module):
        def forward(self, z):
            return torch.zeros(*z.shape[:-1], 4, dtype=z.dtype) + 0.0 * z.sum(-1, keepdim=True)

    posterior = DiagonalGaussian(np.zeros((2, 3)), np.ones((2, 3)))
    found = loss_curvature(
        Constant(), "bernoulli", posterior, np.ones((2, 4)), kl_weight=0.2, rng=np.random.default_rng(0)
    )
    assert found.largest.tolist() == pytest.approx([0.2, 0.2])
    assert found.smallest.tolist() == pytest.approx([0.2, 0.2])


def test_misuse_is_refused():
    decoder, posterior, contents = example(3)
    with pytest.raises(InvalidInput, match="rows"):
        loss_curvature(decoder, "bernoulli", posterior, contents[:2], kl_weight=0.0, rng=np.random.default_rng(0))
    with pytest.raises(InvalidInput, match="iterations"):
        loss_curvature(
            decoder, "bernoulli", posterior, contents, kl_weight=0.0, iterations=0, rng=np.random.default_rng(0)
        )
