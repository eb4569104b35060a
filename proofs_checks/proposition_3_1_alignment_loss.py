"""Proposition 3.1: the PIA loss is distance to the centroid of the user's anchors, plus variance, plus a constant."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy
import torch

from collabtheory.claims import (
    Evidence,
    Inequality,
    Statement,
    Step,
    Subject,
    Variable,
    check,
    equal,
    negative_control,
    step_part,
)
from collabtheory.models.item_anchors import alignment_loss
from collabtheory.models.masking import encoder_input
from collabtheory.rigor import Comparison, Finding, identity

MU, SIGMA, ANCHOR, T, S1, S2, N = sympy.symbols("mu sigma e t S1 S2 n", real=True)
USERS = 256


def _one_anchor(variance: int = 1) -> Finding:
    polynomial = sympy.Poly(sympy.expand((MU + SIGMA * T - ANCHOR) ** 2), T)
    moments = {0: 1, 1: 0, 2: 1}
    expected = sum(coefficient * moments[power] for (power,), coefficient in polynomial.terms())
    return identity(expected, (MU - ANCHOR) ** 2 + variance * SIGMA**2)


def _parallel_axis() -> Finding:
    return identity((N * MU**2 - 2 * MU * S1 + S2) / N, (MU - S1 / N) ** 2 + (S2 / N - (S1 / N) ** 2))


def _spread() -> Finding:
    """(1/n) sum (e_i - S1/n)^2 = S2/n - (S1/n)^2: expand the square and put in the sums."""
    return identity((S2 - 2 * S1 / N * S1 + N * (S1 / N) ** 2) / N, S2 / N - (S1 / N) ** 2)


PROPOSITION_3_1 = Statement(
    identifier="proposition_3_1",
    position=30,
    title="The alignment loss pulls the posterior mean to the centroid of the user's item anchors",
    source="arXiv:2511.06781, Proposition 3.1",
    text=(
        r"$\frac{1}{n}\sum_{i} \mathbb{E}\lVert z - e_i\rVert^2 = \lVert\mu - \bar e\rVert^2 + \mathrm{tr}\,\Sigma "
        r"+ \frac{1}{n}\sum_{i} \lVert e_i - \bar e\rVert^2$ over the user's items i, with $z \sim N(\mu,\Sigma)$ and "
        r"$\bar e$ the mean of the anchors $e_i$. The last term has no $\mu$ and no $\Sigma$."
    ),
    assumptions=(r"$n \ge 1$ items", r"$\Sigma$ finite"),
    proof=(
        Step(
            "one_anchor",
            r"One coordinate, one anchor: $\mathbb{E}(\mu + \sigma t - e)^2 = (\mu - e)^2 + \sigma^2$, as "
            r"$\mathbb{E} t = 0$ and $\mathbb{E} t^2 = 1$.",
            _one_anchor,
        ),
        Step(
            "parallel_axis",
            r"One coordinate, n anchors with $S_1 = \sum e_i$ and $S_2 = \sum e_i^2$: "
            r"$\mu^2 - 2\mu S_1/n + S_2/n = (\mu - S_1/n)^2 + (S_2/n - (S_1/n)^2)$.",
            _parallel_axis,
        ),
        Step(
            "spread",
            r"The last bracket is the spread $\frac{1}{n}\sum (e_i - \bar e)^2$. Summing over coordinates ends the proof.",
            _spread,
        ),
    ),
    limits=(
        "It says where the loss pulls, not that the pull helps ranking.",
        "Where a user's items form several distant groups, the centroid may lie far from every single anchor.",
    ),
)


def _without_the_spread(*, mu: np.ndarray, variance: np.ndarray, anchors: np.ndarray) -> Comparison:
    """Compare (1/n) sum E||z - e_i||^2 with the right-hand side, the spread of the anchors left out."""
    left, right, _ = _both_sides(mu, variance, anchors)
    return left, "==", right


def _with_the_spread(*, mu: np.ndarray, variance: np.ndarray, anchors: np.ndarray) -> Comparison:
    left, right, spread = _both_sides(mu, variance, anchors)
    return left, "==", right + spread


def _variance_twice(*, mu: np.ndarray, variance: np.ndarray, anchors: np.ndarray) -> Comparison:
    left, right, spread = _both_sides(mu, variance, anchors)
    return left, "==", right + variance.sum() + spread


def _both_sides(mu: np.ndarray, variance: np.ndarray, anchors: np.ndarray) -> tuple[Any, Any, Any]:
    n = len(anchors)
    centroid = anchors.sum(0) / n
    left = ((mu - anchors) ** 2 + variance).sum() / n
    return left, ((mu - centroid) ** 2 + variance).sum(), ((anchors - centroid) ** 2).sum() / n


IDENTITY = Inequality(
    PROPOSITION_3_1,
    "identity",
    "definition = centroid distance + variance + spread, in exact arithmetic",
    variables={
        "mu": Variable(("dimension",)),
        "variance": Variable(("dimension",), low=0.01, high=4.0, kind="positive"),
        "anchors": Variable(("item", "dimension")),
    },
    axes={"dimension": (1, 4), "item": (1, 6)},
    claim=_with_the_spread,
    exact=True,
)
SPREAD_FORGOTTEN = IDENTITY.false_twin("spread_forgotten", "without the spread of the anchors", _without_the_spread)

VARIANCE_TWICE = IDENTITY.false_twin("variance_twice", "tr Sigma counted twice", _variance_twice)


@negative_control(PROPOSITION_3_1, "variance_twice", "tr Sigma counted twice", stages="none")
def variance_twice(subject: Subject) -> Evidence:
    """Refute step one with 2 sigma^2."""
    return Evidence(parts=(step_part("one_anchor", "E(mu + sigma t - e)^2 = (mu - e)^2 + 2 sigma^2", _one_anchor(2)),))


@check(PROPOSITION_3_1, stages="last")
def on_posteriors(subject: Subject) -> Evidence:
    """Compare both sides on real posteriors and sets, and with what training evaluates."""
    rows, mu, sigma, contents, anchors = _sample(subject)
    definition = _by_definition(mu, sigma, contents, anchors)
    centroid, spread = _centroid_and_spread(contents, anchors)
    right = ((mu - centroid) ** 2).sum(1) + (sigma**2).sum(1) + spread
    inputs = encoder_input(subject.interactions.matrix[rows], "mask_only", dtype=torch.float64)
    trained = alignment_loss(torch.from_numpy(mu), torch.from_numpy(sigma), inputs, torch.from_numpy(anchors)).numpy()
    cases = {"user": rows}
    return Evidence(
        parts=(
            equal("identity", "definition = centroid distance + variance + spread", definition, right, cases=cases),
            equal("trainer", "definition = the loss that training evaluates", definition, trained, cases=cases),
        ),
        notes=(
            "Posteriors and item sets are the model's and the data's; anchors are its own, or random where it has none.",
        ),
    )


def _sample(subject: Subject) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, posterior, contents and anchors of some users that have items."""
    rows, anchors = subject.users_with_items(USERS), subject.anchors()
    mu, sigma = subject.posterior[rows].numpy()
    contents = subject.interactions.matrix[rows].toarray().astype(np.float64)
    return rows, mu, sigma, contents, anchors


def _by_definition(mu: np.ndarray, sigma: np.ndarray, contents: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Return the mean over a user's items of E||z - e_i||^2, item by item.

    The expectation of a square is that over the two points mu +- sigma (Gauss-Hermite of order two is exact for it).
    """
    values = []
    for own, centre, width in zip(contents > 0, mu, sigma, strict=True):
        above, below = centre + width - anchors[own], centre - width - anchors[own]
        values.append(np.mean((np.sum(above**2, axis=1) + np.sum(below**2, axis=1)) / 2))
    return np.array(values)


def _centroid_and_spread(contents: np.ndarray, anchors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sizes = contents.sum(1, keepdims=True)
    centroid = contents @ anchors / sizes
    spread = [
        np.mean(np.sum((anchors[own > 0] - centre) ** 2, axis=1))
        for own, centre in zip(contents, centroid, strict=True)
    ]
    return centroid, np.array(spread)
