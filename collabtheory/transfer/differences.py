"""Slopes of activations, and differences to rounding: ``phi(a + d) - phi(a)``, however small ``d`` is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from collabtheory.models.activations import Activation

# Gauss-Legendre on [0, 1].
_NODES, _WEIGHTS = (values.tolist() for values in np.polynomial.legendre.leggauss(5))


def activation_change(activation: Activation, pre: Tensor, value: Tensor, change: Tensor) -> Tensor:
    """Return ``phi(pre + change) - phi(pre)`` with a relative error of a few roundings.

    Parameters
    ----------
    activation
        The elementwise ``phi``.
    pre, value
        Where it stands, and ``phi`` there; broadcast against ``change``.
    change
        ``d``; may be overwritten.
    """
    closed_form = _CLOSED_FORMS.get(activation.name)
    if closed_form is not None:
        return closed_form(pre, value, change)
    return _integral_or_difference(activation, pre, value, change)


def slope_at(activation: Activation, pre: Tensor, value: Tensor) -> Tensor:
    """Return ``phi'(pre)``, from ``value = phi(pre)`` where that is cheaper."""
    if activation.name == "tanh":
        return torch.addcmul(value.new_ones(()), value, value, value=-1)
    return activation.derivative(pre)


def _identity(pre: Tensor, value: Tensor, change: Tensor) -> Tensor:
    return change


def _tanh(pre: Tensor, value: Tensor, change: Tensor) -> Tensor:
    # tanh(a + d) - tanh(a) = t (1 - h^2) / (1 + h t), t = tanh d.
    t = torch.tanh(change)
    product = value * t
    result = t.addcmul_(value, product, value=-1)
    denominator = product.add_(1)
    result.div_(denominator)
    if float(denominator.min()) < 0.5:
        # d pulls a saturated unit back: 1 - h^2 has lost its digits, and the plain difference is large.
        result = torch.where(denominator < 0.5, torch.tanh(pre + change) - value, result)
    return result


def _sigmoid(pre: Tensor, value: Tensor, change: Tensor) -> Tensor:
    # sigmoid(a) = (1 + tanh(a / 2)) / 2
    return 0.5 * _tanh(0.5 * pre, torch.tanh(0.5 * pre), 0.5 * change)


def _relu(pre: Tensor, value: Tensor, change: Tensor) -> Tensor:
    return torch.where(pre > 0, torch.maximum(change, -pre), torch.relu(pre + change))


_CLOSED_FORMS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "identity": _identity,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "relu": _relu,
}


def _integral_or_difference(activation: Activation, pre: Tensor, value: Tensor, change: Tensor) -> Tensor:
    # d * int_0^1 phi'(a + r d) dr is exact for small smooth steps; where it disagrees with the plain difference by
    # more than that one's rounding, the step is long or crosses a kink, and the plain difference is the accurate one.
    slope = torch.zeros_like(change)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        slope += (0.5 * weight) * activation.derivative(pre + (0.5 + 0.5 * node) * change)
    integral = slope * change
    moved = activation.value(pre + change)
    rounding = 8 * torch.finfo(change.dtype).eps * (moved.abs() + value.abs() + pre.abs() + change.abs())
    difference = moved - value
    return torch.where((integral - difference).abs() <= rounding, integral, difference)
