"""Symbolic steps: what is true is seen, what is false is refuted with a point, what is unclear stays undecided."""

import importlib.util

import pytest
import sympy

from collabtheory.errors import InvalidInput
from collabtheory.rigor import Decision, Means, identities, identity, implied, sum_of_squares

X, Y = sympy.symbols("x y", real=True)
P, Q = sympy.symbols("p q", positive=True)
W = sympy.Symbol("w")


def test_identities_of_several_kinds_are_seen():
    assert identity(sympy.sin(X) ** 2 + sympy.cos(X) ** 2, 1).decision is Decision.TRUE
    assert identity(sympy.log(P * Q), sympy.log(P) + sympy.log(Q)).decision is Decision.TRUE
    assert identity(1 / (P * (P + 1)), 1 / P - 1 / (P + 1)).decision is Decision.TRUE


def test_a_wrong_constant_is_refuted_with_the_point_and_the_difference():
    found = identity((X + Y) ** 2, X**2 + X * Y + Y**2)
    assert found.decision is Decision.FALSE
    point = {X: sympy.Integer(found.worst["x"]), Y: sympy.Integer(found.worst["y"])}
    assert (X * Y).subs(point) == sympy.Integer(found.worst["difference"])
    assert found.margin < 0


def test_sides_that_meet_by_chance_at_one_point_are_refuted_at_another():
    assert identity(X**2, 2 * X).decision is Decision.FALSE


def test_tiny_true_differences_are_not_called_false():
    # Not simplified by sympy, and below what 30 digits can tell from zero.
    found = identity(X + sympy.Rational(1, 10**40), X)
    assert found.decision is not Decision.TRUE


def test_one_false_identity_decides_for_all():
    found = identities([(X + X, 2 * X), (X * X, 2 * X), (X, X)])
    assert found.decision is Decision.FALSE
    with pytest.raises(InvalidInput, match="no identity"):
        identities([])


def test_a_certificate_proves_and_its_means_is_named():
    found = sum_of_squares(X**2 + Y**2 - 2 * X * Y, [(1, X - Y)])
    assert (found.decision, found.means) == (Decision.TRUE, Means.POLYNOMIAL)


def test_a_wrong_certificate_refutes_only_itself():
    assert sum_of_squares(X**2 + 1, [(1, X)]).decision is Decision.UNDECIDED
    assert sum_of_squares(-(X**2) - 1, [(1, X)]).decision is Decision.FALSE


def test_weights_that_may_be_negative_and_roots_that_may_be_imaginary_prove_nothing():
    assert sum_of_squares(X * Y**2, [(X, Y)]).decision is Decision.UNDECIDED
    assert sum_of_squares(-(X**2), [(1, sympy.I * X)]).decision is not Decision.TRUE
    assert sum_of_squares(W**2, [(1, W)]).decision is Decision.UNDECIDED
    assert sum_of_squares(X, [(1, sympy.sqrt(X))]).decision is Decision.UNDECIDED
    assert sum_of_squares(P, [(1, sympy.sqrt(P))]).decision is Decision.TRUE


z3 = pytest.mark.skipif(importlib.util.find_spec("z3") is None, reason="z3 is optional")


@z3
def test_z3_proves_and_refutes_polynomial_implications():
    assert implied([X >= 1, Y >= 1], X * Y >= 1).decision is Decision.TRUE
    found = implied([X >= 0], X**2 >= X)
    assert found.decision is Decision.FALSE
    assert 0 < sympy.Rational(found.worst["x"]) < 1


@z3
def test_z3_gets_rational_numbers_exactly():
    third = sympy.Rational(1, 3)
    assert implied([sympy.Eq(X, third)], sympy.Eq(3 * X, 1)).decision is Decision.TRUE
    # The double next to 1/3 lies below it.
    below = sympy.Rational(*(1 / 3).as_integer_ratio())
    assert implied([sympy.Eq(X, 1)], X * third <= below).decision is Decision.FALSE
    assert implied([sympy.Ne(X, 0)], X**2 > 0).decision is Decision.TRUE


@z3
def test_what_is_no_polynomial_relation_is_refused():
    with pytest.raises(InvalidInput, match="no polynomial relation"):
        implied([X > 0], sympy.exp(X) > 1)
    with pytest.raises(InvalidInput, match="no polynomial relation"):
        implied([sympy.And(X > 0, Y > 0)], X > 0)


def test_without_z3_nothing_is_decided_and_the_way_out_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = implied([X > 0], X > 0)
    assert found.decision is Decision.UNDECIDED
    assert "pip install" in found.detail
