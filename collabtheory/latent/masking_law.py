r"""Theorem 2.6: the exact law of the distance of two masked inputs.

Two users share ``s`` items and differ in ``delta`` items. An item that only one of them has contributes 1 if its mask
keeps it; a shared item contributes 1 if exactly one of two independent masks keeps it, and never under a shared mask.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from collabtheory.errors import InvalidInput
from collabtheory.latent.masking_sums import binomial_sums, binomials
from collabtheory.rigor.enclosures import exact

Masks = Literal["independent", "shared"]


@dataclass(frozen=True)
class MaskingLaw:
    r"""Law of ``D_h = ||x_u * b_u - x_v * b_v||_1`` for binary contents and masks ``b ~ Bern(rho)^I``.

    .. math:: D_h = \mathrm{Bin}(\delta, \rho) + \mathrm{Bin}(s, 2\rho(1-\rho)), \quad \text{independent summands;}

    under one mask for both users the second summand is 0.

    Parameters
    ----------
    keep_probability
        ``rho``, the probability of keeping an item, in [0, 1].
    masks
        ``"independent"`` for each user, or one ``"shared"`` mask.

    Raises
    ------
    InvalidInput
        If a parameter is out of range. The methods raise it for counts that are not whole numbers >= 0.

    Notes
    -----
    A law of sets. It does not depend on whether the input is normalised before or after the mask (neither changes which
    entries differ from 0), but the distance of the numbers that enter the encoder does, see
    :func:`~collabtheory.latent.masked_pairs.mean_rescaled_distance`. Exact rational values:
    :class:`~collabtheory.latent.exact_masking.ExactLaw`. [paper, Thm 2.6]; the law itself is not in the paper.

    Examples
    --------
    >>> law = MaskingLaw(0.5)
    >>> law.pmf(1, 1), law.mean(10, 4), law.border(4)
    (array([0.25, 0.5 , 0.25]), array(7.), array(4.))
    """

    keep_probability: float
    masks: Masks = "independent"

    def __post_init__(self) -> None:
        if not 0 <= self.keep_probability <= 1:
            raise InvalidInput(f"keep_probability must be in [0, 1]; it is {self.keep_probability}")
        if self.masks not in ("independent", "shared"):
            raise InvalidInput(f"masks must be 'independent' or 'shared'; it is {self.masks!r}")

    @property
    def flip_probability(self) -> float:
        """Probability that a shared item is kept for exactly one of the two: ``2 rho (1 - rho)``, or 0."""
        rho = self.keep_probability
        return 2 * rho * (1 - rho) if self.masks == "independent" else 0.0

    def mean(self, input_distance: ArrayLike, shared_items: ArrayLike) -> np.ndarray:
        """Return ``rho delta + 2 rho (1 - rho) s``, in the broadcast shape of ``delta`` and ``s``."""
        delta, shared = counts(input_distance, shared_items)
        return np.asarray(self.keep_probability * delta + self.flip_probability * shared)

    def variance(self, input_distance: ArrayLike, shared_items: ArrayLike) -> np.ndarray:
        """Return the sum of the variances of the two binomials."""
        delta, shared = counts(input_distance, shared_items)
        p, q = self.keep_probability, self.flip_probability
        return np.asarray(p * (1 - p) * delta + q * (1 - q) * shared)

    def border(self, shared_items: ArrayLike) -> np.ndarray:
        """Return ``2 rho s``: pairs contract on average if and only if ``delta`` is larger (``0 < rho < 1``).

        Under a shared mask the border is 0: every pair that differs contracts.
        """
        _, shared = counts(0, shared_items)
        factor = 2 * self.keep_probability if self.masks == "independent" else 0.0
        return np.asarray(factor * shared)

    def pmf(self, input_distance: int, shared_items: int) -> np.ndarray:
        """Return the probabilities of ``0, 1, ..., delta + s``, float64 ``(delta + s + 1,)``."""
        delta, shared = (int(value) for value in counts(input_distance, shared_items))
        first = binomials(np.array([delta]), self.keep_probability)
        second = binomials(np.array([shared]), self.flip_probability)
        return np.convolve(first.values, second.values)

    def cdf(self, values: ArrayLike, input_distance: ArrayLike, shared_items: ArrayLike) -> np.ndarray:
        """Return ``P(D_h <= x)`` entry by entry; arguments broadcast against each other."""
        return self._sums(np.floor(values), input_distance, shared_items, upper=False)

    def tail(self, values: ArrayLike, input_distance: ArrayLike, shared_items: ArrayLike) -> np.ndarray:
        """Return ``P(D_h >= x)`` entry by entry, accurate relative to its size also where it is tiny."""
        return self._sums(np.ceil(values), input_distance, shared_items, upper=True)

    def contraction_probability(
        self, input_distance: ArrayLike, shared_items: ArrayLike, factor: float = 1.0
    ) -> np.ndarray:
        """Return ``P(D_h <= c delta)`` for the decimal ``c = factor``."""
        delta, shared = counts(input_distance, shared_items)
        return self.cdf(multiples(delta, factor, math.floor), delta, shared)

    def expansion_probability(
        self, input_distance: ArrayLike, shared_items: ArrayLike, factor: float = 1.0
    ) -> np.ndarray:
        """Return ``P(D_h >= c delta)`` for the decimal ``c = factor``."""
        delta, shared = counts(input_distance, shared_items)
        return self.tail(multiples(delta, factor, math.ceil), delta, shared)

    def _sums(self, values: ArrayLike, delta: ArrayLike, shared: ArrayLike, *, upper: bool) -> np.ndarray:
        delta, shared = counts(delta, shared)
        x, delta, shared = np.broadcast_arrays(np.asarray(values, dtype=np.float64), delta, shared)
        whole = np.clip(x, -1, delta + shared + 1).astype(np.int64)
        sums = binomial_sums(
            whole.ravel(), delta.ravel(), shared.ravel(), self.keep_probability, self.flip_probability, upper=upper
        )
        return sums.reshape(x.shape)


def counts(input_distance: ArrayLike, shared_items: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return ``delta`` and ``s`` as int64 arrays; InvalidInput if an entry is no whole number >= 0."""
    checked = []
    for name, given in (("input_distance", input_distance), ("shared_items", shared_items)):
        values = np.asarray(given, dtype=np.float64)
        if not (np.isfinite(values) & (values >= 0) & (values == np.floor(values))).all():
            raise InvalidInput(f"{name} must be whole numbers >= 0; it is {given!r}")
        checked.append(values.astype(np.int64))
    return checked[0], checked[1]


def multiples(input_distance: np.ndarray, factor: float | Fraction, rounded: Callable[[Fraction], int]) -> np.ndarray:
    """Return ``rounded(c delta)`` for the decimal ``c = factor``, where float64 might fall on the wrong side."""
    c = exact(factor)
    values, which = np.unique(input_distance, return_inverse=True)
    products = np.array([rounded(c * int(value)) for value in values], dtype=np.int64)
    result: np.ndarray = products[which].reshape(input_distance.shape)
    return result
