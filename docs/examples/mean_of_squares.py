"""The square of a mean is at most the mean of the squares."""

from __future__ import annotations

import numpy as np
import sympy

from collabtheory.claims import Inequality, Statement, Step, Variable
from collabtheory.rigor import Comparison, Finding, sum_of_squares

P, Q, A, B = sympy.symbols("p q a b", positive=True)


def _two_values() -> Finding:
    difference = (P + Q) * (P * A**2 + Q * B**2) - (P * A + Q * B) ** 2
    return sum_of_squares(difference, [(P * Q, A - B)])


MEAN_OF_SQUARES = Statement(
    identifier="mean_of_squares",
    title="The square of a mean is at most the mean of the squares",
    source="an example of these pages",
    text=r"$\left(\frac{1}{n}\sum_i x_i\right)^2 \le \frac{1}{n}\sum_i x_i^2$ for real numbers $x_1, \ldots, x_n$.",
    assumptions=(r"$n \ge 1$",),
    proof=(
        Step(
            "two_values",
            r"For two values with weights, $(p + q)(pa^2 + qb^2) - (pa + qb)^2 = pq(a - b)^2$.",
            _two_values,
        ),
        "Merge the values two at a time.",
    ),
    limits=("It says nothing about the distance of the two sides.",),
)


def _claim(*, x: np.ndarray) -> Comparison:
    return x.sum() ** 2, "<=", len(x) * (x**2).sum()


def _without_n(*, x: np.ndarray) -> Comparison:
    return x.sum() ** 2, "<=", (x**2).sum()


JENSEN = Inequality(
    MEAN_OF_SQUARES,
    "jensen",
    r"$(\sum_i x_i)^2 \le n \sum_i x_i^2$",
    variables={"x": Variable(("value",))},
    axes={"value": (1, 6)},
    claim=_claim,
    exact=True,
)
N_FORGOTTEN = JENSEN.false_twin("n_forgotten", "the factor $n$ left out", _without_n)
