"""The certified ball bound where it is nearly attained: networks so small that a grid finds the true supremum."""

import numpy as np
import pytest
import torch
from torch import nn

import collabtheory as ct
from collabtheory.latent.softmax_ball import probability_range
from collabtheory.models.likelihoods import LIKELIHOODS

ACTIVATIONS = [nn.Tanh, nn.Sigmoid, nn.SiLU, nn.Softplus, nn.ELU, nn.GELU, nn.Identity]


def tiny_decoder(rng):
    """One latent dimension, up to two hidden layers of up to three units, weights from tiny to huge."""
    depth = int(rng.integers(0, 3))
    widths = [1, *rng.integers(1, 4, size=depth).tolist(), int(rng.integers(2, 6))]
    gain, bias, modules = 10 ** rng.uniform(-1, 1), bool(rng.integers(2)), []
    for position in range(depth + 1):
        linear = nn.Linear(widths[position], widths[position + 1], bias=bias).double()
        for parameter in linear.parameters():
            parameter.data = torch.as_tensor(gain * rng.uniform(-1, 1, parameter.shape))
        modules.append(linear)
        if position < depth:
            modules.append(ACTIVATIONS[rng.integers(len(ACTIVATIONS))]())
    return nn.Sequential(*modules), widths[-1]


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_ball_bound_holds_on_a_fine_grid_of_every_interval(likelihood):
    rng = np.random.default_rng(11)
    ratios = []
    for _ in range(250):
        decoder, n_items = tiny_decoder(rng)
        content = ((rng.random((1, n_items)) < 0.5) * rng.integers(1, 4, (1, n_items))).astype(float)
        center = rng.normal(size=(1, 1)) * 10 ** rng.uniform(-1, 0.5)
        radii = np.sort(10 ** rng.uniform(-2.5, 0.8, 3))
        bounds = ct.latent.gradient_lipschitz_on_balls(decoder, likelihood, content, center, radii[:, None])[:, 0]
        for radius, bound in zip(radii, bounds, strict=True):
            grid = center + np.linspace(-radius, radius, 201)[:, None]
            if likelihood == "poisson" and decoder(torch.as_tensor(grid)).max() > 300:
                continue
            seen = ct.latent.local_gradient_lipschitz(decoder, likelihood, np.repeat(content, 201, 0), grid).max()
            if seen > 1e-100:
                ratios.append(bound / seen)
    assert len(ratios) > 400
    assert min(ratios) >= 1 - 1e-12
    # The search reaches cases where the bound is attained, so that a bound that is too small would be caught.
    assert min(ratios) < 1 + 1e-6


def test_probability_ranges_hold_for_every_allowed_move_of_the_logits():
    rng = np.random.default_rng(5)
    for _ in range(300):
        n_items = int(rng.integers(2, 7))
        log_p = torch.log_softmax(torch.as_tensor(rng.normal(size=(1, n_items)) * rng.uniform(0, 4)), 1)
        p = log_p.exp().numpy()[0]
        moves = rng.normal(size=(200, n_items)) * 10 ** rng.uniform(-2, 0.7)
        moves -= (moves @ p)[:, None]
        rests = rng.choice([-1.0, 1.0], size=(200, n_items)) * rng.random(n_items) * 10 ** rng.uniform(-2, 0.7)
        bounds = (torch.as_tensor(np.abs(part).max(0))[None] for part in (moves, rests))
        low, high = probability_range(log_p, *bounds)
        moved = torch.softmax(log_p + torch.as_tensor(moves + rests), 1)
        assert (low * (1 - 1e-12) <= moved).all()
        assert (moved <= high * (1 + 1e-12)).all()
