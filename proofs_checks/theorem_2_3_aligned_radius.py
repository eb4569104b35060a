"""The aligned sharing radius: a second sufficient condition for v's step to help u, from v's content at u's own codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import sympy

from collabtheory.claims import (
    Evidence,
    Inequality,
    Number,
    Part,
    Statement,
    Step,
    Subject,
    at_most,
    check,
    negative_control,
)
from collabtheory.claims.pair_checks import (
    PAIR_AXES,
    PAIR_VARIABLES,
    helps,
    lipschitz_term,
    pair_cases,
    pairs_at_shared_codes,
    radius_parts,
    small_pair,
)
from collabtheory.claims.pair_statistics import drawn_pairs, radius_numbers, share_of, spread
from collabtheory.rigor import Comparison, Finding, identity, sum_of_squares
from collabtheory.rigor.small_pairs import SmallPair
from collabtheory.transfer import sharing_radius

NORM, ROOM, L = sympy.symbols("N m L", positive=True)
C, S = sympy.symbols("c s", nonnegative=True)


def _scalar() -> Finding:
    """<g_u, E_v G_v> - <g_u, E_u G_v> = E_v <g_u, G_v> - E_u <g_u, G_v>, for two codes a user and two parameters."""
    g = sympy.symbols("g:2", real=True)
    at_u, at_v = (sympy.Matrix(2, 2, sympy.symbols(f"G{name}:4", real=True)) for name in "uv")
    p, q = sympy.symbols("p:2", nonnegative=True), sympy.symbols("q:2", nonnegative=True)
    size = range(2)
    left = sum(g[k] * (sum(q[j] * at_v[k, j] for j in size) - sum(p[i] * at_u[k, i] for i in size)) for k in size)
    scalars_v = [sum(g[k] * at_v[k, j] for k in size) for j in size]
    scalars_u = [sum(g[k] * at_u[k, i] for k in size) for i in size]
    return identity(left, sum(q[j] * scalars_v[j] - p[j] * scalars_u[j] for j in size))


def _one_sided() -> Finding:
    """Show L sum pi d - sum pi (h - h') >= 0 for a scalar h with h - h' = L d - s, s >= 0."""
    weights, costs, slacks = (sympy.symbols(f"{name}:3", nonnegative=True) for name in ("pi", "d", "s"))
    total = sum(w * (L * d - s) for w, d, s in zip(weights, costs, slacks, strict=True))
    cost = sum(w * d for w, d in zip(weights, costs, strict=True))
    return sum_of_squares(L * cost - total, [(w * s, sympy.S.One) for w, s in zip(weights, slacks, strict=True)])


def _inside_the_radius() -> Finding:
    """With W_1 = a/L_dir - s, s > 0: a - L_dir W_1 = L_dir s > 0."""
    alignment = sympy.Symbol("a", positive=True)
    return sum_of_squares(alignment - L * (alignment / L - S), [(L * S, sympy.S.One)])


def _alignment_bound() -> Finding:
    """<g_u, E_u G_v> = N^2 - <g_u, E_u[G_u - G_v]> with the last product N Dx' - c, c >= 0 by Cauchy-Schwarz."""
    mismatch = sympy.Symbol("Dx'", nonnegative=True)
    return sum_of_squares(NORM**2 - (NORM * mismatch - C) - NORM * (NORM - mismatch), [(C, sympy.S.One)])


def _blocks() -> Finding:
    """(|g_1| L_1 + |g_2| L_2)^2 <= (|g_1|^2 + |g_2|^2)(L_1^2 + L_2^2): Lagrange's identity for two blocks."""
    g1, g2, l1, l2 = sympy.symbols("g1 g2 L1 L2", nonnegative=True)
    difference = (g1**2 + g2**2) * (l1**2 + l2**2) - (g1 * l1 + g2 * l2) ** 2
    return sum_of_squares(difference, [(1, g1 * l2 - g2 * l1)])


def _domination() -> Finding:
    """Show a/L_dir - m/L' >= 0 for m = N - Dx' > 0, a = N m + c and L_dir = N L'/(1 + s) <= N L'."""
    directional = NORM * L / (1 + S)
    certificate = [(ROOM * S / L, sympy.S.One), (C * (1 + S) / (NORM * L), sympy.S.One)]
    return sum_of_squares((NORM * ROOM + C) / directional - ROOM / L, certificate)


ALIGNED_RADIUS = Statement(
    identifier="aligned_radius",
    position=2,
    title="Inside the aligned radius, v's SGD step helps u",
    source="collabtheory (new)",
    text=(
        r"With $a(u,v) = \langle g_u, \mathbb{E}_{q_u} G(x_v,z)\rangle$, what v's content would do at u's own codes, and "
        r"$L_{dir}$ a Lipschitz constant of the scalar $z \mapsto \langle g_u, G(x_v,z)\rangle$: "
        r"(1) $\langle g_u,g_v\rangle \ge a - L_{dir}\,W_1(q_u,q_v)$; "
        r"(2) $W_1(q_u,q_v) < r_{align} = \max(0, a)/L_{dir}$ implies that v helps u; "
        r"(3) $r_{align}(u,v) \ge r'_{share}(u,v)$, the sharing radius with the roles of the two contents exchanged: "
        r"mismatch $D'_x$ under $q_u$, constant $L'$ of $G(x_v,\cdot)$."
    ),
    assumptions=(
        r"A1 for the scalar on the tube around v's codes that reaches u's; $L_{dir} \le \lVert g_u\rVert L'$ is certified there.",
        "Posteriors are the sampled ones, as in theorem_2_3.",
    ),
    proof=(
        Step(
            "scalar",
            r"$\langle g_u,g_v\rangle - a$ is the difference of the expectations of one scalar under $q_v$ and $q_u$.",
            _scalar,
        ),
        Step(
            "one_sided",
            r"Over a coupling it is at least $-L_{dir} \sum \pi_{ij} \lVert z_i - z'_j\rVert$, with the best one $-L_{dir} W_1$ "
            "(coupling as in theorem_2_3). This is (1).",
            _one_sided,
        ),
        Step(
            "inside",
            r"Inside the radius, $W_1 = a/L_{dir} - s$ with $s > 0$, (1) gives $\langle g_u,g_v\rangle \ge L_{dir} s > 0$, and "
            "Taylor's theorem (theorem_2_3, step range) a whole range of steps. This is (2).",
            _inside_the_radius,
        ),
        Step(
            "alignment_bound",
            r"$a = \lVert g_u\rVert^2 - \langle g_u, \mathbb{E}_{q_u}[G(x_u,z) - G(x_v,z)]\rangle \ge "
            r"\lVert g_u\rVert (\lVert g_u\rVert - D'_x)$ by Cauchy-Schwarz.",
            _alignment_bound,
        ),
        Step(
            "blocks",
            r"$L_{dir} \le \lVert g_u\rVert L'$ by Cauchy-Schwarz; also layer by layer, "
            r"$L_{dir} \le \sum_l \lVert g_{u,l}\rVert L'_l \le \lVert g_u\rVert (\sum_l L_l'^2)^{1/2}$, here for two layers.",
            _blocks,
        ),
        Step(
            "domination",
            r"With $m = \lVert g_u\rVert - D'_x > 0$, $a = \lVert g_u\rVert m + c$ and $L_{dir} = \lVert g_u\rVert L'/(1 + s)$: "
            r"$a/L_{dir} - m/L' = ms/L' + c(1 + s)/(\lVert g_u\rVert L') \ge 0$. This is (3); where $m \le 0$ it is trivial.",
            _domination,
        ),
    ),
    limits=(
        "Sufficient, not necessary.",
        r"The certified $L_{dir}$ is a product of norms; the heuristic radius is not a bound.",
        "It dominates the sharing radius with the contents' roles exchanged, not the one of theorem_2_3 itself.",
    ),
)


def _on_pairs(claim: Callable[[SmallPair], Comparison]) -> Callable[..., Comparison]:
    return lambda **case: claim(small_pair(**case))


def _bound(pair: SmallPair, alignment: Any) -> Comparison:
    return alignment - pair.directional_lipschitz * pair.cost, "<=", pair.inner_product


LOWER_BOUND = Inequality(
    ALIGNED_RADIUS,
    "inner_product",
    "(1) a - L_dir W_1 <= <g_u,g_v> on small decoders, L_dir by composition",
    variables=PAIR_VARIABLES,
    axes=PAIR_AXES,
    claim=_on_pairs(lambda pair: _bound(pair, pair.alignment)),
)
OWN_CONTENT = LOWER_BOUND.false_twin(
    "own_content",
    "u's own content in place of v's in the alignment",
    _on_pairs(lambda pair: _bound(pair, pair.norm_u * pair.norm_u)),
)


def _inside(alignment: Callable[[SmallPair], Any]) -> Callable[..., tuple[Comparison, ...]]:
    """Return the premise W_1 < alignment / L_dir, times L_dir."""

    def premise(**case: Any) -> tuple[Comparison, ...]:
        pair = small_pair(**case)
        return ((pair.directional_lipschitz * pair.cost, "<", alignment(pair)),)

    return premise


RADIUS = Inequality(
    ALIGNED_RADIUS,
    "radius",
    "(2) W_1 < r_align implies <g_u,g_v> > 0 (both sides plus ||g_u|| ||g_v||), on small decoders",
    variables=PAIR_VARIABLES,
    axes=PAIR_AXES,
    claim=_on_pairs(helps),
    premise=_inside(lambda pair: pair.alignment),
)
NORMS_FOR_ALIGNMENT = RADIUS.false_twin(
    "norms_for_alignment",
    "the product of norms in place of the inner product a",
    RADIUS.claim,
    premise=_inside(lambda pair: pair.norm_u * pair.others_norm_at_u),
)


def _dominates(mismatch: Callable[[SmallPair], Any], constant: Callable[[SmallPair], Any]) -> Any:
    """Compare (||g_u|| - mismatch) / constant with a / L_dir, both times the two constants; it need not be positive."""

    def claim(pair: SmallPair) -> Comparison:
        share = (pair.norm_u - mismatch(pair)) * pair.directional_lipschitz
        return share, "<=", pair.alignment * constant(pair)

    return _on_pairs(claim)


def _positive_radius(mismatch: Callable[[SmallPair], Any]) -> Callable[..., tuple[Comparison, ...]]:
    def premise(**case: Any) -> tuple[Comparison, ...]:
        pair = small_pair(**case)
        return ((mismatch(pair), "<", pair.norm_u),)

    return premise


DOMINATION = Inequality(
    ALIGNED_RADIUS,
    "domination",
    "(3) r_share' <= r_align where r_share' > 0, on small decoders",
    variables=PAIR_VARIABLES,
    axes=PAIR_AXES,
    claim=_dominates(lambda pair: pair.mismatch_under_u, lambda pair: pair.lipschitz_v),
    premise=_positive_radius(lambda pair: pair.mismatch_under_u),
)
ROLES_NOT_EXCHANGED = DOMINATION.false_twin(
    "roles_not_exchanged",
    "the sharing radius of theorem_2_3 itself, without exchanging the contents' roles",
    _dominates(lambda pair: pair.mismatch, lambda pair: pair.lipschitz_u),
    premise=_positive_radius(lambda pair: pair.mismatch),
)


@check(ALIGNED_RADIUS, stages="every")
def aligned(subject: Subject) -> Evidence:
    """Check (1) to (3) on every pair of the table."""
    pairs = subject.pairs
    drawn = drawn_pairs(pairs)
    agreement = share_of((np.sign(drawn["alignment"]) == np.sign(drawn["inner_product"])).to_numpy())
    shared = drawn[drawn["sharing_radius"] > 0]
    smaller = share_of((shared["aligned_radius"] < shared["sharing_radius"]).to_numpy())
    apart = drawn[drawn["transport_cost"] > 0]
    moved = (apart["alignment"] - apart["inner_product"]).abs()
    return Evidence(
        parts=(_lower_bound(pairs), _domination_part(pairs), *radius_parts(pairs, "aligned_radius", subject)),
        numbers={
            **radius_numbers(pairs, "aligned_radius"),
            "share_sign_agreement": Number(agreement, "pairs where a and <g_u,g_v> have one sign", n=len(drawn)),
            "share_smaller": Number(
                smaller, "of pairs with a sharing radius, those whose aligned radius is smaller", n=len(shared)
            ),
            "tightness": spread(
                (moved / lipschitz_term(apart, "directional_lipschitz_upper")).to_numpy(),
                "|a - <g_u,g_v>| / (L_dir W_1), L_dir certified (1 = attained)",
            ),
        },
        notes=("Domination is checked against the certified sharing radius with the contents' roles exchanged.",),
        principal="radius",
    )


@negative_control(
    ALIGNED_RADIUS, "norms_for_alignment", "the product of norms in place of the inner product a", stages="none"
)
def norms_for_alignment(subject: Subject) -> Evidence:
    """Refute the radius with ||g_u|| ||E G(x_v,.)|| where users of opposed contents share one user's codes."""
    pairs = pairs_at_shared_codes(subject.rng("shared codes"))
    return Evidence(parts=radius_parts(pairs.assign(aligned_radius=pairs["gradient_norm_v"]), "aligned_radius"))


@negative_control(ALIGNED_RADIUS, "own_content", "u's own content in place of v's in the alignment", stages="none")
def own_content(subject: Subject) -> Evidence:
    """Refute <g_u,g_v> >= ||g_u||^2 - L_dir W_1, which forgets that the contents differ, at shared codes."""
    pairs = pairs_at_shared_codes(subject.rng("shared codes"))
    forgetful = pairs.assign(alignment=pairs["gradient_norm_u"] ** 2, directional_lipschitz_upper=1.0)
    return Evidence(parts=(_lower_bound(forgetful),))


def _lower_bound(pairs: pd.DataFrame) -> Part:
    size = pairs["gradient_norm_u"] * pairs[["gradient_norm_u", "gradient_norm_v"]].max(axis=1)
    bound = pairs["alignment"].to_numpy() - lipschitz_term(pairs, "directional_lipschitz_upper")
    return at_most(
        "inner_product",
        "(1) a - L_dir W_1 <= <g_u,g_v>",
        bound,
        pairs["inner_product"].to_numpy(),
        cases=pair_cases(pairs),
        scale=size.to_numpy(),
    )


def _domination_part(pairs: pd.DataFrame) -> Part:
    """Check (3): the mismatch of the exchanged roles stands in the row of (v, u)."""
    swapped = pairs[["u", "v", "content_mismatch"]].rename(columns={"u": "v", "v": "u", "content_mismatch": "swapped"})
    joined = pairs.merge(swapped, on=["u", "v"], validate="one_to_one")
    norm = joined["gradient_norm_u"].to_numpy()
    constant = joined["directional_lipschitz_upper"].to_numpy() / norm
    share = np.asarray(sharing_radius(norm, joined["swapped"].to_numpy(), constant))
    return at_most(
        "domination",
        "(3) r_share' <= r_align",
        share,
        joined["aligned_radius"].to_numpy(),
        cases=pair_cases(joined),
        premise=share > 0,
        scale=np.divide(norm, constant, out=np.full(len(norm), np.inf), where=constant > 0),
    )
