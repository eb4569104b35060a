"""Propositions 3.1 and 3.2 with weights on the user's items: the same, with the weighted centroid."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import sympy
import torch
from scipy import sparse

from collabtheory.claims import (
    Evidence,
    Inequality,
    Part,
    Statement,
    Step,
    Subject,
    Variable,
    at_most,
    check,
    equal,
)
from collabtheory.claims.pair_statistics import spread
from collabtheory.models.anchor_weights import centroid_shift, popularity_weights, recency_weights
from collabtheory.models.item_anchors import alignment_loss
from collabtheory.models.recommender import Recommender
from collabtheory.rigor import Comparison, Finding, identities, identity, sum_of_squares
from collabtheory.rigor.enclosures import larger

MU, SIGMA, ANCHOR, T, S1, S2 = sympy.symbols("mu sigma e t S1 S2", real=True)
W, N, MEAN = sympy.symbols("W n wbar", positive=True)
USERS = 256
HALF_LIFE_SHARE = 0.25
"""Half-life of the recency weights, as a share of the whole time that the data span."""


def _one_anchor() -> Finding:
    polynomial = sympy.Poly(sympy.expand((MU + SIGMA * T - ANCHOR) ** 2), T)
    moments = {0: 1, 1: 0, 2: 1}
    expected = sum(coefficient * moments[power] for (power,), coefficient in polynomial.terms())
    return identity(expected, (MU - ANCHOR) ** 2 + SIGMA**2)


def _parallel_axis() -> Finding:
    mean_square = (W * MU**2 - 2 * MU * S1 + S2) / W
    spread_of_anchors = (S2 - 2 * S1 / W * S1 + W * (S1 / W) ** 2) / W
    return identity(mean_square, (MU - S1 / W) ** 2 + spread_of_anchors)


def _pull() -> Finding:
    return identity(sympy.diff((W * MU**2 - 2 * MU * S1 + S2) / W, MU), 2 * (MU - S1 / W))


def _shift() -> Finding:
    """(1/n) sum (w_i / wbar - 1)(e_i - ebar) expanded, with sum w_i = n wbar: the difference of the two centroids."""
    weighted_sum, plain_sum = sympy.symbols("A B", real=True)
    plain = plain_sum / N
    expanded = (weighted_sum / MEAN - plain * N - plain_sum + N * plain) / N
    return identity(expanded, weighted_sum / (N * MEAN) - plain)


def _cauchy_schwarz() -> Finding:
    """For three items, by Lagrange's identity."""
    a, b = sympy.symbols("a0:3", real=True), sympy.symbols("b0:3", real=True)
    inner = sum(x * y for x, y in zip(a, b, strict=True))
    gap = sum(x**2 for x in a) * sum(y**2 for y in b) - inner**2
    return sum_of_squares(gap, [(1, a[i] * b[j] - a[j] * b[i]) for i in range(3) for j in range(i + 1, 3)])


def _two_moments() -> Finding:
    """Identify the mean of (w/wbar - 1)^2 with the squared coefficient of variation."""
    second = sympy.Symbol("Q", real=True)
    return identities([((second / MEAN**2 - 2 * N * MEAN / MEAN + N) / N, (second / N - MEAN**2) / MEAN**2)])


WEIGHTED_CENTROIDS = Statement(
    identifier="weighted_centroids",
    position=32,
    title="With weights on the items the alignment loss pulls to the weighted centroid, and stabilises as before",
    source="This project; extends arXiv:2511.06781, Propositions 3.1 and 3.2",
    text=(
        r"For weights $w_i > 0$ on the user's items, $W = \sum w_i$ and $\bar e_w = \frac{1}{W}\sum w_i e_i$: "
        r"$\frac{1}{W}\sum w_i \mathbb{E}\lVert z - e_i\rVert^2 = \lVert\mu - \bar e_w\rVert^2 + \mathrm{tr}\,\Sigma + "
        r"\frac{1}{W}\sum w_i\lVert e_i - \bar e_w\rVert^2$. Proposition 3.2 holds with $\bar e_w$ in place of $\bar e$. The "
        r"centroid moves by at most the coefficient of variation of the weights times the spread of the anchors: "
        r"$\lVert\bar e_w - \bar e\rVert^2 \le c_w^2\,\frac{1}{n}\sum\lVert e_i - \bar e\rVert^2$."
    ),
    assumptions=(r"$n \ge 1$ items, every $w_i > 0$", r"for Proposition 3.2: the weights do not depend on the mask"),
    proof=(
        Step(
            "one_anchor",
            r"One coordinate, one anchor: $\mathbb{E}(\mu + \sigma t - e)^2 = (\mu - e)^2 + \sigma^2$.",
            _one_anchor,
        ),
        Step(
            "parallel_axis",
            r"One coordinate, $S_1 = \sum w_ie_i$ and $S_2 = \sum w_ie_i^2$: the weighted mean of $(\mu - e_i)^2$ is "
            r"$(\mu - S_1/W)^2$ plus the weighted spread. Summing over coordinates gives the identity.",
            _parallel_axis,
        ),
        Step(
            "pull",
            r"Its derivative in $\mu$ is $2(\mu - \bar e_w)$, that of $\lVert\mu - \bar e_w\rVert^2$: the loss of Proposition "
            r"3.2 changes by a constant only, and its proof applies.",
            _pull,
        ),
        Step("shift", r"$\bar e_w - \bar e = \frac{1}{n}\sum(w_i/\bar w - 1)(e_i - \bar e)$.", _shift),
        Step(
            "cauchy_schwarz",
            r"$(\sum a_ib_i)^2 \le \sum a_i^2\sum b_i^2$, in every coordinate, with $a_i = w_i/\bar w - 1$ (three items; the "
            r"identity of Lagrange is the same for any number).",
            _cauchy_schwarz,
        ),
        Step("variation", r"The mean of $a_i^2$ is $c_w^2$, the squared coefficient of variation.", _two_moments),
    ),
    limits=(
        "It does not say which weights rank better.",
        "Weights taken from the masked input would change with the mask; then Proposition 3.2 does not apply.",
    ),
)


def _mean(values: Any, weights: Any) -> Any:
    return np.sum(weights[:, None] * values, axis=0) / np.sum(weights)


def _sides(mu: Any, variance: Any, anchors: Any, weights: Any) -> tuple[Any, Any, Any]:
    """Return the weighted loss, its part with the mean, and the centroid."""
    total, centroid = np.sum(weights), _mean(anchors, weights)
    left = np.sum(weights * np.sum((mu - anchors) ** 2 + variance, axis=1)) / total
    return left, np.sum((mu - centroid) ** 2 + variance), centroid


def _weighted_spread(anchors: Any, centroid: Any, weights: Any) -> Any:
    return np.sum(weights * np.sum((anchors - centroid) ** 2, axis=1)) / np.sum(weights)


def _identity(*, mu: Any, variance: Any, anchors: Any, weights: Any) -> Comparison:
    left, right, centroid = _sides(mu, variance, anchors, weights)
    return left, "==", right + _weighted_spread(anchors, centroid, weights)


def _with_the_plain_centroid(*, mu: Any, variance: Any, anchors: Any, weights: Any) -> Comparison:
    left, _, _ = _sides(mu, variance, anchors, weights)
    plain = np.sum(anchors, axis=0) / len(anchors)
    return left, "==", np.sum((mu - plain) ** 2 + variance) + _weighted_spread(anchors, plain, weights)


def _with_the_plain_spread(*, mu: Any, variance: Any, anchors: Any, weights: Any) -> Comparison:
    left, right, centroid = _sides(mu, variance, anchors, weights)
    return left, "==", right + np.sum((anchors - centroid) ** 2) / len(anchors)


def _shift_squared(anchors: Any, weights: Any) -> tuple[Any, Any, Any, Any]:
    """Return squared shift, variance and mean of the weights, and plain spread."""
    n, mean = len(anchors), np.sum(weights) / len(weights)
    plain = np.sum(anchors, axis=0) / n
    variance = np.sum((weights - mean) ** 2) / n
    return np.sum((_mean(anchors, weights) - plain) ** 2), variance, mean, np.sum((anchors - plain) ** 2) / n


def _shift_is_bounded(*, anchors: Any, weights: Any) -> Comparison:
    shift, variance, mean, plain_spread = _shift_squared(anchors, weights)
    return shift, "<=", variance / mean**2 * plain_spread


def _shift_by_the_deviation(*, anchors: Any, weights: Any) -> Comparison:
    shift, variance, _, plain_spread = _shift_squared(anchors, weights)
    return shift, "<=", variance * plain_spread


def _apart(*, anchors: Any, weights: Any) -> tuple[Comparison, ...]:
    """Demand anchors and weights that are not all the same: otherwise both sides are 0."""
    _, variance, mean, plain_spread = _shift_squared(anchors, weights)
    return (1, "<", 1000 * plain_spread), (mean**2, "<", 1000 * variance)


def _closer_to(target: Any, optimum: Any, eigenvalues: Any, pull: Any, anchors: Any, weights: Any) -> Comparison:
    """Compare distances to a target of the minimiser, which belongs to the weighted loss, and of the optimum."""
    centroid = _mean(anchors, weights)
    minimiser = centroid + eigenvalues / (eigenvalues + 2 * pull) * (optimum - centroid)
    largest = reduce(larger, eigenvalues)
    tau = largest / (largest + 2 * pull)
    return np.sum((minimiser - target) ** 2), "<=", tau**2 * np.sum((optimum - target) ** 2)


def _stabilises(*, optimum: Any, eigenvalues: Any, pull: Any, anchors: Any, weights: Any) -> Comparison:
    return _closer_to(_mean(anchors, weights), optimum, eigenvalues, pull, anchors, weights)


def _stabilises_at_the_plain(*, optimum: Any, eigenvalues: Any, pull: Any, anchors: Any, weights: Any) -> Comparison:
    return _closer_to(np.sum(anchors, axis=0) / len(anchors), optimum, eigenvalues, pull, anchors, weights)


_WEIGHTED = {
    "anchors": Variable(("item", "dimension")),
    "weights": Variable(("item",), low=0.01, high=10.0, kind="positive"),
}
_AXES = {"dimension": (1, 3), "item": (1, 6)}

IDENTITY = Inequality(
    WEIGHTED_CENTROIDS,
    "identity",
    "weighted definition = weighted centroid distance + variance + weighted spread, in exact arithmetic",
    variables={
        "mu": Variable(("dimension",)),
        "variance": Variable(("dimension",), low=0.01, high=4.0, kind="positive"),
        **_WEIGHTED,
    },
    axes=_AXES,
    claim=_identity,
    exact=True,
)
PLAIN_CENTROID = IDENTITY.false_twin(
    "plain_centroid", "the plain centroid in place of the weighted one", _with_the_plain_centroid
)
PLAIN_SPREAD = IDENTITY.false_twin("plain_spread", "the spread without its weights", _with_the_plain_spread)

SHIFT = Inequality(
    WEIGHTED_CENTROIDS,
    "shift",
    "squared distance of the two centroids <= squared coefficient of variation times spread, in exact arithmetic",
    variables=_WEIGHTED,
    axes={**_AXES, "item": (2, 6)},
    claim=_shift_is_bounded,
    premise=_apart,
    exact=True,
)
DEVIATION = SHIFT.false_twin(
    "deviation_of_the_weights",
    "the standard deviation of the weights in place of their coefficient of variation",
    _shift_by_the_deviation,
)

STABILISATION = Inequality(
    WEIGHTED_CENTROIDS,
    "stabilisation",
    "||mu_b - ebar_w||^2 <= tau^2 ||m_b - ebar_w||^2 in eigenvectors of H, in exact arithmetic",
    variables={
        "optimum": Variable(("dimension",)),
        "eigenvalues": Variable(("dimension",), low=0.01, high=50.0, kind="positive"),
        "pull": Variable(low=0.01, high=10.0, kind="positive"),
        **_WEIGHTED,
    },
    axes={**_AXES, "item": (2, 4)},
    claim=_stabilises,
    exact=True,
)
STABILISED_AT_THE_PLAIN = STABILISATION.false_twin(
    "stabilised_at_the_plain", "distances to the plain centroid", _stabilises_at_the_plain
)


@check(WEIGHTED_CENTROIDS, stages="last")
def on_posteriors(subject: Subject) -> Evidence:
    """Compare both sides on real posteriors and sets, with popularity weights and, where there are times, recency."""
    return _measured(subject, subject.recommender)


@check(WEIGHTED_CENTROIDS, stages="ladder")
def on_learned_anchors(subject: Subject) -> Evidence:
    """Do the same with the anchors that were learned at the largest weight."""
    models = subject.ladder("alignment")
    return _measured(subject, models[max(models)])


def _measured(subject: Subject, recommender: Recommender) -> Evidence:
    data = subject.interactions
    rows, anchors = subject.users_with_items(USERS), subject.anchors(recommender)
    mu, sigma = recommender.posterior(data.matrix[rows]).numpy()
    weightings = {
        "inverse_popularity": popularity_weights(data.matrix),
        "popularity": popularity_weights(data.matrix, -1.0),
    }
    if data.timestamps is not None and np.ptp(data.timestamps) > 0:
        half_life = HALF_LIFE_SHARE * float(np.ptp(data.timestamps))
        weightings["recency"] = recency_weights(data.matrix, data.timestamps, half_life)
    parts: list[Part] = []
    numbers = {}
    for name, weights in weightings.items():
        own = sparse.csr_array(weights[rows])
        parts += _identity_parts(name, rows, mu, sigma, own, anchors)
        found = centroid_shift(own, anchors)
        scale = np.where(found.spread > 0, found.spread, 1.0)
        parts.append(
            at_most(
                f"shift_{name}",
                f"distance of the centroids <= its bound ({name})",
                found.shift,
                found.bound,
                cases={"user": rows},
                # One item, or anchors that agree: both sides are 0 up to rounding.
                scale=scale,
            )
        )
        label = name.replace("_", " ")
        numbers[f"shift_{name}"] = spread(found.shift / scale, f"weighted from plain centroid, in spreads ({label})")
        moved = found.bound > 0
        numbers[f"tightness_{name}"] = spread(
            found.shift[moved] / found.bound[moved], f"shift over its bound ({label})"
        )
    return Evidence(
        parts=tuple(parts),
        numbers=numbers,
        notes=(
            "Posteriors and item sets are the model's and the data's; anchors are its own, or random where it has none.",
        )
        + (() if "recency" in weightings else ("The data have no times: recency weights are not checked here.",)),
    )


def _identity_parts(
    name: str, rows: np.ndarray, mu: np.ndarray, sigma: np.ndarray, weights: sparse.csr_array, anchors: np.ndarray
) -> list[Part]:
    dense = weights.toarray()
    definition, right = [], []
    for w, centre, width in zip(dense, mu, sigma, strict=True):
        own = w > 0
        # The expectation of a square is that over the two points mu +- sigma.
        points = np.stack([centre + width - anchors[own], centre - width - anchors[own]])
        definition.append(np.average(np.square(points).sum(2).mean(0), weights=w[own]))
        centroid = np.average(anchors[own], axis=0, weights=w[own])
        off = np.average(np.square(anchors[own] - centroid).sum(1), weights=w[own])
        right.append(np.square(centre - centroid).sum() + np.square(width).sum() + off)
    given = (torch.from_numpy(array) for array in (mu, sigma, dense, anchors))
    trained = alignment_loss(*given).numpy()
    cases = {"user": rows}
    return [
        equal(
            f"identity_{name}",
            f"definition = weighted centroid distance + variance + weighted spread ({name})",
            np.array(definition),
            np.array(right),
            cases=cases,
        ),
        equal(
            f"trainer_{name}",
            f"definition = the loss that training evaluates ({name})",
            np.array(definition),
            trained,
            cases=cases,
        ),
    ]
