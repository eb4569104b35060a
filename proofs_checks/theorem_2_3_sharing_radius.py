"""Theorem 2.3: whoever is within the latent sharing radius of a user helps that user by an SGD step."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import sympy
from flint import arb

from collabtheory.claims import (
    Evidence,
    Inequality,
    Number,
    Part,
    Statement,
    Step,
    Subject,
    Variable,
    at_most,
    check,
    negative_control,
    step_part,
)
from collabtheory.claims.pair_checks import (
    PAIR_AXES,
    PAIR_VARIABLES,
    SMALLEST,
    helps,
    lipschitz_term,
    pair_cases,
    pairs_at_shared_codes,
    radius_parts,
    small_pair,
)
from collabtheory.claims.pair_statistics import decay_numbers, drawn_pairs, inside, radius_numbers, spread
from collabtheory.rigor import Comparison, Finding, enclosed, everywhere, identities, identity, sum_of_squares
from collabtheory.rigor.fixed_cases import on_fixed_cases
from collabtheory.rigor.small_decoders import FAMILIES, largest
from collabtheory.rigor.small_pairs import SmallPair
from collabtheory.transfer import TransferKernels, content_mismatch_forms, step_curvatures, step_range

A1, A2, A3, B1, B2, B3 = sympy.symbols("a1 a2 a3 b1 b2 b3", real=True)
NORM, PENALTY, L, ETA, R, S, C, T = sympy.symbols("N D L eta r s c t", nonnegative=True)
LAMBDA, LENGTH = sympy.symbols("Lambda G", positive=True)


def _split() -> Finding:
    """E_u G_u - E_v G_v = (E_u G_u - E_v G_u) + (E_v G_u - E_v G_v), in any one entry."""
    own, moved, other = sympy.symbols("E_u_G_u E_v_G_u E_v_G_v", real=True)
    return identity(own - other, (own - moved) + (moved - other))


def _cauchy_schwarz() -> Finding:
    a, b = (A1, A2, A3), (B1, B2, B3)
    product = sum(x * y for x, y in zip(a, b, strict=True))
    squares = [(1, a[i] * b[j] - a[j] * b[i]) for i in range(3) for j in range(i)]
    return sum_of_squares(sum(x * x for x in a) * sum(y * y for y in b) - product**2, squares)


def _triangle() -> Finding:
    """Show (|a| + |b|)^2 - |a + b|^2 = 2 c with c = |a| |b| - <a,b>, not negative by Cauchy-Schwarz."""
    length_a, length_b = sympy.symbols("|a| |b|", nonnegative=True)
    product = length_a * length_b - C
    return sum_of_squares(
        (length_a + length_b) ** 2 - (length_a**2 + length_b**2 + 2 * product), [(2 * C, sympy.S.One)]
    )


def _coupling() -> Finding:
    """For the marginals p, q of a coupling pi: sum p_i f_i - sum q_j h_j = sum pi_ij (f_i - h_j)."""
    size = range(3)
    pi = sympy.Matrix(3, 3, sympy.symbols("pi:9", nonnegative=True))
    f, h = sympy.symbols("f:3", real=True), sympy.symbols("h:3", real=True)
    left = sum(sum(pi[i, j] for j in size) * f[i] for i in size) - sum(sum(pi[i, j] for i in size) * h[j] for j in size)
    return identity(left, sum(pi[i, j] * (f[i] - h[j]) for i in size for j in size))


def _transport() -> Finding:
    """Show sum pi_ij (L d_ij) - sum pi_ij e_ij >= 0, as A1 says e_ij = L d_ij - s_ij with s_ij >= 0."""
    weights, costs, slacks = (sympy.symbols(f"{name}:4", nonnegative=True) for name in ("pi", "d", "s"))
    cost = sum(w * d for w, d in zip(weights, costs, strict=True))
    moved = sum(w * (L * d - s) for w, d, s in zip(weights, costs, slacks, strict=True))
    return sum_of_squares(L * cost - moved, [(w * s, sympy.S.One) for w, s in zip(weights, slacks, strict=True)])


def _inner_product() -> Finding:
    """<g_u, g_u - g_v> = N (D - s) - c with s, c >= 0: by (1) the gap is D - s, by Cauchy-Schwarz c is not negative."""
    product = NORM**2 - (NORM * (PENALTY - S) - C)
    return sum_of_squares(product - NORM * (NORM - PENALTY), [(NORM * S, sympy.S.One), (C, sympy.S.One)])


def _taylor() -> Finding:
    phi = sympy.Function("phi")(T)
    parts = phi + (1 - T) * phi.diff(T)
    weight = sympy.integrate(1 - T, (T, 0, 1))
    return identities([(parts.diff(T), (1 - T) * phi.diff(T, 2)), (weight, sympy.Rational(1, 2))])


def _remainder() -> Finding:
    """(1 - t)(Lambda - phi'') >= 0 for t = 1 - r, phi'' = Lambda - s: the remainder is at most Lambda/2 eta^2 |g_v|^2."""
    return sum_of_squares(R * (LAMBDA - (LAMBDA - S)), [(R * S, sympy.S.One)])


def _range() -> Finding:
    """With first-order term a > 0 the bound is -(Lambda G^2/2) eta (eta* - eta), eta* = 2 a / (Lambda G^2)."""
    a = sympy.Symbol("a", positive=True)
    end = 2 * a / (LAMBDA * LENGTH**2)
    bound = -ETA * a + LAMBDA / 2 * ETA**2 * LENGTH**2
    return identity(bound, -(LAMBDA * LENGTH**2 / 2) * ETA * (end - ETA))


def _radius() -> Finding:
    """With W_1 = r_share - s, s > 0: N - (L W_1 + Dx) = L s > 0."""
    mismatch, room = sympy.Symbol("Dx", nonnegative=True), sympy.Symbol("s", positive=True)
    lipschitz = sympy.Symbol("L", positive=True)
    distance = (NORM - mismatch) / lipschitz - room
    return sum_of_squares(NORM - (lipschitz * distance + mismatch), [(lipschitz * room, sympy.S.One)])


def _mismatch_order() -> Finding:
    """For two codes: the mean of two norms is at most the larger, m + r, of m and m + r."""
    return sum_of_squares((C + R) - (C + (C + R)) / 2, [(R / 2, sympy.S.One)])


THEOREM_2_3 = Statement(
    identifier="theorem_2_3",
    position=1,
    title="Inside the latent sharing radius, v's SGD step helps u",
    source="arXiv:2511.06781, Theorem 2.3; the constant of second order is this project's own",
    text=(
        r"With $g_u = \nabla L_u$, content mismatch $D_x = \lVert\mathbb{E}_{q_v}[G(x_u,z) - G(x_v,z)]\rVert$ and "
        r"$D = L\,W_1(q_u,q_v) + D_x$: "
        r"(1) $\lVert g_u - g_v\rVert \le D$; "
        r"(2) $\langle g_u,g_v\rangle \ge \lVert g_u\rVert (\lVert g_u\rVert - D)$; "
        r"(3) $L_u(\theta - \eta g_v) - L_u(\theta) \le -\eta \lVert g_u\rVert (\lVert g_u\rVert - D) "
        r"+ \frac{\Lambda}{2} \eta^2 \lVert g_v\rVert^2$ with $\Lambda$ the largest second directional derivative of "
        r"$L_u$ on the segment, so the loss falls for every "
        r"$0 < \eta < 2 \lVert g_u\rVert (\lVert g_u\rVert - D) / (\Lambda \lVert g_v\rVert^2)$; "
        r"(4) $W_1(q_u,q_v) < r_{share} = \max(0, \lVert g_u\rVert - D_x)/L$ implies that v's step lowers u's loss for "
        r"small $\eta$."
    ),
    assumptions=(
        r"A1 on the tube: $z \mapsto G(x_u,z)$ is L-Lipschitz on each ball around a code of u that reaches the matching "
        "code of v; L is certified there. It is not assumed on the whole latent space, where it is false (see assumption_a1).",
        r"Posteriors are the sampled ones: S codes a user with common noise. $W_1$ is bounded above by the cost of that "
        "coupling.",
    ),
    proof=(
        Step(
            "split",
            r"$g_u - g_v = (\mathbb{E}_{q_u} - \mathbb{E}_{q_v}) G(x_u,\cdot) + \mathbb{E}_{q_v}[G(x_u,\cdot) - G(x_v,\cdot)]$; "
            r"the second term has norm $D_x$.",
            _split,
        ),
        Step(
            "cauchy_schwarz",
            r"$\lVert a\rVert^2 \lVert b\rVert^2 - \langle a,b\rangle^2 = \sum_{i<j} (a_i b_j - a_j b_i)^2 \ge 0$ (Lagrange), "
            "in three dimensions, as two vectors span a plane.",
            _cauchy_schwarz,
        ),
        Step(
            "triangle",
            r"Hence $(\lVert a\rVert + \lVert b\rVert)^2 - \lVert a + b\rVert^2 = 2c \ge 0$ with "
            r"$c = \lVert a\rVert\lVert b\rVert - \langle a,b\rangle$, and by induction for sums of many.",
            _triangle,
        ),
        Step(
            "coupling",
            r"For every coupling $\pi$: $\mathbb{E}_{q_u} f - \mathbb{E}_{q_v} f = \sum_{ij} \pi_{ij} (f(z_i) - f(z'_j))$, "
            "as its marginals are the two posteriors.",
            _coupling,
        ),
        Step(
            "transport",
            r"By the triangle inequality and A1 its norm is at most $\sum \pi_{ij} \lVert f(z_i) - f(z'_j)\rVert "
            r"\le L \sum \pi_{ij} \lVert z_i - z'_j\rVert$; the best coupling makes that $L\,W_1$. This is (1).",
            _transport,
        ),
        Step(
            "inner_product",
            r"$\langle g_u,g_v\rangle = \lVert g_u\rVert^2 - \langle g_u, g_u - g_v\rangle \ge \lVert g_u\rVert^2 - "
            r"\lVert g_u\rVert D$ by Cauchy-Schwarz and (1). This is (2).",
            _inner_product,
        ),
        Step(
            "taylor",
            r"Along the step, $\phi(t) = L_u(\theta - t\eta g_v)$: $\phi(1) = \phi(0) + \phi'(0) + \int_0^1 (1 - t)\phi''(t)\,dt$, "
            r"as $(\phi + (1 - t)\phi')' = (1 - t)\phi''$; and $\int_0^1 (1 - t)\,dt = 1/2$.",
            _taylor,
        ),
        Step(
            "remainder",
            r"$\phi'(0) = -\eta\langle g_u,g_v\rangle$ and $\phi'' \le \Lambda\eta^2\lVert g_v\rVert^2$, so the integral is at most "
            r"half of that. With (2) this is (3).",
            _remainder,
        ),
        Step(
            "range",
            r"$-\eta a + \frac{\Lambda}{2}\eta^2 \lVert g_v\rVert^2 = -\frac{\Lambda}{2}\lVert g_v\rVert^2 \eta (\eta^* - \eta)$ with "
            r"$\eta^* = 2a/(\Lambda\lVert g_v\rVert^2)$: negative for $0 < \eta < \eta^*$.",
            _range,
        ),
        Step(
            "radius",
            r"Inside the radius, $W_1 = r_{share} - s$ with $s > 0$, $\lVert g_u\rVert - D = L s > 0$, so that (3) gives a "
            "whole range of steps. This is (4).",
            _radius,
        ),
        Step(
            "mismatch_order",
            r"The looser forms of $D_x$ keep all this true: $\lVert\mathbb{E}\Delta\rVert \le \mathbb{E}\lVert\Delta\rVert$ is "
            r"the triangle inequality, and a mean, here of $m$ and $m + r$, is at most the largest.",
            _mismatch_order,
        ),
    ),
    limits=(
        "Sufficient, not necessary: almost all pairs that help each other are outside the radius.",
        "Outside the radius it says nothing, in particular not that v harms u.",
        "One plain SGD step on the decoder alone; not Adam, not the encoder, not many steps.",
        "Checked for the sampled posteriors, exactly those that an SGD step sees. For the Gaussians themselves every expectation "
        "has Monte Carlo error, and A1 needs a tail term for the mass outside the tube.",
        r"$\Lambda$ is certified on small decoders only; on the model of a run it is the largest value seen, so its step "
        "range is a heuristic there.",
    ),
)


def _on_pairs(claim: Callable[[SmallPair], Comparison]) -> Callable[..., Comparison]:
    return lambda **case: claim(small_pair(**case))


GAP = Inequality(
    THEOREM_2_3,
    "gap",
    "(1) ||g_u - g_v|| <= L W_1 + Dx on small decoders, L by composition",
    variables=PAIR_VARIABLES,
    axes=PAIR_AXES,
    claim=_on_pairs(lambda pair: (pair.gap, "<=", pair.penalty)),
)
DROP_CONTENT_MISMATCH = GAP.false_twin(
    "drop_content_mismatch",
    "the penalty without Dx",
    _on_pairs(lambda pair: (pair.gap, "<=", pair.lipschitz_u * pair.cost)),
)
INNER_PRODUCT = Inequality(
    THEOREM_2_3,
    "inner_product",
    "(2) ||g_u|| (||g_u|| - D) <= <g_u,g_v> on small decoders",
    variables=PAIR_VARIABLES,
    axes=PAIR_AXES,
    claim=_on_pairs(lambda pair: (pair.norm_u * (pair.norm_u - pair.penalty), "<=", pair.inner_product)),
)


def _step(length: Any, case: dict[str, Any]) -> tuple[SmallPair, Any]:
    pair = small_pair(**case)
    return pair, length / pair.norm_v


def _first_order_on(factor: str) -> Callable[..., Comparison]:
    """Compare the distance to ``factor`` times the first-order term with half the largest curvature on the step.

    Both losses stand on their own, as their difference would lose its digits in float64.
    """

    def claim(*, length: Any, **case: Any) -> Comparison:
        pair, size = _step(length, case)
        after = pair.loss_after(size)
        term = size * pair.inner_product * (arb(factor) if isinstance(length, arb) else float(factor))
        room = pair.curvature(size, absolute=True) / 2
        first_order = pair.loss_before - term
        return np.array([after, first_order - room]), "<=", np.array([first_order + room, after])

    return claim


STEP = {**PAIR_VARIABLES, "length": Variable(low=1e-3, high=2.0, kind="positive")}
"""The step has a length in parameter space: eta = length / ||g_v||."""
STEP_AXES = {"latent": (1, 1), "hidden": (1, 2), "item": (1, 2), "sample": (1, 1)}
FIRST_ORDER = Inequality(
    THEOREM_2_3,
    "first_order",
    "|L_u(theta - eta g_v) - L_u(theta) + eta <g_u,g_v>| <= (sup |second derivative|/2) eta^2 ||g_v||^2 on small decoders",
    variables=STEP,
    axes=STEP_AXES,
    claim=_first_order_on("1"),
)
WRONG_FIRST_ORDER_TERM = FIRST_ORDER.false_twin(
    "wrong_first_order_term", "nine tenths of the first-order term", _first_order_on("0.9")
)


def _second_order(*, length: Any, **case: Any) -> Comparison:
    pair, size = _step(length, case)
    return pair.loss_after(size), "<=", pair.loss_before + _most_change(pair, size, pair.curvature(size))


def _most_change(pair: SmallPair, size: Any, curvature: Any) -> Any:
    return -size * pair.norm_u * (pair.norm_u - pair.penalty) + curvature / 2


SECOND_ORDER = Inequality(
    THEOREM_2_3,
    "second_order",
    "(3) with Lambda over the whole step, on small decoders",
    variables=STEP,
    axes=STEP_AXES,
    claim=_second_order,
)


def _falls(*, length: Any, **case: Any) -> Comparison:
    pair, size = _step(length, case)
    return pair.loss_after(size), "<", pair.loss_before


def _within_range(width: int) -> Callable[..., tuple[Comparison, ...]]:
    """Return the premise D < ||g_u|| and eta < width ||g_u|| (||g_u|| - D) / (Lambda ||g_v||^2), multiplied out."""

    def premise(*, length: Any, **case: Any) -> tuple[Comparison, ...]:
        pair, size = _step(length, case)
        first_order = size * pair.norm_u * (pair.norm_u - pair.penalty)
        return (pair.penalty, "<", pair.norm_u), (pair.curvature(size), "<", width * first_order)

    return premise


# Near users of like contents: else few cases have a positive range.
NEAR = {**STEP, "distance": Variable(low=1e-6, high=0.1, kind="positive")}
STEP_RANGE = Inequality(
    THEOREM_2_3,
    "step_range",
    "u's loss falls for every eta < 2 ||g_u|| (||g_u|| - D) / (Lambda ||g_v||^2), on small decoders",
    variables=NEAR,
    axes=STEP_AXES,
    claim=_falls,
    premise=_within_range(2),
)
TWICE_THE_RANGE = STEP_RANGE.false_twin("twice_the_range", "twice the range of steps", _falls, premise=_within_range(4))


def _inside(constant: Callable[[SmallPair], Any]) -> Callable[..., tuple[Comparison, ...]]:
    """Return the premise W_1 < (||g_u|| - Dx) / L, times L."""

    def premise(**case: Any) -> tuple[Comparison, ...]:
        pair = small_pair(**case)
        return ((constant(pair) * pair.cost, "<", pair.norm_u - pair.mismatch),)

    return premise


RADIUS = Inequality(
    THEOREM_2_3,
    "radius",
    "(4) W_1 < r_share implies <g_u,g_v> > 0 (both sides plus ||g_u|| ||g_v||), on small decoders",
    variables={name: NEAR[name] for name in PAIR_VARIABLES},
    axes=PAIR_AXES,
    claim=_on_pairs(helps),
    premise=_inside(lambda pair: pair.lipschitz_u),
)
RADIUS_FROM_LOWER_BOUND = RADIUS.false_twin(
    "radius_from_lower_bound",
    "the slope at u's code in place of an upper bound of L",
    RADIUS.claim,
    premise=_inside(lambda pair: pair.slope_at_u),
    variables={
        **PAIR_VARIABLES,
        "first": Variable(("hidden", "latent"), low=-6.0, high=6.0),
        "distance": Variable(low=0.1, high=6.0, kind="positive"),
    },
    axes={**PAIR_AXES, "sample": (1, 1)},
)


def _forms(pair: SmallPair) -> tuple[Any, Any, Any]:
    by_code = pair.mismatch_by_code
    return pair.mismatch, np.sum(by_code) / len(by_code), largest(by_code)


def _in_order(pair: SmallPair) -> Comparison:
    tight, mean_norm, largest = _forms(pair)
    return np.array([tight, mean_norm]), "<=", np.array([mean_norm, largest])


def _mean_norm_below(pair: SmallPair) -> Comparison:
    tight, mean_norm, _ = _forms(pair)
    return mean_norm, "<=", tight


MISMATCH_ORDER = Inequality(
    THEOREM_2_3,
    "mismatch_order",
    "||E Delta|| <= E ||Delta|| <= sup ||Delta||, Delta(z) = G(x_u,z) - G(x_v,z), on small decoders",
    variables=PAIR_VARIABLES,
    axes=PAIR_AXES,
    claim=_on_pairs(_in_order),
)
MISMATCH_ORDER_REVERSED = MISMATCH_ORDER.false_twin(
    "mismatch_order_reversed", "the mean of the norm below the norm of the mean", _on_pairs(_mean_norm_below)
)

LADDER = 1e-4 * 0.5 ** np.arange(5)
LADDER_PAIRS = 96
MOVED_PAIRS = 96
FORM_USERS = 48
RANGE_PAIRS, SHARES_OF_THE_RANGE = 24, (0.1, 0.5, 0.9)
LARGEST_STEP = {"multinomial": "1.15", "bernoulli": "1.9", "gaussian": "0.64", "poisson": "0.105"}
"""On the fixed decoders: about nine tenths of the range of (3)."""
SHARES_OF_A_STEP = ("0.01", "0.5", "1")
LEAST_SHARE_OF_A_STEP = Fraction(1, 16)


@check(THEOREM_2_3, stages="none")
def on_small_decoders(subject: Subject) -> Evidence:
    """Decide (3) and its range of steps on fixed decoders, with Lambda enclosed over the whole segment."""
    return Evidence(
        parts=(
            step_part(
                "second_order",
                "(3), Lambda enclosed over the whole step: two users on a decoder 2-3-4, all likelihoods, three steps each",
                on_fixed_cases(_changes_and_bounds, "likelihoods by steps"),
            ),
            step_part(
                "inside_the_range",
                "the largest of these steps is within its certified range",
                on_fixed_cases(_curvatures_and_room, "likelihoods"),
            ),
            *(
                step_part(
                    f"falls_{name}",
                    f"{name}: L_u(theta - eta g_v) < L_u(theta) for every eta from 1/16 of the largest step on",
                    everywhere(_falls_at(name), {"share": (LEAST_SHARE_OF_A_STEP, 1)}, "shares of the largest step"),
                )
                for name in FAMILIES
            ),
        ),
        notes=("Steps below 1/16 of the largest are covered by (3): a shorter step has a part of the same segment.",),
    )


def _small_case(likelihood: str) -> SmallPair:
    """Return two users who differ in one item and whose codes lie about 1/1000 apart, on a fixed decoder 2-3-4."""

    def pattern(start: int, *shape: int) -> Any:
        return enclosed((((7 * np.arange(np.prod(shape)) + start) % 11 - 5) / 8).reshape(shape))

    return small_pair(
        likelihood=FAMILIES.index(likelihood),
        first=pattern(1, 3, 2),
        first_bias=pattern(2, 3),
        second=pattern(5, 4, 3),
        # Items 0 and 1 unlikely, item 2 likely: u's gradient is then longer than what v's further item changes.
        second_bias=enclosed([-1, -1, 2, 0]),
        content_u=enclosed([1, 1, 0, 0]),
        content_v=enclosed([1, 1, 1, 0]),
        codes=pattern(3, 2, 2),
        shift=enclosed([[1, -1], [1, 1]]),
        distance=enclosed("0.001"),
    )


def _changes_and_bounds() -> Comparison:
    left, right = [], []
    for name in FAMILIES:
        pair, largest = _small_case(name), enclosed(LARGEST_STEP[name])
        # The curvature of a shorter step is at most its share squared of the longest one's.
        curvature = _upper(pair.curvature(largest))
        for share in map(enclosed, SHARES_OF_A_STEP):
            left.append(pair.loss_after(share * largest) - pair.loss_before)
            right.append(_most_change(pair, share * largest, share * share * curvature))
    return np.array(left), "<=", np.array(right)


def _curvatures_and_room() -> Comparison:
    left, right = [], []
    for name in FAMILIES:
        pair, largest = _small_case(name), enclosed(LARGEST_STEP[name])
        left.append(_upper(pair.curvature(largest)))
        right.append(2 * largest * pair.norm_u * (pair.norm_u - pair.penalty))
    return np.array(left), "<", np.array(right)


def _falls_at(likelihood: str) -> Callable[..., Comparison]:
    pair, largest = _small_case(likelihood), enclosed(LARGEST_STEP[likelihood])

    def claim(share: arb) -> Comparison:
        return pair.loss_after(share * largest), "<", pair.loss_before

    return claim


def _upper(enclosure: arb) -> arb:
    return enclosure.upper()


@check(THEOREM_2_3, stages="every")
def sharing(subject: Subject) -> Evidence:
    """Check (1) to (4) on every pair of the table, (3) by its order of convergence and on a range of steps."""
    pairs = subject.pairs
    slopes, first_order = _first_order(subject, factor=1.0)
    drawn = drawn_pairs(pairs)
    penalty = lipschitz_term(drawn, "lipschitz_upper") + drawn["content_mismatch"].to_numpy()
    order, form_numbers = _mismatch_forms(subject)
    steps, step_numbers = _step_ranges(subject)
    return Evidence(
        parts=(
            *_penalty_parts(pairs),
            _moved_codes(subject),
            order,
            first_order,
            *steps,
            *radius_parts(pairs, "sharing_radius", subject),
        ),
        numbers={
            **radius_numbers(pairs, "sharing_radius"),
            **decay_numbers(pairs),
            "tightness": spread(
                drawn["gradient_gap"].to_numpy() / penalty, "||g_u - g_v|| / D, D with the certified L (1 = attained)"
            ),
            "first_order_slope": spread(slopes, "order of convergence of the first-order term (2 expected)"),
            "certified_lipschitz_ratio": spread(
                (pairs["lipschitz_upper"] / pairs["lipschitz_lower"]).to_numpy(), "certified L / largest slope seen"
            ),
            **form_numbers,
            **step_numbers,
        },
        notes=(
            f"About the sampled posteriors, {subject.codes.shape[1]} codes a user with common noise: L is certified on the tubes "
            "around these codes, which hold their whole mass. About the Gaussian posteriors themselves nothing is certified: "
            "almost none of their mass lies in the tubes.",
            "Dx is the tight form, the norm of the expectation. The step range is heuristic: Lambda is the largest second "
            "derivative seen at a few points of each step, not an upper bound.",
        ),
        principal="radius",
    )


@negative_control(THEOREM_2_3, "drop_content_mismatch", "the penalty without Dx", stages="none")
def drop_content_mismatch(subject: Subject) -> Evidence:
    """Refute ||g_u - g_v|| <= L W_1 where users of opposed contents share one user's codes, so that W_1 = 0."""
    pairs = pairs_at_shared_codes(subject.rng("shared codes"))
    return Evidence(parts=_penalty_parts(pairs.assign(content_mismatch=0.0, lipschitz_upper=1.0)))


@negative_control(THEOREM_2_3, "wrong_first_order_term", "nine tenths of the first-order term", stages="every")
def wrong_first_order_term(subject: Subject) -> Evidence:
    """Refute second-order convergence to 0.9 times the true first-order term."""
    return Evidence(parts=(_first_order(subject, factor=0.9)[1],))


def _mismatch_forms(subject: Subject) -> tuple[Part, dict[str, Number]]:
    """Check the order of the three forms of Dx on all pairs of some users, and say how far apart they are."""
    chosen = np.unique(np.linspace(0, len(subject.users) - 1, FORM_USERS).astype(int))
    contents, codes = subject.interactions.matrix[subject.users[chosen]], subject.codes[chosen]
    forms = content_mismatch_forms(subject.recommender.decoder, subject.recommender.likelihood, contents, codes)
    i, j = np.nonzero(~np.eye(len(chosen), dtype=bool))
    tight, mean_norm, largest = (np.asarray(form)[i, j] for form in (forms.tight, forms.mean_norm, forms.largest))
    cases = {"u": subject.users[chosen[i]], "v": subject.users[chosen[j]]}
    part = at_most(
        "mismatch_forms",
        "||E Delta|| <= E ||Delta|| <= largest ||Delta||, Delta(z) = G(x_u,z) - G(x_v,z), at v's codes",
        np.concatenate([tight, mean_norm]),
        np.concatenate([mean_norm, largest]),
        cases={name: np.tile(values, 2) for name, values in cases.items()},
    )
    apart = mean_norm > 0
    return part, {
        "tightness_mean_norm": spread(tight[apart] / mean_norm[apart], "Dx as norm of the mean / as mean of the norm"),
        "tightness_largest": spread(tight[apart] / largest[apart], "Dx as norm of the mean / as the largest norm"),
    }


def _step_ranges(subject: Subject) -> tuple[tuple[Part, ...], dict[str, Number]]:
    """Check that loss falls within the range of steps, Lambda seen at a few points, on pairs that help each other."""
    if subject.kernels.path != "outer_product":
        return (), {}  # second derivatives along a step have a closed form for chains of dense layers only
    chosen = _helping_pairs(subject.pairs)
    i, j = (np.searchsorted(subject.users, chosen[name].to_numpy()) for name in ("u", "v"))
    product, length = chosen["inner_product"].to_numpy(), chosen["gradient_norm_v"].to_numpy()
    # A first guess from the curvature at the start, no longer than one unit in parameter space.
    start = step_curvatures(subject.kernels, 0.0, i, j, points=1)
    guess = np.minimum(step_range(product, length, start), 1 / length)
    curvature = np.maximum(step_curvatures(subject.kernels, guess, i, j), SMALLEST)
    # Lambda was looked for on the step of the guess, so the range ends there at the latest.
    end = np.minimum(step_range(product, length, curvature), guess)
    rates = np.concatenate([share * end for share in SHARES_OF_THE_RANGE])
    changes = _changes(subject, rates, np.tile(i, len(SHARES_OF_THE_RANGE)), np.tile(j, len(SHARES_OF_THE_RANGE)))
    most = np.maximum(rates * np.tile(product, len(SHARES_OF_THE_RANGE)), SMALLEST)
    part = at_most(
        "step_range",
        "(3) u's loss falls for steps of 0.1, 0.5, 0.9 of the range 2 <g_u,g_v> / (Lambda ||g_v||^2), Lambda as seen",
        changes,
        np.full(len(changes), -SMALLEST),
        cases={name: np.tile(chosen[name].to_numpy(), len(SHARES_OF_THE_RANGE)) for name in ("u", "v")}
        | {"step": rates},
        tolerance=0.0,
        scale=most,
    )
    return (part,), {
        "step_range": spread(end, "end of the range of steps for pairs that help (heuristic)"),
        "step_curvature": spread(curvature, "Lambda, the largest second derivative seen on those steps"),
    }


def _helping_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return a few pairs with positive inner product and different contents, those inside the radius first."""
    helping = pairs[(pairs["inner_product"] > 0) & (pairs["input_distance"] > 0)]
    within = inside(helping, "sharing_radius")
    rest = helping[~within]
    spread_out = rest.iloc[np.unique(np.linspace(0, len(rest) - 1, RANGE_PAIRS).astype(int))] if len(rest) else rest
    return pd.concat([helping[within].head(RANGE_PAIRS // 2), spread_out]).head(RANGE_PAIRS)


def _changes(subject: Subject, rates: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Return the loss change of each pair at its own rate."""
    values = [
        np.asarray(subject.kernels.step_loss_change_pairs(float(rate), [u], [v]))[0]
        for rate, u, v in zip(rates, i, j, strict=True)
    ]
    return np.array(values)


def _penalty_parts(pairs: pd.DataFrame) -> tuple[Part, Part]:
    """Return (1) and (2) on the columns of a pair table."""
    cases = pair_cases(pairs)
    norm, product = pairs["gradient_norm_u"].to_numpy(), pairs["inner_product"].to_numpy()
    penalty = lipschitz_term(pairs, "lipschitz_upper") + pairs["content_mismatch"].to_numpy()
    size = np.maximum(norm, pairs["gradient_norm_v"].to_numpy())
    least = norm * (norm - penalty)
    gap = pairs["gradient_gap"].to_numpy()
    return (
        at_most("gradient_gap", "(1) ||g_u - g_v|| <= D", gap, penalty, cases=cases, scale=size),
        at_most("inner_product", "(2) ||g_u|| (||g_u|| - D) <= <g_u,g_v>", least, product, cases=cases, scale=size**2),
    )


def _moved_codes(subject: Subject) -> Part:
    """Check the first term of the proof alone: u's content at u's codes and at v's, against L W_1, on a few pairs."""
    n_users = len(subject.users)
    i, j = np.divmod(subject.rng("moved").permutation(n_users * n_users)[:MOVED_PAIRS], n_users)
    i, j = i[i != j], j[i != j]
    contents = subject.interactions.matrix[subject.users[np.concatenate([i, i])]]
    codes = subject.codes[np.concatenate([i, j])]
    kernels = TransferKernels(subject.recommender.decoder, subject.recommender.likelihood, contents, codes)
    rows = np.arange(len(i))
    moved = np.asarray(kernels.gradient_gap())[rows, rows + len(i)]
    table = subject.pairs.set_index(["u", "v"]).loc[list(zip(subject.users[i], subject.users[j], strict=True))]
    return at_most(
        "moved_codes",
        "||(E_{q_u} - E_{q_v}) G(x_u,.)|| <= L W_1",
        moved,
        lipschitz_term(table, "lipschitz_upper"),
        cases={"u": subject.users[i], "v": subject.users[j]},
        scale=table["gradient_norm_u"].to_numpy(),
    )


def _first_order(subject: Subject, *, factor: float) -> tuple[np.ndarray, Part]:
    """Return the slopes of log |L_u(theta - eta g_v) - L_u(theta) + eta <g_u,g_v>| in log eta, and their check."""
    n_users = len(subject.users)
    chosen = subject.rng("ladder").choice(n_users * n_users, size=min(LADDER_PAIRS, n_users * n_users), replace=False)
    i, j = np.divmod(chosen, n_users)
    product = factor * np.asarray(subject.kernels.gradient_gram())[i, j]
    change = np.asarray(subject.kernels.step_loss_change_pairs(LADDER.tolist(), i, j))
    rest = np.abs(change + LADDER[:, None] * product)
    # A remainder below the rounding of the change itself shows no order.
    resolved = (rest > 1e-11 * np.abs(change)).all(0)
    centred = np.log(LADDER) - np.log(LADDER).mean()
    slopes = centred @ np.log(np.maximum(rest, SMALLEST)) / (centred @ centred)
    part = at_most(
        "first_order",
        "(3) the remainder falls at least with order 2 (slope > 1.9)",
        np.full(len(slopes), 1.9),
        slopes,
        cases={"u": subject.users[i], "v": subject.users[j]},
        premise=resolved,
    )
    return slopes[resolved], part
