"""Verified norms against exact rationals and 60-digit singular values; verified constants against autograd."""

import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
from torch import nn

from collabtheory.errors import InvalidInput, PremiseNotMet
from collabtheory.latent import encoder_lipschitz, gradient_lipschitz_on_balls, w2
from collabtheory.latent.lipschitz import largest_column_norm, spectral_norm
from collabtheory.latent.verified_norms import column_norm_bound, spectral_norm_bound
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.rigor.lipschitz import verified_encoder_lipschitz, verified_gradient_lipschitz


def exact_norm(matrix):
    """Largest singular value to 60 digits, by mpmath."""
    with mpmath.workdps(60):
        return mpmath.svd_r(mpmath.matrix(matrix.tolist()), compute_uv=False)[0]


def hilbert(n):
    return torch.tensor([[1.0 / (i + j + 1) for j in range(n)] for i in range(n)], dtype=torch.float64)


def matrices():
    generator = torch.Generator().manual_seed(0)
    yield "normal", torch.randn(7, 4, generator=generator, dtype=torch.float64)
    yield "wide", torch.randn(3, 9, generator=generator, dtype=torch.float64)
    yield "column", torch.randn(6, 1, generator=generator, dtype=torch.float64)
    yield "hilbert, condition 1e13", hilbert(10)
    graded = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    yield "graded over 300 orders", graded * torch.logspace(-150, 150, 6, dtype=torch.float64)
    yield "rank one", torch.outer(torch.arange(1.0, 6.0), torch.arange(1.0, 5.0)).double()
    yield "nearly equal singular values", torch.eye(5, dtype=torch.float64) * (1 + 2.0**-50)
    yield "float32", torch.randn(5, 5, generator=generator)
    ordinary = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    yield "huge", ordinary * 1e307
    yield "tiny", ordinary * 1e-300
    yield "subnormal", torch.full((3, 3), 5e-324, dtype=torch.float64)


@pytest.mark.parametrize(("name", "matrix"), list(matrices()))
def test_spectral_bound_is_above_the_exact_norm_and_tight(name, matrix):
    exact = exact_norm(matrix.double())
    bound = spectral_norm_bound(matrix)
    with mpmath.workdps(60):
        assert mpmath.mpf(bound) >= exact
        if name != "subnormal":
            assert mpmath.mpf(bound) <= exact * (1 + mpmath.mpf("1e-11"))


def test_spectral_bound_of_matrices_whose_norm_is_known_exactly():
    hadamard = torch.ones(1, 1, dtype=torch.float64)
    for _ in range(6):
        hadamard = torch.kron(hadamard, torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64))
    assert 8.0 <= spectral_norm_bound(hadamard) <= 8.0 * (1 + 1e-11)
    assert spectral_norm_bound(torch.full((30, 20), 0.5)) >= math.nextafter(0.5 * math.sqrt(600), 0)


def test_a_float64_singular_value_may_be_too_small_where_the_bound_is_not():
    below = 0
    for seed in range(60):
        matrix = torch.randn(8, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        exact = exact_norm(matrix)
        with mpmath.workdps(60):
            below += mpmath.mpf(float(torch.linalg.matrix_norm(matrix, 2))) < exact
            assert mpmath.mpf(spectral_norm_bound(matrix)) >= exact
    assert below > 0


def test_spectral_bound_of_a_layer_is_tight_to_1e_10():
    weight = torch.randn(1447, 200, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ratio = spectral_norm_bound(weight) / float(torch.linalg.matrix_norm(weight, 2))
    assert 1 <= ratio < 1 + 1e-10


@pytest.mark.parametrize(("name", "matrix"), list(matrices()))
def test_column_bound_is_above_the_exact_norm_and_tight(name, matrix):
    columns = [sum(Fraction(value) ** 2 for value in column) for column in matrix.double().T.tolist()]
    bound = column_norm_bound(matrix)
    assert Fraction(bound) ** 2 >= max(columns)
    if name != "subnormal":
        assert Fraction(bound) ** 2 <= max(columns) * (1 + Fraction(1, 10**13))


def test_degenerate_matrices():
    for norm in (spectral_norm, largest_column_norm):
        assert norm(torch.zeros(0, 3)) == 0.0
        assert norm(torch.zeros(2, 3)) == 0.0
        assert norm(torch.tensor([[1.0, math.inf]])) == math.inf
        assert norm(torch.tensor([[math.nan]])) == math.inf


def encoder(seed, activation=nn.Tanh):
    torch.manual_seed(seed)
    trunk = nn.Sequential(nn.Linear(6, 4), activation(), nn.Linear(4, 3), activation()).double()
    return trunk, nn.Linear(3, 2).double(), nn.Linear(3, 2).double()


@pytest.mark.parametrize("activation", [nn.Tanh, nn.Sigmoid])
def test_encoder_constant_covers_every_pair_of_contents(activation):
    x = np.array([[(k >> i) & 1 for i in range(6)] for k in range(64)], dtype=float)
    i, j = np.nonzero(~np.eye(64, dtype=bool))
    for seed in range(3):
        trunk, mean, log_variance = encoder(seed, activation)
        with torch.no_grad():
            hidden = trunk(torch.from_numpy(x))
            posterior = DiagonalGaussian(mean(hidden).numpy(), torch.exp(log_variance(hidden) / 2).numpy())
        slopes = np.asarray(w2(posterior[i], posterior[j])) / np.abs(x[i] - x[j]).sum(1)
        bound = verified_encoder_lipschitz(trunk, mean, log_variance)
        assert slopes.max() <= bound
        # The float64 one knows which states occur and is never looser by more than rounding.
        assert encoder_lipschitz(trunk, mean, log_variance, normalise=False).upper <= bound * (1 + 1e-8)


def test_encoder_constant_is_the_product_by_hand():
    trunk, mean, log_variance = encoder(4)
    first, second = (layer.weight.detach().numpy() for layer in (trunk[0], trunk[2]))
    head, bias = log_variance.weight.detach().numpy(), log_variance.bias.detach().numpy()
    largest = (np.abs(head).sum(1) + bias).max()
    heads = np.linalg.norm(mean.weight.detach().numpy(), 2) ** 2 + np.exp(largest) / 4 * np.linalg.norm(head, 2) ** 2
    expected = np.linalg.norm(first, axis=0).max() * np.linalg.norm(second, 2) * np.sqrt(heads)
    assert verified_encoder_lipschitz(trunk, mean, log_variance) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("likelihood", ["multinomial", "bernoulli", "gaussian", "poisson"])
@pytest.mark.parametrize("hidden", [(), (5,), (4, 3)])
def test_decoder_constant_covers_gradients_in_the_ball(likelihood, hidden):
    torch.manual_seed(len(hidden))
    widths, modules = [2, *hidden, 4], []
    for k, (a, b) in enumerate(itertools.pairwise(widths)):
        modules += [nn.Linear(a, b), nn.Tanh()] if k < len(hidden) else [nn.Linear(a, b)]
    decoder = nn.Sequential(*modules).double()
    x = torch.tensor([[1.0, 0.0, 1.0, 1.0]], dtype=torch.float64)
    radius = 1.5
    codes = torch.randn(12, 2, dtype=torch.float64)
    codes = codes / codes.norm(dim=1, keepdim=True).clamp(min=1) * radius
    bound = verified_gradient_lipschitz(decoder, likelihood, x, radius)
    last = verified_gradient_lipschitz(decoder, likelihood, x, radius, last_layer_only=True)
    assert last <= bound
    gradients = [_gradient(decoder, likelihood, x[0], code) for code in codes]
    for i in range(len(codes)):
        for j in range(i):
            apart = float((codes[i] - codes[j]).norm())
            assert float((torch.cat(gradients[i]) - torch.cat(gradients[j])).norm()) <= bound * apart
            assert float((torch.cat(gradients[i][-2:]) - torch.cat(gradients[j][-2:])).norm()) <= last * apart
    # The float64 bound on the same ball uses what occurs, and is the tighter one.
    assert gradient_lipschitz_on_balls(decoder, likelihood, x.numpy(), np.zeros((1, 2)), radius)[0] <= bound * (
        1 + 1e-8
    )


def _gradient(decoder, likelihood, x, code):
    logits = decoder(code)
    partition = {
        "multinomial": lambda: x.sum() * torch.logsumexp(logits, 0),
        "bernoulli": lambda: nn.functional.softplus(logits).sum(),
        "gaussian": lambda: (logits**2).sum() / 2,
        "poisson": lambda: logits.exp().sum(),
    }[likelihood]()
    return [part.reshape(-1) for part in torch.autograd.grad(partition - logits @ x, list(decoder.parameters()))]


def test_the_last_layer_alone_has_one_constant_for_all_radii():
    decoder = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 4))
    contents = [[1, 0, 1, 0], [0, 1, 1, 1]]
    constants = [
        verified_gradient_lipschitz(decoder, "multinomial", contents, radius, last_layer_only=True)
        for radius in (1.0, 1e6, math.inf)
    ]
    assert constants[0] == constants[1] == constants[2] < math.inf
    assert verified_gradient_lipschitz(decoder, "multinomial", contents, math.inf) == math.inf


def test_what_has_no_verified_constant_is_refused():
    decoder = nn.Sequential(nn.Linear(2, 3), nn.GELU(), nn.Linear(3, 4))
    with pytest.raises(PremiseNotMet, match="gelu"):
        verified_gradient_lipschitz(decoder, "multinomial", np.eye(4), 1.0)
    with pytest.raises(InvalidInput, match="radius must be at least 0"):
        verified_gradient_lipschitz(nn.Linear(2, 4), "multinomial", np.eye(4), -1.0)
    with pytest.raises(InvalidInput, match="at least one row"):
        verified_gradient_lipschitz(nn.Linear(2, 4), "multinomial", np.zeros((0, 4)), 1.0)
    with pytest.raises(PremiseNotMet, match="no layer"):
        verified_encoder_lipschitz(nn.Sequential(), nn.Linear(3, 2), nn.Linear(3, 2))
