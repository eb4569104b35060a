"""Small decoders against torch autograd, and enclosures against dense grids and float64."""

import numpy as np
import pytest
import torch
from flint import arb

from collabtheory.errors import InvalidInput
from collabtheory.rigor import enclosed, working_precision
from collabtheory.rigor.small_decoders import (
    FAMILIES,
    SmallDecoder,
    code_jacobian,
    directional_curvature,
    gradient,
    largest_curvature,
    layer_constants,
    loss,
)
from collabtheory.rigor.small_pairs import SmallPair
from collabtheory.transfer import TransferKernels, alignment, content_mismatch, transport_cost


def drawn(seed, latent=2, hidden=3, items=4, samples=2):
    rng = np.random.default_rng(seed)
    shapes = (hidden, latent), (hidden,), (items, hidden), (items,)
    theta, direction = (SmallDecoder(*(rng.normal(size=shape) for shape in shapes)) for _ in range(2))
    content = (rng.random(items) < 0.5).astype(float)
    return theta, direction, content, rng.normal(size=(samples, latent))


def torch_loss(likelihood, parameters, content, codes):
    first, first_bias, second, second_bias = parameters
    logits = torch.tanh(codes @ first.T + first_bias) @ second.T + second_bias
    partition = {
        "multinomial": lambda: content.sum() * torch.logsumexp(logits, 1),
        "bernoulli": lambda: torch.nn.functional.softplus(logits).sum(1),
        "gaussian": lambda: (logits**2).sum(1) / 2,
        "poisson": lambda: logits.exp().sum(1),
    }[likelihood]()
    return (partition - logits @ content).mean()


def tensors(*arrays):
    return tuple(torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in arrays)


def enclosures(decoder):
    return SmallDecoder(*map(enclosed, decoder.parts))


@pytest.mark.parametrize("likelihood", FAMILIES)
@pytest.mark.parametrize("seed", range(3))
def test_loss_gradient_and_curvature_match_autograd(likelihood, seed):
    theta, direction, content, codes = drawn(seed)
    parameters, x, z = tensors(*theta.parts), torch.tensor(content), torch.tensor(codes)
    value = torch_loss(likelihood, parameters, x, z)
    slopes = torch.autograd.grad(value, parameters, create_graph=True)
    assert loss(theta, likelihood, content, codes) == pytest.approx(float(value.detach()), rel=1e-13)
    flat = torch.cat([slope.reshape(-1) for slope in slopes])
    assert np.allclose(gradient(theta, likelihood, content, codes).flat(), flat.detach(), rtol=1e-12, atol=1e-13)
    along = torch.tensor(direction.flat())
    twice = torch.autograd.grad(flat @ along, parameters)
    second = float(torch.cat([part.reshape(-1) for part in twice]) @ along)
    assert directional_curvature(theta, direction, likelihood, content, codes) == pytest.approx(second, rel=1e-11)


@pytest.mark.parametrize("likelihood", FAMILIES)
def test_code_jacobian_matches_autograd(likelihood):
    theta, _, content, codes = drawn(5)
    parameters, x = tensors(*theta.parts), torch.tensor(content)
    (code,) = tensors(codes[0])

    def flat_gradient(z):
        slopes = torch.autograd.grad(torch_loss(likelihood, parameters, x, z[None]), parameters, create_graph=True)
        return torch.cat([slope.reshape(-1) for slope in slopes])

    expected = torch.autograd.functional.jacobian(flat_gradient, code)
    assert np.allclose(code_jacobian(theta, likelihood, content, codes[0]), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("likelihood", FAMILIES)
def test_enclosures_contain_the_float64_results_and_are_narrow(likelihood):
    theta, direction, content, codes = drawn(7)
    with working_precision(128):
        model = likelihood, enclosed(content), enclosed(codes)
        close = enclosures(theta)
        pairs = [
            (loss(close, *model), loss(theta, likelihood, content, codes)),
            (
                directional_curvature(close, enclosures(direction), *model),
                directional_curvature(theta, direction, likelihood, content, codes),
            ),
        ]
        pairs += list(
            zip(gradient(close, *model).flat(), gradient(theta, likelihood, content, codes).flat(), strict=True)
        )
    for enclosure, value in pairs:
        assert float(enclosure.rad()) < 1e-30
        assert float(enclosure.mid()) == pytest.approx(value, rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("likelihood", FAMILIES)
@pytest.mark.parametrize("absolute", [False, True])
def test_curvature_on_a_whole_step_encloses_the_largest_on_a_dense_grid(likelihood, absolute):
    theta, direction, content, codes = drawn(11)
    direction = SmallDecoder(*(0.3 * part for part in direction.parts))
    grid = [
        directional_curvature(theta.plus(share, direction), direction, likelihood, content, codes)
        for share in np.linspace(0, 1, 401)
    ]
    most = max(map(abs, grid)) if absolute else max(grid)
    model = likelihood, enclosed(content), enclosed(codes)
    found = largest_curvature(enclosures(theta), enclosures(direction), *model, absolute=absolute)
    assert float(found.lower()) <= most <= float(found.upper())
    finer = largest_curvature(enclosures(theta), enclosures(direction), *model, absolute=absolute, pieces=256)
    assert most <= float(finer.upper()) < float(found.upper())
    assert float(finer.upper()) - most < 0.2 * float(direction.flat() @ direction.flat())


def test_many_decoders_at_once_are_each_of_them():
    theta, direction, content, codes = drawn(13)
    shares = np.array([0.0, 0.25, 1.0])
    together = directional_curvature(theta.plus(shares, direction), direction, "multinomial", content, codes)
    one_by_one = [
        directional_curvature(theta.plus(share, direction), direction, "multinomial", content, codes)
        for share in shares
    ]
    assert np.allclose(together, one_by_one, rtol=1e-14)


@pytest.mark.parametrize("likelihood", FAMILIES)
def test_constants_by_composition_are_never_below_a_slope_in_the_ball(likelihood):
    rng = np.random.default_rng(17)
    closest = 0.0
    for seed in range(40):
        theta, _, content, codes = drawn(seed, latent=1 + seed % 2, hidden=1 + seed % 3, items=1 + seed % 4)
        scale = 10 ** rng.uniform(-2, 0.5)
        theta = SmallDecoder(scale * theta.first, theta.first_bias, theta.second, scale * theta.second_bias)
        radius = float(np.linalg.norm(codes, axis=1).max())
        constants = layer_constants(theta, likelihood, content, radius)
        one, two = (gradient(theta, likelihood, content, code[None]) for code in codes)
        apart = np.linalg.norm(codes[0] - codes[1])
        blocks = [np.concatenate([np.ravel(part) for part in half]) for half in _halves(one, two)]
        for block, constant in zip(blocks, constants, strict=True):
            assert np.linalg.norm(block) <= constant * apart * (1 + 1e-12)
            closest = max(closest, np.linalg.norm(block) / (constant * apart) if constant else 0.0)
    assert closest > 0.2  # the cases come near enough for a constant that is too small to show


def _halves(one, two):
    difference = [a - b for a, b in zip(one.parts, two.parts, strict=True)]
    return difference[:2], difference[2:]


@pytest.mark.parametrize("likelihood", FAMILIES)
def test_quantities_of_a_pair_match_the_transfer_kernels(likelihood):
    theta, _, content, codes = drawn(19, samples=3)
    other, other_codes = 1.0 - content, codes + np.random.default_rng(3).normal(size=codes.shape)
    pair = SmallPair(theta, likelihood, content, other, codes, other_codes)
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 4)).double()
    with torch.no_grad():
        for parameter, part in zip(module.parameters(), theta.parts, strict=True):
            parameter.copy_(torch.tensor(part))
    world = module, likelihood, np.stack([content, other]), np.stack([codes, other_codes])
    kernels = TransferKernels(*world)
    assert np.allclose([pair.norm_u, pair.norm_v], kernels.gradient_norms(), rtol=1e-10)
    assert pair.inner_product == pytest.approx(kernels.gradient_gram()[0, 1], rel=1e-10)
    assert pair.gap == pytest.approx(kernels.gradient_gap()[0, 1], rel=1e-10)
    assert pair.mismatch == pytest.approx(content_mismatch(*world)[0, 1], rel=1e-10)
    assert pair.mismatch_under_u == pytest.approx(content_mismatch(*world)[1, 0], rel=1e-10)
    assert pair.alignment == pytest.approx(alignment(*world)[0, 1], rel=1e-10)
    assert pair.cost == pytest.approx(transport_cost(world[3])[0, 1], rel=1e-12)
    change = kernels.step_loss_change(0.05)[0, 1]
    assert pair.loss_after(0.05) - pair.loss_before == pytest.approx(change, rel=1e-8)


def test_an_unknown_likelihood_is_refused():
    theta, _, content, codes = drawn(0)
    with pytest.raises(InvalidInput, match="unknown likelihood 'cauchy'"):
        loss(theta, "cauchy", content, codes)
    with pytest.raises(InvalidInput, match="no constants are known"):
        layer_constants(theta, "cauchy", content, 1.0)


def test_constants_run_on_enclosures_of_whole_numbers():
    one, two = layer_constants(
        enclosures(SmallDecoder(np.eye(1), np.zeros(1), np.eye(1), np.zeros(1))), "multinomial", enclosed([1]), arb(1)
    )
    # W_1 = W_2 = 1, n = 1, R = 1: last layer 1/2 sqrt(2) + sqrt(2) exactly.
    assert (two - (arb(2).sqrt() * arb("1.5"))).contains(0)
    assert one > 0
