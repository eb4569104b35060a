"""Theorem 2.5: where posteriors of different contents overlap, every decoder pays the compromise gap."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import sympy
import torch
from flint import acb, arb
from scipy import optimize, special

from collabtheory.claims import (
    Evidence,
    Inequality,
    Number,
    Part,
    Rigor,
    Statement,
    Step,
    Subject,
    Variable,
    at_most,
    check,
    equal,
    step_part,
)
from collabtheory.claims.pair_statistics import drawn_pairs, spread
from collabtheory.latent.compromise_gap import conjugate, jensen_gap, mass_entropy, pointwise_gap
from collabtheory.latent.overlap_integrals import CompromiseGap, compromise_gap, compromise_gap_by_quadrature
from collabtheory.latent.posterior_overlap import log_affinity, log_ratio
from collabtheory.models.likelihoods import LIKELIHOODS, get_likelihood
from collabtheory.models.posterior import DiagonalGaussian
from collabtheory.rigor import (
    Comparison,
    Finding,
    enclose,
    everywhere,
    identities,
    on_every_case,
    sum_of_squares,
    working_precision,
)
from collabtheory.rigor.enclosures import log_sum_exp, softplus
from collabtheory.stats import grouped_jackknife, partial_spearman, spearman

A, B, R, N, K = sympy.symbols("a b r n k", positive=True)
S, OWN, OTHER = sympy.symbols("s d_u d_v", nonnegative=True)
H1, H2, X, Y = sympy.symbols("h_1 h_2 x y", real=True)
M1, M2, M3 = sympy.symbols("r_1:4", positive=True)

GRID_SIZES, GRID_WEIGHTS = 4, (Fraction(1, 1000), Fraction(1, 7), Fraction(1, 2), Fraction(4, 5))
CLOSER = Fraction(1, 10**25)
DISTANCES = (0, 1, 2, 4, 8)
TAIL = 14
PAIRS, SAMPLES, CODES = 256, 256, 4
ERRORS = 5.0
"""Standard errors that an estimate may be off by."""


def _log_once(value: sympy.Expr) -> sympy.Expr:
    return value * sympy.log(value) if value not in (0, 1) else sympy.Integer(0)


_CONJUGATE: dict[str, Callable[[sympy.Expr], sympy.Expr]] = {
    "bernoulli": lambda m: _log_once(m) + _log_once(1 - m),
    "gaussian": lambda m: m**2 / 2,
    "poisson": lambda m: _log_once(m) - m,
}
_SURPRISE_U, _SURPRISE_V = A * sympy.log((A + B) / A), B * sympy.log((A + B) / B)
_GAP = {
    "bernoulli": (OWN + OTHER) * (_SURPRISE_U + _SURPRISE_V),
    "gaussian": (OWN + OTHER) * A * B / (A + B) / 2,
    "poisson": OWN * _SURPRISE_U + OTHER * _SURPRISE_V,
    "multinomial": A * N * sympy.log((A * N + B * K) / (A * N))
    + B * K * sympy.log((A * N + B * K) / (B * K))
    - S * (_SURPRISE_U + _SURPRISE_V),
}
_MIXED = {
    "bernoulli": (OWN + OTHER) / (A + B),
    "gaussian": (OWN + OTHER) * A * B / (A + B) ** 3,
    "poisson": (OWN * B + OTHER * A) / (A + B) ** 2,
    "multinomial": (A * N * (K - S) + B * K * (N - S)) / ((A * N + B * K) * (A + B)),
}
"""The second derivative of each gap in both weights."""


def _rational(left: sympy.Expr, right: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """Return an identity of rational functions over one denominator, which is settled at once."""
    return sympy.cancel(sympy.together(left - right)), sympy.Integer(0)


def _free_optimum() -> Finding:
    """Check that A(eta) - eta m is stationary at the natural parameter of m, with value -A*(m)."""
    eta, m = sympy.Symbol("eta", real=True), 1 / (1 + R)
    one = {
        "bernoulli": (sympy.log(1 + sympy.exp(eta)) - eta * m, -sympy.log(R), m),
        "gaussian": (eta**2 / 2 - eta * R, R, R),
        "poisson": (sympy.exp(eta) - eta * R, sympy.log(R), R),
    }
    pairs = []
    for family, (loss, best, mean) in one.items():
        pairs += [(sympy.diff(loss, eta).subs(eta, best), 0), (loss.subs(eta, best), -_CONJUGATE[family](mean))]
    etas, total = sympy.symbols("eta_1:4", real=True), M1 + M2 + M3
    means = [r / total for r in (M1, M2, M3)]
    softmax_loss = sympy.log(sum(map(sympy.exp, etas))) - sum(e * m for e, m in zip(etas, means, strict=True))
    at = {e: sympy.log(r) for e, r in zip(etas, (M1, M2, M3), strict=True)}
    pairs += [(sympy.diff(softmax_loss, e).subs(at), 0) for e in etas]
    pairs += [(softmax_loss.subs(at), -sum(m * sympy.log(m) for m in means))]
    return identities(pairs)


def _closed_forms() -> Finding:
    """Check item by item, for the four kinds of items: only u's, only v's, shared, nobody's."""
    pairs = []
    for family, star in _CONJUGATE.items():
        for x, y in itertools.product((0, 1), repeat=2):
            mean = sympy.cancel((A * x + B * y) / (A + B))
            gap = A * star(sympy.Integer(x)) + B * star(sympy.Integer(y)) - (A + B) * star(mean)
            pairs.append((gap, _GAP[family].subs({OWN: x * (1 - y), OTHER: y * (1 - x)})))
    return identities(pairs)


def _multinomial_closed_form() -> Finding:
    """Add up N (H(m) - pi H(p_u) - (1 - pi) H(p_v)) over the three kinds of items, whose masses N m are a, b, a + b."""
    total = A * N + B * K
    pi = A * N / total
    masses = {S: A + B, N - S: A, K - S: B}
    in_profiles = (pi / N + (1 - pi) / K, pi / N, (1 - pi) / K)
    mixed = -sum(count * mass * (sympy.log(mass) - sympy.log(total)) for count, mass in masses.items())
    divergence = mixed - A * N * sympy.log(N) - B * K * sympy.log(K)
    half = _GAP["bernoulli"].subs({OWN: N - S, OTHER: N - S}) / 2
    return identities(
        [
            *(_rational(total * m, mass) for m, mass in zip(in_profiles, masses.values(), strict=True)),
            (sympy.expand(sympy.expand_log(divergence - _GAP["multinomial"])), 0),
            (_GAP["multinomial"].subs(K, N), half),
        ]
    )


def _mixed_derivative() -> Finding:
    """Check that each gap vanishes on both axes, and that its mixed second derivative is what is stated."""
    pairs = [_rational(sympy.diff(gap, A, B), _MIXED[family]) for family, gap in _GAP.items()]
    # All but the Gaussian are sums of such terms, in a, b or in a n_u, b n_v.
    pairs += [(sympy.limit(term, w, 0, "+"), 0) for term in (_SURPRISE_U, _GAP["gaussian"]) for w in (A, B)]
    return identities(pairs)


def _square() -> Finding:
    """Write one coordinate of the Gaussian gap as a square, whatever the contents."""
    mean = (A * X + B * Y) / (A + B)
    return sum_of_squares((A * X**2 + B * Y**2 - (A + B) * mean**2) / 2, [(A * B / (A + B) / 2, X - Y)])


def _concave() -> Finding:
    """Check that the pure second derivatives follow from the mixed one, as for every homogeneous function."""
    pairs = [_rational(sympy.diff(gap, A, 2), -B / A * _MIXED[family]) for family, gap in _GAP.items()]
    pairs += [_rational(sympy.diff(gap, B, 2), -A / B * _MIXED[family]) for family, gap in _GAP.items()]
    mixed = sympy.Symbol("m", positive=True)
    form = -B / A * mixed * H1**2 + 2 * mixed * H1 * H2 - A / B * mixed * H2**2
    return identities([*pairs, (form, -mixed * (B * H1 - A * H2) ** 2 / (A * B))])


def _intervals_move_apart() -> Finding:
    """Check that the common length of two intervals, of half-lengths r and t, does not rise as their centres part."""
    halves, steps = [Fraction(i, 3) for i in range(1, 10)], [Fraction(i, 4) for i in range(24)]

    def length(r: Fraction, t: Fraction, distance: Fraction) -> Fraction:
        return max(min(r, distance + t) - max(-r, distance - t), Fraction(0))

    def claim(r: Fraction, t: Fraction, distance: Fraction) -> Comparison:
        return length(r, t, distance + Fraction(1, 4)), "<=", length(r, t, distance)

    cases = ({"r": r, "t": t, "distance": d} for r, t, d in itertools.product(halves, halves, steps))
    return on_every_case(claim, cases, "half-lengths 1/3 to 3, distances 0 to 6 by 1/4")


def _positive_entropy() -> Finding:
    return everywhere(
        lambda w: (0, "<", mass_entropy(w, 1 - w)),
        {"w": (Fraction(1, 1000), Fraction(999, 1000))},
        "0.001 <= w <= 0.999",
    )


THEOREM_2_5 = Statement(
    identifier="theorem_2_5",
    position=10,
    title="Where posteriors of different contents overlap, every decoder pays",
    source="arXiv:2511.06781, Theorem 2.5; the closed forms, the monotonicity and their proofs are this project's own",
    text=(
        r"At a code z let $a = q_u(z)$, $b = q_v(z)$, $w = a/(a+b)$. Whatever its parameters, the decoder loses at z "
        r"at least the Jensen gap $a A^*(x_u) + b A^*(x_v) - (a+b) A^*(m)$ against the two users' own optima, with m the "
        r"weighted mean of their contents. For sets that differ in $\delta = d_u + d_v$ items it is, in nats, "
        r"Bernoulli $(a+b)\,\delta\,h(w)$; Gaussian $\frac12\delta\frac{ab}{a+b}$; "
        r"Poisson $d_u a\log\frac{a+b}{a} + d_v b\log\frac{a+b}{b}$; "
        r"multinomial $(a n_u + b n_v)\,\mathrm{JSD}_\pi(x_u/n_u, x_v/n_v)$ with $\pi = a n_u/(a n_u + b n_v)$. "
        r"It is positive iff $x_u \ne x_v$ (multinomial: $x_u/n_u \ne x_v/n_v$) and both weights are. "
        r"Its integral $C(u,v)$ is largest, and equal to the gap at $a = b = 1$, iff $q_u = q_v$ (unless it is 0 "
        r"throughout); it is 0 for disjoint posteriors, and never rises as the means of two Gaussians move apart along a line."
    ),
    assumptions=(
        "an exponential-family likelihood with the logits as natural parameters",
        "binary contents, for the closed forms; multinomial: no user is empty",
    ),
    proof=(
        Step(
            "free_optimum",
            r"Per unit weight the joint loss is $A(\eta) - \langle\eta, m\rangle$, convex in $\eta$; it is stationary where "
            r"the mean is m, with value $-A^*(m)$. So the free decoder's best is $-(a+b)A^*(m)$, each user's own $-A^*(x)$.",
            _free_optimum,
        ),
        Step(
            "closed_forms",
            r"Bernoulli, Gaussian and Poisson, item by item for items of u only, of v only, of both and of neither "
            r"($0 \log 0 = 0$: binary contents reach their optimum in the limit of infinite logits).",
            _closed_forms,
        ),
        Step(
            "multinomial",
            r"Multinomial: the joint loss is that of $N = a n_u + b n_v$ draws from $m = \pi x_u/n_u + (1-\pi) x_v/n_v$, so "
            r"that the gap is $N$ times the weighted Jensen-Shannon divergence; over the three kinds of items it is "
            r"$N h(\pi) - s\,(a+b)\,h(w)$. For users of equal sizes it is half the Bernoulli gap.",
            _multinomial_closed_form,
        ),
        Step(
            "mixed_derivative",
            r"Each gap g(a, b) is 0 on both axes, so that $g = \int_0^a\int_0^b \partial_a\partial_b g$; the mixed derivative is "
            r"$\frac{\delta}{a+b}$, $\frac{\delta ab}{(a+b)^3}$, $\frac{d_u b + d_v a}{(a+b)^2}$, "
            r"$\frac{a n_u d_v + b n_v d_u}{(a n_u + b n_v)(a+b)}$: positive for $a, b > 0$ iff $\delta > 0$. "
            r"Hence the gap is strictly positive then.",
            _mixed_derivative,
        ),
        Step(
            "any_contents",
            r"Contents that are not binary, Gaussian: each coordinate is $\frac{ab}{2(a+b)}(x - y)^2$.",
            _square,
        ),
        Step("positive_entropy", r"Bernoulli once more, by enclosure: $h(w) > 0$.", _positive_entropy),
        Step(
            "full_overlap",
            r"g is homogeneous of degree 1 and its Hessian is $-\frac{g_{ab}}{ab}$ times the square of $(b, -a)$: concave. "
            r"So (Jensen) $\int g(q_u, q_v) \le g(\int q_u, \int q_v) = g(1, 1)$, with equality only where $q_u = q_v$.",
            _concave,
        ),
        Step(
            "moving_apart",
            r"By the mixed derivative $C = \int\int g_{ab}(s,t)\,\mathrm{vol}(\{q_u > s\} \cap \{q_v > t\})\,ds\,dt$. Level "
            r"sets of Gaussians are ellipsoids about the means; the volume of the intersection of two symmetric convex "
            r"sets never rises as they move apart (Brunn-Minkowski; here on a grid of intervals, in exact arithmetic).",
            _intervals_move_apart,
        ),
    ),
    limits=(
        "A floor for what the two users lose together; it does not say which of the two pays, nor that ranking suffers.",
        "The decoder is free at every code; a real one is smooth and pays more.",
        "Proportional counts have different sufficient statistics and no multinomial gap: only profiles matter there.",
        "More than two users at one code pay more than any pair of them.",
    ),
)


def _excess(likelihood: str, logits: Any, q_u: Any, q_v: Any, x_u: Any, x_v: Any) -> Any:
    """Return what shared logits lose at one code against both users' own optima, by definition."""

    def of(x: Any) -> Any:
        partition = {
            "bernoulli": lambda: np.sum(softplus(logits)),
            "poisson": lambda: np.sum(np.exp(logits)),
            "multinomial": lambda: np.sum(x) * log_sum_exp(logits),
        }[likelihood]()
        return partition - np.sum(logits * x) + conjugate(likelihood, x)

    return q_u * of(x_u) + q_v * of(x_v)


def _closed(likelihood: str, q_u: Any, q_v: Any, x_u: Any, x_v: Any) -> Any:
    return pointwise_gap(likelihood, q_u, q_v, np.sum(x_u), np.sum(x_v), np.sum(x_u * x_v))


def _floor(likelihood: str, gap: Callable[..., Any] = _closed) -> Callable[..., Comparison]:
    def claim(*, logits: np.ndarray, q_u: Any, q_v: Any, x_u: np.ndarray, x_v: np.ndarray) -> Comparison:
        return gap(likelihood, q_u, q_v, x_u, x_v), "<=", _excess(likelihood, logits, q_u, q_v, x_u, x_v)

    return claim


def _in_bits(likelihood: str, q_u: Any, q_v: Any, x_u: Any, x_v: Any) -> Any:
    gap = _closed(likelihood, q_u, q_v, x_u, x_v)
    return gap / np.log(q_u * 0 + 2)


def _unweighted(likelihood: str, q_u: Any, q_v: Any, x_u: Any, x_v: Any) -> Any:
    """N times the divergence with weights 1/2, which the sizes as weights make out of the same closed form."""
    n_u, n_v = np.sum(x_u), np.sum(x_v)
    return (q_u * n_u + q_v * n_v) / (2 * n_u * n_v) * _closed(likelihood, n_v, n_u, x_u, x_v)


_WEIGHTS = {name: Variable(low=0.01, high=4.0, kind="positive") for name in ("q_u", "q_v")}
_CONTENTS = {name: Variable(("item",), kind="binary") for name in ("x_u", "x_v")}
_LOGITS = {"logits": Variable(("item",), low=-6.0, high=6.0)}


def _floor_inequality(likelihood: str) -> Inequality:
    return Inequality(
        THEOREM_2_5,
        f"floor_{likelihood}",
        f"closed form <= what any shared logits lose, {likelihood}",
        variables={**_LOGITS, **_WEIGHTS, **_CONTENTS},
        axes={"item": (1, 5)},
        claim=_floor(likelihood),
        # Equal sets have a gap of 0, where a relative margin in float64 says nothing.
        premise=lambda logits, q_u, q_v, x_u, x_v: _different(q_u, q_v, x_u, x_v),
    )


FLOOR_BERNOULLI = _floor_inequality("bernoulli")
FLOOR_POISSON = _floor_inequality("poisson")
FLOOR_MULTINOMIAL = _floor_inequality("multinomial")
ENTROPY_IN_BITS = FLOOR_BERNOULLI.false_twin(
    "entropy_in_bits", "the binary entropy in bits in place of nats", _floor("bernoulli", _in_bits)
)
UNWEIGHTED = FLOOR_MULTINOMIAL.false_twin(
    "unweighted_divergence",
    "the Jensen-Shannon divergence with weights 1/2 in place of pi",
    _floor("multinomial", _unweighted),
)


def _gaussian_at_mean(factor: Fraction) -> Callable[..., Comparison]:
    def claim(*, q_u: Any, q_v: Any, x_u: np.ndarray, x_v: np.ndarray) -> Comparison:
        mean = (q_u * x_u + q_v * x_v) / (q_u + q_v)
        loss = (q_u * ((mean - x_u) ** 2).sum() + q_v * ((mean - x_v) ** 2).sum()) / 2
        # In the arithmetic of the case: a Fraction, or a float.
        constant = factor if isinstance(loss, Fraction) else float(factor)
        return loss, "==", constant * ((x_u - x_v) ** 2).sum() * q_u * q_v / (q_u + q_v)

    return claim


GAUSSIAN = Inequality(
    THEOREM_2_5,
    "attained_gaussian",
    "the weighted mean loses exactly 1/2 ||x_u - x_v||^2 q_u q_v / (q_u + q_v), in exact arithmetic",
    variables={**_WEIGHTS, "x_u": Variable(("item",)), "x_v": Variable(("item",))},
    axes={"item": (1, 5)},
    claim=_gaussian_at_mean(Fraction(1, 2)),
    # Nearly equal contents cancel in float64.
    premise=lambda q_u, q_v, x_u, x_v: ((1, "<=", 100 * ((x_u - x_v) ** 2).sum()),),
    exact=True,
)
QUARTER = GAUSSIAN.false_twin(
    "quarter", "the factor 1/4 in place of 1/2 in the Gaussian gap", _gaussian_at_mean(Fraction(1, 4))
)


def _different(q_u: Any, q_v: Any, x_u: np.ndarray, x_v: np.ndarray) -> tuple[Comparison, ...]:
    return (0, "<", np.sum(x_u)), (0, "<", np.sum(x_v)), (0, "<", np.sum((x_u - x_v) ** 2))


def _strict(*, q_u: Any, q_v: Any, x_u: np.ndarray, x_v: np.ndarray) -> Comparison:
    return 0, "<", np.array([_closed(likelihood, q_u, q_v, x_u, x_v) for likelihood in LIKELIHOODS])


STRICT = Inequality(
    THEOREM_2_5,
    "strict",
    "different sets and positive weights: the gap is strictly positive, all four likelihoods",
    variables={**_WEIGHTS, **_CONTENTS},
    axes={"item": (1, 5)},
    claim=_strict,
    premise=_different,
)
EQUAL_CONTENTS = STRICT.false_twin(
    "strict_for_equal_contents", "a strict gap for equal contents, too", _strict, premise=None
)


def _merged(*, q_u: np.ndarray, q_v: np.ndarray, d_u: Any, d_v: Any, s: Any) -> Comparison:
    sizes = d_u + s, d_v + s, s
    apart = [pointwise_gap(one, q_u, q_v, *sizes).sum() for one in LIKELIHOODS]
    return np.array(apart), "<=", np.array([pointwise_gap(one, q_u.sum(), q_v.sum(), *sizes) for one in LIKELIHOODS])


MERGED = Inequality(
    THEOREM_2_5,
    "merged",
    "telling fewer codes apart never lowers C: sum_k gap(a_k, b_k) <= gap(sum a_k, sum b_k); one cell is full overlap",
    variables={
        **{name: Variable(("cell",), low=0.01, high=4.0, kind="positive") for name in ("q_u", "q_v")},
        **{name: Variable(low=0, high=6, kind="integer") for name in ("d_u", "d_v", "s")},
    },
    axes={"cell": (2, 4)},
    claim=_merged,
)


@check(THEOREM_2_5, stages="none")
def every_small_pair_of_sets(subject: Subject) -> Evidence:
    """Enclose both forms of the gap for all sizes up to four and four weights: equal, and positive iff delta is."""
    cases = list(_small_pairs())
    equal_forms = on_every_case(_forms_agree, cases, f"sets of at most {GRID_SIZES} items, 4 weights, 4 likelihoods")
    positive = on_every_case(_positive, cases, "the same, sets that differ and are not empty")
    zero = on_every_case(_zero, cases, "the same, equal sets, all but multinomial (whose rounding is not exact)")
    return Evidence(
        parts=(
            step_part("jensen_gap", "closed form = Jensen gap to 1e-25", equal_forms),
            step_part("equal_sets", "equal sets: gap = 0 exactly", zero),
            step_part("different_sets", "different sets: gap > 0", positive),
        )
    )


def _small_pairs() -> Iterator[dict[str, Any]]:
    sizes = range(GRID_SIZES + 1)
    for n_u, n_v, s in itertools.product(sizes, repeat=3):
        if s <= min(n_u, n_v):
            for w, likelihood in itertools.product(GRID_WEIGHTS, LIKELIHOODS):
                yield {"likelihood": likelihood, "n_u": n_u, "n_v": n_v, "s": s, "w": w}


def _enclosed_gap(likelihood: str, n_u: int, n_v: int, s: int, w: Fraction) -> Any:
    return pointwise_gap(likelihood, enclose(w), enclose(1 - w), n_u, n_v, s)


def _forms_agree(likelihood: str, n_u: int, n_v: int, s: int, w: Fraction) -> Comparison:
    items = np.arange(n_u + n_v - s + 1)
    x_u, x_v = (items < n_u).astype(int), ((items >= n_u - s) & (items < n_u + n_v - s)).astype(int)
    with working_precision(128):
        gap = jensen_gap(likelihood, enclose(w), enclose(1 - w), x_u.astype(object), x_v.astype(object))
        return abs(gap - _enclosed_gap(likelihood, n_u, n_v, s, w)), "<", CLOSER


def _positive(likelihood: str, n_u: int, n_v: int, s: int, w: Fraction) -> Comparison | None:
    nothing = n_u + n_v == 2 * s or (likelihood == "multinomial" and min(n_u, n_v) == 0)
    return None if nothing else (0, "<", _enclosed_gap(likelihood, n_u, n_v, s, w))


def _zero(likelihood: str, n_u: int, n_v: int, s: int, w: Fraction) -> Comparison | None:
    differ = n_u + n_v > 2 * s or likelihood == "multinomial"
    return None if differ else (_enclosed_gap(likelihood, n_u, n_v, s, w), "==", 0)


@check(THEOREM_2_5, stages="none")
def certified_integrals(subject: Subject) -> Evidence:
    """Enclose C of N(0,1) and N(D,1) for D = 0, 1, 2, 4, 8: g(1,1) at 0, strictly falling, towards 0."""
    values = {likelihood: [_certified_integral(likelihood, d) for d in DISTANCES] for likelihood in _ANALYTIC}

    def falls(likelihood: str, step: int) -> Comparison:
        return values[likelihood][step + 1], "<", values[likelihood][step]

    def at_zero(likelihood: str) -> Comparison:
        return abs(values[likelihood][0] - pointwise_gap(likelihood, arb(1), arb(1), 1, 0, 0)), "<", Fraction(1, 10**12)

    steps = ({"likelihood": one, "step": step} for one in values for step in range(len(DISTANCES) - 1))
    return Evidence(
        parts=(
            step_part(
                "full_overlap", "D = 0: C = g(1, 1) to 1e-12", on_every_case(at_zero, _each(values), "two likelihoods")
            ),
            step_part(
                "moving_apart", "C falls from each D to the next", on_every_case(falls, steps, "D = 0, 1, 2, 4, 8")
            ),
        ),
        numbers={
            f"share_at_{d}": Number(float(value / values["bernoulli"][0]), f"C at D = {d} over C at D = 0, Bernoulli")
            for d, value in zip(DISTANCES[1:], values["bernoulli"][1:], strict=True)
        },
    )


def _each(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"likelihood": one} for one in values]


def _bernoulli_of_ratio(a: acb, b: acb, ratio: acb, analytic: bool) -> acb:
    return a * (1 + (-ratio).exp()).log(analytic=analytic) + b * (1 + ratio.exp()).log(analytic=analytic)


def _gaussian_of_ratio(a: acb, b: acb, ratio: acb, analytic: bool) -> acb:
    return a / (1 + ratio.exp()) / 2


_ANALYTIC = {"bernoulli": _bernoulli_of_ratio, "gaussian": _gaussian_of_ratio}


def _certified_integral(likelihood: str, distance: int) -> arb:
    """Enclose the integral for two users who differ in one item, tails included."""
    gap, scale = _ANALYTIC[likelihood], (2 * arb.pi()).sqrt()

    def integrand(z: acb, analytic: bool) -> acb:
        a, b = (-z * z / 2).exp() / scale, (-((z - distance) ** 2) / 2).exp() / scale
        return gap(a, b, (z - distance) ** 2 / 2 - z * z / 2, analytic)

    inner = acb.integral(integrand, -TAIL, distance + TAIL).real
    # Outside, every gap is below 2 log 2 sqrt(ab), a Gaussian about D/2 times the affinity; its tails in closed form.
    reach = arb(TAIL) + arb(distance) / 2
    tail = 2 * arb(2).log() * (arb(-(distance**2)) / 8).exp() * (reach / arb(2).sqrt()).erfc()
    return inner + tail.union(arb(0))


@check(THEOREM_2_5, stages="none")
def against_numerical_minimisation(subject: Subject) -> Evidence:
    """Minimise over a free decoder at each code, in torch; integrate over codes by quadrature and by sampling."""
    gaps, minima, cases = _minimised()
    # Overlapping, equal and nearly disjoint posteriors.
    p = DiagonalGaussian(np.zeros((3, 2)), np.array([[1.0, 0.5], [1.0, 1.0], [0.3, 0.3]]))
    q = DiagonalGaussian(
        np.array([[1.0, 0.5], [0.0, 0.0], [6.0, -6.0]]), np.array([[1.0, 1.5], [1.0, 1.0], [0.4, 0.3]])
    )
    sizes = np.array([5, 4, 7]), np.array([3, 6, 7]), np.array([2, 4, 3])
    sampled = []
    for likelihood in LIKELIHOODS:
        exact = compromise_gap_by_quadrature(likelihood, p, q, *sizes)
        rng = subject.rng("quadrature", likelihood)
        found = compromise_gap(likelihood, p, q, *sizes, n_samples=4 * SAMPLES, rng=rng)
        text = f"importance sampling within {ERRORS:g} standard errors of quadrature, d = 2, {likelihood}"
        # Equal posteriors have a constant integrand, and no standard error.
        reach = ERRORS * found.standard_error + 1e-9 * exact
        sampled.append(_statistical(f"sampling_{likelihood}", text, np.abs(found.value - exact), reach, _numbered(3)))
    return Evidence(
        parts=(
            *sampled,
            equal("minimised", "least joint loss found = closed form", minima, gaps, cases=cases, tolerance=1e-5),
        )
    )


def _minimised() -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return closed forms and numerical minima of the loss of one shared vector of logits."""
    x_u = torch.tensor([1, 1, 0, 0, 1, 0], dtype=torch.float64)
    x_v = torch.tensor([1, 0, 1, 1, 1, 0], dtype=torch.float64)
    names, gaps, minima, weights = [], [], [], []
    for likelihood, w in itertools.product(LIKELIHOODS, (0.05, 0.5, 0.8)):
        names.append(likelihood)
        weights.append(w)
        gaps.append(float(pointwise_gap(likelihood, w, 1 - w, 3.0, 4.0, 2.0)))
        minima.append(_least_excess(likelihood, w, x_u, x_v))
    return np.array(gaps), np.array(minima), {"likelihood": np.array(names), "w": np.array(weights)}


def _least_excess(likelihood: str, w: float, x_u: torch.Tensor, x_v: torch.Tensor) -> float:
    family = get_likelihood(likelihood)

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        logits = torch.from_numpy(point).requires_grad_()
        value = w * family.loss(logits, x_u) + (1 - w) * family.loss(logits, x_v)
        (gradient,) = torch.autograd.grad(value, logits)
        return float(value.detach()), gradient.numpy()

    found = optimize.minimize(loss, np.zeros(len(x_u)), jac=True, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-7})
    own = w * conjugate(likelihood, x_u.numpy()) + (1 - w) * conjugate(likelihood, x_v.numpy())
    return float(found.fun) + float(own)


@check(THEOREM_2_5, stages="every")
def on_posteriors(subject: Subject) -> Evidence:
    """Estimate C of real pairs: never above full overlap, falling with distance, and a floor for the model's loss."""
    likelihood = subject.recommender.likelihood
    pairs, p, q, sizes = _some_pairs(subject)
    cases = {"u": pairs["u"].to_numpy(), "v": pairs["v"].to_numpy()}
    found = compromise_gap(likelihood, p, q, *sizes, n_samples=SAMPLES, rng=subject.rng("codes"))
    full = np.asarray(pointwise_gap(likelihood, 1.0, 1.0, *sizes))
    paid, floor, codes = _paid_at_codes(subject, pairs, p, q, sizes)
    return Evidence(
        parts=(
            _equal_contents(subject, likelihood, p, q, sizes, cases),
            _far_apart(subject, likelihood, p, q, sizes, cases),
            _falls_with_distance(subject, likelihood, p, q, sizes, found, cases),
            _statistical(
                "full_overlap",
                f"C <= g(1, 1), allowing {ERRORS:g} standard errors",
                found.value - ERRORS * found.standard_error,
                full,
                cases,
            ),
            at_most(
                "decoder_pays",
                "at every sampled code: gap <= what the model's decoder loses against both users' optima",
                floor.ravel(),
                paid.ravel(),
                cases={name: np.repeat(column, codes) for name, column in cases.items()},
            ),
        ),
        principal="decoder_pays",
        numbers=_numbers(pairs, p, q, found, full, paid.mean(1)),
        notes=(
            "The loss of a pair is against each user's own optimum, which an unconstrained decoder reaches if posteriors are disjoint.",
        ),
    )


def _some_pairs(subject: Subject) -> tuple[Any, DiagonalGaussian, DiagonalGaussian, np.ndarray]:
    """Return rows of the pair table drawn at random, one order of each pair, with posteriors and sizes."""
    drawn = drawn_pairs(subject.pairs)
    drawn = drawn[drawn["u"] < drawn["v"]]
    chosen = np.sort(subject.rng("pairs").permutation(len(drawn))[:PAIRS])
    pairs = drawn.iloc[chosen]
    posterior = subject.posterior
    sizes = pairs[["n_u", "n_v", "shared_items"]].to_numpy().T.astype(np.float64)
    return pairs, posterior[pairs["u"].to_numpy()], posterior[pairs["v"].to_numpy()], sizes


def _paid_at_codes(
    subject: Subject, pairs: Any, p: DiagonalGaussian, q: DiagonalGaussian, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return what the decoder loses, and the gap, per unit density at codes of both users, ``(pairs, codes)``."""
    likelihood = subject.recommender.likelihood
    rng = subject.rng("decoder")
    codes = np.concatenate([one.sample(CODES, rng, noise="independent") for one in (p, q)], axis=1)
    weight = special.expit(log_ratio(p, q, codes))
    # A model of the user's own may be in float32; verdicts are not.
    decoder = copy.deepcopy(subject.recommender.decoder).double()
    with torch.no_grad():
        logits = decoder(torch.from_numpy(codes))
    family, matrix = get_likelihood(likelihood), subject.interactions.matrix
    paid = np.zeros(weight.shape)
    for name, share in (("u", weight), ("v", 1 - weight)):
        x = matrix[pairs[name].to_numpy()].toarray().astype(np.float64)
        loss = family.loss(logits, torch.from_numpy(x)[:, None, :]).numpy()
        paid += share * (loss + np.asarray(conjugate(likelihood, x))[:, None])
    floor = np.asarray(pointwise_gap(likelihood, weight, special.expit(-log_ratio(p, q, codes)), *sizes[..., None]))
    return paid, floor, codes.shape[1]


def _equal_contents(
    subject: Subject, likelihood: str, p: DiagonalGaussian, q: DiagonalGaussian, sizes: np.ndarray, cases: Any
) -> Part:
    found = compromise_gap(likelihood, p, q, sizes[0], sizes[0], sizes[0], n_samples=2, rng=subject.rng("equal"))
    text = "the same posteriors, v's set replaced by u's: C = 0"
    return equal("equal_contents", text, found.value, np.zeros(len(found.value)), cases=cases)


def _far_apart(
    subject: Subject, likelihood: str, p: DiagonalGaussian, q: DiagonalGaussian, sizes: np.ndarray, cases: Any
) -> Part:
    (mu, sigma), (nu, tau) = p.numpy(), q.numpy()
    moved = DiagonalGaussian(nu + 60 * (sigma + tau), tau)
    found = compromise_gap(likelihood, p, moved, *sizes, n_samples=8, rng=subject.rng("far"))
    return at_most(
        "far_apart",
        "posteriors moved 60 widths apart: C below 1e-100",
        found.value,
        np.full(len(mu), 1e-100),
        cases=cases,
    )


def _falls_with_distance(
    subject: Subject,
    likelihood: str,
    p: DiagonalGaussian,
    q: DiagonalGaussian,
    sizes: np.ndarray,
    found: CompromiseGap,
    cases: Any,
) -> Part:
    """Move the means of real pairs to half their distance: C does not fall."""
    (mu, _), (nu, tau) = p.numpy(), q.numpy()
    halfway = DiagonalGaussian((mu + nu) / 2, tau)
    nearer = compromise_gap(likelihood, p, halfway, *sizes, n_samples=SAMPLES, rng=subject.rng("nearer"))
    error = np.hypot(found.standard_error, nearer.standard_error)
    text = f"C does not fall when the means move to half their distance, allowing {ERRORS:g} standard errors"
    return _statistical("moving_apart", text, found.value - ERRORS * error, nearer.value, cases)


def _numbers(
    pairs: Any,
    p: DiagonalGaussian,
    q: DiagonalGaussian,
    found: CompromiseGap,
    full: np.ndarray,
    paid: np.ndarray,
) -> dict[str, Number]:
    overlap, delta = log_affinity(p, q), pairs["input_distance"].to_numpy()
    users = pairs["u"].to_numpy(), pairs["v"].to_numpy()
    value, positive = found.value, full > 0
    plain = grouped_jackknife(lambda some: spearman(value[some], overlap[some]), *users)
    given = grouped_jackknife(lambda some: partial_spearman(value[some], overlap[some], delta[some]), *users)
    return {
        "compromise_gap": spread(value, "C of a pair, nats"),
        "tightness": spread(value[positive] / full[positive], "C over its value at full overlap"),
        # Both codes of a pair are averaged: the mean over the mixture is half the loss of the two users together.
        "share_of_loss": spread(value / (2 * paid), "C over what the model's decoder loses on the pair"),
        "relative_error": spread(found.standard_error / np.maximum(value, 1e-300), "standard error of C over C"),
        "spearman_affinity": Number(plain.value, "rank correlation of C with the affinity", low=plain.low, high=plain.high, n=plain.n),
        "partial_given_delta": Number(given.value, "the same at fixed input distance", low=given.low, high=given.high, n=given.n),
    }  # fmt: skip


def _statistical(name: str, text: str, left: np.ndarray, right: np.ndarray, cases: Any) -> Part:
    part = at_most(name, text, left, right, cases=cases)
    return Part(part.name, part.text, part.verdict, Rigor.STATISTICAL, part.coverage, part.margin, part.worst)


def _numbered(n: int) -> dict[str, np.ndarray]:
    return {"case": np.arange(n)}
