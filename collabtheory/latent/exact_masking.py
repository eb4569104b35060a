"""The law of masked distances in rational arithmetic, for checks that certify."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from flint import fmpz_poly

from collabtheory.errors import InvalidInput
from collabtheory.latent.masking_law import MaskingLaw, Masks, counts
from collabtheory.rigor.enclosures import exact


@dataclass(frozen=True)
class ExactLaw:
    r"""The law of :class:`~collabtheory.latent.masking_law.MaskingLaw`, with every value a ``Fraction``.

    The probabilities are the coefficients of :math:`(1 - \rho + \rho z)^\delta (1 - q + q z)^s`,
    :math:`q = 2\rho(1-\rho)`, a product of integer polynomials over a common denominator.

    Parameters
    ----------
    keep_probability
        ``rho`` in [0, 1]; a float stands for its shortest decimal.
    masks
        ``"independent"`` or ``"shared"``.

    Examples
    --------
    >>> law = ExactLaw(Fraction(1, 3))
    >>> law.pmf(1, 1)
    (Fraction(10, 27), Fraction(13, 27), Fraction(4, 27))
    >>> law.tail(1, 1, 1), law.mean(1, 1)
    (Fraction(17, 27), Fraction(7, 9))
    """

    keep_probability: Fraction
    masks: Masks = "independent"

    def __post_init__(self) -> None:
        object.__setattr__(self, "keep_probability", exact(self.keep_probability))
        MaskingLaw(float(self.keep_probability), self.masks)

    @property
    def flip_probability(self) -> Fraction:
        """Probability that a shared item is kept for exactly one of the two."""
        rho = self.keep_probability
        return 2 * rho * (1 - rho) if self.masks == "independent" else Fraction(0)

    def numerators(self, input_distance: int, shared_items: int) -> tuple[list[int], int]:
        """Return the probabilities of ``0, ..., delta + s`` as integers, and their common denominator."""
        delta, shared = (int(value) for value in counts(input_distance, shared_items))
        first = binomial_numerators(delta, self.keep_probability)
        second = binomial_numerators(shared, self.flip_probability)
        values = [int(value) for value in (fmpz_poly(first[0]) * fmpz_poly(second[0])).coeffs()]
        return values + [0] * (delta + shared + 1 - len(values)), first[1] * second[1]

    def pmf(self, input_distance: int, shared_items: int) -> tuple[Fraction, ...]:
        """Return the probabilities of ``0, ..., delta + s``."""
        values, denominator = self.numerators(input_distance, shared_items)
        return tuple(Fraction(value, denominator) for value in values)

    def cdf(self, value: int | Fraction, input_distance: int, shared_items: int) -> Fraction:
        """Return ``P(D_h <= value)``."""
        return sum((p for x, p in enumerate(self.pmf(input_distance, shared_items)) if x <= value), Fraction(0))

    def tail(self, value: int | Fraction, input_distance: int, shared_items: int) -> Fraction:
        """Return ``P(D_h >= value)``."""
        return sum((p for x, p in enumerate(self.pmf(input_distance, shared_items)) if x >= value), Fraction(0))

    def mean(self, input_distance: int, shared_items: int) -> Fraction:
        """Return ``rho delta + 2 rho (1 - rho) s``."""
        delta, shared = (int(value) for value in counts(input_distance, shared_items))
        return self.keep_probability * delta + self.flip_probability * shared

    def variance(self, input_distance: int, shared_items: int) -> Fraction:
        """Return the sum of the variances of the two binomials."""
        delta, shared = (int(value) for value in counts(input_distance, shared_items))
        p, q = self.keep_probability, self.flip_probability
        return p * (1 - p) * delta + q * (1 - q) * shared

    def contraction_probability(self, input_distance: int, shared_items: int, factor: Fraction | int = 1) -> Fraction:
        """Return ``P(D_h <= c delta)``."""
        return self.cdf(exact(factor) * input_distance, input_distance, shared_items)

    def expansion_probability(self, input_distance: int, shared_items: int, factor: Fraction | int = 1) -> Fraction:
        """Return ``P(D_h >= c delta)``."""
        return self.tail(exact(factor) * input_distance, input_distance, shared_items)


def binomial_numerators(n: int, p: Fraction) -> tuple[list[int], int]:
    """Return the probabilities of ``Bin(n, p)`` as ``n + 1`` integers, and their common denominator.

    Raises
    ------
    InvalidInput
        If ``p`` is not in [0, 1].
    """
    if not 0 <= p <= 1:
        raise InvalidInput(f"p must be in [0, 1]; it is {p}")
    values = [int(value) for value in (fmpz_poly([p.denominator - p.numerator, p.numerator]) ** n).coeffs()]
    return values + [0] * (n + 1 - len(values)), p.denominator**n
