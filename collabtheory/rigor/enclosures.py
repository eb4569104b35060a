"""Numbers that enclose or are exact, and the few functions that formulas on them need.

Formulas are written once, with numpy operators and the functions below, and run on float64 (to search), on object
arrays of ``arb`` (to decide) and, where they are rational, on object arrays of ``Fraction`` (exactly).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, fmpq
from scipy import special

from collabtheory.errors import InvalidInput


def exact(value: Any) -> Fraction:
    """Return the number that a decimal says: a float stands for its shortest decimal.

    Raises
    ------
    InvalidInput
        If it is no finite decimal.

    Examples
    --------
    >>> exact(0.1), exact("1e-3"), exact(3)
    (Fraction(1, 10), Fraction(1, 1000), Fraction(3, 1))
    """
    if isinstance(value, Fraction):
        return value
    try:
        return Fraction(repr(float(value)) if isinstance(value, float) else str(value))
    except ValueError as error:
        raise InvalidInput(f"{value!r} is not a finite decimal") from error


def enclose(value: Any) -> arb:
    """Return the tightest enclosure of :func:`exact` at the working precision."""
    number = exact(value)
    return arb(fmpq(number.numerator, number.denominator))


def enclosed(values: Any) -> Any:
    """Return an array (or number) of decimals as an object array of enclosures."""
    return _entrywise(enclose, values)


def rationals(values: Any) -> Any:
    """Return an array (or number) of decimals as an object array of ``Fraction``."""
    return _entrywise(exact, values)


def _entrywise(function: Any, values: Any) -> Any:
    array = np.asarray(values)
    result = np.empty(array.shape, dtype=object)
    for index in np.ndindex(array.shape):
        result[index] = function(array[index].item() if hasattr(array[index], "item") else array[index])
    return result if array.ndim else result[()]


def is_enclosure(values: Any) -> bool:
    """Return whether these are object entries (enclosures or rationals) rather than floats."""
    return np.asarray(values).dtype == object


def norm(vector: Any, axis: int | None = None) -> Any:
    """Return the Euclidean norm; of everything, or along an axis."""
    square = np.sum(np.asarray(vector) * np.asarray(vector), axis=axis)
    return root(square)


def root(values: Any) -> Any:
    """Return the square root of numbers known to be nonnegative (an enclosure may reach a little below 0)."""
    if not is_enclosure(values):
        return np.sqrt(np.maximum(values, 0.0))
    return _map(lambda x: _arb(x).nonnegative_part().sqrt(), values)


def larger(a: Any, b: Any) -> Any:
    """Return the entrywise maximum."""
    if is_enclosure(a) or is_enclosure(b):
        return _map2(lambda x, y: max(x, y) if _rational(x, y) else _arb(x).max(_arb(y)), a, b)
    return np.maximum(a, b)


def smaller(a: Any, b: Any) -> Any:
    """Return the entrywise minimum."""
    return -larger(-np.asarray(a), -np.asarray(b))


def erf(values: Any) -> Any:
    """Return the error function."""
    return _map(lambda x: _arb(x).erf(), values) if is_enclosure(values) else special.erf(values)


def pi_like(values: Any) -> Any:
    """Return pi in the arithmetic of ``values``."""
    return arb.pi() if is_enclosure(values) else np.pi


def softplus(values: Any) -> Any:
    """Return ``log(1 + exp(x))``."""
    return _map(lambda x: _arb(x).exp().log1p(), values) if is_enclosure(values) else np.logaddexp(0.0, values)


def log_sum_exp(values: Any, axis: int = -1) -> Any:
    """Return ``log sum exp`` along an axis."""
    return np.log(np.sum(np.exp(values), axis=axis)) if is_enclosure(values) else special.logsumexp(values, axis=axis)


def softmax(values: Any, axis: int = -1) -> Any:
    """Return the probabilities ``exp(x) / sum exp(x)`` along an axis."""
    if not is_enclosure(values):
        return special.softmax(values, axis=axis)
    raised = np.exp(values)
    return raised / np.sum(raised, axis=axis, keepdims=True)


def x_log_x(values: Any) -> Any:
    """Return ``x log x``, 0 at 0."""
    if not is_enclosure(values):
        return special.xlogy(values, values)
    return _map(lambda x: _arb(x) * 0 if _is_zero(x) else _arb(x) * _arb(x).log(), values)


def _is_zero(x: Any) -> bool:
    return bool(x.is_zero()) if isinstance(x, arb) else x == 0


def _rational(*numbers: Any) -> bool:
    return all(isinstance(number, (int, Fraction, fmpq)) for number in numbers)


def _arb(x: Any) -> arb:
    return arb(fmpq(x.numerator, x.denominator)) if isinstance(x, Fraction) else x if isinstance(x, arb) else arb(x)


def _map(function: Any, values: Any) -> Any:
    array = np.asarray(values, dtype=object)
    result = np.empty(array.shape, dtype=object)
    for index in np.ndindex(array.shape):
        result[index] = function(array[index])
    return result if array.ndim else result[()]


def _map2(function: Any, a: Any, b: Any) -> Any:
    left, right = np.broadcast_arrays(np.asarray(a, dtype=object), np.asarray(b, dtype=object))
    result = np.empty(left.shape, dtype=object)
    for index in np.ndindex(left.shape):
        result[index] = function(left[index], right[index])
    return result if left.ndim else result[()]
