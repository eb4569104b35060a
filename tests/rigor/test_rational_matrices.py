"""Rational orthogonal matrices and exact solutions: against their definitions, in exact arithmetic, and numpy."""

from fractions import Fraction

import numpy as np
import pytest

from collabtheory.errors import InvalidInput
from collabtheory.rigor.rational_matrices import cayley, exact_solution, identity_like, reflection


def fractions(values):
    return np.vectorize(Fraction, otypes=[object])(np.asarray(values, dtype=object))


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_a_reflection_is_orthogonal_symmetric_and_turns_its_mirror_round(d):
    mirror = fractions([[3, -1, 2, 5, 7][k] for k in range(d)])
    matrix = reflection(mirror)
    assert np.all(matrix @ matrix.T == identity_like(mirror))
    assert np.all(matrix == matrix.T)
    assert np.all(matrix @ mirror == -mirror)


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_a_cayley_rotation_is_orthogonal_with_determinant_one(d):
    rng = np.random.default_rng(d)
    upper = np.triu(rng.integers(-5, 6, size=(d, d)), 1)
    skew = fractions(upper - upper.T) / Fraction(3)
    matrix = cayley(skew)
    assert np.all(matrix @ matrix.T == identity_like(skew[0]))
    assert np.linalg.det(matrix.astype(float)) == pytest.approx(1.0)


def test_exact_solutions_leave_no_residual_where_float64_has_no_digit_left():
    d = 9
    hilbert = fractions([[Fraction(1, i + j + 1) for j in range(d)] for i in range(d)])
    right = fractions(range(1, d + 1))
    solution = exact_solution(hilbert, right)
    assert np.all(hilbert @ solution == right)
    assert np.all(exact_solution(hilbert, hilbert) == identity_like(right))


def test_what_is_not_skew_or_is_singular_is_refused():
    with pytest.raises(InvalidInput, match="skew"):
        cayley(fractions([[0, 1], [1, 0]]))
    with pytest.raises(InvalidInput, match="singular"):
        exact_solution(fractions([[1, 2], [2, 4]]), fractions([1, 0]))


def test_float64_reflections_match_numpy_to_rounding():
    mirror = np.array([0.3, -2.0, 1.1])
    assert np.allclose(reflection(mirror) @ reflection(mirror).T, np.eye(3), atol=1e-15)
