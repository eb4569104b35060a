"""Which hidden states an encoder can reach: a box and a ball around the state of the empty user."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from collabtheory.latent.lipschitz import SAFETY, spectral_norm
from collabtheory.models.layers import DenseLayer


@dataclass(frozen=True, eq=False)
class Reach:
    """A convex set that holds every reachable state of one layer, ``n`` units wide.

    Parameters
    ----------
    low, high
        The box, ``(n,)``.
    centre, radius
        The ball, ``(n,)`` and a length.
    most_ones
        At the input: no more than that many entries differ from 0. None later on.
    """

    low: Tensor
    high: Tensor
    centre: Tensor
    radius: float
    most_ones: int | None = None

    @staticmethod
    def of_contents(n_items: int, n_max: int, normalise: bool, input_scale: float) -> Reach:
        """Return what holds every input: entries in [0, scale], at most ``n_max`` of them not 0."""
        zeros = torch.zeros(n_items, dtype=torch.float64)
        radius = input_scale * (1.0 if normalise else math.sqrt(n_max)) * SAFETY
        return Reach(zeros, zeros + input_scale, zeros, radius, n_max)

    def pre_activation(self, layer: DenseLayer) -> tuple[Tensor, Tensor]:
        """Return lower and upper bounds of ``layer.pre_activation`` on the set, ``(out,)``."""
        middle, ball = layer.pre_activation(self.centre), layer.weight.norm(dim=1) * self.radius
        if self.most_ones is None:
            half = layer.weight.abs() @ ((self.high - self.low) / 2)
            box_middle = layer.pre_activation((self.high + self.low) / 2)
            low, high = box_middle - half * SAFETY, box_middle + half * SAFETY
            return torch.maximum(low, middle - ball * SAFETY), torch.minimum(high, middle + ball * SAFETY)
        positive, negative = layer.weight.clamp(min=0), (-layer.weight).clamp(min=0)
        scale = float(self.high.max()) if len(self.high) else 0.0
        up, down = (
            # No entry of the input is negative, so that only weights of one sign can push each way.
            torch.minimum(part.topk(self.most_ones, dim=1).values.sum(1) * scale, part.norm(dim=1) * self.radius)
            for part in (positive, negative)
        )
        return middle - down * SAFETY, middle + up * SAFETY

    def through(self, layer: DenseLayer) -> tuple[Reach, Tensor]:
        """Return the reach of the layer's outputs and the largest slope of each unit's activation on the way."""
        low, high = self.pre_activation(layer)
        slopes = torch.stack([end.abs() for end in layer.activation.derivative_range(low, high)]).amax(0)
        radius = spectral_norm(slopes[:, None] * layer.weight) * self.radius
        centre = layer.activation.value(layer.pre_activation(self.centre))
        return Reach(*layer.activation.value_range(low, high), centre, radius), slopes
