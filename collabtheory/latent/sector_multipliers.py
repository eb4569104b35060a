r"""Multipliers of the sector inequalities that make LipSDP's bound small, by first-order optimisation.

Let ``w_j = phi(a_j) - phi(b_j)`` and ``v_j = a_j - b_j`` for an activation with slopes in ``[0, s_j]``, so that
:math:`w_j (s_j v_j - w_j) \ge 0`. For any :math:`\tau \ge 0` with :math:`2T - A'A \succ 0`, ``T = diag(tau)``,

.. math:: \|A w\|^2 \le w'A'A w + 2 \sum_j \tau_j w_j (s_j v_j - w_j) \le v'\, S T (2T - A'A)^{-1} T S\, v .

The largest of these over the directions ``v = W x`` is convex in tau. It is smoothed by a power mean and minimised by
L-BFGS instead of solving a semidefinite program. Nothing here is certified; a bad tau makes a bad bound, never a wrong
one (:mod:`collabtheory.latent.sector_bounds` proves it). [Fazlyab et al., LipSDP, arXiv:1906.04893]
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from scipy import optimize
from torch import Tensor

Norm = Literal["spectral", "column"]
POWERS = (20, 60, 200, 600)
"""Power means that are minimised one after the other: the larger, the nearer to the maximum."""
STEPS = 40
_NEGLIGIBLE = 1e-8


def optimised_multipliers(
    outer: Tensor, slopes: Tensor, inner: Tensor, *, norm: Norm = "spectral", steps: int = STEPS
) -> Tensor:
    """Return multipliers that make the bound of ``x -> outer phi(inner x)`` small.

    Parameters
    ----------
    outer
        ``A``, ``(out, h)`` float64.
    slopes
        ``s``, largest slope of each unit, ``(h,)``, positive.
    inner
        ``W``, ``(h, in)``.
    norm
        Which norm of ``x -> A phi(W x)`` is bounded: from l2 to l2, or from l1 to l2 (the largest column).
    steps
        Steps of L-BFGS for each power mean.

    Returns
    -------
    torch.Tensor
        ``(h,)``; the start, where all are ``||A||^2``, gives the product of the norms or less.
    """
    square = outer.T @ outer
    directions, is_spectral = (_root(inner @ inner.T), True) if norm == "spectral" else (inner, False)
    best = torch.full_like(slopes, float(torch.linalg.matrix_norm(outer, 2)) ** 2)
    if not float(best[0]) > 0:
        return torch.ones_like(slopes)
    least = math.inf

    def objective(logarithms: np.ndarray, power: int) -> tuple[float, np.ndarray]:
        nonlocal best, least
        tau = torch.exp(torch.from_numpy(logarithms))
        value, gradient, largest = _power_mean(tau, square, slopes, directions, is_spectral, power)
        if largest < least:
            best, least = tau, largest
        return value, (gradient * tau).numpy()

    for power in POWERS:
        _minimise(objective, best, power, steps)
    return best


def _minimise(
    objective: Callable[[np.ndarray, int], tuple[float, np.ndarray]], start: Tensor, power: int, steps: int
) -> None:
    options = {"maxiter": steps, "maxcor": 20}
    optimize.minimize(objective, torch.log(start).numpy(), args=(power,), jac=True, method="L-BFGS-B", options=options)


def _power_mean(
    tau: Tensor, square: Tensor, slopes: Tensor, directions: Tensor, is_spectral: bool, power: int
) -> tuple[float, Tensor, float]:
    """Return the logarithm of the power mean of the squared bounds, its gradient in tau, and the largest of them."""
    factor, failed = torch.linalg.cholesky_ex(2 * torch.diag(tau) - square)
    if failed:
        # Outside the feasible set; the line search turns back.
        return 1e10, torch.zeros_like(tau), math.inf
    scaled = (tau * slopes)[:, None] * directions
    reduced = torch.linalg.solve_triangular(factor, scaled, upper=False)
    if is_spectral:
        squares, vectors = torch.linalg.eigh(reduced.T @ reduced)
        directions = directions @ vectors
    else:
        squares = (reduced * reduced).sum(0)
    largest = squares.max()
    weights = (squares / largest).clamp(min=0) ** power
    value = torch.log(largest) + torch.log(weights.sum()) / power
    weights = weights / (squares * weights.sum()).clamp(min=torch.finfo(torch.float64).tiny)
    seen = weights > _NEGLIGIBLE * weights.max()
    v = slopes[:, None] * directions[:, seen]
    w = torch.cholesky_solve(tau[:, None] * v, factor)
    return float(value), (2 * w * (v - w)) @ weights[seen], float(largest)


def _root(gram: Tensor) -> Tensor:
    """Return ``L`` with ``L L' = gram``, also where the matrix is singular."""
    values, vectors = torch.linalg.eigh(gram)
    root: Tensor = vectors * values.clamp(min=0).sqrt()
    return root
