"""Enclosures contain the truth, by mpmath at 200 digits, and agree with mpmath's own intervals."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from flint import arb, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from collabtheory.errors import InvalidInput
from collabtheory.rigor import enclose, enclosed, exact, rationals, working_precision
from collabtheory.rigor import enclosures as e

NUMBERS = st.floats(-20, 20, allow_subnormal=False)
POSITIVE = st.floats(1e-6, 20, allow_subnormal=False)


def contains(ball, wanted):
    """Whether an enclosure holds a number known to 150 digits."""
    with working_precision(600):
        near = arb(mpmath.nstr(wanted, 150))
        # The decimal is rounded: 1 - 1e-151 reads 1.
        return bool((near + arb(0, 1) * abs(near) / 10**149).overlaps(ball)) and ball.rad() < 1e-9


def high(x):
    number = exact(x)
    return mpmath.mpf(number.numerator) / number.denominator


@pytest.fixture(autouse=True)
def digits():
    with mpmath.workdps(200):
        yield


@given(NUMBERS)
def test_a_float_stands_for_its_shortest_decimal(x):
    assert exact(x) == Fraction(repr(x)) == exact(np.float64(x))
    assert float(exact(x)) == x
    with working_precision(128):
        assert enclose(x).contains(fmpq(exact(x).numerator, exact(x).denominator))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "a third", None])
def test_what_is_no_finite_decimal_is_refused(value):
    with pytest.raises(InvalidInput, match="not a finite decimal"):
        exact(value)


def test_arrays_keep_their_shape_and_numbers_stay_numbers():
    assert enclosed(np.zeros((2, 3))).shape == (2, 3)
    assert isinstance(enclosed(0.5), arb)
    assert rationals(np.array([1, 2])).tolist() == [Fraction(1), Fraction(2)]
    assert rationals(0.1) == Fraction(1, 10)


@settings(max_examples=40)
@given(x=NUMBERS)
def test_functions_of_one_number_contain_mpmath(x):
    ball, point = enclose(x), high(x)
    assert contains(e.softplus(ball), mpmath.log1p(mpmath.exp(point)))
    assert contains(e.erf(ball), mpmath.erf(point))
    assert float(e.softplus(x)) == pytest.approx(float(mpmath.log1p(mpmath.exp(point))), rel=1e-14)


@settings(max_examples=40)
@given(x=POSITIVE)
def test_functions_of_one_positive_number_contain_mpmath_and_overlap_its_intervals(x):
    ball, point = enclose(x), high(x)
    assert contains(e.root(ball), mpmath.sqrt(point))
    assert contains(e.x_log_x(ball), point * mpmath.log(point))
    interval = mpmath.iv.mpf(str(x)) * mpmath.iv.log(mpmath.iv.mpf(str(x)))
    low, up = (arb(mpmath.nstr(mpmath.mpf(end), 30)) for end in (interval.a, interval.b))
    assert e.x_log_x(ball).overlaps(low.union(up))


@settings(max_examples=30)
@given(st.lists(NUMBERS, min_size=1, max_size=5))
def test_functions_of_vectors_contain_mpmath(values):
    # exp of 1e-308 is 1 up to the 308th digit; its logarithm needs as many more as are to be compared.
    with mpmath.workdps(700):
        balls, points = enclosed(np.array(values)), [high(x) for x in values]
        total = mpmath.fsum(mpmath.exp(p) for p in points)
        assert contains(e.log_sum_exp(balls), mpmath.log(total))
        assert contains(e.norm(balls), mpmath.sqrt(mpmath.fsum(p * p for p in points)))
        for ball, point in zip(e.softmax(balls), points, strict=True):
            assert contains(ball, mpmath.exp(point) / total)
    assert e.softmax(np.array(values)).sum() == pytest.approx(1.0)


def test_x_log_x_is_zero_at_zero_only_where_it_is_exactly_zero():
    assert e.x_log_x(enclosed(np.array([0, 1]))).tolist() == [0, 0]
    assert not e.x_log_x(arb(0, 1e-9)).is_finite()
    assert e.x_log_x(np.array([0.0, 1.0])).tolist() == [0.0, 0.0]


def test_a_root_reaches_a_little_below_zero_without_becoming_no_number():
    assert e.root(arb(0, 1e-20)).is_finite()
    assert e.root(-1e-20) == 0.0


@given(a=NUMBERS, b=NUMBERS)
def test_larger_and_smaller_are_exact_on_rationals_and_enclose_otherwise(a, b):
    p, q = exact(a), exact(b)
    assert (e.larger(p, q), e.smaller(p, q)) == (max(p, q), min(p, q))
    assert e.larger(enclose(a), enclose(b)).overlaps(enclose(max(a, b)))
    assert e.smaller(enclose(a), enclose(b)).overlaps(enclose(min(a, b)))
    assert (e.larger(a, b), e.smaller(a, b)) == (max(a, b), min(a, b))


def test_the_larger_of_two_overlapping_enclosures_holds_both_ends():
    both = e.larger(arb(0, 1), arb("0.5", "0.1"))
    assert both.contains(arb("0.55"))
    assert both.contains(arb(1))


def test_pi_is_of_the_kind_of_its_argument():
    assert isinstance(e.pi_like(enclose(1)), arb)
    assert e.pi_like(1.0) == np.pi
