"""Theorem 2.6: masking draws far pairs together and pushes near ones apart, with the exact law and its tails."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import sympy

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
    negative_control,
    step_part,
)
from collabtheory.claims.pair_statistics import share_of, spread
from collabtheory.errors import PremiseNotMet
from collabtheory.latent.drift import mean_over_users, neighbourhood_drift
from collabtheory.latent.drift_prediction import Order, input_neighbours, predicted_overlap, simulated_overlap
from collabtheory.latent.encoder_conventions import CONVENTIONS, encode_pairs
from collabtheory.latent.exact_masking import ExactLaw
from collabtheory.latent.masked_pairs import (
    MaskedPairs,
    encode_masked_pairs,
    mean_rescaled_distance,
    normalised_distance,
)
from collabtheory.latent.masking_bounds import Method, contraction_guarantee, expansion_guarantee, tail_bound
from collabtheory.latent.masking_grid import (
    GridDecision,
    TailCases,
    decide_chernoff,
    decide_hoeffding,
    relative_thresholds,
    whole_thresholds,
)
from collabtheory.latent.masking_law import MaskingLaw, Masks
from collabtheory.latent.masking_simulation import MaskedDistances, goodness_of_fit, masked_distances
from collabtheory.models.recommender import EncoderLayers
from collabtheory.models.specification import Masking
from collabtheory.rigor import Comparison, Decision, Finding, Means, identities, identity, on_every_case, sum_of_squares
from collabtheory.stats import Estimate, grouped_jackknife, spearman

RHO, Z, DELTA, SHARED, X, Y, P, N = sympy.symbols("rho z delta s x y p n", positive=True)
GAP = sympy.Symbol("g", nonnegative=True)
FLIP = 2 * RHO * (1 - RHO)

LARGEST = 60
"""Largest delta and largest s of the grid."""
KEEPS = {"quick": (10, 2), "full": (100, 1), "paper": (100, 1)}
"""Keep probabilities of the grid are ``1/d, (1 + step)/d, ...`` with these d and step."""
FACTORS = 10
"""The stated form is decided for ``c = 0, 1/10, ..., 2``."""
DRAWS = {"quick": 48, "full": 200, "paper": 200}
LATENT_DRAWS = {"quick": 6, "full": 16, "paper": 16}
DRIFT = {"quick": (1000, 128, 4), "full": (2000, 512, 8), "paper": (2000, 512, 8)}
"""Users among whom neighbours are sought, users whose overlap is predicted, and draws of masks."""
NEIGHBOURS = 10
ORDERS: tuple[Order, ...] = ("l1", "cosine")
METHODS: tuple[Method, ...] = ("hoeffding", "chernoff")
LEVEL = 1e-4
"""Corrected p-value below which the simulation refutes the law: a false alarm in 1 of 10,000 runs."""


def _four_masks() -> Finding:
    """Sum over the outcomes of both masks, for a shared item and for an item of one user."""
    weight = {1: RHO, 0: 1 - RHO}
    outcomes = list(itertools.product((0, 1), repeat=2))
    shared = sum(weight[b] * weight[c] * abs(b - c) for b, c in outcomes)
    one_sided = sum(weight[b] * weight[c] * b for b, c in outcomes)
    return identities([(shared, FLIP), (one_sided, RHO), (sum(weight[b] * weight[c] for b, c in outcomes), sympy.S(1))])


def _pascal() -> Finding:
    """C(n, k) + C(n, k - 1) = C(n + 1, k), each divided by the right-hand side; x stands for k."""
    return identity((N + 1 - X) / (N + 1) + X / (N + 1), sympy.S(1))


def _enumeration() -> Finding:
    """Compare the law with the sum over all masks; more points than the degree in rho make it an identity."""

    def claim(delta: int, shared: int, rho: Fraction) -> Comparison:
        law = ExactLaw(rho).pmf(delta, shared)
        return np.array(_by_enumeration(delta, shared, rho), dtype=object), "==", np.array(law, dtype=object)

    sizes = [(d, s) for d in range(5) for s in range(4) if d + 2 * s <= 7]
    cases = ({"delta": d, "shared": s, "rho": Fraction(k, 9)} for d, s in sizes for k in range(d + 2 * s + 1))
    return on_every_case(claim, cases, "all masks of pairs with delta + 2 s <= 7, rho at delta + 2 s + 1 points")


def _by_enumeration(delta: int, shared: int, rho: Any) -> list[Any]:
    """Return the probabilities of 0, ..., delta + s by going through all masks of all items of both users."""
    found = [rho * 0] * (delta + shared + 1)
    for bits in itertools.product((0, 1), repeat=delta + 2 * shared):
        own, first, second = bits[:delta], bits[delta : delta + shared], bits[delta + shared :]
        distance = sum(own) + sum(abs(a - b) for a, b in zip(first, second, strict=True))
        kept = sum(bits)
        found[distance] = found[distance] + rho**kept * (1 - rho) ** (len(bits) - kept)
    return found


def _generating_function(flip: sympy.Expr = FLIP) -> sympy.Expr:
    return (1 - RHO + RHO * Z) ** DELTA * (1 - flip + flip * Z) ** SHARED


def _mean() -> Finding:
    at_one = sympy.diff(_generating_function(), Z).subs(Z, 1)
    return identity(at_one, RHO * DELTA + FLIP * SHARED)


def _variance() -> Finding:
    first, second = (sympy.diff(_generating_function(), Z, order).subs(Z, 1) for order in (1, 2))
    return identity(second + first - first**2, RHO * (1 - RHO) * DELTA + FLIP * (1 - FLIP) * SHARED)


def _border() -> Finding:
    return identity(DELTA - (RHO * DELTA + FLIP * SHARED), (1 - RHO) * (DELTA - 2 * RHO * SHARED))


def _logarithm_at_zero() -> Finding:
    f = sympy.exp(Y) - 1 - Y
    return identities([(f.subs(Y, 0), sympy.S(0)), (sympy.diff(f, Y).subs(Y, 0), sympy.S(0))])


def _logarithm_convex() -> Finding:
    y = sympy.Symbol("y", real=True)
    return sum_of_squares(sympy.diff(sympy.exp(y) - 1 - y, y, 2), [(1, sympy.exp(y / 2))])


def _weighted_means() -> Finding:
    mean = (DELTA * X + SHARED * Y) / (DELTA + SHARED)
    return identity(DELTA * (X / mean - 1) + SHARED * (Y / mean - 1), sympy.S(0))


def _best_exponent() -> Finding:
    log_x, log_p, log_not_x, log_not_p = sympy.symbols("log_x log_p log_not_x log_not_p", real=True)
    w = X * (1 - P) / (P * (1 - X))
    log_w = log_x + log_not_p - log_p - log_not_x
    divergence = X * (log_x - log_p) + (1 - X) * (log_not_x - log_not_p)
    return identities([(1 - P + P * w, (1 - P) / (1 - X)), (-X * log_w + log_not_p - log_not_x, -divergence)])


def _pinsker_at_mean() -> Finding:
    f = _divergence() - 2 * (X - P) ** 2
    return identities([(f.subs(X, P), sympy.S(0)), (sympy.diff(f, X).subs(X, P), sympy.S(0))])


def _pinsker_convex() -> Finding:
    """With y = 1 - x: 1/x + 1/y - 4 = (x - y)^2 / (x y), as (x + y)^2 = 1."""
    second = sympy.diff(_divergence() - 2 * (X - P) ** 2, X, 2)
    found = identity(second, 1 / X + 1 / (1 - X) - 4)
    if found.decision is not Decision.TRUE:
        return found
    return sum_of_squares((X + Y) ** 2 / (X * Y) - 4, [(1 / (X * Y), X - Y)])


def _divergence() -> sympy.Expr:
    return X * sympy.log(X / P) + (1 - X) * sympy.log((1 - X) / (1 - P))


def _away_from_the_mean() -> Finding:
    """Derive the slope log(x (1 - p) / (p (1 - x))): it has the sign of x (1 - p) - p (1 - x) = x - p = g."""
    slope = sympy.log(X) - sympy.log(P) + sympy.log(1 - P) - sympy.log(1 - X)
    found = identity(sympy.expand_log(sympy.diff(_divergence(), X), force=True), slope)
    if found.decision is not Decision.TRUE:
        return found
    return sum_of_squares(((P + GAP) * (1 - P) - P * (1 - (P + GAP))), [(GAP, sympy.S(1))])


def _rescaled() -> Finding:
    """One shared item with entries x >= y = x - g: the mean of |b x - c y| / rho, over both masks, minus |x - y|."""
    x, y = Y + GAP, Y
    mean = (RHO**2 * (x - y) + RHO * (1 - RHO) * (x + y)) / RHO
    return identity(mean - (x - y), 2 * (1 - RHO) * y)


THEOREM_2_6 = Statement(
    identifier="theorem_2_6",
    position=20,
    title="Masking draws far pairs together and pushes near pairs apart",
    source="arXiv:2511.06781, Theorem 2.6; the exact law, the border and the Chernoff bound are this project's own",
    text=(
        r"For binary contents with $s$ shared items and $\delta = \lVert x_u - x_v\rVert_1$, and independent masks that "
        r"keep each item with probability $\rho$, the distance of the masked sets is "
        r"$D_h \sim \mathrm{Bin}(\delta, \rho) + \mathrm{Bin}(s, 2\rho(1-\rho))$ (independent); under one mask for both, "
        r"$\mathrm{Bin}(\delta, \rho)$. Its mean is $m = \rho\delta + 2\rho(1-\rho)s$, so that a pair contracts on average "
        r"if and only if $\delta > 2\rho s$, and expands if and only if $\delta < 2\rho s$. For $c\delta \ge m$: "
        r"$P(D_h \le c\delta) \ge 1 - B$, and for $c\delta \le m$: $P(D_h \ge c\delta) \ge 1 - B$, with Hoeffding's "
        r"$B = e^{-2(c\delta - m)^2/n}$, $n = \delta + s$, or the smaller $B = e^{-n KL(c\delta/n \,\|\, m/n)}$."
    ),
    assumptions=(r"binary contents", r"$0 < \rho < 1$", "masks of items are independent"),
    proof=(
        Step(
            "four_masks",
            r"One item, four outcomes of the two masks: a shared item counts with probability "
            r"$2\rho(1-\rho)$, an item of one user with probability $\rho$.",
            _four_masks,
        ),
        Step(
            "pascal",
            r"Items are independent, so their generating functions multiply to $(1-\rho+\rho z)^\delta (1-q+qz)^s$ with "
            r"$q = 2\rho(1-\rho)$, two binomials by Pascal's rule $C(n,k) + C(n,k-1) = C(n+1,k)$.",
            _pascal,
        ),
        Step("enumeration", "The law is the sum over all masks, item by item, on small pairs.", _enumeration),
        Step("mean", r"The derivative at $z = 1$ is $\rho\delta + 2\rho(1-\rho)s$,", _mean),
        Step("variance", r"and the variance $\rho(1-\rho)\delta + q(1-q)s$.", _variance),
        Step(
            "border",
            r"$\delta - m = (1-\rho)(\delta - 2\rho s)$, and $1 - \rho > 0$: the signs agree, also at equality.",
            _border,
        ),
        Step(
            "logarithm_at_zero",
            r"$\log a \le a - 1$, that is $f(y) = e^y - 1 - y \ge 0$ at $y = \log a$: f and f' vanish at 0,",
            _logarithm_at_zero,
        ),
        Step("logarithm_convex", r"and f is convex, $f'' = (e^{y/2})^2$.", _logarithm_convex),
        Step(
            "weighted_means",
            r"So $\delta\log a + s\log b \le n\log\bar a$ with $\bar a = (\delta a + s b)/n$, as "
            r"$\delta(a/\bar a - 1) + s(b/\bar a - 1) = 0$. With $a = 1-\rho+\rho w$ and $b = 1-q+qw$: "
            r"$\mathbb{E} w^{D_h} \le (1 - p + p w)^n$, $p = m/n$.",
            _weighted_means,
        ),
        Step(
            "best_exponent",
            r"$P(D_h \ge t) \le w^{-t}\mathbb{E}w^{D_h}$ for $w \ge 1$ (Markov). At $x = t/n \ge p$ take "
            r"$w = x(1-p)/(p(1-x))$: $1-p+pw = (1-p)/(1-x)$, and the bound is $e^{-n KL(x\|p)}$. Lower tails: the same with "
            r"$w \le 1$.",
            _best_exponent,
        ),
        Step(
            "pinsker_at_mean",
            r"$KL(x\|p) \ge 2(x-p)^2$, which makes it Hoeffding's: the difference and its slope vanish at $x = p$,",
            _pinsker_at_mean,
        ),
        Step(
            "pinsker_convex",
            r"and it is convex: $1/x + 1/(1-x) - 4 = (2x-1)^2/(x(1-x)) \ge 0$.",
            _pinsker_convex,
        ),
        Step(
            "away_from_the_mean",
            r"Both bounds fall away from the mean ($\partial_x KL = \log\frac{x(1-p)}{p(1-x)} \ge 0$ for $x \ge p$), while "
            r"$P(D_h \ge t)$ is that of the next whole number: whole thresholds decide every real c.",
            _away_from_the_mean,
        ),
        Step(
            "rescaled",
            r"An aside: entries $x \ge y$ that are kept with probability $\rho$ and divided by $\rho$ differ on average by "
            r"$|x-y| + 2(1-\rho)y$. Normalised first and rescaled, no pair's input distance contracts on average.",
            _rescaled,
        ),
    ),
    limits=(
        "It speaks of sets of items. With the 1/rho scaling of the published code the l1 distance of the encoder's inputs "
        "never contracts on average; what contracts is the distance before scaling.",
        "Where inputs are normalised before the mask, two users who keep the same items may still differ in scale, so "
        "that no multiple of D_h bounds their latent distance; the weighted distance does.",
        "It does not say that the latent order follows the input order: the predicted drift assumes it.",
    ),
)


def _whole(value: Any) -> int:
    """Return a whole number that comes as a float, a fraction or an enclosure."""
    return int(float(value))


def _pmf(delta: Any, shared: Any, keep: Any, masks: str = "independent") -> list[Any]:
    """Return the law, one item at a time, in the arithmetic of ``keep``."""
    flip = 2 * keep * (1 - keep) if masks == "independent" else keep * 0
    found = [keep * 0 + 1]
    for p in [keep] * _whole(delta) + [flip] * _whole(shared):
        zero = p * 0
        found = [a * (1 - p) + b * p for a, b in zip([*found, zero], [zero, *found], strict=True)]
    return found


def _pmf_mean(delta: Any, shared: Any, keep: Any) -> Any:
    return sum((p * x for x, p in enumerate(_pmf(delta, shared, keep))), keep * 0)


def _law_is(masks: str) -> Callable[..., Comparison]:
    def claim(*, delta: Any, shared: Any, keep: Any) -> Comparison:
        left, right = _by_enumeration(_whole(delta), _whole(shared), keep), _pmf(delta, shared, keep, masks)
        return np.array(left), "==", np.array(right)

    return claim


def _mean_is(flips: int) -> Callable[..., Comparison]:
    def claim(*, delta: Any, shared: Any, keep: Any) -> Comparison:
        return _pmf_mean(delta, shared, keep), "==", keep * delta + flips * keep * (1 - keep) * shared

    return claim


def _far(*, delta: Any, shared: Any, keep: Any) -> tuple[Comparison, ...]:
    return ((2 * keep * shared, "<", delta),)


def _far_with_shared_items(*, delta: Any, shared: Any, keep: Any) -> tuple[Comparison, ...]:
    return (2 * keep * shared, "<", delta), (1, "<=", shared)


def _near(*, delta: Any, shared: Any, keep: Any) -> tuple[Comparison, ...]:
    return ((delta, "<", 2 * keep * shared),)


def _contracts(*, delta: Any, shared: Any, keep: Any) -> Comparison:
    return _pmf_mean(delta, shared, keep), "<", delta


def _expands(*, delta: Any, shared: Any, keep: Any) -> Comparison:
    return delta, "<", _pmf_mean(delta, shared, keep)


def _contracts_rescaled(*, delta: Any, shared: Any, keep: Any) -> Comparison:
    return _pmf_mean(delta, shared, keep) / keep, "<", delta


def _never_contracts(*, delta: Any, shared: Any, keep: Any) -> Comparison:
    return delta, "<=", _pmf_mean(delta, shared, keep) / keep


def _tail(delta: Any, shared: Any, keep: Any, threshold: Any) -> Any:
    return sum(_pmf(delta, shared, keep)[_whole(threshold) :], keep * 0)


def _above_mean(*, delta: Any, shared: Any, keep: Any, threshold: Any) -> tuple[Comparison, ...]:
    n = delta + shared
    return (keep * delta + 2 * keep * (1 - keep) * shared, "<=", threshold), (threshold, "<=", n), (1, "<=", n)


def _hoeffding(terms: Callable[[Any, Any], Any]) -> Callable[..., Comparison]:
    def claim(*, delta: Any, shared: Any, keep: Any, threshold: Any) -> Comparison:
        distance = threshold - keep * delta - 2 * keep * (1 - keep) * shared
        return _tail(delta, shared, keep, threshold), "<=", np.exp(-2 * distance**2 / terms(delta, shared))

    return claim


def _chernoff(*, delta: Any, shared: Any, keep: Any, threshold: Any) -> Comparison:
    """Both sides times n^n, so that the comparison is rational."""
    t, rest = _whole(threshold), _whole(delta) + _whole(shared) - _whole(threshold)
    mean = keep * delta + 2 * keep * (1 - keep) * shared
    return _tail(delta, shared, keep, threshold) * (t**t * rest**rest), "<=", mean**t * (t + rest - mean) ** rest


_PAIR = {
    "delta": Variable(low=0, high=5, kind="integer"),
    "shared": Variable(low=0, high=5, kind="integer"),
    "keep": Variable(low=0.01, high=0.99, kind="positive"),
}
_SMALL_PAIR = {name: replace(value, high=min(value.high, 2)) for name, value in _PAIR.items()}
_TAIL_CASE = {
    "delta": Variable(low=1, high=5, kind="integer"),
    "shared": Variable(low=0, high=6, kind="integer"),
    "keep": _PAIR["keep"],
    "threshold": Variable(low=0, high=9, kind="integer"),
}

LAW = Inequality(
    THEOREM_2_6,
    "law",
    "sum over all masks = Bin(delta, rho) + Bin(s, 2 rho (1 - rho)), in exact arithmetic",
    variables=_SMALL_PAIR,
    claim=_law_is("independent"),
    exact=True,
)
SHARED_MASK_LAW = LAW.false_twin(
    "shared_mask_law", "the law of a shared mask, Bin(delta, rho), used for independent masks", _law_is("shared")
)
MEAN = Inequality(
    THEOREM_2_6, "mean", "mean = rho delta + 2 rho (1 - rho) s", variables=_PAIR, claim=_mean_is(2), exact=True
)
ONE_SIDED_FLIPS = MEAN.false_twin("one_sided_flips", "rho (1 - rho) s in place of 2 rho (1 - rho) s", _mean_is(1))
CONTRACTION = Inequality(
    THEOREM_2_6,
    "contraction",
    "delta > 2 rho s implies m < delta",
    variables=_PAIR,
    claim=_contracts,
    premise=_far,
    exact=True,
)
EXPANSION = replace(
    CONTRACTION, name="expansion", text="delta < 2 rho s implies m > delta", claim=_expands, premise=_near
)
BORDER_TURNED_ROUND = CONTRACTION.false_twin(
    "border_turned_round", "delta < 2 rho s implies m < delta", _contracts, premise=_near
)
RESCALED = Inequality(
    THEOREM_2_6,
    "rescaled",
    "divided by rho, the mean distance is never below delta",
    variables=_PAIR,
    claim=_never_contracts,
    exact=True,
)
BORDER_AFTER_RESCALING = RESCALED.false_twin(
    "border_after_rescaling",
    "delta > 2 rho s implies m / rho < delta",
    _contracts_rescaled,
    premise=_far_with_shared_items,
)
HOEFFDING = Inequality(
    THEOREM_2_6,
    "hoeffding",
    "t >= m implies P(D_h >= t) <= exp(-2 (t - m)^2 / (delta + s))",
    variables=_TAIL_CASE,
    claim=_hoeffding(lambda delta, shared: delta + shared),
    premise=_above_mean,
)
HOEFFDING_WITHOUT_SHARED = HOEFFDING.false_twin(
    "hoeffding_without_shared", "delta terms in place of delta + s", _hoeffding(lambda delta, shared: delta)
)
CHERNOFF = Inequality(
    THEOREM_2_6,
    "chernoff",
    "t >= m implies P(D_h >= t) <= exp(-n KL(t/n || m/n)), in exact arithmetic",
    variables=_TAIL_CASE,
    claim=_chernoff,
    premise=_above_mean,
    exact=True,
)


@check(THEOREM_2_6, stages="none")
def certified(subject: Subject) -> Evidence:
    """Decide both bounds on every pair up to 60 by 60 and every threshold, and the border, without sampling."""
    laws, shown = _laws(subject.profile), _laws("quick")
    # One keep probability at a time: the grid of all of them would take gigabytes.
    found = [_on_grid(law, law in shown) for law in laws]
    where = f"all delta, s <= {LARGEST} with delta + s > 0, rho = {_in_words(laws)}"
    return Evidence(
        parts=(
            step_part("border", "sign of delta - m = sign of delta - 2 rho s, equality included", _border_grid(laws)),
            step_part("law_in_float64", "the float64 law is right to 1e-13", _float_law()),
            _grid_part("stated_form", f"{where}, c = 0, 1/{FACTORS}, ..., 2", [grid.stated for grid in found]),
            _grid_part("chernoff", f"{where}, whole thresholds: every real c", [grid.chernoff for grid in found]),
            _grid_part("hoeffding", f"{where}, whole thresholds: every real c", [grid.hoeffding for grid in found]),
        ),
        numbers=_tightness(found),
        notes=(
            "Both tails are decided at the threshold itself, P(D_h >= c delta) <= B and P(D_h <= c delta) <= B, which is "
            "more than the statement. The law of a shared mask is the case s = 0.",
            "Tightness: log of the bound over log of the exact tail, 1 where the bound is exact, at rho = "
            f"{_in_words(shown)}.",
        ),
    )


@negative_control(THEOREM_2_6, "hoeffding_without_shared", "delta terms in place of delta + s", stages="none")
def hoeffding_without_shared(subject: Subject) -> Evidence:
    """Refute Hoeffding's bound with too few terms by the machinery of the grid."""
    cases = whole_thresholds(ExactLaw(Fraction(1, 2)), 12)
    found = _decided("delta, s <= 12, rho = 1/2", [decide_hoeffding(cases, lambda delta, shared: delta)])
    return Evidence(parts=(step_part("hoeffding", "P(D_h beyond t) <= exp(-2 (t - m)^2 / delta)", found),))


@negative_control(THEOREM_2_6, "border_turned_round", "delta < 2 rho s implies m < delta", stages="none")
def border_turned_round(subject: Subject) -> Evidence:
    """Refute the border the other way round by the machinery of the grid."""
    return Evidence(
        parts=(step_part("border", "sign of m - delta = sign of delta - 2 rho s", _border_grid(_laws("quick"), -1)),)
    )


@check(THEOREM_2_6, stages="last")
def law_on_users(subject: Subject) -> Evidence:
    """Mask real users with the code that training uses, in every convention, and compare with the exact law."""
    keep = _keep(subject)
    runs: dict[str, tuple[MaskedDistances, MaskingLaw]]
    runs = {rule: (_simulated(subject, rule, "independent"), MaskingLaw(keep)) for rule in CONVENTIONS}
    runs["one mask for both"] = _simulated(subject, "mask_only", "shared"), MaskingLaw(keep, "shared")
    return Evidence(
        parts=tuple(
            _law_part(subject, f"law_{name.replace(' ', '_')}", f"D_h of real pairs follows the law: {name}", *run, len(runs))
            for name, run in runs.items()
        ),
        numbers=_border_numbers(subject),
        notes=(
            f"keep probability {keep:g}. D_h is the distance of the sets of entries that the masked input keeps, the same "
            "in all conventions; half of the pairs are a user with itself under two masks (delta = 0).",
            f"Kolmogorov-Smirnov test of the randomised probability transform, and a z test of the mean; the smaller "
            f"p-value times {2 * len(runs)}, the number of tests.",
        ),
    )  # fmt: skip


@negative_control(THEOREM_2_6, "shared_mask_law", "the law of a shared mask for independent masks", stages="last")
def shared_mask_law(subject: Subject) -> Evidence:
    """Refute the wrong law on real users, by the tests that the right one passes."""
    found = _simulated(subject, "mask_only", "independent")
    law = MaskingLaw(_keep(subject), "shared")
    return Evidence(parts=(_law_part(subject, "law", "D_h under independent masks ~ Bin(delta, rho)", found, law, 1),))


@check(THEOREM_2_6, stages="last")
def latent_distances(subject: Subject) -> Evidence:
    """Bound W_2 of posteriors under independent masks by the masked distance, per draw and on average."""
    layers, keep = _layers(subject), _keep(subject)
    contents = subject.interactions.matrix[subject.users]
    parts: list[Part] = []
    numbers: dict[str, Number] = {}
    for rule in CONVENTIONS:
        draws = encode_masked_pairs(
            layers, contents, rule, keep_probability=keep, n_draws=LATENT_DRAWS[subject.profile],
            rng=subject.rng("latent", rule),
        )  # fmt: skip
        found = _latent_parts(subject, rule, draws)
        parts += found[0]
        numbers |= found[1]
        numbers |= _measured_border(subject, rule, draws)
    own = f"mean_{layers.masking}"
    return Evidence(
        parts=tuple(parts),
        principal=own,
        numbers=numbers,
        notes=(
            f"Convention of this model: {layers.masking}; the others are checked on the same layers.",
            "Normalised first, D_h is replaced by the weighted distance, as users who keep the same items differ in scale.",
            "'group' is the constant that is certified for the inputs of one draw; the mean needs the one for all masks.",
        ),
    )


@check(THEOREM_2_6, stages="last")
def drift(subject: Subject) -> Evidence:
    """Measure how many latent neighbours survive another draw of masks, and predict it from the law."""
    layers = _layers(subject)
    _, predicted_users, n_draws = DRIFT[subject.profile]
    rows = _neighbourhood(subject)
    contents, k = subject.interactions.matrix[rows], min(NEIGHBOURS, len(rows) - 1)
    measured = neighbourhood_drift(subject.recommender, contents, k, n_draws=n_draws, rng=subject.rng("drift"))
    users = np.sort(subject.rng("drift", "predicted").permutation(len(rows))[:predicted_users])
    prediction = predicted_overlap(contents, k, layers.keep_probability, users=users, rng=subject.rng("own masks"))
    overlap = measured.between_draws[users]
    simulated = {
        order: simulated_overlap(
            contents, k, layers.keep_probability, order=order, n_draws=n_draws, rng=subject.rng("simulated", order)
        )
        for order in ORDERS
    }
    return Evidence(
        parts=(_drift_part(measured.mean_between_draws, measured.by_chance),),
        numbers={
            "overlap": _number(measured.mean_between_draws, f"overlap of the {k} nearest in two mask draws (Jaccard)"),
            "overlap_with_clean": _number(measured.mean_with_clean, "overlap of masked and clean neighbourhoods"),
            "overlap_by_chance": Number(measured.by_chance, "overlap of neighbourhoods drawn at random"),
            "overlap_predicted": _number(mean_over_users(prediction), "overlap predicted from the law"),
            "overlap_where_predicted": _number(mean_over_users(overlap), "measured overlap of the same users"),
            "prediction_error": _number(mean_over_users(prediction - overlap), "predicted minus measured"),
            "prediction_rank": _rank(prediction, overlap, "prediction and measurement"),
            **{
                f"overlap_simulated_{order}": _number(mean_over_users(values), f"overlap of masked inputs by {order}")
                for order, values in simulated.items()
            },
            **{
                f"simulated_rank_{order}": _rank(values, measured.between_draws, f"that and measurement ({order})")
                for order, values in simulated.items()
            },
        },
        notes=(
            "The prediction knows no model: it assumes that latent order follows the l1 order of masked inputs, and takes "
            "one threshold for the k-th distance. Masked inputs drawn by l1 show what the threshold costs; what is left "
            "is the assumption.",
            "Intervals are over users, given the draws.",
        ),
    )


def _laws(profile: str) -> list[ExactLaw]:
    below, step = KEEPS[profile]
    return [ExactLaw(Fraction(k, below)) for k in range(1, below, step)]


def _in_words(laws: list[ExactLaw]) -> str:
    return f"{laws[0].keep_probability}, {laws[1].keep_probability}, ..., {laws[-1].keep_probability}"


@dataclass(frozen=True)
class _Grid:
    """What was decided at one keep probability, and by method the tightness on the grid and at the threshold delta."""

    stated: GridDecision
    chernoff: GridDecision
    hoeffding: GridDecision
    tightness: Mapping[Method, tuple[np.ndarray, np.ndarray]]


def _on_grid(law: ExactLaw, measured: bool) -> _Grid:
    cases = whole_thresholds(law, LARGEST)
    return _Grid(
        decide_hoeffding(relative_thresholds(law, LARGEST, FACTORS)),
        decide_chernoff(cases),
        decide_hoeffding(cases),
        {method: _ratios(cases, method) for method in METHODS} if measured else {},
    )


def _grid_part(name: str, grid: str, decisions: list[GridDecision]) -> Part:
    bound = "exp(-n KL)" if name == "chernoff" else "exp(-2 (t - m)^2 / n)"
    return step_part(name, f"P(D_h at t or beyond, away from m) <= {bound}", _decided(grid, decisions))


def _decided(grid: str, decisions: list[GridDecision]) -> Finding:
    cases, settled = sum(found.cases for found in decisions), sum(found.settled for found in decisions)
    worst = next((found for found in decisions if found.decision is not Decision.TRUE), None)
    detail = f"{cases:,} cases ({settled:,} of them by exact arithmetic, the others by bounded rounding): {grid}"
    decision = Decision.TRUE if worst is None else worst.decision
    return Finding(Means.ENCLOSURE, decision, cases, detail, None if worst is None else worst.worst)


def _border_grid(laws: list[ExactLaw], sign: int = 1) -> Finding:
    """Compare signs in integers: delta - m times b^2, and delta - 2 rho s times b."""
    cases = []
    for law in laws:
        a, b = law.keep_probability.numerator, law.keep_probability.denominator
        delta, shared = np.meshgrid(np.arange(LARGEST + 1), np.arange(LARGEST + 1), indexing="ij")
        mean = a * b * delta + 2 * a * (b - a) * shared
        agree = np.sign(delta * b * b - mean) == sign * np.sign(b * delta - 2 * a * shared)
        cases.append((law.keep_probability, agree))
    count = sum(agree.size for _, agree in cases)
    wrong = next(((rho, np.argwhere(~agree)[0]) for rho, agree in cases if not agree.all()), None)
    grid = f"{count:,} cases in integers: delta, s <= {LARGEST}, rho = {_in_words(laws)}"
    if wrong is None:
        return Finding(Means.EXACT, Decision.TRUE, count, grid, margin=0.0)
    worst: dict[str, float | int | str] = {
        "keep_probability": str(wrong[0]),
        "delta": int(wrong[1][0]),
        "shared": int(wrong[1][1]),
    }
    return Finding(Means.EXACT, Decision.FALSE, count, grid, worst)


def _float_law() -> Finding:
    def claim(rho: Fraction, delta: int, shared: int) -> Comparison:
        exact = ExactLaw(rho).pmf(delta, shared)
        given = MaskingLaw(float(rho)).pmf(delta, shared)
        error = [abs(Fraction(value) - p) for value, p in zip(given.tolist(), exact, strict=True)]
        return max(error), "<=", Fraction(1, 10**13)

    sizes = (0, 1, 10, 50, 60, 120)
    keeps = (Fraction(1, 8), Fraction(1, 2), Fraction(7, 8))
    cases = ({"rho": rho, "delta": d, "shared": s} for rho in keeps for d in sizes for s in sizes)
    return on_every_case(claim, cases, "delta and s up to 120, rho = 1/8, 1/2, 7/8")


def _tightness(grids: list[_Grid]) -> dict[str, Number]:
    numbers = {}
    for method in METHODS:
        share, ratio = zip(*(grid.tightness[method] for grid in grids if grid.tightness), strict=True)
        numbers[f"tightness_{method}"] = spread(np.concatenate(share), f"log bound / log exact tail ({method})")
        numbers[f"excess_{method}"] = spread(
            np.concatenate(ratio), f"bound / exact probability of t = delta and beyond ({method})"
        )
    return numbers


def _ratios(grid: TailCases, method: Method) -> tuple[np.ndarray, np.ndarray]:
    """Return logs of the bound over logs of the exact tail on the grid, and bound over tail at the threshold delta."""
    law = MaskingLaw(float(grid.law.keep_probability))
    bound = tail_bound(grid.numerators, grid.delta, grid.shared, law, method=method)
    exact = np.minimum(grid.probability.values, 1.0)
    counted = (exact < 1 - 1e-12) & (bound < 1)
    own = (grid.numerators == grid.delta) & (exact > 0)
    return np.log(bound[counted]) / np.log(exact[counted]), bound[own] / exact[own]


def _keep(subject: Subject) -> float:
    """Return the model's keep probability; a half where it masks nothing, or nobody knows."""
    layers = subject.recommender.layers
    return layers.keep_probability if layers is not None and layers.keep_probability < 1 else 0.5


def _layers(subject: Subject) -> EncoderLayers:
    if subject.recommender.layers is None:
        raise PremiseNotMet("the encoder's layers are not known, so its input cannot be masked")
    return subject.recommender.layers


def _simulated(subject: Subject, masking: Masking, masks: Masks) -> MaskedDistances:
    """Mask many pairs, no two of which have a mask in common: two users, and a user with itself."""
    rng = subject.rng("law", masking, masks)
    first, second = [], []
    for _ in range(DRAWS[subject.profile]):
        users = rng.permutation(subject.users)
        half = len(users) // 2
        first += [users[:half], users[half : 2 * half]]
        second += [users[half : 2 * half], users[half : 2 * half]]
    u, v = np.concatenate(first), np.concatenate(second)
    return masked_distances(subject.interactions.matrix, u, v, masking, _keep(subject), masks=masks, rng=rng)


def _law_part(subject: Subject, name: str, text: str, found: MaskedDistances, law: MaskingLaw, n: int) -> Part:
    """Test that distances follow a law, at a level corrected for ``n`` such pairs of tests."""
    fit = goodness_of_fit(found, law, rng=subject.rng("law", name, "steps"))
    corrected = min(1.0, 2 * n * min(fit.p_distribution, fit.p_mean))
    pairs = len(found.distance)
    return Part(
        name,
        text,
        Verdict.VIOLATED if corrected < LEVEL else Verdict.HOLDS,
        Rigor.STATISTICAL,
        Coverage(pairs, pairs),
        detail=f"{pairs:,} pairs with masks of their own: corrected p = {corrected:.3g}, z of the mean {fit.z_mean:.2f}",
    )


def _border_numbers(subject: Subject) -> dict[str, Number]:
    """Count pairs on either side of the border: those of the table drawn at random, and the nearest in input."""
    pairs, law = subject.pairs, MaskingLaw(_keep(subject))
    delta, shared = pairs["input_distance"].to_numpy(), pairs["shared_items"].to_numpy()
    drawn = (pairs["sampling"] == "sampled").to_numpy()
    numbers: dict[str, Number] = {}
    samples = (
        ("", delta[drawn], shared[drawn], "pairs drawn at random"),
        ("_near", *_nearest_inputs(subject), f"the {NEIGHBOURS} nearest inputs of a user"),
    )
    for name, d, s, kind in samples:
        n_pairs = len(d)
        numbers |= {
            f"share_contracting{name}": Number(share_of(d > law.border(s)), f"contract on average, {kind}", n=n_pairs),
            f"share_expanding{name}": Number(share_of(d < law.border(s)), f"expand on average, {kind}", n=n_pairs),
            f"probability_contracting{name}": spread(law.contraction_probability(d, s), f"P(D_h <= delta), {kind}"),
            f"guaranteed_contracting{name}": spread(
                contraction_guarantee(d, s, law), f"its Chernoff bound, {kind}"
            ),
            f"guaranteed_expanding{name}": spread(
                expansion_guarantee(d, s, law), f"Chernoff bound of P(D_h >= delta), {kind}"
            ),
        }  # fmt: skip
    n_u, n_v = pairs["n_u"].to_numpy()[drawn], pairs["n_v"].to_numpy()[drawn]
    rescaled = mean_rescaled_distance(n_u, n_v, shared[drawn], law.keep_probability)
    clean = normalised_distance(n_u, n_v, shared[drawn])
    numbers["rescaled_growth"] = spread(
        rescaled[clean > 0] / clean[clean > 0], "mean l1 distance of normalised, masked and rescaled inputs / clean"
    )
    return numbers


def _nearest_inputs(subject: Subject) -> tuple[np.ndarray, np.ndarray]:
    """Return ``delta`` and ``s`` of users with their nearest inputs."""
    rows = _neighbourhood(subject)
    contents, sizes = subject.interactions.matrix[rows], subject.interactions.sizes[rows]
    k = min(NEIGHBOURS, len(rows) - 1)
    near = input_neighbours(contents, k, rng=subject.rng("nearest inputs")).ravel()
    own = np.repeat(np.arange(len(rows)), k)
    shared = np.asarray(contents[own].multiply(contents[near]).sum(1)).ravel().astype(np.int64)
    return sizes[own] + sizes[near] - 2 * shared, shared


def _latent_parts(subject: Subject, rule: str, draws: list[MaskedPairs]) -> tuple[list[Part], dict[str, Number]]:
    """Return parts and numbers of one convention: per draw for sure, on average within sampling error."""
    first, second = draws[0].first, draws[0].second
    cases = {"u": subject.users[first], "v": subject.users[second]}
    tiled = {name: np.tile(column, len(draws)) for name, column in cases.items()}
    tiled["draw"] = np.repeat(np.arange(len(draws)), len(first))
    distance, bound, group = (
        np.concatenate([getattr(draw, name) for draw in draws]) for name in ("distance", "bound", "group_bound")
    )
    apart = bound > 0
    words = rule.replace("_", " ")
    weighted = "weighted distance" if rule == "normalise_then_mask" else "D_h"
    mean, most = np.mean([draw.distance for draw in draws], axis=0), draws[0].mean_bound
    at_mean = at_most(
        f"mean_{rule}", f"mean of W_2 over draws <= L E {weighted}, {words}", mean, most, cases=cases, premise=most > 0
    )
    parts = [
        at_most(f"draw_{rule}", f"W_2 <= L {weighted} in every draw, {words}", distance, bound, cases=tiled, premise=apart),
        at_most(
            f"group_{rule}", f"the same with the constant of the draw, {words}", distance, group,
            cases=tiled, premise=apart,
        ),
        # A mean over draws stands for the expectation up to its sampling error.
        replace(at_mean, rigor=Rigor.STATISTICAL),
    ]  # fmt: skip
    numbers = {
        f"tightness_draw_{rule}": spread(distance[apart] / bound[apart], f"W_2 / its bound in a draw, {words}"),
        f"tightness_group_{rule}": spread(distance[apart] / group[apart], f"with the constant of the draw, {words}"),
        f"tightness_mean_{rule}": spread((mean / most)[most > 0], f"mean W_2 / L E {weighted}, {words}"),
    }
    return parts, numbers


def _measured_border(subject: Subject, rule: Masking, draws: list[MaskedPairs]) -> dict[str, Number]:
    """Compare the sides of the border with what the draws did to the distance of sets, and to that of posteriors."""
    clean = encode_pairs(_layers(subject), subject.interactions.matrix[subject.users], rule)
    sizes = subject.interactions.sizes[subject.users]
    delta = clean.flips
    shared = (sizes[clean.first] + sizes[clean.second] - delta) // 2
    border = MaskingLaw(_keep(subject)).border(shared)
    masked, latent = (
        np.mean([getattr(draw, name) for draw in draws], axis=0) for name in ("masked_distance", "distance")
    )
    far, near, contracts = delta > border, delta < border, latent < clean.distance
    agrees = np.where(far, masked < delta, masked > delta)[far | near]
    label, words = f"mean over {len(draws)} draws of", rule.replace("_", " ")
    return {
        f"border_agreement_{rule}": Number(
            share_of(agrees), f"{label} D_h is on the side of delta that the border says, {words}", n=len(agrees)
        ),
        f"latent_contracting_far_{rule}": Number(
            share_of(contracts[far]), f"{label} W_2 is below that of clean inputs where delta > 2 rho s, {words}",
            n=int(far.sum()),
        ),
        f"latent_contracting_near_{rule}": Number(
            share_of(contracts[near]), f"the same where delta < 2 rho s, {words}", n=int(near.sum())
        ),
    }  # fmt: skip


def _neighbourhood(subject: Subject) -> np.ndarray:
    """Return the rows of the users among whom neighbours are sought."""
    eligible = np.flatnonzero(subject.interactions.sizes > 0)
    return np.sort(subject.rng("drift", "users").permutation(eligible)[: DRIFT[subject.profile][0]])


def _rank(x: np.ndarray, y: np.ndarray, what: str) -> Number:
    users = np.arange(len(x))
    estimate = grouped_jackknife(lambda chosen: spearman(x[chosen], y[chosen]), users, users)
    return _number(estimate, f"Spearman correlation over users of {what}")


def _drift_part(overlap: Estimate, by_chance: float) -> Part:
    """Say whether neighbourhoods drift, yet not to chance: the interval of the overlap against 1 and chance."""
    drifts = overlap.high < 1 and overlap.low > by_chance
    verdict = Verdict.HOLDS if drifts else Verdict.INCONCLUSIVE
    detail = f"overlap in [{overlap.low:.3f}, {overlap.high:.3f}], by chance {by_chance:.3f}"
    text = "latent neighbourhoods of two mask draws differ, and overlap more than by chance"
    return Part("drift", text, verdict, Rigor.STATISTICAL, Coverage(overlap.n, overlap.n), detail=detail)


def _number(estimate: Estimate, label: str) -> Number:
    return Number(estimate.value, label, low=estimate.low, high=estimate.high, n=estimate.n)
