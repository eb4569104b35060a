"""What a Lipschitz result is, and the certified norms that such results are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from collabtheory.errors import NumericalFailure
from collabtheory.latent.verified_norms import column_norm_bound, spectral_norm_bound

SAFETY = 1.0 + 1e-9
"""Bounds that put norms together in float64 are multiplied by this: more than their rounding errors add up to.

The norms themselves need none (:mod:`collabtheory.latent.verified_norms`). Bounds whose every rounding is accounted for
are in :mod:`collabtheory.rigor.lipschitz`.
"""


@dataclass(frozen=True)
class LipschitzBracket:
    """A Lipschitz constant between its largest observed slope and a certified bound.

    Parameters
    ----------
    lower
        Largest slope seen; the constant is at least this.
    upper
        Certified: the constant is at most this on the region.
    region
        Where both hold, in words and numbers.

    Raises
    ------
    NumericalFailure
        If ``lower <= upper`` does not hold: a bound that an observation contradicts is a defect, never a result.
    """

    lower: float
    upper: float
    region: str

    def __post_init__(self) -> None:
        if not self.lower <= self.upper:
            raise NumericalFailure(f"the slope {self.lower} was seen above the certified {self.upper} on {self.region}")

    @property
    def ratio(self) -> float:
        """``upper / lower``, how wide the bracket is; infinite if nothing was seen, 1 for the constant 0."""
        if self.upper == self.lower:
            return 1.0
        return self.upper / self.lower if self.lower > 0 else math.inf


def spectral_norm(matrix: Tensor) -> float:
    """Certified upper bound of the largest singular value, see :func:`verified_norms.spectral_norm_bound`.

    Examples
    --------
    >>> round(spectral_norm(torch.diag(torch.tensor([3.0, 4.0]))), 6)
    4.0
    """
    return spectral_norm_bound(matrix)


def largest_column_norm(matrix: Tensor) -> float:
    """Certified upper bound of the l1-to-l2 operator norm, the largest Euclidean norm of a column."""
    return column_norm_bound(matrix)


def largest_singular_value(grams: Tensor) -> Tensor:
    """Return the spectral norm of ``X`` from its Gram matrix ``X'X``: ``(..., d, d)`` to ``(...)``, exact to rounding.

    For tall matrices ``(n, d)`` with ``n >> d`` this costs one product instead of a decomposition. Infinite where an
    entry is not finite.
    """
    finite = torch.isfinite(grams).all(-1).all(-1)
    eigenvalues = torch.linalg.eigvalsh(torch.where(finite[..., None, None], grams, 0.0))
    return torch.where(finite, torch.sqrt(eigenvalues[..., -1].clamp(min=0)), torch.inf)
