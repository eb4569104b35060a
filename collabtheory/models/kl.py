"""The Kullback-Leibler term, and how its weight changes along training and from user to user."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from collabtheory.models.devices import CPU
from collabtheory.models.specification import TrainingSpec

LARGEST_FACTOR = 10.0
"""A learned KL weight stays within this factor of ``beta``."""
LEARNING_RATE = 0.2
"""Change of the logarithm of a user's weight for a relative reconstruction gap of 1, each time the user is seen."""


def kl_to_prior(mu: Tensor, log_variance: Tensor) -> Tensor:
    r"""Return :math:`KL(N(\mu, \sigma^2) || N(0, I))`, summed (not averaged) over dimensions: ``(users,)`` nats."""
    return 0.5 * (mu.square() + log_variance.exp() - 1.0 - log_variance).sum(-1)


def linear_beta(step: int, total_steps: int, cap: float, annealing: float) -> float:
    """Return the KL weight at ``step`` (from 0): linear from 0 to ``cap`` over the first ``annealing`` share.

    ``annealing = 0`` is constant at ``cap``. The weight never exceeds the cap and never falls.

    Examples
    --------
    >>> [linear_beta(step, 100, 0.2, 0.5) for step in (0, 25, 50, 99)]
    [0.0, 0.1, 0.2, 0.2]
    """
    climb = annealing * total_steps
    return cap if climb == 0 else cap * min(1.0, step / climb)


def cyclical_beta(step: int, total_steps: int, cap: float, cycles: int) -> float:
    """Return the KL weight of a cyclical schedule (arXiv:1903.10145): a climb over the first half of each cycle.

    Examples
    --------
    >>> [cyclical_beta(step, 100, 1.0, 2) for step in (0, 25, 49, 50, 75)]
    [0.0, 1.0, 1.0, 0.0, 1.0]
    """
    length = total_steps / cycles
    return cap * min(1.0, (step % length) / (0.5 * length))


def scheduled_beta(spec: TrainingSpec, step: int, total_steps: int) -> float:
    """Return the KL weight of a training specification at ``step`` of ``total_steps``."""
    if spec.kl_schedule == "constant":
        return spec.beta
    if spec.kl_schedule == "cyclical":
        return cyclical_beta(step, total_steps, spec.beta, spec.cycles)
    return linear_beta(step, total_steps, spec.beta, spec.annealing)


class UserWeights:
    r"""The factor :math:`w_u` that a user's KL term has beside the scheduled weight: ``w_u beta(t) KL_u``.

    ``global``: 1. ``by_size``: the number of items ``n_u`` (arXiv:1912.11160). ``learned``: starts at 1; each time a
    user is seen, :math:`\log w_u` changes by ``-LEARNING_RATE (gap_u / mean gap - 1)``, where
    :math:`gap_u = l_u / n_u - \log n_u \ge 0` is how far the user's multinomial loss per item is above the least
    possible one. Users that the model reconstructs badly are given more latent room, in proportion; the factor stays
    within ``LARGEST_FACTOR`` of 1 either way.
    """

    def __init__(self, weighting: str, sizes: np.ndarray, device: torch.device = CPU) -> None:
        self.weighting = weighting
        self.sizes = torch.from_numpy(np.maximum(sizes, 1).astype(np.float32)).to(device)
        self.logarithms = torch.zeros(len(sizes), device=device)

    def of(self, users: Tensor) -> Tensor:
        """Return the factors of the users with these rows, ``(users,)``."""
        if self.weighting == "by_size":
            return self.sizes[users]
        return self.logarithms[users].exp()

    def learn(self, users: Tensor, losses: Tensor) -> None:
        """Move the factors by these users' reconstruction losses (nats per user); nothing but for ``learned``."""
        if self.weighting != "learned":
            return
        sizes = self.sizes[users]
        gaps = (losses.detach() / sizes - sizes.log()).clamp(min=0.0)
        change = LEARNING_RATE * (gaps / gaps.mean().clamp(min=1e-6) - 1.0)
        bound = math.log(LARGEST_FACTOR)
        self.logarithms[users] = (self.logarithms[users] - change).clamp(-bound, bound)
