"""Matrices over the rationals with a known spectrum: orthogonal ones without square roots, and exact solutions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from flint import fmpq, fmpq_mat

from collabtheory.errors import InvalidInput


def reflection(mirror: np.ndarray) -> np.ndarray:
    r"""Return the Householder reflection :math:`I - 2 v v^\top / v^\top v`: symmetric, orthogonal, rational for such v.

    Parameters
    ----------
    mirror
        ``v``, ``(d,)``, not zero: float64, or an object array of ``Fraction``.

    Examples
    --------
    >>> reflection(np.array([Fraction(1), Fraction(2)])).tolist()
    [[Fraction(3, 5), Fraction(-4, 5)], [Fraction(-4, 5), Fraction(-3, 5)]]
    """
    matrix: np.ndarray = identity_like(mirror) - 2 * np.outer(mirror, mirror) / (mirror @ mirror)
    return matrix


def cayley(skew: np.ndarray) -> np.ndarray:
    r"""Return the rotation :math:`(I - A)(I + A)^{-1}` of a skew-symmetric matrix of ``Fraction``, exactly.

    Raises
    ------
    InvalidInput
        If the matrix is not skew-symmetric.

    Examples
    --------
    >>> half = Fraction(1, 2)
    >>> cayley(np.array([[Fraction(0), half], [-half, Fraction(0)]])).tolist()
    [[Fraction(3, 5), Fraction(-4, 5)], [Fraction(4, 5), Fraction(3, 5)]]
    """
    if np.any(skew + skew.T != 0):
        raise InvalidInput("skew must be skew-symmetric, A' = -A")
    unit = identity_like(skew[0])
    # (I - A) and (I + A)^{-1} commute, so the rotation solves (I + A) Q = I - A.
    return exact_solution(unit + skew, unit - skew)


def exact_solution(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve ``matrix @ x = right`` exactly; object arrays of ``Fraction``, ``right`` ``(d,)`` or ``(d, k)``.

    Raises
    ------
    InvalidInput
        If the matrix is singular.
    """
    columns = right.reshape(len(right), -1)
    try:
        solution = _to_flint(matrix).solve(_to_flint(columns))
    except ZeroDivisionError as error:
        raise InvalidInput("matrix must be regular; it is singular") from error
    values = np.empty(columns.shape, dtype=object)
    for index in np.ndindex(columns.shape):
        entry = solution[index]
        values[index] = Fraction(int(entry.p), int(entry.q))
    return values.reshape(right.shape)


def identity_like(vector: np.ndarray) -> np.ndarray:
    """Return the identity of a vector's length, in its kind of numbers (float64 or ``Fraction``)."""
    if vector.dtype != object:
        return np.eye(len(vector))
    unit = np.full((len(vector), len(vector)), Fraction(0), dtype=object)
    np.fill_diagonal(unit, Fraction(1))
    return unit


def _to_flint(matrix: np.ndarray) -> Any:
    return fmpq_mat([[fmpq(Fraction(x).numerator, Fraction(x).denominator) for x in row] for row in matrix])
