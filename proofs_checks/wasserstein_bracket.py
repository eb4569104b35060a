"""The two-sided bracket of the Wasserstein distance W_1 between diagonal Gaussians, refereed by optimal transport."""

from __future__ import annotations

import numpy as np
import ot
from scipy import stats

from collabtheory.claims import (
    Evidence,
    Number,
    Part,
    Rigor,
    Statement,
    Subject,
    at_most,
    check,
    negative_control,
)
from collabtheory.latent import w1_bounds, w2
from collabtheory.models.posterior import DiagonalGaussian

BRACKET = Statement(
    identifier="wasserstein_bracket",
    position=5,
    title="W_1 of diagonal Gaussians lies between two closed forms",
    source="collabtheory (new)",
    text=(
        "sqrt(sum_j w_j^2) <= W_1 <= E||dm + ds*Z|| <= W_2, with dm, ds the differences of means and standard deviations,\n"
        "w_j = E|dm_j + ds_j Z_j| and Z standard normal."
    ),
    assumptions=("both posteriors are Gaussian with diagonal covariance", "the ground metric is Euclidean"),
    proof=(
        "Lower: for every coupling E||X - Y|| >= ||(E|X_j - Y_j|)_j|| (Jensen) and E|X_j - Y_j| >= w_j, the 1-D distance.",
        "Upper: X - Y = dm + ds*Z under the comonotone coupling (the same Z for both), which is one coupling.",
        "E||dm + ds*Z|| <= sqrt(E||dm + ds*Z||^2) = W_2 (Jensen).",
    ),
    limits=(
        "The distance of the Gaussians, not of anything that was sampled from them.",
        "W_2 is exact; W_1 is known up to the bracket, exactly in one dimension only.",
    ),
)

TRANSPORT_PAIRS, TRANSPORT_SAMPLES, REPEATS = 6, 300, 2


@check(BRACKET, stages="last")
def bracket(subject: Subject) -> Evidence:
    """Check the order on every pair, and W_1 itself against exact optimal transport between samples in two dimensions."""
    pairs = subject.pairs
    cases = {"u": pairs["u"].to_numpy(), "v": pairs["v"].to_numpy()}
    lower, upper, second = (pairs[name].to_numpy() for name in ("w1_lower", "w1_upper", "w2"))
    p, q, chosen = _planar_pairs(subject)
    bounds = w1_bounds(p, q)
    return Evidence(
        parts=(
            _transport(subject, p, q, chosen, np.asarray(bounds.lower), np.asarray(bounds.upper)),
            _one_dimension(subject),
            at_most("worst_ratio", "sqrt(2/pi) W_2 <= lower", np.sqrt(2 / np.pi) * second, lower, cases=cases),
            at_most("below_w2", "upper <= W_2", upper, second, cases=cases),
            at_most("order", "lower <= upper", lower, upper, cases=cases),
        ),
        principal="order",
        numbers={
            "median_lower_over_w2": _median(lower, second, "median of lower bound / W_2"),
            "median_upper_over_lower": _median(upper, lower, "median of upper / lower bound"),
        },
        notes=(
            "Transport between samples overestimates W_1; it is allowed the measured distance between two samples of one law.",
        ),
    )


@negative_control(BRACKET, "w2_as_lower_bound", "W_2 in place of the lower bound", stages="last")
def w2_as_lower_bound(subject: Subject) -> Evidence:
    """Refute W_2 <= W_1, through the upper bound, on posteriors with one mean and different widths."""
    mu, sigma = subject.posterior[subject.users].numpy()
    p, q = DiagonalGaussian(mu, sigma), DiagonalGaussian(mu, 2.0 * sigma)
    upper = np.asarray(w1_bounds(p, q).upper)
    return Evidence(
        parts=(at_most("order", "W_2 <= upper", np.asarray(w2(p, q)), upper, cases={"user": subject.users}),)
    )


@negative_control(BRACKET, "means_only", "the distance of the means in place of the upper bound", stages="last")
def means_only(subject: Subject) -> Evidence:
    """Refute W_1 <= ||dm|| by transport between samples of posteriors with one mean and different widths."""
    p, q, chosen = _planar_pairs(subject)
    (mu, narrow), (_, wide) = p.numpy(), q.numpy()
    same_mean = DiagonalGaussian(mu, narrow), DiagonalGaussian(mu, 4.0 * np.maximum(narrow, wide))
    return Evidence(parts=(_transport(subject, *same_mean, chosen, np.zeros(len(mu)), np.zeros(len(mu))),))


def _median(numerator: np.ndarray, denominator: np.ndarray, label: str) -> Number:
    ratio = numerator[denominator > 0] / denominator[denominator > 0]
    return Number(float(np.median(ratio)) if len(ratio) else float("nan"), label, n=len(ratio))


def _planar_pairs(subject: Subject) -> tuple[DiagonalGaussian, DiagonalGaussian, np.ndarray]:
    """Return posteriors of a few pairs in their two widest dimensions, where sampled transport is sharp enough."""
    pairs = subject.pairs
    rows = subject.rng("transport").choice(len(pairs), size=min(TRANSPORT_PAIRS, len(pairs)), replace=False)
    mu, sigma = subject.posterior.numpy()
    widest = np.argsort(-mu.std(0), kind="stable")[:2]
    u, v = (pairs[name].to_numpy()[rows] for name in ("u", "v"))
    p = DiagonalGaussian(mu[u][:, widest], sigma[u][:, widest])
    q = DiagonalGaussian(mu[v][:, widest], sigma[v][:, widest])
    return p, q, np.stack([u, v], 1)


def _transport(
    subject: Subject, p: DiagonalGaussian, q: DiagonalGaussian, chosen: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> Part:
    """Check that exact transport between samples lies in [lower, upper] widened by the sampling error."""
    cost = np.zeros(len(lower))
    error = np.zeros(len(lower))
    for repeat in range(REPEATS):
        first = [q_.sample(TRANSPORT_SAMPLES, subject.rng("a", repeat), noise="independent") for q_ in (p, q)]
        second = [q_.sample(TRANSPORT_SAMPLES, subject.rng("b", repeat), noise="independent") for q_ in (p, q)]
        for pair in range(len(lower)):
            cost[pair] += _exact_transport(first[0][pair], second[1][pair]) / REPEATS
            error[pair] += sum(_exact_transport(a[pair], b[pair]) for a, b in zip(first, second, strict=True)) / REPEATS
    outside = np.maximum(np.maximum(lower - cost, cost - upper), 0.0)
    cases = {"u": chosen[:, 0], "v": chosen[:, 1], "lower": lower, "upper": upper, "transport": cost}
    part = at_most("optimal_transport", "transport between samples lies in the bracket", outside, error, cases=cases)
    return Part(part.name, part.text, part.verdict, Rigor.STATISTICAL, part.coverage, part.margin, part.worst)


def _exact_transport(x: np.ndarray, y: np.ndarray) -> float:
    weights = np.full(len(x), 1.0 / len(x))
    return float(ot.emd2(weights, weights, ot.dist(x, y, metric="euclidean")))


def _one_dimension(subject: Subject) -> Part:
    """Check that in one dimension both bounds equal the integral of the difference of quantile functions."""
    mu, sigma = subject.posterior.numpy()
    rows = subject.rng("line").choice(len(mu), size=(2, min(8, len(mu))), replace=True)
    p = DiagonalGaussian(mu[rows[0], :1], sigma[rows[0], :1])
    q = DiagonalGaussian(mu[rows[1], :1], sigma[rows[1], :1])
    level = (np.arange(200_000) + 0.5) / 200_000
    normal = stats.norm.ppf(level)
    quantile = [
        np.abs(a + b * normal).mean() for a, b in zip((p.mu - q.mu)[:, 0], (p.sigma - q.sigma)[:, 0], strict=True)
    ]
    bounds = w1_bounds(p, q)
    distance = np.abs(np.stack([bounds.lower, bounds.upper]) - np.array(quantile)).max(0)
    return at_most(
        "one_dimension",
        "in one dimension lower = upper = the integral over quantiles",
        distance,
        1e-4 * np.maximum(np.asarray(w2(p, q)), 1e-12),
        cases={"u": rows[0], "v": rows[1]},
    )
