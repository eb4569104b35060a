r"""Theorem 2.6: how likely masking contracts or expands a pair, bounded without the exact law.

With ``n`` independent items, ``m`` the mean of ``D_h`` and a threshold ``t``: one bound holds for ``P(D_h >= t)`` where
``t >= m`` and for ``P(D_h <= t)`` where ``t <= m``.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from collabtheory.errors import InvalidInput
from collabtheory.latent.masking_law import MaskingLaw, counts
from collabtheory.rigor.enclosures import exact

Method = Literal["hoeffding", "chernoff"]


def tail_bound(
    threshold: ArrayLike,
    input_distance: ArrayLike,
    shared_items: ArrayLike,
    law: MaskingLaw,
    *,
    method: Method = "chernoff",
) -> np.ndarray:
    r"""Return an upper bound of the probability that ``D_h`` is at the threshold or beyond it, away from the mean.

    .. math:: \text{hoeffding: } e^{-2 (t - m)^2 / n}, \qquad
        \text{chernoff: } e^{-n\,KL(t/n \,\|\, m/n)} = (m/t)^t \left(\tfrac{n-m}{n-t}\right)^{n-t}

    Parameters
    ----------
    threshold
        ``t``, any real number: bounds ``P(D_h >= t)`` where ``t >= m``, ``P(D_h <= t)`` where ``t <= m``.
    input_distance, shared_items
        ``delta`` and ``s``, whole numbers >= 0; all three broadcast.
    law
        Keep probability and kind of masks. ``n = delta + s``; ``n = delta`` under a shared mask.
    method
        ``"chernoff"`` is never larger than ``"hoeffding"``.

    Returns
    -------
    numpy.ndarray
        float64 in [0, 1]; 1 at ``t = m``; 0 outside ``0 <= t <= n`` (there the probability is 0).

    Raises
    ------
    InvalidInput
        If a count is no whole number >= 0, a threshold is NaN, or the method is unknown.

    Notes
    -----
    [paper, Thm 2.6] for Hoeffding's bound; Hoeffding (1963), Theorem 1, for both.

    Examples
    --------
    >>> law = MaskingLaw(0.5)
    >>> [tail_bound(10, 10, 4, law, method=method).round(3).item() for method in ("hoeffding", "chernoff")]
    [0.276, 0.265]
    """
    delta, shared = counts(input_distance, shared_items)
    t = np.asarray(threshold, dtype=np.float64)
    if np.isnan(t).any():
        raise InvalidInput("threshold must not be NaN")
    mean, n = law.mean(delta, shared), delta + (shared if law.masks == "independent" else 0)
    t, mean, n = np.broadcast_arrays(t, mean, n)
    if method == "hoeffding":
        exponent = np.divide(2 * (t - mean) ** 2, n, out=np.zeros(t.shape), where=n > 0)
    elif method == "chernoff":
        inside = np.clip(t, 0, n)
        exponent = special.rel_entr(inside, mean) + special.rel_entr(n - inside, np.maximum(n - mean, 0.0))
    else:
        raise InvalidInput(f"method must be 'hoeffding' or 'chernoff'; it is {method!r}")
    # Rounding may leave an exponent a little below 0 at t = m.
    return np.where((t < 0) | (t > n), 0.0, np.exp(-np.maximum(exponent, 0.0)))


def contraction_guarantee(
    input_distance: ArrayLike,
    shared_items: ArrayLike,
    law: MaskingLaw,
    *,
    factor: float = 1.0,
    method: Method = "chernoff",
) -> np.ndarray:
    r"""Return a lower bound of ``P(D_h <= c delta)``: one minus the tail bound where ``c delta >= m``, else 0.

    Parameters
    ----------
    input_distance, shared_items, law, method
        As in :func:`tail_bound`.
    factor
        ``c >= 0``, a decimal.

    Raises
    ------
    InvalidInput
        As in :func:`tail_bound`, and if ``factor`` is negative or not finite.

    Examples
    --------
    >>> contraction_guarantee([40, 10, 4], [2, 4, 9], MaskingLaw(0.5), method="hoeffding").round(3)
    array([1.   , 0.724, 0.   ])
    """
    threshold, mean = _threshold(input_distance, shared_items, law, factor)
    bound = 1 - tail_bound(threshold, input_distance, shared_items, law, method=method)
    return np.where(threshold >= mean, bound, 0.0)


def expansion_guarantee(
    input_distance: ArrayLike,
    shared_items: ArrayLike,
    law: MaskingLaw,
    *,
    factor: float = 1.0,
    method: Method = "chernoff",
) -> np.ndarray:
    r"""Return a lower bound of ``P(D_h >= c delta)``: one minus the tail bound where ``c delta <= m``, else 0.

    Parameters
    ----------
    input_distance, shared_items, law, factor, method
        As in :func:`contraction_guarantee`.

    Raises
    ------
    InvalidInput
        As in :func:`contraction_guarantee`.

    Examples
    --------
    >>> expansion_guarantee(2, 40, MaskingLaw(0.5)).round(4).item()
    1.0
    """
    threshold, mean = _threshold(input_distance, shared_items, law, factor)
    bound = 1 - tail_bound(threshold, input_distance, shared_items, law, method=method)
    return np.where(threshold <= mean, bound, 0.0)


def _threshold(
    input_distance: ArrayLike, shared_items: ArrayLike, law: MaskingLaw, factor: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return ``c delta``, rounded once, and the mean."""
    if not (math.isfinite(factor) and factor >= 0):
        raise InvalidInput(f"factor must be finite and >= 0; it is {factor}")
    delta, shared = counts(input_distance, shared_items)
    return float(exact(factor)) * delta.astype(np.float64), law.mean(delta, shared)
