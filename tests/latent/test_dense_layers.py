"""The layer chain and its activations: what every certified constant stands on."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from collabtheory.errors import InvalidInput, PremiseNotMet
from collabtheory.models.activations import activation_of
from collabtheory.models.layers import linear_chain

MODULES = [
    nn.Identity(),
    nn.Tanh(),
    nn.Sigmoid(),
    nn.ReLU(),
    nn.LeakyReLU(0.3),
    nn.LeakyReLU(2.0),
    nn.ELU(),
    nn.ELU(0.5),
    nn.Softplus(),
    nn.Softplus(2.0, 200.0),
    nn.SiLU(),
    nn.GELU(),
]


def grid(low, high, n=4001):
    return torch.linspace(low, high, n, dtype=torch.float64)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_derivatives_are_those_of_autograd(module):
    activation = activation_of(module)
    points = (grid(-30, 30, 1202) if "threshold=200" not in str(module) else grid(-8, 8, 1202)).requires_grad_(True)
    points.data[points.abs() < 1e-6] = 0.1
    value = module(points)
    (first,) = torch.autograd.grad(value.sum(), points, create_graph=True)
    torch.testing.assert_close(activation.value(points), value, rtol=1e-14, atol=1e-15)
    torch.testing.assert_close(activation.derivative(points), first, rtol=1e-8, atol=3e-9)
    if first.requires_grad:
        (second,) = torch.autograd.grad(first.sum(), points, allow_unused=True, materialize_grads=True)
        torch.testing.assert_close(activation.second_derivative(points), second, rtol=1e-7, atol=3e-9)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_ranges_hold_every_value_and_are_attained(module):
    activation = activation_of(module)
    functions = {"value": activation.value, "derivative": activation.derivative}
    if np.isfinite(activation.derivative_lipschitz):
        functions["second_derivative"] = activation.second_derivative
    ends = [-6.0, -2.5, -1.3, -0.66, -0.1, 0.2, 0.66, 1.4, 2.5, 3.5, 6.0]
    for name, function in functions.items():
        for low, high in itertools.combinations_with_replacement(ends, 2):
            values = function(grid(low, high))
            smallest, largest = getattr(activation, f"{name}_range")(
                *torch.tensor([[low], [high]], dtype=torch.float64)
            )
            assert smallest <= values.min() + 1e-15
            assert largest >= values.max() - 1e-15
            if name != "second_derivative" or not isinstance(module, nn.ELU):  # which jumps between grid points
                assert smallest == pytest.approx(float(values.min()), abs=2e-5)
                assert largest == pytest.approx(float(values.max()), abs=2e-5)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_constants_are_suprema(module):
    activation, points = activation_of(module), grid(-40, 40, 160_001)
    assert activation.derivative(points).abs().max() == pytest.approx(activation.lipschitz, rel=1e-6)
    assert activation.derivative(points).abs().max() <= activation.lipschitz * (1 + 1e-15)
    if np.isfinite(activation.derivative_lipschitz):
        largest = activation.second_derivative(points).abs().max()
        assert largest == pytest.approx(activation.derivative_lipschitz, rel=1e-5, abs=1e-12)
        assert largest <= activation.derivative_lipschitz * (1 + 1e-15)
    assert activation.value(points).abs().max() <= activation.bounded_by


def test_chain_computes_what_the_module_computes():
    torch.manual_seed(0)
    module = (
        nn.Sequential(
            nn.Linear(3, 4),
            nn.Sequential(nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 5, bias=False)),
            nn.Identity(),
            nn.Linear(5, 2),
            nn.SiLU(),
            nn.Linear(2, 6),
        )
        .double()
        .eval()
    )
    points = torch.randn(7, 3, dtype=torch.float64)
    hidden = points
    for layer in linear_chain(module):
        hidden = layer.activation.value(layer.pre_activation(hidden))
    torch.testing.assert_close(hidden, module(points), rtol=1e-13, atol=1e-14)
    assert [layer.activation.name for layer in linear_chain(module)] == ["tanh", "identity", "silu", "identity"]
    assert len(linear_chain(nn.Linear(2, 3))) == 1
    assert (
        linear_chain(nn.Sequential(nn.Linear(2, 3), nn.Tanh()), ends_with_activation=True)[0].activation.name == "tanh"
    )


def shared_weight():
    linear = nn.Linear(3, 3)
    return nn.Sequential(linear, nn.Tanh(), linear)


def hooked():
    module = nn.Sequential(nn.Linear(3, 3))
    module[0].register_forward_hook(lambda *_: None)
    return module


class Doubling(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 3)), "1 is BatchNorm1d"),
        (nn.Sequential(nn.Sequential(nn.Linear(3, 3), nn.Softmax(1))), r"0\.1 is Softmax"),
        (nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.Linear(3, 3)), "1 is Dropout"),
        (nn.Sequential(nn.Linear(3, 3), nn.GELU("tanh"), nn.Linear(3, 3)), "1 is GELU"),
        (nn.Sequential(nn.Linear(3, 3), nn.Tanh()), "last Linear layer is followed by tanh"),
        (nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Tanh(), nn.Linear(3, 3)), "2 .* does not follow a Linear"),
        (nn.Sequential(nn.Tanh(), nn.Linear(3, 3)), "0 .* does not follow a Linear"),
        (nn.Sequential(), "no Linear layer"),
        (shared_weight(), "2 shares its parameters with 0"),
        (hooked(), "0 has hooks"),
        (nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3)), "has hooks or parametrizations"),
        (Doubling(3, 3), "module is Doubling"),
        (nn.Bilinear(2, 2, 2), "module is Bilinear"),
    ],
)
def test_anything_else_is_refused_by_name(module, words):
    with pytest.raises(PremiseNotMet, match=words):
        linear_chain(module)


def test_bad_weights_are_refused():
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    module[1].bias.data[0] = float("nan")
    with pytest.raises(InvalidInput, match=r"1\.bias has an entry that is not finite"):
        linear_chain(module)
    with pytest.raises(InvalidInput, match="1 takes 4 inputs but the layer before it gives 3"):
        linear_chain(nn.Sequential(nn.Linear(3, 3), nn.Linear(4, 2)))
