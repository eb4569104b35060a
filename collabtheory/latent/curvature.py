"""How the loss of each likelihood bends in the logits: exactly at a code, and at most on a ball around it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from collabtheory.errors import PremiseNotMet
from collabtheory.latent.ball_reach import LogitReach, SensitivityReach, minimum, weighted_norm
from collabtheory.latent.softmax_ball import SoftmaxBall, SoftmaxCentre, WeightMoments
from collabtheory.models.activations import EXPONENTIAL, IDENTITY, SIGMOID, Activation
from collabtheory.models.layers import DenseLayer
from collabtheory.models.likelihoods import Likelihood, get_likelihood


@dataclass(frozen=True, eq=False)
class TopState:
    """The last layer at ``m`` codes: logits (m, I), their tangents (m, d, I), contents, ``delta`` and norms (m,)."""

    layer: DenseLayer
    moments: WeightMoments
    x: Tensor
    logits: Tensor
    logit_tangents: Tensor
    delta: Tensor
    tangent_norm: Tensor
    pulled_tangent_norm: Tensor


class BallCurvature(ABC):
    """What the curvature does around fixed centres, whatever the radius."""

    @abstractmethod
    def on_ball(self, reach: LogitReach) -> SensitivityReach:
        """Bound ``delta`` and its tangents on the balls."""


class Curvature(ABC):
    """The second derivative of one likelihood's loss in the logits."""

    def prepared(self, layer: DenseLayer) -> DenseLayer:
        """Return a last layer with the same gradients that is better to bound."""
        return layer

    @abstractmethod
    def sensitivity(self, logits: Tensor, tangents: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``delta`` (m, I) and its tangents (m, d, I) at logits (m, I) with tangents (m, d, I)."""

    @abstractmethod
    def around(self, top: TopState) -> BallCurvature:
        """Prepare the bounds around the centres."""


@dataclass(frozen=True)
class Elementwise(Curvature):
    """``delta_i = mean(eta_i) - x_i``: Bernoulli, Gaussian, Poisson."""

    mean: Activation

    def sensitivity(self, logits: Tensor, tangents: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``mean(eta) - x`` and its tangents."""
        return self.mean.value(logits) - x, self.mean.derivative(logits)[:, None, :] * tangents

    def around(self, top: TopState) -> BallCurvature:
        """Keep the mean and the centres."""
        return _ElementwiseBall(self.mean, top)


@dataclass(frozen=True, eq=False)
class _ElementwiseBall(BallCurvature):
    mean: Activation
    top: TopState

    def on_ball(self, reach: LogitReach) -> SensitivityReach:
        top, spectral = self.top, self.top.moments.spectral
        low, high = top.logits - reach.width, top.logits + reach.width
        mean, bend = self.mean.value(top.logits), self.mean.derivative(top.logits)
        mean_low, mean_high = self.mean.value_range(low, high)
        bend_low, bend_high = self.mean.derivative_range(low, high)
        bend_change = torch.maximum(bend_high - bend, bend - bend_low)
        moved = bend_high.amax(1) * spectral * reach.tangent_change
        tangent_change = weighted_norm(top.logit_tangents, bend_change) + moved
        tangent_most = minimum(
            top.tangent_norm + tangent_change,
            weighted_norm(top.logit_tangents, bend_high) + moved,
            bend_high.amax(1) * spectral * reach.tangent_most,
        )
        change = minimum(torch.maximum(mean_high - mean, mean - mean_low).norm(dim=1), reach.radius * tangent_most)
        entries = torch.maximum((mean_high - top.x).abs(), (mean_low - top.x).abs())
        pulled_change = spectral * tangent_change
        return SensitivityReach(
            change,
            minimum(top.delta.norm(dim=1) + change, entries.norm(dim=1)),
            tangent_change,
            tangent_most,
            pulled_change,
            minimum(top.pulled_tangent_norm + pulled_change, spectral * tangent_most),
            entries @ top.layer.weight.abs(),
        )


class Multinomial(Curvature):
    """``delta = n softmax(eta) - x``.

    The softmax and hence the gradients do not see a shift of all logits: bounds use weights centred over the items.
    """

    def prepared(self, layer: DenseLayer) -> DenseLayer:
        """Centre the weights over the items."""
        bias = None if layer.bias is None else layer.bias - layer.bias.mean()
        return replace(layer, weight=layer.weight - layer.weight.mean(0), bias=bias)

    def sensitivity(self, logits: Tensor, tangents: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``n p - x`` and ``n (diag(p) - pp')`` times the tangents."""
        n, p = x.sum(1), torch.softmax(logits, 1)
        centred = tangents - tangents @ p[:, :, None]
        return n[:, None] * p - x, (n[:, None] * p)[:, None, :] * centred

    def around(self, top: TopState) -> BallCurvature:
        """Evaluate the softmax at the centres."""
        return _MultinomialBall(top, SoftmaxCentre.of(top.logits, top.logit_tangents, top.moments))


@dataclass(frozen=True, eq=False)
class _MultinomialBall(BallCurvature):
    top: TopState
    centre: SoftmaxCentre

    def on_ball(self, reach: LogitReach) -> SensitivityReach:
        top, n, softmax = self.top, self.top.x.sum(1), SoftmaxBall.of(self.centre, reach)
        tangent_change = n * softmax.curvature_change()
        tangent_most = minimum(top.tangent_norm + tangent_change, n * softmax.curvature_most())
        change = minimum(n * softmax.probability_change(), reach.radius * tangent_most)
        # ||n p - x||^2 is convex in p and so largest at a corner of the simplex.
        corner = torch.sqrt(n * n + (top.x * top.x).sum(1))
        pulled_change = n * softmax.pulled_change()
        weight, seen = top.layer.weight, top.x @ top.layer.weight
        return SensitivityReach(
            change,
            minimum(top.delta.norm(dim=1) + change, corner),
            tangent_change,
            tangent_most,
            pulled_change,
            minimum(top.pulled_tangent_norm + pulled_change, n * softmax.pulled_most()),
            torch.maximum(n[:, None] * weight.amax(0) - seen, seen - n[:, None] * weight.amin(0)),
        )


_CURVATURES: dict[str, Curvature] = {
    "multinomial": Multinomial(),
    "bernoulli": Elementwise(SIGMOID),
    "gaussian": Elementwise(IDENTITY),
    "poisson": Elementwise(EXPONENTIAL),
}


def curvature_of(likelihood: str | Likelihood) -> Curvature:
    """Return the curvature of a likelihood; PremiseNotMet for one that is not built in."""
    name = get_likelihood(likelihood).name
    if name not in _CURVATURES:
        raise PremiseNotMet(f"no Lipschitz bound is known for the likelihood {name!r}; choose {', '.join(_CURVATURES)}")
    return _CURVATURES[name]
