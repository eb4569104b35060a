"""Subdivision: true on the whole box, false with a piece, undecided where both sides touch."""

from fractions import Fraction

import numpy as np
from flint import arb

from collabtheory.rigor import Decision, everywhere


def test_dependency_between_variables_is_overcome_by_halving():
    # One box gives x(1-x) in [0, 1]: no use; pieces of it settle 1/4 < 0.26.
    found = everywhere(lambda x: (x * (1 - x), "<", arb("0.26")), {"x": (0, 1)}, "unit")
    assert found.decision is Decision.TRUE
    assert 1 < found.cases < 2_000


def test_a_violation_on_a_small_part_is_found_and_the_piece_contains_it():
    found = everywhere(lambda x: (x, "<", arb("0.999")), {"x": (0, 1)}, "unit")
    assert found.decision is Decision.FALSE
    low, high = (float(end) for end in found.worst["x"].strip("[]").split(","))
    assert high > 0.999
    assert low >= 0.99


def test_sides_that_touch_stay_undecided_within_the_budget():
    found = everywhere(lambda x: (x * (1 - x), "<", arb("0.25")), {"x": (0, 1)}, "unit", most_boxes=500)
    assert found.decision is Decision.UNDECIDED
    assert found.cases == 500
    low, high = (float(end) for end in found.worst["x"].strip("[]").split(","))
    assert abs(low + high - 1) < 0.1


def test_two_variables_are_both_divided_and_their_box_is_covered():
    # sin(x) y <= x y for x, y >= 0, away from x = 0, where both sides meet.
    box = {"x": (Fraction(1, 2), 2), "y": (Fraction(1, 2), 3)}
    found = everywhere(lambda x, y: (x.sin() * y, "<", x * y), box, "box")
    assert found.decision is Decision.TRUE


def test_a_variable_of_one_value_is_no_obstacle():
    found = everywhere(lambda x, c: (x * x, "<=", c), {"x": (-1, 1), "c": (2, 2)}, "square")
    assert found.decision is Decision.TRUE


def test_what_is_no_number_somewhere_is_never_true():
    found = everywhere(lambda x: (x.log(), "<", 10), {"x": (-1, 1)}, "log across 0", most_boxes=200)
    assert found.decision is not Decision.TRUE


def test_a_true_verdict_agrees_with_a_dense_float_grid():
    found = everywhere(lambda x: (x.exp(), "<", 1 + x + x * x), {"x": (Fraction(1, 10), 1)}, "exp")
    grid = np.linspace(0.1, 1, 1001)
    assert (found.decision is Decision.TRUE) == bool(np.all(np.exp(grid) < 1 + grid + grid**2))
