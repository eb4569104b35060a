r"""What the compromise gap is between, without sampling: the Bhattacharyya affinity of the posteriors in closed form.

``mass_entropy(a, b) = (a + b) h(a/(a+b))`` lies between ``4 log 2 ab/(a+b)`` and ``2 log 2 sqrt(ab)``; for sets of
which ``only_u`` and ``only_v`` items are not shared, the gap is at least ``min`` and at most ``max`` of these two times
``mass_entropy``. With :math:`B = \int\sqrt{pq}`, the affinity, and E the expectation under :math:`\sqrt{pq}/B`,

.. math:: \tfrac12 B B' \le \int \frac{pq}{p+q} \le \tfrac12 B, \qquad
   B' = \max\left(B, \exp(-\tfrac12 \sqrt{E \log^2(p/q)})\right) \le 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from collabtheory.latent.compromise_gap import pointwise_gap
from collabtheory.latent.posterior_overlap import log_affinity, log_ratio_size
from collabtheory.models.posterior import DiagonalGaussian

LOG_2 = math.log(2.0)
SURPRISE = 0.8048
"""``log(1 + r) <= 0.8048 sqrt(r)`` for every r > 0 (the best constant is 0.80474)."""


@dataclass(frozen=True, eq=False)
class CompromiseBounds:
    """Bracket of C, row by row.

    Parameters
    ----------
    lower, upper
        ``(n_pairs,)`` float64, nats.
    """

    lower: np.ndarray
    upper: np.ndarray


def compromise_gap_bounds(
    likelihood: str,
    p: DiagonalGaussian,
    q: DiagonalGaussian,
    n_p: np.ndarray,
    n_q: np.ndarray,
    shared: np.ndarray,
) -> CompromiseBounds:
    r"""Bracket of the compromise gap from sizes and the affinity B alone, without sampling.

    With B and B' as above,

    - Bernoulli: :math:`2 \log 2\;\delta B B' \le C \le 2 \log 2\;\delta B`;
    - Gaussian: :math:`\tfrac14 \delta B B' \le C \le \tfrac14 \delta B`;
    - Poisson and multinomial: :math:`c B B' \le C \le k B` with c and k from the numbers of items that only one has;
      and never above the gap at equal posteriors, ``pointwise_gap(likelihood, 1, 1, ...)``.

    Parameters
    ----------
    likelihood, p, q, n_p, n_q, shared
        As for :func:`~collabtheory.latent.compromise_gap`.

    Returns
    -------
    CompromiseBounds
        Both in nats. Equal posteriors and (Bernoulli, Gaussian, or sets of one size) the two are one.

    Raises
    ------
    InvalidInput
        As for :func:`~collabtheory.latent.compromise_gap`.

    Notes
    -----
    Not in the paper. Proved in ``proofs_checks/compromise_bracket.py``.

    Examples
    --------
    >>> p, q = DiagonalGaussian([[0.0]], [[1.0]]), DiagonalGaussian([[2.0]], [[1.0]])
    >>> bounds = compromise_gap_bounds("gaussian", p, q, [1], [0], [0])
    >>> bounds.lower.round(4), bounds.upper.round(4)
    (array([0.092]), array([0.1516]))
    """
    n_p, n_q, shared = (np.asarray(size, dtype=np.float64) for size in (n_p, n_q, shared))
    full = np.asarray(pointwise_gap(likelihood, 1.0, 1.0, n_p, n_q, shared))
    affinity = np.exp(log_affinity(p, q))
    certain = np.maximum(affinity, np.exp(-0.5 * log_ratio_size(p, q)))
    least = affinity * certain
    if likelihood in ("bernoulli", "gaussian"):
        return CompromiseBounds(full * least, full * affinity)
    lower, upper = _constants_poisson(n_p, n_q, shared)
    if likelihood == "multinomial":
        lower, upper = _constants_multinomial(n_p, n_q, shared, certain)
    return CompromiseBounds(lower * least, np.minimum(upper * affinity, full))


def _constants_poisson(n_p: np.ndarray, n_q: np.ndarray, shared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return c and k of ``c B B' <= C <= k B``: the items that only one has, in pairs and the surplus of one side."""
    paired, surplus = np.minimum(n_p, n_q) - shared, np.abs(n_p - n_q)
    return 2 * LOG_2 * paired + surplus / 2, 2 * LOG_2 * paired + SURPRISE * surplus


def _constants_multinomial(
    n_p: np.ndarray, n_q: np.ndarray, shared: np.ndarray, certain: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return c and k: never above the Poisson gap, whose surplus over it is what the totals cost."""
    smaller, larger = np.minimum(n_p, n_q), np.maximum(n_p, n_q)
    # Pinsker's inequality, with ||x_u/n_u - x_v/n_v||_1 = 2 (1 - s / larger size).
    profiles = smaller * (1 - shared / np.maximum(larger, 1)) ** 2
    upper = np.minimum(_constants_poisson(n_p, n_q, shared)[1], 2 * LOG_2 * (np.sqrt(n_p * n_q) - shared * certain))
    return np.maximum(2 * LOG_2 * (smaller - shared), profiles), upper
