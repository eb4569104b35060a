"""The bracket of the compromise gap: content mismatch times the affinity of the posteriors, without sampling."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import sympy

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
)
from collabtheory.claims.pair_statistics import drawn_pairs, spread
from collabtheory.latent.compromise_bounds import SURPRISE, compromise_gap_bounds
from collabtheory.latent.compromise_gap import jensen_gap, mass_entropy, pointwise_gap, surprise
from collabtheory.latent.overlap_integrals import compromise_gap
from collabtheory.models.likelihoods import LIKELIHOODS
from collabtheory.rigor import Comparison, Decision, Finding, enclose, everywhere, exact, identities, sum_of_squares
from collabtheory.rigor.enclosures import larger, root, smaller

A, B, R, N, K, Y, T = sympy.symbols("a b r n k y t", positive=True)
S, LEAST, C1, C2 = sympy.symbols("s m c_1 c_2", nonnegative=True)
MU, NU, Z, P, Q = sympy.symbols("mu nu z p q", real=True)
LOG_2 = sympy.log(2)

PAIRS, SAMPLES, ERRORS = 256, 256, 5.0


def _weighted_mean() -> Finding:
    """Write (a+b) g_ab minus its least possible value, of Poisson and of multinomial, with nonnegative terms only."""
    d_u, d_v = LEAST + C1, LEAST + C2
    poisson = (d_u * B + d_v * A) / (A + B) - LEAST
    multinomial = (A * N * d_v + B * K * d_u) / (A * N + B * K) - LEAST
    one = sympy.Integer(1)
    findings = (
        sum_of_squares(poisson, [((C1 * B + C2 * A) / (A + B), one)]),
        sum_of_squares(multinomial, [((A * N * C2 + B * K * C1) / (A * N + B * K), one)]),
    )
    return next((found for found in findings if found.decision is not Decision.TRUE), findings[1])


def _entropy_upper() -> Finding:
    """With y = sqrt(w/(1-w)) = e^t: the ratio h(w) / (2 sqrt(w(1-w))) falls in t > 0, from log 2 at t = 0."""
    w, cosh, sinh = Y**2 / (1 + Y**2), (Y + 1 / Y) / 2, (Y - 1 / Y) / 2
    entropy = sympy.log(1 + Y**2) - w * 2 * sympy.log(Y)
    ratio = cosh * (sympy.log(Y**2 + 1) - sympy.log(Y)) - sympy.log(Y) * sinh
    tanh, soft = (Y**2 - 1) / (Y**2 + 1), sympy.Symbol("l", positive=True)
    slope = sympy.log(Y) - tanh * (sympy.log(Y**2 + 1) - sympy.log(Y))
    # soft stands for log(1 + y^-2) <= y^-2, put in at its largest.
    below = (sympy.log(Y) * (1 - tanh) - tanh * soft).subs(soft, Y**-2)
    rest = T * sympy.exp(T) - sympy.exp(T) + 1
    return identities(
        [
            (entropy * (1 + Y**2) / (2 * Y), ratio),
            (ratio.subs(Y, 1), LOG_2),
            (Y * sympy.diff(ratio, Y), -cosh * slope),
            (slope, sympy.log(Y) * (1 - tanh) - tanh * (sympy.log(Y**2 + 1) - 2 * sympy.log(Y))),
            (below, (2 * sympy.log(Y) * Y**2 - Y**2 + 1) / (Y**2 * (Y**2 + 1))),
            (sympy.diff(rest, T), T * sympy.exp(T)),
            (rest.subs(T, 0), 0),
        ]
    )


def _entropy_lower() -> Finding:
    """Check the values and the curvature of D = h(w) - 4 log 2 w(1-w), which is symmetric about 1/2."""
    w = sympy.Symbol("w", positive=True)
    difference = -w * sympy.log(w) - (1 - w) * sympy.log(1 - w) - 4 * LOG_2 * w * (1 - w)
    half = sympy.Rational(1, 2)
    return identities(
        [
            (sympy.limit(difference, w, 0, "+"), 0),
            (difference.subs(w, half), 0),
            (sympy.diff(difference, w).subs(w, half), 0),
            (sympy.diff(difference, w, 2), 8 * LOG_2 - 1 / (w * (1 - w))),
        ]
    )


def _surprise_lower() -> Finding:
    return identities([(sympy.diff(sympy.log(1 + R) - R / (1 + R), R), R / (1 + R) ** 2)])


def _surprise_upper() -> Finding:
    """Enclose log(1 + y^2) <= 0.8048 y for 3/4 <= y <= 32."""
    box = {"y": (Fraction(3, 4), Fraction(32))}
    return everywhere(lambda y: ((1 + y * y).log(), "<=", enclose(SURPRISE) * y), box, "3/4 <= y <= 32")


def _harmonic() -> Finding:
    """Write sqrt(ab)/2 - ab/(a+b), with roots x, y of a, b, as a square."""
    x = sympy.Symbol("x", positive=True)
    return sum_of_squares(x * Y / 2 - x**2 * Y**2 / (x**2 + Y**2), [(x * Y / (2 * (x**2 + Y**2)), x - Y)])


def _exponential() -> Finding:
    """Write 1/(y + 1/y) - y/2 for 0 < y = 1/(1+r) < 1 with nonnegative terms only."""
    y = 1 / (1 + R)
    excess = sympy.cancel(1 / (y + 1 / y) - y / 2)
    factor = sympy.factor(excess)
    return sum_of_squares(excess, [(factor, sympy.Integer(1))])


def _affinity() -> Finding:
    """Complete the square of log sqrt(q_u q_v) in one dimension, and collect its normaliser (to the fourth power)."""
    total = A**2 + B**2
    centre, variance = (MU * B**2 + NU * A**2) / total, 2 * A**2 * B**2 / total
    exponent = -((Z - MU) ** 2) / (4 * A**2) - (Z - NU) ** 2 / (4 * B**2)
    square = -((Z - centre) ** 2) / (2 * variance) - (MU - NU) ** 2 / (4 * total)
    moments = {0: 1, 1: 0, 2: 1, 3: 0, 4: 3}
    quadratic = sympy.Poly(sympy.expand((P + Q * Z + S * (Z**2 - 1)) ** 2), Z)
    second = sum(coefficient * moments[power] for (power,), coefficient in quadratic.terms())
    return identities(
        [
            (exponent, square),
            (variance**2 / (A**2 * B**2), (2 * A * B / total) ** 2),
            (second, P**2 + Q**2 + 2 * S**2),
        ]
    )


def _totals() -> Finding:
    """Subtract the multinomial gap from the Poisson gap: what the two totals n_u, n_v lose."""
    total = A * N + B * K
    own, other = A * sympy.log((A + B) / A), B * sympy.log((A + B) / B)
    poisson = (N - S) * own + (K - S) * other
    multinomial = A * N * sympy.log(total / (A * N)) + B * K * sympy.log(total / (B * K)) - S * (own + other)
    jensen = A * N * sympy.log(N) + B * K * sympy.log(K) - total * sympy.log(total / (A + B))
    return identities([(poisson - multinomial, jensen)])


def _pinsker() -> Finding:
    """Differentiate KL(p, q) - 2 (p - q)^2 of two coins in q, and add up both users' squares."""
    p, q = sympy.symbols("p q", positive=True)
    divergence = p * sympy.log(p / q) + (1 - p) * sympy.log((1 - p) / (1 - q)) - 2 * (p - q) ** 2
    w = sympy.Symbol("w", positive=True)
    return identities(
        [
            (sympy.diff(divergence, q), (q - p) * (1 - 2 * q) ** 2 / (q * (1 - q))),
            (w * (1 - w) ** 2 + (1 - w) * w**2, w * (1 - w)),
        ]
    )


BRACKET = Statement(
    identifier="compromise_bracket",
    position=11,
    title="The compromise gap is content mismatch times overlap, between two closed forms",
    source="collabtheory (new)",
    text=(
        r"With $B = \int \sqrt{q_u q_v}$ (closed form), E the expectation under $\sqrt{q_u q_v}/B$ and "
        r"$B' = \max(B, \exp(-\frac12\sqrt{E\log^2(q_u/q_v)}))$ (closed form, too): Bernoulli "
        r"$2\log 2\,\delta B B' \le C \le 2\log 2\,\delta B$; Gaussian $\frac14\delta B B' \le C \le \frac14\delta B$; "
        r"Poisson, with $m = \min(d_u, d_v)$ and $r = |d_u - d_v|$, "
        r"$(2\log 2\,m + \frac12 r) B B' \le C \le (2\log 2\,m + 0.8048\,r) B$; multinomial: the lower of the Poisson "
        r"upper bound and $2\log 2\,(\sqrt{n_u n_v} - s B') B$, and at least "
        r"$\max(2\log 2\,m, \min(n_u,n_v)(1 - s/\max(n_u,n_v))^2) B B'$."
    ),
    assumptions=(
        "binary contents",
        "posteriors are Gaussian with diagonal covariance, for the closed form of B and B'",
    ),
    proof=(
        Step(
            "weighted_mean",
            r"Poisson and multinomial: $(a+b)\,\partial_a\partial_b g$ is a weighted mean of $d_u$ and $d_v$ (Theorem 2.5), at "
            r"least the smaller (here) and, by the same token, at most the larger. As g is 0 on the axes, "
            r"$\min(d_u,d_v)\,(a+b)h(w) \le g \le \max(d_u,d_v)\,(a+b)h(w)$.",
            _weighted_mean,
        ),
        Step(
            "entropy_upper",
            r"$h(w) \le 2\log 2\sqrt{w(1-w)}$: with $t = \frac12\log\frac{w}{1-w} \ge 0$ the ratio of h to $2\sqrt{w(1-w)}$ is "
            r"$\cosh t\,\log(2\cosh t) - t\sinh t$, $\log 2$ at 0, with derivative $-\cosh t\,(t - \tanh t\,\log(2\cosh t))$. As "
            r"$\log(1+x) \le x$, the bracket is at least $\frac{\tau e^\tau - e^\tau + 1}{e^\tau(e^\tau + 1)}$, $\tau = 2t$, whose "
            r"numerator is 0 at 0 and has derivative $\tau e^\tau \ge 0$.",
            _entropy_upper,
        ),
        Step(
            "entropy_lower",
            r"$h(w) \ge 4\log 2\,w(1-w)$: the difference D is 0 at 0 and at 1/2, flat at 1/2, and its second derivative "
            r"$8\log 2 - \frac{1}{w(1-w)}$ changes sign once on (0, 1/2]. Convex next to 1/2, D is at least 0 there; concave "
            r"before, it is at least 0 between two points where it is.",
            _entropy_lower,
        ),
        Step(
            "surprise_lower",
            r"$a\log\frac{a+b}{a} \ge \frac{ab}{a+b}$, as $\log(1+r) - \frac{r}{1+r}$ is 0 at 0 and increases.",
            _surprise_lower,
        ),
        Step(
            "surprise_upper",
            r"$a\log\frac{a+b}{a} \le 0.8048\sqrt{ab}$, that is $\log(1+y^2) \le 0.8048\,y$: by enclosure for "
            r"$3/4 \le y \le 32$; below, $\log(1+y^2) \le y^2$; above, $\log(1+y^2) \le 4(1+y^2)^{1/4} \le 4.002\sqrt{y}$.",
            _surprise_upper,
        ),
        Step(
            "harmonic",
            r"$\frac{ab}{a+b} \le \frac12\sqrt{ab}$: so $\int\frac{q_u q_v}{q_u+q_v} \le \frac12 B$.",
            _harmonic,
        ),
        Step(
            "exponential",
            r"$\int\frac{q_u q_v}{q_u+q_v} = B\,E\frac{1}{2\cosh(\ell/2)}$ with $\ell = \log q_u/q_v$. Jensen for $1/x$: at least "
            r"$B / E[2\cosh(\ell/2)] = B^2/2$, since $B\,E[2\cosh(\ell/2)] = \int q_u + q_v = 2$. And as "
            r"$\frac{1}{2\cosh(\ell/2)} \ge \frac12 e^{-|\ell|/2}$, Jensen for exp: at least $\frac{B}{2}\exp(-\frac12 E|\ell|)$.",
            _exponential,
        ),
        Step(
            "affinity",
            r"$\sqrt{q_u q_v}$ is a Gaussian again; its mass is the closed form of B. Under it $\ell$ is quadratic in a "
            r"standard normal, of which the second moment is known.",
            _affinity,
        ),
        Step(
            "totals",
            r"The Poisson gap is the multinomial one plus $a n_u\log n_u + b n_v\log n_v - N\log\frac{N}{a+b}$, a Jensen gap of "
            r"the convex $n \log n$: so the multinomial gap is never the larger. Its other upper bound is "
            r"$N h(\pi) - s(a+b)h(w)$ with the two bounds of h above.",
            _totals,
        ),
        Step(
            "pinsker",
            r"Pinsker's inequality (two coins here; data processing does the rest) and "
            r"$\pi(1-\pi)^2 + (1-\pi)\pi^2 = \pi(1-\pi)$: the multinomial gap is at least "
            r"$\frac{n_u n_v ab}{2N}\lVert\frac{x_u}{n_u} - \frac{x_v}{n_v}\rVert_1^2$, with "
            r"$2(1 - s/\max(n_u,n_v))$ for the norm of sets.",
            _pinsker,
        ),
    ),
    limits=(
        "The upper bound is tight where posteriors coincide, and loose by a factor that grows with their distance.",
        "Both are about the Gaussians that the encoder gives, not about the aggregate of codes that a decoder sees.",
    ),
)

_WEIGHTS = {name: Variable(low=0.01, high=100.0, kind="positive") for name in ("q_u", "q_v")}
_SETS = {name: Variable(low=0, high=9, kind="integer") for name in ("d_u", "d_v", "s")}


def _log_2(like: Any) -> Any:
    return np.log(like * 0 + 2)


def _harmonic_mean(q_u: Any, q_v: Any) -> Any:
    return q_u * q_v / (q_u + q_v)


def _entropy_sides(*, q_u: Any, q_v: Any) -> Comparison:
    gap = mass_entropy(q_u, q_v)
    lower, upper = 4 * _log_2(q_u) * _harmonic_mean(q_u, q_v), 2 * _log_2(q_u) * root(q_u * q_v)
    return np.array([lower, gap]), "<=", np.array([gap, upper])


def _smaller_density(*, q_u: Any, q_v: Any) -> Comparison:
    return mass_entropy(q_u, q_v), "<=", 2 * _log_2(q_u) * smaller(q_u, q_v)


ENTROPY = Inequality(
    BRACKET,
    "entropy",
    "4 log 2 ab/(a+b) <= (a+b) h(w) <= 2 log 2 sqrt(ab)",
    variables=_WEIGHTS,
    claim=_entropy_sides,
    # At equal weights all three are one, which float64 cannot order.
    premise=lambda q_u, q_v: ((q_u * 0 + 1, "<=", 1000 * (q_u / q_v - 1) ** 2),),
)
SMALLER_DENSITY = ENTROPY.false_twin(
    "smaller_density", "min(q_u, q_v) in place of their geometric mean", _smaller_density
)


def _both(q_u: Any, q_v: Any, d_u: Any, d_v: Any, s: Any) -> np.ndarray:
    return np.array([pointwise_gap(one, q_u, q_v, d_u + s, d_v + s, s) for one in ("poisson", "multinomial")])


def _set_sides(*, q_u: Any, q_v: Any, d_u: Any, d_v: Any, s: Any) -> Comparison:
    gap, unit = _both(q_u, q_v, d_u, d_v, s), mass_entropy(q_u, q_v)
    least, most = np.array([smaller(d_u, d_v) * unit] * 2), np.array([larger(d_u, d_v) * unit] * 2)
    return np.concatenate([least, gap]), "<=", np.concatenate([gap, most])


def _mean_of_both(*, q_u: Any, q_v: Any, d_u: Any, d_v: Any, s: Any) -> Comparison:
    return _both(q_u, q_v, d_u, d_v, s), "<=", (d_u + d_v) * mass_entropy(q_u, q_v) / 2


SETS = Inequality(
    BRACKET,
    "sets",
    "min(d_u, d_v) (a+b) h(w) <= gap <= max(d_u, d_v) (a+b) h(w), Poisson and multinomial",
    variables={**_WEIGHTS, **_SETS},
    claim=_set_sides,
    premise=lambda q_u, q_v, d_u, d_v, s: ((0, "<", (d_u - d_v) ** 2),),
)
MEAN_OF_BOTH = SETS.false_twin("mean_of_both", "the mean of d_u and d_v in place of the larger", _mean_of_both)


def _surprise_below(constant: float) -> Any:
    def claim(*, q_u: Any, q_v: Any) -> Comparison:
        value = exact(constant)
        return surprise(q_u, q_v), "<=", value.numerator * root(q_u * q_v) / value.denominator

    return claim


ONE_SIDED = Inequality(
    BRACKET,
    "one_sided",
    "a log((a+b)/a) <= 0.8048 sqrt(ab)",
    variables=_WEIGHTS,
    claim=_surprise_below(SURPRISE),
)
CONSTANT_TOO_SMALL = ONE_SIDED.false_twin(
    "constant_too_small", "the constant 0.804 in place of 0.8048", _surprise_below(0.804)
)


def _multinomial_upper(*, q_u: Any, q_v: Any, d_u: Any, d_v: Any, s: Any) -> Comparison:
    n_u, n_v = d_u + s, d_v + s
    gap = pointwise_gap("multinomial", q_u, q_v, n_u, n_v, s)
    return gap, "<=", 2 * _log_2(q_u) * (root(n_u * n_v * q_u * q_v) - 2 * s * _harmonic_mean(q_u, q_v))


SIZES = Inequality(
    BRACKET,
    "sizes",
    "multinomial gap <= 2 log 2 (sqrt(n_u n_v ab) - 2 s ab/(a+b))",
    variables={**_WEIGHTS, **_SETS},
    claim=_multinomial_upper,
    premise=lambda q_u, q_v, d_u, d_v, s: ((0, "<", d_u + d_v),),
)


def _of_counts(profiles: bool) -> Any:
    def claim(*, q_u: Any, q_v: Any, x_u: np.ndarray, x_v: np.ndarray) -> Comparison:
        n_u, n_v = x_u.sum(), x_v.sum()
        most = larger(n_u, n_v)
        difference = x_u / n_u - x_v / n_v if profiles else (x_u - x_v) / most
        distance = np.abs(difference).sum()
        least = n_u * n_v * q_u * q_v * distance**2 / (2 * (q_u * n_u + q_v * n_v))
        return least, "<=", jensen_gap("multinomial", q_u, q_v, x_u, x_v)

    return claim


PROFILES = Inequality(
    BRACKET,
    "profiles",
    "counts: n_u n_v ab/(2N) ||x_u/n_u - x_v/n_v||_1^2 <= multinomial gap",
    variables={
        **{name: Variable(low=0.01, high=4.0, kind="positive") for name in ("q_u", "q_v")},
        **{name: Variable(("item",), low=0, high=4, kind="integer") for name in ("x_u", "x_v")},
    },
    axes={"item": (1, 5)},
    claim=_of_counts(profiles=True),
    # Proportional counts make both sides 0.
    premise=lambda q_u, q_v, x_u, x_v: (
        (0, "<", x_u.sum()),
        (0, "<", x_v.sum()),
        (0, "<", np.abs(x_u * x_v.sum() - x_v * x_u.sum()).sum()),
    ),
)
COUNTS = PROFILES.false_twin(
    "counts_in_place_of_profiles",
    "counts in place of profiles: a strict gap for proportional contents",
    _of_counts(profiles=False),
    premise=lambda q_u, q_v, x_u, x_v: ((0, "<", x_u.sum()), (0, "<", x_v.sum())),
)


@check(BRACKET, stages="every")
def on_posteriors(subject: Subject) -> Evidence:
    """Compare estimates of C on real pairs with both bounds; each side with the estimator that is sharp there."""
    pairs = drawn_pairs(subject.pairs)
    pairs = pairs[pairs["u"] < pairs["v"]]
    pairs = pairs.iloc[np.sort(subject.rng("pairs").permutation(len(pairs))[:PAIRS])]
    p, q = (subject.posterior[pairs[name].to_numpy()] for name in ("u", "v"))
    sizes = pairs[["n_u", "n_v", "shared_items"]].to_numpy().T.astype(np.float64)
    cases = {"u": pairs["u"].to_numpy(), "v": pairs["v"].to_numpy()}
    parts, numbers = [], {}
    # The model's own likelihood last: of equal verdicts it is the one that is shown.
    own = subject.recommender.likelihood
    for likelihood in sorted(LIKELIHOODS, key=lambda name: name == own):
        bounds = compromise_gap_bounds(likelihood, p, q, *sizes)
        rng = subject.rng("codes", likelihood)
        near = compromise_gap(likelihood, p, q, *sizes, n_samples=SAMPLES, rng=rng)
        mixed = compromise_gap(likelihood, p, q, *sizes, n_samples=SAMPLES, rng=rng, proposal="mixture")
        allowed = f"allowing {ERRORS:g} standard errors"
        parts += [
            _part(
                f"lower_{likelihood}",
                f"lower bound <= C by codes of the affinity, {allowed}",
                bounds.lower,
                near.value + ERRORS * near.standard_error,
                cases,
            ),
            _part(
                f"upper_{likelihood}",
                f"C by codes of both users <= upper bound, {allowed}",
                mixed.value - ERRORS * mixed.standard_error,
                bounds.upper,
                cases,
            ),
        ]
        positive = (near.value > 0) & (bounds.lower > 0)
        names = (
            ("tightness", "tightness_lower") if likelihood == own else (f"upper_{likelihood}", f"lower_{likelihood}")
        )
        numbers[names[0]] = spread(
            near.value[positive] / bounds.upper[positive], f"C over its upper bound, {likelihood}"
        )
        numbers[names[1]] = spread(bounds.lower[positive] / near.value[positive], f"lower bound over C, {likelihood}")
    return Evidence(parts=tuple(parts), numbers=numbers)


def _part(name: str, text: str, left: np.ndarray, right: np.ndarray, cases: Any) -> Part:
    part = at_most(name, text, left, right, cases=cases)
    return Part(part.name, part.text, part.verdict, Rigor.STATISTICAL, part.coverage, part.margin, part.worst)
