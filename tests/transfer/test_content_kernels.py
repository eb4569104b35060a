"""Mismatch, alignment and slopes: everything that puts one user's content at another's codes."""

import numpy as np
import pytest
import torch
from torch import nn

import collabtheory as ct
from collabtheory.transfer import TransferKernels

LIKELIHOODS = ("multinomial", "bernoulli", "gaussian", "poisson")
DEPTHS = ((3, 11), (3, 7, 11), (3, 6, 5, 11), (3, 5, 4, 6, 11))


@pytest.mark.parametrize("scale", ["user", "interaction"])
@pytest.mark.parametrize("widths", DEPTHS)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_mismatch_alignment_and_slopes_equal_autograd(likelihood, widths, scale, make_world, make_oracle, close):
    world = make_world(widths=widths, n_users=5, n_samples=2)
    oracle = make_oracle(world, likelihood, scale)
    kernels = TransferKernels(world.decoder, likelihood, world.x, world.codes, scale=scale)
    close(kernels.content_mismatch(), oracle.mismatch())
    close(kernels.alignment(), oracle.alignment())
    close(kernels.directional_slopes(), oracle.slopes(2))
    close(kernels.directional_slopes(n_samples=1), oracle.slopes(1))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid, nn.Softplus, nn.SiLU, nn.GELU, nn.ELU])
def test_slopes_equal_autograd_for_every_activation(activation, make_world, make_oracle, close):
    world = make_world(widths=(3, 6, 5, 11), n_users=4, n_samples=2, activation=activation)
    slopes = ct.transfer.directional_slopes(world.decoder, "multinomial", world.x, world.codes)
    close(slopes, make_oracle(world, "multinomial").slopes(2), 1e-9)


def test_functions_give_what_the_shared_object_gives(make_world):
    world = make_world()
    args = (world.decoder, "multinomial", world.x, world.codes)
    kernels = TransferKernels(*args)
    for name in ("content_mismatch", "alignment", "directional_slopes", "gradient_norms", "gradient_gap"):
        np.testing.assert_array_equal(getattr(ct.transfer, name)(*args), getattr(kernels, name)())


@pytest.mark.parametrize("path", ["outer_product", "torch_func"])
@pytest.mark.parametrize("scale", ["user", "interaction"])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_equal_contents_have_no_mismatch_at_all(likelihood, scale, path, make_world):
    world = make_world(widths=(3, 6, 5, 11))
    kernels = TransferKernels(world.decoder, likelihood, world.x, world.codes, scale=scale, path=path)
    mismatch = kernels.content_mismatch()
    assert mismatch[0, 1] == 0
    assert mismatch[1, 0] == 0
    assert (np.diag(mismatch) == 0).all()
    assert mismatch[0, 3] > 0


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_mismatch_of_near_twins_does_not_cancel(likelihood, make_world, make_oracle):
    world = make_world(widths=(3, 6, 5, 11))
    change = 1e-9 * np.random.default_rng(3).random(11)
    world.x[1] = world.x[0] + change
    mismatch = ct.transfer.content_mismatch(world.decoder, likelihood, world.x, world.codes)
    # The mismatch is linear in the content: one gradient of <logits, difference>, and of n where n matters.
    oracle = make_oracle(world, likelihood)
    logits = oracle.decoder(oracle.codes[1])
    difference = oracle.x[0] - oracle.x[1]
    scalar = -(logits @ difference).mean()
    if likelihood == "multinomial":
        scalar = scalar + difference.sum() * torch.logsumexp(logits, 1).mean()
    pieces = torch.autograd.grad(scalar, oracle.parameters)
    expected = float(torch.cat([piece.reshape(-1) for piece in pieces]).norm())
    np.testing.assert_allclose(mismatch[0, 1], expected, rtol=1e-6)


def test_alignment_with_oneself_is_the_squared_norm(make_world, close):
    world = make_world()
    kernels = TransferKernels(world.decoder, "multinomial", world.x, world.codes)
    close(np.diag(kernels.alignment()), kernels.gradient_norms() ** 2)


def test_triangle_inequalities_of_theorem_2_3_hold_with_these_quantities(make_world):
    world = make_world(n_users=12)
    world.codes[:] = world.codes[:1]
    kernels = TransferKernels(world.decoder, "multinomial", world.x, world.codes)
    # With equal codes the Lipschitz term is zero: the gap IS the mismatch, and the alignment IS the inner product.
    np.testing.assert_allclose(kernels.gradient_gap(), kernels.content_mismatch(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(kernels.alignment(), kernels.gradient_gram(), rtol=1e-9, atol=1e-12)


def test_slopes_bound_the_change_of_the_scalar_from_below(make_world, make_oracle):
    world = make_world(n_users=3, n_samples=1)
    oracle = make_oracle(world, "multinomial")
    own = oracle.gradients()
    slope = ct.transfer.directional_slopes(world.decoder, "multinomial", world.x, world.codes)[0, 1]
    rng = np.random.default_rng(0)
    largest = 0.0
    for _ in range(200):
        step = torch.from_numpy(rng.standard_normal(3))
        step *= 1e-6 / step.norm()
        values = [float(own[0] @ oracle.gradient(1, oracle.codes[0] + move)) for move in (0 * step, step)]
        largest = max(largest, abs(values[1] - values[0]) / 1e-6)
    assert 0.9 * slope < largest < 1.001 * slope
