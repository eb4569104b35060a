"""Elementwise activations with their derivatives and the constants that bound them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from collabtheory.errors import PremiseNotMet

Elementwise = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Activation:
    """An elementwise function ``phi``, its first two derivatives, and what bounds them.

    Parameters
    ----------
    name
        As in torch, lower case.
    value, derivative, second_derivative
        ``phi``, ``phi'``, ``phi''``, elementwise on tensors.
    lipschitz
        ``sup |phi'|``.
    derivative_lipschitz
        Lipschitz constant of ``phi'``; infinite where ``phi'`` jumps (ReLU).
    bounded_by
        ``sup |phi|``; infinite where unbounded.
    value_peaks, derivative_peaks, second_derivative_peaks
        The points where ``phi``, ``phi'``, ``phi''`` have interior extrema: the supremum of the absolute value over an
        interval is attained there or at an end.
    """

    name: str
    value: Elementwise
    derivative: Elementwise
    second_derivative: Elementwise
    lipschitz: float
    derivative_lipschitz: float
    bounded_by: float
    value_peaks: tuple[float, ...] = ()
    derivative_peaks: tuple[float, ...] = ()
    second_derivative_peaks: tuple[float, ...] = ()

    def value_range(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Return the minimum and maximum of ``phi`` over each interval ``[low, high]``, elementwise."""
        return _range(self.value, self.value_peaks, low, high)

    def derivative_range(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Return the minimum and maximum of ``phi'`` over each interval ``[low, high]``, elementwise."""
        return _range(self.derivative, self.derivative_peaks, low, high)

    def second_derivative_range(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Return bounds of ``phi''`` over each interval ``[low, high]``; PremiseNotMet where ``phi'`` jumps."""
        if math.isinf(self.derivative_lipschitz):
            raise PremiseNotMet(f"the derivative of {self.name} jumps, so it has no Lipschitz constant")
        return _range(self.second_derivative, self.second_derivative_peaks, low, high)


def activation_of(module: nn.Module) -> Activation | None:
    """Return the activation that a torch module computes, or None for a module that is not one.

    Dropout counts as the identity when it does nothing (``eval()`` or p = 0).
    """
    kind = type(module)
    if kind in _FIXED:
        return _FIXED[kind]
    if isinstance(module, nn.Dropout):
        return IDENTITY if module.p == 0 or not module.training else None
    if isinstance(module, nn.Softplus):
        return _softplus(float(module.beta), float(module.threshold))
    if isinstance(module, nn.LeakyReLU):
        return _leaky_relu(float(module.negative_slope))
    if isinstance(module, nn.ELU):
        return _elu(float(module.alpha))
    if isinstance(module, nn.GELU):
        return GELU if module.approximate == "none" else None
    return None


def _range(function: Elementwise, peaks: tuple[float, ...], low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    at_low, at_high = function(low), function(high)
    smallest, largest = torch.minimum(at_low, at_high), torch.maximum(at_low, at_high)
    for peak in peaks:
        value = function(torch.tensor(peak, dtype=low.dtype, device=low.device))
        inside = (low <= peak) & (peak <= high)
        smallest = torch.where(inside, torch.minimum(smallest, value), smallest)
        largest = torch.where(inside, torch.maximum(largest, value), largest)
    return smallest, largest


def _tanh_derivative(x: Tensor) -> Tensor:
    return 1 - torch.tanh(x) ** 2


def _tanh_second(x: Tensor) -> Tensor:
    t = torch.tanh(x)
    return -2 * t * (1 - t * t)


def _sigmoid_derivative(x: Tensor) -> Tensor:
    return torch.sigmoid(x) * torch.sigmoid(-x)


def _sigmoid_second(x: Tensor) -> Tensor:
    s, c = torch.sigmoid(x), torch.sigmoid(-x)
    return s * c * (c - s)


def _silu_derivative(x: Tensor) -> Tensor:
    return torch.sigmoid(x) * (1 + x * torch.sigmoid(-x))


def _silu_second(x: Tensor) -> Tensor:
    s, c = torch.sigmoid(x), torch.sigmoid(-x)
    return s * c * (2 + x * (c - s))


def _normal_density(x: Tensor) -> Tensor:
    return torch.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def _gelu_derivative(x: Tensor) -> Tensor:
    return 0.5 * torch.erfc(-x / math.sqrt(2)) + x * _normal_density(x)


def _gelu_second(x: Tensor) -> Tensor:
    return _normal_density(x) * (2 - x * x)


def _softplus(beta: float, threshold: float) -> Activation:
    # Above its threshold torch returns x itself, 2e-9 below the true value; the derivatives are those of softplus.
    return Activation(
        "softplus",
        lambda x: functional.softplus(x, beta, threshold),
        lambda x: torch.sigmoid(beta * x),
        lambda x: beta * _sigmoid_derivative(beta * x),
        lipschitz=1.0,
        derivative_lipschitz=beta / 4,
        bounded_by=math.inf,
        second_derivative_peaks=(0.0,),
    )


def _leaky_relu(slope: float) -> Activation:
    return Activation(
        "leaky_relu",
        lambda x: torch.where(x > 0, x, slope * x),
        lambda x: torch.where(x > 0, torch.ones_like(x), torch.full_like(x, slope)),
        torch.zeros_like,
        lipschitz=max(1.0, abs(slope)),
        derivative_lipschitz=math.inf,
        bounded_by=math.inf,
        value_peaks=(0.0,),
    )


def _elu(alpha: float) -> Activation:
    return Activation(
        "elu",
        lambda x: functional.elu(x, alpha),
        lambda x: torch.where(x > 0, torch.ones_like(x), alpha * torch.exp(x.clamp(max=0))),
        lambda x: torch.where(x > 0, torch.zeros_like(x), alpha * torch.exp(x.clamp(max=0))),
        lipschitz=max(1.0, abs(alpha)),
        derivative_lipschitz=1.0 if alpha == 1 else math.inf,
        bounded_by=math.inf,
        value_peaks=(0.0,),
        derivative_peaks=(0.0,),
        second_derivative_peaks=(0.0,),
    )


IDENTITY = Activation(
    "identity",
    lambda x: x,
    torch.ones_like,
    torch.zeros_like,
    lipschitz=1.0,
    derivative_lipschitz=0.0,
    bounded_by=math.inf,
)
EXPONENTIAL = Activation(
    "exponential",
    torch.exp,
    torch.exp,
    torch.exp,
    lipschitz=math.inf,
    derivative_lipschitz=math.inf,
    bounded_by=math.inf,
)
TANH = Activation(
    "tanh",
    torch.tanh,
    _tanh_derivative,
    _tanh_second,
    lipschitz=1.0,
    derivative_lipschitz=4 / (3 * math.sqrt(3)),
    bounded_by=1.0,
    derivative_peaks=(0.0,),
    second_derivative_peaks=(-0.6584789484624084, 0.6584789484624084),
)
SIGMOID = Activation(
    "sigmoid",
    torch.sigmoid,
    _sigmoid_derivative,
    _sigmoid_second,
    lipschitz=0.25,
    derivative_lipschitz=1 / (6 * math.sqrt(3)),
    bounded_by=1.0,
    derivative_peaks=(0.0,),
    second_derivative_peaks=(-1.3169578969248166, 1.3169578969248166),
)
RELU = Activation(
    "relu",
    torch.relu,
    lambda x: (x > 0).to(x.dtype),
    torch.zeros_like,
    lipschitz=1.0,
    derivative_lipschitz=math.inf,
    bounded_by=math.inf,
)
SILU = Activation(
    "silu",
    functional.silu,
    _silu_derivative,
    _silu_second,
    lipschitz=1.0998393201288670,
    derivative_lipschitz=0.5,
    bounded_by=math.inf,
    value_peaks=(-1.2784645427610738,),
    derivative_peaks=(-2.399357280515468, 2.399357280515468),
    second_derivative_peaks=(-3.4358409935351107, 0.0, 3.4358409935351107),
)
GELU = Activation(
    "gelu",
    functional.gelu,
    _gelu_derivative,
    _gelu_second,
    lipschitz=1.1289041451851549,
    derivative_lipschitz=math.sqrt(2 / math.pi),
    bounded_by=math.inf,
    value_peaks=(-0.7517915246935645,),
    derivative_peaks=(-math.sqrt(2), math.sqrt(2)),
    second_derivative_peaks=(-2.0, 0.0, 2.0),
)

_FIXED: dict[type[nn.Module], Activation] = {
    nn.Identity: IDENTITY,
    nn.Tanh: TANH,
    nn.Sigmoid: SIGMOID,
    nn.ReLU: RELU,
    nn.SiLU: SILU,
}
