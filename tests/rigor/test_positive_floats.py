"""Float64 with counted roundings: the claimed interval holds the true value, and ties are left open."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest

from collabtheory.errors import NumericalFailure
from collabtheory.rigor.positive_floats import UNIT, PositiveFloats


def contains(found: PositiveFloats, index: tuple[int, ...], true: Fraction | mpmath.mpf) -> bool:
    reach = 2 * found.roundings * UNIT
    ratio = mpmath.mpf(float(found.values[index])) / (
        mpmath.mpf(true.numerator) / true.denominator if isinstance(true, Fraction) else true
    )
    return bool(1 - reach <= ratio <= 1 + reach)


def test_products_quotients_and_powers_hold_the_exact_rational() -> None:
    rng = np.random.default_rng(0)
    top, bottom = rng.integers(1, 10**6, 200), rng.integers(1, 10**6, 200)
    exponent = rng.integers(0, 40, 200)
    ratio = PositiveFloats.ratios(top, bottom)
    found = (ratio * PositiveFloats.ratios(bottom, top + 1)).power(exponent)
    for k in range(200):
        true = Fraction(int(top[k]), int(top[k]) + 1) ** int(exponent[k])
        assert contains(found, (k,), true)


def test_matrix_product_holds_the_exact_rational() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 1000, (5, 30)), rng.integers(0, 1000, (30, 4))
    found = PositiveFloats.quotients(a.tolist(), [7] * 5) @ PositiveFloats.quotients(b.tolist(), [11] * 30)
    exact = a @ b
    for index in np.ndindex(exact.shape):
        assert contains(found, index, Fraction(int(exact[index]), 77))


def test_exponential_holds_the_value_at_fifty_digits() -> None:
    top = np.array([0, 1, 1, 7, 100, 511, 240])
    bottom = np.array([1, 10**9, 3, 5, 1, 1, 1])
    found = PositiveFloats.ratios(top, bottom).exponential()
    with mpmath.workdps(50):
        for k, (a, b) in enumerate(zip(top.tolist(), bottom.tolist(), strict=True)):
            assert contains(found, (k,), mpmath.exp(mpmath.mpf(a) / b))


def test_equality_is_left_open_and_clear_cases_are_decided() -> None:
    third = PositiveFloats.ratios(np.array([1, 1, 4]), np.array([3, 4, 3]))
    assert (third * PositiveFloats.ratios(3, 1)).at_most_one().tolist() == [0, 1, -1]


def test_numbers_beyond_the_range_are_refused() -> None:
    tiny = PositiveFloats.ratios(np.array([1]), np.array([2**52]))
    with pytest.raises(NumericalFailure, match="range"):
        tiny.power(np.array([30]))
    with pytest.raises(NumericalFailure, match="not exact"):
        PositiveFloats.ratios(2**53, 1)
    with pytest.raises(NumericalFailure, match="at most 512"):
        PositiveFloats.ratios(np.array([600]), np.array([1])).exponential()
    low = PositiveFloats(np.array([[1e-200]]), 1)
    with pytest.raises(NumericalFailure, match="term of the product"):
        low @ low


def test_zero_stays_exactly_zero() -> None:
    found = PositiveFloats.ratios(np.array([0, 0]), np.array([3, 3])).power(np.array([0, 5]))
    assert found.values.tolist() == [1.0, 0.0]
