r"""Float64 arithmetic on positive numbers with a proven count of rounding errors, for grids too large for intervals.

Sums, products, quotients and powers of positive numbers do not cancel, so that with ``k`` roundings (each of relative
size at most ``u = 2^-53``, IEEE 754) the computed value is the true one times a factor in
``[(1 - u)^k, (1 - u)^-k]``; see Higham, Accuracy and Stability of Numerical Algorithms, section 3.1. Only ``+ * /`` are
used: no library function is trusted. What is closer to a comparison than that is left to exact arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from collabtheory.errors import NumericalFailure

UNIT = 2.0**-53
SMALLEST, LARGEST = 2.0**-1000, 2.0**1000
"""Results must stay between these: below, rounding errors are no longer relative."""
HALVINGS, TERMS = 9, 20
"""The exponential series is summed at ``y / 2^HALVINGS <= 1``; its rest after ``TERMS`` terms is below ``2^-64``."""
LARGEST_EXPONENT = 2.0**HALVINGS


@dataclass(frozen=True, eq=False)
class PositiveFloats:
    """An array of numbers ``>= 0`` in float64, each within ``roundings`` relative roundings of its true value.

    Zeros are exact.

    Examples
    --------
    >>> third = PositiveFloats.ratios(1, np.array([3]))
    >>> (third * PositiveFloats.ratios(2, np.array([1]))).at_most_one().tolist()
    [1]
    """

    values: np.ndarray
    roundings: int

    @staticmethod
    def ratios(numerators: np.ndarray | int, denominators: np.ndarray | int) -> PositiveFloats:
        """Return quotients of whole numbers that float64 holds exactly (below ``2^53``), numerators ``>= 0``."""
        top, bottom = (np.asarray(value, dtype=np.float64) for value in (numerators, denominators))
        if top.size and bottom.size and max(top.max(), bottom.max()) >= 1 / UNIT:
            raise NumericalFailure("a numerator or denominator of 2^53 or more is not exact in float64")
        return _checked(top / bottom, 1, top == 0)

    @staticmethod
    def quotients(numerators: Sequence[Sequence[int]], denominators: Sequence[int]) -> PositiveFloats:
        """Return rows of integers of any size, each over its denominator; Python rounds such quotients correctly."""
        rows = [[number / below for number in row] for row, below in zip(numerators, denominators, strict=True)]
        values = np.array(rows, dtype=np.float64)
        zero = np.array([[number == 0 for number in row] for row in numerators], dtype=bool)
        return _checked(values, 1, zero)

    def __getitem__(self, index: Any) -> PositiveFloats:
        """Return a selection."""
        return PositiveFloats(self.values[index], self.roundings)

    def __mul__(self, other: PositiveFloats) -> PositiveFloats:
        """Multiply entry by entry: the roundings of both and one."""
        zero = (self.values == 0) | (other.values == 0)
        return _checked(self.values * other.values, self.roundings + other.roundings + 1, zero)

    def __matmul__(self, other: PositiveFloats) -> PositiveFloats:
        """Multiply matrices: as every term is positive, the order of summation does not matter for the bound."""
        length = self.values.shape[-1]
        least = [value.values[value.values > 0].min(initial=1.0) for value in (self, other)]
        most = [value.values.max(initial=0.0) for value in (self, other)]
        if least[0] * least[1] < SMALLEST or most[0] * most[1] * length > LARGEST:
            raise NumericalFailure("a term of the product leaves the range where rounding errors are relative")
        return PositiveFloats(self.values @ other.values, self.roundings + other.roundings + length)

    def power(self, exponents: np.ndarray) -> PositiveFloats:
        """Raise to whole powers ``>= 0``, entry by entry, by repeated squaring."""
        largest = int(np.max(exponents, initial=0))
        result, square, bit = np.ones(np.broadcast(self.values, exponents).shape), self.values, 1
        zero = (self.values == 0) & (exponents > 0)
        while bit <= largest:
            result = np.where(exponents & bit, result * square, result)
            bit <<= 1
            # The squares beyond the highest bit of an entry are not used for it; 1 keeps them from overflowing.
            square = np.where(exponents >= bit, square * square, 1.0)
        return _checked(result, largest * (self.roundings + 1), zero)

    def exponential(self) -> PositiveFloats:
        """Return ``exp`` of numbers up to ``2^9``, by a series with positive terms and repeated squaring."""
        if self.values.max(initial=0.0) > LARGEST_EXPONENT * (1 - 2 * self.roundings * UNIT):
            raise NumericalFailure(f"exponents must be at most {LARGEST_EXPONENT:g}")
        reduced, total, roundings = self.values / LARGEST_EXPONENT, np.ones_like(self.values), 0
        for term in range(TERMS, 0, -1):
            # 1 + (r / term) * total: the roundings of r and of three operations.
            total = 1.0 + reduced / term * total
            roundings += self.roundings + 3
        # One more for the rest of the series, below 2^-64 of the sum.
        roundings += 1
        for _ in range(HALVINGS):
            total, roundings = total * total, 2 * roundings + 1
        return _checked(total, roundings, np.zeros(total.shape, dtype=bool))

    def at_most_one(self) -> np.ndarray:
        """Return per entry 1 if it is certainly ``<= 1``, -1 if certainly ``> 1``, 0 if float64 cannot tell."""
        # (1 - u)^-k <= 1 + 2 k u for k u <= 1/4; two more roundings cover this line itself.
        reach = 2 * (self.roundings + 2) * UNIT
        if reach > 0.25:
            raise NumericalFailure("too many roundings to compare anything")
        decided = np.zeros(self.values.shape, dtype=np.int8)
        decided[self.values <= 1 - reach] = 1
        decided[self.values > 1 + reach] = -1
        return decided


def _checked(values: np.ndarray, roundings: int, zero: np.ndarray) -> PositiveFloats:
    """Return the numbers; refuse those that left the range where rounding errors are relative."""
    proper = (values >= SMALLEST) & (values <= LARGEST)
    if not (proper | (zero & (values == 0))).all():
        raise NumericalFailure("a result leaves the range where rounding errors are relative")
    return PositiveFloats(values, roundings)
