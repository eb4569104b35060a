"""The Kullback-Leibler term and its weight along training."""

from __future__ import annotations

from torch import Tensor


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
