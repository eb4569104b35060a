"""Proposition 3.1: the PIA loss is distance to the centroid of the user's anchors, plus variance, plus a constant."""

from __future__ import annotations

import numpy as np
import sympy
import torch

from collabtheory.claims import (
    Coverage,
    Evidence,
    Part,
    Rigor,
    Statement,
    Subject,
    Verdict,
    check,
    equal,
    negative_control,
)
from collabtheory.models.item_anchors import alignment_loss
from collabtheory.models.masking import encoder_input

PROPOSITION_3_1 = Statement(
    identifier="proposition_3_1",
    position=6,
    title="The alignment loss pulls the posterior mean to the centroid of the user's item anchors",
    source="arXiv:2511.06781, Proposition 3.1",
    text=(
        "(1/n) sum_i E||z - e_i||^2 = ||mu - ebar||^2 + tr Sigma + (1/n) sum_i ||e_i - ebar||^2,\n"
        "over the user's items i, with z ~ N(mu, Sigma) and ebar the mean of the anchors e_i. The last term has no mu and no Sigma."
    ),
    assumptions=("n >= 1 items", "Sigma finite"),
    proof=(
        "One coordinate, one anchor: E(mu + sigma t - e)^2 = (mu - e)^2 + sigma^2, as E t = 0 and E t^2 = 1.",
        "One coordinate, n anchors, with S1 = sum e_i and S2 = sum e_i^2: "
        "mu^2 - 2 mu S1/n + S2/n = (mu - S1/n)^2 + (S2/n - (S1/n)^2), a polynomial identity in (mu, S1, S2, 1/n).",
        "Sum over coordinates.",
    ),
    limits=(
        "It says where the loss pulls, not that the pull helps ranking.",
        "Where a user's items form several distant groups, the centroid may lie far from every single anchor.",
    ),
)

MU, SIGMA, ANCHOR, T, S1, S2, N = sympy.symbols("mu sigma e t S1 S2 n", real=True)
POINT = {MU: 2, SIGMA: 3, ANCHOR: 5, S1: 7, S2: 29, N: 2}
USERS = 256


@check(PROPOSITION_3_1, stages="none")
def symbolic(subject: Subject) -> Evidence:
    """Discharge both steps of the proof as polynomial identities."""
    return Evidence(
        parts=(
            _identity("one_anchor", _expected_square(), (MU - ANCHOR) ** 2 + SIGMA**2),
            _identity("parallel_axis", _mean_square(), (MU - S1 / N) ** 2 + (S2 / N - (S1 / N) ** 2)),
        )
    )


@negative_control(PROPOSITION_3_1, "variance_twice", "tr Sigma counted twice", stages="none")
def variance_twice(subject: Subject) -> Evidence:
    """Refute step one with 2 sigma^2."""
    return Evidence(parts=(_identity("one_anchor", _expected_square(), (MU - ANCHOR) ** 2 + 2 * SIGMA**2),))


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


@negative_control(PROPOSITION_3_1, "spread_forgotten", "without the spread of the anchors", stages="none")
def spread_forgotten(subject: Subject) -> Evidence:
    """Refute the identity without its last term, on random posteriors of users with several items."""
    rng = subject.rng("spread")
    contents = np.ones((6, 5))
    mu, sigma, anchors = rng.standard_normal((6, 3)), rng.random((6, 3)), rng.standard_normal((5, 3))
    centroid, _ = _centroid_and_spread(contents, anchors)
    right = ((mu - centroid) ** 2).sum(1) + (sigma**2).sum(1)
    left = _by_definition(mu, sigma, contents, anchors)
    text = "definition = centroid distance + variance"
    return Evidence(parts=(equal("identity", text, left, right, cases={"user": np.arange(6)}),))


def _expected_square() -> sympy.Expr:
    polynomial = sympy.Poly(sympy.expand((MU + SIGMA * T - ANCHOR) ** 2), T)
    moments = {0: 1, 1: 0, 2: 1}
    return sum(coefficient * moments[power] for (power,), coefficient in polynomial.terms())


def _mean_square() -> sympy.Expr:
    return (N * MU**2 - 2 * MU * S1 + S2) / N


def _identity(name: str, left: sympy.Expr, right: sympy.Expr) -> Part:
    difference = sympy.simplify(left - right)
    text = f"{sympy.sstr(left)} = {sympy.sstr(right)}"
    if difference == 0:
        return Part(name, text, Verdict.CERTIFIED, Rigor.PROVED, Coverage(1, 1), margin=0.0)
    values: dict[str, float | int | str] = {
        str(symbol): int(POINT[symbol]) for symbol in sorted(difference.free_symbols, key=str)
    }
    gap = sympy.Rational(difference.subs(POINT))
    return Part(
        name,
        text,
        Verdict.VIOLATED,
        Rigor.PROVED,
        Coverage(1, 1),
        margin=-abs(float(gap)),
        worst=values | {"difference": str(gap)},
    )


def _sample(subject: Subject) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, posterior, contents and anchors of some users that have items."""
    eligible = np.flatnonzero(subject.interactions.sizes > 0)
    rows = np.sort(subject.rng("users").permutation(eligible)[:USERS])
    mu, sigma = subject.posterior[rows].numpy()
    anchors = subject.recommender.item_anchors
    if anchors is None:
        anchors = subject.rng("anchors").standard_normal((subject.interactions.n_items, mu.shape[1]))
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
