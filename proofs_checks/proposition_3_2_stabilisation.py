"""Proposition 3.2: the PIA loss draws masked means to the centroid by tau, and cuts their variance by tau squared."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import sympy
from scipy import stats

from collabtheory.claims import (
    Coverage,
    Evidence,
    Inequality,
    Number,
    Part,
    Rigor,
    Statement,
    Step,
    Subject,
    Variable,
    Verdict,
    at_most,
    check,
    step_part,
)
from collabtheory.claims.pair_statistics import share_of, spread
from collabtheory.latent.loss_curvature import CurvatureRange, loss_curvature
from collabtheory.latent.mask_stability import MaskStability, mask_stability, masked_means
from collabtheory.latent.quadratic_alignment import aligned_minimiser, contraction_factor
from collabtheory.models.checkpoints import load_model
from collabtheory.models.recommender import Recommender
from collabtheory.rigor import Comparison, Finding, identities, identity, on_every_case, sum_of_squares
from collabtheory.rigor.enclosures import larger, smaller
from collabtheory.rigor.rational_matrices import cayley, exact_solution, identity_like, reflection

D = 3
"""Coordinates in which the gradient is written out."""
PULL, EIGENVALUE, GAP = sympy.symbols("lambda h g", positive=True)
OPTIMUM, CENTROID, Y, M1, M2 = sympy.symbols("m e y M1 M2", real=True)
S, T = sympy.symbols("s t", nonnegative=True)

EIGENVALUES = (
    ("1", "1", "1", "1"),
    ("1/3", "2", "5/7", "9"),
    ("1e-12", "1e12", "1", "1e-6"),
    ("0", "1e12", "1e-12", "3"),
)
PULLS = ("1e-6", "1/2", "7", "1e6")
OPTIMA = ((3, -1, 2, 5), (-2, 4, 0, 1), (1, 1, -7, 2))
CENTRE = (1, -2, 3, 0)

USERS = {"quick": 64, "full": 128, "paper": 128}
MASKS = {"quick": 16, "full": 32, "paper": 32}
CONDITIONS = (1.0, 1e3, 1e6, 1e9, 1e12)


def _stationarity() -> Finding:
    """Derive J in every coordinate of three, and collect it as (H + 2 lambda I)(mu - e) - H (m - e)."""
    mean, optimum, centroid = (sympy.Matrix(sympy.symbols(f"{name}0:{D}", real=True)) for name in ("mu", "m", "e"))
    hessian = sympy.Matrix(D, D, lambda i, j: sympy.Symbol(f"H{min(i, j)}{max(i, j)}", real=True))
    off, pulled = mean - optimum, mean - centroid
    loss = (off.T * hessian * off)[0] / 2 + PULL * (pulled.T * pulled)[0]
    collected = (hessian + 2 * PULL * sympy.eye(D)) * pulled - hessian * (optimum - centroid)
    return identities([(sympy.diff(loss, mean[k]), collected[k]) for k in range(D)])


def _minimum() -> Finding:
    """In an eigendirection with y = m - e: J(e + t) - J(e + h y / (h + 2 lambda)) is a square."""

    def loss(offset: sympy.Expr) -> sympy.Expr:
        return EIGENVALUE * (offset - Y) ** 2 / 2 + PULL * offset**2

    best = EIGENVALUE / (EIGENVALUE + 2 * PULL) * Y
    offset = sympy.Symbol("x", real=True)
    return sum_of_squares(loss(offset) - loss(best), [((EIGENVALUE + 2 * PULL) / 2, offset - best)])


def _factor_at_most_tau() -> Finding:
    """L = h + g with g > 0: tau - h / (h + 2 lambda) is a positive multiple of g."""
    largest = EIGENVALUE + GAP
    difference = largest / (largest + 2 * PULL) - EIGENVALUE / (EIGENVALUE + 2 * PULL)
    return sum_of_squares(difference, [(2 * PULL * GAP / ((largest + 2 * PULL) * (EIGENVALUE + 2 * PULL)), 1)])


def _contraction() -> Finding:
    return sum_of_squares((S + T) ** 2 * Y**2 - S**2 * Y**2, [(T**2 + 2 * S * T, Y)])


def _variance() -> Finding:
    """E(s m + c)^2 - (E(s m + c))^2 by the moments of m, with c = (1 - s) e."""
    drawn, shift = sympy.Symbol("x", real=True), (1 - S) * CENTROID
    moments = {0: sympy.Integer(1), 1: M1, 2: M2}
    second = sum(
        c * moments[power] for (power,), c in sympy.Poly(sympy.expand((S * drawn + shift) ** 2), drawn).terms()
    )
    return identity(second - (S * M1 + shift) ** 2, S**2 * (M2 - M1**2))


PROPOSITION_3_2 = Statement(
    identifier="proposition_3_2",
    position=31,
    title="In the quadratic model the alignment loss damps what masking does by tau, and its variance by tau squared",
    source="arXiv:2511.06781, Proposition 3.2",
    text=(
        r"The loss $\frac12(\mu - m_b)^\top H(\mu - m_b) + \lambda_A\lVert\mu - \bar e\rVert^2$ with a mask-dependent optimum "
        r"$m_b$ is least at $\mu_b = \bar e + (H + 2\lambda_A I)^{-1}H(m_b - \bar e)$. With L the largest eigenvalue of H and "
        r"$\tau = L/(L + 2\lambda_A)$: $\lVert\mu_b - \bar e\rVert \le \tau\lVert m_b - \bar e\rVert$ for every mask, and the "
        r"total variance of $\mu_b$ over masks is at most $\tau^2$ times that of $m_b$. Along an eigenvector with eigenvalue h "
        r"the factor is exactly $h/(h + 2\lambda_A)$."
    ),
    assumptions=(
        r"$H$ symmetric, $0 \preceq H \preceq L I$, the same for every mask",
        r"$\lambda_A > 0$",
        r"$\bar e$ does not depend on the mask",
    ),
    proof=(
        Step(
            "stationarity",
            r"The gradient is $(H + 2\lambda_A I)(\mu - \bar e) - H(m_b - \bar e)$ (written out for three coordinates).",
            _stationarity,
        ),
        Step(
            "minimum",
            r"In the orthonormal eigenvectors of H, which leave lengths and total variances alone, the loss is a sum over "
            r"coordinates; with $y = m_b - \bar e$, each is larger than at $\frac{h}{h + 2\lambda_A}y$ by a square.",
            _minimum,
        ),
        Step(
            "factor",
            r"$h/(h + 2\lambda_A)$ rises with h, so it is at most $\tau$.",
            _factor_at_most_tau,
        ),
        Step(
            "contraction",
            r"Coordinate by coordinate $s^2y^2 \le \tau^2y^2$ for $0 \le s \le \tau$; the sum is the first claim.",
            _contraction,
        ),
        Step(
            "variance",
            r"$s\,m + (1 - s)e$ has variance $s^2$ times that of m, whatever e: with the step before, the second claim.",
            _variance,
        ),
    ),
    limits=(
        "The variance bound needs one H for all masks. Where H changes with the mask, the mean square distance to the "
        "centroid still shrinks by tau squared, but the variance may grow without limit (see the control).",
        "A trained encoder is not the minimiser of each user's own loss: it is one function of all masked inputs, its "
        "anchors are learned with it, and H is that of its own decoder. There the factors are measured, not proved.",
        "A smaller variance in latent units can be a smaller latent space: hold it against the variance between users.",
    ),
)


def _minimisers(mirror: Any, eigenvalues: Any, optima: Any, centroid: Any, pull: Any, doubled: int = 2) -> Any:
    basis = reflection(mirror)
    factors = eigenvalues / (eigenvalues + doubled * pull)
    return centroid + ((optima - centroid) @ basis * factors) @ basis


def _loss(mean: Any, mirror: Any, eigenvalues: Any, optimum: Any, centroid: Any, pull: Any) -> Any:
    off = (mean - optimum) @ reflection(mirror)
    return np.sum(eigenvalues * off * off) / 2 + pull * np.sum((mean - centroid) * (mean - centroid))


def _tau(eigenvalues: Any, pull: Any) -> Any:
    largest = reduce(larger, np.ravel(eigenvalues))
    return largest / (largest + 2 * pull)


def _variance_of(points: Any) -> Any:
    off = points - np.sum(points, axis=0) / len(points)
    return np.sum(off * off) / len(points)


def _regular(*, mirror: Any, **_: Any) -> tuple[Comparison, ...]:
    return ((0, "<", mirror @ mirror),)


def _moving(*, mirror: Any, optima: Any, **_: Any) -> tuple[Comparison, ...]:
    return (0, "<", mirror @ mirror), (1, "<", 1000 * _variance_of(optima))


def _least(*, other: Any, mirror: Any, eigenvalues: Any, optima: Any, centroid: Any, pull: Any) -> Comparison:
    return _compared(2, other, mirror, eigenvalues, optima, centroid, pull)


def _least_by_half(*, other: Any, mirror: Any, eigenvalues: Any, optima: Any, centroid: Any, pull: Any) -> Comparison:
    return _compared(1, other, mirror, eigenvalues, optima, centroid, pull)


def _compared(
    doubled: int, other: Any, mirror: Any, eigenvalues: Any, optima: Any, centroid: Any, pull: Any
) -> Comparison:
    formula = _minimisers(mirror, eigenvalues, optima[:1], centroid, pull, doubled)[0]
    rest = (mirror, eigenvalues, optima[0], centroid, pull)
    return _loss(formula, *rest), "<=", _loss(other, *rest)


def _closer(*, mirror: Any, eigenvalues: Any, optima: Any, centroid: Any, pull: Any) -> Comparison:
    return _distances(_tau(eigenvalues, pull), mirror, eigenvalues, optima, centroid, pull)


def _closer_by_the_smallest(*, mirror: Any, eigenvalues: Any, optima: Any, centroid: Any, pull: Any) -> Comparison:
    smallest = reduce(smaller, eigenvalues)
    return _distances(smallest / (smallest + 2 * pull), mirror, eigenvalues, optima, centroid, pull)


def _distances(factor: Any, mirror: Any, eigenvalues: Any, optima: Any, centroid: Any, pull: Any) -> Comparison:
    off = _minimisers(mirror, eigenvalues, optima, centroid, pull) - centroid
    return np.sum(off * off, axis=1), "<=", factor**2 * np.sum((optima - centroid) ** 2, axis=1)


def _steadier(*, mirror: Any, eigenvalues: Any, optima: Any, centroid: Any, pull: Any) -> Comparison:
    pulled = _minimisers(mirror, eigenvalues, optima, centroid, pull)
    return _variance_of(pulled), "<=", _tau(eigenvalues, pull) ** 2 * _variance_of(optima)


def _steadier_by_tau_cubed(*, mirror: Any, eigenvalues: Any, optima: Any, centroid: Any, pull: Any) -> Comparison:
    left, _, right = _steadier(mirror=mirror, eigenvalues=eigenvalues, optima=optima, centroid=centroid, pull=pull)
    return left, "<=", right * _tau(eigenvalues, pull)


def _steadier_whatever_the_curvature(
    *, mirror: Any, eigenvalues: Any, optima: Any, centroid: Any, pull: Any
) -> Comparison:
    """As before, with a row of eigenvalues for each mask and L the largest of all."""
    pulled = [
        _minimisers(mirror, own, optimum[None], centroid, pull)[0]
        for own, optimum in zip(eigenvalues, optima, strict=True)
    ]
    return _variance_of(np.stack(pulled)), "<=", _tau(eigenvalues, pull) ** 2 * _variance_of(optima)


_MODEL = {
    "mirror": Variable(("dimension",)),
    "eigenvalues": Variable(("dimension",), low=0.01, high=50.0, kind="positive"),
    "optima": Variable(("mask", "dimension")),
    "centroid": Variable(("dimension",)),
    "pull": Variable(low=0.01, high=10.0, kind="positive"),
}
_AXES = {"dimension": (1, 3), "mask": (2, 4)}

MINIMUM = Inequality(
    PROPOSITION_3_2,
    "minimum",
    "the loss at the formula is at most the loss anywhere else, in exact arithmetic",
    variables={"other": Variable(("dimension",)), **_MODEL},
    axes=_AXES,
    claim=_least,
    premise=_regular,
    exact=True,
)
LAMBDA_ONCE = MINIMUM.false_twin("lambda_once", "lambda_A in place of 2 lambda_A in the minimiser", _least_by_half)

CONTRACTION = Inequality(
    PROPOSITION_3_2,
    "contraction",
    "||mu_b - ebar||^2 <= tau^2 ||m_b - ebar||^2 for every mask, in exact arithmetic",
    variables=_MODEL,
    axes=_AXES,
    claim=_closer,
    premise=_regular,
    exact=True,
)
SMALLEST_EIGENVALUE = CONTRACTION.false_twin(
    "smallest_eigenvalue", "tau by the smallest eigenvalue of H in place of the largest", _closer_by_the_smallest
)

VARIANCE = Inequality(
    PROPOSITION_3_2,
    "variance",
    "total variance of mu_b over masks <= tau^2 times that of m_b, in exact arithmetic",
    variables=_MODEL,
    axes=_AXES,
    claim=_steadier,
    premise=_moving,
    exact=True,
)
TAU_CUBED = VARIANCE.false_twin("tau_cubed", "tau^3 in place of tau^2 for the variance", _steadier_by_tau_cubed)
CURVATURE_OF_THE_MASK = VARIANCE.false_twin(
    "curvature_of_the_mask",
    "a Hessian that changes with the mask",
    _steadier_whatever_the_curvature,
    variables={**_MODEL, "eigenvalues": Variable(("mask", "dimension"), low=0.01, high=50.0, kind="positive")},
)


@check(PROPOSITION_3_2, stages="none")
def exactly(subject: Subject) -> Evidence:
    """Solve fixed rational models exactly, eigenvalues from 0 and 1e-12 to 1e12, and compare without rounding."""
    grid = "Hessians of 1 to 4 dimensions, eigenvalues 0 and 1e-12 to 1e12, two rational bases, weights 1e-6 to 1e6"
    claims = (
        ("solution", "the linear system's solution is the formula along eigenvectors", _exact_solution),
        ("contraction", "||mu_b - ebar||^2 <= tau^2 ||m_b - ebar||^2", _exact_contraction),
        ("variance", "variance of mu_b <= tau^2 times that of m_b", _exact_variance),
        ("attained", "H = L I gives equality in both", _exact_equality),
    )
    return Evidence(
        parts=tuple(step_part(name, text, on_every_case(claim, _models(), grid)) for name, text, claim in claims)
    )


def _models() -> Iterator[dict[str, Any]]:
    for d, spectrum, kind, pull in itertools.product((1, 2, 3, 4), EIGENVALUES, ("mirror", "rotation"), PULLS):
        yield {
            "eigenvalues": np.array([Fraction(value) for value in spectrum[:d]], dtype=object),
            "basis": _basis(kind, d),
            "pull": Fraction(pull),
        }


def _basis(kind: str, d: int) -> np.ndarray:
    if kind == "mirror":
        return reflection(np.array([Fraction(k + 1, 2 * k + 1) for k in range(d)], dtype=object))
    skew = np.full((d, d), Fraction(0), dtype=object)
    for i, j in itertools.combinations(range(d), 2):
        skew[i, j], skew[j, i] = Fraction(i + 1, j + 1), -Fraction(i + 1, j + 1)
    return cayley(skew)


def _solved(eigenvalues: Any, basis: Any, pull: Fraction) -> tuple[Any, Any, Fraction]:
    """Return y = m - ebar of three masks, the exact solutions of (H + 2 lambda I) x = H y, and tau."""
    d = len(eigenvalues)
    hessian = basis * eigenvalues @ basis.T
    offsets = np.array(
        [[Fraction(a - b) for a, b in zip(row[:d], CENTRE, strict=False)] for row in OPTIMA], dtype=object
    )
    pulled = exact_solution(hessian + 2 * pull * identity_like(eigenvalues), hessian @ offsets.T).T
    return offsets, pulled, _tau(eigenvalues, pull)


def _exact_solution(eigenvalues: Any, basis: Any, pull: Fraction) -> Comparison:
    offsets, pulled, _ = _solved(eigenvalues, basis, pull)
    return pulled, "==", offsets @ basis * (eigenvalues / (eigenvalues + 2 * pull)) @ basis.T


def _exact_contraction(eigenvalues: Any, basis: Any, pull: Fraction) -> Comparison:
    offsets, pulled, tau = _solved(eigenvalues, basis, pull)
    return np.sum(pulled * pulled, axis=1), "<=", tau**2 * np.sum(offsets * offsets, axis=1)


def _exact_variance(eigenvalues: Any, basis: Any, pull: Fraction) -> Comparison:
    offsets, pulled, tau = _solved(eigenvalues, basis, pull)
    return _variance_of(pulled), "<=", tau**2 * _variance_of(offsets)


def _exact_equality(eigenvalues: Any, basis: Any, pull: Fraction) -> Comparison | None:
    if len(set(eigenvalues.tolist())) > 1:
        return None
    offsets, pulled, tau = _solved(eigenvalues, basis, pull)
    left = [*np.sum(pulled * pulled, axis=1), _variance_of(pulled)]
    right = [*np.sum(offsets * offsets, axis=1), _variance_of(offsets)]
    return np.array(left, dtype=object), "==", tau**2 * np.array(right, dtype=object)


@check(PROPOSITION_3_2, stages="last")
def on_masked_means(subject: Subject) -> Evidence:
    """Take the encoder's masked means as optima and random Hessians up to condition 1e12: both bounds in float64."""
    rows, means = _masked(subject, subject.recommender, subject.rng("masks"))
    centroids = _centroids(subject, rows, subject.anchors())
    found = [_in_float64(subject, means, centroids, condition) for condition in CONDITIONS]
    near, far, before, after, rounding = (np.concatenate(column) for column in zip(*found, strict=True))
    # Optima that no mask moves leave a variance of nothing but rounding.
    scale = np.maximum(np.maximum(before, after), rounding)
    cases = {"user": np.tile(rows, len(CONDITIONS)), "condition": np.repeat(CONDITIONS, len(rows))}
    return Evidence(
        parts=(
            at_most("contraction", "mean ||mu_b - ebar||^2 <= tau^2 mean ||m_b - ebar||^2", near, far, cases=cases),
            at_most("variance", "variance of mu_b <= tau^2 times that of m_b", after, before, cases=cases, scale=scale),
        ),
        numbers={
            "tightness_contraction": spread(np.sqrt(_ratio(near, far)), "distance over its bound, root mean square"),
            "tightness_variance": spread(_ratio(after, before), "variance over its bound"),
        },
        notes=(
            "Optima are the means of masked real inputs; the Hessians are random, their largest eigenvalue 2 lambda_A.",
        ),
    )


def _in_float64(
    subject: Subject, means: np.ndarray, centroids: np.ndarray, condition: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return per user: squared distance and its bound, the variance's bound, the variance, and what rounds to 0."""
    d = means.shape[2]
    basis, _ = np.linalg.qr(subject.rng("hessian", f"{condition:g}").standard_normal((d, d)))
    hessian = basis * np.geomspace(2.0 / condition, 2.0, d) @ basis.T
    pulled = aligned_minimiser((hessian + hessian.T) / 2, means, centroids, 1.0)
    squared = float(contraction_factor(2.0, 1.0)) ** 2
    distance = [np.square(points - centroids).sum(-1).mean(0) for points in (pulled, means)]
    variance = [points.var(0).sum(-1) for points in (means, pulled)]
    largest = np.square(means).sum(-1).max(0) + np.square(centroids).sum(-1)
    return distance[0], squared * distance[1], squared * variance[0], variance[1], np.finfo(np.float64).eps * largest


@check(PROPOSITION_3_2, stages="ladder")
def on_trained_encoders(subject: Subject) -> Evidence:
    """Measure both factors on encoders trained with and without PIA, under common masks, against tau."""
    models = subject.ladder("alignment")
    kl_weights = {value: _kl_weight(path) for value, path in subject.rungs["alignment"].items()}
    plain = _Encoder(subject, models[0.0], kl_weights[0.0])
    parts: list[Part] = []
    numbers: dict[str, Number] = {"curvature_at_0": spread(plain.curvature.largest, "L without PIA, largest seen")}
    for weight, model in models.items():
        if weight > 0 and model.item_anchors is not None:
            found = _compare(plain, _Encoder(subject, model, kl_weights[weight]), weight)
            parts.extend(found[0])
            numbers |= found[1]
    return Evidence(
        parts=tuple(parts),
        numbers=numbers,
        notes=(
            "One training per weight: intervals are over users. L is the largest curvature that a Lanczos run saw (from "
            "inside), of reconstruction + KL at the clean posterior with PIA; a larger L would make the bound weaker.",
            "The model without PIA has no anchors; its distances are to the centroids of the model with PIA.",
            "A smaller latent space has a larger curvature and a smaller variance alike: tau_squared_plain has the curvature "
            "without PIA, and relative_variance_ratio above 1 says that, held against the variance between users, masking "
            "moves users more with PIA than without.",
            "'assumption fails' says that the encoder does not shrink as the quadratic model would.",
        ),
    )


class _Encoder:
    """What is measured of one trained model; every model sees the same users and masks."""

    def __init__(self, subject: Subject, model: Recommender, kl_weight: float) -> None:
        self.rows, self.means = _masked(subject, model, subject.rng("ladder", "masks"))
        self.centroids = None if model.item_anchors is None else _centroids(subject, self.rows, model.item_anchors)
        self.curvature: CurvatureRange = loss_curvature(
            model.decoder,
            model.likelihood,
            model.posterior(subject.interactions.matrix[self.rows]),
            subject.interactions.dense(self.rows),
            kl_weight=kl_weight,
            rng=subject.rng("ladder", "curvature"),
        )

    def stability(self, centroids: np.ndarray) -> MaskStability:
        return mask_stability(self.means, centroids)


def _compare(plain: _Encoder, aligned: _Encoder, weight: float) -> tuple[list[Part], dict[str, Number]]:
    """Return the parts and numbers of one weight: measured shrinking against tau, user by user."""
    centroids = aligned.centroids
    if centroids is None:
        raise ValueError("a model trained with PIA has anchors")
    with_pia, without = aligned.stability(centroids), plain.stability(centroids)
    tau = contraction_factor(aligned.curvature.largest, weight)
    tau_plain = contraction_factor(plain.curvature.largest, weight)
    at = f"_at_{weight:g}"
    variance, distance = _ratio(with_pia.variance, without.variance), _ratio(with_pia.distance, without.distance)
    relative = _ratio(with_pia.relative_variance, without.relative_variance)
    parts = [
        _shrinks(f"variance{at}", f"variance with PIA ({weight:g}) <= tau^2 variance without", variance, tau**2),
        _shrinks(
            f"distance{at}", f"distance to the centroid with PIA ({weight:g}) <= tau distance without", distance, tau
        ),
    ]
    numbers = {
        f"variance_ratio{at}": _geometric(variance, "variance over masks, with / without PIA"),
        f"tau_squared{at}": spread(tau**2, "tau^2 by the curvature with PIA"),
        f"tau_squared_plain{at}": spread(tau_plain**2, "tau^2 by the curvature without PIA"),
        f"distance_ratio{at}": _geometric(distance, "distance to the centroid, with / without PIA"),
        f"tau{at}": spread(tau, "tau by the curvature with PIA"),
        f"relative_variance_ratio{at}": _geometric(relative, "variance over masks / between users, with / without PIA"),
        f"curvature{at}": spread(aligned.curvature.largest, "L with PIA, largest seen (heuristic)"),
        f"share_indefinite{at}": Number(
            share_of(aligned.curvature.smallest < 0), "users whose H has a negative eigenvalue", n=len(tau)
        ),
    }
    return parts, numbers


def _shrinks(name: str, text: str, ratio: np.ndarray, bound: np.ndarray) -> Part:
    """Compare the mean logarithm of a ratio with that of its bound; beyond it the model does not apply, as it is proved."""
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.log(ratio) - np.log(bound)
    gap = gap[np.isfinite(gap)]
    low, high = _interval(gap)
    verdict = Verdict.SUPPORTED if high < 0 else Verdict.ASSUMPTION_FAILS if low > 0 else Verdict.INCONCLUSIVE
    below = share_of(gap <= 0)
    detail = f"geometric mean of ratio / bound in [{np.exp(low):.3g}, {np.exp(high):.3g}]; {below:.0%} of users below 1"
    return Part(name, text, verdict, Rigor.STATISTICAL, Coverage(len(gap), len(ratio)), detail=detail)


def _geometric(ratio: np.ndarray, label: str) -> Number:
    """Return the geometric mean over users with a 95 % interval."""
    logs = np.log(ratio[ratio > 0])
    low, high = _interval(logs)
    value = np.exp(logs.mean()) if len(logs) else np.nan
    return Number(float(value), label, low=float(np.exp(low)), high=float(np.exp(high)), n=len(logs))


def _interval(values: np.ndarray) -> tuple[float, float]:
    if len(values) < 2:
        return float("-inf"), float("inf")
    reach = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - reach), float(values.mean() + reach)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    ratio: np.ndarray = np.divide(
        numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0
    )
    return ratio


def _masked(subject: Subject, model: Recommender, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return some users that have items, and their means under masks."""
    eligible = np.flatnonzero(subject.interactions.sizes > 0)
    rows = np.sort(subject.rng("stability", "users").permutation(eligible)[: USERS[subject.profile]])
    contents = subject.interactions.matrix[rows]
    return rows, masked_means(model, contents, MASKS[subject.profile], rng=rng)


def _centroids(subject: Subject, rows: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    contents = subject.interactions.matrix[rows]
    centroids: np.ndarray = contents @ anchors / subject.interactions.sizes[rows][:, None]
    return centroids


def _kl_weight(path: Path) -> float:
    """Return beta as the checkpoint has it; unknown counts as 0, which keeps L an estimate from below."""
    training = load_model(path).about.get("training")
    return float(training["beta"]) if isinstance(training, dict) else 0.0
