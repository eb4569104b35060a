"""Second derivatives along steps against autograd and differences; ranges of steps that lower the loss."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from collabtheory.errors import InvalidInput
from collabtheory.transfer import TransferKernels
from collabtheory.transfer.step_sizes import step_curvatures, step_range

from .conftest import Oracle, World


def world(seed, activation=nn.Tanh, bias=True):
    torch.manual_seed(seed)
    decoder = nn.Sequential(
        nn.Linear(2, 4, bias=bias), activation(), nn.Linear(4, 3, bias=bias), activation(), nn.Linear(3, 5, bias=bias)
    ).double()
    rng = np.random.default_rng(seed)
    return World(decoder, (rng.random((4, 5)) < 0.6).astype(float), rng.normal(size=(4, 2, 2)))


def kernels_of(given, likelihood, scale="user"):
    return TransferKernels(given.decoder, likelihood, given.x, given.codes, scale=scale)


def second_derivative(given, likelihood, scale, u, v, length):
    """By autograd twice, at this distance along -g_v / ||g_v||."""
    oracle = Oracle(given, likelihood, scale)
    direction = oracle.gradients()[v]
    direction = -direction / direction.norm()
    pieces = torch.split(direction, [parameter.numel() for parameter in oracle.parameters])
    with torch.no_grad():
        for parameter, piece in zip(oracle.parameters, pieces, strict=True):
            parameter += length * piece.view_as(parameter)
    slope = oracle.gradient(u, oracle.codes[u], graph=True) @ direction
    twice = torch.autograd.grad(slope, oracle.parameters, materialize_grads=True)
    return float(torch.cat([piece.reshape(-1) for piece in twice]) @ direction)


@pytest.mark.parametrize("likelihood", ["multinomial", "bernoulli", "gaussian", "poisson"])
@pytest.mark.parametrize("scale", ["user", "interaction"])
def test_curvature_at_the_start_and_along_the_step_matches_autograd(likelihood, scale):
    given = world(0)
    kernels = kernels_of(given, likelihood, scale)
    rate, norm = 0.2, float(np.asarray(kernels.gradient_norms())[1])
    start = step_curvatures(kernels, rate, [0], [1], points=1)[0]
    assert start == pytest.approx(second_derivative(given, likelihood, scale, 0, 1, 0.0), rel=1e-9)
    along = [
        second_derivative(given, likelihood, scale, 0, 1, share * rate * norm) for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert step_curvatures(kernels, rate, [0], [1])[0] == pytest.approx(max(along), rel=1e-9)


@pytest.mark.parametrize("activation", [nn.Sigmoid, nn.Softplus, nn.GELU])
def test_curvature_of_other_activations_without_biases(activation):
    given = world(1, activation, bias=False)
    found = step_curvatures(kernels_of(given, "multinomial"), 0.0, [2], [3], points=1)[0]
    assert found == pytest.approx(second_derivative(given, "multinomial", "user", 2, 3, 0.0), rel=1e-9)


def test_curvature_predicts_the_measured_loss_change_to_third_order():
    given = world(2)
    kernels = kernels_of(given, "multinomial")
    product = np.asarray(kernels.gradient_gram())[0, 2]
    norm = float(np.asarray(kernels.gradient_norms())[2])
    curvature = step_curvatures(kernels, 0.0, [0], [2], points=1)[0]
    rests = []
    for rate in (1e-2, 5e-3, 2.5e-3):
        change = np.asarray(kernels.step_loss_change_pairs(rate, [0], [2]))[0]
        rests.append(abs(change + rate * product - 0.5 * curvature * rate**2 * norm**2))
    orders = np.diff(np.log(rests)) / np.diff(np.log([1e-2, 5e-3, 2.5e-3]))
    assert (orders > 2.8).all()


def test_loss_falls_within_the_range_and_rises_beyond_it_where_the_loss_is_quadratic():
    decoder = nn.Linear(1, 3).double()
    x, codes = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]), np.array([[[0.3], [-1.0]], [[0.5], [0.4]]])
    kernels = TransferKernels(decoder, "gaussian", x, codes)
    product = np.asarray(kernels.gradient_gram())
    norms = np.asarray(kernels.gradient_norms())
    pairs = np.argwhere(product > 0)
    assert len(pairs) >= 2
    for u, v in pairs:
        curvature = step_curvatures(kernels, 1.0, [u], [v])[0]
        end = float(step_range(product[u, v], norms[v], curvature))
        inside, outside = np.asarray(kernels.step_loss_change_pairs([0.999 * end, 1.001 * end], [u], [v]))[:, 0]
        assert inside < 0 < outside


def test_range_of_degenerate_pairs():
    assert step_range(0.0, 1.0, 1.0) == 0
    assert step_range(-1.0, 1.0, -1.0) == 0
    assert step_range(1.0, 1.0, 0.0) == math.inf
    assert step_range(1.0, 2.0, math.inf) == 0
    assert step_range(np.zeros(0), np.zeros(0), np.zeros(0)).shape == (0,)
    with pytest.raises(InvalidInput, match="not negative"):
        step_range(1.0, -1.0, 1.0)
    with pytest.raises(InvalidInput, match="must be numbers"):
        step_range(math.nan, 1.0, 1.0)


def test_a_user_without_gradient_moves_nothing_and_bad_arguments_are_named():
    given = world(3)
    given.x[1] = 0.0
    kernels = kernels_of(given, "multinomial")
    assert step_curvatures(kernels, 0.1, [0], [1])[0] == 0
    with pytest.raises(InvalidInput, match="equally long"):
        step_curvatures(kernels, 0.1, [0, 1], [1])
    with pytest.raises(InvalidInput, match="learning_rate"):
        step_curvatures(kernels, -0.1, [0], [1])
