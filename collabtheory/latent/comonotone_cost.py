r"""The expected length of a Gaussian vector, as an upper bound without sampling.

For :math:`Q = \sum_j (m_j + s_j Z_j)^2`, scaled to :math:`E Q = 1`, and :math:`\varphi(t) = E e^{-tQ}`,

.. math:: E\sqrt{Q} = 1 - \frac{1}{2\sqrt\pi}\int_{-\infty}^{\infty}
          \bigl(\varphi(e^y) - e^{-e^y}\bigr)\, e^{-y/2}\, dy ,

with a positive integrand (Jensen). The integral is a trapezoid sum of step ``h``; what is left out at both ends is
positive, so cutting the sum can only raise the result. Only the discretisation can lower it. The integrand is analytic
for :math:`|\mathrm{Im}\, y| < \pi/2`, where :math:`\mathrm{Re}\, t \ge 0` and hence
:math:`|\varphi(t) - e^{-t}| \le \min(2, |t|^2 V/2)`, :math:`V = \mathrm{Var}\, Q`; its integral along any line of that
strip is at most :math:`(8\sqrt2/3) V^{1/4}`, and so (Trefethen and Weideman, SIAM Review 56, 2014, Thm 5.1)

.. math:: |\text{sum} - \text{integral}| \le \frac{2 (8\sqrt2/3) V^{1/4}}{e^{\pi^2/h} - 1} .

That bound and an allowance for rounding are added: the result is never below the expectation.

At a node where every :math:`x_j = 2 b_j t` is small (:math:`b_j = s_j^2`), :math:`\log\varphi(t) = -\frac12 \sum_j
\log(1 + x_j) - t \sum_j m_j^2 / (1 + x_j)` comes from its power series in ``t``, whose coefficients are sums over the
dimensions that all these nodes share. Cut after an odd power, both series are below the function at every
:math:`x \ge 0`, so that this, too, can only raise the result.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

STEP = 0.4
FIRST_NODE, LAST_NODE = -14.0, 24.0
LAST_POWER = 15
LARGEST_SERIES = 0.2
"""Of ``x``: what the cut series lose there is below 1e-10 of the result."""
_DISCRETISATION = (8 * math.sqrt(2) / 3) / math.sqrt(math.pi) / math.expm1(math.pi**2 / STEP)
# 65 differences of numbers near 1, weighted by at most e^7, lose less than 2e-13.
_ROUNDING = 1e-12
_NEGLIGIBLE = 1e-14
_BLOCK_ENTRIES = 1 << 16
_NODES = FIRST_NODE + STEP * torch.arange(round((LAST_NODE - FIRST_NODE) / STEP) + 1, dtype=torch.float64)


def comonotone_cost(dm: Tensor, ds: Tensor) -> Tensor:
    r"""Return an upper bound of ``E||dm + ds * Z||``, within 1e-10 of it from three similar dimensions on.

    Parameters
    ----------
    dm, ds
        Differences of means and of standard deviations, ``(pairs, d)`` float64 with entries of at most about 1
        (scale first); any sign.

    Returns
    -------
    torch.Tensor
        ``(pairs,)``; 0 for a pair of zeros. Where a single ``ds`` dominates and ``dm`` is next to 0 the slack grows to
        2e-6 of the result, for the integrand's tail is heavy there.
    """
    mean_part, spread_part = dm * dm, ds * ds
    mean_square = (mean_part + spread_part).sum(1)
    safe = torch.where(mean_square > 0, mean_square, 1.0)[:, None]
    mean_part /= safe
    spread_part /= safe
    # Pairs with alike largest parts have the same nodes within reach of the series, and tails of like weight.
    order = spread_part.amax(1).argsort()
    relative, rows = torch.empty_like(mean_square), max(1, _BLOCK_ENTRIES // dm.shape[1])
    for start in range(0, len(order), rows):
        block = order[start : start + rows]
        relative[block] = _block(mean_part[block], spread_part[block])
    return torch.sqrt(mean_square) * relative


def _block(mean_part: Tensor, spread_part: Tensor) -> Tensor:
    """Return ``E sqrt(Q)`` of pairs scaled to ``E Q = 1``."""
    twice = 2 * spread_part
    n_early = int((torch.exp(_NODES) * float(twice.max()) <= LARGEST_SERIES).sum())
    total = _early_nodes(mean_part, twice, _NODES[:n_early])
    work = torch.empty_like(twice), torch.empty_like(twice)
    for y in _NODES[n_early:].tolist():
        transform, weight = _transform(mean_part, twice, math.exp(y), work), math.exp(-y / 2)
        total += (transform - math.exp(-math.exp(y))) * weight
        # It only falls from here on, and so does the weight.
        if float(transform.max()) * weight < _NEGLIGIBLE:
            break
    variance = (twice * (0.5 * twice + 2 * mean_part)).sum(1)
    integral = STEP / (2 * math.sqrt(math.pi)) * total
    return 1 - integral + _DISCRETISATION * variance**0.25 + _ROUNDING


def _early_nodes(mean_part: Tensor, twice: Tensor, nodes: Tensor) -> Tensor:
    """Return the sum of the integrand over the nodes at which every ``2 b t`` is small, ``(pairs,)``."""
    powers = torch.arange(2, LAST_POWER + 1, dtype=torch.float64)
    coefficients = twice.new_empty(len(twice), len(powers))
    power = torch.ones_like(twice)
    for position, k in enumerate(powers.tolist()):
        coefficients[:, position] = (mean_part * power.mul_(twice)).sum(1)
        coefficients[:, position] += 0.5 / k * torch.linalg.vecdot(power, twice)
    t = torch.exp(nodes)
    # The first power is -t for every pair: it is left out where two numbers near 1 would cancel.
    above = coefficients @ ((-t) ** powers[:, None])
    small = t <= 1
    above[:, small] = torch.exp(-t[small]) * torch.expm1(above[:, small])
    above[:, ~small] = torch.exp(above[:, ~small] - t[~small]) - torch.exp(-t[~small])
    return above @ torch.exp(-nodes / 2)


def _transform(mean_part: Tensor, twice: Tensor, t: float, work: tuple[Tensor, Tensor]) -> Tensor:
    """Return ``E exp(-t Q)``, ``(pairs,)``; ``work`` is two tensors like ``twice``, overwritten."""
    growth, log_growth = work
    torch.mul(twice, t, out=growth)
    torch.log1p(growth, out=log_growth)
    growth.add_(1.0)
    return torch.exp(-0.5 * log_growth.sum(1) - t * torch.div(mean_part, growth, out=growth).sum(1))
