"""Holm's step-down correction of p-values over the claims of a run."""

from __future__ import annotations

import numpy as np

from collabtheory.errors import InvalidInput


def holm(p_values: np.ndarray) -> np.ndarray:
    r"""Return adjusted p-values: rejecting those below alpha keeps the chance of any false one at alpha.

    With :math:`p_{(1)} \le \dots \le p_{(m)}`,

    .. math:: \tilde p_{(i)} = \min\bigl(1, \max_{j \le i} (m - j + 1)\, p_{(j)}\bigr)

    Parameters
    ----------
    p_values
        ``(m,)`` in [0, 1], in any order; how they depend on each other does not matter.

    Returns
    -------
    numpy.ndarray
        ``(m,)`` float64 in the order given, never below the input; empty for an empty family.

    Raises
    ------
    InvalidInput
        If one is NaN or outside [0, 1]; the row is named.

    References
    ----------
    Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6 (1979).

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1:
        raise InvalidInput(f"p_values must be a vector; its shape is {p.shape}")
    bad = np.flatnonzero(~((p >= 0) & (p <= 1)))
    if len(bad):
        raise InvalidInput(f"p_values must be in [0, 1]; row {bad[0]} is {p[bad[0]]}")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted
