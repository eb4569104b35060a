r"""The compromise gap :math:`C(u,v) = \int \mathrm{gap}(z)\,dz` of two posteriors: importance sampling and quadrature.

The pointwise gap is homogeneous in the two densities, so that only their log ratio at a code matters, never a density.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from collabtheory.errors import InvalidInput
from collabtheory.latent.compromise_gap import pointwise_gap
from collabtheory.latent.posterior_overlap import geometric_mean, log_affinity, log_ratio, same_shape
from collabtheory.models.posterior import DiagonalGaussian

Proposal = Literal["affinity", "mixture"]
BLOCK_ENTRIES = 2_000_000
"""Most entries of a block of codes; bounds the memory, and does not change a draw."""
WIDEST_LOG_RATIO = 700.0
"""Beyond it a gap per affinity is below 1e-140, and its square roots of density ratios stay within float64."""
REACH, NODES = 9.0, {1: 2001, 2: 301}
"""Quadrature: standard deviations of the geometric mean on either side, and nodes per dimension."""


@dataclass(frozen=True, eq=False)
class CompromiseGap:
    """Estimates of C, row by row.

    Parameters
    ----------
    value, standard_error
        ``(n_users,)`` float64, nats.
    n_samples
        Codes per row (per posterior, for the mixture proposal).
    """

    value: np.ndarray
    standard_error: np.ndarray
    n_samples: int


def compromise_gap(
    likelihood: str,
    p: DiagonalGaussian,
    q: DiagonalGaussian,
    n_p: np.ndarray,
    n_q: np.ndarray,
    shared: np.ndarray,
    *,
    n_samples: int,
    rng: np.random.Generator,
    proposal: Proposal = "affinity",
) -> CompromiseGap:
    r"""Compromise gap :math:`C = \int \mathrm{gap}(p(z), q(z))\,dz` of sets of items, by importance sampling.

    - ``"affinity"``: codes from the law proportional to :math:`\sqrt{p q}`,
      :math:`C = B\,E[\mathrm{gap}/\sqrt{pq}]` with B the affinity in closed form. The integrand is bounded, so that the
      *relative* error stays moderate even where the posteriors are nearly disjoint and C is tiny.
    - ``"mixture"``: as many codes from each posterior, :math:`C = (E_p + E_q)[\mathrm{gap}/(p+q)]`. The integrand is
      bounded by ``delta log 2`` (Gaussian ``delta/8``), so that the *absolute* error is known beforehand.

    Parameters
    ----------
    likelihood
        ``"bernoulli"``, ``"gaussian"``, ``"multinomial"`` or ``"poisson"``.
    p, q
        Posteriors of the users of each pair, ``n_pairs`` rows each.
    n_p, n_q, shared
        Sizes of their sets of items and of the intersections, ``(n_pairs,)``.
    n_samples
        Codes per pair (per posterior, for the mixture), at least 2.
    rng
        Source of the codes.
    proposal
        Where codes are drawn.

    Returns
    -------
    CompromiseGap
        Values and standard errors in nats. Equal sets give 0 with error 0; disjoint posteriors give 0, never NaN.

    Raises
    ------
    InvalidInput
        If shapes differ, ``n_samples`` is below 2, or the likelihood or proposal is unknown.

    Notes
    -----
    [paper, Theorem 2.5]; the estimators are this project's own. C is symmetric in the two users.

    Examples
    --------
    >>> p = DiagonalGaussian([[0.0]], [[1.0]])
    >>> same = compromise_gap("gaussian", p, p, [3], [2], [1], n_samples=8, rng=np.random.default_rng(0))
    >>> float(same.value[0]), float(same.standard_error[0])
    (0.75, 0.0)
    """
    if proposal not in ("affinity", "mixture"):
        raise InvalidInput(f"unknown proposal {proposal!r}; choose affinity or mixture")
    if n_samples < 2:
        raise InvalidInput(f"n_samples must be at least 2, for a standard error; it is {n_samples}")
    n_pairs, d = same_shape(p, q)[0][0].shape
    sizes = _sizes(n_pairs, n_p, n_q, shared)
    estimate = _by_affinity if proposal == "affinity" else _by_mixture
    rows = max(1, BLOCK_ENTRIES // (n_samples * d))
    value, error = np.zeros(n_pairs), np.zeros(n_pairs)
    for start in range(0, n_pairs, rows):
        block = slice(start, start + rows)
        value[block], error[block] = estimate(likelihood, p[block], q[block], sizes[:, block], n_samples, rng)
    return CompromiseGap(value, error, n_samples)


def compromise_gap_by_quadrature(
    likelihood: str,
    p: DiagonalGaussian,
    q: DiagonalGaussian,
    n_p: np.ndarray,
    n_q: np.ndarray,
    shared: np.ndarray,
) -> np.ndarray:
    r"""Compromise gap in one or two dimensions by the trapezoidal rule on :math:`B\,E[\mathrm{gap}/\sqrt{pq}]`.

    Parameters
    ----------
    likelihood, p, q, n_p, n_q, shared
        As for :func:`compromise_gap`; ``d`` is 1 or 2.

    Returns
    -------
    numpy.ndarray
        ``(n_pairs,)`` nats, to about 1e-12 relative while the means are at most 10 standard deviations apart.

    Raises
    ------
    InvalidInput
        If the posteriors have more than two dimensions.

    Examples
    --------
    >>> p, q = DiagonalGaussian([[0.0]], [[1.0]]), DiagonalGaussian([[2.0]], [[1.0]])
    >>> round(float(compromise_gap_by_quadrature("bernoulli", p, q, [1], [0], [0])[0]), 10)
    0.7126327204
    """
    n_pairs, d = same_shape(p, q)[0][0].shape
    if d not in NODES:
        raise InvalidInput(f"quadrature is for 1 or 2 dimensions, not {d}; use compromise_gap")
    sizes = _sizes(n_pairs, n_p, n_q, shared)
    line = np.linspace(-REACH, REACH, NODES[d])
    weight = np.exp(-0.5 * line**2) / np.exp(-0.5 * line**2).sum()
    nodes = np.stack(np.meshgrid(*[line] * d), -1).reshape(-1, d)
    weights = np.prod(np.stack(np.meshgrid(*[weight] * d), -1).reshape(-1, d), axis=1)
    result = np.zeros(n_pairs)
    for pair in range(n_pairs):
        row = slice(pair, pair + 1)
        result[pair] = (_gap_per_affinity(likelihood, p[row], q[row], sizes[:, row], nodes[None]) @ weights)[0]
    result *= np.exp(log_affinity(p, q))
    return result


def _by_affinity(
    likelihood: str, p: DiagonalGaussian, q: DiagonalGaussian, sizes: np.ndarray, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    noise = rng.standard_normal((p.n_users, n, p.n_dimensions))
    ratio = _gap_per_affinity(likelihood, p, q, sizes, noise)
    scale = np.exp(log_affinity(p, q))
    return scale * ratio.mean(1), scale * ratio.std(1, ddof=1) / np.sqrt(n)


def _gap_per_affinity(
    likelihood: str, p: DiagonalGaussian, q: DiagonalGaussian, sizes: np.ndarray, noise: np.ndarray
) -> np.ndarray:
    """Return ``gap / sqrt(p q)`` at standardised codes of the geometric mean, ``(n_pairs, S)``."""
    mu, sigma = geometric_mean(p, q).numpy()
    half = 0.5 * np.clip(log_ratio(p, q, mu[:, None] + sigma[:, None] * noise), -WIDEST_LOG_RATIO, WIDEST_LOG_RATIO)
    gap: np.ndarray = pointwise_gap(likelihood, np.exp(half), np.exp(-half), *sizes[..., None])
    return gap


def _by_mixture(
    likelihood: str, p: DiagonalGaussian, q: DiagonalGaussian, sizes: np.ndarray, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    noise = rng.standard_normal((p.n_users, 2, n, p.n_dimensions))
    value, variance = np.zeros(p.n_users), np.zeros(p.n_users)
    for side, posterior in enumerate((p, q)):
        mu, sigma = posterior.numpy()
        ratio = log_ratio(p, q, mu[:, None] + sigma[:, None] * noise[:, side])
        gap = pointwise_gap(likelihood, special.expit(ratio), special.expit(-ratio), *sizes[..., None])
        value += gap.mean(1)
        variance += gap.var(1, ddof=1) / n
    return value, np.sqrt(variance)


def _sizes(n_pairs: int, *sizes: np.ndarray) -> np.ndarray:
    """Return the three sizes as ``(3, n_pairs)``."""
    arrays = [np.asarray(size, dtype=np.float64) for size in sizes]
    for name, array in zip(("n_p", "n_q", "shared"), arrays, strict=True):
        if array.shape != (n_pairs,):
            raise InvalidInput(f"{name} must have shape ({n_pairs},), one entry a pair; its shape is {array.shape}")
    return np.stack(arrays)
