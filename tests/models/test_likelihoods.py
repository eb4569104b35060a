"""Losses against torch.distributions, their means against autograd, their Bregman remainders against high precision."""

import mpmath
import pytest
import torch
from torch import distributions

from collabtheory.errors import InvalidInput
from collabtheory.models import LIKELIHOODS, get_likelihood


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 7, generator=generator, dtype=torch.float64)
    x = (torch.rand(5, 7, generator=generator) < 0.4).double()
    return logits, x


def test_losses_equal_negative_log_densities_up_to_terms_without_logits(case):
    logits, x = case
    oracle = {
        "multinomial": -(distributions.Categorical(logits=logits).logits * x).sum(-1),
        "bernoulli": -distributions.Bernoulli(logits=logits).log_prob(x).sum(-1),
        "gaussian": 0.5 * ((logits - x) ** 2).sum(-1) - 0.5 * (x**2).sum(-1),
        "poisson": -distributions.Poisson(logits.exp()).log_prob(x).sum(-1) - torch.lgamma(x + 1).sum(-1),
    }
    assert set(oracle) == set(LIKELIHOODS)
    for name, expected in oracle.items():
        torch.testing.assert_close(get_likelihood(name).loss(logits, x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_mean_minus_content_is_the_gradient_in_the_logits(case, name):
    logits, x = case
    logits = logits.requires_grad_()
    likelihood = get_likelihood(name)
    (gradient,) = torch.autograd.grad(likelihood.loss(logits, x).sum(), logits)
    torch.testing.assert_close(likelihood.mean(logits, x.sum(-1)) - x, gradient, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_mean_along_a_direction_is_the_forward_derivative_of_the_mean(case, name):
    logits, x = case
    likelihood, direction, n = (
        get_likelihood(name),
        torch.linspace(-2, 1, 35, dtype=torch.float64).view(5, 7),
        x.sum(-1),
    )
    _, expected = torch.func.jvp(lambda eta: likelihood.mean(eta, n), (logits,), (direction,))
    torch.testing.assert_close(likelihood.mean_along(logits, direction, n), expected, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(super(type(likelihood), likelihood).mean_along(logits, direction, n), expected)


@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("size", [100.0, 1.0, 1e-3, 1e-6])
def test_bregman_remainder_is_right_where_the_difference_cancels(case, name, size):
    logits, x = case
    change = size * torch.flip(logits, (-1,))
    if name == "multinomial" and size == 100.0:
        change = 20 * change  # beyond the range of exp
    n = x.sum(-1)
    got = get_likelihood(name).bregman(logits, change, n)
    with mpmath.workdps(60):
        for row in range(len(logits)):
            eta = [mpmath.mpf(float(value)) for value in logits[row]]
            d = [mpmath.mpf(float(value)) for value in change[row]]
            expected = float(_bregman(name, eta, d, float(n[row])))
            assert float(got[row]) == pytest.approx(expected, rel=3e-8 if size == 1e-6 else 1e-9, abs=1e-300)


def _bregman(name, eta, d, n):
    moved = [a + b for a, b in zip(eta, d, strict=True)]
    log_partition = {
        "multinomial": lambda e: n * mpmath.log(mpmath.fsum(map(mpmath.exp, e))),
        "bernoulli": lambda e: mpmath.fsum(mpmath.log1p(mpmath.exp(v)) for v in e),
        "gaussian": lambda e: mpmath.fsum(v * v / 2 for v in e),
        "poisson": lambda e: mpmath.fsum(map(mpmath.exp, e)),
    }[name]
    total = mpmath.fsum(map(mpmath.exp, eta))
    mean = {
        "multinomial": [n * mpmath.exp(v) / total for v in eta],
        "bernoulli": [1 / (1 + mpmath.exp(-v)) for v in eta],
        "gaussian": eta,
        "poisson": [mpmath.exp(v) for v in eta],
    }[name]
    return log_partition(moved) - log_partition(eta) - mpmath.fsum(a * b for a, b in zip(mean, d, strict=True))


def test_unknown_likelihood_lists_those_that_exist():
    with pytest.raises(InvalidInput, match="multinomial, bernoulli, gaussian, poisson"):
        get_likelihood("normal")
