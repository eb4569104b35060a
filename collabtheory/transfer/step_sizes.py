r"""How large a step of v may be and still help u: the explicit second-order form of Theorem 2.3.

.. math:: L_u(\theta - \eta g_v) - L_u(\theta) \le -\eta \|g_u\| (\|g_u\| - D) + \tfrac{\Lambda}{2} \eta^2 \|g_v\|^2

with :math:`\Lambda` the largest second directional derivative of :math:`L_u` on the segment of the step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from collabtheory.errors import InvalidInput
from collabtheory.transfer.arguments import read_rows
from collabtheory.transfer.kernels import TransferKernels
from collabtheory.transfer.sensitivities import Sensitivities

POINTS = 5


def step_range(first_order: Any, gradient_norm: Any, curvature: Any) -> np.ndarray:
    r"""Return the end of the range of step sizes that lower u's loss, from second-order information.

    .. math:: \eta^* = \frac{2 p}{\Lambda \|g_v\|^2}, \qquad
       0 < \eta < \eta^* \Rightarrow L_u(\theta - \eta g_v) < L_u(\theta)

    Parameters
    ----------
    first_order
        ``p``, a lower bound of :math:`\langle g_u, g_v \rangle`: :math:`\|g_u\| (\|g_u\| - D)` by Theorem 2.3, or the
        inner product itself.
    gradient_norm
        :math:`\|g_v\|`.
    curvature
        :math:`\Lambda` on the segment of a step that is at least as long as the range used. An **upper** bound makes
        the range certified; the largest value seen (:func:`step_curvatures`) makes it heuristic.

    Returns
    -------
    numpy.ndarray
        float64, of the broadcast shape; 0 where ``p <= 0``; infinite where ``p > 0`` and there is no curvature against
        the step.

    Raises
    ------
    InvalidInput
        If an argument is NaN or the norm is negative.

    Examples
    --------
    >>> step_range([2.0, -1.0, 1.0], 2.0, [0.5, 0.5, -1.0])
    array([ 2.,  0., inf])
    """
    product, norm, bend = (np.asarray(values, dtype=np.float64) for values in (first_order, gradient_norm, curvature))
    if np.isnan(product).any() or np.isnan(norm).any() or np.isnan(bend).any() or (norm < 0).any():
        raise InvalidInput("first_order, gradient_norm and curvature must be numbers, and the norm not negative")
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = np.where(bend * norm**2 > 0, 2 * product / (bend * norm**2), np.inf)
    return np.where(product > 0, quotient, 0.0)


def step_curvatures(
    kernels: TransferKernels, learning_rate: Any, rows: Any, cols: Any, *, points: int = POINTS
) -> np.ndarray:
    r"""Largest second directional derivative of ``L_u`` seen along the step ``-learning_rate g_v``: a LOWER estimate.

    .. math:: \max_{t} \frac{d^2}{ds^2} L_u\Big(\theta - s \frac{g_v}{\|g_v\|}\Big) \Big|_{s = t \eta \|g_v\|},
       \qquad t = 0, \tfrac1{k-1}, \dots, 1

    Parameters
    ----------
    kernels
        Decoder, likelihood, contents and codes.
    learning_rate
        One step size, or one for each pair ``(P,)``; not negative.
    rows, cols
        Users u and sources v of the pairs, ``(P,)``.
    points
        Points on each segment, at least 1 (the first is its start).

    Returns
    -------
    numpy.ndarray
        ``(P,)`` float64; exact derivatives, at points only, so the true largest value is at least this. 0 where
        ``g_v`` is zero.

    Raises
    ------
    InvalidInput
        If an argument does not fit, or the decoder is no chain of dense layers.

    Examples
    --------
    >>> from torch import nn
    >>> decoder = nn.Linear(1, 2, bias=False)
    >>> kernels = TransferKernels(decoder, "gaussian", [[1, 0], [0, 1]], [[[3.0]], [[1.0]]])
    >>> step_curvatures(kernels, 0.1, [0], [1]).round(6)
    array([9.])
    """
    state = kernels.sensitivities
    users, sources = (read_rows(*of, kernels.n_users) for of in (("rows", rows), ("cols", cols)))
    if len(users) != len(sources) or points < 1:
        raise InvalidInput("rows and cols must be equally long, and points at least 1")
    rates = np.broadcast_to(np.asarray(learning_rate, dtype=np.float64), (len(users),))
    if not (np.isfinite(rates) & (rates >= 0)).all():
        raise InvalidInput("learning_rate must be finite and not negative")
    shares = torch.linspace(0.0, 1.0, points, dtype=torch.float64).tolist()
    result = [
        _largest(state, int(u), int(v), float(rate), shares) for u, v, rate in zip(users, sources, rates, strict=True)
    ]
    return np.array(result, dtype=np.float64)


@torch.no_grad()
def _largest(state: Sensitivities, u: int, v: int, rate: float, shares: list[float]) -> float:
    gradient = _gradient(state, v)
    norm = float(torch.sqrt(sum((part.square().sum() for layer in gradient for part in layer), torch.zeros(()))))
    if norm == 0:
        return 0.0
    direction = [(weight / -norm, bias / -norm) for weight, bias in gradient]
    return max(_curvature(state, u, direction, share * rate * norm) for share in shares)


def _gradient(state: Sensitivities, v: int) -> list[tuple[Tensor, Tensor]]:
    """Return ``g_v``: weight and bias of each layer (a bias of zeros where the layer has none)."""
    here, parts = slice(v, v + 1), []
    for position, layer in enumerate(state.layers):
        delta, inputs = state.layer_deltas(position, here)[0], state.of(state.inputs[position], here)[0]
        bias = delta.mean(0) if layer.bias is not None else torch.zeros(layer.n_outputs, dtype=state.dtype)
        parts.append((delta.T @ inputs / state.n_samples, bias))
    return parts


def _curvature(state: Sensitivities, u: int, direction: list[tuple[Tensor, Tensor]], length: float) -> float:
    """Return the second derivative of ``L_u`` along a direction of unit length, at this distance from ``theta``."""
    value = state.of(state.inputs[0], slice(u, u + 1))[0]
    first, second = torch.zeros_like(value), torch.zeros_like(value)
    last = len(state.layers) - 1
    for position, (layer, (weight, bias)) in enumerate(zip(state.layers, direction, strict=True)):
        moved = layer.weight + length * weight
        pre = layer.pre_activation(value) + length * (value @ weight.T + bias)
        pre_first = value @ weight.T + bias + first @ moved.T
        pre_second = 2 * first @ weight.T + second @ moved.T
        if position < last:
            slope, bend = layer.activation.derivative(pre), layer.activation.second_derivative(pre)
            value, first, second = (
                layer.activation.value(pre),
                slope * pre_first,
                bend * pre_first**2 + slope * pre_second,
            )
        else:
            value, first, second = pre, pre_first, pre_second
    content = torch.from_numpy(state.contents.matrix[[u]].toarray()).to(state.dtype)
    likelihood, size = state.mean.likelihood, content.sum(1).expand(len(value))
    bent = (likelihood.mean_along(value, first, size) * first).sum(1)
    bent = bent + ((likelihood.mean(value, size) - content) * second).sum(1)
    return float(state.contents.weights[u]) * float(bent.mean())
