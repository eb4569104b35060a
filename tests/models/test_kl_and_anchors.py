"""KL against torch.distributions; the PIA loss against its definition, item by item."""

import numpy as np
import pytest
import torch
from torch import distributions

from collabtheory.models import alignment_loss, kl_to_prior, linear_beta


def test_kl_equals_torch_distributions_and_is_summed_over_dimensions():
    mu, log_variance = torch.randn(4, 9, dtype=torch.float64), torch.randn(4, 9, dtype=torch.float64)
    posterior = distributions.Normal(mu, torch.exp(0.5 * log_variance))
    prior = distributions.Normal(torch.zeros_like(mu), torch.ones_like(mu))
    torch.testing.assert_close(kl_to_prior(mu, log_variance), distributions.kl_divergence(posterior, prior).sum(-1))


def test_beta_reaches_its_cap_at_the_stated_share_and_stays():
    betas = [linear_beta(step, 1000, 0.2, 0.85) for step in range(1000)]
    assert betas[0] == 0.0
    assert betas[849] < 0.2
    assert betas[850] == pytest.approx(0.2)
    assert max(betas) == pytest.approx(0.2)
    assert np.all(np.diff(betas) >= 0)
    assert linear_beta(0, 1000, 0.2, 0.0) == 0.2


@pytest.mark.parametrize("layout", ["dense", "sparse"])
def test_alignment_loss_equals_its_definition(layout):
    generator = torch.Generator().manual_seed(0)
    mu = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    sigma = torch.rand(3, 4, generator=generator, dtype=torch.float64) + 0.1
    anchors = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    contents = torch.tensor([[1, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]], dtype=torch.float64)
    expected = []
    for user in range(3):
        own = [anchors[i] for i in range(6) if contents[user, i]]
        terms = [((mu[user] - e) ** 2).sum() + (sigma[user] ** 2).sum() for e in own]
        expected.append(sum(terms) / len(terms) if terms else torch.tensor(0.0, dtype=torch.float64))
    given = contents.to_sparse_coo() if layout == "sparse" else contents
    torch.testing.assert_close(alignment_loss(mu, sigma, given, anchors), torch.stack(expected))


def test_alignment_loss_is_the_expected_distance_to_an_anchor():
    generator = torch.Generator().manual_seed(1)
    mu, sigma = torch.tensor([[1.0, -1.0]]), torch.tensor([[0.5, 2.0]])
    anchors = torch.tensor([[0.0, 0.0], [3.0, 1.0]])
    codes = mu + sigma * torch.randn(400_000, 2, generator=generator)
    sampled = torch.stack([((codes - e) ** 2).sum(1) for e in anchors]).mean()
    assert float(alignment_loss(mu, sigma, torch.ones(1, 2), anchors)) == pytest.approx(float(sampled), rel=0.01)
