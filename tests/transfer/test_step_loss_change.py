import copy

import mpmath
import numpy as np
import pytest
import torch
from torch import nn

import collabtheory as ct
from collabtheory.errors import NumericalFailure
from collabtheory.models.activations import activation_of
from collabtheory.models.likelihoods import Multinomial
from collabtheory.transfer import TransferKernels
from collabtheory.transfer.differences import activation_change

LIKELIHOODS = ("multinomial", "bernoulli", "gaussian", "poisson")
DEPTHS = ((3, 11), (3, 7, 11), (3, 6, 5, 11))


@pytest.mark.parametrize("scale", ["user", "interaction"])
@pytest.mark.parametrize("widths", DEPTHS)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_loss_change_equals_a_real_step(likelihood, widths, scale, make_world, make_oracle, close):
    world = make_world(widths=widths)
    oracle = make_oracle(world, likelihood, scale)
    rates = [1e-2, 1e-3]
    changes = ct.transfer.step_loss_change(world.decoder, likelihood, world.x, world.codes, rates, scale=scale)
    assert changes.shape == (2, 6, 6)
    for rate, change in zip(rates, changes, strict=True):
        close(change, oracle.loss_change(rate))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid, nn.Softplus, nn.SiLU, nn.GELU, nn.ELU, nn.LeakyReLU])
def test_loss_change_equals_a_real_step_for_every_activation(activation, make_world, make_oracle, close):
    world = make_world(widths=(3, 6, 5, 11), activation=activation)
    for rate in (0.1, 1e-3):
        change = ct.transfer.step_loss_change(world.decoder, "multinomial", world.x, world.codes, rate)
        close(change, make_oracle(world, "multinomial").loss_change(rate))


def _exact_change(world, u, v, rate):
    """One tanh layer, multinomial, S samples, in 60 digits, losses simply subtracted."""
    mp = mpmath.mp.clone()
    mp.dps = 60
    first, second = world.decoder[0], world.decoder[2]
    w1, w2 = (mp.matrix(layer.weight.detach().tolist()) for layer in (first, second))
    b1, b2 = (mp.matrix(layer.bias.detach().tolist()) for layer in (first, second))

    def forward(parameters, z):
        w1, b1, w2, b2 = parameters
        h = (w1 * z + b1).apply(mp.tanh)
        return h, w2 * h + b2

    def loss(parameters, user):
        total = mp.mpf(0)
        for z in world.codes[user]:
            _, eta = forward(parameters, mp.matrix(z.tolist()))
            x = world.x[user]
            total += mp.mpf(float(x.sum())) * mp.log(sum(mp.exp(value) for value in eta))
            total -= sum(eta[int(i)] for i in np.flatnonzero(x))
        return total / len(world.codes[user])

    parameters = (w1, b1, w2, b2)
    gradient = [0 * value for value in parameters]
    for z in world.codes[v]:
        z = mp.matrix(z.tolist())
        h, eta = forward(parameters, z)
        mass = sum(mp.exp(value) for value in eta)
        d2 = mp.matrix(
            [
                mp.mpf(float(world.x[v].sum())) * mp.exp(e) / mass - mp.mpf(x)
                for e, x in zip(eta, world.x[v], strict=True)
            ]
        )
        back = w2.T * d2
        d1 = mp.matrix([b * (1 - a * a) for a, b in zip(h, back, strict=True)])
        gradient = [g + term for g, term in zip(gradient, (d1 * z.T, d1, d2 * h.T, d2), strict=True)]
    step = mp.mpf(rate) / len(world.codes[v])
    moved = [value - step * g for value, g in zip(parameters, gradient, strict=True)]
    return float(loss(moved, u) - loss(parameters, u))


@pytest.mark.parametrize("path", ["outer_product", "torch_func"])
@pytest.mark.parametrize("rate", [1e-2, 1e-6, 1e-10, 1e-14])
def test_tiny_steps_keep_their_digits(rate, path, make_world):
    world = make_world(n_users=5, n_samples=2)
    pairs = [(0, 0), (0, 3), (3, 0), (4, 3), (1, 4)]
    rows, columns = zip(*pairs, strict=True)
    kernels = TransferKernels(world.decoder, "multinomial", world.x, world.codes, path=path)
    changes = kernels.step_loss_change_pairs(rate, rows, columns)
    expected = [_exact_change(world, u, v, rate) for u, v in pairs]
    np.testing.assert_allclose(changes, expected, rtol=1e-10)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_pairs_equal_the_full_matrix(likelihood, make_world, close):
    world = make_world(widths=(3, 6, 5, 11))
    kernels = TransferKernels(world.decoder, likelihood, world.x, world.codes)
    full = kernels.step_loss_change([1e-2, 1e-5])
    rows, columns = np.repeat(np.arange(6), 6), np.tile(np.arange(6), 6)
    pairs = kernels.step_loss_change_pairs([1e-2, 1e-5], rows, columns)
    for rate in range(2):
        close(pairs[rate].reshape(6, 6), full[rate])
    close(kernels.step_loss_change(1e-2, users=[4, 0, 4], sources=np.array([5, 3])), full[0][[4, 0, 4]][:, [5, 3]])


def test_no_step_changes_nothing(make_world):
    world = make_world()
    assert (ct.transfer.step_loss_change(world.decoder, "multinomial", world.x, world.codes, 0.0) == 0).all()


def test_empty_lists_of_users_and_pairs_give_empty_results(make_world):
    world = make_world()
    kernels = TransferKernels(world.decoder, "multinomial", world.x, world.codes)
    assert kernels.step_loss_change_pairs(0.1, [], []).shape == (0,)
    assert kernels.step_loss_change(0.1, users=[], sources=[1]).shape == (0, 1)
    assert kernels.step_loss_change([0.1, 0.2], sources=[]).shape == (2, 6, 0)


def test_first_order_error_is_of_second_order(make_world):
    world = make_world()
    kernels = TransferKernels(world.decoder, "multinomial", world.x, world.codes)
    rates = np.array([1e-3, 1e-4, 1e-5])
    changes = kernels.step_loss_change(rates)
    error = np.abs(changes + rates[:, None, None] * kernels.gradient_gram())
    active = [0, 1, 3, 4, 5]
    slopes = np.polyfit(np.log(rates), np.log(error[:, active][:, :, active].reshape(3, -1)), 1)[0]
    assert np.abs(slopes - 2).max() < 0.05


def test_multinomial_shortcut_equals_the_bregman_form(make_world, close):
    class Renamed(Multinomial):
        name = "a multinomial that takes the general road"

    world = make_world(widths=(3, 6, 5, 11))
    for rate in (1e-8, 1e-2, 0.3):
        args = (world.x, world.codes, rate)
        general = ct.transfer.step_loss_change(world.decoder, Renamed(), *args)
        close(ct.transfer.step_loss_change(world.decoder, "multinomial", *args), general)


def test_step_that_moves_all_the_mass_is_still_exact(make_world, make_oracle, close):
    world = make_world()
    for rate in (3.0, 300.0):
        change = ct.transfer.step_loss_change(world.decoder, "multinomial", world.x, world.codes, rate)
        close(change, make_oracle(world, "multinomial").loss_change(rate))


def test_overflowing_step_is_an_error_not_a_number(make_world):
    world = make_world()
    with pytest.raises(NumericalFailure, match=r"learning rate 1000\.0"):
        ct.transfer.step_loss_change(world.decoder, "poisson", world.x, world.codes, 1000.0)


def test_overflowing_gradient_is_an_error_not_a_number(make_world):
    world = make_world()
    with torch.no_grad():
        world.decoder[2].weight.mul_(1e4)
    for path in ("outer_product", "torch_func"):
        kernels = TransferKernels(world.decoder, "poisson", world.x, world.codes, path=path)
        with pytest.raises(NumericalFailure, match="not finite"):
            kernels.gradient_gram()
        with pytest.raises(NumericalFailure, match="not finite"):
            kernels.step_loss_change(1e-3)


def test_float32_delta_form_beats_subtracting_float64_rounded_losses(make_world):
    world = make_world()
    exact = ct.transfer.step_loss_change(world.decoder, "multinomial", world.x, world.codes, 1e-5)
    single = ct.transfer.step_loss_change(world.decoder, "multinomial", world.x, world.codes, 1e-5, dtype=torch.float32)
    assert np.abs(single - exact).max() < 1e-5 * np.abs(exact).max()


@pytest.mark.parametrize(
    "module",
    [nn.Tanh(), nn.Sigmoid(), nn.ReLU(), nn.LeakyReLU(0.25), nn.ELU(1.5), nn.Softplus(), nn.SiLU(), nn.GELU()],
    ids=lambda module: type(module).__name__,
)
def test_activation_changes_are_exact_for_steps_of_every_size(module):
    mp = mpmath.mp.clone()
    mp.dps = 50
    functions = {
        "Tanh": mp.tanh,
        "Sigmoid": lambda a: 1 / (1 + mp.exp(-a)),
        "ReLU": lambda a: max(a, mp.mpf(0)),
        "LeakyReLU": lambda a: a if a > 0 else mp.mpf(0.25) * a,
        "ELU": lambda a: a if a > 0 else mp.mpf(1.5) * (mp.exp(a) - 1),
        "Softplus": lambda a: mp.log(1 + mp.exp(a)),
        "SiLU": lambda a: a / (1 + mp.exp(-a)),
        "GELU": lambda a: a * mp.ncdf(a),
    }
    exact = functions[type(module).__name__]
    activation = activation_of(module)
    points = [-9.0, -2.5, -0.7, -1e-7, 1e-7, 0.3, 1.9, 8.0]
    steps = [sign * size for size in (1e-13, 1e-8, 1e-4, 1e-2, 0.3, 3.0, 20.0) for sign in (1, -1)]
    pre = torch.tensor([a for a in points for _ in steps], dtype=torch.float64)
    change = torch.tensor([d for _ in points for d in steps], dtype=torch.float64)
    actual = activation_change(activation, pre, module(pre), change.clone())
    for a, d, value in zip(pre.tolist(), change.tolist(), actual.tolist(), strict=True):
        if type(module).__name__ == "Softplus" and a + d > 20:
            continue  # torch itself departs from softplus there
        expected = float(exact(mp.mpf(a) + mp.mpf(d)) - exact(mp.mpf(a)))
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-15 * abs(d)), (a, d)


def test_saturated_units_come_back(make_world):
    pre = torch.tensor([20.0, -20.0, 40.0, 0.0], dtype=torch.float64)
    change = torch.tensor([-40.0, 25.0, -39.0, -60.0], dtype=torch.float64)
    result = activation_change(activation_of(nn.Tanh()), pre, torch.tanh(pre), change.clone())
    torch.testing.assert_close(result, torch.tanh(pre + change) - torch.tanh(pre), rtol=1e-12, atol=0)


def test_step_with_a_copied_decoder_leaves_the_original_alone(make_world):
    world = make_world()
    before = copy.deepcopy(world.decoder.state_dict())
    ct.transfer.step_loss_change(world.decoder, "multinomial", world.x, world.codes, 0.5)
    for name, value in world.decoder.state_dict().items():
        assert torch.equal(value, before[name])
