"""LipSDP's bounds against all corners of the sector, exact arithmetic, and what networks really do."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

import collabtheory as ct
from collabtheory.errors import PremiseNotMet
from collabtheory.latent.sector_bounds import LinearBound, chain_bound, through_activation


def norm(matrix):
    return float(np.linalg.norm(np.asarray(matrix), 2))


def case(seed, inputs=9, hidden=7, outputs=5):
    rng = np.random.default_rng(seed)
    first, last = rng.normal(size=(hidden, inputs)), rng.normal(size=(outputs, hidden))
    return torch.tensor(first), torch.tensor(last), torch.tensor(rng.uniform(0.1, 1.5, hidden))


def corners(first, last, slopes):
    """Maps ``W_2 D W_1`` with every unit at slope 0 or at its largest: the convex norm is largest at one of them."""
    for on in itertools.product((0.0, 1.0), repeat=len(slopes)):
        yield last.numpy() @ np.diag(np.array(on) * slopes.numpy()) @ first.numpy()


@pytest.mark.parametrize("seed", range(4))
def test_bounds_hold_at_every_corner_of_the_sector_and_stay_close_to_the_largest(seed):
    first, last, slopes = case(seed)
    maps = list(corners(first, last, slopes))
    spectral, column = max(map(norm, maps)), max(np.linalg.norm(one, axis=0).max() for one in maps)
    by_spectral = chain_bound([first, last], [slopes], norm="spectral")
    by_column = chain_bound([first, last], [slopes], norm="column")
    for bound in (by_spectral, by_column):
        assert bound.spectral >= spectral
        assert bound.column >= column
    assert by_spectral.spectral < 1.1 * spectral
    assert by_column.column < 1.1 * column
    product = norm(last) * norm(slopes[:, None] * first)
    assert by_spectral.spectral < 0.95 * product


def test_bound_is_the_norm_where_one_unit_is_all_there_is():
    bound = chain_bound([torch.tensor([[3.0, 4.0]]), torch.tensor([[2.0], [0.0]])], [torch.tensor([0.5])])
    assert 5.0 <= bound.spectral < 5.0 * (1 + 1e-5)
    assert 4.0 <= bound.column < 4.0 * (1 + 1e-5)


def test_bound_satisfies_the_inequality_in_exact_arithmetic():
    first, last, slopes = case(5, inputs=4, hidden=4, outputs=3)
    bound = through_activation(LinearBound(last, 0.0), slopes, first)
    exact = [[Fraction(v) for v in row] for row in last.tolist()]
    factor = [[Fraction(v) for v in row] for row in bound.matrix.tolist()]
    rng, slack = np.random.default_rng(0), Fraction(bound.slack)

    def square(matrix, vector):
        return sum(sum(a * b for a, b in zip(row, vector, strict=True)) ** 2 for row in matrix)

    assert bound.slack < 1e-4
    for _ in range(300):
        v = [Fraction(float(x)) for x in rng.normal(size=4)]
        w = [Fraction(s) * int(on) * x for s, on, x in zip(slopes.tolist(), rng.integers(0, 2, 4), v, strict=True)]
        # (a + b)^2 >= a^2 + b^2 leaves out what would need a root.
        assert square(exact, w) <= square(factor, v) + slack**2 * sum(x * x for x in v)


def test_slack_of_what_follows_is_carried_along():
    first, last, slopes = case(6)
    none, some = (through_activation(LinearBound(last, slack), slopes, first) for slack in (0.0, 0.5))
    assert some.slack >= none.slack + 0.5 * float(slopes.max())
    assert some.after(first).slack >= 0.5 * float(slopes.max()) * norm(first)


@pytest.mark.parametrize("scale", [0.0, 1e-200, 1e200])
def test_extreme_weights_fall_back_to_norms(scale):
    first, last, slopes = case(7)
    bound = chain_bound([first, last * scale], [slopes])
    assert bound.spectral >= max(norm(one) for one in corners(first, last, slopes)) * scale
    assert np.isfinite(bound.spectral)


def test_networks_with_two_hidden_layers_are_bounded_and_their_bracket_is_narrow():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, 12), nn.Tanh(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 6)).double()
    bracket = ct.latent.network_lipschitz(net)
    x, y = torch.randn(2, 5000, 20, dtype=torch.float64).unbind()
    assert float(((net(x) - net(y)).norm(dim=1) / (x - y).norm(dim=1)).max().detach()) <= bracket.upper
    jacobians = torch.stack([torch.autograd.functional.jacobian(net, point) for point in x[:20]])
    assert float(torch.linalg.matrix_norm(jacobians, 2).max()) <= bracket.upper
    product = np.prod([norm(layer.weight.detach()) for layer in net if isinstance(layer, nn.Linear)])
    assert bracket.upper < 0.9 * product
    assert bracket.ratio < 1.5


def test_lower_end_is_a_slope_of_the_network():
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(9, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    bracket = ct.latent.network_lipschitz(net)
    largest = max(norm(one) for one in corners(net[0].weight.detach(), net[2].weight.detach(), torch.ones(4)))
    assert bracket.lower == pytest.approx(largest, rel=1e-3)


def test_activations_that_fall_are_refused():
    net = nn.Sequential(nn.Linear(4, 3), nn.GELU(), nn.Linear(3, 2))
    with pytest.raises(PremiseNotMet, match="gelu falls somewhere"):
        ct.latent.network_lipschitz(net)


@pytest.mark.parametrize("normalise", [False, True])
def test_tight_constant_of_an_encoder_holds_for_all_pairs_of_item_sets_and_is_smaller(normalise):
    torch.manual_seed(2)
    trunk, mean, log_variance = nn.Sequential(nn.Linear(7, 6), nn.Tanh()), nn.Linear(6, 3), nn.Linear(6, 3)
    parts = [part.double() for part in (trunk, mean, log_variance)]
    for part in parts:
        for parameter in part.parameters():
            parameter.data *= 2.5
    sets = torch.tensor([x for x in itertools.product((0.0, 1.0), repeat=7) if sum(x) >= 2], dtype=torch.float64)
    seen = sets / sets.norm(dim=1, keepdim=True) if normalise else sets
    hidden = trunk(seen)
    points = torch.cat([mean(hidden), torch.exp(0.5 * log_variance(hidden))], 1).detach()
    flips, distances = torch.cdist(sets, sets, p=1), torch.cdist(points, points)
    plain, tight = (
        ct.latent.encoder_lipschitz(*parts, normalise=normalise, n_min=2, tight=tight).upper for tight in (False, True)
    )
    assert float((distances / flips)[flips > 0].max()) <= tight
    assert tight < 0.95 * plain
