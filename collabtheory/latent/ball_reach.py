"""How far the parts of a decoder and of its gradient move on a ball of codes: the values that the bounds pass on.

``A`` and ``B`` are the tangents (derivatives in the code) of a layer's input and of its sensitivity ``delta``. "Change"
is the distance to the value at the ball's centre, "most" the largest size; norms are Euclidean or spectral.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from collabtheory.latent.lipschitz import largest_singular_value, spectral_norm
from collabtheory.models.layers import DenseLayer


@dataclass(frozen=True, eq=False)
class LayerNorms:
    """Constants of one layer's weight: spectral norm, Euclidean norms of its rows, |W|, and its largest entry."""

    spectral: float
    rows: Tensor
    absolute: Tensor
    largest: float

    @staticmethod
    def of(layer: DenseLayer) -> LayerNorms:
        """Measure a float64 layer."""
        absolute = layer.weight.abs()
        largest = float(absolute.max()) if absolute.numel() else 0.0
        return LayerNorms(spectral_norm(layer.weight), layer.weight.norm(dim=1), absolute, largest)


@dataclass(frozen=True, eq=False)
class StateReach:
    """A layer's input: ``entry_change`` (m, in) of each entry, ``entry_remainder`` its part beyond first order.

    ``change`` and ``most`` are norms of the input, ``tangent_change`` and ``tangent_most`` those of ``A``, all (m,).
    """

    entry_change: Tensor
    entry_remainder: Tensor
    change: Tensor
    most: Tensor
    tangent_change: Tensor
    tangent_most: Tensor


@dataclass(frozen=True, eq=False)
class LogitReach:
    """A layer's pre-activation on balls of ``radius`` (m,): each entry moves by at most ``width`` (m, out).

    ``linear`` bounds its first-order part and ``remainder`` the rest; ``tangent_change`` and ``tangent_most`` (m,)
    are those of the layer's input.
    """

    radius: Tensor
    linear: Tensor
    remainder: Tensor
    width: Tensor
    tangent_change: Tensor
    tangent_most: Tensor


@dataclass(frozen=True, eq=False)
class SensitivityReach:
    """``delta``, its tangents ``B`` and ``P = W'B``: norms, each (m,).

    ``pulled_box`` (m, in): a bound of each entry of ``W' delta``.
    """

    change: Tensor
    most: Tensor
    tangent_change: Tensor
    tangent_most: Tensor
    pulled_tangent_change: Tensor
    pulled_tangent_most: Tensor
    pulled_box: Tensor


def gram(tangents: Tensor) -> Tensor:
    """Return ``T T'`` of tangents ``(m, d, n)``: ``(m, d, d)``."""
    return tangents @ tangents.mT


def weighted_norm(tangents: Tensor, weights: Tensor) -> Tensor:
    """Return the spectral norm of ``diag(weights) T'`` of tangents ``(m, d, n)`` and weights ``(m, n)``: ``(m,)``."""
    return largest_singular_value(gram(tangents * weights[:, None, :]))


def minimum(first: Tensor, *others: Tensor) -> Tensor:
    """Return the elementwise minimum of several bounds of the same quantity."""
    for other in others:
        first = torch.minimum(first, other)
    return first
