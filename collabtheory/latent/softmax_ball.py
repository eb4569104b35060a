"""The softmax on a ball of codes: how far its probabilities and its curvature ``S = diag(p) - pp'`` can move.

``U`` are the tangents of the logits and ``W`` the last layer's weights (rows are items). ``S`` kills constants, so
that both may be centred; norms of ``S`` with them are then standard deviations under the probabilities ``p``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from collabtheory.latent.ball_reach import LogitReach, gram, minimum
from collabtheory.latent.lipschitz import SAFETY, largest_singular_value, spectral_norm

_MOST_ITEMS_SQUARED = 6000
_ROUNDING = 1e-14


@dataclass(frozen=True, eq=False)
class WeightMoments:
    """What bounds weighted second moments of the rows of ``W``.

    ``squares`` holds the squared inner products of all rows, ``(I, I)``; None above 6,000 items, where the bounds fall
    back on traces and are wider.
    """

    weight: Tensor
    spectral: float
    square_norms: Tensor
    squares: Tensor | None

    @staticmethod
    def of(weight: Tensor) -> WeightMoments:
        """Measure weights ``(I, H)``."""
        small = weight.shape[0] <= _MOST_ITEMS_SQUARED
        return WeightMoments(
            weight, spectral_norm(weight), (weight * weight).sum(1), (weight @ weight.T).square() if small else None
        )

    def apart(self, mean: Tensor) -> Tensor:
        """Return the squared distance of each row to each mean, ``(m, H)`` to ``(m, I)``."""
        return (self.square_norms - 2 * mean @ self.weight.T + (mean * mean).sum(1)[:, None]).clamp(min=0)

    def largest(self, weights: Tensor, mean: Tensor, apart: Tensor) -> Tensor:
        """Bound the largest eigenvalue of ``sum_i q_i (W_i - mean)(W_i - mean)'`` for weights ``(m, I)``: ``(m,)``.

        The Frobenius norm, from the expansion of ``sum_ij q_i q_j ((W_i - mean).(W_j - mean))^2``, or the trace.
        """
        trace = (weights * apart).sum(1)
        if self.squares is None:
            return trace
        total, moment, projected = weights.sum(1), weights @ self.weight, mean @ self.weight.T
        length, along = (mean * mean).sum(1), (moment * mean).sum(1)
        positive = (
            ((weights @ self.squares) * weights).sum(1)
            + 2 * total * (weights * projected**2).sum(1)
            + 2 * along**2
            + (total * length) ** 2
            + 2 * length * (moment * moment).sum(1)
        )
        mixed = 4 * (weights * projected * (moment @ self.weight.T)).sum(1) + 4 * length * total * along
        rounding = _ROUNDING * weights.shape[1] ** 0.5 * (positive + mixed.abs())
        return minimum(trace, torch.sqrt((positive - mixed).clamp(min=0) + rounding))


@dataclass(frozen=True, eq=False)
class SoftmaxCentre:
    """The softmax at ``m`` centres: ``log_p`` and ``p`` (m, I), ``U`` centred under ``p`` (m, d, I).

    ``lengths`` (m, I) are the norms of the columns of ``U``, ``spread`` (m,) the largest standard deviation of ``U v``;
    ``mean`` (m, H) is that of ``W``, ``apart`` (m, I) the squared distances to it, ``variance`` (m,) bounds that of
    ``W v``. ``scratch`` is room for reweighted tangents: a fresh allocation for each
    radius costs more than the product.
    """

    moments: WeightMoments
    log_p: Tensor
    p: Tensor
    tangents: Tensor
    lengths: Tensor
    spread: Tensor
    mean: Tensor
    apart: Tensor
    variance: Tensor
    scratch: Tensor

    @staticmethod
    def of(logits: Tensor, tangents: Tensor, moments: WeightMoments) -> SoftmaxCentre:
        """Evaluate logits ``(m, I)`` with tangents ``(m, d, I)``."""
        log_p = torch.log_softmax(logits, 1)
        p = log_p.exp()
        centred = tangents - tangents @ p[:, :, None]
        mean, scratch = p @ moments.weight, torch.empty_like(centred)
        apart = moments.apart(mean)
        return SoftmaxCentre(
            moments,
            log_p,
            p,
            centred,
            torch.square(centred, out=scratch).sum(1).sqrt(),
            _root_norm(centred, p, out=scratch),
            mean,
            apart,
            moments.largest(p, mean, apart) * SAFETY,
            scratch,
        )


@dataclass(frozen=True, eq=False)
class SoftmaxBall:
    """The softmax on balls; all entries are upper bounds there.

    ``change`` (m, I): the move of each probability; ``largest`` (m,): the largest probability; ``total``: the sum of
    all moves. ``gamma`` and ``omega``: norms of ``U`` and ``W`` weighted by the moves; ``variance``: of ``W v``.
    """

    centre: SoftmaxCentre
    reach: LogitReach
    change: Tensor
    largest: Tensor
    total: Tensor
    gamma: Tensor
    omega: Tensor
    variance: Tensor

    @staticmethod
    def of(centre: SoftmaxCentre, reach: LogitReach) -> SoftmaxBall:
        """Bound the softmax on the balls."""
        low, high = probability_range(centre.log_p, reach.radius[:, None] * centre.lengths, reach.remainder)
        change = torch.maximum(high - centre.p, centre.p - low)
        largest = high.amax(1)
        moved = centre.moments.largest(change, centre.mean, centre.apart) * SAFETY
        variance = minimum(
            centre.apart.amax(1),
            (high * centre.apart).sum(1),
            largest * centre.moments.spectral**2,
            centre.variance + moved,
        )
        gamma = _root_norm(centre.tangents, change, out=centre.scratch)
        total = change.sum(1).clamp(max=2)
        ball = SoftmaxBall(centre, reach, change, largest, total, gamma, torch.sqrt(moved), variance)
        # The total move is at most the radius times the mean absolute deviation of the logits' slopes.
        return replace(ball, total=minimum(total, reach.radius * ball.deviation()))

    def deviation(self) -> Tensor:
        """Largest standard deviation, under any ``p`` on the ball, of the slopes of the logits there."""
        at_centre = torch.sqrt(self.centre.spread**2 + self.gamma**2)
        root = torch.sqrt(self.variance)
        return minimum(at_centre + root * self.reach.tangent_change, root * self.reach.tangent_most)

    def softmax_norm(self) -> Tensor:
        """Largest ``||S W||``."""
        spectral = self.centre.moments.spectral
        return minimum(torch.sqrt(self.largest * self.variance), self.largest.clamp(max=0.5) * spectral)

    def probability_change(self) -> Tensor:
        """Largest ``||p(z) - p||``."""
        norms: Tensor = torch.linalg.vector_norm(self.change, dim=1)
        return norms.clamp(max=2**0.5)

    def reweighted(self) -> Tensor:
        """Largest ``||(S(z) - S) U||``."""
        p_most = minimum(self.centre.p.norm(dim=1) + self.probability_change(), torch.sqrt(self.largest))
        # (S(z) - S) U v = dp * U v - p(z) E_{p(z)}[U v], and the mean is at most sqrt(total) gamma.
        return self.gamma * (torch.sqrt(self.change.amax(1)) + p_most * torch.sqrt(self.total))

    def curvature_change(self) -> Tensor:
        """Largest ``||S(z) U(z) - S U||``."""
        return self.reweighted() + self.softmax_norm() * self.reach.tangent_change

    def curvature_most(self) -> Tensor:
        """Largest ``||S(z) U(z)||``."""
        return minimum(torch.sqrt(self.largest) * self.deviation(), self.softmax_norm() * self.reach.tangent_most)

    def pulled_change(self) -> Tensor:
        """Largest ``||W'(S(z) U(z) - S U)||``."""
        spectral = self.centre.moments.spectral
        covariance = minimum(self.omega * self.gamma * (1 + self.total), spectral * self.reweighted())
        return covariance + self.variance * self.reach.tangent_change

    def pulled_most(self) -> Tensor:
        """Largest ``||W'S(z) U(z)||``."""
        return torch.sqrt(self.variance) * self.deviation()


def probability_range(log_p: Tensor, linear: Tensor, remainder: Tensor) -> tuple[Tensor, Tensor]:
    """Bound each softmax probability when logit ``i`` moves by ``l_i + r_i``, ``|l_i| <= linear``, ``sum p_i l_i = 0``.

    Parameters
    ----------
    log_p
        Log-probabilities at the centre, ``(m, I)``.
    linear, remainder
        Bounds of the two parts of the move, ``(m, I)``, not negative.

    Returns
    -------
    tuple of Tensor
        Smallest and largest probability, ``(m, I)``.
    """
    p, move = log_p.exp(), linear + remainder
    mean_remainder = (p * remainder).sum(1, keepdim=True)
    # Jensen: sum p e^t >= e^{sum p t} >= e^{-mean_remainder}; and sum p e^t <= 1 + sum p t + sum p (e^|t| - 1 - |t|).
    raised, lowered = torch.exp(log_p + move), torch.exp(log_p - move)
    excess = (raised - p * (1 + move)).clamp(min=0).sum(1, keepdim=True)
    low = lowered / (1 + mean_remainder + excess)
    others = (lowered.sum(1, keepdim=True) - lowered).clamp(min=0)
    alone = 1 / (1 + others / raised)
    high = minimum(raised * torch.exp(mean_remainder), alone).clamp(max=1)
    return torch.minimum(low, p), torch.maximum(high, p)


def _root_norm(tangents: Tensor, weights: Tensor, out: Tensor) -> Tensor:
    """Return the spectral norm of ``diag(sqrt(weights)) T'`` of tangents ``(m, d, n)``, ``(m,)``; overwrite ``out``."""
    return largest_singular_value(gram(torch.mul(tangents, torch.sqrt(weights)[:, None, :], out=out)))
