r"""Operator norms of float64 matrices that no rounding error can make too small.

Every float64 result below comes with the largest error that rounding can have made, whatever the order of the sums, and
these errors are added up in exact rational arithmetic. With the unit roundoff :math:`u = 2^{-53}` and
:math:`\gamma_n = n u / (1 - n u)`, a computed inner product of length ``n`` is off by at most :math:`\gamma_n |a|'|b|`
[1]_, and a Cholesky decomposition that runs to its end shows that no eigenvalue of its k x k matrix ``T`` lies below
:math:`-\gamma_{k+1} / (1 - \gamma_{k+1}) \operatorname{tr} T` [2]_.

.. [1] N. Higham, Accuracy and Stability of Numerical Algorithms, section 3.1.
.. [2] S. Rump, Verification of positive definiteness, BIT 46 (2006).
"""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor

SMALLEST = Fraction(2) ** -1074
"""The smallest positive float64: no product that underflows is off by more."""
ROOM = tuple(2.0**-power for power in range(42, 18, -4))
"""How far above the computed eigenvalue a bound is tried, relative to it, until the Cholesky decomposition succeeds."""


def spectral_norm_bound(matrix: Tensor) -> float:
    """Return an upper bound of the largest singular value, valid in spite of rounding.

    The Gram matrix of the smaller side, an eigenvalue of it as a guess, and a Cholesky decomposition that proves the
    guess: cheaper than a singular value decomposition, which is accurate but proves nothing.

    Parameters
    ----------
    matrix
        ``(m, n)``, float32 or float64.

    Returns
    -------
    float
        At least the norm of the matrix that these floats are, and above it by a relative ``k^2 1e-16`` for a smaller
        side of length ``k``. 0 for an empty matrix, infinite where an entry is not finite.

    Examples
    --------
    >>> bound = spectral_norm_bound(torch.diag(torch.tensor([3.0, 4.0])))
    >>> 4.0 <= bound < 4.0 * (1 + 1e-11)
    True
    """
    scaled, exponent = _scaled(matrix)
    if scaled is None:
        return math.inf if exponent else 0.0
    tall = scaled if scaled.shape[0] >= scaled.shape[1] else scaled.T
    length, side = tall.shape
    gram = tall.T @ tall
    # |fl(B'B) - B'B| <= gamma |B|'|B|, whose Frobenius norm is at most gamma ||B||_F^2 = gamma tr B'B.
    trace = _sum_upward(gram.diagonal()) / (1 - gamma(length)) + side * length * SMALLEST
    rounding = gamma(length) * trace + side * length * SMALLEST
    largest = min(_largest_eigenvalue(gram), trace)
    # Entries that underflowed when scaled are off by half the smallest float each.
    return _unscaled(_root_upward(largest + rounding) + upward(side * length * SMALLEST), exponent)


def column_norm_bound(matrix: Tensor) -> float:
    """Return an upper bound of the largest Euclidean norm of a column, the l1-to-l2 norm, valid in spite of rounding.

    Examples
    --------
    >>> column_norm_bound(torch.tensor([[3.0, 0.0], [4.0, 1.0]])) >= 5.0
    True
    """
    scaled, exponent = _scaled(matrix)
    if scaled is None:
        return math.inf if exponent else 0.0
    length = scaled.shape[0]
    square = Fraction(float((scaled * scaled).sum(0).max())) / (1 - gamma(length)) + length * SMALLEST
    return _unscaled(_root_upward(square) + upward(length * SMALLEST), exponent)


def frobenius_norm_bound(matrix: Tensor) -> float:
    """Return an upper bound of the Frobenius norm, valid in spite of rounding; infinite where an entry is not finite.

    Examples
    --------
    >>> frobenius_norm_bound(torch.tensor([[3.0, 0.0], [0.0, 4.0]])) >= 5.0
    True
    """
    scaled, exponent = _scaled(matrix)
    if scaled is None:
        return math.inf if exponent else 0.0
    square = _sum_upward((scaled * scaled).sum(0)) / (1 - gamma(len(scaled))) + scaled.numel() * SMALLEST
    return _unscaled(_root_upward(square) + upward(scaled.numel() * SMALLEST), exponent)


def least_eigenvalue_after_cholesky(matrix: Tensor) -> Fraction | None:
    """Return a lower bound, at most 0, of the eigenvalues of the symmetric matrix that the lower triangle is.

    None where its Cholesky decomposition in float64 breaks down: the smallest eigenvalue may then be anything.
    """
    if torch.linalg.cholesky_ex(matrix).info:
        return None
    side = len(matrix)
    # Underflow inside the decomposition moves an entry by as many smallest floats as the matrix has rows.
    share = gamma(side + 1)
    return -(share / (1 - share) * _sum_upward(matrix.diagonal()) + side * (side + 1) * SMALLEST)


def _largest_eigenvalue(gram: Tensor) -> Fraction:
    """Bound the largest eigenvalue of the symmetric matrix that the lower triangle is."""
    guess = float(torch.linalg.eigvalsh(gram)[-1])
    for room in ROOM:
        level = guess * (1 + room)
        rest = -gram
        rest.diagonal().add_(level)
        least = least_eigenvalue_after_cholesky(rest)
        if least is not None:
            # Forming level - g_ii rounds once.
            return Fraction(level) + Fraction(float(rest.diagonal().abs().max())) * Fraction(1, 2**53) - least
    return _sum_upward(gram.diagonal())


def _scaled(matrix: Tensor) -> tuple[Tensor | None, int]:
    """Return the matrix in float64 times a power of two that makes its entries at most 1, and that power.

    None with power 0 for a matrix that is 0 or empty, None with power 1 for one with an entry that is not finite.
    """
    if not matrix.numel():
        return None, 0
    double = matrix.detach().to(torch.float64)
    largest = float(double.abs().max())
    if not math.isfinite(largest):
        return None, 1
    if largest == 0:
        return None, 0
    exponent = math.frexp(largest)[1]
    # In two steps, as the power itself may leave the finite numbers.
    half = exponent // 2
    return double * 2.0**-half * 2.0 ** -(exponent - half), exponent


def _unscaled(bound: float, exponent: int) -> float:
    try:
        # The next float covers the sum before and a result among the subnormal numbers.
        return math.nextafter(math.ldexp(math.nextafter(bound, math.inf), exponent), math.inf)
    except OverflowError:
        return math.inf


def gamma(n: int) -> Fraction:
    """Return the relative rounding error of an inner product of length ``n``."""
    return Fraction(n, 2**53 - n)


def _sum_upward(values: Tensor) -> Fraction:
    # fsum rounds the exact sum once.
    return Fraction(math.nextafter(math.fsum(values.tolist()), math.inf))


def _root_upward(square: Fraction) -> float:
    return math.nextafter(math.sqrt(upward(square)), math.inf)


def upward(value: Fraction) -> float:
    """Return the smallest float that is not below a fraction, or the next one."""
    nearest = float(value)
    return nearest if Fraction(nearest) >= value else math.nextafter(nearest, math.inf)
