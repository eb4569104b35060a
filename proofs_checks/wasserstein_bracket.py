"""The two-sided bracket of the Wasserstein distance W_1 between diagonal Gaussians, refereed by optimal transport."""

from __future__ import annotations

from typing import Any

import numpy as np
import ot
import sympy
from flint import arb
from scipy import stats

from collabtheory.claims import (
    Evidence,
    Inequality,
    Part,
    Rigor,
    Statement,
    Step,
    Subject,
    Variable,
    at_most,
    check,
    negative_control,
    step_part,
)
from collabtheory.claims.pair_checks import pair_cases
from collabtheory.claims.pair_statistics import spread
from collabtheory.latent import w1_bounds, w2
from collabtheory.latent.enclosed_wasserstein import enclosed_comonotone_cost, enclosed_w1_on_a_line
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.rigor import Comparison, Finding, identities, identity, sum_of_squares, working_precision
from collabtheory.rigor.enclosures import erf, norm, pi_like, root
from collabtheory.rigor.fixed_cases import on_fixed_cases

A, B, M, T, Z = sympy.symbols("a b m t z", real=True)
A1, A2, B1, B2 = sympy.symbols("a1 a2 b1 b2", real=True)
S, TAU, V, X = sympy.symbols("s tau v x", positive=True)
P, Q = sympy.symbols("p q", nonnegative=True)
DENSITY = sympy.exp(-(T**2) / 2) / sympy.sqrt(2 * sympy.pi)
FOLDED = S * sympy.sqrt(2 / sympy.pi) * sympy.exp(-(M**2) / (2 * S**2)) + M * sympy.erf(M / (S * sympy.sqrt(2)))
"""E|m + s Z|."""


def _norm_is_convex() -> Finding:
    return sum_of_squares((A1**2 + A2**2) * (B1**2 + B2**2) - (A1 * B1 + A2 * B2) ** 2, [(1, A1 * B2 - A2 * B1)])


def _dual_on_a_line() -> Finding:
    """Write both variables from the point where they meet, t0 = -(a - b)/(s - tau)."""
    meeting = -(A - B) / (S - TAU)
    point = A + S * meeting
    return identities(
        [
            (point, B + TAU * meeting),
            (A + S * T - point, S * (T - meeting)),
            (B + TAU * T - point, TAU * (T - meeting)),
            ((A + S * T) - (B + TAU * T), (S - TAU) * (T - meeting)),
        ]
    )


def _folded_mean() -> Finding:
    """Integrate the density from the sign change -m/s to infinity, and from there to minus infinity."""
    cumulative = (1 + sympy.erf(T / sympy.sqrt(2))) / 2
    integral = M * cumulative - S * DENSITY
    total = sympy.limit(integral, T, sympy.oo) + sympy.limit(integral, T, -sympy.oo) - 2 * integral.subs(T, -M / S)
    return identities([(sympy.diff(integral, T), (M + S * T) * DENSITY), (total, FOLDED)])


def _coupling() -> Finding:
    return identity((A + S * T) - (B + TAU * T), (A - B) + (S - TAU) * T)


def _second_moment() -> Finding:
    polynomial = sympy.Poly(sympy.expand((M + S * T) ** 2), T)
    moments = {0: 1, 1: 0, 2: 1}
    return identity(sum(c * moments[power] for (power,), c in polynomial.terms()), M**2 + S**2)


def _jensen() -> Finding:
    return sum_of_squares((P + Q) * (P * A**2 + Q * B**2) - (P * A + Q * B) ** 2, [(P * Q, A - B)])


def _ratio_concave() -> Finding:
    """With s = 1, the slope of E|sqrt(v) + Z| in v is erf(x/sqrt 2)/(2 x) at x = sqrt v."""
    folded = FOLDED.subs(S, 1)
    erf_x = sympy.erf(X / sympy.sqrt(2))
    falls = sympy.diff(erf_x / X, X) * X**2
    inner = X * sympy.sqrt(2 / sympy.pi) * sympy.exp(-(X**2) / 2) - erf_x
    return identities(
        [
            (sympy.diff(folded.subs(M, sympy.sqrt(V)), V), (erf_x / (2 * X)).subs(X, sympy.sqrt(V))),
            (falls, inner),
            (inner.subs(X, 0), sympy.Integer(0)),
        ]
    )


def _ratio_falls() -> Finding:
    erf_x = sympy.erf(X / sympy.sqrt(2))
    inner = X * sympy.sqrt(2 / sympy.pi) * sympy.exp(-(X**2) / 2) - erf_x
    return sum_of_squares(-sympy.diff(inner, X), [(sympy.sqrt(2 / sympy.pi), X * sympy.exp(-(X**2) / 4))])


def _root_as_integral() -> Finding:
    """By parts: the boundary term -2 t^(-1/2) (1 - e^-t) vanishes at both ends, and Gamma(1/2) is left twice."""
    by_parts = sympy.diff(-2 * X ** sympy.Rational(-1, 2) * (1 - sympy.exp(-X)), X)
    rest = X ** sympy.Rational(-3, 2) * (1 - sympy.exp(-X)) - 2 * X ** sympy.Rational(-1, 2) * sympy.exp(-X)
    return identities([(by_parts, rest), (2 * sympy.gamma(sympy.Rational(1, 2)), 2 * sympy.sqrt(sympy.pi))])


def _laplace() -> Finding:
    growth = 1 + 2 * X * S**2
    square = -growth / 2 * (Z + 2 * X * M * S / growth) ** 2 - X * M**2 / growth
    return identity(-X * (M + S * Z) ** 2 - Z**2 / 2, square)


BRACKET = Statement(
    identifier="wasserstein_bracket",
    position=5,
    title="W_1 of diagonal Gaussians lies between two closed forms",
    source="collabtheory (new)",
    text=(
        r"$\sqrt{\sum_j w_j^2} \le W_1 \le \mathbb{E}\lVert \Delta\mu + \Delta\sigma \odot Z\rVert \le W_2$, with "
        r"$\Delta\mu, \Delta\sigma$ the differences of means and standard deviations, "
        r"$w_j = \mathbb{E}|\Delta\mu_j + \Delta\sigma_j Z_j|$ and Z standard normal. The lower bound is at least "
        r"$\sqrt{2/\pi}\, W_2$, and in one dimension both bounds are $W_1$."
    ),
    assumptions=("both posteriors are Gaussian with diagonal covariance", "the ground metric is Euclidean"),
    proof=(
        Step(
            "norm_is_convex",
            r"Lower: for every coupling $\mathbb{E}\lVert X - Y\rVert \ge \lVert(\mathbb{E}|X_j - Y_j|)_j\rVert$ (Jensen), as "
            r"$\lVert a + b\rVert \le \lVert a\rVert + \lVert b\rVert$ by $\langle a,b\rangle^2 \le \lVert a\rVert^2 "
            r"\lVert b\rVert^2$; and $\mathbb{E}|X_j - Y_j|$ is at least the distance on the line.",
            _norm_is_convex,
        ),
        Step(
            "dual_on_a_line",
            r"On the line that distance is $\mathbb{E}|\Delta\mu_j + \Delta\sigma_j Z|$: with one noise both variables meet at "
            r"one point $x_0$ and are $\sigma |t - t_0|$ and $\tau |t - t_0|$ away from it, so the 1-Lipschitz function "
            r"$|x - x_0|$ has exactly that difference of means (Kantorovich). For $\sigma = \tau$ take $\pm x$.",
            _dual_on_a_line,
        ),
        Step(
            "folded_mean",
            r"$\mathbb{E}|m + s Z| = s\sqrt{2/\pi}\, e^{-m^2/2s^2} + m\, \mathrm{erf}(m/(s\sqrt 2))$: an antiderivative of "
            r"$(m + st)$ times the density is $m\Phi - s\phi$, and the sign changes at $-m/s$.",
            _folded_mean,
        ),
        Step(
            "coupling",
            r"Upper: with the same noise for both, $X - Y = \Delta\mu + \Delta\sigma \odot Z$, which is one coupling.",
            _coupling,
        ),
        Step(
            "second_moment",
            r"$\mathbb{E}(m + sZ)^2 = m^2 + s^2$, so its mean square is $W_2^2$,",
            _second_moment,
        ),
        Step(
            "jensen",
            r"and $\mathbb{E}V \le \sqrt{\mathbb{E}V^2}$: two values with weights p, q have "
            r"$(p + q)(pa^2 + qb^2) - (pa + qb)^2 = pq(a - b)^2$; more values by merging two at a time.",
            _jensen,
        ),
        Step(
            "ratio_concave",
            r"Ratio: $\psi(v) = \mathbb{E}|\sqrt v + Z|$ has slope $\mathrm{erf}(x/\sqrt 2)/(2x)$ at $x = \sqrt v$, whose own "
            r"slope has the sign of $x\sqrt{2/\pi}\, e^{-x^2/2} - \mathrm{erf}(x/\sqrt 2)$, 0 at 0,",
            _ratio_concave,
        ),
        Step(
            "ratio_falls",
            r"which falls: minus its slope is $\sqrt{2/\pi}\,(x e^{-x^2/4})^2$. So $\psi$ is concave, and with N standard "
            r"normal $\sqrt{2/\pi}\sqrt{m^2 + 1} = \mathbb{E}\psi(m^2 N^2) \le \psi(m^2)$ ($mN + Z$ is normal).",
            _ratio_falls,
        ),
        Step(
            "root_as_integral",
            r"Evaluation: $\int_0^\infty t^{-3/2}(1 - e^{-tQ})\,dt = 2\sqrt\pi\,\sqrt Q$, by parts for Q = 1 and then by scale;",
            _root_as_integral,
        ),
        Step(
            "laplace",
            r"$\mathbb{E}e^{-t(m + sZ)^2} = (1 + 2ts^2)^{-1/2} e^{-tm^2/(1 + 2ts^2)}$, by completing the square.",
            _laplace,
        ),
    ),
    limits=(
        "The distance of the Gaussians, not of anything that was sampled from them.",
        "W_2 is exact; W_1 is known up to the bracket, exactly in one dimension only.",
        "The upper bound in float64 carries a stated slack: 1e-9 from three similar dimensions on, at most 2e-6.",
    ),
)


def _folded(dm: Any, ds: Any) -> Any:
    """Return E|dm + ds Z| entry by entry, on floats and on enclosures."""
    m, s = np.abs(dm), np.abs(ds)
    still = s == 0
    safe = np.where(still, s + 1, s)
    ratio = m / safe
    value = safe * root(2 / (pi_like(m) + 0 * m)) * np.exp(-(ratio**2) / 2) + m * erf(ratio / root(0 * m + 2))
    return np.where(still, m, value)


def _w2(dm: Any, ds: Any) -> Any:
    return norm(np.concatenate([dm, ds]))


def _lower(dm: Any, ds: Any) -> Any:
    return norm(_folded(dm, ds))


DIFFERENCES = {"dm": Variable(("dimension",)), "ds": Variable(("dimension",))}
ON_A_LINE = {"dimension": (1, 1)}

BELOW_W2 = Inequality(
    BRACKET,
    "below_w2",
    "sqrt(sum w_j^2) <= W_2",
    variables=DIFFERENCES,
    axes={"dimension": (1, 4)},
    claim=lambda *, dm, ds: (_lower(dm, ds), "<=", _w2(dm, ds)),
)
W2_AS_LOWER_BOUND = BELOW_W2.false_twin(
    "w2_as_lower_bound",
    "W_2 in place of the lower bound",
    lambda *, dm, ds: (_w2(dm, ds), "<=", _lower(dm, ds)),
    text="W_2 <= W_1 on the line, where W_1 = E|dm + ds Z|",
    axes=ON_A_LINE,
)
ABOVE_MEANS = Inequality(
    BRACKET,
    "above_means",
    "||dm|| <= sqrt(sum w_j^2)",
    variables=DIFFERENCES,
    axes={"dimension": (1, 4)},
    claim=lambda *, dm, ds: (norm(dm), "<=", _lower(dm, ds)),
)
MEANS_ONLY = ABOVE_MEANS.false_twin(
    "means_only",
    "the distance of the means in place of the upper bound",
    lambda *, dm, ds: (_lower(dm, ds), "<=", norm(dm)),
    text="W_1 <= |dm| on the line, where W_1 = E|dm + ds Z|",
    axes=ON_A_LINE,
)
WORST_RATIO = Inequality(
    BRACKET,
    "worst_ratio",
    "sqrt(2/pi) W_2 <= sqrt(sum w_j^2)",
    variables=DIFFERENCES,
    axes={"dimension": (1, 4)},
    claim=lambda *, dm, ds: (root(2 / (pi_like(dm) + 0 * dm[0])) * _w2(dm, ds), "<=", _lower(dm, ds)),
)


def _expectations(weights: Any, values: Any) -> tuple[Any, Any, Any]:
    """Return (E|V_j|)_j, E||V|| and E||V||^2 of a vector with finitely many values."""
    shares = weights / np.sum(weights)
    lengths = norm(values, axis=1)
    return shares @ np.abs(values), shares @ lengths, shares @ lengths**2


def _ordered(*, weights: np.ndarray, values: np.ndarray) -> Comparison:
    by_coordinate, length, square = _expectations(weights, values)
    return np.array([norm(by_coordinate), length]), "<=", np.array([length, root(square)])


def _summed(*, weights: np.ndarray, values: np.ndarray) -> Comparison:
    by_coordinate, length, _ = _expectations(weights, values)
    return np.sum(by_coordinate), "<=", length


JENSEN = Inequality(
    BRACKET,
    "jensen",
    "||(E|V_j|)_j|| <= E||V|| <= sqrt(E||V||^2) for a vector with finitely many values",
    variables={
        "weights": Variable(("value",), low=0.1, high=4.0, kind="positive"),
        "values": Variable(("value", "dimension")),
    },
    axes={"value": (1, 4), "dimension": (1, 3)},
    claim=_ordered,
)
SUM_OF_COORDINATES = JENSEN.false_twin(
    "sum_of_coordinates", "the sum of the coordinates' distances in place of their norm", _summed
)

LINES = (
    ((0.0, 3.0), (1.0, 1.0)),
    ((0.0, 1.0), (1.0, 1.5)),
    ((0.0, 0.0), (1.0, 3.0)),
    ((-2.0, 0.5), (0.25, 0.5)),
    ((0.0, 50.0), (1.0, 1.125)),
)
"""Means and standard deviations of two laws on the line, exact in binary."""
SPACES = (
    ((1.0,), (0.5,)),
    ((0.0, 0.0), (1.0, 1.0)),
    ((0.25, -2.0), (1.0, 0.25)),
    ((0.0, 0.0), (2.0, 0.125)),
    ((0.5, 1.0, 0.0), (1.0, 0.125, 2.0)),
    ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    ((3.0, 4.0, 0.0), (0.0, 0.0, 0.5)),
)
"""Differences of means and standard deviations in one to three dimensions, exact in binary."""
BITS = 128
SLACK = "2e-6"
"""What the float64 upper bound may lie above E||dm + ds Z||, relative; stated by `comonotone_cost`."""
ROUNDING = "1e-14"


@check(BRACKET, stages="none")
def certified(subject: Subject) -> Evidence:
    """Decide the float64 bounds on fixed cases against integrals that are enclosed by rigorous quadrature."""
    places = "fixed cases in 1 to 3 dimensions"
    with working_precision(BITS):
        exact = np.array([enclosed_comonotone_cost(*case) for case in SPACES], dtype=object)
        more, most = exact * (1 + arb(ROUNDING)), exact * (1 + arb(SLACK))
        found = [
            _float_bounds((np.add(dm, 1), np.add(ds, 1)), (np.ones(len(dm)), np.ones(len(ds)))) for dm, ds in SPACES
        ]
    lower, upper = (np.array([bounds[end] for bounds in found], dtype=object) for end in (0, 1))
    return Evidence(
        parts=(
            step_part("line", f"in one dimension lower = upper = the integral of |F - G|, to {ROUNDING}", _on_lines()),
            step_part("lower", "lower <= E||dm + ds Z||", _at_128_bits(lower, more, places)),
            step_part("upper", "E||dm + ds Z|| <= upper", _at_128_bits(exact, upper * (1 + arb(ROUNDING)), places)),
            step_part("slack", f"upper <= (1 + {SLACK}) E||dm + ds Z||", _at_128_bits(upper, most, places)),
        )
    )


TRANSPORT_PAIRS, TRANSPORT_SAMPLES, REPEATS = 6, 300, 2


@check(BRACKET, stages="last")
def bracket(subject: Subject) -> Evidence:
    """Check the order on every pair, and W_1 itself against exact optimal transport between samples in two dimensions."""
    pairs = subject.pairs
    cases = pair_cases(pairs)
    lower, upper, second = (pairs[name].to_numpy() for name in ("w1_lower", "w1_upper", "w2"))
    apart = second > 0
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
            "tightness": spread(lower[apart] / upper[apart], "lower / upper bound of W_1"),
            "tightness_lower_over_w2": spread(lower[apart] / second[apart], "lower bound / W_2"),
            "tightness_upper_over_w2": spread(upper[apart] / second[apart], "upper bound / W_2"),
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


def _on_lines() -> Finding:
    with working_precision(BITS):
        exact = np.array([enclosed_w1_on_a_line(*case) for case in LINES], dtype=object)
        found = np.array([_float_bounds(*zip(*case, strict=True)) for case in LINES], dtype=object)
        errors = np.abs(found / exact[:, None] - 1).ravel()
    return _at_128_bits(errors, arb(ROUNDING), "both bounds of fixed laws on the line")


def _float_bounds(first: tuple[Any, Any], second: tuple[Any, Any]) -> tuple[arb, arb]:
    """Return the float64 bounds of two laws (mean, standard deviation), exactly as they came out."""
    laws = [DiagonalGaussian(np.atleast_2d(mean), np.atleast_2d(sigma)) for mean, sigma in (first, second)]
    bounds = w1_bounds(*laws)
    return arb(float(bounds.lower[0])), arb(float(bounds.upper[0]))


def _at_128_bits(left: Any, right: Any, cases: str) -> Finding:
    return on_fixed_cases(lambda: (left, "<=", right), cases, precisions=(BITS,))


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
